//! `platctl render`: the objects as they would be applied, without a cluster.

use anyhow::Result;
use serde_json::Value;

use super::Desired;
use crate::cli::{Output, Render};
use crate::failure::{Advise, code};
use crate::plan::functions::yaml;
use crate::ui::Ui;

pub(super) fn run(flags: &Render, ui: &Ui) -> Result<u8> {
    let desired = Desired::of(&flags.choice)?;
    for name in &flags.components {
        desired.plan.component(name).exit(code::USAGE)?;
    }
    let wanted = |name: &String| flags.components.is_empty() || flags.components.contains(name);
    let objects: Vec<&Value> = desired
        .plan
        .objects()
        .filter(|(planned, _)| wanted(&planned.component.name))
        .map(|(_, object)| object.value())
        .collect();
    let mut text = String::new();
    if ui.output() != Output::Json {
        for object in &objects {
            text += "---\n";
            text += &yaml(object);
        }
        ui.data(&text);
        return Ok(0);
    }
    ui.result(&objects, &text)?;
    Ok(0)
}
