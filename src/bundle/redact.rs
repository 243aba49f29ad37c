//! Takes secrets out of objects and texts. Two nets: the values of all Secrets that are known, wherever they turn up, raw or in base64; and
//! what looks like a credential or has a name that promises one, for those that are not. Pure.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Map, Value};

use crate::object::Object;

/// Shorter ones are words that stand everywhere.
const SHORTEST: usize = 6;
/// A line of a value of several lines is looked for by itself from this length on.
const SHORTEST_LINE: usize = 20;

/// Keys of Secrets that hold no secret: taken out, the bundle could not be read any more (`platctl` is Gitea's user).
const PUBLIC_KEYS: [&str; 18] = [
    "admin-user",
    "database",
    "dbname",
    "email",
    "enableLfs",
    "host",
    "name",
    "namespace",
    "passwordMtime",
    "port",
    "admin.passwordMtime",
    "project",
    "server",
    "type",
    "url",
    "user",
    "username",
    "tls.crt",
];

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Names behind which a credential is to be expected.
const PROMISING: &str = r"(?i)passw|secret|token|credential|api_?-?key|private_?-?key|access_?-?key";
/// Names that tell something about a credential.
const ABOUT: &str = r"(?i)(ttl|name|namespace|file|path|dir|type|uri|url|expir[a-z]*|lifetime)$";

/// What a credential looks like, and what is put in its place.
const SHAPES: [(&str, &str); 7] = [
    (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*(-----END [A-Z ]*PRIVATE KEY-----)?",
        "[redacted private key]",
    ),
    (r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*", "[redacted token]"),
    (r#"(?i)\b(authorization["']?\s*[:=]\s*["']?(?:bearer|basic))\s+[^\s"'\[]+"#, "$1 [redacted]"),
    (r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}", "[redacted digest]"),
    (r"://[^/\s:@'\x22]+:[^/\s@'\x22]+@", "://[redacted]@"),
    (
        r#"(?i)((?:^|[\s"'{,;?&-])[a-z0-9_.-]*(?:password|passwd|client_?-?secret|api_?-?key|access_?-?token)\\?["']?\s*[:=]\s*\\?["']?)[^\s"'\\,;&\[{($/][^\s"'\\,;&]{5,}"#,
        "$1[redacted]",
    ),
    (r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|glpat-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16})\b", "[redacted token]"),
];

pub struct Redactor {
    values: Option<AhoCorasick>,
    marks: Vec<String>,
    shapes: Vec<(Regex, &'static str)>,
    promising: Option<Regex>,
    about: Option<Regex>,
}

impl Redactor {
    /// Knows the values of these Secrets.
    pub fn of<'a>(secrets: impl Iterator<Item = &'a Object>) -> Self {
        let mut needles: BTreeMap<String, String> = BTreeMap::new();
        for secret in secrets.filter(|object| object.kind() == "Secret") {
            for (key, value) in secret.value().get("data").and_then(Value::as_object).into_iter().flatten() {
                let encoded = value.as_str().unwrap_or_default();
                let mark = format!("[redacted {}/{} {key}]", secret.namespace().unwrap_or_default(), secret.name());
                for needle in forms(key, encoded) {
                    needles.entry(needle).or_insert_with(|| mark.clone());
                }
            }
        }
        let (needles, marks): (Vec<String>, Vec<String>) = needles.into_iter().unzip();
        let values = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles).ok();
        let shapes = SHAPES.iter().filter_map(|(shape, mark)| Some((Regex::new(shape).ok()?, *mark))).collect();
        Self { values, marks, shapes, promising: Regex::new(PROMISING).ok(), about: Regex::new(ABOUT).ok() }
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = match &self.values {
            Some(values) => values.replace_all(text, &self.marks),
            None => text.to_owned(),
        };
        for (shape, mark) in &self.shapes {
            if let std::borrow::Cow::Owned(changed) = shape.replace_all(&text, *mark) {
                text = changed;
            }
        }
        text
    }

    /// An object as it may be passed on: of a Secret the names and lengths of its keys, no records of who wrote what, no credential.
    pub fn object(&self, object: &Object) -> Value {
        let mut value = object.value().clone();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove(LAST_APPLIED);
                self.promised(annotations);
            }
        }
        match object.kind() {
            "Secret" => lengths_only(&mut value),
            "ConfigMap" => {
                if let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) {
                    self.promised(data);
                }
            }
            _ => {}
        }
        self.walk(&mut value);
        value
    }

    /// Every text in a document, and the environment of every container.
    pub fn walk(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(map) => {
                if let Some(Value::Array(variables)) = map.get_mut("env") {
                    for variable in variables {
                        self.variable(variable);
                    }
                }
                map.values_mut().for_each(|inner| self.walk(inner));
            }
            _ => {}
        }
    }

    fn variable(&self, variable: &mut Value) {
        let is_promising = variable["name"].as_str().is_some_and(|name| self.is_promising(name));
        if is_promising && let Some(Value::String(text)) = variable.get_mut("value") {
            mask(text);
        }
    }

    fn promised(&self, map: &mut Map<String, Value>) {
        for (_, value) in map.iter_mut().filter(|(key, _)| self.is_promising(key)) {
            // A file in a ConfigMap is searched for what it holds; its name may promise anything.
            if let Value::String(text) = value
                && !text.contains('\n')
            {
                mask(text);
            }
        }
    }

    fn is_promising(&self, name: &str) -> bool {
        let matches =
            |pattern: &Option<Regex>, without| pattern.as_ref().map_or(without, |pattern| pattern.is_match(name));
        matches(&self.promising, true) && !matches(&self.about, false)
    }
}

