//! What must be true of a cluster before anything is written. `cluster` gathers the `Facts`, one table of checks judges them, all findings
//! come at once. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::object::Id;
use crate::plan::Plan;
use crate::plan::profile::{RepositoryMode, SecretSource, TlsMode};

/// Native sidecars, on which the database's Jobs depend, are on for good from here.
const OLDEST: u32 = 33;
/// The newest minor version that the charts were applied to.
const NEWEST: u32 = 37;

/// What was seen in the cluster. Plain data.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    pub version: String,
    pub minor: u32,
    pub nodes: Vec<Node>,
    pub storage_classes: Vec<StorageClass>,
    /// What the caller may not do, of all that the plan needs, in words.
    pub denied: Vec<String>,
    /// Objects of the plan's names that exist and do not carry our label.
    pub foreign: Vec<Id>,
    /// Secrets of the plan that exist.
    pub secrets: Vec<Id>,
    /// Where pods reach the API server: the ports of its Service and of what is behind it. Empty when they could not be seen.
    pub api_server_ports: Vec<u16>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Node {
    pub name: String,
    pub ready: bool,
    pub schedulable: bool,
    /// Allocatable, in thousandths of a core.
    pub cpu_millis: u64,
    /// Allocatable, in bytes.
    pub memory_bytes: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct StorageClass {
    pub name: String,
    pub default: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Blocking,
    Warning,
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's stable name.
    pub check: &'static str,
    pub severity: Severity,
    pub title: String,
    pub hint: String,
}

type Check = fn(&Plan, &Facts) -> Vec<(Severity, String, String)>;

/// The checks, in the order in which people read them.
const CHECKS: [(&str, Check); 10] = [
    ("api-version", api_version),
    ("permissions", permissions),
    ("foreign-objects", foreign_objects),
    ("nodes", nodes),
    ("capacity", capacity),
    ("storage-class", storage_class),
    ("secrets", secrets),
    ("pull-secrets", pull_secrets),
    ("repository", repository),
    ("api-server-ports", api_server_ports),
];

/// All findings of all checks.
pub fn check(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (check, judge) in CHECKS {
        for (severity, title, hint) in judge(plan, facts) {
            findings.push(Finding { check, severity, title, hint });
        }
    }
    findings
}

fn blocking(title: String, hint: &str) -> (Severity, String, String) {
    (Severity::Blocking, title, hint.to_owned())
}

fn warning(title: String, hint: &str) -> (Severity, String, String) {
    (Severity::Warning, title, hint.to_owned())
}

fn api_version(_: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    if facts.minor < OLDEST {
        let title = format!("Kubernetes {} is too old, 1.{OLDEST} is the oldest that works", facts.version);
        return vec![blocking(title, "upgrade the cluster: the database's Jobs need native sidecars")];
    }
    if facts.minor > NEWEST {
        let title = format!("Kubernetes {} is newer than 1.{NEWEST}, the newest tried", facts.version);
        return vec![warning(title, "look for a newer platctl")];
    }
    Vec::new()
}

fn permissions(_: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    let Some(first) = facts.denied.first() else { return Vec::new() };
    let more = match facts.denied.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let title = format!("you may not {first}{more}");
    vec![blocking(
        title,
        "use a context with the rights of `cluster-admin`, or ask for these: `platctl preflight -o json` lists them all",
    )]
}

fn foreign_objects(_: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    facts
        .foreign
        .iter()
        .map(|id| {
            // A namespace can be shared; everything else of that name belongs to another installation.
            if id.kind == "Namespace" {
                return warning(format!("{id} exists already and will be labelled"), "choose another cluster if its contents must stay apart");
            }
            blocking(
                format!("{id} exists and is not platctl's"),
                "remove the other installation first, or label the object `platctl.dev/component` yourself if platctl is to own it",
            )
        })
        .collect()
}

fn nodes(_: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    if facts.nodes.is_empty() && !facts.denied.is_empty() {
        // They could not be listed.
        return Vec::new();
    }
    let usable = facts.nodes.iter().filter(|node| node.ready && node.schedulable).count();
    if usable == 0 {
        let title = format!("no node is ready and schedulable, of {}", facts.nodes.len());
        return vec![blocking(title, "`kubectl get nodes` and `kubectl describe node` say why")];
    }
    Vec::new()
}

fn capacity(plan: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    let usable = || facts.nodes.iter().filter(|node| node.ready && node.schedulable);
    let (cpu, memory) =
        (usable().map(|node| node.cpu_millis).sum::<u64>(), usable().map(|node| node.memory_bytes).sum::<u64>());
    let wanted = requests(plan);
    let mut found = Vec::new();
    if wanted.cpu_millis > cpu && cpu > 0 {
        let title = format!("the platform requests {} m of CPU, the nodes have {cpu} m", wanted.cpu_millis);
        found.push(blocking(title, "add a node, or lower the requests in the profile"));
    }
    if wanted.memory_bytes > memory && memory > 0 {
        let mebi = |bytes: u64| bytes / 1024 / 1024;
        let title = format!(
            "the platform requests {} MiB of memory, the nodes have {} MiB",
            mebi(wanted.memory_bytes),
            mebi(memory)
        );
        found.push(blocking(title, "add a node, or lower the requests in the profile"));
    }
    found
}

/// What all pods of the plan request together, as far as the manifests say: sidecars and operators' pods come on top.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

pub fn requests(plan: &Plan) -> Requests {
    let mut sum = Requests::default();
    for (_, object) in plan.objects() {
        let (containers, replicas) = match object.kind() {
            "Deployment" | "StatefulSet" => {
                ("/spec/template/spec/containers", object.number("/spec/replicas").unwrap_or(1))
            }
            "DaemonSet" | "Job" => ("/spec/template/spec/containers", 1),
            "Cluster" => ("", object.number("/spec/instances").unwrap_or(1)),
            _ => continue,
        };
        let replicas = u64::try_from(replicas).unwrap_or(0);
        let one = std::slice::from_ref(object.value().pointer("/spec").unwrap_or(object.value()));
        let holders = if containers.is_empty() { one } else { object.items(containers) };
        for holder in holders {
            let quantity = |name: &str| holder.pointer(&format!("/resources/requests/{name}"));
            sum.cpu_millis += replicas * quantity("cpu").map_or(0, millis);
            sum.memory_bytes += replicas * quantity("memory").map_or(0, |value| millis(value) / 1000);
        }
    }
    sum
}

/// A Kubernetes quantity in thousandths: `250m`, `2`, `0.5`, `1Gi`, `500M`. What cannot be read counts as nothing.
pub fn millis(value: &serde_json::Value) -> u64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: f64 = match &text[digits.len()..] {
        "m" => 1.0,
        "" => 1e3,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "T" => 1e15,
        "Ki" => 1024.0 * 1e3,
        "Mi" => 1024.0 * 1024.0 * 1e3,
        "Gi" => 1024.0 * 1024.0 * 1024.0 * 1e3,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1e3,
        _ => 0.0,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "quantities are positive and far below 2^63 thousandths"
    )]
    let millis = (digits.parse::<f64>().unwrap_or(0.0) * factor).max(0.0) as u64;
    millis
}

