//! Figures of the installation, printed as tables for docs/real-node.md. They are this machine's, so none is asserted; that nothing was killed
//! for want of memory is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use platctl::plan::preflight::millis;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::platform::{Platform, items};
use crate::traces::name;

/// One container of all pods of a component, or all of them together.
#[derive(Default)]
struct Row {
    pods: usize,
    request: u64,
    limit: u64,
    /// The page cache counts too, and the kernel takes it back before it kills: a peak at the limit is no want by itself.
    peak: u64,
    /// What it holds now without files that could be read again.
    held: u64,
}

/// How a version of control groups names what is asked for.
struct Groups {
    root: &'static str,
    peak: &'static str,
    now: &'static str,
    kills: &'static str,
}

const GROUPS: [Groups; 2] = [
    Groups {
        root: "/sys/fs/cgroup/memory/platctl-lab/kubepods",
        peak: "memory.max_usage_in_bytes",
        now: "memory.usage_in_bytes",
        kills: "memory.oom_control",
    },
    Groups {
        root: "/sys/fs/cgroup/platctl-lab/kubepods",
        peak: "memory.peak",
        now: "memory.current",
        kills: "memory.events",
    },
];

/// SEC-5: the limits are no smaller than what the installation takes. Prints how long each wave took, and the memory of each container beside
/// its request and limit.
pub(crate) fn nothing_was_killed_for_want_of_memory(platform: &Platform) {
    print_waves(platform);
    let pods = platform.lab.list("/api/v1/pods?labelSelector=platctl.dev/component");
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut killed = Vec::new();
    for pod in pods.iter().filter(|pod| pod["status"]["phase"] == "Running") {
        let component = pod["metadata"]["labels"]["platctl.dev/component"].as_str().unwrap();
        let mut sum = Row::default();
        for (container, status) in running(pod) {
            let what = format!("{component}: {} of {}: {status}", container["name"], name(pod));
            if status["lastState"]["terminated"]["reason"] == "OOMKilled" {
                killed.push(what.clone());
            }
            let (groups, path) = group(pod, status);
            if field(&path.join(groups.kills), "oom_kill") != 0 {
                killed.push(what);
            }
            let row = measure(container, groups, &path);
            (sum.request, sum.limit) = (sum.request + row.request, sum.limit + row.limit);
            (sum.peak, sum.held) = (sum.peak + row.peak, sum.held + row.held);
            let key = (component.to_owned(), container["name"].as_str().unwrap().to_owned());
            let of_all = rows.entry(key).or_default();
            of_all.pods += 1;
            (of_all.request, of_all.limit) = (row.request, row.limit);
            (of_all.peak, of_all.held) = (of_all.peak.max(row.peak), of_all.held.max(row.held));
        }
        for component in [component, "~"] {
            let all = rows.entry((component.to_owned(), String::new())).or_default();
            all.pods += 1;
            (all.request, all.limit) = (all.request + sum.request, all.limit + sum.limit);
            (all.peak, all.held) = (all.peak + sum.peak, all.held + sum.held);
        }
    }
    print_memory(&rows);
    assert!(rows.len() > 20, "{} rows", rows.len());
    assert!(killed.is_empty(), "killed for want of memory:\n{}", killed.join("\n"));
}

/// From its start to its end, in the installation's own events. Nothing when the platform was there already.
fn print_waves(platform: &Platform) {
    let Some(installed) = &platform.installed else { return };
    let time = |event: &Value| OffsetDateTime::parse(event["time"].as_str().unwrap(), &Rfc3339).unwrap();
    println!("| wave | took |\n|---|---|");
    for started in installed.all("wave-started") {
        let ended = installed.all("wave-ready").into_iter().find(|ended| ended["wave"] == started["wave"]).unwrap();
        let took = (time(ended) - time(started)).as_seconds_f32();
        println!("| {} {} | {took:.0} s |", started["wave"], started["name"].as_str().unwrap());
    }
    let all = time(installed.events.last().unwrap()) - time(&installed.events[0]);
    println!("| from the first event to the last, handoff included | {:.0} s |\n", all.as_seconds_f32());
}

fn print_memory(rows: &BTreeMap<(String, String), Row>) {
    println!("| component | container | pods | request | limit | peak | held now |\n|---|---|---|---|---|---|---|");
    for ((component, container), row) in rows {
        let component = if component == "~" { "all" } else { component };
        let container = if container.is_empty() { "all together" } else { container };
        let mebi = [row.request, row.limit, row.peak, row.held].map(|bytes| (bytes >> 20).to_string());
        println!("| {component} | {container} | {} | {} |", row.pods, mebi.join(" | "));
    }
    println!();
}

/// The containers of a pod that run, sidecars included: as they are specified, and how they are.
fn running(pod: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let kinds = [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")];
    kinds.into_iter().flat_map(move |(containers, statuses)| {
        let statuses = items(&pod["status"][statuses]).iter().filter(|status| !status["state"]["running"].is_null());
        statuses.map(move |status| {
            let of = items(&pod["spec"][containers]).iter().find(|container| container["name"] == status["name"]);
            (of.unwrap(), status)
        })
    })
}

/// Its control group on this machine.
fn group(pod: &Value, status: &Value) -> (&'static Groups, PathBuf) {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let id = status["containerID"].as_str().unwrap().trim_start_matches("containerd://");
    let places = GROUPS.iter().flat_map(|groups| {
        ["", "burstable", "besteffort"]
            .map(|class| (groups, Path::new(groups.root).join(class).join(format!("pod{uid}/{id}"))))
    });
    let found = places.into_iter().find(|(_, path)| path.is_dir());
    assert!(found.is_some(), "no control group of {} {id}", name(pod));
    found.unwrap()
}

fn measure(container: &Value, groups: &Groups, path: &Path) -> Row {
    let number = |file: &str| fs::read_to_string(path.join(file)).unwrap().trim().parse::<u64>().unwrap();
    let quantity = |kind: &str| millis(&container["resources"][kind]["memory"]) / 1000;
    let files = ["inactive_file", "active_file"].map(|kind| field(&path.join("memory.stat"), kind));
    Row {
        pods: 1,
        request: quantity("requests"),
        limit: quantity("limits"),
        peak: number(groups.peak),
        held: number(groups.now).saturating_sub(files.iter().sum()),
    }
}

/// One line of a file of the kernel's, `name number`.
fn field(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    assert!(value.is_some(), "{} has no {name}", file.display());
    value.unwrap()
}
