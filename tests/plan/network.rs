//! SEC-1 and MESH-4: nothing may enter or leave a namespace, DNS excepted, and each connection that is opened is opened at both ends. The
//! connections themselves are in the snapshot: a new one is seen in review.

use std::collections::BTreeSet;

use platctl::object::Object;
use serde_json::{Value, json};

use crate::platform::{MESHED, Platform, assert_none_in_any, dev, items, prod, selects, texts};

/// Pods of one kind, as network policies see them.
struct Pods {
    namespace: String,
    name: String,
    labels: Value,
}

#[derive(Clone, Copy)]
enum Direction {
    In,
    Out,
}

impl Direction {
    fn rules(self) -> &'static str {
        match self {
            Self::In => "/spec/ingress",
            Self::Out => "/spec/egress",
        }
    }

    fn peers(self) -> &'static str {
        match self {
            Self::In => "from",
            Self::Out => "to",
        }
    }
}

/// `from -> to:port`.
type Connections = BTreeSet<String>;

fn pods(platform: &Platform) -> Vec<Pods> {
    let of_workloads = platform.workloads().into_iter().map(|workload| Pods {
        namespace: workload.namespace().to_owned(),
        name: workload.object.name().to_owned(),
        labels: workload.labels().clone(),
    });
    // The operator makes the database's pods: its own label, and those that the Cluster hands down.
    let of_databases = platform.of_kind("Cluster").into_iter().map(|cluster| {
        let mut labels = cluster.value().pointer("/spec/inheritedMetadata/labels").cloned().unwrap_or(json!({}));
        labels["cnpg.io/cluster"] = Value::from(cluster.name());
        Pods { namespace: cluster.namespace().unwrap().to_owned(), name: cluster.name().to_owned(), labels }
    });
    of_workloads.chain(of_databases).collect()
}

fn is_matched(selector: &Value, labels: &Value) -> bool {
    let by_labels = selector.get("matchLabels").is_none_or(|wanted| selects(wanted, labels));
    by_labels && items(&selector["matchExpressions"]).iter().all(|expression| is_met(expression, labels))
}

fn is_met(expression: &Value, labels: &Value) -> bool {
    let label = labels.get(expression["key"].as_str().unwrap()).and_then(Value::as_str);
    let values = texts(&expression["values"]);
    match expression["operator"].as_str().unwrap() {
        "In" => label.is_some_and(|label| values.contains(&label)),
        "NotIn" => label.is_none_or(|label| !values.contains(&label)),
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        operator => panic!("a selector with the operator {operator}"),
    }
}

/// Whether a policy of `home` means these pods by this peer.
fn is_peer(platform: &Platform, home: &str, peer: &Value, pods: &Pods) -> bool {
    if peer.get("ipBlock").is_some() {
        return false;
    }
    let of_namespace = match peer.get("namespaceSelector") {
        None => pods.namespace == home,
        Some(selector) => is_matched(selector, &namespace_labels(platform, &pods.namespace)),
    };
    of_namespace && peer.get("podSelector").is_none_or(|selector| is_matched(selector, &pods.labels))
}

fn namespace_labels(platform: &Platform, name: &str) -> Value {
    let mut labels = platform.get("Namespace", "", name).value()["metadata"]["labels"].clone();
    labels["kubernetes.io/metadata.name"] = Value::from(name);
    labels
}

fn ports(rule: &Value) -> Vec<String> {
    items(&rule["ports"]).iter().map(|port| port["port"].to_string().replace('"', "")).collect()
}

/// Rules of all policies in one direction, each with the namespace of its policy and the pods that it is for.
fn rules<'a>(platform: &'a Platform, all: &'a [Pods], direction: Direction) -> Vec<(&'a Pods, &'a Object, &'a Value)> {
    let mut found = Vec::new();
    for policy in platform.of_kind("NetworkPolicy") {
        let selected = all.iter().filter(|pods| {
            policy.namespace() == Some(&pods.namespace)
                && is_matched(&policy.value()["spec"]["podSelector"], &pods.labels)
        });
        for pods in selected {
            found.extend(policy.items(direction.rules()).iter().map(|rule| (pods, policy, rule)));
        }
    }
    found
}

/// What the policies of one side allow between pods of the platform.
fn allowed(platform: &Platform, direction: Direction) -> Connections {
    let all = pods(platform);
    let mut connections = Connections::new();
    for (pods, _, rule) in rules(platform, &all, direction) {
        for peer in items(&rule[direction.peers()]) {
            for other in all.iter().filter(|other| is_peer(platform, &pods.namespace, peer, other)) {
                let (from, to) = match direction {
                    Direction::In => (other, pods),
                    Direction::Out => (pods, other),
                };
                connections.extend(ports(rule).iter().map(|port| format!("{} -> {}:{port}", from.name, to.name)));
            }
        }
    }
    connections
}

