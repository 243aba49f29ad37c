//! The rule for pods: ready, on the way, or in a state that it does not leave by itself. The words are the kubelet's and the scheduler's own.

use serde_json::Value;

use super::builtin::first;
use super::{Verdict, condition};
use crate::object::Object;

use Verdict::{Failed, Ready, Waiting};

/// Waiting reasons that need somebody to change something. Whether they persist is the engine's question.
const HOPELESS: [&str; 6] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CrashLoopBackOff",
    "CreateContainerError",
    "RunContainerError",
];

pub(super) fn pod(object: &Object) -> Verdict {
    match object.text("/status/phase") {
        Some("Succeeded") => return Ready,
        Some("Failed") => return Failed(failed_words(object)),
        _ => {}
    }
    if condition(object, "Ready").is_some_and(|ready| ready.status == "True") {
        return Ready;
    }
    if let Some(scheduled) = condition(object, "PodScheduled").filter(|scheduled| scheduled.status == "False") {
        let words = format!("no node takes it: {}", scheduled.message);
        // A claim that is still being bound looks the same for a moment; the engine gives it that moment.
        return if scheduled.reason == "Unschedulable" { Failed(words) } else { Waiting(words) };
    }
    if let Some(words) = first(statuses(object), hopeless) {
        return Failed(words);
    }
    let pending = first(statuses(object), pending).or_else(|| unready_words(object));
    Waiting(pending.unwrap_or_else(|| "it has not started yet".to_owned()))
}

/// Init containers first, as they run first.
fn statuses(object: &Object) -> impl Iterator<Item = &Value> {
    object.items("/status/initContainerStatuses").iter().chain(object.items("/status/containerStatuses"))
}

/// Every container is ready and the pod is not: a readiness gate, which only the condition names.
fn unready_words(object: &Object) -> Option<String> {
    condition(object, "Ready").map(|ready| ready.in_words()).filter(|words| !words.is_empty())
}

/// The pod's own reason stands there when the kubelet ended or refused it; then the containers' exits say nothing.
fn failed_words(object: &Object) -> String {
    let own = |field: &str| object.text(field).map(str::trim).filter(|text| !text.is_empty());
    match (own("/status/reason"), own("/status/message")) {
        (Some(reason), Some(message)) => return format!("{reason}: {message}"),
        (Some(words), None) | (None, Some(words)) => return words.to_owned(),
        (None, None) => {}
    }
    first(statuses(object), failed_exit).unwrap_or_else(|| "it failed".to_owned())
}

fn failed_exit(status: &Value) -> Option<String> {
    let ended = status.pointer("/state/terminated")?;
    (ended["exitCode"].as_i64() != Some(0)).then(|| exit_words(name(status), ended))
}

fn name(status: &Value) -> &str {
    status["name"].as_str().unwrap_or_default()
}

fn exit_words(name: &str, ended: &Value) -> String {
    format!("container `{name}` {}", how_it_ended(ended))
}

fn how_it_ended(ended: &Value) -> String {
    let code = ended["exitCode"].as_i64().unwrap_or(-1);
    let reason = ended["reason"].as_str().unwrap_or("Error");
    match ended["message"].as_str().map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("ended with {code} ({reason}): {message}"),
        None => format!("ended with {code} ({reason})"),
    }
}

fn hopeless(status: &Value) -> Option<String> {
    let reason = status.pointer("/state/waiting/reason")?.as_str()?;
    if !HOPELESS.contains(&reason) {
        return None;
    }
    let last = status.pointer("/lastState/terminated").map(|ended| format!("last time it {}", how_it_ended(ended)));
    let message = status.pointer("/state/waiting/message").and_then(Value::as_str).unwrap_or_default();
    let said = match (reason, last) {
        // The kubelet's message is only how long it holds back, and of which container by UID.
        ("CrashLoopBackOff", Some(last)) => format!("{reason}: {last}"),
        (_, Some(last)) => format!("{reason}: {message}; {last}"),
        (_, None) => format!("{reason}: {message}"),
    };
    Some(format!("container `{}`: {}", name(status), said.trim_end_matches([':', ' '])))
}

fn pending(status: &Value) -> Option<String> {
    if status["ready"].as_bool().unwrap_or(false)
        || status.pointer("/state/terminated/exitCode").and_then(Value::as_i64) == Some(0)
    {
        return None;
    }
    let name = name(status);
    if let Some(waiting) = status.pointer("/state/waiting") {
        let reason = waiting["reason"].as_str().unwrap_or("waiting");
        return Some(match waiting["message"].as_str().filter(|message| !message.is_empty()) {
            Some(message) => format!("container `{name}`: {reason}: {message}"),
            None => format!("container `{name}`: {reason}"),
        });
    }
    if let Some(ended) = status.pointer("/state/terminated") {
        return Some(exit_words(name, ended));
    }
    Some(format!("container `{name}` runs and is not ready yet"))
}
