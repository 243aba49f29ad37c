//! Checks every custom resource of the plan against the CRD that the same plan brings, before the first write: an API server without the
//! CRD cannot. Structural: types, required, unknown and enumerated fields. CEL rules and formats stay the API server's affair. Pure.

use std::collections::HashMap;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::object::Object;
use crate::plan::Plan;

/// `group/version/kind` → the schema of its objects.
pub struct Schemas<'a>(HashMap<String, &'a Value>);

/// Fails with every finding in every custom resource of the plan.
pub fn check(plan: &Plan) -> Result<()> {
    let schemas = Schemas::of(plan.objects().map(|(_, object)| object));
    let findings: Vec<String> = plan.objects().flat_map(|(_, object)| schemas.findings(object)).collect();
    if !findings.is_empty() {
        bail!("rendered objects do not fit their CRDs:\n{}", findings.join("\n"));
    }
    Ok(())
}

impl<'a> Schemas<'a> {
    pub fn of(objects: impl Iterator<Item = &'a Object>) -> Self {
        let mut schemas = HashMap::new();
        for crd in objects.filter(|object| object.kind() == "CustomResourceDefinition") {
            let (Some(group), Some(kind)) = (crd.text("/spec/group"), crd.text("/spec/names/kind")) else { continue };
            for version in crd.items("/spec/versions") {
                let name = version.get("name").and_then(Value::as_str).unwrap_or_default();
                if let Some(schema) = version.pointer("/schema/openAPIV3Schema") {
                    schemas.insert(format!("{group}/{name}/{kind}"), schema);
                }
            }
        }
        Self(schemas)
    }

    /// One line a finding: object, path, problem. None where the kind is not one of these.
    pub fn findings(&self, object: &Object) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(schema) = self.0.get(&format!("{}/{}", object.api_version(), object.kind())) {
            for (key, value) in object.value().as_object().into_iter().flatten() {
                if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                    field(schema, key, value, "", &mut found);
                }
            }
        }
        let id = object.id();
        found.into_iter().map(|problem| format!("{id}: {problem}")).collect()
    }
}

/// Judges one entry of a map by the schema of the map.
fn field(schema: &Value, key: &str, value: &Value, path: &str, found: &mut Vec<String>) {
    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if let Some(inner) = schema.get("properties").and_then(|properties| properties.get(key)) {
        return judge(inner, value, &path, found);
    }
    match schema.get("additionalProperties") {
        Some(inner @ Value::Object(_)) => judge(inner, value, &path, found),
        Some(Value::Bool(true)) => {}
        _ if is_set(schema, "x-kubernetes-preserve-unknown-fields") => {}
        // A schema without properties says nothing of what is in the map.
        _ if schema.get("properties").is_none() => {}
        _ => found.push(format!("`{path}` is no field of it")),
    }
}

fn judge(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if value.is_null() && is_set(schema, "nullable") {
        return;
    }
    if let Some(expected) = schema.get("type").and_then(Value::as_str)
        && !is_set(schema, "x-kubernetes-int-or-string")
        && !has_type(value, expected)
    {
        found.push(format!("`{path}` is not of type {expected}"));
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        found.push(format!("`{path}` is {value}, which is none of {}", Value::from(allowed.clone())));
    }
    match value {
        Value::Object(map) => {
            for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                if let Some(name) = required.as_str().filter(|name| !map.contains_key(*name)) {
                    found.push(format!("`{path}.{name}` is required"));
                }
            }
            for (key, inner) in map {
                field(schema, key, inner, path, found);
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    judge(inner, item, &format!("{path}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn is_set(schema: &Value, flag: &str) -> bool {
    schema.get(flag).and_then(Value::as_bool).unwrap_or(false)
}

fn has_type(value: &Value, expected: &str) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn crd() -> Object {
        Object::new(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.x.io"},
            "spec": {"group": "x.io", "names": {"kind": "Thing"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
                    "size": {"type": "integer"}, "mode": {"type": "string", "enum": ["a", "b"]},
                    "port": {"x-kubernetes-int-or-string": true}, "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}}}}}]},
        }))
        .unwrap()
    }

    #[test]
    fn findings_name_object_and_path() {
        let crd = crd();
        let schemas = Schemas::of([&crd].into_iter());
        let thing = |spec: Value| {
            Object::new(json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}))
                .unwrap()
        };
        assert!(schemas.findings(&thing(json!({"size": 1, "port": "http", "free": {"any": 1}}))).is_empty());
        assert_eq!(
            schemas.findings(&thing(json!({"mode": "c", "sise": 1}))),
            [
                "Thing t: `spec.size` is required",
                "Thing t: `spec.mode` is \"c\", which is none of [\"a\",\"b\"]",
                "Thing t: `spec.sise` is no field of it",
            ]
        );
    }
}
