//! `docs/profiles.md` and `docs/profile.schema.json`: every key has its words, both files are what the executable says, and the schema
//! takes what platctl takes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use platctl::embedded;
use platctl::plan::catalog::KeySpec;
use platctl::plan::document::Document;
use platctl::plan::profile::{Profile, shape};
use platctl::plan::reference::{KEYS, components, json_schema};
use serde_json::{Value, json};

use crate::platform::{assert_none, dev, prod};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn schema() -> Value {
    let profiles = embedded::profiles();
    let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
    json_schema(&embedded::catalog().unwrap(), &names)
}

/// What the schema says against a text, each with the place.
fn mistakes(text: &str) -> Vec<String> {
    let document = Document::parse("mine.yaml", text).unwrap();
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    validator.iter_errors(&document.value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn every_key_of_a_profile_is_explained() {
    let mut shape = shape(&embedded::catalog().unwrap());
    shape["components"] = json!("");
    shape["timeouts"]["waves"] = json!("");
    let mut wanted: Vec<String> = leaves("", &shape).into_iter().map(|(path, _)| path).collect();
    wanted.push("components.<name>.enabled".to_owned());
    wanted.sort();
    let mut explained: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
    explained.sort_unstable();
    assert_eq!(explained, wanted);
}

/// The profile that a document shows: from the line for the editor to the end of the block.
fn example(document: &'static str) -> (&'static str, String) {
    let text = read(document);
    let from = text.find("# yaml-language-server:").unwrap();
    (document, text[from..].split("```").next().unwrap().to_owned())
}

#[test]
fn profiles_that_platctl_takes_are_valid() {
    let mut texts = vec![example("docs/profiles.md"), example("docs/production.md")];
    let files = ["profiles/dev.yaml", "profiles/prod.yaml", "tests/lab/real/values.yaml", "tests/lab/real/prod.yaml"];
    texts.extend(files.map(|path| (path, read(path))));
    for (path, text) in texts {
        assert_none(mistakes(&text).into_iter().map(|mistake| format!("{path}: {mistake}")));
    }
    assert_eq!(
        mistakes("components: {keycloak: {values: {resources: {limits: {cpu: 2}}, updateStrategy: null}}}"),
        [""; 0]
    );
}

/// The schema tells of `global` once for all charts.
#[test]
fn every_chart_has_the_same_global_keys() {
    let catalog = embedded::catalog().unwrap();
    let keys = |name: &str| catalog.get(name).unwrap().chart.values()["global"].clone();
    for name in catalog.names() {
        assert_eq!(keys(name), keys("argocd"), "{name}");
    }
}

/// Each of these is refused by platctl too: the tests in `tests/cli.rs` say with which words.
#[test]
fn mistakes_are_not_valid() {
    let wrong = [
        "domian: example.org",
        "domain: https://example.org",
        "secrets: none",
        "tls: {mode: none}",
        "extends: prd",
        "timeouts: {total: 10 minutes}",
        "timeouts: {waves: {istoi: 10m}}",
        "apiServerPorts: [https]",
        "components: {keycloack: {enabled: true}}",
        "components: {keycloak: {values: {replicas: two}}}",
        "components: {keycloak: {values: {replica: 2}}}",
        "components: {keycloak: {values: {resources: [1]}}}",
    ];
    assert_none(wrong.iter().filter(|text| mistakes(text).is_empty()).map(|text| format!("{text}: taken")));
}

/// The paths of a default that are told in one line each: plain values, lists, empty maps.
fn leaves<'a>(path: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            inner.iter().flat_map(|(name, value)| leaves(&below(name), value)).collect()
        }
        _ => vec![(path.to_owned(), value)],
    }
}

/// The keys of a chart, one a line; a short map of which no key is explained by itself is one line.
fn rows<'a>(path: &str, value: &'a Value, words: &BTreeMap<String, String>) -> Vec<(String, &'a Value)> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
    let is_told_inside =
        path.is_empty() || words.keys().any(|key| key.starts_with(&prefix)) || flow(value).len() > LONG;
    match value {
        Value::Object(inner) if is_told_inside && !inner.is_empty() => {
            let mut found = Vec::new();
            // What is said of the map as a whole has a line of its own.
            if words.contains_key(path) {
                found.push((path.to_owned(), &Value::Null));
            }
            found.extend(inner.iter().flat_map(|(name, value)| rows(&format!("{prefix}{name}"), value, words)));
            found
        }
        _ => vec![(path.to_owned(), value)],
    }
}

const LONG: usize = 90;

/// A value as YAML in one line.
fn flow(value: &Value) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Object(inner) => {
            format!("{{{}}}", list(inner.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect()))
        }
        Value::Array(inner) => format!("[{}]", list(inner.iter().map(flow).collect())),
        Value::String(text) if text.is_empty() || text.contains(": ") || text.parse::<f64>().is_ok() => {
            format!("\"{text}\"")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A default in a cell; a long one is in the chart.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        value if flow(value).contains('\n') || flow(value).len() > LONG => "see `values.yaml`".to_owned(),
        value => format!("`{}`", flow(value)),
    }
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn line(path: &str, default: &str, words: &str) -> String {
    format!("| `{path}` | {default} | {} |\n", words.replace('|', "\\|").replace('<', "&lt;"))
}

/// What a built-in profile says of a chart's key, if it is not the chart's default.
fn otherwise(profile: &Profile, component: &str, path: &str, default: &Value) -> Option<String> {
    // A map as a whole has its values on the lines below.
    if default.is_null() {
        return None;
    }
    let value =
        profile.components.get(component).and_then(|choice| at(&Value::Object(choice.values.clone()), path).cloned());
    value.filter(|value| value != default).map(|value| format!("; {}: {}", profile.extends, cell(&value)))
}

