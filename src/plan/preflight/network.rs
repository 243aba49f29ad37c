//! The cluster's network: whether Services get addresses from outside, whether NetworkPolicies are enforced. No API tells either; both are
//! concluded from what runs there.

use serde::Serialize;
use serde_json::Value;

use super::{Facts, Judged, quoted, warning};
use crate::object::Object;
use crate::plan::Plan;

/// What is known of addresses for Services of type `LoadBalancer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Balancer {
    /// A Service that has one.
    pub given: Option<String>,
    /// Services that have waited for one for long.
    pub waiting: Vec<String>,
    /// What is there that gives addresses.
    pub by: Option<&'static str>,
}

/// Clouds that give addresses by themselves, by the scheme of a node's `providerID`.
const CLOUDS: [(&str, &str); 16] = [
    ("aws", "AWS"),
    ("azure", "Azure"),
    ("civo", "Civo"),
    ("digitalocean", "DigitalOcean"),
    ("exoscale", "Exoscale"),
    ("gce", "Google Cloud"),
    ("hcloud", "Hetzner Cloud"),
    ("ibm", "IBM Cloud"),
    ("ionos", "IONOS Cloud"),
    ("k3s", "k3s"),
    ("linode", "Akamai"),
    ("oci", "Oracle Cloud"),
    ("openstack", "OpenStack"),
    ("ovhcloud", "OVHcloud"),
    ("scaleway", "Scaleway"),
    ("vultr", "Vultr"),
];

/// Controllers that give addresses, by a label of their pods.
const CONTROLLERS: [(&str, &str, &str); 6] = [
    ("app.kubernetes.io/name", "metallb", "MetalLB"),
    ("app", "metallb", "MetalLB"),
    ("app.kubernetes.io/name", "kube-vip-ds", "kube-vip"),
    ("app.kubernetes.io/name", "kube-vip-cloud-provider", "kube-vip"),
    ("app.kubernetes.io/name", "purelb", "PureLB"),
    ("app", "openelb-controller", "OpenELB"),
];

/// The scheme of the nodes' `providerID`: what they stand on.
pub fn provider(nodes: &[Object]) -> Option<&str> {
    nodes.iter().find_map(|node| node.text("/spec/providerID")?.split_once("://")).map(|(scheme, _)| scheme)
}

/// The Services that want an address, each with whether it has one.
pub fn balanced(services: &[Object]) -> impl Iterator<Item = (String, &Object, bool)> {
    services.iter().filter(|service| service.text("/spec/type") == Some("LoadBalancer")).map(|service| {
        let name = format!("{}/{}", service.namespace().unwrap_or_default(), service.name());
        (name, service, !service.items("/status/loadBalancer/ingress").is_empty())
    })
}

/// `is_old`: whether a Service has been there long enough to have its address.
pub fn balancer(nodes: &[Object], services: &[Object], pods: &[Object], is_old: impl Fn(&Object) -> bool) -> Balancer {
    let cloud = || {
        let scheme = provider(nodes)?;
        CLOUDS.iter().find(|(known, _)| *known == scheme).map(|(_, cloud)| *cloud)
    };
    let controller = || {
        let runs = |key: &str, value: &str| pods.iter().any(|pod| pod.label(key) == Some(value));
        CONTROLLERS.iter().find(|(key, value, _)| runs(key, value)).map(|(_, _, controller)| *controller)
    };
    let desktop = || nodes.iter().any(|node| node.name() == "docker-desktop").then_some("Docker Desktop");
    Balancer {
        given: balanced(services).find(|(_, _, has_address)| *has_address).map(|(name, ..)| name),
        waiting: balanced(services)
            .filter(|(_, service, has_address)| !has_address && is_old(service))
            .map(|(name, ..)| name)
            .collect(),
        by: cloud().or_else(controller).or_else(desktop),
    }
}

/// A network plugin, and whether NetworkPolicies come true with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Plugin {
    pub name: &'static str,
    pub enforces: bool,
}

/// Plugins by the name of their container.
const PLUGINS: [(&str, &str, bool); 11] = [
    ("antrea-agent", "Antrea", true),
    ("aws-node", "the AWS VPC CNI without its policy agent", false),
    ("azure-npm", "Azure's policy manager", true),
    ("calico-node", "Calico", true),
    ("cilium-agent", "Cilium", true),
    ("cni-server", "Kube-OVN", true),
    ("kube-flannel", "flannel", false),
    ("kube-router", "kube-router", true),
    ("ovnkube-controller", "OVN-Kubernetes", true),
    ("ovnkube-node", "OVN-Kubernetes", true),
    ("weave-npc", "Weave Net", true),
];

