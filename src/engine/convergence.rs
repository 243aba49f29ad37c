//! Does a live object already say what the rendered one says? Pure. The API server adds defaults and controllers add fields of their own, so
//! the question is whether every wanted field is there with the wanted value.

use serde_json::Value;

use crate::object::Object;
use crate::plan::digest;

/// True if applying `wanted` would change nothing. `recorded` is the digest of what was applied last: if the rendering has changed since,
/// a field may have been dropped from it, which no comparison of the two objects can see.
pub fn is_applied(wanted: &Object, live: &Object, recorded: Option<&str>) -> bool {
    recorded == Some(digest(wanted).as_str()) && covers(live.value(), wanted.value())
}

/// True if every field of `wanted` stands in `live` with that value.
pub fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, inner)| match live.get(key) {
            Some(value) => covers(value, inner),
            None => is_nothing(inner),
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (Value::Number(live), Value::Number(wanted)) => live.as_f64() == wanted.as_f64(),
        _ => live == wanted || is_nothing(wanted),
    }
}

/// The API server drops empty lists, maps and nulls.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        _ => false,
    }
}

/// What platctl and Argo CD may not change in an object: everything but what the API server counts up and what controllers report.
pub fn content(object: &Object) -> Value {
    let mut value = object.value().clone();
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_do_not_count_but_values_do() {
        let live = json!({"spec": {"replicas": 1, "strategy": {"type": "x"}, "list": [{"a": 1, "default": 2}]}});
        assert!(covers(
            &live,
            &json!({"spec": {"replicas": 1.0, "list": [{"a": 1}], "empty": [], "none": {"of": null}}})
        ));
        assert!(!covers(&live, &json!({"spec": {"replicas": 2}})));
        assert!(!covers(&live, &json!({"spec": {"list": []}})));
        assert!(!covers(&live, &json!({"spec": {"more": "text"}})));
    }
}
