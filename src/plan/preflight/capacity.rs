//! Room on the nodes: what the manifests request, what other pods have taken, whether the largest pod fits anywhere.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::{Facts, Judged, Node, Taint, blocking};
use crate::object::{Id, Object};
use crate::plan::Plan;

const HINT: &str = "add a node, or lower the requests in the profile; where nodes come by themselves when pods wait, `--skip capacity`";

/// What all pods of the plan request together, as far as the manifests say: sidecars and operators' pods come on top.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

/// The pods of one object of the plan, all alike.
pub(super) struct Pods<'a> {
    owner: Id,
    replicas: u64,
    cpu_millis: u64,
    memory_bytes: u64,
    tolerations: &'a [Value],
}

impl Pods<'_> {
    /// As far as taints go.
    pub(super) fn may_run_on(&self, node: &Node) -> bool {
        node.taints.iter().all(|taint| self.tolerations.iter().any(|toleration| tolerates(toleration, taint)))
    }

    fn fits(&self, node: &Node) -> bool {
        self.may_run_on(node) && self.cpu_millis <= free_cpu(node) && self.memory_bytes <= free_memory(node)
    }
}

fn tolerates(toleration: &Value, taint: &Taint) -> bool {
    let says = |name: &str| toleration[name].as_str().unwrap_or_default();
    let same_effect = says("effect").is_empty() || says("effect") == taint.effect;
    let same_key = says("key") == taint.key || (says("key").is_empty() && says("operator") == "Exists");
    same_effect && same_key && (says("operator") == "Exists" || says("value") == taint.value)
}

/// What the plan starts, but for the DaemonSets: those follow the nodes, and tell nothing of where the others can go.
pub(super) fn pods(plan: &Plan) -> Vec<Pods<'_>> {
    plan.objects().filter(|(_, object)| object.kind() != "DaemonSet").filter_map(|(_, object)| of(object)).collect()
}

fn of(object: &Object) -> Option<Pods<'_>> {
    let template = "/spec/template/spec";
    let (spec, replicas) = match object.kind() {
        "Deployment" | "StatefulSet" => (object.value().pointer(template)?, object.number("/spec/replicas")),
        "DaemonSet" | "Job" => (object.value().pointer(template)?, None),
        "Cluster" => (object.value().get("spec")?, object.number("/spec/instances")),
        _ => return None,
    };
    let (cpu_millis, memory_bytes) = if object.kind() == "Cluster" { request(spec) } else { requested(spec) };
    let tolerations = spec.pointer("/affinity/tolerations").or(spec.get("tolerations"));
    Some(Pods {
        owner: object.id(),
        replicas: u64::try_from(replicas.unwrap_or(1)).unwrap_or(0),
        cpu_millis,
        memory_bytes,
        tolerations: tolerations.and_then(Value::as_array).map_or(&[], Vec::as_slice),
    })
}

/// What a pod of that specification requests while it runs: init containers are over by then, but for those that go on as sidecars.
pub fn requested(spec: &Value) -> (u64, u64) {
    let list = |name: &str| spec[name].as_array().into_iter().flatten();
    let sidecars = list("initContainers").filter(|container| container["restartPolicy"] == "Always");
    list("containers").chain(sidecars).map(request).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn request(holder: &Value) -> (u64, u64) {
    let quantity = |name: &str| holder.pointer(&format!("/resources/requests/{name}")).map_or(0, millis);
    (quantity("cpu"), quantity("memory") / 1000)
}

pub fn requests(plan: &Plan) -> Requests {
    let mut sum = Requests::default();
    for pods in plan.objects().filter_map(|(_, object)| of(object)) {
        sum.cpu_millis += pods.replicas * pods.cpu_millis;
        sum.memory_bytes += pods.replicas * pods.memory_bytes;
    }
    sum
}

/// Adds to each node what its pods request. Those in the platform's own namespaces are what the plan counts already.
pub fn count_taken(nodes: &mut [Node], pods: &[Object], plan: &Plan) {
    let own: BTreeSet<&str> =
        plan.objects().filter(|(_, object)| object.kind() == "Namespace").map(|(_, object)| object.name()).collect();
    let is_over = |pod: &Object| matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"));
    for pod in pods.iter().filter(|pod| !is_over(pod) && !pod.namespace().is_some_and(|place| own.contains(place))) {
        let node = nodes.iter_mut().find(|node| Some(node.name.as_str()) == pod.text("/spec/nodeName"));
        if let (Some(node), Some(spec)) = (node, pod.value().get("spec")) {
            let (cpu_millis, memory_bytes) = requested(spec);
            node.cpu_taken_millis += cpu_millis;
            node.memory_taken_bytes += memory_bytes;
        }
    }
}

fn free_cpu(node: &Node) -> u64 {
    node.cpu_millis.saturating_sub(node.cpu_taken_millis)
}

fn free_memory(node: &Node) -> u64 {
    node.memory_bytes.saturating_sub(node.memory_taken_bytes)
}

pub(super) fn capacity(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let pods = pods(plan);
    let takes_pods = |node: &&Node| node.is_usable() && pods.iter().any(|pod| pod.may_run_on(node));
    let nodes: Vec<&Node> = facts.nodes.iter().filter(takes_pods).collect();
    let sum = |of: fn(&Node) -> u64| nodes.iter().map(|node| of(node)).sum::<u64>();
    let wanted = requests(plan);
    let (cpu, cpu_free) = (sum(|node| node.cpu_millis), sum(free_cpu));
    let (memory, memory_free) = (mebi(sum(|node| node.memory_bytes)), mebi(sum(free_memory)));
    let mut found = Vec::new();
    if wanted.cpu_millis > cpu_free && cpu > 0 {
        let title = format!(
            "the platform requests {} m of CPU, the nodes have {cpu} m{}",
            wanted.cpu_millis,
            of_which(cpu, cpu_free, "m")
        );
        found.push(blocking(title, HINT));
    }
    let wanted = mebi(wanted.memory_bytes);
    if wanted > memory_free && memory > 0 {
        let title = format!(
            "the platform requests {wanted} MiB of memory, the nodes have {memory} MiB{}",
            of_which(memory, memory_free, "MiB")
        );
        found.push(blocking(title, HINT));
    }
    if found.is_empty() && cpu > 0 && memory > 0 {
        found.extend(largest_without_room(&pods, &nodes));
    }
    found
}

/// Together there is room, but a pod does not spread over nodes.
fn largest_without_room(pods: &[Pods], nodes: &[&Node]) -> Option<Judged> {
    let without = pods.iter().filter(|pod| !nodes.iter().any(|node| pod.fits(node)));
    let pod = without.max_by_key(|pod| (pod.memory_bytes, pod.cpu_millis))?;
    let freest = nodes.iter().filter(|node| pod.may_run_on(node)).max_by_key(|node| free_memory(node));
    let most = freest.map_or_else(
        || "none tolerates it".to_owned(),
        |node| format!("{} has {} m and {} MiB free", node.name, free_cpu(node), mebi(free_memory(node))),
    );
    let title = format!(
        "no node has room for a pod of {}, which requests {} m of CPU and {} MiB of memory: {most}",
        pod.owner,
        pod.cpu_millis,
        mebi(pod.memory_bytes)
    );
    Some(blocking(title, HINT))
}

fn of_which(all: u64, free: u64, unit: &str) -> String {
    if all == free { String::new() } else { format!(", of which {free} {unit} are free") }
}

fn mebi(bytes: u64) -> u64 {
    bytes / 1024 / 1024
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
