//! GIT-1 to GIT-3 and SEC-6: after the handoff the cluster follows Git. Pushes go to the Git server in the cluster, as a person's do; each
//! check puts back what it changed there.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::lab::{Lab, PATIENCE, eventually, eventually_within};
use crate::platform::Platform;

const NAMESPACES: &str = "charts/namespaces/templates/namespaces.yaml";
const ARGO_MANAGER: &str = "argocd-controller";

/// A clone of the repository that Argo CD follows.
struct Clone<'a> {
    lab: &'a Lab,
    directory: TempDir,
    /// The commit that was there, which `restore` goes back to.
    first: String,
    forward: Child,
}

impl<'a> Clone<'a> {
    fn make(lab: &'a Lab) -> Self {
        let (forward, port) = forward(lab);
        let mut clone = Self { lab, directory: tempfile::tempdir().unwrap(), first: String::new(), forward };
        let secret = lab.get("/api/v1/namespaces/gitea/secrets/gitea-admin").unwrap();
        let key = |name: &str| secret["data"][name].as_str().unwrap().to_owned();
        let decoded = ["username", "password"].map(|name| decode(lab, &key(name)));
        let url = format!("http://{}:{}@127.0.0.1:{port}/platctl/platform.git", decoded[0], decoded[1]);
        clone.git(&["clone", "-q", &url, "."]);
        clone.first = clone.git(&["rev-parse", "HEAD"]);
        clone
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=somebody", "-c", "user.email=somebody@platform.localhost"]).args(arguments);
        let output = command.current_dir(self.directory.path()).stdin(Stdio::null()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {}: {words}", arguments[0]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// Replaces what stands there; that it does not stand there fails the test.
    fn replace(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(old), "{path} does not say `{old}`");
        self.write(path, &text.replace(old, new));
    }

    /// Gives the new commit.
    fn push(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["push", "-q", "origin", "HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Asks Argo CD to look at Git now, and not at its next turn.
    fn refresh(&self) {
        let now = ["argocd.argoproj.io/refresh=normal", "--overwrite"];
        self.lab.kubectl(&[&["annotate", "applications", "-n", "argocd", "--all"], &now[..]].concat());
        let now = ["argocd.argoproj.io/application-set-refresh=true", "--overwrite"];
        self.lab.kubectl(&[&["annotate", "applicationset", "-n", "argocd", "platform"], &now[..]].concat());
    }

    /// A new commit with the files of the first one, and all Applications there.
    fn restore(&self) {
        self.git(&["read-tree", "-u", "--reset", &self.first]);
        let commit = self.push("As it was");
        self.refresh();
        until_all_at(self.lab, &commit);
    }
}

/// A check that failed leaves Git as it found it, too.
impl Drop for Clone<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.first.is_empty() {
            let back = "git read-tree -u --reset $0 && git -c user.name=somebody -c user.email=somebody@platform.localhost commit -qm 'As it was' && git push -q origin HEAD";
            let _ = Command::new("sh").args(["-c", back, &self.first]).current_dir(self.directory.path()).status();
        }
        let _ = self.forward.kill();
        let _ = self.forward.wait();
    }
}

/// A port of this machine that leads to the Git server.
fn forward(lab: &Lab) -> (Child, String) {
    let mut command = Command::new(crate::lab::bin().join("kubectl"));
    command.arg("--kubeconfig").arg(lab.directory().join("direct.kubeconfig"));
    command.args(["port-forward", "-n", "gitea", "service/gitea-http", ":3000"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    // It goes on writing there, and must not find the pipe closed.
    std::thread::spawn(move || lines.for_each(drop));
    let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
    assert!(port.is_some(), "kubectl port-forward: {line}");
    let port = port.unwrap().to_owned();
    (child, port)
}

fn decode(lab: &Lab, encoded: &str) -> String {
    let output = Command::new("sh").args(["-c", "printf %s \"$0\" | base64 -d", encoded]).output().unwrap();
    assert!(output.status.success(), "a key of a Secret in {}", lab.directory().display());
    String::from_utf8(output.stdout).unwrap()
}

fn application(lab: &Lab, name: &str) -> Option<Value> {
    lab.get(&format!("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{name}"))
}

/// Every Application is Synced and Healthy, and what it compared the cluster with is this commit.
fn until_all_at(lab: &Lab, commit: &str) {
    eventually(&format!("every Application at {commit}"), || {
        let behind: Vec<String> = lab
            .list("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications")
            .iter()
            .filter(|one| {
                let status = &one["status"];
                status["sync"]["status"] != "Synced"
                    || status["health"]["status"] != "Healthy"
                    || status["sync"]["revision"] != commit
            })
            .map(|one| format!("{}: {}", one["metadata"]["name"], one["status"]["sync"]))
            .collect();
        if behind.is_empty() { Ok(()) } else { Err(behind.join("\n")) }
    });
}

/// A live object as its API gives it, with its managed fields.
fn live(lab: &Lab, path: &str) -> Value {
    lab.get(path).unwrap()
}

/// Who applied it, server-side.
fn appliers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap().iter();
    entries.filter(|entry| entry["operation"] == "Apply").map(|entry| entry["manager"].as_str().unwrap()).collect()
}

/// GIT-3: a value that is pushed is in the cluster a little later, whether Argo CD is told to look or finds it by itself.
pub(crate) fn a_pushed_value_is_applied(platform: &Platform) {
    let lab = &platform.lab;
    let clone = Clone::make(lab);
    let ports = || {
        let policy = live(lab, "/apis/networking.k8s.io/v1/namespaces/platctl-system/networkpolicies/allow-dns");
        let ports = policy["spec"]["egress"][0]["ports"].as_array().unwrap().clone();
        ports.iter().map(|port| port["port"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let until = |wanted: &[u64]| {
        let start = Instant::now();
        eventually("the pushed ports", || {
            let now = ports();
            if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
        });
        start.elapsed()
    };
    assert_eq!(ports(), [53, 53]);
    let values = "values/namespaces.yaml";
    let before = fs::read_to_string(clone.path(values)).unwrap();
    clone.write(values, &format!("{before}dns:\n  ports: [53, 5353]\n"));
    clone.push("DNS on one more port");
    let alone = until(&[53, 53, 5353, 5353]);
    clone.write(values, &before);
    clone.push("DNS on its port alone");
    clone.refresh();
    let told = until(&[53, 53]);
    println!("push to applied: {alone:.0?} by itself, {told:.1?} after a refresh");
    until_all_at(lab, &clone.git(&["rev-parse", "HEAD"]));
}

const CHART: &str = "apiVersion: v2\nname: greeting\nversion: 1.0.0\n";
const COMPONENT: &str = "\
name: greeting
namespace: greeting
wave: 5
version: 1.0.0
description: What somebody added
";
const OBJECTS: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: {{ .Release.Namespace }}}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting, namespace: {{ .Release.Namespace }}}
data: {greeting: {{ .Values.greeting }}}
";

/// GIT-1, GIT-2: a directory that is added in Git becomes an Application by itself, and one that is removed takes its objects along.
pub(crate) fn a_new_chart_is_discovered_and_pruned_when_it_goes(platform: &Platform) {
    let lab = &platform.lab;
    let clone = Clone::make(lab);
    let path = "/api/v1/namespaces/greeting/configmaps/greeting";
    assert!(lab.get(path).is_none() && application(lab, "greeting").is_none());
    for (file, text) in [
        ("Chart.yaml", CHART),
        ("component.yaml", COMPONENT),
        ("values.yaml", "greeting: from the chart\n"),
        ("templates/objects.yaml", OBJECTS),
    ] {
        clone.write(&format!("charts/greeting/{file}"), text);
    }
    clone.write("values/greeting.yaml", "greeting: hello\n");
    let start = Instant::now();
    clone.push("A chart of somebody's");
    let made = eventually("the new chart's object", || lab.get(path).ok_or("there is none".to_owned()));
    println!("push to discovered and applied: {:.0?}", start.elapsed());
    assert_eq!(made["data"]["greeting"], "hello", "the values file beside the charts is read");
    eventually("`status` to list it as ready", || {
        let status = platform.status();
        let row = status["components"].as_array().unwrap().iter().find(|row| row["name"] == "greeting").cloned();
        if row.as_ref().is_some_and(|row| row["ready"] == true) { Ok(()) } else { Err(format!("{row:?}")) }
    });

    // One object less in the chart: pruned by its Application.
    clone.replace("charts/greeting/templates/objects.yaml", OBJECTS, OBJECTS.split("---\n").nth(1).unwrap());
    clone.push("Without the policy");
    clone.refresh();
    let policy = "/apis/networking.k8s.io/v1/namespaces/greeting/networkpolicies/default-deny";
    eventually("the policy to be pruned", || lab.get(policy).map_or(Ok(()), |_| Err("it is there".to_owned())));
    assert!(lab.get(path).is_some(), "what is still in Git stays");

    fs::remove_dir_all(clone.path("charts/greeting")).unwrap();
    fs::remove_file(clone.path("values/greeting.yaml")).unwrap();
    let commit = clone.push("Without the chart");
    clone.refresh();
    let start = Instant::now();
    eventually("the chart's object to be pruned", || {
        let application = application(lab, "greeting").map(|one| one["metadata"].clone());
        lab.get(path).map_or(Ok(()), |_| Err(format!("it is there; its Application: {application:?}")))
    });
    eventually("its Application to go", || {
        application(lab, "greeting").map_or(Ok(()), |one| Err(one["status"].to_string()))
    });
    println!("removal of the directory to pruned: {:.0?}", start.elapsed());
    // `CreateNamespace` made it, and no chart says that it should go.
    lab.kubectl(&["delete", "namespace", "greeting"]);
    until_all_at(lab, &commit);
}

const REFUSED: &str = r"
apiVersion: v1
kind: Service
metadata: {name: refused, namespace: platctl-system}
spec: {ports: [{port: 99999}]}
";

/// How long Argo CD waits between its tries, in all, by what the ApplicationSet says.
fn backoff(lab: &Lab) -> (u64, Duration) {
    let set = live(lab, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/platform");
    let retry = &set["spec"]["template"]["spec"]["syncPolicy"]["retry"];
    let seconds = |key: &str| {
        let text = retry["backoff"][key].as_str().unwrap();
        let (number, unit) = text.split_at(text.len() - 1);
        number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 }
    };
    let (limit, factor) = (retry["limit"].as_u64().unwrap(), retry["backoff"]["factor"].as_u64().unwrap());
    let waits = std::iter::successors(Some(seconds("duration")), |wait| Some(wait * factor));
    let longest = seconds("maxDuration");
    let all = waits.take(usize::try_from(limit).unwrap()).map(|wait| wait.min(longest)).sum();
    (limit, Duration::from_secs(all))
}

/// GIT-2: what the API server refuses is tried five times more; then `status` names the component and the API server's words.
pub(crate) fn a_broken_chart_is_tried_five_times_and_status_says_why(platform: &Platform) {
    let lab = &platform.lab;
    let (limit, all) = backoff(lab);
    assert_eq!(limit, 5);
    let clone = Clone::make(lab);
    clone.write("charts/namespaces/templates/refused.yaml", REFUSED);
    let commit = clone.push("A Service that cannot be");
    clone.refresh();
    let start = Instant::now();
    let operation = eventually_within(PATIENCE * 2 + all, "Argo CD to give up", || {
        let operation = application(lab, "namespaces").unwrap()["status"]["operationState"].clone();
        let is_this = operation["syncResult"]["revision"] == commit && operation["phase"] == "Failed";
        if is_this { Ok(operation) } else { Err(operation.to_string()) }
    });
    println!("push to given up: {:.0?}, of which {all:?} are pauses", start.elapsed());
    assert_eq!(operation["retryCount"], limit, "{operation:#}");

    let reasons = eventually("`status` to say so", || {
        let status = platform.status();
        let rows = status["components"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == "namespaces").unwrap().clone();
        let said = row["reasons"].to_string();
        // The words of the API server, not only that something failed.
        let is_said = ["refused", "must be between 1 and 65535", "5 times"].iter().all(|words| said.contains(words));
        if is_said && row["ready"] == false && status["ready"] == false { Ok(said) } else { Err(row.to_string()) }
    });
    println!("status: {reasons}");
    let others = platform.status()["components"].as_array().unwrap().clone();
    let broken: Vec<&Value> = others.iter().filter(|row| row["ready"] == false).map(|row| &row["name"]).collect();
    assert_eq!(broken, ["namespaces"], "nothing else suffers");

    clone.restore();
    assert_eq!(platform.status()["ready"], true, "mended");
}

/// GIT-2, SEC-6: what is changed or deleted by hand is put back as Git says. Where Git says nothing a hand may write: so it is with
/// server-side apply, and an empty list in Git is nothing to Argo CD.
pub(crate) fn a_change_by_hand_is_put_back(platform: &Platform) {
    let lab = &platform.lab;
    let path = "/apis/networking.k8s.io/v1/namespaces/platctl-system/networkpolicies/default-deny";
    let was = live(lab, path);
    let start = Instant::now();
    let open = r#"{"spec": {"policyTypes": ["Ingress"]}}"#;
    lab.kubectl(&["patch", "networkpolicy", "-n", "platctl-system", "default-deny", "--type=merge", "-p", open]);
    eventually("the policy to be closed again", || {
        let now = live(lab, path);
        if now["spec"] == was["spec"] { Ok(()) } else { Err(now["spec"].to_string()) }
    });
    println!("changed by hand to put back: {:.1?}", start.elapsed());

    lab.kubectl(&["delete", "networkpolicy", "-n", "platctl-system", "default-deny"]);
    let again = eventually("the policy to be there again", || lab.get(path).ok_or("it is not there".to_owned()));
    assert_ne!(again["metadata"]["uid"], was["metadata"]["uid"]);
    assert_eq!(again["spec"], was["spec"]);
}

/// The handoff gave platctl's fields to Argo CD: one that is deleted in Git is deleted in the cluster, although it was platctl that applied it.
pub(crate) fn a_field_deleted_in_git_goes(platform: &Platform) {
    let lab = &platform.lab;
    let label = "pod-security.kubernetes.io/audit";
    let namespace = || live(lab, "/api/v1/namespaces/cnpg-system");
    let operator = || live(lab, "/apis/apps/v1/namespaces/cnpg-system/deployments/cnpg-controller-manager");
    let (before, deployment) = (namespace(), operator());
    assert_eq!(
        (&before["metadata"]["labels"][label], &deployment["spec"]["revisionHistoryLimit"]),
        (&"restricted".into(), &3.into())
    );
    assert_eq!((appliers(&before), appliers(&deployment)), (vec![ARGO_MANAGER], vec![ARGO_MANAGER]));

    let clone = Clone::make(lab);
    clone.replace(NAMESPACES, &format!("    {label}: restricted\n"), "");
    clone.replace("charts/cnpg-operator/templates/deployment.yaml", "  revisionHistoryLimit: 3\n", "");
    let commit = clone.push("Two fields less");
    clone.refresh();
    eventually("the fields to go", || {
        let (namespace, operator) = (namespace(), operator());
        let (label, limit) = (&namespace["metadata"]["labels"][label], &operator["spec"]["revisionHistoryLimit"]);
        // What nobody sets has the API server's default.
        if label.is_null() && *limit == 10 { Ok(()) } else { Err(format!("{label}, {limit}")) }
    });
    until_all_at(lab, &commit);
    assert_eq!(operator()["spec"]["template"], deployment["spec"]["template"], "and nothing else changes");
    clone.restore();
    assert_eq!(namespace()["metadata"]["labels"], before["metadata"]["labels"]);
    assert_eq!(operator()["spec"], deployment["spec"]);
}
