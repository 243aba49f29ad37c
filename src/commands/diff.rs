//! `platctl diff`: what `install` would change, as a server-side dry run sees it. Secrets' contents never show.

use anyhow::{Context, Result, anyhow};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use similar::TextDiff;

use super::install::live;
use super::{Desired, connect};
use crate::cli::{Diff, Global};
use crate::cluster::{CONCURRENCY, Class, Cluster};
use crate::engine::convergence::content;
use crate::failure::code;
use crate::object::Object;
use crate::plan::functions::yaml;
use crate::ui::Ui;

pub(super) async fn run(global: &Global, flags: &Diff, ui: &Ui) -> Result<u8> {
    let desired = Desired::of(&flags.choice)?;
    let (cluster, _) = connect(global).await?;
    let mut changed = 0;
    let live = live(&cluster, &desired.plan).await?;
    let mut differences = stream::iter(desired.plan.objects())
        .map(|(_, object)| difference(&cluster, object, live.get(&object.id())))
        .buffered(CONCURRENCY);
    while let Some(text) = differences.try_next().await? {
        if let Some(text) = text {
            changed += 1;
            ui.data(&text);
        }
    }
    ui.say(&format!("{changed} of {} objects would change", desired.plan.objects().count()));
    Ok(if changed == 0 { 0 } else { code::FAILED })
}

/// The difference in one object; none if there is none.
async fn difference(cluster: &Cluster, object: &Object, live: Option<&Object>) -> Result<Option<String>> {
    let id = object.id();
    let Some(live) = live else {
        return Ok(Some(format!("+ {id}\n")));
    };
    let after = match cluster.dry_takeover(object).await {
        Ok(after) => after,
        // A kind or namespace that an earlier wave brings: shown as it will be sent.
        Err(problem) if problem.class == Class::NotFound => object.clone(),
        Err(problem) => return Err(anyhow!(problem)).with_context(|| format!("try {id}")),
    };
    let (before, after) = (text(live), text(&after));
    if before == after {
        return Ok(None);
    }
    let difference = TextDiff::from_lines(&before, &after);
    Ok(Some(
        difference.unified_diff().context_radius(3).header(&format!("live {id}"), &format!("wanted {id}")).to_string(),
    ))
}

fn text(object: &Object) -> String {
    let mut value = content(object);
    if object.kind() == "Secret" {
        for field in ["data", "stringData"] {
            if let Some(map) = value.get_mut(field).and_then(Value::as_object_mut) {
                map.values_mut().for_each(|value| *value = Value::from("(masked)"));
            }
        }
    }
    yaml(&value)
}