fn own_table() -> String {
    let texts = embedded::profiles();
    let of = |name: &str, path: &str| {
        let document = Document::parse(name, &texts[name]).unwrap();
        at(&document.value, path).map(cell).unwrap_or_default()
    };
    let mut text = "| key | dev | prod | what it is |\n|---|---|---|---|\n".to_owned();
    for key in &KEYS {
        let [dev, prod] = ["dev", "prod"].map(|name| match key.path {
            "components" | "description" => String::new(),
            path => of(name, path),
        });
        text += &format!("| `{}` | {dev} | {prod} | {} |\n", key.path, key.words);
    }
    text
}

fn page() -> String {
    let catalog = embedded::catalog().unwrap();
    let mut text = format!(
        "# Profiles\n\n\
        A profile says what is to be installed and how. A file of yours needs only what differs: it `extends` a built-in profile, \
        `dev` or `prod`, and everything else is as there. Later layers win: built-in profile, profile file (`--profile FILE`), \
        `--values FILE`, `--set KEY=VALUE`. With `--set`, `keycloak.replicas` stands for `components.keycloak.values.replicas`. A key \
        that does not exist is refused with its line. `null` takes a chart's default away. After the handoff a change goes through \
        Git: see [operations.md](operations.md).\n\n\
        ```yaml\n\
        # yaml-language-server: $schema=./profile.schema.json\n\
        extends: prod\n\
        domain: platform.example.org\n\
        repository:\n  url: https://git.example.org/team/platform.git\n\
        components:\n  loki:\n    values:\n      retention: 336h\n\
        ```\n\n\
        An editor with a YAML language server completes and checks the file by [profile.schema.json](profile.schema.json), which \
        `platctl profile schema` prints. `platctl profile show FILE` prints the whole profile as it would be used. This page is made \
        from `src/plan/reference.rs`, `profiles/` and the charts' `values.yaml` by `just golden`.\n\n\
        ## The profile's own keys\n\n{}\n\
        Durations are `90s`, `10m` or `1h30m`. The waves are `istio`, `gateway`, `cnpg`, `services` and `gitops`.\n\n\
        ## The charts' values\n\n\
        They stand under `components.<name>.values`. Every chart also has `global`, which platctl fills from the profile's own keys: \
        set those instead. The default is the chart's; behind it what a built-in profile says otherwise.\n",
        own_table()
    );
    let explained = components(&catalog);
    for entry in catalog.entries() {
        let name = entry.component.name.as_str();
        let mut defaults = entry.chart.values().clone();
        defaults.as_object_mut().unwrap().shift_remove("global");
        text += &format!("\n### {name}\n\n{}.\n", entry.component.description);
        let words = &explained[name];
        let rows = rows("", &defaults, words);
        if defaults.as_object().unwrap().is_empty() {
            text += "\nIt has no values of its own.\n";
            continue;
        }
        text += "\n| key | default | what it is |\n|---|---|---|\n";
        for (path, default) in rows {
            let other = [dev(), prod()]
                .map(|platform| otherwise(&platform.plan.profile, name, &path, default).unwrap_or_default());
            let default = format!("{}{}", cell(default), other.concat());
            text += &line(&path, &default, words.get(&path).map_or("", String::as_str));
        }
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "the tests' own switch, as insta reads it")]
fn assert_golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{file} is not what the profiles and charts say: `just golden` writes it");
}

#[test]
fn the_page_says_what_the_profiles_and_charts_say() {
    assert_golden("docs/profiles.md", &page());
}

#[test]
fn the_schema_file_is_what_platctl_prints() {
    assert_golden("docs/profile.schema.json", &format!("{:#}\n", schema()));
}

/// What `secrets: external` and `tls.mode: secret` expect, as `docs/production.md` tells it.
fn supplied() -> String {
    let mut text = "| Secret | type | keys |\n|---|---|---|\n".to_owned();
    for component in prod().plan.components().map(|planned| &planned.component) {
        for secret in &component.secrets {
            let keys = match (&secret.certificate, secret.kind.as_str()) {
                (Some(certificate), _) => {
                    let hosts = certificate.hosts.join("`, `").replace("{domain}", "<domain>");
                    format!("`tls.crt`, `tls.key` for `{hosts}`")
                }
                (None, _) => secret.keys.iter().map(|(name, key)| told(name, key)).collect::<Vec<_>>().join(", "),
            };
            let labels: Vec<String> =
                secret.labels.iter().map(|(key, value)| format!("; label `{key}: {value}`")).collect();
            let place = component.secret_namespace(secret);
            text += &format!("| `{place}/{}` | `{}` | {keys}{} |\n", secret.name, secret.kind, labels.concat());
        }
    }
    text
}

fn told(name: &str, key: &KeySpec) -> String {
    let what = match key {
        KeySpec::Value(value) => format!("such as `{value}`"),
        KeySpec::Random(length) => format!("{length} letters and digits"),
        KeySpec::Base64(length) => format!("{length} random bytes in base64"),
        KeySpec::Base64url(length) => format!("{length} random bytes in URL-safe base64"),
        KeySpec::Hex(length) => format!("{length} random bytes in hex"),
        KeySpec::Bcrypt(of) => format!("the bcrypt digest of `{of}`"),
    };
    format!("`{name}`: {what}")
}

#[test]
fn the_production_guide_lists_every_secret_to_supply() {
    let wanted = supplied();
    assert!(read("docs/production.md").contains(&wanted), "docs/production.md is to have these lines:\n{wanted}");
}