fn storage_class(plan: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    if facts.storage_classes.is_empty() && !facts.denied.is_empty() {
        return Vec::new();
    }
    let wanted = &plan.profile.storage_class;
    if wanted.is_empty() {
        if facts.storage_classes.iter().any(|class| class.default) {
            return Vec::new();
        }
        let names: Vec<_> = facts.storage_classes.iter().map(|class| format!("`{}`", class.name)).collect();
        let hint = match names.len() {
            0 => "install a storage provisioner first".to_owned(),
            _ => format!("give one: `--set storageClass=NAME`, there are {}", names.join(", ")),
        };
        return vec![(Severity::Blocking, "the cluster has no default StorageClass".to_owned(), hint)];
    }
    if facts.storage_classes.iter().any(|class| class.name == *wanted) {
        return Vec::new();
    }
    vec![blocking(format!("there is no StorageClass `{wanted}`"), "`kubectl get storageclass` lists what there is")]
}

fn secrets(plan: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    let missing: Vec<String> = plan
        .supplied_secrets()
        .into_iter()
        .filter(|id| !facts.secrets.contains(id))
        .map(|id| format!("{}/{}", id.namespace.clone().unwrap_or_default(), id.name))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let title = format!("these Secrets are to be supplied and are not there yet: {}", missing.join(", "));
    vec![warning(title, "the installation waits for each where it is needed")]
}

