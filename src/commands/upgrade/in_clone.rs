//! `platctl upgrade --into DIR`: the new tree in a clone of a repository of one's own. Commit and push are its owner's.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::compare::mergeable;
use super::{done, line};
use crate::cli::Upgrade;
use crate::engine::{Engine, Totals};
use crate::plan::merge::{SUMS, Step, Sums, blob_sha, read_sums};
use crate::plan::tree::Tree;
use crate::ui::counted;

pub(super) fn write(engine: &Engine, new: &Tree, directory: &Path, flags: &Upgrade) -> Result<u8> {
    let read = |path: &str| std::fs::read(directory.join(path)).ok();
    let written = read(SUMS).map(|text| read_sums(&String::from_utf8_lossy(&text)));
    let paths: BTreeSet<&String> = new.keys().chain(written.iter().flat_map(Sums::keys)).collect();
    let there = paths.into_iter().filter_map(|path| Some((path.clone(), blob_sha(&read(path)?)))).collect();
    let steps = mergeable(engine, new, written.as_ref(), &there, flags.overwrite)
        .with_context(|| format!("write into `{}`", directory.display()))?;
    let removed = steps.iter().filter(|step| step.content.is_none()).count();
    let what = format!("{} in `{}`, {removed} of them removed", counted(steps.len(), "file"), directory.display());
    if flags.dry_run {
        return Ok(done(engine, "dry run", Totals::default(), vec![line("would change", what)]));
    }
    for step in &steps {
        let path = directory.join(&step.path);
        carry_out(step, &path).with_context(|| format!("write `{}`", path.display()))?;
    }
    let next = vec![
        line("changed", what),
        line("next", "`git diff` shows it; commit and push, then `platctl upgrade --at COMMIT`"),
    ];
    Ok(done(engine, "upgrade", Totals::default(), next))
}

fn carry_out(step: &Step, path: &Path) -> std::io::Result<()> {
    let Some(content) = &step.content else { return std::fs::remove_file(path) };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, content)
}