/// The first image of kindnet that enforces NetworkPolicies came with kind 0.24.
const KINDNET_ENFORCES_FROM: &str = "20240813";

/// By the pods that are on the nodes' own network, as those of network plugins are. None where there is no such pod of a DaemonSet: then the
/// provider hides what it runs, and nothing can be concluded.
pub fn plugins(version: &str, pods: &[Object]) -> Option<Vec<Plugin>> {
    if version.contains("+k3s") {
        // It is part of the one process that k3s is.
        return Some(vec![Plugin { name: "k3s", enforces: true }]);
    }
    let is_daemon = |owner: &Value| owner["kind"] == "DaemonSet";
    let is_system = |pod: &&Object| {
        pod.value().pointer("/spec/hostNetwork") == Some(&Value::Bool(true))
            && pod.items("/metadata/ownerReferences").iter().any(is_daemon)
    };
    let system: Vec<&Object> = pods.iter().filter(is_system).collect();
    if system.is_empty() {
        return None;
    }
    let containers = system.iter().flat_map(|pod| pod.items("/spec/containers"));
    let mut found: Vec<Plugin> = containers.filter_map(plugin).collect();
    found.sort();
    found.dedup();
    Some(found)
}

fn plugin(container: &Value) -> Option<Plugin> {
    let name = container["name"].as_str()?;
    match name {
        "kindnet-cni" => {
            let image = container["image"].as_str().unwrap_or_default();
            let date = image.rsplit_once(":v").and_then(|(_, tag)| tag.split('-').next());
            Some(Plugin { name: "kindnet", enforces: date.is_some_and(|date| date >= KINDNET_ENFORCES_FROM) })
        }
        "aws-eks-nodeagent" => {
            let arguments = ["command", "args"].into_iter().filter_map(|list| container[list].as_array()).flatten();
            let enforces = arguments.filter_map(Value::as_str).any(|one| one == "--enable-network-policy=true");
            enforces.then_some(Plugin { name: "the AWS policy agent", enforces })
        }
        _ => PLUGINS
            .iter()
            .find(|(container, _, _)| *container == name)
            .map(|(_, name, enforces)| Plugin { name, enforces: *enforces }),
    }
}

pub(super) fn load_balancer(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let is_balanced = |object: &Object| object.kind() == "Service" && object.text("/spec/type") == Some("LoadBalancer");
    let is_wanted = plan.objects().any(|(_, object)| is_balanced(object));
    let Some(balancer) = facts.balancer.as_ref().filter(|balancer| is_wanted && balancer.given.is_none()) else {
        return Vec::new();
    };
    let hint = "the installation waits for the gateway's address: give Services one (MetalLB; on kind `cloud-provider-kind`, on minikube \
                `minikube tunnel`), or do without: `--set istio-gateway.service.type=NodePort`";
    if let Some(service) = balancer.waiting.first() {
        let by = balancer.by.map_or_else(String::new, |by| format!(", although {by} is there"));
        return vec![warning(format!("Service {service} has been waiting for its address for long{by}"), hint)];
    }
    if balancer.by.is_none() {
        let title = "nothing was seen that gives Services of type LoadBalancer an address".to_owned();
        return vec![warning(title, hint)];
    }
    Vec::new()
}

pub(super) fn network_policies(_: &Plan, facts: &Facts) -> Vec<Judged> {
    let Some(plugins) = facts.plugins.as_ref().filter(|plugins| !plugins.iter().any(|plugin| plugin.enforces)) else {
        return Vec::new();
    };
    let consequence = "default-deny would be written but not be in force";
    if plugins.is_empty() {
        let title =
            format!("no network plugin was seen that is known to enforce NetworkPolicies; without one {consequence}");
        return vec![warning(
            title,
            "if the network of this cluster does enforce them, `--skip network-policies`; else install Calico or Cilium",
        )];
    }
    let names = quoted(plugins.iter().map(|plugin| plugin.name)).replace('`', "");
    let title = format!("the cluster's network is {names}, which does not enforce NetworkPolicies: {consequence}");
    vec![warning(
        title,
        "install a plugin that does, such as Calico or Cilium; with kind, a node image of 0.24 or newer",
    )]
}
