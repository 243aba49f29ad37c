//! A support bundle holds what a maintainer asks for, and no value of any Secret, not even one that a program wrote into its log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::lab::{Lab, eventually};
use crate::{SMALL, with};

/// Keys of Secrets that hold no secret.
const PUBLIC: [&str; 6] = ["username", "admin-user", "admin.passwordMtime", "type", "url", "namespace"];

#[test]
fn a_support_bundle_tells_all_but_the_secrets() {
    let lab = Lab::start();
    lab.run(&SMALL).expect(0);
    let leaked = lab.secret("observability", "grafana-admin")["admin-password"].clone();
    leak(&lab, &leaked);

    let path = lab.directory().join("bundle.tar.gz");
    let made = lab.run(&["support-bundle", "--out", path.to_str().unwrap()]).expect(0);
    let files = unpack(&path);
    assert_eq!(made.document()["files"], files.len());
    assert_eq!(made.document()["problems"], json!([]));
    no_secret_is_in(&lab, &files);
    what_was_leaked_is_marked(&files, &leaked);
    nothing_is_missing(&files);
    a_reader_gets_what_he_may_read(&lab);
}

/// The value turns up where secrets turn up: in the log of a crash, in an object, and there in base64.
fn leak(lab: &Lab, value: &str) {
    let encoded = STANDARD.encode(value);
    lab.pods("observability", "^grafana", "crashloop", &format!("fatal: cannot log in with {value} ({encoded})"));
    let data = json!({"settings.ini": format!("[login]\nkey = {value}\n"), "encoded": encoded});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "leak", "namespace": "observability"}, "data": data});
    lab.create(&map.to_string());
    eventually("the log to have the password", || {
        let selector = ["-n", "observability", "-l", "app.kubernetes.io/name=grafana", "-c", "grafana"];
        let log = lab.kubectl_with(&with(&["logs", "--prefix"], &selector), "").unwrap_or_else(|stderr| stderr);
        if log.contains(value) { Ok(()) } else { Err(log) }
    });
}

/// Path in the archive → text.
fn unpack(path: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(File::open(path).unwrap())).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().strip_prefix("platctl-support").unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name, text);
    }
    files
}

/// Every value of every Secret in the cluster, raw and in base64, certificates apart.
fn no_secret_is_in(lab: &Lab, files: &BTreeMap<String, String>) {
    let mut searched = 0;
    for secret in lab.list("/api/v1/secrets") {
        let name = format!("{}/{}", secret["metadata"]["namespace"], secret["metadata"]["name"]);
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            let encoded = value.as_str().unwrap();
            let bytes = STANDARD.decode(encoded).unwrap();
            let raw = String::from_utf8_lossy(&bytes).trim().to_owned();
            let is_public = PUBLIC.contains(&key.as_str()) || raw.len() < 6;
            if is_public || (raw.contains("BEGIN CERTIFICATE") && !raw.contains("PRIVATE KEY")) {
                continue;
            }
            searched += 1;
            for (path, text) in files {
                assert!(!text.contains(encoded) && !text.contains(&raw), "{path} has {key} of {name}");
                // A key in PEM: none of its lines either, however they are indented.
                let lines = raw.lines().filter(|line| line.len() >= 20 && !line.starts_with("-----"));
                assert!(lines.into_iter().all(|line| !text.contains(line)), "{path} has a line of {key} of {name}");
            }
        }
    }
    // Argo CD's three, Gitea's, Grafana's, the CA's and the gateway's key, istiod's and the operator's.
    assert!(searched >= 12, "only {searched} values were searched for");
}

fn what_was_leaked_is_marked(files: &BTreeMap<String, String>, leaked: &str) {
    let mark = "[redacted observability/grafana-admin admin-password]";
    let is_log = |path: &&String| path.contains("/logs/grafana-") && path.contains("/grafana.");
    let logs: Vec<&String> = files.keys().filter(is_log).collect();
    assert!(logs.iter().any(|path| files[*path].contains(&format!("cannot log in with {mark} ({mark})"))), "{logs:?}");
    assert!(logs.iter().any(|path| path.ends_with("/grafana.previous.log")), "{logs:?}");
    let maps = &files["namespaces/observability/ConfigMap.yaml"];
    assert_eq!(maps.matches(mark).count(), 2, "{leaked} was in two places");
}

fn nothing_is_missing(files: &BTreeMap<String, String>) {
    for (path, word) in [
        ("README.txt", "[redacted NAMESPACE/NAME KEY]"),
        ("platctl.yaml", "kubernetes: v1."),
        ("inventory.yaml", "phase: installed"),
        ("profile.yaml", "domain: platform.localhost"),
        ("preflight.yaml", "findings:"),
        ("status.yaml", "ready: false"),
        ("nodes.yaml", "kubeletVersion"),
        ("crds.yaml", "name: clusters.postgresql.cnpg.io"),
        ("cluster/ClusterRole.rbac.authorization.k8s.io.yaml", "name: istiod"),
        ("namespaces/argocd/Secret.yaml", "admin.password: (60 bytes)"),
        ("namespaces/istio-system/Deployment.apps.yaml", "name: istiod"),
        ("namespaces/observability/events.txt", "Pod/grafana-"),
        ("problems.txt", "everything could be read"),
    ] {
        let text = files.get(path);
        assert!(text.is_some_and(|text| text.contains(word)), "`{word}` is missing in {path}: {text:?}");
    }
    assert!(
        files.values().all(|text| !text.contains("managedFields") && !text.contains("last-applied-configuration:"))
    );
    let is_real = |path: &String| path.starts_with("namespaces/istio-system/logs/istiod-") && files[path].len() > 1000;
    assert!(files.keys().any(is_real), "istiod's log is missing");
}

/// Rights that are missing are named in the bundle; Secrets that cannot be read, at the end too.
fn a_reader_gets_what_he_may_read(lab: &Lab) {
    lab.kubectl(&["create", "serviceaccount", "viewer", "-n", "default"]);
    let user = "--user=system:serviceaccount:default:viewer";
    lab.kubectl(&["create", "clusterrolebinding", "viewer", "--clusterrole=view", user]);
    let token = lab.kubectl(&["create", "token", "viewer", "-n", "default"]);
    let kubeconfig = lab.kubeconfig_with("viewer.kubeconfig", |config: &mut Value| {
        config["users"][0]["user"] = json!({"token": token.trim()});
    });
    let path = lab.directory().join("viewer.tar.gz");
    let flags = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--out", path.to_str().unwrap()];
    let made = lab.run(&with(&["support-bundle"], &flags)).expect(0);
    made.expect_words(&["you may not read all Secrets", "problems.txt"]);
    let files = unpack(&path);
    let problems = &files["problems.txt"];
    assert!(problems.contains("list in the cluster: not allowed:") && problems.contains("Secret"), "{problems}");
    assert!(problems.contains("the values of Secrets in argocd, "), "{problems}");
    assert!(
        files.contains_key("namespaces/argocd/Deployment.apps.yaml")
            && !files.contains_key("namespaces/argocd/Secret.yaml")
    );
    lab.run(&["credentials", flags[0], flags[1]]).expect(3).expect_words(&["forbidden", "`get secrets`"]);
}
