//! The whole of platctl against the lab, a real control plane: what it does on a good day, what it survives, what it refuses, and what it
//! leaves behind. Each test has a lab of its own; they take turns.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]
#![expect(clippy::print_stderr, reason = "a failed test says where the logs are")]

#[path = "support/census.rs"]
mod census;
#[path = "install/certificates.rs"]
mod certificates;
#[path = "install/day_two.rs"]
mod day_two;
#[path = "install/faults.rs"]
mod faults;
#[path = "install/interrupts.rs"]
mod interrupts;
#[allow(dead_code, reason = "tests/real.rs needs the rest")]
#[path = "support/lab.rs"]
mod lab;
#[path = "install/own_repository.rs"]
mod own_repository;
#[path = "install/prepull.rs"]
mod prepull;
#[path = "install/refusals.rs"]
mod refusals;
#[path = "install/repeated.rs"]
mod repeated;
#[path = "support/repository.rs"]
mod repository;
#[allow(dead_code, reason = "tests/real.rs needs the rest")]
#[path = "support/run.rs"]
mod run;
#[path = "install/support_bundle.rs"]
mod support_bundle;
#[path = "install/upgrade.rs"]
mod upgrade;
#[path = "install/whole_way.rs"]
mod whole_way;

/// `install` without what takes long, for tests that are about something else.
const SMALL: [&str; 7] = [
    "install",
    "--yes",
    "--no-handoff",
    "--set",
    "components.postgres.enabled=false",
    "--set",
    "components.keycloak.enabled=false",
];

/// A command and further flags.
fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}
