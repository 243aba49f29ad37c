//! A newer platctl on an older installation. There is no older executable, so the installation is made to look older: its record tells older
//! versions, and the tree in Git is one that an older platctl would have written.

use std::fs;
use std::path::{Path, PathBuf};

use platctl::plan::merge::{SUMS, blob_sha};
use serde_json::Value;

use crate::lab::{Lab, eventually};
use crate::repository::{commit, git};
use crate::run::Outcome;
use crate::{SMALL, with};

const UPGRADE: [&str; 2] = ["upgrade", "--yes"];
const OLD: &str = "13.2.2";
const NEW: &str = "13.2.3";
const CHART: [&str; 3] = ["charts/grafana/values.yaml", "charts/grafana/component.yaml", "charts/grafana/Chart.yaml"];

#[test]
fn an_older_installation_is_upgraded_through_git() {
    let lab = Lab::start();
    lab.run(&UPGRADE).expect(3).expect_words(&["platctl has installed nothing here", "platctl install"]);
    lab.run(&["install", "--profile", "dev", "--yes"]).expect(0);
    let clone = clone(&lab);
    grow_old(&lab, &clone);
    sees_that_it_is_older(&lab);
    refuses_what_is_too_far(&lab);
    let branch = keeps_what_people_changed(&lab, &clone);

    // Changed by people, and nothing new for it: that stays, and the chart that did not change in Git is upgraded.
    let values = clone.join("values/loki.yaml");
    let text = fs::read_to_string(&values).unwrap();
    fs::write(&values, format!("{text}# kept for an audit\n")).unwrap();
    push(&clone);
    let upgraded = lab.run(&UPGRADE).expect(0);
    let kept: Vec<&Value> =
        upgraded.all("warned").into_iter().filter(|event| event["check"] == "changed-in-git").collect();
    assert!(kept.len() == 1 && kept[0]["title"].as_str().unwrap().contains("values/loki.yaml"), "{kept:?}");
    let published = upgraded.only("published");
    // The three of the chart and the sums.
    assert_eq!(published["changed_files"], 4);
    let revision = published["revision"].as_str().unwrap();
    upgraded.expect_words(&["rolled out by Argo CD", revision]);
    let reached = |event: &&Value| event["name"] == "grafana" && event["revision"] == revision;
    let last = upgraded.all("application").into_iter().rfind(reached).unwrap();
    assert_eq!((&last["sync"], &last["health"]), (&"Synced".into(), &"Healthy".into()), "{last}");

    assert!(image(&lab).ends_with(&format!(":{NEW}")), "{}", image(&lab));
    git(&clone, &["pull", "--quiet"]);
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]).trim(), revision);
    assert!(fs::read_to_string(&values).unwrap().ends_with("# kept for an audit\n"));
    let message = git(&clone, &["log", "-1", "--format=%B"]);
    assert!(message.contains(&format!("grafana {OLD} -> {NEW}")), "{message}");
    let status = lab.run(&["status"]).expect(0).document();
    assert_eq!((&status["ready"], &status["newer"]), (&true.into(), &Value::Null), "{status:#}");
    assert_eq!((&status["revision"], &status["version"]), (&revision.into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(version_of(&status, "grafana"), NEW);

    lab.forget_requests();
    lab.run(&UPGRADE).expect(0).expect_words(&["nothing to do"]);
    assert_eq!(lab.writes(), [""; 0]);
    git(&clone, &["fetch", "--quiet"]);
    assert_eq!(git(&clone, &["rev-parse", "origin/next"]).trim(), branch, "a branch of one's own is left alone");
}

#[test]
fn before_the_handoff_an_upgrade_walks_the_waves() {
    let lab = Lab::start();
    lab.run(&SMALL).expect(0);
    // As an older chart had it.
    let grafana = "/apis/apps/v1/namespaces/observability/deployments/grafana";
    let mut object = lab.get(grafana).unwrap();
    object["spec"]["template"]["spec"]["containers"][0]["image"] = "grafana:older".into();
    apply(&lab, object);
    record(&lab, |record| {
        record["version"] = "0.0.9".into();
        record["components"]["grafana"] = OLD.into();
        let of_grafana = |entry: &&mut Value| entry["component"] == "grafana" && entry["kind"] == "Deployment";
        record["objects"].as_array_mut().unwrap().iter_mut().find(of_grafana).unwrap()["digest"] = "older".into();
    });
    let branch = lab.run(&with(&UPGRADE, &["--branch", "next"])).expect(2);
    branch.expect_words(&["not handed over to Argo CD yet", "leave out `--branch`"]);

    // With the profile that was recorded: what was left out stays left out.
    let upgraded = lab.run(&UPGRADE).expect(0);
    assert_eq!(upgraded.only("compared")["changed"], 1);
    assert_eq!(upgraded.all("wave-ready").len(), 5);
    let finished = upgraded.only("finished");
    assert_eq!(
        (&finished["action"], &finished["created"], &finished["configured"]),
        (&"upgrade".into(), &0.into(), &1.into())
    );
    assert!(image(&lab).ends_with(&format!(":{NEW}")), "{}", image(&lab));
    assert!(lab.get("/apis/apps/v1/namespaces/iam-system/deployments/keycloak").is_none());
    let status = lab.run(&["status"]).expect(0).document();
    assert_eq!((&status["phase"], &status["newer"]), (&"installed".into(), &Value::Null), "{status:#}");
    assert_eq!(version_of(&status, "grafana"), NEW);
}

/// A clone of the in-cluster repository, which the lab's pods let reach from here.
fn clone(lab: &Lab) -> PathBuf {
    let pods = lab.list("/api/v1/namespaces/gitea/pods?labelSelector=app.kubernetes.io/name=gitea");
    let address = pods[0]["status"]["podIP"].as_str().unwrap();
    let decoded = |key: &str| {
        let template = format!("{{{{.data.{key} | base64decode}}}}");
        lab.kubectl(&["get", "secret", "gitea-admin", "-n", "gitea", "-o", &format!("go-template={template}")])
    };
    let url = format!("http://{}:{}@{address}:3000/platctl/platform.git", decoded("username"), decoded("password"));
    let clone = lab.directory().join("clone");
    git(lab.directory(), &["clone", "--quiet", &url, clone.to_str().unwrap()]);
    clone
}

fn push(clone: &Path) -> String {
    commit(clone);
    git(clone, &["push", "--quiet", "origin", "main"]);
    git(clone, &["rev-parse", "HEAD"]).trim().to_owned()
}

/// Writes a file as platctl would have: the sums know it.
fn write(clone: &Path, path: &str, text: &str) {
    let sums = fs::read_to_string(clone.join(SUMS)).unwrap();
    let before = blob_sha(&fs::read(clone.join(path)).unwrap());
    assert!(sums.contains(&format!("{before}  {path}\n")), "{path} is not in {SUMS}");
    fs::write(clone.join(path), text).unwrap();
    let sums = sums.replace(&format!("{before}  {path}\n"), &format!("{}  {path}\n", blob_sha(text.as_bytes())));
    fs::write(clone.join(SUMS), sums).unwrap();
}

fn grow_old(lab: &Lab, clone: &Path) {
    for path in CHART {
        let text = fs::read_to_string(clone.join(path)).unwrap();
        assert!(text.contains(NEW), "{path}");
        write(clone, path, &text.replace(NEW, OLD));
    }
    let revision = push(clone);
    lab.kubectl(&["annotate", "application", "grafana", "-n", "argocd", "argocd.argoproj.io/refresh=normal"]);
    eventually("Argo CD to roll out the older version", || {
        let found = image(lab);
        if found.ends_with(OLD) { Ok(()) } else { Err(found) }
    });
    record(lab, |record| {
        record["version"] = "0.0.9".into();
        record["components"]["grafana"] = OLD.into();
        record["published"]["revision"] = revision.clone().into();
        let of_grafana = |entry: &&mut Value| entry["component"] == "grafana" && entry["kind"] == "Deployment";
        record["objects"].as_array_mut().unwrap().iter_mut().find(of_grafana).unwrap()["digest"] = "older".into();
    });
}

/// Changes what platctl's record says.
fn record(lab: &Lab, change: impl FnOnce(&mut Value)) {
    let inventory = "/api/v1/namespaces/platctl-system/configmaps/platctl-inventory";
    let mut object = lab.get(inventory).unwrap();
    let mut record: Value = serde_json::from_str(object["data"]["inventory"].as_str().unwrap()).unwrap();
    change(&mut record);
    object["data"]["inventory"] = record.to_string().into();
    apply(lab, object);
}

/// As platctl, so that it does not meet another owner of its fields.
fn apply(lab: &Lab, mut object: Value) {
    object.as_object_mut().unwrap().remove("status");
    for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
        object["metadata"].as_object_mut().unwrap().remove(field);
    }
    let command = ["apply", "--server-side", "--field-manager=platctl", "-f", "-"];
    lab.kubectl_with(&command, &object.to_string()).unwrap();
}

