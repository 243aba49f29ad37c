//! Charts become objects as in Helm: what is special about our own renderer in small charts, then every function and every chart of the
//! platform against real Helm.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/helm.rs"]
mod helm;

use std::fs;
use std::path::PathBuf;

use platctl::embedded;
use platctl::plan::profile::{Base, Layers, Profile};
use platctl::plan::render::{Chart, Files, Release, merge_values, render, texts, yaml};
use platctl::plan::tree::{Tree, tree};
use serde_json::{Value, json};

use helm::{Job, ask, assert_as_strict_as_helm, assert_none, assert_same_as_helm, files, root};

const RELEASE: Release = Release { name: "release", namespace: "namespace" };

/// A chart named `small` with `values.yaml` and the files given.
fn chart(values: &str, files: &[(&str, &str)]) -> Chart {
    let about = "apiVersion: v2\nname: small\nversion: 0.1.0\nappVersion: \"1.0\"\n";
    let own = [("Chart.yaml", about), ("values.yaml", values)];
    let files = files.iter().chain(&own);
    let files: Files = files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec().into())).collect();
    Chart::new(files).unwrap()
}

/// The text of one template.
fn text(values: &str, template: &str) -> anyhow::Result<String> {
    let chart = chart(values, &[("templates/it.yaml", template)]);
    Ok(texts(&chart, &RELEASE, &json!({}))?.remove("templates/it.yaml").unwrap())
}

