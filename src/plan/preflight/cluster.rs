//! The cluster itself: its version, the caller's rights, its nodes, the way to its API server.

use std::collections::BTreeSet;

use super::capacity::pods;
use super::{Facts, Judged, Node, blocking, warning};
use crate::plan::Plan;

/// Native sidecars, on which the database's Jobs depend, are on for good from here.
const OLDEST: u32 = 33;
/// The newest minor version that the charts were applied to.
const NEWEST: u32 = 37;

/// The platforms for which every image of the charts is published.
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

pub(super) fn api_version(_: &Plan, facts: &Facts) -> Vec<Judged> {
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

pub(super) fn permissions(_: &Plan, facts: &Facts) -> Vec<Judged> {
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

pub(super) fn nodes(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    if facts.nodes.is_empty() && !facts.denied.is_empty() {
        // They could not be listed.
        return Vec::new();
    }
    let usable: Vec<&Node> = facts.nodes.iter().filter(|node| node.is_usable()).collect();
    if usable.is_empty() {
        return vec![no_node(&facts.nodes)];
    }
    if usable.iter().any(|node| pods(plan).iter().any(|pod| pod.may_run_on(node))) {
        return Vec::new();
    }
    let taints: BTreeSet<String> =
        usable.iter().flat_map(|node| &node.taints).map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
    let taints: Vec<String> = taints.into_iter().collect();
    let title = format!("every node keeps the platform's pods away by a taint: {}", taints.join(", "));
    vec![blocking(title, format!("add a node without, or remove it: `kubectl taint nodes --all {}-`", taints[0]))]
}

/// Each node is cordoned, not ready, or both: which ones, and how a cordon ends.
fn no_node(nodes: &[Node]) -> Judged {
    let names = |fits: fn(&&Node) -> bool| nodes.iter().filter(fits).map(|node| node.name.as_str()).collect::<Vec<_>>();
    let (cordoned, unready) = (names(|node| !node.schedulable), names(|node| !node.ready));
    let kinds = [(&cordoned, "cordoned"), (&unready, "not ready")];
    let words: Vec<String> =
        kinds.iter().filter(|(names, _)| !names.is_empty()).map(|(names, what)| are(names, what)).collect();
    let mut title = format!("no node is ready and schedulable, of {}", nodes.len());
    if !words.is_empty() {
        title += &format!(": {}", words.join("; "));
    }
    let why = "`kubectl describe node` says why a node is not ready";
    let hint = match cordoned.first() {
        None if nodes.is_empty() => "add a node".to_owned(),
        None => why.to_owned(),
        Some(first) if unready.is_empty() => format!("`kubectl uncordon {first}` lets pods in again"),
        Some(first) => format!("`kubectl uncordon {first}` lets pods in again; {why}"),
    };
    blocking(title, hint)
}

/// `a is cordoned`; `a, b and c are`; of many, how many more.
fn are(names: &[&str], what: &str) -> String {
    match names {
        [one] => format!("{one} is {what}"),
        [some @ .., last] if names.len() <= 3 => format!("{} and {last} are {what}", some.join(", ")),
        _ => format!("{} and {} more are {what}", names[..2].join(", "), names.len() - 2),
    }
}

pub(super) fn architecture(_: &Plan, facts: &Facts) -> Vec<Judged> {
    let usable: Vec<&Node> = facts.nodes.iter().filter(|node| node.is_usable()).collect();
    let is_strange = |node: &&&Node| !node.platform.is_empty() && !PLATFORMS.contains(&node.platform.as_str());
    let strange: Vec<&&Node> = usable.iter().filter(is_strange).collect();
    let Some(first) = strange.first() else { return Vec::new() };
    if strange.len() == usable.len() {
        let title = format!("no usable node is {}: {} is {}", PLATFORMS.join(" or "), first.name, first.platform);
        return vec![blocking(title, "add a node of one of these: the images are published for no other")];
    }
    let title = format!(
        "{} of {} usable nodes cannot run the images: {} is {}",
        strange.len(),
        usable.len(),
        first.name,
        first.platform
    );
    vec![warning(
        title,
        format!("keep the platform's pods away: `kubectl taint nodes {} platform:NoSchedule`", first.name),
    )]
}

pub(super) fn api_server_ports(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let admitted = &plan.profile.api_server_ports;
    let missing: Vec<String> =
        facts.api_server_ports.iter().filter(|port| !admitted.contains(port)).map(u16::to_string).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let all: Vec<String> = facts.api_server_ports.iter().map(u16::to_string).collect();
    let title =
        format!("pods reach the API server at port {}, which the NetworkPolicies do not admit", missing.join(", "));
    vec![blocking(title, format!("add `--set apiServerPorts=[{}]`", all.join(",")))]
}
