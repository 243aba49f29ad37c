//! Choosing and refusing values; converting them from and to text.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gotmpl::Value;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::format::hex;
use super::{Function, MANY, Map, Outcome, as_text, from_json, show, to_json, to_yaml, wrong};
use crate::plan::render::yaml;

pub(super) const FUNCTIONS: &[Function] = &[
    ("required", 2..=2, |a| match &a[1] {
        Value::Nil => Err(as_text(&a[0])?.to_owned()),
        Value::String(text) if text.is_empty() => Err(as_text(&a[0])?.to_owned()),
        value => Ok(value.clone()),
    }),
    ("fail", 1..=1, |a| Err(as_text(&a[0])?.to_owned())),
    ("default", 1..=MANY, |a| {
        Ok(a[1..]
            .first()
            .filter(|given| given.is_truthy())
            .unwrap_or(&a[0])
            .clone())
    }),
    ("empty", 1..=1, |a| Ok(Value::Bool(!a[0].is_truthy()))),
    ("coalesce", 0..=MANY, |a| {
        Ok(a.iter()
            .find(|value| value.is_truthy())
            .cloned()
            .unwrap_or(Value::Nil))
    }),
    ("ternary", 3..=3, |a| match a[2] {
        Value::Bool(true) => Ok(a[0].clone()),
        Value::Bool(false) => Ok(a[1].clone()),
        ref other => Err(wrong("true or false", other)),
    }),
    ("kindIs", 2..=2, |a| {
        Ok(Value::Bool(as_text(&a[0])? == kind(&a[1])))
    }),
    ("deepCopy", 1..=1, |a| Ok(a[0].clone())),
    ("toString", 1..=1, |a| Ok(show(&a[0]).into())),
    ("toYaml", 1..=1, |a| Ok(to_yaml::write(&a[0]).into())),
    ("toJson", 1..=1, |a| Ok(to_json::write(&a[0]).into())),
    ("fromYaml", 1..=1, |a| {
        map_of(yaml::document(as_text(&a[0])?))
    }),
    ("fromJson", 1..=1, |a| {
        map_of(serde_json::from_str(as_text(&a[0])?))
    }),
    ("b64enc", 1..=1, |a| {
        Ok(BASE64_STANDARD.encode(as_text(&a[0])?).into())
    }),
    ("b64dec", 1..=1, |a| decode(as_text(&a[0])?)),
    ("sha256sum", 1..=1, |a| {
        Ok(hex(&Sha256::digest(as_text(&a[0])?)).into())
    }),
];

/// Go's name for the kind of a value. Go tells `int` and `int64` apart, here both are `int`.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::List(_) => "slice",
        other => other.type_name(),
    }
}

/// Helm hands templates a map with the key `Error` where the text holds none; nobody looks for it, so this refuses.
fn map_of<E: ToString>(parsed: Result<Json, E>) -> Outcome {
    match parsed.map_err(|error| error.to_string())? {
        Json::Null => Ok(Map::new().into()),
        map @ Json::Object(_) => Ok(from_json(&map)),
        _ => Err("the text holds no map".to_owned()),
    }
}

fn decode(text: &str) -> Outcome {
    let text: String = text
        .chars()
        .filter(|char| !matches!(char, '\r' | '\n'))
        .collect();
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|error| error.to_string())?;
    String::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| "what is encoded is no text".to_owned())
}