/// What the policies allow between pods of the platform and the world.
fn with_the_world(platform: &Platform) -> Connections {
    let all = pods(platform);
    let mut connections = Connections::new();
    for (pods, _, rule) in rules(platform, &all, Direction::In) {
        if items(&rule["from"]).is_empty() {
            connections.extend(ports(rule).iter().map(|port| format!("anywhere -> {}:{port}", pods.name)));
        }
    }
    for (pods, _, rule) in rules(platform, &all, Direction::Out) {
        let blocks = items(&rule["to"]).iter().filter_map(|peer| peer["ipBlock"]["cidr"].as_str());
        let mut places: Vec<&str> = blocks.collect();
        if items(&rule["to"]).is_empty() {
            places.push("anywhere");
        }
        for place in places {
            connections.extend(ports(rule).iter().map(|port| format!("{} -> {place}:{port}", pods.name)));
        }
    }
    connections
}

#[test]
fn every_namespace_denies_all_and_allows_dns() {
    assert_none_in_any(|platform| {
        let policies = platform.of_kind("NetworkPolicy");
        let has = |namespace: &str, wanted: fn(&Object) -> bool| {
            policies
                .iter()
                .any(|policy| policy.namespace() == Some(namespace) && is_for_all_pods(policy) && wanted(policy))
        };
        let mut violations = Vec::new();
        for namespace in platform.namespaces() {
            if !has(namespace, denies_all) {
                violations.push(format!("namespace {namespace} does not deny all by default"));
            }
            if !has(namespace, allows_only_dns) {
                violations.push(format!("namespace {namespace} does not allow DNS and nothing else"));
            }
        }
        violations
    });
}

fn is_for_all_pods(policy: &Object) -> bool {
    policy.value()["spec"]["podSelector"] == json!({})
}

fn denies_all(policy: &Object) -> bool {
    let spec = &policy.value()["spec"];
    let types = texts(&spec["policyTypes"]);
    types.contains(&"Ingress") && types.contains(&"Egress") && spec["ingress"].is_null() && spec["egress"].is_null()
}

fn allows_only_dns(policy: &Object) -> bool {
    let spec = &policy.value()["spec"];
    let rules = policy.items("/spec/egress");
    let is_dns = |rule: &Value| !items(&rule["to"]).is_empty() && ports(rule) == ["53", "53"];
    texts(&spec["policyTypes"]) == ["Egress"] && rules.len() == 1 && rules.iter().all(is_dns)
}

#[test]
fn each_policy_is_for_pods_of_the_platform() {
    assert_none_in_any(|platform| {
        let all = pods(platform);
        let policies = platform.of_kind("NetworkPolicy").into_iter();
        let idle = policies.filter(|policy| {
            let selector = &policy.value()["spec"]["podSelector"];
            let selected =
                |pods: &Pods| policy.namespace() == Some(&pods.namespace) && is_matched(selector, &pods.labels);
            !is_for_all_pods(policy) && !all.iter().any(selected)
        });
        idle.map(|policy| format!("{} selects no pod", policy.id())).collect()
    });
}

/// A peer in a namespace of the platform that no pod answers to is a name that was changed at one end only.
#[test]
fn each_peer_is_a_pod_of_the_platform() {
    assert_none_in_any(|platform| {
        let all = pods(platform);
        let mut violations = BTreeSet::new();
        for direction in [Direction::In, Direction::Out] {
            for (pods, policy, rule) in rules(platform, &all, direction) {
                let peers = items(&rule[direction.peers()]).iter().filter(|peer| is_in_the_platform(peer));
                let unknown =
                    peers.filter(|peer| !all.iter().any(|other| is_peer(platform, &pods.namespace, peer, other)));
                violations.extend(unknown.map(|peer| format!("{}: no pod is {peer}", policy.id())));
            }
        }
        violations.into_iter().collect()
    });
}

/// Named by namespace, or in the policy's own.
fn is_in_the_platform(peer: &Value) -> bool {
    let names_one = peer["namespaceSelector"]["matchLabels"].get("kubernetes.io/metadata.name").is_some();
    peer.get("ipBlock").is_none() && (names_one || peer.get("namespaceSelector").is_none())
}

#[test]
fn each_connection_is_open_at_both_ends() {
    assert_none_in_any(|platform| {
        let (incoming, outgoing) = (allowed(platform, Direction::In), allowed(platform, Direction::Out));
        let not_let_in = outgoing.difference(&incoming).map(|connection| format!("{connection} is not let in"));
        let not_let_out = incoming.difference(&outgoing).map(|connection| format!("{connection} is not let out"));
        not_let_in.chain(not_let_out).collect()
    });
}

