//! `platctl man DIR`: the man pages, one a command, from the same types as the help.

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::{Cli, Man};
use crate::ui::Ui;

pub(super) fn run(flags: &Man, ui: &Ui) -> Result<u8> {
    let directory = &flags.directory;
    std::fs::create_dir_all(directory).with_context(|| format!("make `{}`", directory.display()))?;
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("write the man pages to `{}`", directory.display()))?;
    ui.say(&format!("wrote the man pages to `{}`", directory.display()));
    Ok(0)
}
