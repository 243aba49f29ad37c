//! `platctl version`: which platctl this is and how it was built.

use anyhow::Result;
use serde::Serialize;

use crate::ui::Ui;

#[derive(Serialize)]
pub(super) struct Build {
    pub(super) version: &'static str,
    /// Only a release knows it: see `build.rs`.
    commit: Option<&'static str>,
    target: &'static str,
    rustc: &'static str,
}

pub(super) const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    commit: known(env!("BUILD_COMMIT")),
    target: env!("BUILD_TARGET"),
    rustc: env!("BUILD_RUSTC"),
};

pub(super) fn run(ui: &Ui) -> Result<u8> {
    let commit = BUILD.commit.map(|commit| format!("commit {commit}, ")).unwrap_or_default();
    // One line: install.sh and bug reports take it as it is.
    let text = format!("platctl {} ({commit}{}, rustc {})\n", BUILD.version, BUILD.target, BUILD.rustc);
    ui.result(&BUILD, &text)?;
    Ok(0)
}

const fn known(text: &'static str) -> Option<&'static str> {
    if text.is_empty() { None } else { Some(text) }
}
