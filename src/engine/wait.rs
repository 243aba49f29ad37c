//! Waits until objects are ready: watches them and the pods behind them, judges at every change, says what it waits for, and ends early
//! when a pod is in a state that it does not recover from by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::stream::SelectAll;
use futures::{Stream, StreamExt};
use serde_json::Value;
use tokio::time::Instant;

use super::Engine;
use crate::cluster::{Seen, Selector};
use crate::event::Event;
use crate::failure::{advised, chain};
use crate::object::{COMPONENT_LABEL, Id, Object};
use crate::plan::PlannedComponent;
use crate::readiness::remedy::remedy;
use crate::readiness::{Verdict, is_awaited, judge};

type Watches = SelectAll<Pin<Box<dyn Stream<Item = (usize, Seen)> + Send>>>;

/// What is known of the objects that a component waits for.
struct Awaited {
    wanted: Vec<Id>,
    live: BTreeMap<Id, Object>,
    /// Since when a pod has been in a state that it does not recover from, and the first reason: later ones say less.
    hopeless: HashMap<Id, (Instant, String)>,
    /// What each watch has seen since its last listing began, and what it had seen before that.
    sights: HashMap<usize, Sights>,
    /// Watches that have not listed all there is yet; before that, absence means nothing.
    unlisted: BTreeSet<usize>,
}

#[derive(Default)]
struct Sights {
    now: BTreeSet<Id>,
    before: BTreeSet<Id>,
}

