//! `platctl upgrade`: compare what is recorded with what this platctl brings, refuse steps that are too far, then install before the
//! handoff, or change Git after it (`in_git`, `in_clone`).

mod compare;
mod in_clone;
mod in_git;

use anyhow::{Result, anyhow};

pub(super) use compare::judge;

use compare::compared;

use super::install::{How, Looking};
use super::{Desired, connect, engine, install, inventory};
use crate::cli::{Choice, Global, Upgrade};
use crate::engine::inventory::{Inventory, Phase};
use crate::engine::{Engine, Totals};
use crate::event::{Events, Line};
use crate::failure::{Advise, code};
use crate::plan::document::nearest;
use crate::plan::preflight::find;
use crate::plan::upgrade::codes;
use crate::ui::Ui;

const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn run(global: &Global, flags: &Upgrade, ui: &Ui) -> Result<u8> {
    check_flags(flags).exit(code::USAGE)?;
    let skipped = super::preflight::skipped(&flags.skip)?;
    let (cluster, reached) = connect(global).await?;
    let record = match inventory(&cluster).await? {
        None => {
            Err(anyhow!("platctl has installed nothing here")).hint("`platctl install` does").exit(code::REFUSED)?
        }
        Some(record) if record.phase == Phase::Uninstalling => {
            Err(anyhow!("an uninstallation is not finished")).hint("`platctl uninstall` goes on").exit(code::REFUSED)?
        }
        Some(record) => record,
    };
    let desired = match &flags.profile {
        Some(profile) => Desired::of(&Choice {
            profile: profile.clone(),
            values: flags.values.clone(),
            set: flags.set.clone(),
            ..Choice::default()
        })?,
        None => Desired::over(&record, &flags.values, &flags.set)?,
    };
    let (events, receiver) = Events::channel();
    let shown = ui.start(receiver);
    let engine = engine(cluster, events, &desired.plan.profile.timeouts.stuck);
    let looking = Looking { reached: &reached, skipped: &skipped };
    let done = upgrade(&engine, &desired, record, flags, &looking, ui).await;
    drop(engine);
    let _ = shown.await;
    done
}

fn check_flags(flags: &Upgrade) -> Result<()> {
    for wanted in &flags.accept {
        if !codes().any(|code| code == wanted) {
            return Err(anyhow!("--accept {wanted}: no step is refused by this code: {}", nearest(wanted, codes())));
        }
    }
    if let Some(commit) = &flags.at
        && (commit.len() != 40 || !commit.chars().all(|letter| letter.is_ascii_hexdigit()))
    {
        return Err(anyhow!("--at {commit}: a whole commit of 40 digits is expected"))
            .hint("`git rev-parse HEAD` in the clone prints it");
    }
    Ok(())
}

async fn upgrade(
    engine: &Engine,
    desired: &Desired,
    record: Inventory,
    flags: &Upgrade,
    looking: &Looking<'_>,
    ui: &Ui,
) -> Result<u8> {
    let plan = &desired.plan;
    engine.events.send(compared(plan, &record));
    judge(engine, plan, &record, &flags.accept)?;
    if record.phase == Phase::HandedOver {
        // What the repository holds is looked at below.
        let repository = find("repository")?;
        let others = looking.skipped.iter().copied().filter(|check| check.code != repository.code);
        let skipped: Vec<_> = others.chain([repository]).collect();
        install::check(engine, plan, &Looking { skipped: &skipped, ..*looking }).await?;
        return in_git::upgrade(engine, desired, record, flags, ui).await;
    }
    if flags.branch.is_some() || flags.into.is_some() || flags.at.is_some() {
        return Err(anyhow!("the platform is not handed over to Argo CD yet, so there is nothing to change in Git"))
            .hint("leave out `--branch`, `--into` and `--at`: platctl applies the upgrade itself")
            .exit(code::USAGE);
    }
    let how = How { action: "upgrade", yes: flags.yes, dry_run: flags.dry_run, no_handoff: true, prepull: false };
    install::proceed(engine, desired, Some(record), &how, looking, ui).await
}

fn line(label: &str, value: impl Into<String>) -> Line {
    Line { label: label.to_owned(), value: value.into() }
}

fn done(engine: &Engine, action: &str, totals: Totals, next: Vec<Line>) -> u8 {
    engine.events.send(install::finished(action, totals, next));
    0
}
