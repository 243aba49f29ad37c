//! Everything that is in a cluster, taken by `kubectl` and not by platctl: to compare before with after, and one way to a state with another.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lab::{Lab, eventually};

/// What comes and goes by itself in every cluster.
const CHURN: [&str; 5] = ["Event", "Lease", "EndpointSlice", "Endpoints", "ComponentStatus"];

/// The objects of a cluster by `Kind.group namespace/name`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Census(BTreeMap<String, Value>);

impl Lab {
    pub(crate) fn census(&self) -> Census {
        // A CRD that has just gone is still in a listing of kinds for a moment.
        let listed = eventually("a listing of everything", || {
            let kinds = self.kubectl(&["api-resources", "--verbs=list,delete", "-o", "name", "--cached=false"]);
            let kinds = kinds.split_whitespace().collect::<Vec<_>>().join(",");
            self.kubectl_with(&["get", &kinds, "-A", "-o", "json", "--show-managed-fields"], "")
        });
        let list: Value = serde_json::from_str(&listed).unwrap();
        let objects = list["items"].as_array().unwrap().iter();
        let objects = objects.filter(|object| !CHURN.contains(&object["kind"].as_str().unwrap()));
        Census(objects.map(|object| (name(object), object.clone())).collect())
    }

    /// Waits until the cluster holds exactly what it held: objects go a little after their owners.
    pub(crate) fn expect_census(&self, before: &Census) {
        eventually("the cluster to be as it was", || {
            let differences = before.differences(&self.census(), |object| object["metadata"]["uid"].clone());
            if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
        });
    }
}

impl Census {
    /// What only one of the two has, and what `aspect` tells apart.
    pub(crate) fn differences(&self, other: &Self, aspect: impl Fn(&Value) -> Value) -> Vec<String> {
        let mut found = Vec::new();
        for (name, object) in &self.0 {
            match other.0.get(name) {
                None => found.push(format!("- {name}")),
                Some(now) => difference(&aspect(object), &aspect(now), name, &mut found),
            }
        }
        found.extend(other.0.keys().filter(|name| !self.0.contains_key(*name)).map(|name| format!("+ {name}")));
        found
    }

    pub(crate) fn get(&self, name: &str) -> &Value {
        assert!(self.0.contains_key(name), "there is no {name}");
        &self.0[name]
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// Without those that `is_left_out`.
    pub(crate) fn without(&self, is_left_out: impl Fn(&Value) -> bool) -> Self {
        Self(self.0.iter().filter(|(_, object)| !is_left_out(object)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    /// The identity of each pod: a restarted one has another.
    pub(crate) fn pods(&self) -> BTreeMap<String, Value> {
        let pods = self.0.iter().filter(|(_, object)| object["kind"] == "Pod");
        pods.map(|(name, pod)| (name.clone(), pod["metadata"]["uid"].clone())).collect()
    }
}

fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let api_version = text(&object["apiVersion"]);
    let group = api_version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    let namespace = metadata["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{}{group} {namespace}{}", text(&object["kind"]), text(&metadata["name"]))
}

/// The places at which two values differ.
fn difference(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                difference(&of(before), &of(after), &format!("{path} .{key}"), found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                difference(before, after, &format!("{path} [{index}]"), found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{path}: {before:.200} became {after:.200}")),
    }
}
