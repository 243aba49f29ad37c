//! What `platctl upgrade` finds before it writes: how far the step is, by the record, and whose changes stand in the way, by the tree.

use anyhow::{Result, anyhow};

use super::OWN_VERSION;
use crate::engine::Engine;
use crate::engine::inventory::Inventory;
use crate::event::{Event, VersionChange};
use crate::failure::{Advise, chain, code};
use crate::object::Id;
use crate::plan::merge::{SUMS, Step, Sums, merge};
use crate::plan::tree::Tree;
use crate::plan::upgrade::{self, Finding, changes};
use crate::plan::{Plan, digest};

/// What the upgrade comes to, by the record alone.
pub(super) fn compared(plan: &Plan, record: &Inventory) -> Event {
    let digests = || plan.objects().map(|(_, object)| (record.digest_of(&object.id()), digest(object)));
    let is_wanted = |id: &Id| plan.objects().any(|(_, object)| object.id() == *id);
    // Neither goes with what is in it.
    let stays = |id: &Id| matches!(id.kind.as_str(), "CustomResourceDefinition" | "Namespace");
    Event::Compared {
        from: record.version.clone(),
        to: OWN_VERSION.to_owned(),
        components: changes(&record.versions(), &plan.versions())
            .into_iter()
            .map(|change| VersionChange { component: change.component, from: change.from, to: change.to })
            .collect(),
        created: digests().filter(|(recorded, _)| recorded.is_none()).count(),
        changed: digests().filter(|(recorded, wanted)| recorded.is_some_and(|recorded| recorded != wanted)).count(),
        removed: record.objects.iter().filter(|entry| !stays(&entry.id) && !is_wanted(&entry.id)).count(),
    }
}

/// Ends here, before the first write, when the step from what is recorded is too far.
pub(in crate::commands) fn judge(engine: &Engine, plan: &Plan, record: &Inventory, accepted: &[String]) -> Result<()> {
    let judgement = upgrade::judge(&record.version, OWN_VERSION, &changes(&record.versions(), &plan.versions()));
    for warning in judgement.warnings {
        let Finding { code, what, way, .. } = warning;
        engine.events.send(Event::Warned { check: code.to_owned(), title: what, hint: way });
    }
    let refused = judgement.refusals.into_iter().filter(|finding| !accepted.iter().any(|code| code == finding.code));
    let refused: Vec<Finding> = refused.collect();
    let Some(first) = refused.first() else { return Ok(()) };
    let hint = format!("{}; `platctl upgrade --accept {}` takes the step all the same", first.way, first.code);
    let lines = refused.iter().map(|finding| format!("{} ({}): {}", finding.what, finding.code, finding.why));
    Err(chain("this step is not supported; nothing was written", lines)).hint(hint).exit(code::REFUSED)
}

/// What is to be written, without loss of anybody's change: a file that both sides changed ends it here, by its name.
pub(super) fn mergeable(
    engine: &Engine,
    new: &Tree,
    written: Option<&Sums>,
    there: &Sums,
    overwrite: bool,
) -> Result<Vec<Step>> {
    if written.is_none() && !overwrite {
        return Err(anyhow!("`{SUMS}` is not there, so nothing tells which files people changed; nothing was written"))
            .hint(format!(
                "name a clone of the repository that Argo CD follows, or get the file back from its history \
                 (`git log -- {SUMS}`); `--overwrite` takes platctl's files instead"
            ))
            .exit(code::REFUSED);
    }
    let mut merged = merge(new, written.unwrap_or(&Sums::new()), there);
    for path in &merged.kept {
        engine.events.send(Event::Warned {
            check: "changed-in-git".to_owned(),
            title: format!("`{path}` was changed in Git and stays as it is"),
            hint: "platctl has nothing new for it".to_owned(),
        });
    }
    if overwrite {
        merged.overwrite();
    }
    if merged.conflicts.is_empty() {
        return Ok(merged.steps);
    }
    let names = merged.conflicts.iter().map(|step| format!("`{}`", step.path));
    Err(chain("files that the upgrade changes were changed in Git too; nothing was written", names))
        .hint(
            "say what was changed as the profile's own (`--set`, `--values`), then `--overwrite` takes platctl's files; in a \
             branch (`--branch NAME`) or a clone (`--into DIR`) the difference can be looked at first",
        )
        .exit(code::REFUSED)
}