/// Without one of its pull Secrets a pod is made all the same, and pulls as nobody.
fn pull_secrets(plan: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for id in plan.pull_secrets().into_iter().filter(|id| !facts.secrets.contains(id)) {
        missing.entry(id.name).or_default().extend(id.namespace);
    }
    let finding = |(name, namespaces): (String, Vec<String>)| {
        let title = format!("the pull Secret `{name}` is not there in {}", namespaces.join(", "));
        let hint = format!(
            "make it in each: `kubectl create namespace NAMESPACE`, `kubectl create secret docker-registry {name} -n NAMESPACE …`"
        );
        (Severity::Warning, title, hint)
    };
    missing.into_iter().map(finding).collect()
}

fn repository(plan: &Plan, _: &Facts) -> Vec<(Severity, String, String)> {
    if plan.profile.repository.mode == RepositoryMode::InCluster {
        return Vec::new();
    }
    let title = format!("Argo CD will follow {}", plan.profile.repository.url);
    vec![warning(
        title,
        "it must hold what `platctl export DIR` writes, with the same profile and flags, pushed before the handoff",
    )]
}

fn api_server_ports(plan: &Plan, facts: &Facts) -> Vec<(Severity, String, String)> {
    let admitted = &plan.profile.api_server_ports;
    let missing: Vec<String> =
        facts.api_server_ports.iter().filter(|port| !admitted.contains(port)).map(u16::to_string).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let all: Vec<String> = facts.api_server_ports.iter().map(u16::to_string).collect();
    let title =
        format!("pods reach the API server at port {}, which the NetworkPolicies do not admit", missing.join(", "));
    vec![(Severity::Blocking, title, format!("add `--set apiServerPorts=[{}]`", all.join(",")))]
}

impl Plan {
    /// The Secrets that the pods of the plan are pulled with, in the namespaces of the pods.
    pub fn pull_secrets(&self) -> BTreeSet<Id> {
        let mut ids = BTreeSet::new();
        for (_, object) in self.objects() {
            let Some(place) = pod_spec(object.kind()) else { continue };
            let names =
                object.items(&format!("{place}/imagePullSecrets")).iter().filter_map(|one| one["name"].as_str());
            ids.extend(names.map(|name| Id::new("v1", "Secret", object.namespace(), name)));
        }
        ids
    }

    /// Secrets that nobody generates: all of them with external secrets, or the gateway's certificate.
    pub fn supplied_secrets(&self) -> Vec<Id> {
        let mut ids = Vec::new();
        for planned in self.components() {
            for secret in &planned.component.secrets {
                let supplied = match secret.certificate {
                    Some(_) => self.profile.tls.mode == TlsMode::Secret,
                    None => self.profile.secrets == SecretSource::External,
                };
                if supplied {
                    let mut id = planned.component.secret_id(secret);
                    if secret.certificate.is_some() {
                        id.name.clone_from(&self.profile.tls.secret_name);
                    }
                    ids.push(id);
                }
            }
        }
        ids
    }
}

/// Where an object of this kind describes its pods; a CNPG Cluster does it in fields of its own of the same names.
fn pod_spec(kind: &str) -> Option<&'static str> {
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => Some("/spec/template/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        "Pod" | "Cluster" => Some("/spec"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities() {
        for (text, expected) in
            [("250m", 250), ("2", 2000), ("0.5", 500), ("1Gi", 1024 * 1024 * 1024 * 1000), ("500M", 500_000_000_000)]
        {
            assert_eq!(millis(&json!(text)), expected, "{text}");
        }
        assert_eq!(millis(&json!(2)), 2000);
        assert_eq!(millis(&json!("wrong")), 0);
    }
}
