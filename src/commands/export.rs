//! `platctl export DIR`: the Git tree that Argo CD follows, for people who bring their own repository.

use anyhow::{Context, Result, bail};

use super::Desired;
use crate::cli::Export;
use crate::failure::{Advise, code};
use crate::plan::tree::tree;
use crate::ui::Ui;

pub(super) fn run(flags: &Export, ui: &Ui) -> Result<u8> {
    let desired = Desired::of(&flags.choice)?;
    let tree = tree(&desired.plan.profile, &desired.catalog, &desired.charts);
    let directory = &flags.directory;
    if directory.is_file() {
        let refused: Result<()> = (|| bail!("`{}` is a file", directory.display()))();
        refused.hint("name a directory; it is made if it is not there").exit(code::USAGE)?;
    }
    for (path, content) in &tree {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("make `{}`", parent.display()))?;
        }
        std::fs::write(&path, content).with_context(|| format!("write `{}`", path.display()))?;
    }
    ui.say(&format!(
        "wrote {} files to `{}`; commit and push them, then `platctl install --repo-url URL`",
        tree.len(),
        directory.display()
    ));
    Ok(0)
}
