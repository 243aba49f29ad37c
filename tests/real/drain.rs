//! IAM-2: the only node is drained in earnest, as for its maintenance, and put back.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::database::primary;
use crate::gateway::{Host, administrator_token};
use crate::lab::eventually;
use crate::logins::{AUTH, PASSWORD, administrator, create_person, delete_person, log_in};
use crate::people::Browser;
use crate::platform::{Platform, items};
use crate::traces::name;
use crate::writer::{Writer, empty_table, nothing_is_lost};

/// What can go goes; `PostgreSQL` keeps its primary and a replica, by its budgets, and takes rows all along. `status` says why nothing else
/// runs. When pods may come back, all do, and people log in as before.
pub(crate) fn a_drained_node_keeps_the_database_and_comes_back(platform: &Platform) {
    let browser = Browser::open(platform);
    eventually("Keycloak to log people in", || administrator_token(platform, &Host::of(platform, "auth")));
    let person = create_person(&browser, AUTH, &administrator(platform, &browser, AUTH));
    let before = eventually("a whole cluster", || primary(platform));
    let table = "public.real_drained";
    empty_table(platform, &before, table);
    let writer = Writer::start(platform, &before, table, 1);
    let mut acknowledged = writer.wait_for(100);

    let node = Node::of(platform, &before);
    // Long enough for all that can go.
    let flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=20s"];
    let refusal = platform.lab.kubectl_with(&[&["drain", &node.name][..], &flags].concat(), "").unwrap_err();
    let budget = "Cannot evict pod as it would violate the pod's disruption budget.";
    let line = Regex::new(r#"error when evicting pods/"(\S+)" -n "(\S+)" \(will retry after 5s\): (.*)"#).unwrap();
    let refused: BTreeSet<[&str; 3]> = line.captures_iter(&refusal).map(|found| found.extract().1).collect();
    let stay: BTreeSet<String> = refused.iter().map(|[pod, ..]| (*pod).to_owned()).collect();
    assert!(stay.len() == 2 && stay.contains(&before), "{refusal}");
    for [pod, namespace, why] in refused {
        assert_eq!((pod.starts_with("postgres-"), namespace, why), (true, "iam-system", budget), "{refusal}");
        let timeout = format!("error when evicting pods/\"{pod}\" -n \"iam-system\": global timeout reached: 20s");
        assert!(refusal.contains(&timeout), "{refusal}");
    }
    eventually("everything else to be gone", || {
        let left = node.pods(platform);
        if left == stay { Ok(()) } else { Err(format!("{left:?}")) }
    });
    acknowledged.extend(writer.so_far());
    acknowledged.extend(writer.wait_for(500));
    acknowledged.extend(writer.stop());
    status_says_why(platform, &node.name);
    drop(node);
    do_not_wait_for_retries(platform);

    eventually("everything to be ready again", || {
        let status = platform.status();
        if status["ready"] == true { Ok(()) } else { Err(format!("{status:#}")) }
    });
    let after = eventually("a whole cluster", || primary(platform));
    nothing_is_lost(platform, &after, table, &acknowledged);
    eventually("Keycloak to log people in", || administrator_token(platform, &Host::of(platform, "auth")));
    let claims = log_in(platform, PASSWORD).unwrap_or_else(|answer| answer.expect(302).json());
    assert_eq!(claims["sub"], person);
    delete_person(&browser, AUTH, &administrator(platform, &browser, AUTH));
}

/// Kubernetes tries again to make pods that istiod's webhook failed for after up to 17 minutes; a new revision is tried at once.
fn do_not_wait_for_retries(platform: &Platform) {
    let rollout = |verb: &str, namespace: &str, workload: &str| {
        platform.lab.kubectl(&["rollout", verb, "-n", namespace, workload]);
    };
    rollout("status", "istio-system", "deployment/istiod");
    for (namespace, workload) in [
        ("istio-ingress", "deployment/istio-gateway"),
        ("iam-system", "deployment/keycloak"),
        ("observability", "deployment/grafana"),
        ("observability", "statefulset/loki"),
    ] {
        rollout("restart", namespace, workload);
    }
}

/// In words for people: which node, that it is cordoned, and how that ends; of pods that no node takes them; and of those that could not be
/// made that istiod's webhook does not answer.
fn status_says_why(platform: &Platform, node: &str) {
    let status = platform.status();
    let finding = items(&status["findings"]).iter().find(|finding| finding["check"] == "nodes");
    let text = |key: &str| finding.and_then(|finding| finding[key].as_str()).unwrap_or_default();
    assert_eq!(text("title"), format!("no node is ready and schedulable, of 1: {node} is cordoned"), "{status:#}");
    assert_eq!(text("hint"), format!("`kubectl uncordon {node}` lets pods in again"), "{status:#}");
    let unschedulable = "no node takes it: 0/1 nodes are available: 1 node(s) were unschedulable";
    let webhook = "0 of 1 replicas are made: Internal error occurred: failed calling webhook";
    for component in ["istiod", "cnpg-operator", "argocd", "gitea", "keycloak"] {
        let row = items(&status["components"]).iter().find(|row| row["name"] == component).unwrap();
        // Which of the two, depends on who was evicted first.
        let is_meshed = component == "keycloak";
        let says_so = |reason: &Value| {
            let reason = reason.as_str().unwrap();
            reason.contains(unschedulable) || (is_meshed && reason.contains(webhook))
        };
        assert!(row["ready"] == false && items(&row["reasons"]).iter().any(says_so), "{row:#}");
    }
}

/// The node; dropped, it takes pods again.
struct Node<'a> {
    platform: &'a Platform,
    name: String,
}

impl<'a> Node<'a> {
    /// On which this pod of the database runs.
    fn of(platform: &'a Platform, pod: &str) -> Self {
        let pod = platform.lab.get(&format!("/api/v1/namespaces/iam-system/pods/{pod}")).unwrap();
        Self { platform, name: pod["spec"]["nodeName"].as_str().unwrap().to_owned() }
    }

    /// All that run on it but those of DaemonSets.
    fn pods(&self, platform: &Platform) -> BTreeSet<String> {
        let pods = platform.lab.list(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.name));
        let follows = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet";
        pods.iter().filter(|pod| !follows(pod)).map(|pod| name(pod).to_owned()).collect()
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let _ = self.platform.lab.kubectl_with(&["uncordon", &self.name], "");
    }
}
