//! The profile for production on the one real node, once `dev` has left it: from a repository and with Secrets of one's own. What it has
//! beyond `dev` is looked at: two of most things, and what keeps one of them there.

use std::path::Path;

use serde_json::Value;

use crate::lab::eventually;
use crate::logins::AUTH;
use crate::people::Browser;
use crate::platform::{Platform, profile};
use crate::repository::Repository;
use crate::supplied;

/// Where two Keycloaks that build themselves on a small machine have the time they need.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(12);

const BUDGETS: &str = "/apis/policy/v1/poddisruptionbudgets";

/// SEC-2, GIT-1, GIT-3: nothing is generated and nothing written to the repository. One namespace and its Secrets are there before; the others come
/// when platctl asks for them.
pub(crate) fn installs_from_a_repository_and_secrets_of_ones_own(platform: &Platform) {
    let lab = &platform.lab;
    // Alone on a lab of its own, or after `uninstall`.
    assert_eq!(ours(platform), "", "the platform is there already");
    let repository = Repository::serve(lab.directory().join("git"), "10.86.0.1", 9418);
    let production = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/real/prod.yaml");
    let (production, images) = (production.to_str().unwrap(), profile());
    let choice = ["--profile", production, "--values", &images];

    let tree = lab.directory().join("tree");
    lab.run(&[&["export", tree.to_str().unwrap()], &choice[..]].concat()).expect(0);
    let revision = repository.push(&tree);
    assert!(platform.repository.set(repository).is_ok());

    lab.kubectl(&["create", "namespace", "argocd"]);
    let secrets = supplied::secrets();
    let (before, later): (Vec<&Value>, Vec<&Value>) =
        secrets.iter().partition(|secret| secret["metadata"]["namespace"] == "argocd");
    for secret in before {
        lab.create(&secret.to_string());
    }
    let mut install = lab.spawn(&[&["install", "--yes"], &choice[..]].concat()).with_patience(PATIENCE);
    install.until("it to ask for the certificate", |event| {
        let reason = event["reason"].as_str().unwrap_or_default();
        event["type"] == "waiting" && reason.contains("platform-tls is to be supplied and is not there yet")
    });
    for secret in later {
        lab.create(&secret.to_string());
    }

    let installed = install.end().expect(0);
    assert_eq!(installed.only("handed-over")["revision"], revision);
    for kind in ["published", "secret-generated"] {
        assert_eq!(installed.all(kind), [&Value::Null; 0]);
    }
    let times: Vec<String> = installed
        .events
        .iter()
        .filter(|event| event["type"] == "wave-started" || event["type"] == "wave-ready")
        .map(|event| format!("{} {} {}", event["type"], event["name"], event["time"]))
        .collect();
    println!("waves: {times:?}");
}

/// IAM-1, IAM-2: of each Deployment with two, both are ready, and a budget lets one of them go at a time; so it does for the database's replicas.
pub(crate) fn two_of_most_things_are_ready_and_one_may_go(platform: &Platform) {
    let mut twofold = Vec::new();
    for deployment in platform.lab.list("/apis/apps/v1/deployments?labelSelector=platctl.dev%2Fcomponent") {
        let name = deployment["metadata"]["name"].as_str().unwrap().to_owned();
        let (wanted, status) = (&deployment["spec"]["replicas"], &deployment["status"]);
        assert_eq!((&status["readyReplicas"], &status["updatedReplicas"]), (wanted, wanted), "{name}");
        if *wanted == 2 {
            twofold.push(name);
        }
    }
    twofold.sort_unstable();
    let expected = [
        "argocd-applicationset-controller",
        "argocd-repo-server",
        "argocd-server",
        "cnpg-controller-manager",
        "istio-gateway",
        "istiod",
        "keycloak",
    ];
    assert_eq!(twofold, expected);
    let budgets = platform.lab.list(BUDGETS);
    for name in twofold {
        let status = budgets.iter().find(|budget| budget["metadata"]["name"] == name).map(|budget| &budget["status"]);
        let counts =
            status.map(|status| ["expectedPods", "currentHealthy", "disruptionsAllowed"].map(|key| &status[key]));
        assert_eq!(counts, Some([&2.into(), &2.into(), &1.into()]), "{name}: {budgets:#?}");
    }
    // The primary never goes; of the other two one may.
    for (name, allowed) in [("postgres-primary", 0), ("postgres", 1)] {
        let budget = budgets.iter().find(|budget| budget["metadata"]["name"] == name);
        let status = budget.map(|budget| &budget["status"]["disruptionsAllowed"]);
        assert_eq!(status, Some(&allowed.into()), "{name}: {budgets:#?}");
    }
}

/// MESH-2: Keycloak's administration ends at the gateway, for those who have the password too.
pub(crate) fn administration_is_not_published(platform: &Platform) {
    let browser = Browser::open(platform);
    for path in ["/admin/", "/admin/master/console/", "/admin/realms/platform", "/metrics", "/health"] {
        browser.call("GET", &format!("{AUTH}{path}"), &[], "").expect(404);
    }
    browser.call("GET", &format!("{AUTH}/realms/platform"), &[], "").expect(200);
}

/// With its data it goes; what stays are the Secrets that were supplied, and for their sake their namespaces.
pub(crate) fn nothing_is_left_but_what_was_supplied(platform: &Platform) {
    let lab = &platform.lab;
    let uninstalled = lab.run(&["uninstall", "--yes", "--delete-data"]).expect(0);
    let mut kept: Vec<&str> = uninstalled.all("kept").iter().filter_map(|event| event["id"]["name"].as_str()).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["argocd", "iam-system", "istio-ingress", "observability"]);
    assert_eq!(lab.kubectl(&["get", "pvc,pv", "-A", "-o", "name"]), "");
    let secrets = supplied::secrets();
    let supplied: Vec<String> = secrets.iter().map(|secret| named(secret, "Secret")).collect();
    let by_themselves = ["ServiceAccount default", "ConfigMap kube-root-ca.crt"];
    eventually("nothing else to be there", || {
        let census = lab.census();
        let of_ours = |object: &&Value| kept.iter().any(|namespace| object["metadata"]["namespace"] == *namespace);
        let objects = census.objects().map(|(_, object)| object).filter(of_ours);
        let names = objects.map(|object| (object["metadata"]["name"].as_str().unwrap(), object));
        let more: Vec<String> = names
            .filter(|(name, object)| !by_themselves.contains(&&*format!("{} {name}", object["kind"].as_str().unwrap())))
            .map(|(_, object)| named(object, object["kind"].as_str().unwrap()))
            .filter(|name| !supplied.contains(name))
            .collect();
        if more.is_empty() { Ok(()) } else { Err(more.join(", ")) }
    });
    for secret in &secrets {
        let (namespace, name) = (&secret["metadata"]["namespace"], &secret["metadata"]["name"]);
        lab.secret(namespace.as_str().unwrap(), name.as_str().unwrap());
    }
    lab.kubectl(&[&["delete", "namespace"], &kept[..]].concat());
    assert_eq!(ours(platform), "");
}

/// Kind, namespace and name.
fn named(object: &Value, kind: &str) -> String {
    let text = |key: &str| object["metadata"][key].as_str().unwrap();
    format!("{kind} {}/{}", text("namespace"), text("name"))
}

/// Namespaces that platctl calls the platform's.
fn ours(platform: &Platform) -> String {
    platform.lab.kubectl(&["get", "namespaces", "-l", "platctl.dev/component", "-o", "name"])
}
