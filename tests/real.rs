//! The platform on a real node: containers, sidecars, `NetworkPolicies`, databases, logins. What an API server alone cannot show. Runs only with
//! `PLATCTL_REAL=1`, since it needs root, makes this machine a Kubernetes node and builds container images for a quarter of an hour the first
//! time. `PLATCTL_REAL_LAB=DIR` takes a lab that is up already, with the platform installed, and leaves it so; for the checks of production
//! alone, which install it themselves, without. Arguments choose checks. A whole platform on one small node is not as repeatable as a function:
//! what fails is tried a second time, and named as flaky when it passes then. `PLATCTL_REAL_SECONDS=N` is for CI: checks that would begin later are
//! left out, and said to be.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test harness prints")]

#[allow(dead_code, reason = "tests/install.rs needs the rest")]
#[path = "support/census.rs"]
mod census;
#[path = "real/database.rs"]
mod database;
#[path = "real/drain.rs"]
mod drain;
#[path = "real/figures.rs"]
mod figures;
#[path = "real/gateway.rs"]
mod gateway;
#[path = "real/gitops.rs"]
mod gitops;
#[path = "real/handed_over.rs"]
mod handed_over;
#[path = "real/hardening.rs"]
mod hardening;
#[allow(dead_code, reason = "tests/install.rs needs the rest")]
#[path = "support/lab.rs"]
mod lab;
#[path = "real/logins.rs"]
mod logins;
#[path = "real/logs.rs"]
mod logs;
#[path = "real/members.rs"]
mod members;
#[path = "real/mesh.rs"]
mod mesh;
#[path = "real/people.rs"]
mod people;
#[path = "real/platform.rs"]
mod platform;
#[path = "real/policies.rs"]
mod policies;
#[path = "real/probes.rs"]
mod probes;
#[path = "real/production.rs"]
mod production;
#[allow(dead_code, reason = "tests/install.rs needs the rest")]
#[path = "support/repository.rs"]
mod repository;
#[allow(dead_code, reason = "tests/install.rs needs the rest")]
#[path = "support/run.rs"]
mod run;
#[path = "real/supplied.rs"]
mod supplied;
#[path = "real/traces.rs"]
mod traces;
#[path = "real/way_back.rs"]
mod way_back;
#[path = "real/writer.rs"]
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use platform::Platform;
use tokio::time::Instant;

