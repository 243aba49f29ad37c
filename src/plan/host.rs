//! What the nodes of a cluster stand on, told by the nodes themselves: the one table of hosts, which the wizard and the checks read. Pure.

use crate::object::Object;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Empty where nothing tells.
    pub name: &'static str,
    /// Of one person, on one machine.
    pub is_local: bool,
    /// Gives Services of type `LoadBalancer` their addresses by itself.
    pub balances: bool,
}

/// By the scheme of a node's `providerID`.
const SCHEMES: [(&str, Host); 20] = [
    ("aws", cloud("AWS")),
    ("azure", cloud("Azure")),
    ("civo", cloud("Civo")),
    ("digitalocean", cloud("DigitalOcean")),
    ("exoscale", cloud("Exoscale")),
    ("gce", cloud("Google Cloud")),
    ("hcloud", cloud("Hetzner Cloud")),
    ("ibm", cloud("IBM Cloud")),
    ("ionos", cloud("IONOS Cloud")),
    ("k3s", local("k3s", true)),
    ("kind", local("kind", false)),
    ("kwok", KWOK),
    ("linode", cloud("Akamai (Linode)")),
    ("oci", cloud("Oracle Cloud")),
    ("openstack", cloud("OpenStack")),
    ("ovhcloud", cloud("OVHcloud")),
    ("rke2", Host { name: "RKE2", is_local: false, balances: false }),
    ("scaleway", cloud("Scaleway")),
    ("vsphere", Host { name: "vSphere", is_local: false, balances: false }),
    ("vultr", cloud("Vultr")),
];

const KWOK: Host = local("simulated nodes (KWOK)", false);

const fn cloud(name: &'static str) -> Host {
    Host { name, is_local: false, balances: true }
}

const fn local(name: &'static str, balances: bool) -> Host {
    Host { name, is_local: true, balances }
}

impl Host {
    /// `version`: the API server's.
    pub fn of(version: &str, nodes: &[Object]) -> Self {
        if nodes.iter().any(|node| node.label("minikube.k8s.io/name").is_some()) {
            return local("minikube", false);
        }
        if nodes.iter().any(|node| node.name() == "docker-desktop") {
            return local("Docker Desktop", true);
        }
        let scheme = nodes.iter().find_map(|node| node.text("/spec/providerID")?.split_once("://"));
        match scheme.and_then(|(scheme, _)| SCHEMES.iter().find(|(name, _)| *name == scheme)) {
            Some((_, host)) => *host,
            None if nodes.iter().any(|node| node.label("type") == Some("kwok")) => KWOK,
            None if version.contains("+k3s") => local("k3s", true),
            None => Self::default(),
        }
    }
}