/// What tells where a credential is, or that there is none, stays.
fn mask(text: &mut String) {
    let is_plain = text.is_empty()
        || text.starts_with('/')
        || text.starts_with("$(")
        || text.len() < SHORTEST && text.parse::<u32>().is_ok()
        || matches!(text.as_str(), "true" | "false");
    if !is_plain {
        "[redacted]".clone_into(text);
    }
}

fn lengths_only(secret: &mut Value) {
    for map in ["data", "stringData"] {
        for value in secret.get_mut(map).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            let text = value.as_str().unwrap_or_default();
            let length = if map == "data" { STANDARD.decode(text).map_or(0, |bytes| bytes.len()) } else { text.len() };
            *value = Value::from(format!("({length} bytes)"));
        }
    }
}

/// All that a Secret's value may look like in a text.
fn forms(key: &str, encoded: &str) -> Vec<String> {
    let Ok(bytes) = STANDARD.decode(encoded) else { return Vec::new() };
    if PUBLIC_KEYS.contains(&key) || bytes.len() < SHORTEST {
        return Vec::new();
    }
    let mut forms = vec![encoded.to_owned()];
    // Bytes that are no text turn up in base64 only.
    let Ok(value) = String::from_utf8(bytes) else { return forms };
    if is_certificate(&value) {
        return Vec::new();
    }
    let trimmed = value.trim();
    forms.push(trimmed.to_owned());
    forms.push(STANDARD.encode(trimmed));
    // As a string in JSON.
    let quoted = Value::from(trimmed).to_string();
    forms.push(quoted[1..quoted.len() - 1].to_owned());
    if trimmed.contains('\n') {
        let lines = trimmed.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
        forms.extend(lines.filter(|line| !line.starts_with("-----")).map(str::to_owned));
    }
    // What is short without its blanks would be found everywhere.
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// Certificates are public, and a wrong one is what a bundle is to show.
fn is_certificate(value: &str) -> bool {
    let is_begun = |what: &str| value.contains(&format!("-----BEGIN {what}"));
    is_begun("CERTIFICATE") && !value.contains("PRIVATE KEY")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(data: &[(&str, &str)]) -> Object {
        let data: Map<String, Value> =
            data.iter().map(|(key, value)| ((*key).to_owned(), Value::from(STANDARD.encode(value)))).collect();
        let metadata = json!({"name": "login", "namespace": "shop"});
        Object::new(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})).unwrap()
    }

    fn redactor() -> Redactor {
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPk8rXb1\nAwEHoUQDQgAE7gT3xGk2LmNoPq4=\n-----END EC PRIVATE KEY-----\n";
        let secret = secret(&[
            ("password", "Tr0ub4dor&3"),
            ("username", "platctl"),
            ("short", "abc"),
            ("tls.key", key),
            ("ca.crt", "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUEqkXQ0\n-----END CERTIFICATE-----\n"),
        ]);
        Redactor::of(std::iter::once(&secret))
    }

    #[test]
    fn values_of_secrets_are_found_in_every_form() {
        let redactor = redactor();
        let mark = "[redacted shop/login password]";
        assert_eq!(redactor.text("said Tr0ub4dor&3, twice Tr0ub4dor&3"), format!("said {mark}, twice {mark}"));
        assert_eq!(redactor.text(&format!("x{}y", STANDARD.encode("Tr0ub4dor&3"))), format!("x{mark}y"));
        // One line of a key, as a log may have it, and the key as a string in JSON.
        assert_eq!(redactor.text("  AwEHoUQDQgAE7gT3xGk2LmNoPq4="), "  [redacted shop/login tls.key]");
        let json = r#"{"k":"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPk8rXb1\nAwEHoUQDQgAE7gT3xGk2LmNoPq4=\n-----END EC PRIVATE KEY-----"}"#;
        assert_eq!(redactor.text(json), r#"{"k":"[redacted shop/login tls.key]"}"#);
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in ["namespace platctl-system", "abc", "MIIBszCCAVmgAwIBAgIUEqkXQ0", "password: (32 bytes)"] {
            assert_eq!(redactor().text(text), text);
        }
        let none = Redactor::of(std::iter::empty());
        assert_eq!(none.text("plain"), "plain");
    }

    #[test]
    fn the_longest_value_wins() {
        let secret = secret(&[("a", "correct"), ("b", "correct-horse")]);
        let redactor = Redactor::of(std::iter::once(&secret));
        assert_eq!(redactor.text("correct-horse correct"), "[redacted shop/login b] [redacted shop/login a]");
    }

    #[test]
    fn shapes_of_credentials_are_known() {
        let redactor = redactor();
        for (text, redacted) in [
            ("Authorization: Bearer abcdef.123", "Authorization: Bearer [redacted]"),
            ("authorization=basic cGxhdGN0bDp4", "authorization=basic [redacted]"),
            ("clone https://git:s3cret99@git.example.org/x", "clone https://[redacted]@git.example.org/x"),
            ("dsn user=a password=hunter2hunter2 host=b", "dsn user=a password=[redacted] host=b"),
            (r#"{"clientSecret":"0a1b2c3d4e5f"}"#, r#"{"clientSecret":"[redacted]"}"#),
            (r#"msg="{\"password\":\"hunter2hunter2\"}""#, r#"msg="{\"password\":\"[redacted]\"}""#),
            ("--redis-password=hunter2hunter2", "--redis-password=[redacted]"),
            ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5l.c2lnbmF0dXJl", "[redacted token]"),
            ("$2y$10$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuvabcdefghi", "[redacted digest]"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nafter", "[redacted private key]\nafter"),
            // No credential: a reference, a file, a flag without a value, what is redacted already.
            ("password: $(REDIS_PASSWORD)", "password: $(REDIS_PASSWORD)"),
            ("--password=/run/secrets/file", "--password=/run/secrets/file"),
            ("password=[redacted shop/login password]", "password=[redacted shop/login password]"),
            ("http://127.0.0.1:3000/a@b", "http://127.0.0.1:3000/a@b"),
        ] {
            assert_eq!(redactor.text(text), redacted);
        }
    }

    #[test]
    fn a_secret_keeps_the_names_and_lengths_of_its_keys() {
        let clean = redactor().object(&secret(&[("password", "Tr0ub4dor&3"), ("username", "platctl")]));
        assert_eq!(clean["data"], json!({"password": "(11 bytes)", "username": "(7 bytes)"}));
    }

    #[test]
    fn environment_annotations_and_configuration_by_name() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "x", "managedFields": [{}], "annotations": {
                LAST_APPLIED: "{}", "my-token": "0123456789", "note": "Tr0ub4dor&3", "example.org/secret-name": "login",
            }},
            "spec": {"containers": [{"args": ["--db-password=hunter2hunter2"], "env": [
                {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "TOKEN_FILE", "value": "/run/token"}, {"name": "SECRET_TTL", "value": "24h0m0s"},
                {"name": "A_SECRET", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            ]}]},
        });
        let clean = redactor().object(&Object::new(pod).unwrap());
        let expected = json!({"name": "x", "annotations": {
            "my-token": "[redacted]", "note": "[redacted shop/login password]", "example.org/secret-name": "login",
        }});
        assert_eq!(clean["metadata"], expected);
        let container = &clean["spec"]["containers"][0];
        assert_eq!(container["args"][0], "--db-password=[redacted]");
        assert_eq!(container["env"][0]["value"], "[redacted]");
        assert_eq!(container["env"][1]["value"], "/run/token");
        assert_eq!(container["env"][2]["value"], "24h0m0s");
        assert_eq!(container["env"][3]["valueFrom"]["secretKeyRef"]["name"], "login");
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
            "data": {"redis.password": "hunter2", "app.ini": "a = b\nPASSWORD = hunter2hunter2\n"}});
        let clean = redactor().object(&Object::new(settings).unwrap());
        assert_eq!(clean["data"], json!({"redis.password": "[redacted]", "app.ini": "a = b\nPASSWORD = [redacted]\n"}));
    }
}
