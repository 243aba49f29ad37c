//! What the wizard sees of a cluster before there is a plan: where it runs, what is free, whether Services get addresses, what is there
//! already. Pure: `cluster` lists the objects, here they are read.

use std::collections::BTreeSet;

use crate::object::{OWN_NAMESPACE, Object};
use crate::plan::host::Host;
use crate::plan::preflight::{Balancer, Node, StorageClass, requested};

/// The listings that it is read from. What may not be listed is empty.
#[derive(Default)]
pub struct Listings {
    pub version: String,
    /// The API groups that are served.
    pub groups: Vec<String>,
    pub nodes: Vec<Object>,
    pub pods: Vec<Object>,
    pub namespaces: Vec<Object>,
    pub balancer: Balancer,
    pub api_server_ports: Vec<u16>,
}

#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    pub version: String,
    pub host: Host,
    /// Ready and schedulable nodes, of all.
    pub usable: usize,
    pub nodes: usize,
    /// Of the usable nodes, in thousandths of a core and in bytes: all, and what no pod has requested.
    pub cpu: Amount,
    pub memory: Amount,
    pub storage_classes: Vec<StorageClass>,
    pub balancer: Balancer,
    /// Where pods reach the API server; empty where that could not be seen.
    pub api_server_ports: Vec<u16>,
    /// What an installation might meet, in words.
    pub existing: Vec<String>,
    /// platctl has been here.
    pub is_installed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub total: u64,
    pub free: u64,
}

/// Products that the platform brings itself, by the end of their API groups.
const PRODUCTS: [(&str, &str); 3] =
    [("istio.io", "Istio"), ("cnpg.io", "CloudNativePG"), ("argoproj.io", "an Argo project")];

impl Surroundings {
    /// `own`: the namespaces of the platform.
    pub fn of(seen: &Listings, nodes: &[Node], classes: Vec<StorageClass>, own: &BTreeSet<String>) -> Self {
        let usable: Vec<&Node> = nodes.iter().filter(|node| node.ready && node.schedulable).collect();
        let names: BTreeSet<&str> = usable.iter().map(|node| node.name.as_str()).collect();
        let (cpu, memory) = taken(&seen.pods, &names);
        let amount = |total: u64, taken: u64| Amount { total, free: total.saturating_sub(taken) };
        let is_ours = |namespace: &Object| namespace.component().is_some();
        let is_installed = seen.namespaces.iter().any(|one| one.name() == OWN_NAMESPACE && is_ours(one));
        let foreign = seen.namespaces.iter().filter(|one| own.contains(one.name()) && !is_ours(one));
        let mut existing: Vec<String> = foreign.map(|one| format!("namespace {}", one.name())).collect();
        // Our own groups say nothing of others.
        if !is_installed {
            let is_served = |end: &str| seen.groups.iter().find(|group| is_below(group, end));
            let found = PRODUCTS.iter().filter_map(|(end, name)| Some(format!("{name} (API {})", is_served(end)?)));
            existing.extend(found);
        }
        Self {
            version: seen.version.clone(),
            host: Host::of(&seen.version, &seen.nodes),
            usable: usable.len(),
            nodes: nodes.len(),
            cpu: amount(usable.iter().map(|node| node.cpu_millis).sum(), cpu),
            memory: amount(usable.iter().map(|node| node.memory_bytes).sum(), memory),
            storage_classes: classes,
            balancer: seen.balancer.clone(),
            api_server_ports: seen.api_server_ports.clone(),
            existing,
            is_installed,
        }
    }

    pub fn default_class(&self) -> Option<&str> {
        self.storage_classes.iter().find(|class| class.default).map(|class| class.name.as_str())
    }
}

fn is_below(group: &str, end: &str) -> bool {
    group == end || group.strip_suffix(end).is_some_and(|front| front.ends_with('.'))
}

/// What the pods on these nodes request.
fn taken(pods: &[Object], nodes: &BTreeSet<&str>) -> (u64, u64) {
    let runs = |pod: &&Object| !matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"));
    let is_here = |pod: &&Object| pod.text("/spec/nodeName").is_some_and(|node| nodes.contains(node));
    let specs = pods.iter().filter(runs).filter(is_here).filter_map(|pod| pod.value().get("spec"));
    specs.map(requested).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
