//! What must be true of a cluster before anything is written. `cluster` gathers the `Facts`, the checks of one table judge them, all findings
//! come at once. Here the vocabulary and the judging; the table is in `catalogue`, the checks are in the files beside it, each with what it
//! reads off the cluster's objects. Pure.

mod addresses;
mod balancer;
mod capacity;
mod catalogue;
mod cluster;
mod conflicts;
mod network;
mod outside;
mod pods;
mod storage;

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::failure::{Advise, code};
use crate::object::Id;
use crate::plan::Plan;
use crate::plan::certificates::Certificate;
use crate::plan::document::nearest;
pub use addresses::{Address, Unreached};
pub use balancer::{Balancer, balancer};
pub use capacity::{Requests, count_taken, millis, requested, requests};
pub use catalogue::{CHECKS, NOT_CHECKED};
pub use conflicts::{Injector, Installation, StoredVersions, installations, other_injectors, stored_versions};
pub use network::{Plugin, plugins};
pub use pods::{Refusal, is_of_admission, privileged_namespaces, probe};
pub use storage::{Claims, StorageClass, claims};

/// What was seen in the cluster. Plain data. What may not be seen is empty or none, and then no check speaks of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    pub version: String,
    pub minor: u32,
    pub nodes: Vec<Node>,
    pub storage_classes: Vec<StorageClass>,
    /// What the caller may not do, of all that the plan needs, in words.
    pub denied: Vec<String>,
    /// Objects of the plan's names that exist and do not carry our label.
    pub foreign: Vec<Id>,
    /// CRDs of the plan that exist, with the versions in which objects of theirs may be stored.
    pub definitions: Vec<StoredVersions>,
    /// Secrets of the plan that exist.
    pub secrets: Vec<Id>,
    /// Where pods reach the API server: the ports of its Service and of what is behind it. Empty when they could not be seen.
    pub api_server_ports: Vec<u16>,
    /// Whether Services of type `LoadBalancer` get an address. None where Services could not be seen.
    pub balancer: Option<Balancer>,
    /// What the profile names outside of the cluster and does not answer this machine.
    pub unreached: Vec<Unreached>,
    /// What connects pods on the nodes. None where no system pod was to be seen.
    pub plugins: Option<Vec<Plugin>>,
    /// Installations, elsewhere in the cluster, of what the platform brings itself.
    pub others: Vec<Installation>,
    /// Webhooks of other Istios that inject sidecars.
    pub injectors: Vec<Injector>,
    /// What a server-side dry run did not admit.
    pub refusals: Vec<Refusal>,
    /// The gateway's certificate and that of platctl's CA, as far as they are there.
    pub certificates: Vec<Certificate>,
    /// By how many seconds the API server's clock is ahead of this machine's.
    pub clock_ahead: Option<i64>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Node {
    pub name: String,
    pub ready: bool,
    pub schedulable: bool,
    /// Taints that keep pods away.
    pub taints: Vec<Taint>,
    /// Such as `linux/amd64`; empty where the node does not say.
    pub platform: String,
    /// The availability zone; empty where there is none.
    pub zone: String,
    /// Allocatable, in thousandths of a core.
    pub cpu_millis: u64,
    /// Allocatable, in bytes.
    pub memory_bytes: u64,
    /// Of that, what pods request that are not the platform's.
    pub cpu_taken_millis: u64,
    pub memory_taken_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

impl Node {
    pub fn is_usable(&self) -> bool {
        self.ready && self.schedulable
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The installation could not succeed.
    Blocking,
    Warning,
}

impl Severity {
    pub fn verb(self) -> &'static str {
        match self {
            Self::Blocking => "blocks",
            Self::Warning => "warns",
        }
    }
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's code.
    pub check: &'static str,
    pub severity: Severity,
    pub title: String,
    pub hint: String,
}

/// One line of the catalogue.
#[derive(Serialize)]
pub struct Check {
    /// Stable: people write it into scripts.
    pub code: &'static str,
    /// How its findings can be.
    pub severities: &'static [Severity],
    /// What it holds to be true, in one line.
    pub title: &'static str,
    /// What it looks at, and what it does not.
    pub looks_at: &'static str,
    pub matters: &'static str,
    pub mend: &'static str,
    /// Why it cannot be left out, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always: Option<&'static str>,
    #[serde(skip)]
    judge: fn(&Plan, &Facts) -> Vec<Judged>,
}

/// Severity, title and hint of a finding.
type Judged = (Severity, String, String);

impl Check {
    /// `blocks, warns`.
    pub fn verbs(&self) -> String {
        self.severities.iter().map(|severity| severity.verb()).collect::<Vec<_>>().join(", ")
    }

    /// How to go on without it.
    pub fn skipped_by(&self) -> String {
        match self.always {
            Some(why) => format!("It cannot be left out: {why}."),
            None => format!("`--skip {}`, with `install`, `upgrade` and `preflight`.", self.code),
        }
    }
}

/// All findings of all checks but those that are left out.
pub fn check(plan: &Plan, facts: &Facts, skipped: &[&Check]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Check { code, judge, .. } in CHECKS.iter().filter(|check| skipped.iter().all(|other| other.code != check.code))
    {
        let found = judge(plan, facts).into_iter();
        findings.extend(found.map(|(severity, title, hint)| Finding { check: code, severity, title, hint }));
    }
    findings
}

/// The checks of what can go wrong with a cluster at any time, and what is read for them is soon read.
const STANDING: [&str; 4] = ["nodes", "architecture", "storage-class", "volumes"];

/// The findings that explain why an installed platform is not ready.
pub fn check_standing(plan: &Plan, nodes: Vec<Node>, storage_classes: Vec<StorageClass>) -> Vec<Finding> {
    let others: Vec<&Check> = CHECKS.iter().filter(|check| !STANDING.contains(&check.code)).collect();
    check(plan, &Facts { nodes, storage_classes, ..Facts::default() }, &others)
}

/// What is said of certificates alone, whether the platform is ready or not.
pub fn check_certificates(plan: &Plan, certificates: Vec<Certificate>) -> Vec<Finding> {
    let others: Vec<&Check> = CHECKS.iter().filter(|check| check.code != "certificates").collect();
    check(plan, &Facts { certificates, ..Facts::default() }, &others)
}

/// The check of that code.
pub fn find(code: &str) -> Result<&'static Check> {
    CHECKS
        .iter()
        .find(|check| check.code == code)
        .ok_or_else(|| anyhow!("no check `{code}`: {}", nearest(code, CHECKS.iter().map(|check| check.code))))
        .hint("`platctl explain` lists all of them")
        .exit(code::USAGE)
}

/// The check of that code, which is to be left out.
pub fn leave_out(code: &str) -> Result<&'static Check> {
    let check = find(code)?;
    match check.always {
        None => Ok(check),
        Some(why) => Err(anyhow!("the check `{code}` cannot be left out: {why}"))
            .hint(format!("`platctl explain {code}` says what to do instead"))
            .exit(code::USAGE),
    }
}

fn blocking(title: String, hint: impl Into<String>) -> Judged {
    (Severity::Blocking, title, hint.into())
}

fn warning(title: String, hint: impl Into<String>) -> Judged {
    (Severity::Warning, title, hint.into())
}

/// Names in back-ticks, one after the other.
fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
