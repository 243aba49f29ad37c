//! SEC-4 read back from what runs: the processes of every container as the node's kernel knows them, and for the containers that have
//! done their work and ended, what containerd started them with. `tests/plan/hardening.rs` holds the same rules for what the charts say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::platform::{Platform, items};

/// The rules whose outcome can be seen on the node, named as in the exceptions of `component.yaml`.
const RULES: [&str; 6] = [
    "runAsNonRoot",
    "readOnlyRootFilesystem",
    "capabilities",
    "allowPrivilegeEscalation",
    "seccompProfile",
    "hostPath",
];

/// Object, container and rule of an exception.
type Excuse = (String, String, String);

/// SEC-4: no container has more than the charts say, and the exceptions are those of `component.yaml`, each one needed.
pub(crate) fn processes_run_as_the_charts_say(platform: &Platform) {
    let processes = processes_by_container();
    let (mut running, mut ended) = (0, 0);
    // With the problem in words, of the first container that has it.
    let mut found: BTreeMap<Excuse, String> = BTreeMap::new();
    for pod in pods(platform) {
        let name = pod["metadata"]["name"].as_str().unwrap();
        if items(&pod["spec"]["volumes"]).iter().any(|volume| volume["hostPath"].is_object()) {
            let excuse = (owner(&pod), String::new(), "hostPath".to_owned());
            found.entry(excuse).or_insert_with(|| format!("{name} sees paths of the node"));
        }
        for list in ["initContainerStatuses", "containerStatuses"] {
            for status in items(&pod["status"][list]) {
                let container = status["name"].as_str().unwrap();
                // One that still waits for its start has none.
                let Some(id) = status["containerID"].as_str() else { continue };
                let id = id.trim_start_matches("containerd://");
                let problems = if status["state"]["running"].is_object() {
                    running += 1;
                    let processes = processes.get(id).map_or(&[][..], Vec::as_slice);
                    assert!(!processes.is_empty(), "{name}, {container}: runs, but has no process with cgroup {id}");
                    let user = stated_user(&pod, container);
                    processes.iter().flat_map(|process| problems_of_process(process, user)).collect()
                } else {
                    ended += 1;
                    problems_of_start(&started_with(platform, id))
                };
                for (rule, problem) in problems {
                    let excuse = (object(&pod, container), container.to_owned(), rule.to_owned());
                    found.entry(excuse).or_insert_with(|| format!("{name}: {problem}"));
                }
            }
        }
    }
    assert!(running > 20 && ended > 5, "only {running} containers run and {ended} have ended: are these all pods?");
    println!("{running} running containers and {ended} that ended; {found:#?}");

    let catalog = platctl::embedded::catalog().unwrap();
    let exceptions = catalog.entries().flat_map(|entry| &entry.component.exceptions);
    let excused: BTreeSet<Excuse> = exceptions
        .filter(|exception| RULES.contains(&exception.rule.as_str()))
        .map(|exception| (exception.object.clone(), exception.container.clone(), exception.rule.clone()))
        .collect();
    let unexcused: Vec<_> = found.iter().filter(|(excuse, _)| !excused.contains(excuse)).collect();
    assert!(unexcused.is_empty(), "not listed as exceptions: {unexcused:#?}");
    let unneeded: Vec<_> = excused.iter().filter(|excuse| !found.contains_key(excuse)).collect();
    assert!(unneeded.is_empty(), "listed as exceptions, but nothing runs so: {unneeded:#?}");
}

/// The pods of the platform's namespaces.
fn pods(platform: &Platform) -> Vec<Value> {
    let namespaces = platform.lab.list("/api/v1/namespaces?labelSelector=platctl.dev%2Fcomponent");
    let of = |namespace: &Value| {
        let name = namespace["metadata"]["name"].as_str().unwrap();
        platform.lab.list(&format!("/api/v1/namespaces/{name}/pods"))
    };
    namespaces.iter().flat_map(of).collect()
}

/// The object of the chart that a container is from.
fn object(pod: &Value, container: &str) -> String {
    if container == "istio-init" { "ConfigMap/istio-sidecar-injector".to_owned() } else { owner(pod) }
}

fn owner(pod: &Value) -> String {
    let owner = &pod["metadata"]["ownerReferences"][0];
    let (Some(kind), Some(name)) = (owner["kind"].as_str(), owner["name"].as_str()) else {
        return format!("Pod/{}", pod["metadata"]["name"].as_str().unwrap());
    };
    match name.rsplit_once('-') {
        Some((deployment, _)) if kind == "ReplicaSet" => format!("Deployment/{deployment}"),
        _ => format!("{kind}/{name}"),
    }
}

/// The user that the pod asks for.
fn stated_user(pod: &Value, container: &str) -> Option<u64> {
    let spec = &pod["spec"];
    let mut all = items(&spec["initContainers"]).iter().chain(items(&spec["containers"]));
    let own = &all.find(|one| one["name"] == container).unwrap()["securityContext"]["runAsUser"];
    own.as_u64().or_else(|| spec["securityContext"]["runAsUser"].as_u64())
}