impl Engine {
    /// Until all of `objects` that have a rule, and all that the component's `waits` name, are ready.
    pub(super) async fn until_ready(
        &self,
        planned: &PlannedComponent,
        objects: &[&Object],
        deadline: Instant,
    ) -> Result<()> {
        let name = &planned.component.name;
        let mut wanted: Vec<Id> = objects.iter().map(|object| object.id()).filter(is_awaited).collect();
        if !objects.iter().all(|object| object.kind() == "CustomResourceDefinition") {
            wanted.extend(planned.component.waits.iter().cloned());
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut watches = self.watches(planned, &wanted, deadline).await?;
        let mut awaited = Awaited {
            wanted,
            live: BTreeMap::new(),
            hopeless: HashMap::new(),
            sights: HashMap::new(),
            unlisted: (0..watches.len()).collect(),
        };
        let mut said = String::new();
        loop {
            let Some((id, reason)) = awaited.first_unready() else { return Ok(()) };
            if let Some((culprit, reason)) = awaited.given_up(self.pacing.stuck) {
                return Err(self.diagnosed(name, &culprit, &reason, false).await);
            }
            if reason != said && awaited.unlisted.is_empty() {
                self.events.send(Event::Waiting {
                    component: name.clone(),
                    id: Some(id.clone()),
                    reason: reason.clone(),
                });
                said.clone_from(&reason);
            }
            let until = awaited.next_look(self.pacing.stuck).map_or(deadline, |look| look.min(deadline));
            tokio::select! {
                seen = watches.next() => match seen {
                    Some((watch, seen)) => self.note(&mut awaited, watch, seen, name),
                    None => return Err(anyhow!("every watch ended")),
                },
                () = tokio::time::sleep_until(until) => {
                    if Instant::now() >= deadline {
                        let (culprit, reason) = awaited.most_telling(id, reason);
                        return Err(self.diagnosed(name, &culprit, &reason, true).await);
                    }
                }
            }
        }
    }

    /// One watch for each kind and namespace, one more for the pods behind.
    async fn watches(&self, planned: &PlannedComponent, wanted: &[Id], deadline: Instant) -> Result<Watches> {
        let labels = format!("{COMPONENT_LABEL}={}", planned.component.name);
        let mut sights: Vec<(Id, Selector)> = Vec::new();
        let mut seen = BTreeSet::new();
        for id in wanted {
            if planned.component.waits.contains(id) {
                sights.push((id.clone(), Selector::Name(id.name.clone())));
                continue;
            }
            if seen.insert((id.api_version.clone(), id.kind.clone(), id.namespace.clone())) {
                sights.push((id.clone(), Selector::Labels(labels.clone())));
            }
            if let Some(namespace) = &id.namespace
                && seen.insert(("v1".to_owned(), "Pod".to_owned(), Some(namespace.clone())))
            {
                sights.push((Id::new("v1", "Pod", Some(namespace), ""), Selector::Labels(labels.clone())));
            }
        }
        let mut watches: Watches = SelectAll::new();
        for (number, (id, selector)) in sights.iter().enumerate() {
            let watch =
                self.persist(&format!("watch {}", id.kind), deadline, || self.cluster.watch(id, selector)).await?;
            watches.push(Box::pin(watch.map(move |seen| (number, seen))));
        }
        Ok(watches)
    }

    fn note(&self, awaited: &mut Awaited, watch: usize, seen: Seen, component: &str) {
        match seen {
            // Evicted or rejected: its controller has made another, which is what counts.
            Seen::There(object) if is_stray(&object) => awaited.forget(&object.id()),
            Seen::There(object) => awaited.see(watch, object),
            Seen::Gone(object) => awaited.forget(&object.id()),
            Seen::Restarted => awaited.list_anew(watch),
            Seen::Complete => awaited.listed(watch),
            Seen::Trouble(problem) => self.events.send(Event::Retrying {
                what: format!("watch component `{component}`"),
                cause: problem.message,
                attempt: 1,
                after_ms: 0,
            }),
        }
    }

    /// The error of a wait that failed, with all that can be learnt of the culprit.
    async fn diagnosed(&self, component: &str, culprit: &Id, reason: &str, timed_out: bool) -> anyhow::Error {
        let diagnosis =
            tokio::time::timeout(Duration::from_secs(20), self.cluster.diagnose(culprit)).await.unwrap_or_default();
        let what = if timed_out { "is not ready in time" } else { "does not become ready" };
        // The reason is the outermost of the causes, the last line of the log the innermost.
        let causes: Vec<String> = std::iter::once(reason.to_owned()).chain(diagnosis.lines()).collect();
        let first = remedy(causes.iter().map(String::as_str))
            .map_or_else(|| "mend the cause".to_owned(), |remedy| remedy.in_words());
        let error = chain(&format!("{culprit} {what}"), causes.into_iter());
        let hint = format!(
            "{first}; then run the same command again: it goes on where it stopped; `platctl status` shows component `{component}`"
        );
        advised(error, hint)
    }
}

/// A failed pod of a controller that replaces its pods, as eviction and a full node leave behind.
pub fn is_stray(object: &Object) -> bool {
    let replaces = |owner: &Value| matches!(owner["kind"].as_str(), Some("ReplicaSet" | "StatefulSet" | "DaemonSet"));
    object.kind() == "Pod"
        && object.text("/status/phase") == Some("Failed")
        && object.items("/metadata/ownerReferences").iter().any(replaces)
}

impl Awaited {
    /// The first object that is not ready, with the reason of the pod behind it where one says more.
    fn first_unready(&self) -> Option<(Id, String)> {
        let (id, reason) = self.wanted.iter().find_map(|id| match judge(id, self.live.get(id)) {
            Verdict::Ready => None,
            Verdict::Waiting(reason) | Verdict::Failed(reason) => Some((id.clone(), reason)),
        })?;
        if is_awaited(&id) && id.namespace.is_some() {
            let behind = self.pods().find_map(|(pod, object)| match judge(pod, Some(object)) {
                Verdict::Ready => None,
                Verdict::Waiting(why) | Verdict::Failed(why) => Some(why),
            });
            if let Some(behind) = behind {
                return Some((id, format!("{reason}; {behind}")));
            }
        }
        Some((id, reason))
    }

