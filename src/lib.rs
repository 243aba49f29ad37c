//! platctl: from an empty Kubernetes cluster to a running, secured, GitOps-owned platform.
//!
//! *plan* and *readiness* are pure functions over JSON; *engine* walks the plan against *cluster*; all it does leaves as an *event*; only
//! *ui* prints. Dependencies go down only; `tests/layers.rs` enforces it.
//!
//! ```text
//! main → lib → commands ─┬─→ engine ─┬─→ cluster ─┬─→ (kube, tokio)
//!                        │           │            ├─→ bundle (Evidence) ──→ plan (YAML)
//!                        │           │            └─→ plan (Facts), readiness (is a pod ready?)
//!                        │           ├─→ plan ───────→ (serde_json, gotmpl)
//!                        │           └─→ readiness ──→ (serde_json)        object, failure: used by all, use nothing
//!                        ├─→ embedded, cluster, bundle
//!                        └─→ ui ──→ event ←── engine
//! ```

pub mod bundle;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod embedded;
pub mod engine;
pub mod event;
pub mod failure;
pub mod object;
pub mod plan;
pub mod readiness;
pub mod ui;

use std::process::ExitCode;

use failure::{Failure, code};

/// Runs a command to its exit code. Everything that goes wrong is shown once, here.
pub fn run(cli: &cli::Cli) -> ExitCode {
    let ui = ui::Ui::new(&cli.global);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.failure(&Failure::of(&anyhow::Error::from(error).context("start the runtime")));
            return ExitCode::from(code::FAILED);
        }
    };
    let done = runtime.block_on(commands::dispatch(cli, &ui));
    // Requests that are still under way must not hold up the exit.
    runtime.shutdown_background();
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let failure = Failure::of(&error);
            ui.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}
