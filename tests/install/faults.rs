//! What goes wrong in clusters: what passes is survived, what does not ends with the component's own words and a way on.

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::{SMALL, with};

#[test]
fn an_api_server_in_trouble_is_survived() {
    let lab = Lab::start();
    lab.forget_requests();
    // Of what the first faults let through, each next one counts on: every third write fails.
    for number in 1..=60 {
        lab.fault(&json!({"method": "PATCH", "status": 503, "skip": 2 * number, "count": 1}));
    }
    for number in 1..=20 {
        lab.fault(&json!({"method": "GET", "status": 429, "retryAfter": 1, "skip": 20 * number, "count": 1}));
        lab.fault(&json!({"method": "GET", "status": "reset", "skip": 20 * number + 10, "count": 1}));
    }
    lab.fault(&json!({"method": "POST", "path": "/secrets", "status": "hang", "count": 1}));
    lab.fault(&json!({"method": "PUT", "path": "/leases", "status": 500, "count": 1}));
    let installed = lab.run(&SMALL).expect(0);
    assert!(lab.faulted() > 60, "{}", lab.faulted());
    let retried = installed.all("retrying");
    for cause in ["fault injected by the lab", "no answer to POST"] {
        let named = |event: &&Value| event["cause"].as_str().unwrap().contains(cause);
        assert!(retried.iter().any(named), "nothing retried because of {cause}");
    }
    lab.clear_faults();
    assert_eq!(lab.run(&["status"]).expect(0).document()["ready"], true);
}

/// Its webhooks fail closed: nothing of the mesh can be written and no pod with a sidecar can be made until it is back.
#[test]
fn a_webhook_that_is_down_for_a_while_is_survived() {
    let lab = Lab::start();
    let mut run = lab.spawn(&SMALL);
    // Holds the run where the webhook is needed, so that it can be stopped at leisure.
    lab.fault(
        &json!({"method": "PATCH", "path": "/(peerauthentications|gateways)/", "status": 503, "message": "held"}),
    );
    run.until("the gateway wave", |event| event["type"] == "retrying" && event["cause"] == "held");
    lab.process("istiod", "stop");
    lab.clear_faults();
    let refused = |event: &Value| {
        event["type"] == "retrying" && event["cause"].as_str().unwrap().contains("failed calling webhook")
    };
    run.until("the webhook was missed", refused);
    lab.process("istiod", "start");
    run.end().expect(0);
    assert_eq!(lab.run(&["status"]).expect(0).document()["ready"], true);
}

#[test]
fn pods_that_cannot_start_end_the_run_in_their_own_words() {
    let lab = Lab::start();
    let install = with(&SMALL, &["--set", "timeouts.stuck=5s"]);
    lab.pods("observability", "^grafana", "imagepull", "");
    lab.pods("observability", "^loki", "slow", "");
    let failed = lab.run(&install).expect(1);
    failed.expect_words(&[
        "component `grafana` in wave 4 (services)",
        "Pod observability/grafana-",
        "does not become ready",
        "failed to pull and unpack image",
        "event on Pod observability/grafana-",
        "ImagePullBackOff",
        "likely the registry does not have this image",
        "run the same command again",
    ]);
    assert_eq!(lab.run(&["status"]).expect(1).document()["phase"], "installing");

    lab.heal_pods();
    lab.pods("observability", "^loki", "crashloop", "level=error msg=\"no space left on device\"");
    let failed = lab.run(&install).expect(1);
    failed.expect_words(&[
        "component `loki` in wave 4 (services)",
        "Pod observability/loki-0",
        "does not become ready",
        "CrashLoopBackOff",
        "event on Pod observability/loki-0: BackOff",
        "log of loki: level=error msg=\"no space left on device\"",
        "likely the volume or the node's disk is full",
        "run the same command again",
    ]);

    lab.heal_pods();
    lab.run(&install).expect(0);
    assert_eq!(lab.run(&["status"]).expect(0).document()["ready"], true);
}

/// A Service that gets no address is waited for until the wave's time is over. Meanwhile the lock keeps others out.
#[test]
fn a_missing_address_times_out_and_a_second_run_is_kept_out() {
    let lab = Lab::start();
    lab.load_balancers(false);
    let failed = lab.run(&with(&SMALL, &["--wave-timeout", "gateway=5s"])).expect(1);
    failed.expect_words(&[
        "component `istio-gateway` in wave 2 (gateway)",
        "Service istio-ingress/istio-gateway is not ready in time",
        "--set istio-gateway.service.type=NodePort",
        "run the same command again",
    ]);

    let mut first = lab.spawn(&SMALL);
    first.until("it waits for the address", |event| {
        event["type"] == "waiting" && event["id"]["kind"] == "Service" && event["component"] == "istio-gateway"
    });
    lab.forget_requests();
    let holder = format!("(process {}", first.id());
    for other in [&SMALL[..], &["uninstall", "--yes"]] {
        lab.run(other).expect(3).expect_words(&[
            "another run is at work: platctl install on ",
            &holder,
            "its lock runs out",
        ]);
    }
    let writes = lab.writes();
    // The first run may have renewed its lock.
    assert!(writes.iter().all(|write| write.contains("/leases/platctl")), "{writes:?}");
    lab.load_balancers(true);
    first.end().expect(0);
    assert_eq!(lab.list("/apis/coordination.k8s.io/v1/namespaces/platctl-system/leases"), [Value::Null; 0]);
}

/// A finalizer that nobody clears is named, and once it is cleared the same command goes on to the end.
#[test]
fn an_object_that_does_not_go_is_named_with_its_finalizer() {
    let lab = Lab::start();
    let before = lab.census();
    lab.run(&SMALL).expect(0);
    let held = ["configmap", "loki", "-n", "observability", "--type=merge"];
    let finalizers = |list: &str| format!("-p={{\"metadata\":{{\"finalizers\":{list}}}}}");
    lab.kubectl(&with(&with(&["patch"], &held), &[&finalizers("[\"example.org/held\"]")]));
    let uninstall = ["uninstall", "--yes", "--delete-data"];
    lab.run(&with(&uninstall, &["--timeout", "3s"])).expect(1).expect_words(&[
        "ConfigMap observability/loki: its finalizer `example.org/held` is not cleared",
        "run `platctl uninstall` again",
    ]);
    lab.kubectl(&with(&with(&["patch"], &held), &[&finalizers("null")]));
    lab.run(&uninstall).expect(0);
    lab.expect_census(&before);
}
