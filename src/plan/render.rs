//! Chart + values → objects, as Helm renders them, so that Argo CD with real Helm later finds nothing to change. Pure: a chart is a map of
//! files in memory. `engine` runs the templates, `tree` parses them, `rewrite` makes gotmpl behave as Go, `yaml` reads text as Kubernetes
//! does. The template functions live in `functions`. Called by `plan::build` for every chart before the first write.

mod engine;
mod rewrite;
mod tree;
pub mod yaml;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use self::engine::Engine;
use super::functions;
use crate::object::Object;

/// Files by their path inside the chart.
pub type Files = BTreeMap<String, Cow<'static, [u8]>>;

/// A chart in memory: `Chart.yaml` and `values.yaml` are read, templates are parsed when it is rendered.
#[derive(Clone, Debug)]
pub struct Chart {
    pub name: String,
    pub version: String,
    pub app_version: String,
    files: Arc<Files>,
    values: Value,
}

/// What a chart is rendered for.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
}

impl Chart {
    /// Takes the files of a chart; its name is the one in its `Chart.yaml`.
    pub fn new(files: Files) -> Result<Self> {
        let about = yaml::document(text(&files, "Chart.yaml")?).context("read Chart.yaml")?;
        let field = |name: &str| match about.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(value)) => Ok(value.clone()),
            // Helm would turn 1.10 into "1.1".
            Some(_) => Err(anyhow!("read Chart.yaml: `{name}` must be text: put it in quotes")),
        };
        let (name, version, app_version) = (field("name")?, field("version")?, field("appVersion")?);
        ensure!(!name.is_empty(), "read Chart.yaml: `name` is missing");
        let values = if files.contains_key("values.yaml") {
            yaml::document(text(&files, "values.yaml")?)
                .with_context(|| format!("read values.yaml of chart `{name}`"))?
        } else {
            Value::Null
        };
        let values = match values {
            Value::Null => json!({}),
            Value::Object(_) => values,
            _ => return Err(anyhow!("read values.yaml of chart `{name}`: it is no map")),
        };
        Ok(Self { name, version, app_version, files: Arc::new(files), values })
    }

    /// The chart's own values: every key with its default.
    pub fn values(&self) -> &Value {
        &self.values
    }

    /// A file of the chart as text.
    pub fn text(&self, path: &str) -> Result<&str> {
        text(&self.files, path)
    }

    /// The paths of the files below a folder, sorted.
    fn below(&self, folder: &str) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).filter(move |path| path.starts_with(folder))
    }

    /// The files that are neither templates nor part of the chart's description: what `.Files` shows.
    fn extra_files(&self) -> functions::files::Shown {
        const OWN: [&str; 4] = ["Chart.yaml", "Chart.lock", "values.yaml", "values.schema.json"];
        let hidden = |path: &str| OWN.contains(&path) || path.starts_with("templates/") || path.starts_with("charts/");
        functions::files::Shown::new(Arc::clone(&self.files), hidden)
    }
}

/// The objects of a chart, its custom resource definitions first. `values` are merged over the chart's own.
pub fn render(chart: &Chart, release: &Release, values: &Value) -> Result<Vec<Object>> {
    let rendered = || -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for path in chart.below("crds/").filter(|path| is_manifest(path)) {
            objects_of(path, chart.text(path)?, &mut objects)?;
        }
        for (path, text) in texts(chart, release, values)? {
            objects_of(&path, &text, &mut objects)?;
        }
        Ok(objects)
    };
    rendered().with_context(|| format!("render chart `{}`", chart.name))
}

/// The text that each template of a chart renders to, by its path. Partials (`_…`) and `NOTES.txt` make none.
pub fn texts(chart: &Chart, release: &Release, values: &Value) -> Result<BTreeMap<String, String>> {
    let mut merged = chart.values.clone();
    merge_values(&mut merged, values);
    let sources = chart.below("templates/").map(|path| Ok((path.to_owned(), chart.text(path)?)));
    let engine = Engine::new(&chart.name, &sources.collect::<Result<_>>()?)?;
    let data = root(chart, release, &merged);
    let speaks = |path: &&str| {
        let file = path.rsplit('/').next().unwrap_or(path);
        !file.starts_with('_') && !file.ends_with("NOTES.txt")
    };
    chart.below("templates/").filter(speaks).map(|path| Ok((path.to_owned(), engine.run(path, &data)?))).collect()
}

/// Merges values over others as Helm does: maps key by key, everything else replaced, null removes the key.
pub fn merge_values(base: &mut Value, over: &Value) {
    let (Value::Object(base), Value::Object(over)) = (base, over) else {
        return;
    };
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(_), Value::Null) => {
                base.shift_remove(key);
            }
            (Some(below @ Value::Object(_)), Value::Object(_)) => merge_values(below, value),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What `.` is at the top of every template, `.Template` excepted.
fn root(chart: &Chart, release: &Release, values: &Value) -> BTreeMap<Arc<str>, gotmpl::Value> {
    let about = json!({ "Name": chart.name, "Version": chart.version, "AppVersion": chart.app_version });
    let release = json!({
        "Name": release.name, "Namespace": release.namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false,
    });
    BTreeMap::from([
        (Arc::from("Chart"), functions::from_json(&about)),
        (Arc::from("Files"), chart.extra_files().into_value()),
        (Arc::from("Release"), functions::from_json(&release)),
        (Arc::from("Values"), functions::from_json(values)),
    ])
}

/// Adds the objects in a YAML text, whatever the number of its documents.
fn objects_of(path: &str, text: &str, objects: &mut Vec<Object>) -> Result<()> {
    let documents = yaml::documents(text).map_err(|error| error.in_file(path, text))?;
    for (line, document) in documents {
        let object = Object::new(document)
            .map_err(|missing| anyhow!("{path}: the document at line {line} of the rendered text: {missing}"))?;
        objects.push(object);
    }
    Ok(())
}

fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end))
}

fn text<'a>(files: &'a Files, path: &str) -> Result<&'a str> {
    let bytes = files.get(path).ok_or_else(|| anyhow!("the chart has no file `{path}`"))?;
    std::str::from_utf8(bytes).with_context(|| format!("read {path}"))
}
