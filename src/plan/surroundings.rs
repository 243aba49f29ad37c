//! What the wizard sees of a cluster before there is a plan: where it runs, what is free, whether Services get addresses, what is there
//! already. Pure: `cluster` lists the objects, here they are read.

use std::collections::BTreeSet;

use crate::object::{OWN_NAMESPACE, Object};
use crate::plan::preflight::{Node, StorageClass, balanced, provider, requested};

/// The listings that it is read from. What may not be listed is empty.
#[derive(Default)]
pub struct Listings {
    pub version: String,
    /// The API groups that are served.
    pub groups: Vec<String>,
    pub nodes: Vec<Object>,
    pub pods: Vec<Object>,
    pub services: Vec<Object>,
    pub namespaces: Vec<Object>,
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

/// Whether a Service of type `LoadBalancer` gets an address, and how that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancer {
    pub works: bool,
    pub why: String,
}

/// What the nodes stand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Empty where nothing tells.
    pub name: &'static str,
    /// Of one person, on one machine.
    pub is_local: bool,
    /// Gives addresses by itself.
    balances: bool,
}

/// Hosts by the scheme of a node's `providerID`.
const SCHEMES: [(&str, Host); 17] = [
    ("kind", Host { name: "kind", is_local: true, balances: false }),
    ("k3s", Host { name: "k3s", is_local: true, balances: true }),
    ("rke2", Host { name: "RKE2", is_local: false, balances: false }),
    ("kwok", Host { name: "simulated nodes (KWOK)", is_local: true, balances: false }),
    ("aws", cloud("AWS")),
    ("gce", cloud("Google Cloud")),
    ("azure", cloud("Azure")),
    ("digitalocean", cloud("DigitalOcean")),
    ("hcloud", cloud("Hetzner Cloud")),
    ("openstack", cloud("OpenStack")),
    ("ionos", cloud("IONOS Cloud")),
    ("linode", cloud("Akamai (Linode)")),
    ("scaleway", cloud("Scaleway")),
    ("exoscale", cloud("Exoscale")),
    ("civo", cloud("Civo")),
    ("vultr", cloud("Vultr")),
    ("vsphere", Host { name: "vSphere", is_local: false, balances: false }),
];

const fn cloud(name: &'static str) -> Host {
    Host { name, is_local: false, balances: true }
}

/// Products that the platform brings itself, by the end of their API groups.
const PRODUCTS: [(&str, &str); 3] =
    [("istio.io", "Istio"), ("cnpg.io", "CloudNativePG"), ("argoproj.io", "an Argo project")];

/// API groups of what gives Services their addresses.
const BALANCERS: [(&str, &str); 3] = [("metallb.io", "MetalLB"), ("kube-vip.io", "kube-vip"), ("purelb.io", "PureLB")];

impl Surroundings {
    /// `own`: the namespaces of the platform.
    pub fn of(seen: &Listings, nodes: &[Node], classes: Vec<StorageClass>, own: &BTreeSet<String>) -> Self {
        let host = host(seen);
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
            host,
            usable: usable.len(),
            nodes: nodes.len(),
            cpu: amount(usable.iter().map(|node| node.cpu_millis).sum(), cpu),
            memory: amount(usable.iter().map(|node| node.memory_bytes).sum(), memory),
            storage_classes: classes,
            balancer: balancer(seen, host),
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

fn host(seen: &Listings) -> Host {
    let nodes = || seen.nodes.iter();
    let local = |name, balances| Host { name, is_local: true, balances };
    if nodes().any(|node| node.label("minikube.k8s.io/name").is_some()) {
        return local("minikube", false);
    }
    if nodes().any(|node| node.name() == "docker-desktop") {
        return local("Docker Desktop", true);
    }
    let known = provider(&seen.nodes).and_then(|scheme| SCHEMES.iter().find(|(name, _)| *name == scheme));
    match known {
        Some((_, host)) => *host,
        None if nodes().any(|node| node.label("type") == Some("kwok")) => local("simulated nodes (KWOK)", false),
        None if seen.version.contains("+k3s") => local("k3s", true),
        None => Host::default(),
    }
}

/// The strongest sign first: an address that was given.
fn balancer(seen: &Listings, host: Host) -> Balancer {
    if let Some((service, ..)) = balanced(&seen.services).find(|(_, _, has_address)| *has_address) {
        return Balancer { works: true, why: format!("Service {service} got an address") };
    }
    if let Some((_, product)) = BALANCERS.iter().find(|(group, _)| seen.groups.iter().any(|one| one == group)) {
        return Balancer { works: true, why: format!("{product} is there") };
    }
    if let Some((service, ..)) = balanced(&seen.services).next() {
        return Balancer { works: false, why: format!("Service {service} waits for an address") };
    }
    match host.name {
        "" => Balancer { works: false, why: "nothing seen that gives Services addresses".to_owned() },
        name if host.balances => {
            Balancer { works: true, why: format!("{name} gives Services addresses, unless that is off") }
        }
        name => Balancer { works: false, why: format!("{name} gives Services no addresses by itself") },
    }
}

/// What the pods on these nodes request.
fn taken(pods: &[Object], nodes: &BTreeSet<&str>) -> (u64, u64) {
    let runs = |pod: &&Object| !matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"));
    let is_here = |pod: &&Object| pod.text("/spec/nodeName").is_some_and(|node| nodes.contains(node));
    let specs = pods.iter().filter(runs).filter(is_here).filter_map(|pod| pod.value().get("spec"));
    specs.map(requested).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