/// The error of one template, as it is shown.
fn error(template: &str) -> String {
    let chart = chart("", &[("templates/it.yaml", template)]);
    format!("{:#}", render(&chart, &RELEASE, &json!({})).unwrap_err())
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ";

#[test]
fn crds_come_first_and_documents_are_split() {
    let crd =
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {{ as it is }}\n";
    let two = format!("# a comment\n---\n{CONFIG_MAP}one\n---\n\n---\n{CONFIG_MAP}two # {{{{ .Values }}}}\n");
    let files = [("crds/a.yaml", crd.replace("{{ as it is }}", "as-it-is")), ("templates/two.yaml", two)];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let objects = render(&chart("", &files), &RELEASE, &json!({})).unwrap();
    let ids: Vec<String> = objects.iter().map(|object| object.id().to_string()).collect();
    assert_eq!(ids, ["CustomResourceDefinition as-it-is", "ConfigMap one", "ConfigMap two"]);
}

#[test]
fn partials_and_notes_print_nothing() {
    let partial = r#"{{ define "small.name" }}name of {{ . }}{{ end }}ignored"#;
    let files = [
        ("templates/_helpers.tpl", partial),
        ("templates/NOTES.txt", "Thank you"),
        ("templates/a.yaml", r#"{{ include "small.name" "a" | upper }} {{ template "small.name" }}"#),
        ("templates/sub/b.yaml", r#"{{ include (print .Template.BasePath "/a.yaml") . }} in {{ .Template.Name }}"#),
    ];
    let texts = texts(&chart("", &files), &RELEASE, &json!({})).unwrap();
    let expected = json!({
        "templates/a.yaml": "NAME OF A name of ",
        "templates/sub/b.yaml": "NAME OF A name of  in small/templates/sub/b.yaml",
    });
    assert_eq!(json!(texts), expected);
}

#[test]
fn files_are_read_but_not_templates() {
    let files = [
        ("files/a.txt", "text of a"),
        (
            "templates/it.yaml",
            r#"{{ .Files.Get "files/a.txt" }}|{{ "files/a.txt" | $.Files.Get | upper }}|{{ .Files.Get "values.yaml" }}{{ .Files.Get "none" }}"#,
        ),
    ];
    let texts = texts(&chart("", &files), &RELEASE, &json!({})).unwrap();
    assert_eq!(texts["templates/it.yaml"], "text of a|TEXT OF A|");
}

#[test]
fn values_are_merged_as_helm_does() {
    let mut values = json!({ "a": { "b": 1, "c": [1, 2] }, "d": { "e": true }, "f": null, "g": 1 });
    merge_values(&mut values, &json!({ "a": { "c": [3], "x": null }, "d": null, "f": 1, "g": { "h": 1 }, "i": null }));
    assert_eq!(values, json!({ "a": { "b": 1, "c": [3], "x": null }, "f": 1, "g": { "h": 1 }, "i": null }));
}

#[test]
fn numbers_of_values_are_floats() {
    let template = "{{ .Values.size }} {{ .Values.port }} {{ int .Values.size }} {{ .Values | toYaml }} {{ 1000000 }}";
    assert_eq!(
        text("{size: 1000000, port: 8080}", template).unwrap(),
        "1e+06 8080 1000000 port: 8080\nsize: 1000000 1000000"
    );
}

#[test]
fn what_is_missing_is_empty_but_nothing_has_no_fields() {
    assert_eq!(text("a: {}", "[{{ .Values.a.b }}{{ .Values.c }}{{ $.Values.a.d }}]").unwrap(), "[]");
    assert_eq!(
        error("\n{{ .Values.image.tag }}"),
        "render chart `small`: templates/it.yaml:2: nil pointer: `.Values.image` is not set, so there is no `.Values.image.tag`"
    );
    assert_eq!(
        error("{{ $name := .Release.Name }}\n{{ $name.first }}"),
        "render chart `small`: templates/it.yaml:2: `$name` is a string and has no field `first`"
    );
}

#[test]
fn failures_name_file_and_line() {
    let template = "kind: x\n{{ if true }}\nimage: {{ required \"image.tag is required\" .Values.tag }}\n{{ end }}";
    assert_eq!(error(template), "render chart `small`: templates/it.yaml:3: image.tag is required");
    for (template, expected) in [
        ("\n\n{{ .Values.a | nosuch }}", "3: there is no function `nosuch`"),
        ("a\n{{ range .Values.x }}\nb", "2: this block has no `{{ end }}`"),
        (
            "{{ if true }}a{{ end }}\nb\n{{ end }} c",
            "1: an `{{ end }}` or `{{ else }}` behind this belongs to no block",
        ),
        ("a\n{{ .Values.a", "2: unclosed action"),
        ("{{ upper .Release.IsInstall }}", "1: upper: expected text, got true (bool)"),
        (
            "{{ indent .Values.n \"a\" }}",
            "1: indent: expected a whole number, got nothing (nil): `int` makes one of a number from the values",
        ),
        ("{{ .Release.Name \"x\" }}", "1: only functions take arguments"),
        ("{{ include \"none\" . }}", "1: template `none` is not defined"),
        ("{{ fail \"no\" }}", "1: no"),
        ("{{ upper }}", "1: wrong number of arguments for `upper`: 0"),
        (
            "\n{{ $_ := set .Values \"a\" 1 }}",
            "2: `set` changes its map only as in `$x = set $x …`; else give it a new one: `set (deepCopy …) …`",
        ),
    ] {
        assert_eq!(error(template), format!("render chart `small`: templates/it.yaml:{expected}"));
    }
}

#[test]
fn a_failure_inside_tells_how_it_got_there() {
    let files = [
        ("templates/_helpers.tpl", "{{ define \"small.tag\" }}\n{{ required \"a tag\" .tag }}\n{{ end }}"),
        ("templates/it.yaml", "{{ include \"small.tag\" (dict \"tag\" \"1\") }}\n\n{{ include \"small.tag\" . }}"),
        ("templates/loop.yaml", "{{ include \"small/templates/loop.yaml\" . }}"),
        ("templates/tpl.yaml", "\n{{ tpl \"\\n{{ fail .a }}\" (dict \"a\" \"b\") }}"),
    ];
    let chart = |path: &str| chart("", &[files[0], *files.iter().find(|file| file.0 == path).unwrap()]);
    let error = |path| format!("{:#}", render(&chart(path), &RELEASE, &json!({})).unwrap_err());
    assert_eq!(
        error("templates/it.yaml"),
        "render chart `small`: templates/_helpers.tpl:2 (included at templates/it.yaml:3): a tag"
    );
    assert_eq!(
        error("templates/tpl.yaml"),
        "render chart `small`: line 2 of the text given to tpl (included at templates/tpl.yaml:2): b"
    );
    assert!(error("templates/loop.yaml").ends_with("templates include each other again and again"));
}

#[test]
fn broken_output_is_shown() {
    assert_eq!(
        error("a: b\nc: d: e"),
        "render chart `small`: templates/it.yaml: line 2 of the rendered text, `c: d: e`: mapping values are not allowed in this context"
    );
    assert_eq!(
        error(&format!("{CONFIG_MAP}x\n---\nkind: X")),
        "render chart `small`: templates/it.yaml: the document at line 6 of the rendered text: `apiVersion` is missing"
    );
    assert_eq!(
        error("a: 1\na: 2"),
        "render chart `small`: templates/it.yaml: line 2 of the rendered text, `a: 2`: the key `a` is there twice"
    );
}

#[test]
fn two_templates_of_one_name_are_refused() {
    let define = "{{ define \"x\" }}a{{ end }}";
    let chart = chart("", &[("templates/_a.tpl", define), ("templates/_b.tpl", define)]);
    let error = render(&chart, &RELEASE, &json!({})).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "render chart `small`: templates/_b.tpl:1: template `x` is already defined in templates/_a.tpl"
    );
}

#[test]
fn yaml_is_read_as_kubernetes_reads_it() {
    let text = "
on: yes
off: 'off'
mode: 0640
new: 0o640
hex: 0x1F
under: 1_000
big: 9223372036854775808
float: 1.50
whole: 2.0
exp: 1e3
date: 2024-01-01
time: 12:30
version: 1.2.3
empty:
tilde: ~
text: |
  a
  b
folded: >-
  a
  b
same: &same {x: 1}
again: *same
list: [a, 'b', !!str 1]
";
    let expected = json!({
        "true": true, "false": "off", "mode": 416, "new": 416, "hex": 31, "under": 1000, "big": 9_223_372_036_854_775_808_u64,
        "float": 1.5, "whole": 2, "exp": 1000, "date": "2024-01-01", "time": "12:30", "version": "1.2.3", "empty": null, "tilde": null,
        "text": "a\nb\n", "folded": "a b", "same": { "x": 1 }, "again": { "x": 1 }, "list": ["a", "b", "1"],
    });
    assert_eq!(yaml::document(text).unwrap(), expected);
    for refused in ["a: !!binary aGk=", "<<: {a: 1}", "a: *b", "{a: 1", "1.5: a", "a: .nan"] {
        assert!(yaml::document(refused).is_err(), "{refused}");
    }
}

/// `tests/render/functions.yaml`: templates that must print the same text in Helm, or fail in both; and those that only we refuse.
#[test]
fn functions_do_what_helms_do() {
    let table = fs::read_to_string(root().join("tests/render/functions.yaml")).unwrap();
    let table = yaml::document(&table).unwrap();
    let same = table["same"].as_array().unwrap();
    assert!(same.len() >= 150, "{}", same.len());
    let question = |template| json!({ "template": template, "values": table["values"] });
    let answers = ask(&["functions"], &same.iter().map(question).collect());
    let ours = |template: &Value| {
        let chart = chart("", &[("templates/it.yaml", template.as_str().unwrap())]);
        texts(&chart, &RELEASE, &table["values"]).map(|mut texts| texts.remove("templates/it.yaml").unwrap())
    };
    let mut differences = Vec::new();
    for (template, answer) in same.iter().zip(answers) {
        match (ours(template), answer["text"].as_str()) {
            (Ok(ours), Some(helms)) if ours == helms => {}
            (Err(_), None) => {}
            (ours, _) => differences.push(format!("{template}\n  platctl: {ours:?}\n  Helm:    {answer}")),
        }
    }
    for template in table["refused"].as_array().unwrap() {
        if let Ok(text) = ours(template) {
            differences.push(format!("{template} is not refused, but gives {text:?}"));
        }
    }
    assert_none(&differences);
}

/// The charts of the platform with their namespaces.
fn charts() -> Vec<(PathBuf, String)> {
    let folders = fs::read_dir(root().join("embedded/charts")).unwrap();
    let charts = folders.map(|entry| entry.unwrap().path()).filter(|chart| chart.join("component.yaml").exists());
    let charts: Vec<_> = charts
        .map(|chart| {
            let component = fs::read_to_string(chart.join("component.yaml")).unwrap();
            let component = yaml::document(&component).unwrap();
            (chart, component["namespace"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(!charts.is_empty());
    charts
}

#[test]
fn every_chart_renders_as_in_helm() {
    let jobs = charts().into_iter().map(|(chart, namespace)| Job {
        case: "defaults".to_owned(),
        chart,
        namespace,
        values: json!({}),
    });
    assert_same_as_helm(&jobs.collect::<Vec<_>>());
}

/// Chart × profile, from the very files that Argo CD reads: the tree that is published.
#[test]
fn the_published_tree_of_each_profile_renders_as_in_helm() {
    let folder = tempfile::tempdir().unwrap();
    let mut jobs = Vec::new();
    let prod = "repository.url=https://git.example.org/platform.git";
    let digest = format!(r"imageDigests.docker\.io/grafana/loki:{}=sha256:{}", loki_tag(), "0a".repeat(32));
    let mirrored = ["imageRegistry=m.example.org:5000/a", r"imageRegistries.quay\.io=q.example.org", &digest];
    for (case, profile, set) in [("dev", "dev", &[][..]), ("prod", "prod", &[prod]), ("mirrored", "dev", &mirrored)] {
        let tree = published(profile, set);
        let place = folder.path().join(case);
        for (path, content) in &tree {
            let path = place.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        for (chart, namespace) in charts() {
            let name = chart.file_name().unwrap().to_str().unwrap();
            let Some(values) = tree.get(&format!("values/{name}.yaml")) else { continue };
            let values = yaml::document(str::from_utf8(values).unwrap()).unwrap();
            jobs.push(Job { case: case.to_owned(), chart: place.join("charts").join(name), namespace, values });
        }
    }
    assert!(jobs.len() > charts().len(), "prod has its charts too");
    assert_same_as_helm(&jobs);
}

fn loki_tag() -> String {
    let catalog = embedded::catalog().unwrap();
    let tag = catalog.get("loki").unwrap().chart.values()["image"]["tag"].clone();
    tag.as_str().unwrap().replace('.', r"\.")
}

fn published(profile: &str, set: &[&str]) -> Tree {
    let catalog = embedded::catalog().unwrap();
    let set: Vec<String> = set.iter().map(|key| (*key).to_owned()).collect();
    let layers = Layers { built_in: &embedded::profiles(), base: Base::Name(profile), values: &[], set: &set };
    tree(&Profile::load(&layers, &catalog).unwrap(), &catalog, &embedded::charts())
}

/// Each value of each chart changed in a few ways, one at a time.
#[test]
fn every_chart_renders_as_in_helm_whatever_the_values() {
    // Definitions need no values and much time.
    let copies = tempfile::tempdir().unwrap();
    let mut jobs = Vec::new();
    for (folder, namespace) in charts() {
        let copy = copies.path().join(folder.file_name().unwrap());
        let files = files(&folder);
        for (path, content) in files.iter().filter(|(path, _)| !path.starts_with("crds/")) {
            let path = copy.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        for values in changed(Chart::new(files).unwrap().values()) {
            jobs.push(Job { case: values.to_string(), chart: copy.clone(), namespace: namespace.clone(), values });
        }
    }
    assert_as_strict_as_helm(&jobs);
}

/// Values to lay over others: each changes one of them.
fn changed(values: &Value) -> Vec<Value> {
    let others = match values {
        Value::Object(map) if !map.is_empty() => {
            let below = map.iter().flat_map(|(key, value)| {
                changed(value).into_iter().map(move |changed| json!({ key.as_str(): changed }))
            });
            return below.collect();
        }
        Value::Object(_) => json!([{ "a": "b" }]),
        Value::Array(_) => json!([[], ["x"], [{ "name": "x", "value": "1" }]]),
        Value::Bool(value) => json!([!value]),
        Value::Number(_) => json!([0, 3, 2_000_000]),
        Value::String(_) => json!(["", "some \"text\"", "on", "1e3"]),
        Value::Null => json!(["x"]),
    };
    let others = others.as_array().unwrap().iter().cloned();
    others.chain([Value::Null]).collect()
}
