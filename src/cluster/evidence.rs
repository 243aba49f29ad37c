//! Gathers what a support bundle shows: objects, events, nodes, CRDs and logs. What may not be read or fails is noted and left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use http::Request;

use super::{Class, Cluster, Problem, encode};
use crate::bundle::{Evidence, Log};
use crate::object::{COMPONENT_LABEL, Id, Object};

/// Requests under way at once.
const CONCURRENCY: usize = 8;
/// Of one container: lines asked for, bytes taken at most, bytes kept of their end.
const LOG_LINES: usize = 5000;
const LOG_TAKEN: usize = 4 << 20;
const LOG_KEPT: usize = 256 << 10;
const LOG_TIMEOUT: Duration = Duration::from_secs(30);

/// Shown in a form of their own, or twice.
const ELSEWHERE: [&str; 3] = ["Event", "Endpoints", "CustomResourceDefinition"];

impl Cluster {
    /// Namespaces with our label, and of those named the ones that are there.
    pub async fn platform_namespaces(&self, named: &[&str]) -> Result<Vec<String>, Problem> {
        let of = Id::new("v1", "Namespace", None, "");
        let found = self.list(&of, "").await?;
        let is_ours = |namespace: &&Object| namespace.component().is_some() || named.contains(&namespace.name());
        let there: BTreeSet<String> =
            found.iter().filter(is_ours).map(|namespace| namespace.name().to_owned()).collect();
        Ok(there.into_iter().collect())
    }

    /// Everything in these namespaces, and of the rest what is ours. `since`: how many seconds the logs go back.
    pub async fn evidence(&self, namespaces: &[String], since: u64) -> Evidence {
        let mut evidence = Evidence::default();
        let mut notes = Notes::default();
        for namespace in namespaces {
            let kinds = notes.kinds(self.kinds(Some(namespace)).await);
            let (events, kinds): (Vec<Id>, Vec<Id>) = kinds.into_iter().partition(|id| id.kind == "Event");
            evidence.objects.extend(self.list_noting(without(kinds), "", &mut notes).await);
            // Each event is served by two APIs.
            let events = events.into_iter().filter(|id| id.api_version == "v1").collect();
            evidence.events.extend(self.list_noting(events, "", &mut notes).await);
        }
        let kinds = notes.kinds(self.kinds(None).await);
        let ours = self.list_noting(without(kinds), COMPONENT_LABEL, &mut notes).await;
        evidence.objects.extend(ours.into_iter().filter(|object| object.namespace().is_none()));
        evidence.nodes = self.list_noting(vec![Id::new("v1", "Node", None, "")], "", &mut notes).await;
        let definitions = Id::new("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, "");
        evidence.definitions = self.list_noting(vec![definitions], "", &mut notes).await;
        for objects in [&mut evidence.events, &mut evidence.nodes, &mut evidence.definitions] {
            objects.sort_by_key(Object::id);
        }
        evidence.unread_secrets = notes.unread("Secret", namespaces);
        evidence.problems = notes.in_words();
        self.logs(&mut evidence, since).await;
        evidence
    }

    async fn list_noting(&self, kinds: Vec<Id>, selector: &str, notes: &mut Notes) -> Vec<Object> {
        let lists: Vec<_> = stream::iter(kinds)
            .map(|kind| async move {
                let list = self.list(&kind, selector).await;
                (kind, list)
            })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        lists.into_iter().flat_map(|(kind, list)| notes.list(&kind, list)).collect()
    }

    async fn logs(&self, evidence: &mut Evidence, since: u64) {
        let wanted: Vec<(String, String, String, bool)> =
            evidence.objects.iter().filter(|object| object.kind() == "Pod").flat_map(containers).collect();
        let logs: Vec<_> = stream::iter(wanted)
            .map(|(namespace, pod, container, previous)| async move {
                let text = self.log(&namespace, &pod, &container, if previous { None } else { Some(since) }).await;
                (Log { namespace, pod, container, previous, text: String::new() }, text)
            })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        for (mut log, text) in logs {
            match text {
                Ok(text) => {
                    log.text = end_of(&text);
                    evidence.logs.push(log);
                }
                Err(problem) => {
                    let which = if log.previous { "previous log" } else { "log" };
                    let place = format!("{}/{}", log.namespace, log.pod);
                    evidence.problems.push(format!("read the {which} of {} in {place}: {problem}", log.container));
                }
            }
        }
    }

    /// Of the present life as far back as is asked for; the one before is told whole, as its end is what counts.
    async fn log(&self, namespace: &str, pod: &str, container: &str, since: Option<u64>) -> Result<String, Problem> {
        let life = since.map_or_else(|| "previous=true".to_owned(), |since| format!("sinceSeconds={since}"));
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={}&timestamps=true&tailLines={LOG_LINES}&limitBytes={LOG_TAKEN}&{life}",
            encode(container)
        );
        let request = Request::get(path)
            .body(Vec::new())
            .map_err(|error| Problem { class: Class::Invalid, message: error.to_string() })?;
        let answer = tokio::time::timeout(LOG_TIMEOUT, self.client().request_text(request)).await;
        let silence = |_| Problem { class: Class::Transient, message: "no answer in 30 s".to_owned() };
        Ok(answer.map_err(silence)??)
    }
}

fn without(kinds: Vec<Id>) -> Vec<Id> {
    kinds.into_iter().filter(|id| !ELSEWHERE.contains(&id.kind.as_str())).collect()
}

