//! `platctl support-bundle`: gathers, redacts, packs. Whatever cannot be had is named in the bundle; the rest is worth having.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::version::BUILD;
use super::{Desired, connect, inventory, status};
use crate::bundle::{archive, files};
use crate::cli::{Choice, Global, SupportBundle};
use crate::cluster::Cluster;
use crate::cluster::reach::Reached;
use crate::engine::inventory::{Inventory, NAMESPACE};
use crate::failure::{Advise, code};
use crate::plan::preflight::check;
use crate::plan::profile::duration;
use crate::ui::{Ui, counted};

pub(super) async fn run(global: &Global, flags: &SupportBundle, ui: &Ui) -> Result<u8> {
    let since = duration(&flags.since).context("--since").exit(code::USAGE)?;
    let (cluster, reached) = connect(global).await?;
    let now = OffsetDateTime::now_utc();
    let mut problems = Vec::new();
    let (record, desired) = recorded(&cluster, &mut problems).await?;
    let mut documents = BTreeMap::from([(
        "platctl",
        json!({
            "version": BUILD.version, "build": BUILD, "context": cluster.context, "server": cluster.server,
            "kubernetes": reached.version, "gathered": now.format(&Rfc3339)?, "logsSince": flags.since,
        }),
    )]);
    documents.extend(state(&cluster, &reached, record.as_ref(), &desired, &mut problems).await);

    let named: BTreeSet<&str> = desired.plan.components().map(|planned| planned.component.namespace.as_str()).collect();
    let named: Vec<&str> = named.into_iter().chain([NAMESPACE]).collect();
    let namespaces = cluster.platform_namespaces(&named).await.unwrap_or_else(|problem| {
        problems.push(format!("list the namespaces: {problem}"));
        named.iter().map(|name| (*name).to_owned()).collect()
    });
    ui.say(&format!("gathering from {}", counted(namespaces.len(), "namespace")));
    let mut evidence = cluster.evidence(&namespaces, since).await;
    evidence.problems.append(&mut problems);
    let unread = evidence.unread_secrets.join(", ");
    if !unread.is_empty() {
        evidence.problems.push(format!("the values of Secrets in {unread} are not known, so they were not looked for"));
    }

    let files = files(&documents, &evidence);
    let path = flags.out.clone().unwrap_or_else(|| default_path(now));
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    let bytes = archive::archive(&files, seconds).context("pack the bundle")?;
    write(&path, &bytes).with_context(|| format!("write `{}`", path.display()))?;
    let document = json!({"file": path, "bytes": bytes.len(), "files": files.len(), "problems": evidence.problems});
    let size = bytes.len().div_ceil(1024);
    let text = format!("wrote `{}`: {}, {size} KiB\n", path.display(), counted(files.len(), "file"));
    ui.result(&document, &text)?;
    if !evidence.problems.is_empty() {
        ui.say("not everything could be read: problems.txt in it says what");
    }
    if unread.is_empty() {
        ui.say("the values of Secrets are redacted; names, addresses and logs are in it");
    } else {
        ui.say("you may not read all Secrets, so values that leaked into a log may be in it");
    }
    ui.say("look through it before you pass it on");
    Ok(0)
}

/// The installation as it was recorded, or, where there is no record, the default profile to compare the cluster with.
async fn recorded(cluster: &Cluster, problems: &mut Vec<String>) -> Result<(Option<Inventory>, Desired)> {
    let record = inventory(cluster).await.unwrap_or_else(|error| {
        problems.push(format!("{error:#}"));
        None
    });
    if let Some(record) = record {
        match Desired::recorded(&record) {
            Ok(desired) => return Ok((Some(record), desired)),
            Err(error) => problems.push(format!("the recorded profile: {error:#}")),
        }
        return Ok((Some(record), default()?));
    }
    problems.push("there is no inventory: the checks are those of the profile dev".to_owned());
    Ok((None, default()?))
}

fn default() -> Result<Desired> {
    Desired::of(&Choice { profile: "dev".to_owned(), ..Choice::default() })
}

/// What platctl itself knows and says.
async fn state(
    cluster: &Cluster,
    reached: &Reached,
    record: Option<&Inventory>,
    desired: &Desired,
    problems: &mut Vec<String>,
) -> BTreeMap<&'static str, Value> {
    let mut documents = BTreeMap::new();
    let mut add = |name: &'static str, document: Result<Value>| match document {
        Ok(document) => drop(documents.insert(name, document)),
        Err(error) => problems.push(format!("{name}: {error:#}")),
    };
    let facts = cluster.facts(&desired.plan, reached).await.map_err(|problem| anyhow!(problem));
    add("preflight", facts.map(|facts| json!({"facts": facts, "findings": check(&desired.plan, &facts, &[])})));
    if let Some(record) = record {
        add("profile", Ok(record.profile.clone()));
        add("inventory", serde_json::to_value(record).map_err(Into::into));
        let report = status::report(cluster, record).await;
        add("status", report.and_then(|report| Ok(serde_json::to_value(report)?)));
    }
    documents
}

fn default_path(now: OffsetDateTime) -> PathBuf {
    let (date, time) = (now.date(), now.time());
    PathBuf::from(format!("platctl-support-{date}-{:02}{:02}{:02}.tar.gz", time.hour(), time.minute(), time.second()))
}

/// For its owner's eyes, and whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let half = path.with_extension("partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(bytes)?;
    std::fs::rename(&half, path)?;
    Ok(())
}