fn image(lab: &Lab) -> String {
    let grafana = lab.get("/apis/apps/v1/namespaces/observability/deployments/grafana").unwrap();
    grafana["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

fn version_of(status: &Value, component: &str) -> String {
    let rows = status["components"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == component).unwrap()["version"].as_str().unwrap().to_owned()
}

fn sees_that_it_is_older(lab: &Lab) {
    lab.forget_requests();
    eventually("the older platform to be ready", || {
        let status = lab.run(&["status"]);
        if status.code == Some(0) { Ok(()) } else { Err(status.context()) }
    });
    let status = lab.run(&["status", "-o", "text"]).expect(0);
    assert!(status.stdout.contains("platctl 0.0.9 installed it, this is "), "{}", status.stdout);
    let status = lab.run(&["status"]).document();
    assert_eq!((&status["newer"], version_of(&status, "grafana")), (&env!("CARGO_PKG_VERSION").into(), OLD.to_owned()));
    lab.run(&["install", "--yes"]).expect(0).expect_words(&["owned by Argo CD", "platctl upgrade"]);
    let dry = lab.run(&["upgrade", "--dry-run"]).expect(0);
    let compared = dry.only("compared");
    assert_eq!((&compared["from"], &compared["changed"]), (&"0.0.9".into(), &1.into()), "{compared}");
    assert_eq!(compared["components"], serde_json::json!([{"component": "grafana", "from": OLD, "to": NEW}]));
    dry.expect_words(&["commit 4 changed files to branch main", "nothing was written"]);
    assert_eq!(lab.writes(), [""; 0]);
}

/// Refused with these words, and nothing written.
fn refused(lab: &Lab, flags: &[&str], words: &[&str]) -> Outcome {
    lab.forget_requests();
    let outcome = lab.run(&with(&UPGRADE, flags)).expect(3);
    outcome.expect_words(words);
    outcome.expect_words(&["nothing was written"]);
    assert_eq!(lab.writes(), [""; 0]);
    outcome
}

fn refuses_what_is_too_far(lab: &Lab) {
    record(lab, |record| record["components"]["istiod"] = "1.28.3".into());
    refused(lab, &[], &["Istio 1.28.3 → ", "istio-minor", "1.29, then 1.30", "--accept istio-minor"]);
    let accepted = lab.run(&["upgrade", "--dry-run", "--accept", "istio-minor"]).expect(0);
    accepted.expect_words(&["commit 4 changed files"]);
    let istiod = accepted.only("compared")["components"][1]["to"].clone();
    record(lab, |record| record["components"]["istiod"] = istiod);
    record(lab, |record| record["version"] = "99.0.0".into());
    refused(lab, &[], &["platctl 99.0.0 → ", "goes backwards", "use platctl 99.0.0"]);
    record(lab, |record| record["version"] = "0.0.9".into());
}

/// A file that both changed is named and not written, but to a branch of its own if that is asked for. Gives that branch's commit.
fn keeps_what_people_changed(lab: &Lab, clone: &Path) -> String {
    let path = clone.join(CHART[0]);
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{before}# changed by hand\n")).unwrap();
    push(clone);
    let outcome = refused(lab, &[], &["were changed in Git too", CHART[0], "--overwrite"]);
    assert!(!outcome.last_words().contains(CHART[1]), "{}", outcome.context());
    let head = || lab.run(&["upgrade", "--dry-run", "--overwrite"]).expect(0);
    head().expect_words(&["commit 4 changed files to branch main"]);
    let branched = lab.run(&with(&UPGRADE, &["--branch", "next", "--overwrite"])).expect(0);
    branched.expect_words(&["branch next into main", "`platctl upgrade` again"]);
    let revision = branched.only("published")["revision"].as_str().unwrap().to_owned();
    git(clone, &["fetch", "--quiet"]);
    assert_eq!(git(clone, &["rev-parse", "origin/next"]).trim(), revision);
    let changed = git(clone, &["diff", "--name-only", "origin/main", "origin/next"]);
    assert_eq!(changed.lines().count(), 4, "{changed}");
    assert!(image(lab).ends_with(OLD), "nothing is rolled out");
    // The name is taken now.
    let again = lab.run(&with(&UPGRADE, &["--branch", "next", "--overwrite"])).expect(1);
    again.expect_words(&["commit the upgrade to Git", "must not be taken"]);
    fs::write(&path, before).unwrap();
    push(clone);
    revision
}
