//! `platctl uninstall`: show what goes and what stays, ask, remove, report what is left.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::install::finished;
use super::{confirmed, connect, engine, holder, inventory};
use crate::cli::{Global, Uninstall};
use crate::embedded;
use crate::engine::Engine;
use crate::engine::inventory::Inventory;
use crate::engine::removal::Removal;
use crate::event::Events;
use crate::failure::{Advise, code};
use crate::object::Object;
use crate::plan::catalog::WAVES;
use crate::plan::profile::duration;
use crate::ui::Ui;

pub(super) async fn run(global: &Global, flags: &Uninstall, ui: &Ui) -> Result<u8> {
    let gone = duration(&flags.timeout).context("--timeout").exit(code::USAGE)?;
    let (cluster, _) = connect(global).await?;
    let (events, receiver) = Events::channel();
    let shown = ui.start(receiver);
    let mut engine = engine(cluster, events, "60s");
    engine.pacing.gone = Duration::from_secs(gone);
    let done = uninstall(&engine, flags, ui).await;
    drop(engine);
    let _ = shown.await;
    done
}

async fn uninstall(engine: &Engine, flags: &Uninstall, ui: &Ui) -> Result<u8> {
    let catalog = embedded::catalog()?;
    let recorded = inventory(&engine.cluster).await?;
    let removal = engine.cancellable(engine.plan_removal(&catalog, flags.delete_data)).await?;
    if removal.is_empty() && recorded.is_none() {
        ui.say("nothing of platctl is installed");
        return Ok(0);
    }
    ui.say(&describe(&removal));
    if flags.dry_run {
        return Ok(0);
    }
    let question = format!("Remove this from context {} ({})?", engine.cluster.context, engine.cluster.server);
    if !flags.yes {
        confirmed(engine, ui, &question, "nothing was removed").await?;
    }
    let mut record = recorded.unwrap_or_else(|| Inventory::new(Value::Null));
    let work = engine.uninstall(&removal, &catalog, &mut record);
    let (totals, left) = engine.locked(&holder("uninstall"), work).await?;
    engine.events.send(finished("uninstall", totals, Vec::new()));
    if left.unplanned.is_empty() {
        return Ok(0);
    }
    let names: Vec<String> = left.unplanned.iter().map(ToString::to_string).collect();
    Err(anyhow!("these objects are still there: {}", names.join(", ")))
        .hint("run `platctl uninstall` again; if they stay, `kubectl describe` says what holds them")
}

impl Removal {
    fn is_empty(&self) -> bool {
        self.waves.is_empty() && self.definitions.is_empty() && self.namespaces.is_empty()
    }
}

fn describe(removal: &Removal) -> String {
    let mut lines = vec!["this will be removed:".to_owned()];
    for (wave, objects) in &removal.waves {
        let name = WAVES.get(usize::from(*wave).wrapping_sub(1)).copied().unwrap_or("other");
        lines.push(format!("  wave {wave} ({name}): {} objects", objects.len()));
    }
    lines.push(format!(
        "  {} CRDs of which nobody else has objects, {} namespaces that hold nothing else",
        removal.definitions.len(),
        removal.namespaces.len()
    ));
    for (claim, holds) in &removal.claims {
        let size = claim.text("/spec/resources/requests/storage").unwrap_or("unknown size");
        let fate = if removal.delete_data { "DATA WILL BE DELETED" } else { "data is kept" };
        lines.push(format!("  {fate}: {} ({size}): {holds}", claim.id()));
    }
    let kept: Vec<String> = removal.kept_secrets.iter().map(Object::id).map(|id| id.to_string()).collect();
    if !kept.is_empty() {
        lines.push(format!("  kept with the data: {}", kept.join(", ")));
    }
    lines.join("\n")
}