#[test]
fn connections_inside_the_platform() {
    insta::assert_snapshot!(lines(&both_ends(dev())), @"
    argocd-application-controller -> argocd-redis:6379
    argocd-application-controller -> argocd-repo-server:8081
    argocd-applicationset-controller -> argocd-repo-server:8081
    argocd-repo-server -> argocd-redis:6379
    argocd-repo-server -> gitea:3000
    argocd-server -> argocd-redis:6379
    argocd-server -> argocd-repo-server:8081
    cnpg-controller-manager -> postgres:8000
    grafana -> istiod:15012
    grafana -> loki:3100
    istio-gateway -> argocd-server:8080
    istio-gateway -> grafana:3000
    istio-gateway -> istiod:15012
    istio-gateway -> keycloak:8080
    keycloak -> istiod:15012
    keycloak -> keycloak:57800
    keycloak -> keycloak:7800
    keycloak -> postgres:5432
    loki -> istiod:15012
    postgres -> istiod:15012
    postgres -> postgres:5432
    postgres -> postgres:8000
    promtail -> istiod:15012
    promtail -> loki:3100
    ");
    insta::assert_snapshot!(changes(&both_ends(dev()), &both_ends(prod())), @"- argocd-repo-server -> gitea:3000");
}

#[test]
fn connections_with_the_world() {
    insta::assert_snapshot!(lines(&with_the_world(dev())), @"
    anywhere -> cnpg-controller-manager:9443
    anywhere -> istio-gateway:15021
    anywhere -> istio-gateway:8080
    anywhere -> istio-gateway:8443
    anywhere -> istiod:15017
    argocd-application-controller -> anywhere:443
    argocd-application-controller -> anywhere:6443
    argocd-applicationset-controller -> anywhere:443
    argocd-applicationset-controller -> anywhere:6443
    argocd-server -> anywhere:443
    argocd-server -> anywhere:6443
    cnpg-controller-manager -> anywhere:443
    cnpg-controller-manager -> anywhere:6443
    istiod -> anywhere:443
    istiod -> anywhere:6443
    postgres -> anywhere:443
    postgres -> anywhere:6443
    promtail -> anywhere:443
    promtail -> anywhere:6443
    ");
    insta::assert_snapshot!(changes(&with_the_world(dev()), &with_the_world(prod())), @"
    + argocd-repo-server -> 0.0.0.0/0:22
    + argocd-repo-server -> 0.0.0.0/0:443
    + argocd-repo-server -> ::/0:22
    + argocd-repo-server -> ::/0:443
    ");
}

fn both_ends(platform: &Platform) -> Connections {
    allowed(platform, Direction::In).intersection(&allowed(platform, Direction::Out)).cloned().collect()
}

fn lines(connections: &Connections) -> String {
    connections.iter().cloned().collect::<Vec<_>>().join("\n")
}

fn changes(before: &Connections, after: &Connections) -> String {
    let gone = before.difference(after).map(|connection| format!("- {connection}"));
    let new = after.difference(before).map(|connection| format!("+ {connection}"));
    gone.chain(new).collect::<Vec<_>>().join("\n")
}

/// Without its certificate a sidecar lets nothing through.
#[test]
fn every_meshed_pod_reaches_istiod() {
    assert_none_in_any(|platform| {
        let open = both_ends(platform);
        let all = pods(platform);
        let meshed =
            all.iter().filter(|pods| MESHED.contains(&pods.namespace.as_str()) || pods.name == "istio-gateway");
        let cut_off = meshed.filter(|pods| !open.contains(&format!("{} -> istiod:15012", pods.name)));
        cut_off.map(|pods| format!("{} does not reach istiod", pods.name)).collect()
    });
}

#[test]
fn only_operator_and_instances_reach_the_port_without_mtls() {
    assert_none_in_any(|platform| {
        let open = allowed(platform, Direction::In);
        let others = open.iter().filter(|connection| connection.ends_with(":8000"));
        let known = ["cnpg-controller-manager -> postgres:8000", "postgres -> postgres:8000"];
        let others = others.filter(|connection| !known.contains(&connection.as_str()));
        let open_to_all =
            with_the_world(platform).into_iter().filter(|connection| connection.ends_with("postgres:8000"));
        others.cloned().chain(open_to_all).collect()
    });
}

#[test]
fn no_route_leads_to_the_port_without_mtls() {
    assert_none_in_any(|platform| {
        let routing = ["Gateway", "VirtualService", "Service"].iter().flat_map(|kind| platform.of_kind(kind));
        let exposing = routing.filter(|object| names_port(object.value(), 8000));
        exposing.map(|object| format!("{} names port 8000", object.id())).collect()
    });
}

fn names_port(value: &Value, port: i64) -> bool {
    match value {
        Value::Number(number) => number.as_i64() == Some(port),
        Value::Array(items) => items.iter().any(|item| names_port(item, port)),
        Value::Object(map) => map.values().any(|inner| names_port(inner, port)),
        _ => false,
    }
}
