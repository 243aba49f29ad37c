//! One line an event: text for logs, or JSON for programs.
//!
//! JSON: each line is an object with `time` (RFC 3339, UTC), `type` (kebab-case, see `Event`) and the event's fields: ids as `{apiVersion,
//! kind, namespace, name}`, durations in milliseconds with the suffix `_ms`. The last line is `finished`, `interrupted` or `failed`.

use std::collections::HashSet;
use std::io::Write;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Renderer;
use crate::event::{Change, Event, VersionChange};

pub(super) struct Lines<W> {
    out: W,
    verbose: bool,
    /// What was said of waiting: a pod that crashes and starts again tells the same two things in turn.
    said: HashSet<String>,
}

impl<W: Write + Send> Lines<W> {
    pub(super) fn new(out: W, verbose: bool) -> Self {
        Self { out, verbose, said: HashSet::new() }
    }

    pub(super) fn print(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }
}

impl<W: Write + Send> Renderer for Lines<W> {
    fn show(&mut self, event: &Event) {
        let Some(text) = in_words(event, self.verbose) else { return };
        if !matches!(event, Event::Waiting { .. }) {
            return self.print(&text);
        }
        let text = if self.verbose { &text } else { without_usual(&text) };
        if self.said.insert(text.to_owned()) {
            self.print(text);
        }
    }
}

/// What every pod goes through on its way is no line of a log.
fn without_usual(text: &str) -> &str {
    const USUAL: [&str; 4] =
        ["it has not started yet", "PodInitializing", "ContainerCreating", "runs and is not ready yet"];
    match text.rsplit_once("; Pod ") {
        Some((main, pod)) if USUAL.iter().any(|usual| pod.ends_with(usual)) => main,
        _ => text,
    }
}

pub(super) struct JsonLines<W> {
    out: W,
}

impl<W: Write + Send> JsonLines<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> Renderer for JsonLines<W> {
    fn show(&mut self, event: &Event) {
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
            let mut line = serde_json::Map::from_iter([("time".to_owned(), Value::from(time))]);
            line.extend(fields);
            let _ = writeln!(self.out, "{}", Value::Object(line));
        }
    }
}

/// The words of an event; none for those that only `--verbose` shows.
pub(super) fn in_words(event: &Event, verbose: bool) -> Option<String> {
    Some(match event {
        Event::Connected { context, server, version, nodes } => {
            format!("cluster: context {context}, {server}, Kubernetes {version}, {}", counted(*nodes, "node"))
        }
        Event::Warned { check, title, hint } => format!("warning: {title} ({check}): {hint}"),
        Event::CheckSkipped { check } => format!("skipped: the check `{check}`"),
        Event::Planned { action, profile, waves } => {
            let objects: usize = waves.iter().map(|wave| wave.objects).sum();
            format!("{action}: profile {profile}, {}, {}", counted(waves.len(), "wave"), counted(objects, "object"))
        }
        Event::Compared { from, to, components, created, changed, removed } => {
            let step = if from == to { format!("platctl {to}") } else { format!("platctl {from} → {to}") };
            let mut text = format!("upgrade: {step}; objects: {created} new, {changed} changed, {removed} removed");
            for VersionChange { component, from, to } in components {
                let words = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
                text += &format!("\n  {component} {} → {}", words(from), words(to));
            }
            if components.is_empty() {
                text += "\n  no component changes its version";
            }
            text
        }
        Event::Prepulling { images, nodes } => {
            format!("pulling {} ahead on {}", counted(*images, "image"), counted(*nodes, "node"))
        }
        Event::WaveStarted { wave, name } => format!("wave {wave} ({name}): started"),
        Event::ComponentStarted { component, objects } => {
            format!("  {component}: applying {}", counted(*objects, "object"))
        }
        Event::SecretGenerated { id } => format!("  generated {id}"),
        Event::Applied { component, id, change } => {
            let word = match change {
                Change::Created => "created",
                Change::Configured => "configured",
                Change::Unchanged => "unchanged",
            };
            return verbose.then(|| format!("    {component}: {word} {id}"));
        }
        Event::Waiting { component, reason, .. } => format!("  {component}: waiting: {reason}"),
        Event::Retrying { what, cause, attempt, after_ms } => {
            // The first attempts of what passes by itself are no news.
            return (verbose || *attempt > 2)
                .then(|| format!("  retrying: {what}: {cause} (attempt {attempt}, again in {after_ms} ms)"));
        }
        Event::ComponentReady { component } => format!("  {component}: ready"),
        Event::WaveReady { wave, name } => format!("wave {wave} ({name}): done"),
        Event::Published { repository, revision, changed_files } => {
            let files = counted(*changed_files, "changed file");
            format!("published {files} to {repository} at {}", short(revision))
        }
        Event::Application { name, sync, health, revision } => {
            format!("  application {name}: {}, {} at {}", known(sync), known(health), short(revision))
        }
        Event::HandedOver { repository, revision, objects, pods } => format!(
            "handed over to Argo CD: {repository} at {}; {} unchanged, {} not restarted",
            short(revision),
            counted(*objects, "object"),
            counted(*pods, "pod")
        ),
        Event::TakenBack { applications } => {
            format!("taken back from Argo CD: {}", counted(*applications, "application"))
        }
        Event::Deleting { component, objects } => format!("  {component}: deleting {}", counted(*objects, "object")),
        Event::Deleted { id } => return verbose.then(|| format!("    deleted {id}")),
        Event::Kept { id, reason } => format!("  kept {id}: {reason}"),
        Event::Interrupted { wave } => match wave {
            Some(wave) => format!("interrupted in wave {wave}"),
            None => "interrupted".to_owned(),
        },
        Event::Finished { action, created, configured, unchanged, deleted, next } => {
            let mut text = format!(
                "{action}: done: {created} created, {configured} configured, {unchanged} unchanged, {deleted} deleted"
            );
            for line in next {
                text += &format!("\n  {}: {}", line.label, line.value);
            }
            text
        }
        Event::Failed { failure } => format!("failed: {}", failure.what),
    })
}

/// `1 node`, `2 nodes`, `2 storage classes`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = if what.ends_with('s') { "es" } else { "s" };
    format!("{count} {what}{}", if count == 1 { "" } else { plural })
}

pub(super) fn short(revision: &str) -> &str {
    revision.get(..8).unwrap_or(revision)
}

fn known(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}
