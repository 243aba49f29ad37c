//! `platctl preflight`: the checks of `install` alone; writes nothing.

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use super::{Desired, connect};
use crate::cli::{Global, Preflight, Skip};
use crate::failure::code;
use crate::plan::preflight::{Check, Claims, Facts, Finding, Requests, Severity, check, claims, leave_out, requests};
use crate::ui::{Ui, counted};

#[derive(Serialize)]
struct Report {
    facts: Facts,
    requests: Requests,
    claims: Claims,
    findings: Vec<Finding>,
    skipped: Vec<&'static str>,
}

pub(super) async fn run(global: &Global, flags: &Preflight, ui: &Ui) -> Result<u8> {
    let skipped = skipped(&flags.skip)?;
    let desired = Desired::of(&flags.choice)?;
    let (cluster, reached) = connect(global).await?;
    let plan = &desired.plan;
    let facts = cluster.facts(plan, &reached).await;
    let facts = facts.map_err(|problem| anyhow!(problem)).context("look at the cluster")?;
    let findings = check(plan, &facts, &skipped);
    let blocked = findings.iter().any(|finding| finding.severity == Severity::Blocking);
    let skipped = skipped.iter().map(|check| check.code).collect();
    let class = facts.storage_class(plan).map(|class| class.name.clone());
    let report = Report { requests: requests(plan), claims: claims(plan), facts, findings, skipped };
    ui.result(&report, &ui.prose(&in_words(&report, class.as_deref())))?;
    Ok(if blocked { code::REFUSED } else { 0 })
}

/// The checks that the flags name.
pub(super) fn skipped(flags: &Skip) -> Result<Vec<&'static Check>> {
    flags.skip.iter().map(|code| leave_out(code).with_context(|| format!("--skip {code}"))).collect()
}

fn in_words(report: &Report, class: Option<&str>) -> String {
    let facts = &report.facts;
    let mut text = format!(
        "Kubernetes {}, {}, {}\nthe platform requests {} m of CPU and {} MiB of memory, sidecars not counted\n",
        facts.version,
        counted(facts.nodes.len(), "node"),
        counted(facts.storage_classes.len(), "storage class"),
        report.requests.cpu_millis,
        report.requests.memory_bytes / 1024 / 1024,
    );
    let from = class.map(|class| format!(" from StorageClass `{class}`")).unwrap_or_default();
    let mebi = report.claims.bytes / 1024 / 1024;
    text += &format!(
        "it claims {} volumes{from}, {mebi} MiB together; whether there is that much space no API tells\n",
        report.claims.volumes
    );
    for code in &report.skipped {
        text += &format!("skipped: the check `{code}`\n");
    }
    for finding in &report.findings {
        text +=
            &format!("{}: {} ({})\n  hint: {}\n", finding.severity.verb(), finding.title, finding.check, finding.hint);
    }
    text += match report.findings.as_slice() {
        [] => "nothing found\n",
        _ => "`platctl explain CODE` says more; the codes are those in brackets\n",
    };
    text
}
