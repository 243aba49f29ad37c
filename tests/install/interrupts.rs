//! An installation stopped again and again, in order and by force, each run going on where the last one ended: it must come to the very state
//! that an undisturbed one comes to.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::census::Census;
use crate::lab::{Lab, eventually};
use crate::run::{Outcome, Run};

const INSTALL: [&str; 2] = ["install", "--yes"];

/// A run is stopped after this many milestones that no run has reached before. `PLATCTL_STRIDE=1` stops at each.
const STRIDE: usize = 6;

#[test]
fn interrupted_anywhere_it_ends_where_an_undisturbed_run_ends() {
    let lab = Lab::start();
    let before = lab.census();
    let stride = std::env::var_os("PLATCTL_STRIDE").map_or(STRIDE, |text| text.to_str().unwrap().parse().unwrap());
    let mut reached = BTreeSet::new();
    let mut run = lab.spawn(&INSTALL);
    let mut stops = 0;
    loop {
        let mut news = 0;
        let stop = run.seek(|event| {
            news += usize::from(reached.insert(milestone(event)));
            news == stride
        });
        if stop.is_none() {
            break;
        }
        stops += 1;
        run = if stops % 2 == 1 { after_interrupt(&lab, run) } else { after_kill(&lab, run, stops == 2) };
    }
    let ended = run.end().expect(0);
    assert_eq!(ended.events.last().unwrap()["type"], "finished");
    assert!(stops >= 10, "only {stops} stops");
    let resumed = settled(&lab);

    // A fresh cluster again, and no disturbance.
    lab.run(&["uninstall", "--yes", "--delete-data"]).expect(0);
    lab.expect_census(&before);
    lab.run(&INSTALL).expect(0);
    let undisturbed = settled(&lab);
    let differences = undisturbed.differences(&resumed, content);
    assert!(differences.is_empty(), "after {stops} stops:\n{}", differences.join("\n"));
}

/// Fields whose content is of chance: addresses, ports, certificates, where a volume happened to be wanted first.
const CHANCE: [&str; 7] = [
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "healthCheckNodePort",
    "volumeName",
    "caBundle",
    "volume.kubernetes.io/selected-node",
];

/// What counts as getting on. A wait or a retry of the same thing does not.
fn milestone(event: &Value) -> String {
    let kind = if event["type"] == "applied" { &event["id"]["kind"] } else { &Value::Null };
    let secret = if event["type"] == "secret-generated" { &event["id"]["name"] } else { &Value::Null };
    let parts = [&event["type"], &event["wave"], &event["component"], kind, secret, &event["name"], &event["health"]];
    parts.map(Value::to_string).join(" ")
}

/// Ctrl-C ends in order: the inventory says where, and the lock is free for the next run.
fn after_interrupt(lab: &Lab, run: Run) -> Run {
    run.interrupt();
    let ended = run.end();
    if ended.code == Some(0) {
        // It was faster; another run has nothing left to do.
        return lab.spawn(&INSTALL);
    }
    let ended = ended.expect(130);
    ended.expect_words(&["interrupted", "run the same command again"]);
    if let Some(interrupted) = ended.all("interrupted").first() {
        let inventory = inventory(lab);
        assert_eq!(
            (&inventory["phase"], &inventory["wave"]),
            (&"installing".into(), &interrupted["wave"]),
            "{inventory}"
        );
    }
    assert_eq!(leases(lab), [Value::Null; 0], "{}", ended.context());
    lab.spawn(&INSTALL)
}

/// A killed run keeps its lock, and the next is told whose it is, until it runs out. That takes half a minute, so it is awaited only once.
fn after_kill(lab: &Lab, mut run: Run, is_awaited: bool) -> Run {
    run.kill();
    let holder = format!("(process {}", run.id());
    let killed = run.end();
    assert!(killed.code.is_none(), "{}", killed.context());
    let Some(lease) = leases(lab).pop() else { return lab.spawn(&INSTALL) };
    assert!(lease["spec"]["holderIdentity"].as_str().unwrap().contains(&holder), "{lease:#}");
    if !is_awaited {
        lab.kubectl(&["delete", "lease", "platctl", "-n", "platctl-system"]);
        return lab.spawn(&INSTALL);
    }
    let mut refusals = 0;
    let run = eventually("the lock of the dead to run out", || {
        let mut run = lab.spawn(&INSTALL);
        let event =
            run.until("it is refused or not", |event| event["type"] == "failed" || event["type"] == "wave-started");
        if event["type"] == "wave-started" {
            return Ok(run);
        }
        let refused: Outcome = run.end().expect(3);
        refused.expect_words(&["another run is at work: platctl install on ", &holder, "its lock runs out"]);
        refusals += 1;
        Err(refused.last_words())
    });
    assert!(refusals > 0, "nobody was refused");
    run
}

fn leases(lab: &Lab) -> Vec<Value> {
    lab.list("/apis/coordination.k8s.io/v1/namespaces/platctl-system/leases")
}

fn inventory(lab: &Lab) -> Value {
    let record = lab.get("/api/v1/namespaces/platctl-system/configmaps/platctl-inventory").unwrap();
    serde_json::from_str(record["data"]["inventory"].as_str().unwrap()).unwrap()
}

/// Everything ready, nothing locked; and all that is there.
fn settled(lab: &Lab) -> Census {
    let status = lab.run(&["status"]).expect(0).document();
    assert_eq!((&status["ready"], &status["phase"]), (&true.into(), &"handed-over".into()), "{status:#}");
    assert_eq!(leases(lab), [Value::Null; 0]);
    let inventory = inventory(lab);
    assert_eq!(inventory["readyWaves"].as_array().unwrap().len(), 5, "{inventory}");
    // What is made from other objects has names of chance.
    lab.census().without(|object| {
        object["metadata"]["ownerReferences"].is_array()
            || object["kind"] == "Pod"
            || object["kind"] == "PersistentVolume"
            || object["kind"] == "IPAddress"
    })
}

/// What must be the same after both: of the platform's own objects everything that is not of chance, how often they were changed included.
fn content(object: &Value) -> Value {
    let metadata = &object["metadata"];
    if metadata["labels"]["platctl.dev/component"].is_null() || metadata["name"] == "platctl-inventory" {
        return Value::Null;
    }
    let keys = |map: &Value| map.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    let managers: BTreeSet<String> = metadata["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| format!("{} {} {}", entry["manager"], entry["operation"], entry["subresource"]))
        .collect();
    let mut content = json!({
        "labels": metadata["labels"], "annotations": metadata["annotations"], "finalizers": metadata["finalizers"],
        "generation": metadata["generation"], "managers": managers, "spec": object["spec"], "webhooks": object["webhooks"],
        "rules": object["rules"], "roleRef": object["roleRef"], "subjects": object["subjects"], "type": object["type"],
        "data": if object["kind"] == "Secret" { json!(keys(&object["data"])) } else { object["data"].clone() },
    });
    forget_chance(&mut content);
    content
}

/// Takes away what is new each time.
fn forget_chance(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in CHANCE {
                map.remove(key);
            }
            map.values_mut().for_each(forget_chance);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_chance),
        _ => {}
    }
}
