//! `platctl explain`: what a check looks at, why it matters, how to mend it, how to go on without it. Needs no cluster.

use anyhow::Result;

use crate::cli::Explain;
use crate::plan::preflight::{CHECKS, Check, NOT_CHECKED, find};
use crate::ui::Ui;
use crate::ui::paragraph::paragraph;
use crate::ui::table::table;

pub(super) fn run(flags: &Explain, ui: &Ui) -> Result<u8> {
    match &flags.code {
        Some(code) => {
            let check = find(code)?;
            ui.result(check, &one(check, ui))?;
        }
        None => ui.result(&CHECKS.as_slice(), &ui.prose(&all(ui.width())))?,
    }
    Ok(0)
}

fn one(check: &Check, ui: &Ui) -> String {
    let parts = [
        ("It looks at", check.looks_at),
        ("Why it matters", check.matters),
        ("What to do", check.mend),
        ("To go on without it", &check.skipped_by()),
    ];
    let mut text = format!("{} ({}): {}\n", ui.strong(check.code), check.verbs(), check.title);
    for (heading, words) in parts {
        text += &format!("\n{}\n{}", ui.strong(heading), paragraph(words, 2, ui.width()));
    }
    text
}

fn all(width: usize) -> String {
    let row = |check: &Check| vec![check.code.to_owned(), check.verbs(), check.title.to_owned()];
    let rows: Vec<Vec<String>> = CHECKS.iter().map(row).collect();
    let mut text = table(&["CODE", "FINDING", "WHAT IT HOLDS TO BE TRUE"], &rows);
    text += "\nNot checked:\n";
    for (what, why) in NOT_CHECKED {
        text += &paragraph(&format!("- {what}: {why}"), 2, width);
    }
    text += "\n`platctl explain CODE` says what a check looks at, why it matters and what to do.\n";
    text
}
