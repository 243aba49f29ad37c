//! `platctl upgrade` after the handoff: Git rules, so the upgrade is one commit, and Argo CD rolls it out. The in-cluster Git server is
//! written to; for a repository of one's own see `in_clone`.

use anyhow::{Result, anyhow};

use super::compare::{compared, mergeable};
use super::{Desired, OWN_VERSION, done, in_clone, line};
use crate::cli::Upgrade;
use crate::commands::confirmed;
use crate::engine::handoff::is_recorded;
use crate::engine::inventory::Inventory;
use crate::engine::upgrade::Commit;
use crate::engine::{Engine, Totals};
use crate::event::{Event, Line};
use crate::failure::{Advise, code};
use crate::plan::applicationset::repository_url;
use crate::plan::merge::Step;
use crate::plan::profile::RepositoryMode;
use crate::plan::tree::{Tree, tree};
use crate::plan::upgrade::changes;
use crate::ui::{Ui, counted};

/// What is to be committed, if anything, on top of which commit.
struct Work {
    revision: String,
    steps: Vec<Step>,
}

pub(super) async fn upgrade(
    engine: &Engine,
    desired: &Desired,
    mut record: Inventory,
    flags: &Upgrade,
    ui: &Ui,
) -> Result<u8> {
    let plan = &desired.plan;
    let new = tree(&plan.profile, &desired.catalog, &desired.charts);
    if let Some(directory) = &flags.into {
        return in_clone::write(engine, &new, directory, flags);
    }
    let work = work(engine, desired, &new, flags).await?;
    let is_there = record.version == OWN_VERSION && record.versions() == plan.versions() && is_recorded(plan, &record);
    if flags.at.is_none() && work.steps.is_empty() && is_there {
        let next = vec![line("nothing to do", format!("the platform is that of platctl {OWN_VERSION}"))];
        return Ok(done(engine, "upgrade", Totals::default(), next));
    }
    let what = in_words(&work, desired, flags);
    if flags.dry_run {
        let next = vec![line("would", what), line("nothing was written", "run again without `--dry-run`")];
        return Ok(done(engine, "dry run", Totals::default(), next));
    }
    let cluster = &engine.cluster;
    let question =
        format!("Upgrade context {} ({}) to platctl {OWN_VERSION}: {what}?", cluster.context, cluster.server);
    if !flags.yes {
        confirmed(engine, ui, &question, "nothing was written").await?;
    }
    let totals = totals(&compared(plan, &record), desired);
    let steps = carry_out(engine, desired, work, flags, &mut record);
    let next = engine.locked(&crate::commands::holder("upgrade"), steps).await?;
    Ok(done(engine, "upgrade", totals, next))
}

/// Looks into the repository, which must be ours to write to unless the work is done already.
async fn work(engine: &Engine, desired: &Desired, new: &Tree, flags: &Upgrade) -> Result<Work> {
    let profile = &desired.plan.profile;
    if let Some(commit) = &flags.at {
        return Ok(Work { revision: commit.clone(), steps: Vec::new() });
    }
    if profile.repository.mode == RepositoryMode::External {
        let (url, branch) = (&profile.repository.url, &profile.repository.branch);
        return Err(anyhow!("Argo CD follows {url}, which platctl does not write to; nothing was written"))
            .hint(format!(
                "clone it at branch {branch}, `platctl upgrade --into DIR`, commit and push, then `platctl upgrade --at COMMIT`"
            ))
            .exit(code::REFUSED);
    }
    let followed = engine.cancellable(engine.followed(&desired.plan)).await?;
    let steps = mergeable(engine, new, followed.written.as_ref(), &followed.files, flags.overwrite)?;
    Ok(Work { revision: followed.revision, steps })
}

fn in_words(work: &Work, desired: &Desired, flags: &Upgrade) -> String {
    let profile = &desired.plan.profile;
    let url = repository_url(profile);
    if work.steps.is_empty() {
        return format!("watch Argo CD reach {} of {url}", work.revision);
    }
    let branch = flags.branch.as_ref().unwrap_or(&profile.repository.branch);
    format!("commit {} to branch {branch} of {url}", counted(work.steps.len(), "changed file"))
}

/// Under the lock: the commit, unless it is there, and Argo CD's way to it. Gives the closing lines.
async fn carry_out(
    engine: &Engine,
    desired: &Desired,
    work: Work,
    flags: &Upgrade,
    record: &mut Inventory,
) -> Result<Vec<Line>> {
    let plan = &desired.plan;
    let (url, followed) = (repository_url(&plan.profile), &plan.profile.repository.branch);
    let mut revision = work.revision;
    if !work.steps.is_empty() {
        let message = message(desired, record);
        let commit = Commit { message: &message, steps: &work.steps, branch: flags.branch.as_deref() };
        revision = engine.commit(plan, &commit, record).await?;
        if let Some(branch) = &flags.branch {
            return Ok(vec![
                line("to merge", format!("branch {branch} into {followed} of {url}; Argo CD rolls it out then")),
                line("then", "`platctl upgrade` again: it watches Argo CD and records the upgrade"),
            ]);
        }
    }
    engine.roll_out(plan, &revision, record).await?;
    Ok(vec![line("rolled out by Argo CD", format!("{url} at {revision}")), line("next", "platctl status")])
}

fn message(desired: &Desired, record: &Inventory) -> String {
    let mut text = format!("Upgrade the platform to platctl {OWN_VERSION}\n");
    for change in changes(&record.versions(), &desired.plan.versions()) {
        let words = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".to_owned());
        text += &format!("\n{} {} -> {}", change.component, words(&change.from), words(&change.to));
    }
    text
}

fn totals(planned: &Event, desired: &Desired) -> Totals {
    let Event::Compared { created, changed, removed, .. } = *planned else { return Totals::default() };
    let unchanged = desired.plan.objects().count() - created - changed;
    Totals { created, configured: changed, unchanged, deleted: removed }
}
