//! Rules for the platform's custom resources. No status yet, or a phase that is not known, is waiting; failed only what the operator itself
//! calls unrecoverable.

use super::{Verdict, condition};
use crate::object::Object;

use Verdict::{Failed, Ready, Waiting};

/// `CloudNativePG`: the phase decides, not the pods, as no Service has an endpoint before the primary is promoted.
pub(super) fn cluster(object: &Object) -> Verdict {
    const HEALTHY: &str = "Cluster in healthy state";
    const HOPELESS: [&str; 3] = [
        "Cluster is unrecoverable and needs manual intervention",
        "Invalid cluster definition",
        "Unable to create required cluster objects",
    ];
    let Some(phase) = object.text("/status/phase") else {
        return Waiting("the operator has not seen it yet".to_owned());
    };
    let words = match object.text("/status/phaseReason").filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{phase}: {reason}"),
        None => phase.to_owned(),
    };
    if HOPELESS.iter().any(|hopeless| phase.starts_with(hopeless)) {
        return Failed(words);
    }
    if phase != HEALTHY {
        return Waiting(words);
    }
    let wanted = object.number("/spec/instances").unwrap_or(1);
    let ready = object.number("/status/readyInstances").unwrap_or(0);
    if ready < wanted {
        return Waiting(format!("{ready} of {wanted} instances are ready"));
    }
    let primary = |which: &str| object.text(which).unwrap_or("none");
    match (primary("/status/currentPrimary"), primary("/status/targetPrimary")) {
        ("none", _) => Waiting("it has no primary yet".to_owned()),
        (current, target) if current == target => Ready,
        (current, target) => Waiting(format!("the primary is {current}, it is to be {target}")),
    }
}

/// Argo CD judges the health of what it applied; an Application is ready when Git and cluster agree and all is healthy.
pub(super) fn application(object: &Object) -> Verdict {
    let (sync, health) = (object.text("/status/sync/status"), object.text("/status/health/status"));
    if sync.or(health).is_none() {
        return Waiting("its controller has not seen it yet".to_owned());
    }
    let (sync, health) = (sync.unwrap_or("Unknown"), health.unwrap_or("Unknown"));
    if sync == "Synced" && health == "Healthy" {
        return Ready;
    }
    let error = object
        .items("/status/conditions")
        .iter()
        .find(|condition| condition["type"].as_str().is_some_and(|kind| kind.ends_with("Error")));
    let message = error
        .and_then(|condition| condition["message"].as_str())
        // The message of a sync that succeeded says nothing of why it is not enough.
        .or_else(|| object.text("/status/operationState/message").filter(|_| !has_synced(object)))
        .unwrap_or_default();
    let words = if message.is_empty() { format!("{sync}, {health}") } else { format!("{sync}, {health}: {message}") };
    if health == "Degraded" { Failed(words) } else { Waiting(words) }
}

fn has_synced(object: &Object) -> bool {
    object.text("/status/operationState/phase") == Some("Succeeded")
}

pub(super) fn application_set(object: &Object) -> Verdict {
    if let Some(error) = condition(object, "ErrorOccurred").filter(|error| error.status == "True") {
        return Failed(error.in_words());
    }
    match condition(object, "ResourcesUpToDate") {
        Some(current) if current.status == "True" => Ready,
        Some(current) => Waiting(current.in_words()),
        None => Waiting("its controller has not seen it yet".to_owned()),
    }
}
