//! Pods that do nothing but make each node pull the images of the later waves while the first ones still wait. Each container is of one
//! image and has a command that no image has: the kubelet pulls the image before it can tell. That works with images that hold a single
//! executable, and with every version of Kubernetes, which volumes of images do not before 1.35. Pure.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::object::{OWN_NAMESPACE, Object};
use crate::plan::Plan;
use crate::plan::images::places;

/// The label of everything that is made for it.
pub const LABEL: &str = "platctl.dev/prepull";
const NAME: &str = "platctl-prepull";
/// Nothing that is there is called so.
const COMMAND: &str = "/platctl-prepull/does-not-exist";
/// They go by themselves should nobody be left to remove them.
const SECONDS: u32 = 1800;

/// The images of later waves, in the order in which they are needed. The first wave pulls its own at once; what it has others make pods of,
/// such as the sidecars, comes first here.
pub fn images(plan: &Plan) -> Vec<String> {
    let first = plan.waves.first().map(|wave| wave.number);
    let is_now = |component: &str| plan.component(component).is_ok_and(|one| Some(one.component.wave) == first);
    let places = places(plan);
    let now: Vec<&str> = places
        .iter()
        .filter(|place| !place.is_later && is_now(&place.component))
        .map(|place| place.image.as_str())
        .collect();
    let mut images: Vec<String> = Vec::new();
    for place in &places {
        if !now.contains(&place.image.as_str()) && !images.contains(&place.image) {
            images.push(place.image.clone());
        }
    }
    images
}

/// A `NetworkPolicy` that lets none of them talk, and a pod for each node.
pub fn objects(plan: &Plan, nodes: &[&str]) -> Vec<Object> {
    let images = images(plan);
    if images.is_empty() {
        return Vec::new();
    }
    let pods = nodes.iter().map(|node| pod(plan, node, &images));
    [policy()].into_iter().chain(pods).filter_map(|object| Object::new(object).ok()).collect()
}

fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": NAME, "namespace": OWN_NAMESPACE, "labels": {LABEL: "true"}},
        "spec": {"podSelector": {"matchLabels": {LABEL: "true"}}, "policyTypes": ["Ingress", "Egress"]},
    })
}

/// By affinity and not by `nodeName`, so that the scheduler keeps it off nodes whose taints it does not tolerate.
fn pod(plan: &Plan, node: &str, images: &[String]) -> Value {
    let is_node = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    let containers: Vec<Value> = images.iter().enumerate().map(|(index, image)| container(index, image)).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name(node), "namespace": OWN_NAMESPACE, "labels": {LABEL: "true", "sidecar.istio.io/inject": "false"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": SECONDS,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "imagePullSecrets": plan.profile.image_pull_secrets,
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [is_node]}}},
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": containers,
        },
    })
}

fn container(index: usize, image: &str) -> Value {
    json!({
        "name": format!("image-{index}"), "image": image, "imagePullPolicy": "IfNotPresent", "command": [COMMAND],
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
    })
}

/// A node's name may be as long as a pod's.
fn name(node: &str) -> String {
    let bytes = Sha256::digest(node.as_bytes());
    bytes.iter().take(6).fold(format!("{NAME}-"), |text, byte| text + &format!("{byte:02x}"))
}
