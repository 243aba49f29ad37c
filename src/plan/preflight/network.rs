//! Whether the cluster's network enforces NetworkPolicies. No API tells; it is concluded from what runs there.

use serde::Serialize;
use serde_json::Value;

use super::{Facts, Judged, quoted, warning};
use crate::object::Object;
use crate::plan::Plan;

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
