//! Rules for Kubernetes' own kinds. Counts come from the status that the controller wrote for the current generation; a status that is not
//! there yet is waiting, never ready.

use serde_json::Value;

use super::{Verdict, condition};
use crate::object::Object;

use Verdict::{Failed, Ready, Waiting};

/// The controller has reported on this very generation.
fn is_observed(object: &Object) -> bool {
    let generation = object.number("/metadata/generation").unwrap_or(0);
    object.number("/status/observedGeneration").is_some_and(|observed| observed >= generation)
}

pub(super) fn deployment(object: &Object) -> Verdict {
    if !is_observed(object) {
        return Waiting("its controller has not seen it yet".to_owned());
    }
    if let Some(progressing) = condition(object, "Progressing")
        && progressing.reason == "ProgressDeadlineExceeded"
    {
        return Failed(progressing.in_words());
    }
    let wanted = object.number("/spec/replicas").unwrap_or(1);
    let count = |field: &str| object.number(&format!("/status/{field}")).unwrap_or(0);
    let (updated, ready, total) = (count("updatedReplicas"), count("readyReplicas"), count("replicas"));
    if updated < wanted {
        // A quota or an admission webhook that refuses the pods is told here and nowhere else.
        if let Some(failure) = condition(object, "ReplicaFailure").filter(|failure| failure.status == "True") {
            return Waiting(format!("{updated} of {wanted} replicas are made: {}", failure.message));
        }
        return Waiting(format!("{updated} of {wanted} replicas are of the new version"));
    }
    if ready < wanted {
        return Waiting(format!("{ready} of {wanted} replicas are ready"));
    }
    if total > updated {
        return Waiting(format!("replicas of the old version that are still there: {}", total - updated));
    }
    Ready
}

pub(super) fn stateful_set(object: &Object) -> Verdict {
    if !is_observed(object) {
        return Waiting("its controller has not seen it yet".to_owned());
    }
    let wanted = object.number("/spec/replicas").unwrap_or(1);
    let count = |field: &str| object.number(&format!("/status/{field}")).unwrap_or(0);
    if count("readyReplicas") < wanted {
        return Waiting(format!("{} of {wanted} replicas are ready", count("readyReplicas")));
    }
    let by_hand = object.text("/spec/updateStrategy/type") == Some("OnDelete");
    let revision = |field: &str| object.text(&format!("/status/{field}"));
    if !by_hand
        && wanted > 0
        && revision("updateRevision").is_some()
        && revision("currentRevision") != revision("updateRevision")
    {
        return Waiting(format!("{} of {wanted} replicas are of the new version", count("updatedReplicas")));
    }
    Ready
}

pub(super) fn daemon_set(object: &Object) -> Verdict {
    if !is_observed(object) {
        return Waiting("its controller has not seen it yet".to_owned());
    }
    let count = |field: &str| object.number(&format!("/status/{field}")).unwrap_or(0);
    let wanted = count("desiredNumberScheduled");
    if count("updatedNumberScheduled") < wanted && object.text("/spec/updateStrategy/type") != Some("OnDelete") {
        return Waiting(format!("{} of {wanted} pods are of the new version", count("updatedNumberScheduled")));
    }
    if count("numberReady") < wanted {
        return Waiting(format!("{} of {wanted} pods are ready", count("numberReady")));
    }
    Ready
}

pub(super) fn job(object: &Object) -> Verdict {
    if let Some(failed) = condition(object, "Failed").filter(|failed| failed.status == "True") {
        return Failed(failed.in_words());
    }
    if condition(object, "Complete").is_some_and(|complete| complete.status == "True") {
        return Ready;
    }
    let wanted = object.number("/spec/completions").unwrap_or(1);
    Waiting(format!("{} of {wanted} runs have succeeded", object.number("/status/succeeded").unwrap_or(0)))
}

pub(super) fn claim(object: &Object) -> Verdict {
    match object.text("/status/phase") {
        Some("Bound") => Ready,
        Some("Lost") => Failed("its volume is lost".to_owned()),
        _ => Waiting("no volume is bound yet".to_owned()),
    }
}

pub(super) fn service(object: &Object) -> Verdict {
    let is_balanced = object.text("/spec/type") == Some("LoadBalancer");
    if is_balanced && object.items("/status/loadBalancer/ingress").is_empty() {
        return Waiting("the load balancer has no address yet".to_owned());
    }
    Ready
}

pub(super) fn namespace(object: &Object) -> Verdict {
    match object.text("/status/phase") {
        Some("Active") => Ready,
        phase => Waiting(format!("its phase is {}", phase.unwrap_or("not set"))),
    }
}

pub(super) fn definition(object: &Object) -> Verdict {
    if let Some(names) = condition(object, "NamesAccepted").filter(|names| names.status == "False") {
        return Failed(names.in_words());
    }
    match condition(object, "Established") {
        Some(established) if established.status == "True" => Ready,
        _ => Waiting("the API server does not serve it yet".to_owned()),
    }
}

pub(super) fn api_service(object: &Object) -> Verdict {
    match condition(object, "Available") {
        Some(available) if available.status == "True" => Ready,
        Some(available) => Waiting(available.in_words()),
        None => Waiting("not available yet".to_owned()),
    }
}

/// Every webhook that names a Service needs the CA by which the API server trusts it; its own controller writes it.
pub(super) fn webhooks(object: &Object) -> Verdict {
    let without = object.items("/webhooks").iter().find(|webhook| {
        let client = &webhook["clientConfig"];
        client.get("service").is_some() && client["caBundle"].as_str().unwrap_or_default().is_empty()
    });
    match without {
        None => Ready,
        Some(webhook) => Waiting(format!(
            "its controller has not written the caBundle of `{}` yet",
            webhook["name"].as_str().unwrap_or_default()
        )),
    }
}

/// The first of these containers' statuses that a rule has something to say of.
pub(super) fn first<'a, T>(
    statuses: impl IntoIterator<Item = &'a Value>,
    rule: impl Fn(&Value) -> Option<T>,
) -> Option<T> {
    statuses.into_iter().find_map(rule)
}
