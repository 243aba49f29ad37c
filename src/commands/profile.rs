//! `platctl profile list|show|schema`.

use anyhow::Result;

use super::load_profile;
use crate::cli::{Choice, ProfileAction};
use crate::embedded;
use crate::plan::document::Document;
use crate::plan::functions::yaml;
use crate::plan::reference::json_schema;
use crate::ui::Ui;
use crate::ui::table::table;

pub(super) fn run(action: &ProfileAction, ui: &Ui) -> Result<u8> {
    match action {
        ProfileAction::List => {
            let mut rows = Vec::new();
            for (name, text) in embedded::profiles() {
                let document = Document::parse(&name, &text)?;
                rows.push(vec![name, document.value["description"].as_str().unwrap_or_default().to_owned()]);
            }
            let names: Vec<&String> = rows.iter().map(|row| &row[0]).collect();
            ui.result(&names, &table(&["PROFILE", "DESCRIPTION"], &rows))?;
        }
        ProfileAction::Show { name } => {
            // A built-in profile is shown as it was written: its comments explain it.
            if let Some(text) = embedded::profiles().get(name) {
                ui.result(&Document::parse(name, text)?.value, text)?;
                return Ok(0);
            }
            let choice = Choice { profile: name.clone(), ..Choice::default() };
            let profile = load_profile(&choice, &embedded::catalog()?)?;
            ui.result(&profile, &yaml(&serde_json::to_value(&profile)?))?;
        }
        ProfileAction::Schema => {
            let profiles = embedded::profiles();
            let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let schema = json_schema(&embedded::catalog()?, &names);
            ui.result(&schema, &format!("{schema:#}\n"))?;
        }
    }
    Ok(0)
}
