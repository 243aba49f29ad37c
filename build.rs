//! What only the build knows and `platctl version` tells: the target and the compiler. The commit comes from whoever builds a release, in
//! `PLATCTL_COMMIT`: asked of Git here, every commit would compile the crate anew, and a source archive has no Git to ask.

#![expect(clippy::disallowed_methods, reason = "Cargo tells a build script everything by the environment")]

use std::env;
use std::process::Command;

fn main() {
    // Without such a line every changed file of the package would run this again.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PLATCTL_COMMIT");
    println!("cargo::rustc-env=BUILD_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=BUILD_RUSTC={}", rustc().unwrap_or_default());
    println!("cargo::rustc-env=BUILD_COMMIT={}", env::var("PLATCTL_COMMIT").unwrap_or_default());
}

/// `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn rustc() -> Option<String> {
    let said = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(said.stdout).ok()?.split_whitespace().nth(1)?.to_owned())
}
