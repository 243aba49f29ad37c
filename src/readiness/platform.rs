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
    let (current, target) = (object.text("/status/currentPrimary"), object.text("/status/targetPrimary"));
    if current.is_none() || current != target {
        return Waiting(format!(
            "the primary is {}, it is to be {}",
            current.unwrap_or("none"),
            target.unwrap_or("none")
        ));
    }
    Ready
}

/// Argo CD judges the health of what it applied; an Application is ready when Git and cluster agree and all is healthy.
pub(super) fn application(object: &Object) -> Verdict {
    let known = |pointer: &str| object.text(pointer).unwrap_or("unknown").to_owned();
    let (sync, health) = (known("/status/sync/status"), known("/status/health/status"));
    if sync == "Synced" && health == "Healthy" {
        return Ready;
    }
    let error = object
        .items("/status/conditions")
        .iter()
        .find(|condition| condition["type"].as_str().is_some_and(|kind| kind.ends_with("Error")));
    let message = error
        .and_then(|condition| condition["message"].as_str())
        .or_else(|| object.text("/status/operationState/message"))
        .unwrap_or_default();
    let words = if message.is_empty() { format!("{sync}, {health}") } else { format!("{sync}, {health}: {message}") };
    if health == "Degraded" { Failed(words) } else { Waiting(words) }
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