/// Namespace, pod and container of each log that there is, and whether it is that of an earlier life.
fn containers(pod: &Object) -> Vec<(String, String, String, bool)> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let mut logs = Vec::new();
    for status in statuses.iter().flat_map(|pointer| pod.items(pointer)) {
        let name = status["name"].as_str().unwrap_or_default();
        let log = |previous| {
            (pod.namespace().unwrap_or_default().to_owned(), pod.name().to_owned(), name.to_owned(), previous)
        };
        let restarts = status["restartCount"].as_i64().unwrap_or(0);
        let has_begun = status["state"]["running"].is_object() || status["state"]["terminated"].is_object();
        if has_begun || restarts > 0 {
            logs.push(log(false));
        }
        if restarts > 0 {
            logs.push(log(true));
        }
    }
    logs
}

/// The end of a log, from the beginning of a line.
fn end_of(text: &str) -> String {
    let Some(mut start) = text.len().checked_sub(LOG_KEPT) else { return text.to_owned() };
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let end = &text[start..];
    let end = end.split_once('\n').map_or(end, |(_, lines)| lines);
    format!("(cut: the last {} KiB of {} KiB)\n{end}", LOG_KEPT >> 10, text.len() >> 10)
}

/// What could not be listed: where and why. Rights are missing for many kinds at once, or in many namespaces.
#[derive(Default)]
struct Notes {
    /// Reason and kind → places.
    lists: BTreeMap<(String, String), BTreeSet<String>>,
    others: Vec<String>,
}

impl Notes {
    fn list(&mut self, of: &Id, answer: Result<Vec<Object>, Problem>) -> Vec<Object> {
        let problem = match answer {
            Ok(objects) => return objects,
            Err(problem) => problem,
        };
        let reason = if problem.class == Class::Denied { "not allowed".to_owned() } else { problem.message };
        let kind = if of.group().is_empty() { of.kind.clone() } else { format!("{}.{}", of.kind, of.group()) };
        let place = of.namespace.clone().unwrap_or_else(|| "the cluster".to_owned());
        self.lists.entry((reason, kind)).or_default().insert(place);
        Vec::new()
    }

    fn kinds(&mut self, answer: Result<Vec<Id>, Problem>) -> Vec<Id> {
        answer.unwrap_or_else(|problem| {
            self.others.push(format!("ask for the kinds of objects: {problem}"));
            Vec::new()
        })
    }

    /// Those of the namespaces in which a kind could not be listed.
    fn unread(&self, kind: &str, namespaces: &[String]) -> Vec<String> {
        // Without its kinds, nothing of a namespace is known.
        if !self.others.is_empty() {
            return namespaces.to_vec();
        }
        let places = self.lists.iter().filter(|((_, listed), _)| listed == kind).flat_map(|(_, places)| places);
        places.filter(|place| namespaces.contains(place)).cloned().collect()
    }

    fn in_words(self) -> Vec<String> {
        let mut by_places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ((reason, kind), places) in self.lists {
            let places: Vec<String> = places.into_iter().collect();
            by_places.entry((reason, places.join(", "))).or_default().push(kind);
        }
        let lists = by_places
            .into_iter()
            .map(|((reason, places), kinds)| format!("list in {places}: {reason}: {}", kinds.join(", ")));
        self.others.into_iter().chain(lists).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn logs_of_what_has_begun_and_of_earlier_lives() {
        let status =
            |name: &str, restarts: u32, state: Value| json!({"name": name, "restartCount": restarts, "state": state});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "status": {
            "initContainerStatuses": [status("first", 0, json!({"terminated": {}}))],
            "containerStatuses": [
                status("waits", 0, json!({"waiting": {}})), status("crashes", 2, json!({"waiting": {}})),
                status("runs", 0, json!({"running": {}})),
            ],
        }});
        let logs = containers(&Object::new(pod).unwrap());
        let names: Vec<(&str, bool)> =
            logs.iter().map(|(_, _, container, previous)| (container.as_str(), *previous)).collect();
        assert_eq!(names, [("first", false), ("crashes", false), ("crashes", true), ("runs", false)]);
    }

    #[test]
    fn the_end_of_a_long_log_is_kept() {
        assert_eq!(end_of("short\n"), "short\n");
        let long = "ä line\n".repeat(LOG_KEPT / 4);
        let end = end_of(&long);
        assert!(end.starts_with("(cut: the last 256 KiB of 512 KiB)\nä line\n") && end.ends_with("ä line\n"));
        assert!(end.len() <= LOG_KEPT + 40);
    }

    #[test]
    fn what_may_not_be_read_is_named_once() {
        let mut notes = Notes::default();
        let denied = || Err(Problem { class: Class::Denied, message: "secrets is forbidden".to_owned() });
        for (kind, namespace) in
            [("Secret", Some("b")), ("Secret", Some("a")), ("Role", Some("a")), ("Role", Some("b"))]
        {
            let version = if kind == "Role" { "rbac.authorization.k8s.io/v1" } else { "v1" };
            assert!(notes.list(&Id::new(version, kind, namespace, ""), denied()).is_empty());
        }
        assert!(notes.list(&Id::new("v1", "Node", None, ""), denied()).is_empty());
        assert_eq!(notes.unread("Secret", &["a".to_owned(), "c".to_owned()]), ["a"]);
        let expected = [
            "list in a, b: not allowed: Role.rbac.authorization.k8s.io, Secret",
            "list in the cluster: not allowed: Node",
        ];
        assert_eq!(notes.in_words(), expected);
    }
}
