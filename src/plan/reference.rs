//! What every key of a profile means, and the JSON Schema that editors check a profile file with. The keys are those of `profile::shape`,
//! the words about a chart's keys are the comments of its `values.yaml`. `docs/profiles.md` and `docs/profile.schema.json` are made from
//! it. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::plan::catalog::{Catalog, Entry};
use crate::plan::profile::{WORDS, shape};

/// A key of the profile itself: where it stands, what it means.
pub struct Key {
    pub path: &'static str,
    pub words: &'static str,
}

const fn key(path: &'static str, words: &'static str) -> Key {
    Key { path, words }
}

/// The profile's own keys, in the order in which people read them. `components` is told by the charts.
pub const KEYS: [Key; 22] = [
    key(
        "extends",
        "The built-in profile that the file stands on; what it does not say is as there. Without it: `dev`.",
    ),
    key("description", "A line about the profile, for people."),
    key(
        "domain",
        "Hosts are `auth.`, `grafana.` and `argocd.` before it. Names under `.localhost` lead to the own machine.",
    ),
    key(
        "tls.mode",
        "`generated`: platctl makes a CA and signs the gateway's certificate. `secret`: you supply the Secret.",
    ),
    key("tls.secretName", "The Secret of type `kubernetes.io/tls` in `istio-ingress`."),
    key(
        "secrets",
        "`generated`: platctl makes each Secret once. `external`: you, or an operator of yours, supply them.",
    ),
    key("storageClass", "The StorageClass of all claims. Empty: the cluster's default."),
    key(
        "imageRegistry",
        "Replaces the registry of every image: `mirror.example.org` or `mirror.example.org/team`. Empty: each image's own.",
    ),
    key(
        "imageRegistries",
        "Replaces single registries, before `imageRegistry`: `docker.io: mirror.example.org/dockerhub`.",
    ),
    key(
        "imageDigests",
        "Pins images by digest: `docker.io/grafana/loki:3.7.8: sha256:…`. `platctl images --format digests` makes the list.",
    ),
    key(
        "imagePullSecrets",
        "Secrets to pull images with, as `[{name: x}]`; they must be in each namespace of the platform.",
    ),
    key(
        "apiServerPorts",
        "Where pods reach the API server: the port of its Service, and its own after address translation. NetworkPolicies admit these.",
    ),
    key("repository.mode", "`in-cluster`: a Git server in the cluster. `external`: a repository of your own."),
    key("repository.url", "The repository, with `external`. `--repo-url` sets it, the mode, and turns `gitea` off."),
    key("repository.branch", "The branch that Argo CD follows."),
    key(
        "repository.credentialsSecret",
        "A Secret in `argocd` with the keys that Argo CD knows for a repository: `username`, `password`, `sshPrivateKey`, … Empty: none is needed.",
    ),
    key("timeouts.total", "How long the whole installation may take."),
    key("timeouts.handoff", "From the ApplicationSet to every Application Synced and Healthy."),
    key(
        "timeouts.stuck",
        "How long a pod may stay in a state that does not heal by itself before the wait ends early.",
    ),
    key("timeouts.waves", "How long each wave may take."),
    key("components", "For each component whether it is installed, and the values of its chart."),
    key("components.<name>.enabled", "Whether the component is installed. Without it: `true`."),
];