type Check = (&'static str, fn(&Platform));

/// In this order. What changes the platform for good comes late.
const CHECKS: &[Check] = &[
    ("platform::everything_is_ready_and_handed_over", platform::everything_is_ready_and_handed_over),
    // Before anything else is asked of the platform.
    ("figures::nothing_was_killed_for_want_of_memory", figures::nothing_was_killed_for_want_of_memory),
    // Before anything is killed on purpose.
    ("handed_over::no_pod_was_restarted", handed_over::no_pod_was_restarted),
    ("handed_over::argo_cd_owns_what_platctl_applied", handed_over::argo_cd_owns_what_platctl_applied),
    ("people::the_gateway_speaks_tls_alone", people::the_gateway_speaks_tls_alone),
    ("people::the_gateway_shows_a_new_certificate", people::the_gateway_shows_a_new_certificate),
    ("people::administrators_reach_argo_cd_and_grafana", people::administrators_reach_argo_cd_and_grafana),
    ("people::users_log_in_and_outlive_keycloak", people::users_log_in_and_outlive_keycloak),
    ("mesh::plaintext_is_refused_and_identities_are_served", mesh::plaintext_is_refused_and_identities_are_served),
    (
        "mesh::the_status_port_answers_the_operator_without_a_sidecar",
        mesh::the_status_port_answers_the_operator_without_a_sidecar,
    ),
    ("mesh::certificates_are_istiods_and_last_a_day", mesh::certificates_are_istiods_and_last_a_day),
    ("mesh::a_rotation_breaks_no_connection", mesh::a_rotation_breaks_no_connection),
    ("policies::network_policies_refuse_who_has_no_business", policies::network_policies_refuse_who_has_no_business),
    (
        "policies::authorization_policies_refuse_other_identities",
        policies::authorization_policies_refuse_other_identities,
    ),
    ("gitops::a_pushed_value_is_applied", gitops::a_pushed_value_is_applied),
    (
        "gitops::a_new_chart_is_discovered_and_pruned_when_it_goes",
        gitops::a_new_chart_is_discovered_and_pruned_when_it_goes,
    ),
    ("gitops::a_change_by_hand_is_put_back", gitops::a_change_by_hand_is_put_back),
    ("gitops::a_field_deleted_in_git_goes", gitops::a_field_deleted_in_git_goes),
    (
        "gitops::a_broken_chart_is_tried_five_times_and_status_says_why",
        gitops::a_broken_chart_is_tried_five_times_and_status_says_why,
    ),
    ("hardening::processes_run_as_the_charts_say", hardening::processes_run_as_the_charts_say),
    ("logs::a_line_of_a_pod_is_found", logs::a_line_of_a_pod_is_found),
    ("logs::events_of_keycloak_are_found", logs::events_of_keycloak_are_found),
    ("logs::records_of_postgresql_are_found", logs::records_of_postgresql_are_found),
    ("database::two_replicas_follow_the_primary", database::two_replicas_follow_the_primary),
    ("database::evictions_leave_a_primary_and_a_replica", database::evictions_leave_a_primary_and_a_replica),
    ("database::a_lost_primary_loses_no_row", database::a_lost_primary_loses_no_row),
    ("database::a_crashed_primary_loses_no_row", database::a_crashed_primary_loses_no_row),
    (
        "database::a_lost_primary_beside_a_missing_replica_loses_no_row",
        database::a_lost_primary_beside_a_missing_replica_loses_no_row,
    ),
    (
        "drain::a_drained_node_keeps_the_database_and_comes_back",
        drain::a_drained_node_keeps_the_database_and_comes_back,
    ),
    ("way_back::data_outlives_and_then_goes", way_back::data_outlives_and_then_goes),
];

/// On the node that the others have left without the platform; the first one installs it, the last one takes it away.
const PRODUCTION: &[Check] = &[
    (
        "production::installs_from_a_repository_and_secrets_of_ones_own",
        production::installs_from_a_repository_and_secrets_of_ones_own,
    ),
    ("production::everything_is_ready_and_handed_over", platform::everything_is_ready_and_handed_over),
    ("production::no_pod_was_restarted", handed_over::no_pod_was_restarted),
    (
        "production::two_of_most_things_are_ready_and_one_may_go",
        production::two_of_most_things_are_ready_and_one_may_go,
    ),
    ("production::the_gateway_speaks_tls_alone", people::the_gateway_speaks_tls_alone),
    ("production::administrators_reach_argo_cd_and_grafana", people::administrators_reach_argo_cd_and_grafana),
    ("production::administration_is_not_published", production::administration_is_not_published),
    ("members::both_are_in_one_cluster", members::both_are_in_one_cluster),
    ("members::they_talk_in_mutual_tls", members::they_talk_in_mutual_tls),
    ("members::nobody_else_reaches_them", members::nobody_else_reaches_them),
    ("members::a_login_goes_on_at_the_other_one", members::a_login_goes_on_at_the_other_one),
    ("members::logins_outlive_one_of_them", members::logins_outlive_one_of_them),
    ("production::network_policies_refuse_who_has_no_business", policies::network_policies_refuse_who_has_no_business),
    ("production::processes_run_as_the_charts_say", hardening::processes_run_as_the_charts_say),
    ("production::nothing_is_left_but_what_was_supplied", production::nothing_is_left_but_what_was_supplied),
];

fn passes(check: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_ok()
}

/// A check that fails may leave the platform as no other one expects it: a database without its primary, a node that takes no pods.
fn settle(platform: &Platform) {
    lab::eventually("the platform to be ready again", || {
        let status = platform.lab.run(&["status"]);
        let is_there = status.stdout.contains("components");
        if is_there && status.code != Some(0) { Err(status.stdout) } else { Ok(()) }
    });
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |(name, _): &&Check| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let mut chosen: Vec<&Check> = CHECKS.iter().filter(is_wanted).collect();
    let is_installed = !chosen.is_empty();
    chosen.extend(PRODUCTION.iter().filter(is_wanted));
    if std::env::var_os("PLATCTL_REAL").is_none() {
        println!("\n!!! NOT RUN: {} checks of the platform on a real node: PLATCTL_REAL=1, as root", chosen.len());
        println!("\ntest result: ok. 0 passed; 0 failed; {} ignored", chosen.len());
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} checks", chosen.len());
    let seconds = std::env::var_os("PLATCTL_REAL_SECONDS").map(|text| text.to_str().unwrap().parse().unwrap());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut failed, mut flaky, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    // What cannot be brought up fails by itself: nothing else could be checked.
    let platform = Platform::bring_up(is_installed);
    for (name, check) in &chosen {
        if end.is_some_and(|end| Instant::now() >= end) {
            left_out.push(*name);
            continue;
        }
        let begun = Instant::now();
        let mut passed = passes(|| check(&platform));
        if !passed {
            println!("test {name} ... failed ({} s), once more", begun.elapsed().as_secs());
            passes(|| settle(&platform));
            passed = passes(|| check(&platform));
            flaky.extend(passed.then_some(*name));
        }
        println!("test {name} ... {} ({} s)", if passed { "ok" } else { "FAILED" }, begun.elapsed().as_secs());
        if !passed {
            failed.push(name);
        }
    }
    if !flaky.is_empty() {
        println!("\n!!! FLAKY, passed the second time only: {}", flaky.join(", "));
    }
    if !left_out.is_empty() {
        println!("\n!!! NOT RUN, as the time was over: {}", left_out.join(", "));
    }
    platform.take_down(failed.is_empty());
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    let passed = chosen.len() - failed.len() - left_out.len();
    println!("\ntest result: {result}. {passed} passed; {} failed; {} ignored", failed.len(), left_out.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
