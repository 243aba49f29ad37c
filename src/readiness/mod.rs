//! Is it done? A pure function from an object, or its absence, to a verdict with a reason for people. It fetches nothing and knows no clock:
//! the engine asks again at every change.

mod builtin;
mod platform;
mod pod;
pub mod remedy;

use crate::object::{Id, Object};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ready,
    /// Not yet, and why; a later change may make it ready.
    Waiting(String),
    /// It does not get ready by itself, and why, in the component's own words.
    Failed(String),
}

type Rule = fn(&Object) -> Verdict;

/// The rule of a kind; none for kinds that are done once they exist.
fn rule(group: &str, kind: &str) -> Option<Rule> {
    Some(match (group, kind) {
        ("apps", "Deployment") => builtin::deployment,
        ("apps", "StatefulSet") => builtin::stateful_set,
        ("apps", "DaemonSet") => builtin::daemon_set,
        ("batch", "Job") => builtin::job,
        ("", "Pod") => pod::pod,
        ("", "PersistentVolumeClaim") => builtin::claim,
        ("", "Service") => builtin::service,
        ("", "Namespace") => builtin::namespace,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => builtin::definition,
        ("apiregistration.k8s.io", "APIService") => builtin::api_service,
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            builtin::webhooks
        }
        ("postgresql.cnpg.io", "Cluster") => platform::cluster,
        ("argoproj.io", "Application") => platform::application,
        ("argoproj.io", "ApplicationSet") => platform::application_set,
        _ => return None,
    })
}

/// Whether an object of this kind can be there and not be ready.
pub fn is_awaited(id: &Id) -> bool {
    rule(id.group(), &id.kind).is_some()
}

/// Judges an object; `None` is one that is not there.
pub fn judge(id: &Id, object: Option<&Object>) -> Verdict {
    let Some(object) = object else {
        return Verdict::Waiting(format!("{id} is not there yet"));
    };
    if object.text("/metadata/deletionTimestamp").is_some() {
        return Verdict::Waiting(format!("{id} is being deleted"));
    }
    let Some(rule) = rule(id.group(), &id.kind) else { return Verdict::Ready };
    if let (Some(generation), Some(observed)) =
        (object.number("/metadata/generation"), object.number("/status/observedGeneration"))
        && observed < generation
    {
        return Verdict::Waiting(format!("{id}: its controller has not seen the latest change yet"));
    }
    match rule(object) {
        Verdict::Ready => Verdict::Ready,
        Verdict::Waiting(reason) => Verdict::Waiting(format!("{id}: {reason}")),
        Verdict::Failed(reason) => Verdict::Failed(format!("{id}: {reason}")),
    }
}

/// The condition of a type: its status, reason and message.
fn condition<'a>(object: &'a Object, kind: &str) -> Option<Condition<'a>> {
    let found = object.items("/status/conditions").iter().find(|condition| condition["type"] == kind)?;
    let text = |key: &str| found[key].as_str().unwrap_or_default();
    Some(Condition { status: text("status"), reason: text("reason"), message: text("message") })
}

struct Condition<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn in_words(&self) -> String {
        match (self.reason, self.message) {
            (reason, "") => reason.to_owned(),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}
