//! Whether Services of type `LoadBalancer` get addresses. No API tells; it is concluded from what is there, once for the wizard and the check.

use serde::Serialize;

use super::{Facts, Judged, warning};
use crate::object::Object;
use crate::plan::Plan;
use crate::plan::host::Host;

/// Whether a Service of type `LoadBalancer` gets an address, and how that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Balancer {
    pub works: bool,
    pub why: String,
}

/// Controllers that give addresses, by a label of their pods.
const CONTROLLERS: [(&str, &str, &str); 6] = [
    ("app.kubernetes.io/name", "metallb", "MetalLB"),
    ("app", "metallb", "MetalLB"),
    ("app.kubernetes.io/name", "kube-vip-ds", "kube-vip"),
    ("app.kubernetes.io/name", "kube-vip-cloud-provider", "kube-vip"),
    ("app.kubernetes.io/name", "purelb", "PureLB"),
    ("app", "openelb-controller", "OpenELB"),
];

/// The strongest sign first: an address that was given, one that was not. `is_old`: whether a Service has been there long enough to have its
/// address.
pub fn balancer(host: Host, services: &[Object], pods: &[Object], is_old: impl Fn(&Object) -> bool) -> Balancer {
    let wanting = || services.iter().filter(|service| service.text("/spec/type") == Some("LoadBalancer"));
    let is_given = |service: &&Object| !service.items("/status/loadBalancer/ingress").is_empty();
    let name = |service: &Object| format!("{}/{}", service.namespace().unwrap_or_default(), service.name());
    let runs = |key: &str, value: &str| pods.iter().any(|pod| pod.label(key) == Some(value));
    let controller = CONTROLLERS.iter().find(|(key, value, _)| runs(key, value)).map(|(_, _, controller)| *controller);

    if let Some(service) = wanting().find(is_given) {
        return Balancer { works: true, why: format!("Service {} got an address", name(service)) };
    }
    if let Some(service) = wanting().find(|service| is_old(service)) {
        let by = controller.map_or_else(String::new, |controller| format!(", although {controller} is there"));
        let why = format!("Service {} has been waiting for its address for long{by}", name(service));
        return Balancer { works: false, why };
    }
    let (works, why) = match (controller, host.name) {
        (Some(controller), _) => (true, format!("{controller} is there")),
        (None, "") => (false, "nothing was seen that gives Services of type LoadBalancer an address".to_owned()),
        (None, name) if host.balances => (true, format!("{name} gives Services addresses, unless that is off")),
        (None, name) => (false, format!("{name} gives Services no addresses by itself")),
    };
    Balancer { works, why }
}

pub(super) fn load_balancer(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let is_balanced = |object: &Object| object.kind() == "Service" && object.text("/spec/type") == Some("LoadBalancer");
    let is_wanted = plan.objects().any(|(_, object)| is_balanced(object));
    let Some(balancer) = facts.balancer.as_ref().filter(|balancer| is_wanted && !balancer.works) else {
        return Vec::new();
    };
    let hint = "the installation waits for the gateway's address: give Services one (MetalLB; on kind `cloud-provider-kind`, on minikube \
                `minikube tunnel`), or do without: `--set istio-gateway.service.type=NodePort`";
    vec![warning(balancer.why.clone(), hint)]
}
