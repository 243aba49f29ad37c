//! Which file of a bundle holds what. The names come from the objects alone, so two bundles of one cluster can be compared file by file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::redact::Redactor;
use super::{Evidence, Log};
use crate::object::Object;
use crate::plan::functions::yaml;

/// Path → text.
pub type Files = BTreeMap<String, String>;

const README: &str = "\
A support bundle of platctl: what it knows of an installation, for whoever is to
find out what is wrong with it.

platctl.yaml            version, cluster, when it was gathered
inventory.yaml          what was installed
profile.yaml            and how
preflight.yaml          facts about the cluster, and what the checks say of them
status.yaml             what `platctl status` says
nodes.yaml, crds.yaml   a summary of each
cluster/KIND.yaml       the platform's objects that have no namespace
namespaces/NAMESPACE/   of each namespace of the platform:
  KIND.yaml               all objects, Argo CD's Applications among them
  events.txt              in the order of time
  logs/POD/CONTAINER.log  the end of each log; .previous.log: before a restart
problems.txt            what could not be read, and why

Of Secrets there are the names of their keys and the length of each value.
Wherever such a value stood in a text, raw or in base64, it says
[redacted NAMESPACE/NAME KEY]; what merely looks like a credential says
[redacted]. This holds for Secrets that could be read: see problems.txt.

Names, addresses and what programs write into their logs are in here: look
through it before you pass it on.
";

/// The files of a bundle. Everything goes through the redactor, the names too.
pub fn files(documents: &BTreeMap<&str, Value>, evidence: &Evidence) -> Files {
    let redactor = Redactor::of(evidence.objects.iter());
    let mut files = Files::from([("README.txt".to_owned(), README.to_owned())]);
    for (name, document) in documents {
        let mut document = document.clone();
        redactor.walk(&mut document);
        files.insert(format!("{name}.yaml"), yaml(&document));
    }
    files.insert("nodes.yaml".to_owned(), yaml(&evidence.nodes.iter().map(node).collect()));
    files.insert("crds.yaml".to_owned(), yaml(&evidence.definitions.iter().map(definition).collect()));
    objects(&evidence.objects, &redactor, &mut files);
    events(&evidence.events, &mut files);
    for log in &evidence.logs {
        files.insert(log_path(log), log.text.clone());
    }
    files.insert("problems.txt".to_owned(), problems(&evidence.problems));
    // Once more as the texts that they are now: keys of maps, events and logs have not been looked at yet.
    let clean = |(path, text): (String, String)| {
        let text = if path == "README.txt" { text } else { redactor.text(&text) };
        (path, text)
    };
    files.into_iter().map(clean).collect()
}

fn folder(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "cluster".to_owned(), |namespace| format!("namespaces/{namespace}"))
}

fn objects(objects: &[Object], redactor: &Redactor, files: &mut Files) {
    let mut sorted: Vec<&Object> = objects.iter().collect();
    sorted.sort_by_key(|object| object.id());
    for object in sorted {
        let id = object.id();
        let group = if id.group().is_empty() { String::new() } else { format!(".{}", id.group()) };
        let path = format!("{}/{}{group}.yaml", folder(object.namespace()), id.kind);
        let text = files.entry(path).or_default();
        *text += "---\n";
        *text += &yaml(&redactor.object(object));
    }
}

/// One line an event, in the order of time.
fn events(events: &[Object], files: &mut Files) {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let text = |pointer: &str| event.text(pointer).unwrap_or_default();
        let times = ["/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"].map(text);
        let time = times.iter().find(|time| !time.is_empty()).copied().unwrap_or_default();
        let count = event.number("/count").filter(|count| *count > 1).map(|count| format!(" (x{count})"));
        let line = format!(
            "{time} {} {} {}/{}{}: {}",
            text("/type"),
            text("/reason"),
            text("/involvedObject/kind"),
            text("/involvedObject/name"),
            count.unwrap_or_default(),
            text("/message").trim().replace('\n', " ")
        );
        lines.entry(folder(event.namespace()) + "/events.txt").or_default().push(line);
    }
    for (path, mut lines) in lines {
        lines.sort();
        files.insert(path, lines.join("\n") + "\n");
    }
}

