//! A YAML document that remembers where each key stands, so that a bad key is reported with its file and line and with the nearest valid
//! one. Pure. Used by `profile` for profiles, values files and `--set`.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// A parsed document and the name that errors give it: a file's path, `profile dev`, or the flag it came from.
pub struct Document {
    pub name: String,
    pub value: Value,
    lines: Lines,
}

/// The lines of a document's keys, in the shape of the document.
#[derive(Default)]
struct Lines(Vec<(String, u64, Self)>);

/// A key that the shape does not know, or a value of another kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    pub path: String,
    pub line: Option<u64>,
    pub problem: String,
}

impl Document {
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::of(name, Value::Object(Map::new())));
        }
        let Node { value, lines } =
            serde_saphyr::from_str(text).map_err(|error| anyhow!("{name}: {}", error.without_snippet()))?;
        match value {
            Value::Null => Ok(Self::of(name, Value::Object(Map::new()))),
            Value::Object(_) => Ok(Self { name: name.to_owned(), value, lines }),
            _ => Err(anyhow!("{name}: the document is not a map")),
        }
    }

    /// A document that was not read from a file and so has no lines.
    pub fn of(name: &str, value: Value) -> Self {
        Self { name: name.to_owned(), value, lines: Lines::default() }
    }

    /// `file:line: path: problem`.
    pub fn describe(&self, mistake: &Mistake) -> String {
        match mistake.line {
            Some(line) => format!("{}:{line}: `{}`: {}", self.name, mistake.path, mistake.problem),
            None => format!("{}: `{}`: {}", self.name, mistake.path, mistake.problem),
        }
    }

    /// The line of the deepest key of the path that the document holds.
    pub fn line_of(&self, path: &[&str]) -> Option<u64> {
        let mut lines = &self.lines;
        let mut line = None;
        for key in path {
            let Some((_, at, below)) = lines.0.iter().find(|(name, _, _)| name == key) else { break };
            line = Some(*at);
            lines = below;
        }
        line
    }

    /// Compares with a shape: a map of everything that may be there. An empty map in the shape is free-form, a null takes any value.
    pub fn mistakes(&self, shape: &Value) -> Vec<Mistake> {
        let mut found = Vec::new();
        self.compare(&self.value, shape, &mut Vec::new(), &mut found);
        found
    }

    fn compare<'a>(&self, value: &'a Value, shape: &Value, path: &mut Vec<&'a str>, found: &mut Vec<Mistake>) {
        let (Value::Object(value), Value::Object(shape)) = (value, shape) else {
            // A chart's quantity such as `cpu: 1` may be a number where its default is text; the profile's own keys are exact.
            let is_quantity = path.first() == Some(&"components") && value.is_number() && shape.is_string();
            if let Some(problem) = kind_mismatch(value, shape).filter(|_| !is_quantity) {
                found.push(self.mistake(path, problem));
            }
            return;
        };
        if shape.is_empty() {
            return;
        }
        for (key, inner) in value {
            path.push(key);
            match shape.get(key) {
                Some(inner_shape) => self.compare(inner, inner_shape, path, found),
                None => found.push(self.mistake(path, unknown_key(key, shape.keys().map(String::as_str)))),
            }
            path.pop();
        }
    }

    /// A value that is none of the words that its key takes.
    pub fn not_among(&self, path: &[&str], words: &[&str]) -> Option<Mistake> {
        let value = path.iter().try_fold(&self.value, |value, key| value.get(key))?;
        let word = value.as_str().filter(|word| !words.contains(word))?;
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        Some(self.mistake(path, format!("`{word}`, but {} is expected", words.join(" or "))))
    }

    fn mistake(&self, path: &[&str], problem: String) -> Mistake {
        Mistake { path: path.join("."), line: self.line_of(path), problem }
    }
}

/// Null unsets a value and a null default takes anything; otherwise maps, lists and plain values may not stand for one another.
fn kind_mismatch(value: &Value, shape: &Value) -> Option<String> {
    let kind = |value: &Value| match value {
        Value::Null => None,
        Value::Bool(_) => Some("true or false"),
        Value::Number(_) => Some("a number"),
        Value::String(_) => Some("text"),
        Value::Array(_) => Some("a list"),
        Value::Object(_) => Some("a map"),
    };
    match (kind(value), kind(shape)) {
        (Some(found), Some(wanted)) if found != wanted => Some(format!("{found}, but {wanted} is expected")),
        _ => None,
    }
}

fn unknown_key<'a>(key: &str, valid: impl Iterator<Item = &'a str> + Clone) -> String {
    format!("unknown key; {}", nearest(key, valid))
}

/// The name that was meant where one is near, else all that there are.
pub fn nearest<'a>(name: &str, valid: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = valid
        .clone()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, nearest)) = nearest {
        return format!("did you mean `{nearest}`?");
    }
    let valid: Vec<_> = valid.map(|name| format!("`{name}`")).collect();
    match valid.as_slice() {
        [] => "there is none".to_owned(),
        [only] => format!("there is {only}"),
        several => format!("there are {}", several.join(", ")),
    }
}

struct Node {
    value: Value,
    lines: Lines,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl Node {
    fn leaf(value: impl Into<Value>) -> Self {
        Self { value: value.into(), lines: Lines::default() }
    }
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::leaf(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::leaf(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::leaf(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::leaf(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::leaf(value))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Node>()? {
            list.push(item.value);
        }
        Ok(Node::leaf(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Map::new();
        let mut lines = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = entries.next_value::<Node>()?;
            lines.push((key.value.clone(), key.referenced.line(), node.lines));
            map.insert(key.value, node.value);
        }
        Ok(Node { value: Value::Object(map), lines: Lines(lines) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_keys_are_named_with_line_and_nearest() {
        let text = "domain: example.org\ncomponents:\n  keycloak:\n    valuess: {}\n";
        let document = Document::parse("mine.yaml", text).unwrap();
        let shape = json!({"domain": "", "components": {"keycloak": {"enabled": true, "values": {}}}});
        let words: Vec<_> = document.mistakes(&shape).iter().map(|m| document.describe(m)).collect();
        assert_eq!(words, ["mine.yaml:4: `components.keycloak.valuess`: unknown key; did you mean `values`?"]);
    }

    #[test]
    fn kinds_of_values_are_compared() {
        let document = Document::parse("x", "a: [1]\nb: 1\nc: null\nd: {e: 1}\n").unwrap();
        let shape = json!({"a": "", "b": "", "c": {"x": 1}, "d": {}});
        let words: Vec<_> = document.mistakes(&shape).iter().map(|m| document.describe(m)).collect();
        assert_eq!(words, ["x:1: `a`: a list, but text is expected", "x:2: `b`: a number, but text is expected"]);
    }
}
