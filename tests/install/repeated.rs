//! What a run finds done already, it does not do again; what it only shows, it does not do at all.

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::{SMALL, with};

#[test]
fn a_dry_run_says_everything_and_writes_nothing() {
    let lab = Lab::start();
    let before = lab.census();
    lab.forget_requests();
    let dry = lab.run(&["install", "--dry-run"]).expect(0);
    let planned = dry.only("planned");
    let promised: u64 = planned["waves"].as_array().unwrap().iter().map(|wave| wave["objects"].as_u64().unwrap()).sum();
    assert_eq!(planned["waves"].as_array().unwrap().len(), 5);
    let finished = dry.only("finished");
    assert_eq!((&finished["created"], &finished["configured"]), (&promised.into(), &0.into()), "{finished}");
    assert_eq!(dry.all("applied").iter().filter(|event| event["change"] == "created").count() as u64, promised);
    dry.expect_words(&["nothing was written"]);

    let diff = lab.run(&["diff"]).expect(1);
    assert_eq!(diff.stdout.lines().filter(|line| line.starts_with("+ ")).count() as u64, promised);
    diff.expect_words(&[&format!("{promised} of {promised} objects would change")]);
    lab.run(&["preflight"]).expect(0);
    lab.run(&["status"]).expect(1).expect_words(&["platctl has installed nothing here"]);
    lab.run(&["uninstall", "--yes"]).expect(0).expect_words(&["nothing of platctl is installed"]);

    assert_eq!(lab.writes(), [""; 0]);
    lab.expect_census(&before);
}

#[test]
fn a_converged_run_writes_nothing() {
    let lab = Lab::start();
    let first = lab.run(&SMALL).expect(0);
    // The namespace of the lock is there before the chart that configures it.
    let finished = first.only("finished");
    let objects = finished["created"].as_u64().unwrap() + 1;
    assert_eq!((&finished["configured"], &finished["unchanged"]), (&1.into(), &0.into()), "{finished}");
    assert_eq!(first.all("applied").len() as u64, objects);
    let before = lab.census();
    lab.forget_requests();

    let second = lab.run(&SMALL).expect(0);
    let finished = second.only("finished");
    assert_eq!((&finished["created"], &finished["configured"]), (&0.into(), &0.into()), "{finished}");
    assert_eq!(finished["unchanged"], objects);
    let status = lab.run(&["status"]).expect(0).document();
    assert_eq!((&status["ready"], &status["phase"]), (&true.into(), &"installed".into()), "{status:#}");
    for component in status["components"].as_array().unwrap() {
        assert_eq!((&component["ready"], &component["drift"]), (&true.into(), &Value::Null), "{component:#}");
    }
    let no_handoff = SMALL.iter().filter(|flag| !["install", "--yes", "--no-handoff"].contains(flag));
    let diff = with(&["diff"], &no_handoff.copied().collect::<Vec<_>>());
    let diff = lab.run(&diff).expect(0);
    diff.expect_words(&["0 of "]);
    assert_eq!(diff.stdout, "");
    lab.run(&["uninstall", "--dry-run"]).expect(0).expect_words(&["this will be removed"]);

    assert_eq!(lab.writes(), [""; 0]);
    let differences = before
        .differences(&lab.census(), |object| json!([object["metadata"]["uid"], object["metadata"]["generation"]]));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Without `--delete-data`, what people would miss outlives an uninstallation, and the next installation finds it.
#[test]
fn data_outlives_an_uninstallation() {
    let lab = Lab::start();
    let install = ["install", "--yes", "--no-handoff"];
    lab.run(&install).expect(0);
    let data = || {
        let census = lab.census();
        let kept = |object: &Value| {
            object["kind"] == "PersistentVolumeClaim" || object["metadata"]["labels"]["platctl.dev/generated"] == "keep"
        };
        census.without(|object| !kept(object) || object["metadata"]["namespace"] == "platctl-system")
    };
    let before = data();
    assert!(before.objects().count() > 5, "{before:?}");

    let uninstalled = lab.run(&["uninstall", "--yes"]).expect(0);
    let identity = |object: &Value| json!([object["metadata"]["uid"], object["data"], object["spec"]["volumeName"]]);
    let differences = before.differences(&data(), identity);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let kept: Vec<String> = uninstalled.all("kept").iter().map(|event| event["id"]["name"].to_string()).collect();
    for (name, object) in before.objects() {
        assert!(kept.contains(&object["metadata"]["name"].to_string()), "{name} is kept and not named: {kept:?}");
    }

    lab.run(&install).expect(0);
    assert_eq!(lab.run(&["status"]).expect(0).document()["ready"], true);
    let differences = before.differences(&data(), identity);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