/// The comments of a chart's `values.yaml` by the path of their key: those on the lines right above it, and the one behind it. A comment
/// with an empty line below it is about the file and belongs to no key.
pub fn comments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut above: Vec<&str> = Vec::new();
    // The keys that the current line is below, with their indents.
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut text_below: Option<usize> = None;
    for line in text.lines() {
        let inside = line.trim_start();
        let indent = line.len() - inside.len();
        if text_below.is_some_and(|of| indent > of || inside.is_empty()) {
            continue;
        }
        text_below = None;
        if let Some(words) = inside.strip_prefix('#') {
            above.push(words.trim());
            continue;
        }
        if let Some((name, rest)) = inside.split_once(':').filter(|(name, _)| is_key(name)) {
            let (value, behind) = split_comment(rest);
            text_below = value.starts_with('|').then_some(indent);
            open.retain(|(of, _)| *of < indent);
            open.push((indent, name));
            let path: Vec<&str> = open.iter().map(|(_, name)| *name).collect();
            let words = above.iter().copied().chain(behind).collect::<Vec<_>>().join(" ");
            if !words.is_empty() {
                found.insert(path.join("."), words.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        above.clear();
    }
    found
}

fn is_key(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_./-".contains(letter))
}

/// The value on a line and the comment behind it. A `#` inside quotes begins none.
fn split_comment(rest: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in rest.char_indices() {
        match (quote, letter) {
            (None, '#') if before.is_whitespace() => return (rest[..at].trim(), Some(rest[at + 1..].trim())),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
        before = letter;
    }
    (rest.trim(), None)
}

/// The comments about each component's values.
pub fn components(catalog: &Catalog) -> BTreeMap<String, BTreeMap<String, String>> {
    let of = |entry: &Entry| comments(entry.chart.text("values.yaml").unwrap_or_default());
    catalog.entries().map(|entry| (entry.component.name.clone(), of(entry))).collect()
}

/// The JSON Schema of a profile file, in draft 7, which editors know best. It refuses what `Profile::load` refuses key by key; what only
/// the whole profile can tell, such as a missing URL, is not in it.
pub fn json_schema(catalog: &Catalog, profiles: &[&str]) -> Value {
    let shape = shape(catalog);
    let mut properties = Map::new();
    for (name, inner) in shape.as_object().into_iter().flatten().filter(|(name, _)| *name != "components") {
        properties.insert(name.clone(), own(name, inner));
    }
    properties["extends"]["enum"] = json!(profiles);
    let mut described = Map::new();
    for (name, words) in components(catalog) {
        described.insert(name.clone(), component(catalog, &name, &words));
    }
    properties.insert(
        "components".to_owned(),
        json!({"description": words_of("components"), "type": "object", "properties": described, "additionalProperties": false}),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A profile of platctl",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "definitions": {"global": global(catalog)},
    })
}

/// What every chart has, with the same keys.
fn global(catalog: &Catalog) -> Value {
    let default = catalog.entries().next().map(|entry| entry.chart.values()["global"].clone()).unwrap_or_default();
    described(value(&default, "", &BTreeMap::new()), "platctl fills it from the profile's own keys; set those instead.")
}

fn words_of(path: &str) -> &'static str {
    KEYS.iter().find(|key| key.path == path).map_or("", |key| key.words)
}

fn component(catalog: &Catalog, name: &str, words: &BTreeMap<String, String>) -> Value {
    let entry = catalog.get(name);
    let mut values = entry.map(|entry| value(entry.chart.values(), "", words)).unwrap_or_default();
    values["properties"]["global"] = json!({"$ref": "#/definitions/global"});
    json!({
        "description": entry.map(|entry| entry.component.description.as_str()),
        "type": "object",
        "properties": {
            "enabled": {"description": words_of("components.<name>.enabled"), "type": "boolean"},
            "values": values,
        },
        "additionalProperties": false,
    })
}

/// A key of the profile itself and all below it.
fn own(path: &str, shape: &Value) -> Value {
    let mut schema = match shape {
        Value::Object(inner) if inner.is_empty() => {
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        }
        Value::Object(inner) => {
            let properties: Map<String, Value> =
                inner.iter().map(|(name, inner)| (name.clone(), own(&format!("{path}.{name}"), inner))).collect();
            json!({"type": "object", "properties": properties, "additionalProperties": false})
        }
        Value::Array(_) if path == "apiServerPorts" => {
            json!({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}})
        }
        Value::Array(_) => json!({"type": "array", "items": {
            "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false,
        }}),
        _ => json!({"type": "string"}),
    };
    if path == "domain" {
        schema["pattern"] = json!("^[^/ :]+$");
    } else if path.starts_with("timeouts.") && shape.is_string() {
        schema["pattern"] = json!("^([0-9]+[hms])+$");
    }
    if let Some((_, words)) = WORDS.iter().find(|(of, _)| of.join(".") == path) {
        schema["enum"] = json!(words);
    }
    described(schema, words_of(path))
}

/// A key of a chart, from its default. Null unsets it; a quantity may be a number where the default is text; an empty map takes anything.
fn value(default: &Value, path: &str, words: &BTreeMap<String, String>) -> Value {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut schema = match default {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": ["boolean", "null"]}),
        Value::Number(_) => json!({"type": ["number", "null"]}),
        Value::String(_) => json!({"type": ["string", "number", "null"]}),
        Value::Array(_) => json!({"type": ["array", "null"]}),
        Value::Object(inner) if inner.is_empty() => json!({"type": ["object", "null"]}),
        Value::Object(inner) => {
            let properties: Map<String, Value> =
                inner.iter().map(|(name, inner)| (name.clone(), value(inner, &below(name), words))).collect();
            json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false})
        }
    };
    if !default.is_null() && default.as_object().is_none_or(Map::is_empty) {
        schema["default"] = default.clone();
    }
    described(schema, words.get(path).map_or("", String::as_str))
}

fn described(mut schema: Value, words: &str) -> Value {
    if !words.is_empty() {
        schema["description"] = json!(words);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_belong_to_the_key_below_or_before_them() {
        let text = "# About the file.\n\n# How\n# many.\nreplicas: 1\na:\n  b: \"#1\"   # behind\n  text: |\n    c: # no\n  d: {e: 1}\nf: 2\n";
        let found: Vec<_> = comments(text).into_iter().collect();
        let wanted = [("a.b", "behind"), ("replicas", "How many.")];
        assert_eq!(found, wanted.map(|(path, words)| (path.to_owned(), words.to_owned())));
    }
}
