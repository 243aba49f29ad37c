//! The report as people read it.

use super::{Report, Row};
use crate::commands::install::older;
use crate::engine::inventory::Phase;
use crate::plan::catalog::WAVES;
use crate::plan::preflight::Finding;
use crate::ui::table::table;

pub(super) fn in_words(report: &Report) -> String {
    let phase = match report.phase {
        Phase::Installing => "installation not finished: `platctl install` goes on",
        Phase::Installed => "installed, not handed over to Argo CD",
        Phase::HandedOver => "owned by Argo CD",
        Phase::Uninstalling => "uninstallation not finished: `platctl uninstall` goes on",
    };
    let mut text = format!("context {}, profile {}, {phase}\n", report.context, report.profile);
    if let (Some(repository), Some(revision)) = (&report.repository, &report.revision) {
        text += &format!("{repository} at {revision}\n");
    }
    if report.newer.is_some() {
        text += &format!("{}\n", older(&report.version));
    }
    text.push('\n');
    let rows: Vec<Vec<String>> = report
        .components
        .iter()
        .map(|row| {
            vec![
                match WAVES.get(usize::from(row.wave).wrapping_sub(1)) {
                    Some(name) => format!("{} {name}", row.wave),
                    None => "added".to_owned(),
                },
                row.name.clone(),
                row.version.clone(),
                if row.ready { "yes" } else { "no" }.to_owned(),
                row.sync.clone().unwrap_or_else(|| "-".to_owned()),
                row.health.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    text += &table(&["WAVE", "COMPONENT", "VERSION", "READY", "SYNC", "HEALTH"], &rows);
    let notes: Vec<String> = report.components.iter().flat_map(notes).collect();
    if !notes.is_empty() {
        text += &format!("\n{}\n", notes.join("\n"));
    }
    for Finding { check, title, hint, .. } in &report.findings {
        text += &format!("\ncluster: {title} ({check})\n  hint: {hint}\n");
    }
    if !report.endpoints.is_empty() {
        text.push('\n');
        for endpoint in &report.endpoints {
            text += &format!("{}: {}\n", endpoint.name, endpoint.url);
        }
    }
    text
}

/// Why a component is not ready, and what others changed. Below the table: reasons are as long as they need to be.
fn notes(row: &Row) -> Vec<String> {
    let mut lines: Vec<String> = row.reasons.iter().map(|reason| format!("{}: {reason}", row.name)).collect();
    lines.extend(row.hint.iter().map(|hint| format!("  hint: {hint}")));
    if !row.drift.is_empty() {
        lines.push(format!("{}: changed by others: {}", row.name, row.drift.join(", ")));
    }
    lines
}