/// The directories in `/proc` of the processes of each container: the last part of a process's cgroup is the container's id. The
/// node's processes are in a space of their own, which is below this one, so that all of them can be seen from here.
fn processes_by_container() -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        // What is no process has no such file, and what has ended has none any more.
        let Ok(cgroups) = fs::read_to_string(path.join("cgroup")) else { continue };
        if let Some(group) = cgroups.lines().find(|line| line.contains("/kubepods/")) {
            found.entry(group.rsplit('/').next().unwrap().to_owned()).or_default().push(path);
        }
    }
    found
}

/// Rule and problem. None for a process that ended while it was being looked at.
fn problems_of_process(process: &Path, stated_user: Option<u64>) -> Vec<(&'static str, String)> {
    let (Ok(status), Ok(mounts)) =
        (fs::read_to_string(process.join("status")), fs::read_to_string(process.join("mountinfo")))
    else {
        return Vec::new();
    };
    // A process that has ended and waits to be reaped has no mounts.
    let Some(root) = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")) else { return Vec::new() };
    // A field that is missing is none that is in order.
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        assert!(line.is_some(), "no {name} in {status}");
        line.unwrap().split_whitespace().collect::<Vec<_>>()
    };
    let mut problems = Vec::new();
    // Real, effective, saved, and that of the file system.
    for user in field("Uid:") {
        let user: u64 = user.parse().unwrap();
        assert!(stated_user.is_none_or(|stated| stated == user), "{user} instead of {stated_user:?}: {status}");
        if user == 0 {
            problems.push(("runAsNonRoot", "runs as root".to_owned()));
        }
    }
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        let value = field(set);
        if value.iter().any(|value| value.contains(|digit: char| digit != '0')) {
            problems.push(("capabilities", format!("{set} {}", value.join(" "))));
        }
    }
    if field("NoNewPrivs:") != ["1"] {
        problems.push(("allowPrivilegeEscalation", "may gain privileges".to_owned()));
    }
    // 2: a filter is in force.
    if field("Seccomp:") != ["2"] {
        problems.push(("seccompProfile", "has no seccomp filter".to_owned()));
    }
    let is_read_only = root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro");
    if !is_read_only || !refuses_writes(process) {
        problems.push(("readOnlyRootFilesystem", format!("can write to its root: {root}")));
    }
    problems
}

/// Tries it, as root of the node, whom nothing stops but the mount itself.
fn refuses_writes(process: &Path) -> bool {
    let probe = process.join("root/platctl-probe");
    match File::create_new(&probe) {
        Ok(_) => {
            fs::remove_file(probe).unwrap();
            false
        }
        // Gone meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{}: {error}", probe.display());
            true
        }
    }
}

/// What containerd was told to start an ended container with: its OCI runtime specification.
fn started_with(platform: &Platform, id: &str) -> Value {
    let file = platform.lab.directory().join("pids/node-space.pid");
    let pids = fs::read_to_string(file).unwrap();
    let mut inside = Command::new("nsenter");
    inside.args(["--mount", "--pid", "--target", pids.split_whitespace().next().unwrap(), "--"]);
    let output = inside.args(["ctr", "--namespace", "k8s.io", "containers", "info", id]).output().unwrap();
    assert!(output.status.success(), "container {id}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["Spec"].take()
}

fn problems_of_start(specification: &Value) -> Vec<(&'static str, String)> {
    let process = &specification["process"];
    assert!(process["user"]["uid"].is_u64(), "no user in {process:#}");
    let mut problems = Vec::new();
    if process["user"]["uid"] == 0 {
        problems.push(("runAsNonRoot", "was started as root".to_owned()));
    }
    for set in ["inheritable", "permitted", "effective", "bounding", "ambient"] {
        let capabilities = &process["capabilities"][set];
        if !items(capabilities).is_empty() {
            // More than the exception speaks of is none that it excuses.
            let excused = [["CAP_NET_ADMIN", "CAP_NET_RAW"].as_slice(), &["CAP_NET_RAW", "CAP_NET_ADMIN"]];
            let is_excused = excused.iter().any(|pair| *capabilities == serde_json::json!(pair));
            problems
                .push((if is_excused { "capabilities" } else { "otherCapabilities" }, format!("{set} {capabilities}")));
        }
    }
    if process["noNewPrivileges"] != true {
        problems.push(("allowPrivilegeEscalation", "was allowed to gain privileges".to_owned()));
    }
    if !specification["linux"]["seccomp"]["syscalls"].is_array() {
        problems.push(("seccompProfile", "was started without a seccomp filter".to_owned()));
    }
    if specification["root"]["readonly"] != true {
        problems.push(("readOnlyRootFilesystem", "could write to its root".to_owned()));
    }
    problems
}