    fn pods(&self) -> impl Iterator<Item = (&Id, &Object)> {
        self.live.iter().filter(|(id, _)| id.kind == "Pod")
    }

    /// The deadline is over: a pod that was hopeless all along tells more than the object that waits for it.
    fn most_telling(&self, id: Id, reason: String) -> (Id, String) {
        let longest = self.hopeless.iter().min_by_key(|(_, (since, _))| *since);
        longest.map_or((id, reason), |(pod, (_, why))| (pod.clone(), why.clone()))
    }

    fn judge_pod(&mut self, id: &Id, object: &Object) {
        let awaited = id.kind == "Pod" || self.wanted.contains(id);
        match judge(id, Some(object)) {
            Verdict::Failed(reason) if awaited => {
                self.hopeless.entry(id.clone()).or_insert_with(|| (Instant::now(), reason));
            }
            Verdict::Ready => drop(self.hopeless.remove(id)),
            // Between two crashes a pod runs for a moment: the clock goes on.
            Verdict::Waiting(_) | Verdict::Failed(_) => {}
        }
    }

    fn forget(&mut self, id: &Id) {
        self.live.remove(id);
        self.hopeless.remove(id);
    }

    fn see(&mut self, watch: usize, object: Object) {
        let id = object.id();
        self.sights.entry(watch).or_default().now.insert(id.clone());
        self.judge_pod(&id, &object);
        self.live.insert(id, object);
    }

    fn list_anew(&mut self, watch: usize) {
        let sights = self.sights.entry(watch).or_default();
        let seen = std::mem::take(&mut sights.now);
        // A listing that broke off had not seen all there is.
        sights.before.extend(seen);
    }

    /// After a new listing, what this watch no longer sees is gone. Others of the same kind are other watches' to judge.
    fn listed(&mut self, watch: usize) {
        self.unlisted.remove(&watch);
        let sights = self.sights.entry(watch).or_default();
        let gone: Vec<Id> = std::mem::take(&mut sights.before).difference(&sights.now).cloned().collect();
        for id in gone {
            self.forget(&id);
        }
    }

    /// What has been hopeless for longer than `stuck`.
    fn given_up(&self, stuck: Duration) -> Option<(Id, String)> {
        let now = Instant::now();
        self.hopeless
            .iter()
            .find(|(_, (since, _))| now.duration_since(*since) >= stuck)
            .map(|(id, (_, reason))| (id.clone(), reason.clone()))
    }

    fn next_look(&self, stuck: Duration) -> Option<Instant> {
        self.hopeless.values().map(|(since, _)| *since + stuck).min()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(name: &str) -> Object {
        Object::new(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "a", "name": name}}))
            .unwrap()
    }

    /// Two watches of one kind, as two Secrets that are awaited by name have: neither listing makes the other's object disappear.
    #[test]
    fn a_listing_says_nothing_of_what_another_watch_sees() {
        let (one, other) = (secret("one"), secret("other"));
        let mut awaited = Awaited {
            wanted: vec![one.id(), other.id()],
            live: BTreeMap::new(),
            hopeless: HashMap::new(),
            sights: HashMap::new(),
            unlisted: BTreeSet::from([0, 1]),
        };
        awaited.list_anew(0);
        awaited.list_anew(1);
        awaited.see(0, one.clone());
        awaited.see(1, other.clone());
        awaited.listed(0);
        awaited.listed(1);
        assert_eq!(awaited.first_unready(), None);

        // The first watch reconnects, and its listing breaks off once.
        awaited.list_anew(0);
        awaited.list_anew(0);
        assert_eq!(awaited.first_unready(), None);
        awaited.listed(0);
        let (id, reason) = awaited.first_unready().unwrap();
        assert_eq!((id, reason.as_str()), (one.id(), "Secret a/one is not there yet"));
        assert!(awaited.live.contains_key(&other.id()));
    }
}
