//! The functions that templates may call, as Helm has them: Go's own where gotmpl's differ, sprig's, and Helm's `required`, `fail`, `toYaml`
//! and the like. Only those that the contract for charts names; `include` and `tpl`, which need the chart's templates, are in
//! `render::engine`. Arguments are checked as strictly as Go checks them, as what Helm would refuse must not pass here.

pub(super) mod files;
mod flow;
mod format;
mod lists;
mod maps;
mod numbers;
mod printf;
mod scalar;
mod text;
mod to_json;
mod to_yaml;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};
use serde_json::Value as Json;

pub(super) use self::format::show;

/// What a function returns: a value, or in words why it cannot.
pub(super) type Outcome = Result<Value, String>;

/// A function: its name, how many arguments it takes, and what it does with them.
pub(super) type Function = (&'static str, RangeInclusive<usize>, fn(&[Value]) -> Outcome);

/// Stands for any number of arguments.
const MANY: usize = usize::MAX;

/// What gotmpl does itself in the way Go does.
pub(super) const BUILT_IN: [&str; 11] = ["and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index"];

/// All functions of this module, ready for gotmpl.
pub(super) fn all() -> FuncMap {
    let tables =
        [flow::FUNCTIONS, format::FUNCTIONS, lists::FUNCTIONS, maps::FUNCTIONS, numbers::FUNCTIONS, text::FUNCTIONS];
    let mut functions = FuncMap::new();
    for function in tables.into_iter().flatten() {
        add(&mut functions, function);
    }
    functions
}

/// Makes a function callable by gotmpl: counts its arguments and names it in its errors.
pub(super) fn add(functions: &mut FuncMap, (name, arguments, call): &'static Function) {
    let checked = move |given: &[Value]| {
        if !arguments.contains(&given.len()) {
            return Err(TemplateError::Exec(format!("wrong number of arguments for `{name}`: {}", given.len())));
        }
        // These speak for the chart's author, and the ones with a sign for the language itself.
        let speaks_for_itself = matches!(*name, "required" | "fail") || name.starts_with('#');
        call(given)
            .map_err(|reason| TemplateError::Exec(if speaks_for_itself { reason } else { format!("{name}: {reason}") }))
    };
    functions.insert((*name).to_owned(), Arc::new(checked));
}

/// JSON as Helm hands it to templates: every number is a float, as Go's JSON decoder has it.
/// A document as Helm's `toYaml` writes it: what it holds reads back the same under YAML 1.1, where a plain `on` is true.
pub fn yaml(document: &Json) -> String {
    to_yaml::write(&from_json(document)) + "\n"
}

pub(super) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => list(items.iter().map(from_json)),
        Json::Object(map) => {
            map.iter().map(|(key, value)| (Arc::from(key.as_str()), from_json(value))).collect::<Map>().into()
        }
    }
}

type Map = BTreeMap<Arc<str>, Value>;

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

fn as_text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| wrong("text", value))
}

fn as_int(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(format!("{}: `int` makes one of a number from the values", wrong("a whole number", other))),
    }
}

fn as_size(value: &Value) -> Result<usize, String> {
    usize::try_from(as_int(value)?).map_err(|_| wrong("a number that is not negative", value))
}

fn as_list(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::List(items) => Ok(items),
        other => Err(wrong("a list", other)),
    }
}

fn as_map(value: &Value) -> Result<&Map, String> {
    match value {
        Value::Map(map) => Ok(map),
        other => Err(wrong("a map", other)),
    }
}

fn wrong(expected: &str, got: &Value) -> String {
    match got {
        Value::Nil => format!("expected {expected}, got nothing (nil)"),
        Value::List(_) | Value::Map(_) | Value::Function(_) => {
            format!("expected {expected}, got a {}", got.type_name())
        }
        scalar => format!("expected {expected}, got {} ({})", show(scalar), scalar.type_name()),
    }
}
