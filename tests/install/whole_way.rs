//! The whole way: an empty cluster, the platform, Argo CD in charge, and back to exactly what was there before.

use serde_json::Value;

use crate::lab::{Lab, eventually};

/// Of somebody else, and to be left alone.
const FOREIGN: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: foreign, namespace: default, labels: {app: foreign}}
data: {key: value}
---
apiVersion: v1
kind: Namespace
metadata: {name: foreign}
---
apiVersion: v1
kind: Secret
metadata: {name: foreign, namespace: foreign}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: foreign, namespace: foreign}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: foreign, namespace: foreign}
spec:
  selector: {matchLabels: {app: foreign}}
  template:
    metadata: {labels: {app: foreign}}
    spec:
      containers: [{name: foreign, image: registry.k8s.io/pause:3.10}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: foreign}}]
";

const FOREIGN_ROUTE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: foreign, namespace: foreign}
spec: {hosts: [foreign.example.org], http: [{route: [{destination: {host: foreign}}]}]}
";

#[test]
fn from_nothing_to_argo_cd_and_back_to_nothing() {
    let lab = Lab::start();
    lab.create(FOREIGN);
    lab.kubectl(&["rollout", "status", "deployment/foreign", "-n", "foreign", "--timeout", "120s"]);
    let before = lab.census();

    install(&lab);
    expect_ready(&lab);
    argo_cd_rules(&lab);
    expect_ready(&lab);

    // With a route of somebody else, the kind of routes has to stay.
    lab.create(FOREIGN_ROUTE);
    let route = |lab: &Lab| lab.census().get("VirtualService.networking.istio.io foreign/foreign")["metadata"].clone();
    let foreign_route = route(&lab);
    let uninstalled = lab.run(&["uninstall", "--yes", "--delete-data"]).expect(0);
    let kept = uninstalled.only("kept");
    assert_eq!(kept["id"]["name"], "virtualservices.networking.istio.io", "{kept}");
    assert!(kept["reason"].as_str().unwrap().contains("VirtualService foreign/foreign"), "{kept}");
    assert_eq!(route(&lab), foreign_route);
    let left = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap();
        object["kind"] == "VirtualService"
            || name == "virtualservices.networking.istio.io"
            || name.ends_with(".networking.istio.io")
    };
    eventually("everything else to be gone", || {
        let differences = before.differences(&lab.census().without(left), identity);
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    });

    // Once the route is gone, so is the rest.
    lab.kubectl(&["delete", "virtualservice", "foreign", "-n", "foreign"]);
    let rest = lab.run(&["uninstall", "--yes"]).expect(0);
    assert_eq!(rest.all("kept"), [&Value::Null; 0]);
    lab.expect_census(&before);
    let content = |object: &Value| object["metadata"]["name"] == "foreign";
    let changed = before
        .without(|object| !content(object))
        .differences(&lab.census().without(|object| !content(object)), |object| {
            object["metadata"]["resourceVersion"].clone()
        });
    assert!(changed.is_empty(), "what is foreign was touched:\n{}", changed.join("\n"));
}

fn identity(object: &Value) -> Value {
    object["metadata"]["uid"].clone()
}

fn install(lab: &Lab) {
    let installed = lab.run(&["install", "--profile", "dev", "--yes"]).expect(0);
    let planned = installed.only("planned")["waves"].as_array().unwrap();
    let names: Vec<&Value> = planned.iter().map(|wave| &wave["name"]).collect();
    assert_eq!(names, ["istio", "gateway", "cnpg", "services", "gitops"]);
    // In order, each done before the next begins.
    let waves: Vec<(&str, u64)> = installed
        .events
        .iter()
        .filter_map(|event| Some((event["type"].as_str()?, event["wave"].as_u64()?)))
        .filter(|(kind, _)| kind.starts_with("wave-"))
        .collect();
    let expected: Vec<(&str, u64)> = (1..=5).flat_map(|wave| [("wave-started", wave), ("wave-ready", wave)]).collect();
    assert_eq!(waves, expected);
    for component in planned.iter().flat_map(|wave| wave["components"].as_array().unwrap()) {
        let ready = installed.all("component-ready");
        assert_eq!(ready.iter().filter(|event| event["component"] == *component).count(), 1, "{component}");
    }
    let published = installed.only("published");
    let handed_over = installed.only("handed-over");
    assert_eq!(published["revision"], handed_over["revision"]);
    assert!(
        handed_over["objects"].as_u64().unwrap() > 100 && handed_over["pods"].as_u64().unwrap() > 10,
        "{handed_over}"
    );
    assert_eq!(installed.events.last().unwrap()["type"], "finished");
    installed.expect_words(&["platctl status", "https://auth.platform.localhost", "https://argocd.platform.localhost"]);
    // What was generated is in the cluster and nowhere else.
    for secret in lab.list("/api/v1/secrets?labelSelector=platctl.dev/generated") {
        for (key, value) in secret["data"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            let spoken = installed.stdout.contains(value) || installed.stderr.contains(value);
            assert!(value.len() < 16 || !spoken, "{key} of {} was printed", secret["metadata"]["name"]);
        }
    }
}

fn expect_ready(lab: &Lab) {
    let status = lab.run(&["status"]).expect(0).document();
    assert_eq!((&status["ready"], &status["phase"]), (&true.into(), &"handed-over".into()), "{status:#}");
    assert!(status["revision"].as_str().unwrap().len() == 40 && status["endpoints"].as_array().unwrap().len() == 3);
    for component in status["components"].as_array().unwrap() {
        assert_eq!(component["ready"], true, "{component:#}");
        assert_eq!((&component["sync"], &component["health"]), (&"Synced".into(), &"Healthy".into()), "{component:#}");
    }
}

/// After the handoff `install` says who rules and writes nothing, even with another profile.
fn argo_cd_rules(lab: &Lab) {
    let before = lab.census();
    lab.forget_requests();
    lab.run(&["install", "--yes"]).expect(0).expect_words(&["owned by Argo CD", "commit to that repository"]);
    let other = lab.run(&["install", "--yes", "--set", "domain=example.org"]).expect(0);
    other.expect_words(&["owned by Argo CD", "not applied", "platctl export DIR"]);
    assert_eq!(lab.writes(), [""; 0]);
    let after = lab.census();
    assert_eq!(before.pods(), after.pods());
    let platctl = |object: &&Value| {
        let managers = object["metadata"]["managedFields"].as_array();
        let ours = |entry: &Value| entry["manager"] == "platctl" && entry["operation"] == "Apply";
        managers.is_some_and(|managers| managers.iter().any(ours))
    };
    let owned: Vec<&String> = after.objects().filter(|(_, object)| platctl(object)).map(|(name, _)| name).collect();
    // Its own records stay its own, and what tells Argo CD about the repository is not in it.
    assert!(owned.iter().all(|name| name.contains("platctl-system/") || name.contains(" argocd/")), "{owned:?}");
}
