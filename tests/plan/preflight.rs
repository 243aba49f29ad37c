//! The checks before the first write: what of a cluster makes which finding. All findings come at once.

use platctl::object::Id;
use platctl::plan::preflight::{Facts, Node, Severity, StorageClass, check};

use crate::platform::{Platform, dev, prod};

const GIBI: u64 = 1024 * 1024 * 1024;

fn node(name: &str, cpu_millis: u64, gibi: u64) -> Node {
    Node { name: name.to_owned(), ready: true, schedulable: true, cpu_millis, memory_bytes: gibi * GIBI }
}

/// A cluster that nothing is wrong with.
fn good() -> Facts {
    Facts {
        version: "v1.34.1".to_owned(),
        minor: 34,
        nodes: vec![node("a", 4000, 8), node("b", 4000, 8), node("c", 4000, 8)],
        storage_classes: vec![StorageClass { name: "standard".to_owned(), default: true }],
        ..Facts::default()
    }
}

/// The findings of a cluster that differs from the good one.
fn findings(platform: &Platform, change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = good();
    change(&mut facts);
    let in_words = |finding: platctl::plan::preflight::Finding| {
        let severity = if finding.severity == Severity::Blocking { "blocks" } else { "warns" };
        format!("{severity}: {} ({})\n  hint: {}", finding.title, finding.check, finding.hint)
    };
    check(&platform.plan, &facts).into_iter().map(in_words).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_said_of_a_good_cluster() {
    assert_eq!(findings(dev(), |_| {}), "");
}

#[test]
fn versions() {
    let of = |minor| {
        findings(dev(), |facts| {
            facts.minor = minor;
            facts.version = format!("v1.{minor}.0");
        })
    };
    insta::assert_snapshot!(of(32), @"
    blocks: Kubernetes v1.32.0 is too old, 1.33 is the oldest that works (api-version)
      hint: upgrade the cluster: the database's Jobs need native sidecars
    ");
    assert_eq!(of(33), "");
    insta::assert_snapshot!(of(99), @"
    warns: Kubernetes v1.99.0 is newer than 1.37, the newest tried (api-version)
      hint: look for a newer platctl
    ");
}

#[test]
fn rights() {
    insta::assert_snapshot!(findings(dev(), |facts| {
        facts.denied = vec!["create namespaces".to_owned(), "patch secrets in namespace iam-system".to_owned()];
    }), @"
    blocks: you may not create namespaces and 1 more (permissions)
      hint: use a context with the rights of `cluster-admin`, or ask for these: `platctl preflight -o json` lists them all
    ");
}

#[test]
fn objects_of_others() {
    insta::assert_snapshot!(findings(dev(), |facts| {
        facts.foreign = vec![
            Id::new("v1", "Namespace", None, "argocd"),
            Id::new("apps/v1", "Deployment", Some("argocd"), "argocd-server"),
        ];
    }), @"
    warns: Namespace argocd exists already and will be labelled (foreign-objects)
      hint: choose another cluster if its contents must stay apart
    blocks: Deployment argocd/argocd-server exists and is not platctl's (foreign-objects)
      hint: remove the other installation first, or label the object `platctl.dev/component` yourself if platctl is to own it
    ");
}

#[test]
fn nodes() {
    insta::assert_snapshot!(findings(dev(), |facts| facts.nodes.iter_mut().for_each(|node| node.schedulable = false)), @"
    blocks: no node is ready and schedulable, of 3 (nodes)
      hint: `kubectl get nodes` and `kubectl describe node` say why
    ");
}

#[test]
fn capacity() {
    let small = findings(dev(), |facts| facts.nodes = vec![node("only", 1000, 2)]);
    let what = ["m of CPU, the nodes have 1000 m", "MiB of memory, the nodes have 2048 MiB"];
    assert!(what.iter().all(|words| small.contains(words)), "{small}");
    // A node that takes no pods does not count.
    let cordoned = findings(dev(), |facts| {
        facts.nodes = vec![node("only", 1000, 2), Node { schedulable: false, ..node("big", 64_000, 256) }];
    });
    assert_eq!(cordoned, small);
}

#[test]
fn storage() {
    insta::assert_snapshot!(findings(dev(), |facts| facts.storage_classes.clear()), @"
    blocks: the cluster has no default StorageClass (storage-class)
      hint: install a storage provisioner first
    ");
    insta::assert_snapshot!(findings(dev(), |facts| facts.storage_classes[0].default = false), @"
    blocks: the cluster has no default StorageClass (storage-class)
      hint: give one: `--set storageClass=NAME`, there are `standard`
    ");
    let fast = Platform::load("dev", &["storageClass=fast".to_owned()]);
    insta::assert_snapshot!(findings(&fast, |_| {}), @"
    blocks: there is no StorageClass `fast` (storage-class)
      hint: `kubectl get storageclass` lists what there is
    ");
}

/// Production generates nothing and brings no Git server.
#[test]
fn what_production_expects_from_outside() {
    insta::assert_snapshot!(findings(prod(), |_| {}), @"
    warns: these Secrets are to be supplied and are not there yet: istio-ingress/platform-tls, observability/grafana-admin, iam-system/keycloak-admin, argocd/argocd-admin, argocd/argocd-secret, argocd/argocd-redis (secrets)
      hint: the installation waits for each where it is needed
    warns: Argo CD will follow https://git.example.org/platform.git (repository)
      hint: it must hold what `platctl export DIR` writes, with the same profile and flags, pushed before the handoff
    ");
}

#[test]
fn all_findings_come_at_once() {
    let all = findings(dev(), |facts| *facts = Facts { minor: 20, version: "v1.20.0".to_owned(), ..Facts::default() });
    assert_eq!(all.lines().filter(|line| line.starts_with("blocks")).count(), 3, "{all}");
}

#[test]
fn ports_of_the_api_server() {
    let of = |ports: &[u16]| findings(dev(), |facts| facts.api_server_ports = ports.to_vec());
    assert_eq!(of(&[443, 6443]), "");
    insta::assert_snapshot!(of(&[443, 8443]), @"
    blocks: pods reach the API server at port 8443, which the NetworkPolicies do not admit (api-server-ports)
      hint: add `--set apiServerPorts=[443,8443]`
    ");
}

/// A pod without one is made all the same and pulls as nobody, so that only the registry would tell.
#[test]
fn pull_secrets() {
    let set = ["imagePullSecrets=[{name: regcred}]".to_owned()];
    let platform = Platform::load("dev", &set);
    insta::assert_snapshot!(findings(&platform, |_| {}), @"
    warns: the pull Secret `regcred` is not there in argocd, cnpg-system, gitea, iam-system, istio-ingress, istio-system, observability (pull-secrets)
      hint: make it in each: `kubectl create namespace NAMESPACE`, `kubectl create secret docker-registry regcred -n NAMESPACE …`
    ");
    let some = |facts: &mut Facts| {
        let is_there = |id: &Id| id.namespace.as_deref() != Some("observability");
        facts.secrets = platform.plan.pull_secrets().into_iter().filter(is_there).collect();
    };
    insta::assert_snapshot!(findings(&platform, some), @"
    warns: the pull Secret `regcred` is not there in observability (pull-secrets)
      hint: make it in each: `kubectl create namespace NAMESPACE`, `kubectl create secret docker-registry regcred -n NAMESPACE …`
    ");
    assert_eq!(findings(&platform, |facts| facts.secrets = platform.plan.pull_secrets().into_iter().collect()), "");
}