fn log_path(log: &Log) -> String {
    let previous = if log.previous { ".previous" } else { "" };
    format!("{}/logs/{}/{}{previous}.log", folder(Some(&log.namespace)), log.pod, log.container)
}

fn problems(problems: &[String]) -> String {
    let mut sorted: Vec<&String> = problems.iter().collect();
    sorted.sort();
    sorted.dedup();
    let mut text = String::new();
    for problem in sorted {
        let _ = writeln!(text, "{problem}");
    }
    if text.is_empty() { "everything could be read\n".to_owned() } else { text }
}

fn node(node: &Object) -> Value {
    let conditions: Vec<Value> = node
        .items("/status/conditions")
        .iter()
        .map(|condition| json!({"type": condition["type"], "status": condition["status"], "reason": condition["reason"]}))
        .collect();
    let at = |pointer: &str| node.value().pointer(pointer).cloned().unwrap_or_default();
    json!({
        "name": node.name(),
        "info": at("/status/nodeInfo"),
        "capacity": at("/status/capacity"),
        "allocatable": at("/status/allocatable"),
        "unschedulable": at("/spec/unschedulable"),
        "taints": at("/spec/taints"),
        "zone": at("/metadata/labels/topology.kubernetes.io~1zone"),
        "conditions": conditions,
    })
}

fn definition(definition: &Object) -> Value {
    let named = |wanted: &str| -> Vec<&Value> {
        let versions = definition.items("/spec/versions").iter();
        versions.filter(|version| version[wanted] == true).map(|version| &version["name"]).collect()
    };
    let is_established = definition
        .items("/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    json!({
        "name": definition.name(),
        "served": named("served"),
        "stored": named("storage"),
        "established": is_established,
        "component": definition.component(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        Object::new(value).unwrap()
    }

    #[test]
    fn every_file_has_its_place_and_no_secret() {
        let metadata = |name: &str| json!({"name": name, "namespace": "shop"});
        let evidence = Evidence {
            objects: vec![
                object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("web")})),
                object(
                    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("login"), "data": {"password": "aHVudGVyMjIy"}}),
                ),
                object(
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("b"), "data": {"hunter222": "x"}}),
                ),
                object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("a")})),
                object(
                    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}),
                ),
            ],
            events: vec![object(json!({
                "apiVersion": "v1", "kind": "Event", "metadata": metadata("e"), "type": "Warning", "reason": "BackOff",
                "involvedObject": {"kind": "Pod", "name": "web-1"}, "count": 3, "lastTimestamp": "2026-01-01T00:00:00Z",
                "message": "hunter222 is\nwrong",
            }))],
            logs: vec![Log {
                namespace: "shop".to_owned(),
                pod: "web-1".to_owned(),
                container: "web".to_owned(),
                previous: true,
                text: "login with hunter222\n".to_owned(),
            }],
            problems: vec!["b".to_owned(), "a".to_owned(), "b".to_owned()],
            ..Evidence::default()
        };
        let documents = BTreeMap::from([("status", json!({"reason": "hunter222"}))]);
        let files = files(&documents, &evidence);
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "README.txt",
                "cluster/ClusterRole.rbac.authorization.k8s.io.yaml",
                "crds.yaml",
                "namespaces/shop/ConfigMap.yaml",
                "namespaces/shop/Deployment.apps.yaml",
                "namespaces/shop/Secret.yaml",
                "namespaces/shop/events.txt",
                "namespaces/shop/logs/web-1/web.previous.log",
                "nodes.yaml",
                "problems.txt",
                "status.yaml",
            ]
        );
        assert!(files.values().all(|text| !text.contains("hunter222") && !text.contains("aHVudGVyMjIy")));
        let mark = "[redacted shop/login password]";
        assert_eq!(files["namespaces/shop/logs/web-1/web.previous.log"], format!("login with {mark}\n"));
        assert_eq!(
            files["namespaces/shop/events.txt"],
            format!("2026-01-01T00:00:00Z Warning BackOff Pod/web-1 (x3): {mark} is wrong\n")
        );
        assert_eq!(files["problems.txt"], "a\nb\n");
        assert!(
            files["namespaces/shop/ConfigMap.yaml"].find("name: a")
                < files["namespaces/shop/ConfigMap.yaml"].find("name: b")
        );
        assert!(files["namespaces/shop/Secret.yaml"].contains("password: (9 bytes)"));
    }
}
