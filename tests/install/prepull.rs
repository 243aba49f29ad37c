//! Images that are pulled ahead: the pods for it are there while the waves go on, gone with the run however it ends, and no reason to fail.

use serde_json::{Value, json};

use crate::lab::{Lab, eventually};
use crate::{SMALL, with};

fn pods(lab: &Lab) -> Vec<Value> {
    lab.list("/api/v1/namespaces/platctl-system/pods?labelSelector=platctl.dev/prepull")
}

/// Neither the pods nor their policy.
fn expect_gone(lab: &Lab) {
    let policies =
        "/apis/networking.k8s.io/v1/namespaces/platctl-system/networkpolicies?labelSelector=platctl.dev/prepull";
    eventually("the pods that pull ahead to be gone", || match (pods(lab).as_slice(), lab.list(policies).as_slice()) {
        ([], []) => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

#[test]
fn images_are_pulled_ahead_and_nothing_stays_of_it() {
    let lab = Lab::start_with(&["--pull-delay", "1s"]);
    let before = lab.census();
    let install = with(&SMALL, &["--prepull"]);

    // It may not be done at all: the installation goes on.
    lab.fault(&json!({"method": "PATCH", "path": "/namespaces/platctl-system/pods/", "status": 403}));
    let mut run = lab.spawn(&install);
    let warned = run.until("the warning", |event| event["type"] == "warned" && event["check"] == "prepull");
    assert!(
        warned["title"].as_str().unwrap().starts_with("the images of later waves are not pulled ahead: "),
        "{warned}"
    );
    run.until("the first wave to go on", |event| event["type"] == "component-ready");
    lab.clear_faults();
    run.interrupt();
    run.end().expect(130);
    expect_gone(&lab);

    // A pod for each node while it works, all of them gone after Ctrl-C.
    let mut run = lab.spawn(&install);
    let told = run.until("the news of it", |event| event["type"] == "prepulling");
    assert_eq!(told["nodes"], 3, "{told}");
    eventually("the pods to have nodes", || {
        let nodes: Vec<Value> = pods(&lab).iter().map(|pod| pod["spec"]["nodeName"].clone()).collect();
        let mut names: Vec<&str> = nodes.iter().filter_map(Value::as_str).collect();
        names.sort_unstable();
        if names == ["lab-node-1", "lab-node-2", "lab-node-3"] { Ok(()) } else { Err(format!("{nodes:?}")) }
    });
    run.interrupt();
    run.end().expect(130);
    expect_gone(&lab);

    // Killed, it leaves them to the next run, which need not do the same.
    let mut run = lab.spawn(&install);
    run.until("the news of it", |event| event["type"] == "prepulling");
    run.kill();
    run.end();
    assert_eq!(pods(&lab).len(), 3);
    lab.kubectl(&["delete", "lease", "platctl", "-n", "platctl-system"]);
    lab.run(&SMALL).expect(0);
    expect_gone(&lab);

    // On a converged cluster there is nothing to pull.
    lab.forget_requests();
    let again = lab.run(&install).expect(0);
    assert!(again.all("prepulling").is_empty());
    assert_eq!(lab.writes(), [""; 0]);

    lab.run(&["uninstall", "--yes", "--delete-data"]).expect(0);
    lab.expect_census(&before);
}
