//! What must be refused before the first write, each with its reason and what to do.

use std::fs;

use serde_json::json;

use crate::lab::Lab;
use crate::run::Outcome;

const INSTALL: [&str; 2] = ["install", "--yes"];

/// Runs `install` with more flags; it must be refused with these words and have written nothing.
fn refused(lab: &Lab, flags: &[&str], code: i32, words: &[&str]) -> Outcome {
    lab.forget_requests();
    let outcome = lab.run(&crate::with(&INSTALL, flags)).expect(code);
    outcome.expect_words(words);
    let advice = outcome.last_words().contains("did you mean") || outcome.only("failed")["failure"]["hint"].is_string();
    assert!(advice, "no advice\n{}", outcome.context());
    assert_eq!(lab.writes(), [""; 0]);
    outcome
}

#[test]
fn what_is_foreign_or_missing_is_refused_before_the_first_write() {
    let lab = Lab::start_with(&["--components", "none"]);
    let before = lab.census();
    foreign_objects(&lab);
    missing_parts(&lab);
    wrong_profiles(&lab);
    unreachable(&lab);
    restricted(&lab);
    lab.expect_census(&before);
}

fn foreign_objects(lab: &Lab) {
    for (plural, kind, group) in [
        ("virtualservices", "VirtualService", "networking.istio.io"),
        ("clusters", "Cluster", "postgresql.cnpg.io"),
        ("applications", "Application", "argoproj.io"),
    ] {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                "annotations": {"api-approved.kubernetes.io": "unapproved, in a test"},
            },
            "spec": {
                "group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
            },
        });
        lab.create(&definition.to_string());
        let name = format!("CustomResourceDefinition {plural}.{group}");
        refused(lab, &[], 3, &[&name, "is not platctl's", "foreign-objects", "nothing was written"]);
        lab.kubectl(&["delete", "crd", &format!("{plural}.{group}")]);
    }
    lab.kubectl(&["create", "namespace", "istio-system"]);
    lab.kubectl(&["create", "deployment", "istiod", "-n", "istio-system", "--image", "istio/pilot:1.20.0"]);
    refused(lab, &[], 3, &["Deployment istio-system/istiod exists and is not platctl's"]);
    lab.kubectl(&["delete", "namespace", "istio-system"]);
}

fn missing_parts(lab: &Lab) {
    let nodes = lab.kubectl(&["get", "nodes", "-o", "name"]);
    let nodes: Vec<&str> = nodes.split_whitespace().collect();
    lab.kubectl(&crate::with(&["cordon"], &nodes));
    refused(lab, &[], 3, &["no node is ready and schedulable, of 3"]);
    lab.kubectl(&crate::with(&["uncordon"], &nodes));
    let default = "storageclass.kubernetes.io/is-default-class";
    lab.kubectl(&["annotate", "storageclass", "standard", "--overwrite", &format!("{default}=false")]);
    refused(lab, &[], 3, &["no default StorageClass", "`standard`"]);
    lab.kubectl(&["annotate", "storageclass", "standard", "--overwrite", &format!("{default}=true")]);
    refused(lab, &["--set", "storageClass=fast"], 3, &["there is no StorageClass `fast`"]);
}

fn wrong_profiles(lab: &Lab) {
    let values = lab.directory().join("values.yaml");
    fs::write(&values, "domain: example.org\ncomponents:\n  keycloack:\n    enabled: false\n").unwrap();
    let values = values.to_str().unwrap();
    refused(lab, &["--values", values], 2, &[&format!("{values}:3"), "`components.keycloack`", "`keycloak`"]);
    refused(lab, &["--set", "timeouts.waves.servics=1m"], 2, &["servics", "services"]);
    refused(lab, &["--profile", "prd"], 2, &["prd", "prod"]);
}

fn unreachable(lab: &Lab) {
    // Nothing listens on port 1.
    let path = lab.kubeconfig_with("nowhere", |config| {
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    });
    let path = path.to_str().unwrap();
    refused(lab, &["--kubeconfig", path], 3, &["https://127.0.0.1:1", "onnection refused"]);
    let path = lab.kubeconfig_with("stranger", |config| {
        config["users"][0]["user"] = json!({"token": "of nobody"});
    });
    refused(lab, &["--kubeconfig", path.to_str().unwrap()], 3, &["Unauthorized", "does not accept these credentials"]);
    refused(lab, &["--context", "nowhere"], 2, &["nowhere"]);
}

/// A `ServiceAccount` that may read almost everything and write nothing, then one that may write in a single namespace.
fn restricted(lab: &Lab) {
    lab.kubectl(&["create", "serviceaccount", "reader", "-n", "default"]);
    let token = lab.kubectl(&["create", "token", "reader", "-n", "default"]);
    let path = lab.kubeconfig_with("reader.kubeconfig", |config| {
        config["users"][0]["user"] = json!({"token": token.trim()});
    });
    let flags = ["--kubeconfig", path.to_str().unwrap()];
    let reader = "system:serviceaccount:default:reader";
    // Without any right beyond those of everybody.
    refused(lab, &flags, 3, &["you may not", "permissions", "preflight"]);
    lab.kubectl(&["create", "clusterrole", "reader", "--verb=get,list,watch", "--resource=*.*"]);
    lab.kubectl(&["create", "clusterrolebinding", "reader", "--clusterrole=reader", &format!("--user={reader}")]);
    refused(lab, &flags, 3, &["you may not create", "permissions", "preflight"]);
    // All the missing rights are in the document that the hint names.
    let preflight = lab.run(&crate::with(&["preflight"], &flags)).expect(3).document().to_string();
    for right in [
        "create customresourcedefinitions",
        "patch deployments.apps in namespace",
        "create secrets in namespace iam-system",
    ] {
        assert!(preflight.contains(right), "`{right}` is missing in {preflight}");
    }
    for kind in ["clusterrolebinding", "clusterrole"] {
        lab.kubectl(&["delete", kind, "reader"]);
    }
    lab.kubectl(&["delete", "serviceaccount", "reader", "-n", "default"]);
}

#[test]
fn a_cluster_that_is_too_old_is_refused_before_the_first_write() {
    let lab = Lab::start_with(&["--components", "none", "--kubernetes-version-string", "v1.28.0"]);
    refused(&lab, &[], 3, &["v1.28.0 is too old", "1.33", "api-version", "upgrade the cluster"]);
}
