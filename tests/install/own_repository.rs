//! The profile for production with a Git repository of one's own: exported, pushed by hand, served by `git daemon`, followed by Argo CD.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::lab::{Lab, eventually};
use crate::repository::{Repository, git};
use crate::with;

#[test]
fn production_follows_a_repository_of_ones_own() {
    let lab = Lab::start();
    // Free for a moment; the server takes it next.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let repository = Repository::serve(lab.directory().join("git"), "127.0.0.1", port);
    let choice = ["--profile", "prod", "--repo-url", &repository.url, "--set", "secrets=generated"];
    let choice = with(&choice, &["--set", "tls.mode=generated"]);

    lab.kubectl(&["create", "namespace", "observability"]);
    let of_others = |lab: &Lab| {
        let mut metadata = lab.get("/api/v1/namespaces/observability").unwrap()["metadata"].take();
        ["uid", "labels", "annotations"].map(|key| metadata[key].take())
    };
    let before = of_others(&lab);

    // An empty repository is noticed before anything is handed over to nothing.
    let install = with(&["install", "--yes"], &choice);
    lab.run(&with(&install, &["--set", "timeouts.handoff=20s"])).expect(1).expect_words(&[
        &repository.url,
        "platctl export",
        "run the same command again",
    ]);

    let tree = lab.directory().join("tree");
    lab.run(&with(&["export", tree.to_str().unwrap()], &choice)).expect(0);
    let revision = repository.push(&tree);
    let installed = lab.run(&install).expect(0);
    assert_eq!(installed.only("handed-over")["revision"], revision);
    assert_eq!(installed.all("published"), [&Value::Null; 0], "a repository of one's own is not written to");
    let status = lab.run(&["status"]).expect(0).document();
    assert_eq!((&status["ready"], &status["phase"]), (&true.into(), &"handed-over".into()), "{status:#}");
    let replicas = |path: &str| lab.get(path).unwrap()["spec"]["replicas"].clone();
    let keycloak = "/apis/apps/v1/namespaces/iam-system/deployments/keycloak";
    assert_eq!(replicas(keycloak), 2);
    assert!(lab.get("/api/v1/namespaces/gitea").is_none());

    // From now on a push is all that it takes.
    lab.run(&with(&["export", tree.to_str().unwrap(), "--set", "keycloak.replicas=3"], &choice)).expect(0);
    let revision = repository.push(&tree);
    lab.kubectl(&["annotate", "application", "keycloak", "-n", "argocd", "argocd.argoproj.io/refresh=normal"]);
    eventually("the change to be there", || {
        let found = replicas(keycloak);
        if found == 3 { Ok(()) } else { Err(found.to_string()) }
    });
    eventually("the platform to be ready at the new commit", || {
        let status = lab.run(&["status"]);
        let document = status.document();
        let is_there = status.code == Some(0) && document["components"][0]["ready"] == true;
        if is_there { Ok(()) } else { Err(document.to_string()) }
    });
    let application = lab.get("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/keycloak").unwrap();
    assert_eq!(application["status"]["sync"]["revision"], revision);

    into_a_clone(&lab, &repository, &tree);

    lab.run(&["uninstall", "--yes", "--delete-data"]).expect(0);
    assert_eq!(of_others(&lab), before, "a namespace that was there before is as it was");
}

/// platctl writes an upgrade into a clone and waits for its owner's push.
fn into_a_clone(lab: &Lab, repository: &Repository, tree: &Path) {
    lab.forget_requests();
    let directory = tree.to_str().unwrap();
    lab.run(&["upgrade", "--yes"]).expect(3).expect_words(&[&repository.url, "does not write to", "--into DIR"]);
    // What was exported and pushed since the installation is not in the recorded profile.
    let flags = ["--set", "keycloak.replicas=3"];
    let write = with(&["upgrade", "--into", directory], &flags);
    lab.run(&write).expect(0).expect_words(&["0 files"]);
    let flags = with(&flags, &["--set", "loki.retention=408h"]);
    let write = with(&["upgrade", "--into", directory], &flags);
    // A file that people changed is named, and lost only on demand.
    let values = tree.join("values/loki.yaml");
    let before = std::fs::read_to_string(&values).unwrap();
    std::fs::write(&values, format!("{before}# by hand\n")).unwrap();
    lab.run(&write).expect(3).expect_words(&["were changed in Git too", "values/loki.yaml", "--overwrite"]);
    std::fs::write(&values, before).unwrap();
    lab.run(&write).expect(0).expect_words(&["2 files", "commit and push", "--at COMMIT"]);
    let changed = git(tree, &["diff", "--name-only"]);
    assert_eq!(changed.lines().collect::<Vec<_>>(), ["platctl.sums", "values/loki.yaml"]);
    assert_eq!(lab.writes(), [""; 0]);
    let revision = repository.push(tree);
    let upgraded = lab.run(&with(&["upgrade", "--yes", "--at", &revision], &flags)).expect(0);
    upgraded.expect_words(&["rolled out by Argo CD", &revision]);
    let status = lab.run(&["status"]).expect(0).document();
    assert_eq!((&status["ready"], &status["revision"]), (&true.into(), &revision.as_str().into()), "{status:#}");
}
