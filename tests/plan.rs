//! The plan of each built-in profile: what is in it, and what must be true of every object of it. The ids in the files' first lines are
//! those of the requirements, see `embedded/README.md`. A violation names profile, object and container; all come at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

#[path = "plan/access.rs"]
mod access;
#[path = "plan/availability.rs"]
mod availability;
#[path = "support/credential.rs"]
mod credential;
#[path = "plan/credentials.rs"]
mod credentials;
#[path = "plan/gitops.rs"]
mod gitops;
#[path = "plan/hardening.rs"]
mod hardening;
#[path = "plan/injected.rs"]
mod injected;
#[path = "plan/logins.rs"]
mod logins;
#[path = "plan/mesh.rs"]
mod mesh;
#[path = "plan/mirror.rs"]
mod mirror;
#[path = "plan/network.rs"]
mod network;
#[path = "plan/platform.rs"]
mod platform;
#[path = "plan/preflight.rs"]
mod preflight;
#[path = "plan/prepull.rs"]
mod prepull;
#[path = "plan/quoting.rs"]
mod quoting;
#[path = "plan/reference.rs"]
mod reference;
#[path = "plan/refusals.rs"]
mod refusals;
#[path = "plan/requirements.rs"]
mod requirements;
#[path = "plan/services.rs"]
mod services;
#[path = "plan/shape.rs"]
mod shape;
#[path = "plan/upgrade.rs"]
mod upgrade;
#[path = "plan/wizard.rs"]
mod wizard;
