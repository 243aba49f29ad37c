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
    let statuses =
        || object.items("/status/initContainerStatuses").iter().chain(object.items("/status/containerStatuses"));
    if let Some(words) = first(statuses(), hopeless) {
        return Failed(words);
    }
    Waiting(first(statuses(), pending).unwrap_or_else(|| "it has not started yet".to_owned()))
}

fn failed_words(object: &Object) -> String {
    let statuses = object.items("/status/containerStatuses").iter();
    let exit =
        first(statuses, |status| status.pointer("/state/terminated").map(|ended| exit_words(name(status), ended)));
    exit.or_else(|| object.text("/status/message").map(str::to_owned))
        .or_else(|| object.text("/status/reason").map(str::to_owned))
        .unwrap_or_else(|| "it failed".to_owned())
}

fn name(status: &Value) -> &str {
    status["name"].as_str().unwrap_or_default()
}

fn exit_words(name: &str, ended: &Value) -> String {
    let code = ended["exitCode"].as_i64().unwrap_or(-1);
    let reason = ended["reason"].as_str().unwrap_or("Error");
    match ended["message"].as_str().map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("container `{name}` ended with {code} ({reason}): {message}"),
        None => format!("container `{name}` ended with {code} ({reason})"),
    }
}

fn hopeless(status: &Value) -> Option<String> {
    let reason = status.pointer("/state/waiting/reason")?.as_str()?;
    if !HOPELESS.contains(&reason) {
        return None;
    }
    let message = status.pointer("/state/waiting/message").and_then(Value::as_str).unwrap_or_default();
    let mut words = format!("container `{}`: {reason}: {message}", name(status));
    if let Some(ended) = status.pointer("/lastState/terminated") {
        words += &format!("; {}", exit_words("it", ended).replace("container `it`", "last time it"));
    }
    Some(words.trim_end_matches([':', ' ']).to_owned())
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
