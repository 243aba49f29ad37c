//! Admission: whether the pods of the mesh, whose init container redirects their traffic as root, would be let in.

use serde::Serialize;
use serde_json::json;

use super::{Facts, Judged, blocking, warning};
use crate::object::{Id, Object};
use crate::plan::{Plan, images};

const LEVEL: &str = "pod-security.kubernetes.io/enforce";

/// Something that a dry run showed would not be let in, in the API server's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub id: Id,
    pub why: String,
}

/// The plan's namespaces whose level of Pod Security is lower than the strictest: those that a cluster may object to.
pub fn privileged_namespaces(plan: &Plan) -> impl Iterator<Item = &Object> {
    let namespaces = plan.objects().map(|(_, object)| object).filter(|object| object.kind() == "Namespace");
    namespaces.filter(|namespace| namespace.label(LEVEL).is_some_and(|level| level != "restricted"))
}

/// A pod with what the mesh's init container needs, for a dry run. Our own injector lets it be.
pub fn probe(plan: &Plan, namespace: &str) -> Option<Object> {
    // An image that the platform pulls, mirror included: policies of the cluster may know registries.
    let image = images::names(plan).into_iter().next()?;
    Object::new(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "platctl-preflight", "namespace": namespace, "labels": {"sidecar.istio.io/inject": "false"}},
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": false, "containers": [{
            "name": "probe", "image": image,
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
            "securityContext": {
                "runAsUser": 0, "runAsNonRoot": false, "allowPrivilegeEscalation": false,
                "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            },
        }]},
    }))
    .ok()
}

/// Whether the message is that of a policy. A missing right is another check's matter.
pub fn is_of_admission(id: &Id, message: &str) -> bool {
    // What a pod's namespace enforces now says nothing: the platform's will have the plan's level, or be refused themselves.
    let is_level = id.kind == "Pod" && message.contains("violates PodSecurity");
    let of_policy = [
        "denied the request",
        "denied request",
        "violates PodSecurity",
        "security context constraint",
        "failed calling webhook",
    ];
    let of_label = id.kind == "Namespace" && message.contains(LEVEL);
    !is_level && (of_label || of_policy.iter().any(|words| message.contains(words)))
}

pub(super) fn pod_security(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let mut found = Vec::new();
    for (_, object) in plan.objects().filter(|(_, object)| object.kind() == "Namespace") {
        let level = object.label(LEVEL).unwrap_or_default();
        if object.label("istio-injection") == Some("enabled") && !["privileged", ""].contains(&level) {
            let title = format!(
                "{} enforces the level `{level}` of Pod Security, which lets in no pod of the mesh",
                object.id()
            );
            let hint = "set `podSecurity: privileged` for it in the values of `namespaces`: the sidecar's init container needs NET_ADMIN and NET_RAW";
            found.push(blocking(title, hint));
        }
    }
    found.extend(facts.refusals.iter().map(|Refusal { id, why }| {
        if why.contains("failed calling webhook") {
            let title = format!("an admission webhook does not answer for {id}: {why}");
            return warning(title, "mend what stands behind it, or delete its configuration if that is gone");
        }
        if id.kind == "Namespace" {
            let title = format!("{id} would be refused: {why}");
            return blocking(
                title,
                "exempt the platform's namespaces from that policy, or take off the label that somebody else set",
            );
        }
        let title = format!(
            "a pod like those of the mesh would be refused in namespace {}: {why}",
            id.namespace.as_deref().unwrap_or_default()
        );
        warning(
            title,
            "allow NET_ADMIN, NET_RAW and user 0 in `iam-system` and `observability`, for the sidecar's init container",
        )
    }));
    found
}
