//! `platctl preflight`: the checks of `install` alone; writes nothing.

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use super::{Desired, connect};
use crate::cli::{Global, Preflight};
use crate::failure::code;
use crate::plan::preflight::{Facts, Finding, Requests, Severity, check, requests};
use crate::ui::{Ui, counted};

#[derive(Serialize)]
struct Report {
    facts: Facts,
    requests: Requests,
    findings: Vec<Finding>,
}

pub(super) async fn run(global: &Global, flags: &Preflight, ui: &Ui) -> Result<u8> {
    let desired = Desired::of(&flags.choice)?;
    let (cluster, _) = connect(global).await?;
    let facts =
        cluster.facts(&desired.plan).await.map_err(|problem| anyhow!(problem)).context("look at the cluster")?;
    let findings = check(&desired.plan, &facts);
    let blocked = findings.iter().any(|finding| finding.severity == Severity::Blocking);
    let report = Report { requests: requests(&desired.plan), facts, findings };
    ui.result(&report, &in_words(&report))?;
    Ok(if blocked { code::REFUSED } else { 0 })
}

fn in_words(report: &Report) -> String {
    let facts = &report.facts;
    let mut text = format!(
        "Kubernetes {}, {}, {}\nthe platform requests {} m of CPU and {} MiB of memory, sidecars not counted\n",
        facts.version,
        counted(facts.nodes.len(), "node"),
        counted(facts.storage_classes.len(), "storage class"),
        report.requests.cpu_millis,
        report.requests.memory_bytes / 1024 / 1024,
    );
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Blocking => "blocks",
            Severity::Warning => "warns",
        };
        text += &format!("{word}: {} ({})\n  hint: {}\n", finding.title, finding.check, finding.hint);
    }
    if report.findings.is_empty() {
        text += "nothing found\n";
    }
    text
}
