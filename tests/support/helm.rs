//! Real Helm, to compare with: the Go program in `tests/helm`, built on first use. Without Go these tests fail: that our charts render the
//! same in Argo CD is not to be assumed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use platctl::plan::render::{Chart, Files, Release, render};
use serde_json::{Value, json};

/// One rendering of a chart.
#[derive(Debug)]
pub(crate) struct Job {
    /// What the test calls it: a profile, `defaults`.
    pub(crate) case: String,
    pub(crate) chart: PathBuf,
    pub(crate) namespace: String,
    pub(crate) values: Value,
}

/// Renders every chart with platctl and with Helm, and fails with a list of all that differs.
pub(crate) fn assert_same_as_helm(jobs: &[Job]) {
    assert_none(&differences(jobs, true));
}

/// The same for values that may be wrong: where Helm refuses them platctl must too.
pub(crate) fn assert_as_strict_as_helm(jobs: &[Job]) {
    assert_none(&differences(jobs, false));
}

pub(crate) fn assert_none(differences: &[String]) {
    let count = differences.len();
    assert!(count == 0, "{count} differences\n{}", differences.join("\n"));
}

fn differences(jobs: &[Job], must_render: bool) -> Vec<String> {
    let asked = jobs.iter().map(
        |job| json!({ "chart": job.chart, "release": release(job), "namespace": job.namespace, "values": job.values }),
    );
    let answers = ask(&[], &asked.collect());
    let mut differences = Vec::new();
    for (job, answer) in jobs.iter().zip(answers) {
        let chart = Chart::new(files(&job.chart)).unwrap();
        let release = Release { name: release(job), namespace: &job.namespace };
        let found = match (render(&chart, &release, &job.values), answer) {
            (Ok(ours), Value::Array(helms)) => {
                let ours = ours.into_iter().map(platctl::object::Object::into_value);
                compare(&by_id(ours), &by_id(helms))
            }
            (Err(error), Value::Array(_)) => vec![format!("platctl fails: {error:#}")],
            (Ok(_), error) => vec![format!("Helm fails: {}", error["error"])],
            (Err(_), _) if !must_render => Vec::new(),
            (Err(ours), error) => vec![format!("both fail: {ours:#}; Helm: {}", error["error"])],
        };
        let found = found.iter().map(|line| format!("{} ({}): {line}", release.name, job.case));
        differences.extend(found);
    }
    differences
}

/// What the program of real Helm answers to a list of questions.
pub(crate) fn ask(arguments: &[&str], questions: &Value) -> Vec<Value> {
    let mut helm =
        Command::new(program()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    helm.stdin.take().unwrap().write_all(questions.to_string().as_bytes()).unwrap();
    let output = helm.wait_with_output().unwrap();
    assert!(output.status.success(), "helm-parity failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-parity");
        let script = root().join("tests/helm/build.sh");
        let built = Command::new("bash").arg(script).arg(&folder).output().unwrap();
        let words = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "tests/helm/build.sh failed; it needs Go: {words}");
        folder.join("helm-parity")
    })
}

/// The folder of the crate.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A chart's files from a folder.
pub(crate) fn files(folder: &Path) -> Files {
    fn collect(folder: &Path, below: &str, files: &mut Files) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                collect(&entry.path(), &format!("{path}/"), files);
            } else {
                files.insert(path, fs::read(entry.path()).unwrap().into());
            }
        }
    }
    let mut files = Files::new();
    collect(folder, "", &mut files);
    files
}

fn release(job: &Job) -> &str {
    job.chart.file_name().unwrap().to_str().unwrap()
}

fn by_id(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let id = |object: &Value| {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
        let names = (text("/metadata/namespace"), text("/metadata/name"));
        format!("{} {} {}/{}", text("/apiVersion"), text("/kind"), names.0, names.1)
    };
    objects.into_iter().map(|object| (id(&object), object)).collect()
}

fn compare(ours: &BTreeMap<String, Value>, helms: &BTreeMap<String, Value>) -> Vec<String> {
    let extra = ours.keys().filter(|id| !helms.contains_key(*id)).map(|id| format!("{id}: only from platctl"));
    let mut found: Vec<String> = extra.collect();
    for (id, helm) in helms {
        match ours.get(id) {
            None => found.push(format!("{id}: only from Helm")),
            Some(ours) => difference(&format!("{id}: "), ours, helm, &mut found),
        }
    }
    found
}

/// Lists the paths at which two values differ.
fn difference(path: &str, ours: &Value, helms: &Value, found: &mut Vec<String>) {
    match (ours, helms) {
        (Value::Object(ours), Value::Object(helms)) => {
            let keys = ours.keys().chain(helms.keys().filter(|key| !ours.contains_key(*key)));
            for key in keys {
                let below = format!("{path}/{key}");
                match (ours.get(key), helms.get(key)) {
                    (Some(ours), Some(helms)) => difference(&below, ours, helms, found),
                    (Some(ours), None) => found.push(format!("{below}: {ours}, Helm has nothing")),
                    (None, helms) => {
                        found.push(format!("{below}: nothing, Helm has {}", helms.unwrap()));
                    }
                }
            }
        }
        (Value::Array(ours), Value::Array(helms)) if ours.len() == helms.len() => {
            for (index, (ours, helms)) in ours.iter().zip(helms).enumerate() {
                difference(&format!("{path}/{index}"), ours, helms, found);
            }
        }
        (Value::Number(ours), Value::Number(helms)) if ours.as_f64() == helms.as_f64() => {}
        _ if ours == helms => {}
        (Value::String(ours), Value::String(helms)) => {
            // Of a file in a ConfigMap only the first line that differs.
            let line = ours.lines().zip(helms.lines()).take_while(|(ours, helms)| ours == helms).count();
            let shown = |text: &str| text.lines().nth(line).map(str::to_owned);
            found.push(format!("{path}: line {}: {:?}, Helm has {:?}", line + 1, shown(ours), shown(helms)));
        }
        _ => found.push(format!("{path}: {ours}, Helm has {helms}")),
    }
}
