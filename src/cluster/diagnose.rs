//! Why is it stuck? Gathers what a person would look at: the pods of an object, the reasons of their containers, the latest warning events
//! and the last log lines. Best effort: what cannot be had is left out, as the wait has already failed.

use serde_json::Value;

use super::{Cluster, Problem};
use crate::object::{Id, Object};

const EVENTS: usize = 5;
const LOG_LINES: usize = 5;

/// What was learnt, in the cluster's own words.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    pub events: Vec<String>,
    pub logs: Vec<String>,
}

impl Diagnosis {
    pub fn lines(&self) -> Vec<String> {
        self.events.iter().chain(&self.logs).cloned().collect()
    }
}

impl Cluster {
    pub async fn diagnose(&self, id: &Id) -> Diagnosis {
        let mut diagnosis = Diagnosis { events: self.warnings(id).await, logs: Vec::new() };
        for pod in self.pods_of(id).await {
            let pod_id = pod.id();
            if pod_id != *id && diagnosis.events.len() < EVENTS {
                diagnosis.events.extend(self.warnings(&pod_id).await);
            }
            if diagnosis.logs.is_empty() {
                diagnosis.logs = self.last_lines(&pod).await;
            }
        }
        diagnosis.events.truncate(EVENTS);
        diagnosis
    }

    /// The object itself if it is a pod, else the pods that its selector finds.
    async fn pods_of(&self, id: &Id) -> Vec<Object> {
        let Ok(Some(object)) = self.get(id).await else { return Vec::new() };
        if id.kind == "Pod" {
            return vec![object];
        }
        let labels = object.value().pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        let selector: Vec<String> = match labels {
            Some(labels) => {
                labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect()
            }
            None if id.kind == "Cluster" => vec![format!("cnpg.io/cluster={}", id.name)],
            None => return Vec::new(),
        };
        let pods = Id::new("v1", "Pod", id.namespace.as_deref(), "");
        self.list(&pods, &selector.join(",")).await.unwrap_or_default()
    }

    async fn warnings(&self, id: &Id) -> Vec<String> {
        let namespace = id.namespace.as_deref().unwrap_or("default");
        let fields = format!("involvedObject.name={},involvedObject.kind={},type=Warning", id.name, id.kind);
        let path = format!("/api/v1/namespaces/{namespace}/events?limit=50&fieldSelector={}", super::encode(&fields));
        let Ok(list) = self.send("GET", &path, None, None).await else { return Vec::new() };
        let mut lines: Vec<String> = Vec::new();
        for event in list["items"].as_array().into_iter().flatten().rev() {
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            let line = format!("event on {id}: {}: {}", text("reason"), text("message").trim());
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.truncate(EVENTS);
        lines
    }

    /// The end of the log of the container that is not ready: of its last life if it crashed.
    async fn last_lines(&self, pod: &Object) -> Vec<String> {
        let statuses = pod.items("/status/containerStatuses").iter().chain(pod.items("/status/initContainerStatuses"));
        let Some(status) = statuses.into_iter().find(|status| {
            !status["ready"].as_bool().unwrap_or(false)
                && status.pointer("/state/terminated/exitCode").and_then(Value::as_i64) != Some(0)
        }) else {
            return Vec::new();
        };
        let container = status["name"].as_str().unwrap_or_default();
        let namespace = pod.namespace().unwrap_or_default();
        let previous = status["restartCount"].as_i64().unwrap_or(0) > 0 && status.pointer("/state/running").is_none();
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{}/log?container={container}&tailLines={LOG_LINES}&previous={previous}",
            pod.name()
        );
        let Ok(request) = http::Request::get(path).body(Vec::new()) else { return Vec::new() };
        let text = match self.client().request_text(request).await {
            Ok(text) => text,
            Err(error) => return vec![format!("the log of {container} cannot be read: {}", Problem::from(error))],
        };
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| format!("log of {container}: {}", line.trim()))
            .collect()
    }
}
