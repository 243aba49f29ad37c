//! The drawing in `src/lib.rs`, enforced: which module may name which, who may touch the outside world, who may print. Reads the source as
//! text, without its comments.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Each module of the crate with those that it may name. `commands` and the two roots, `lib` and `main`, may name all.
const ARROWS: [(&str, &[&str]); 11] = [
    ("object", &[]),
    ("failure", &[]),
    ("cli", &[]),
    ("event", &["object", "failure"]),
    ("plan", &["object", "failure"]),
    ("readiness", &["object"]),
    ("embedded", &["plan"]),
    ("bundle", &["plan", "object"]),
    ("cluster", &["bundle", "plan", "readiness", "object", "failure"]),
    ("engine", &["cluster", "plan", "readiness", "event", "object", "failure"]),
    ("ui", &["cli", "event", "object", "failure"]),
];
const ROOTS: [&str; 3] = ["commands", "lib", "main"];

/// Given the same input, these give the same output: no network, no disk, no clock, no environment, no terminal.
const PURE: [&str; 11] = [
    "src/bundle/layout.rs",
    "src/bundle/redact.rs",
    "src/plan/",
    "src/readiness/",
    "src/object.rs",
    "src/failure.rs",
    "src/engine/retry.rs",
    "src/engine/convergence.rs",
    "src/ui/paragraph.rs",
    "src/ui/table.rs",
    "src/commands/wizard/screens.rs",
];
const IMPURE: &str = r"\b(kube|k8s_openapi|tokio|tokio_rustls|tokio_util|hyper|hyper_util|indicatif|rand)::|\b(Instant|SystemTime|OffsetDateTime)\b|\bstd::(\{[^}]*\b)?(fs|env|io|net|process|thread)\b";

/// One file of `src/`: its path from the root of the repository, and its code without comments.
struct Source {
    path: String,
    text: String,
    code: Vec<String>,
}

impl Source {
    /// The module of the crate that it belongs to.
    fn module(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split(['/', '.']).next().unwrap()
    }

    /// The lines that match, each as a complaint.
    fn complaints(&self, pattern: &str, complaint: &str) -> Vec<String> {
        let pattern = Regex::new(pattern).unwrap();
        let found = |(index, line): (usize, &String)| {
            pattern.is_match(line).then(|| format!("{}:{}: {complaint}: {}", self.path, index + 1, line.trim()))
        };
        self.code.iter().enumerate().filter_map(found).collect()
    }

    fn is_below(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().map(|line| without_comment(line).to_owned()).collect();
        Source { path: path.strip_prefix(root).unwrap().display().to_string(), text, code }
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|end| end == "rs") {
            paths.push(path);
        }
    }
}

/// A comment begins at two slashes; those of a URL follow a colon.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| !line[..*at].ends_with(':');
    line.match_indices("//").find(begins).map_or(line, |(at, _)| &line[..at])
}

/// Fails with all complaints at once.
fn assert_none(complaints: impl Iterator<Item = String>) {
    let complaints: Vec<String> = complaints.collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn arrows_only_go_down() {
    let imported = Regex::new(r"\bcrate::(?:\{([^}]*)\}|(\w+))").unwrap();
    let against = |source: &Source, line: usize, name: &str| {
        let module = source.module();
        let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == module)?;
        let fine = name == module || allowed.contains(&name);
        (!fine).then(|| format!("{}:{line}: `{module}` may not name `{name}`", source.path))
    };
    let mut complaints = Vec::new();
    for source in &sources() {
        // As one text, since a list of imports may go over several lines.
        let code = source.code.join("\n");
        for capture in imported.captures_iter(&code) {
            let list = capture.get(1).or(capture.get(2)).unwrap();
            let line = code[..list.start()].matches('\n').count() + 1;
            let names = list.as_str().split(',').map(|name| name.split("::").next().unwrap().trim());
            complaints.extend(names.filter(|name| !name.is_empty()).filter_map(|name| against(source, line, name)));
        }
    }
    assert_none(complaints.into_iter());
}

#[test]
fn every_module_is_in_the_drawing() {
    let known = |module: &str| ROOTS.contains(&module) || ARROWS.iter().any(|(name, _)| *name == module);
    let sources = sources();
    let unknown = sources.iter().filter(|source| !known(source.module()));
    assert_none(unknown.map(|source| format!("{}: module `{}` is not in ARROWS", source.path, source.module())));
}

#[test]
fn pure_modules_do_not_touch_the_world() {
    let sources = sources();
    let pure = sources.iter().filter(|source| source.is_below(&PURE));
    assert_none(pure.flat_map(|source| source.complaints(IMPURE, "not pure")));
}

#[test]
fn only_cluster_talks_to_kubernetes() {
    let sources = sources();
    let others = sources.iter().filter(|source| !source.is_below(&["src/cluster/"]));
    assert_none(others.flat_map(|source| source.complaints(r"\b(kube|k8s_openapi)::", "belongs into cluster/")));
}

#[test]
fn only_ui_prints() {
    let sources = sources();
    let others = sources.iter().filter(|source| !source.is_below(&["src/ui/"]));
    let pattern = r"\b(e?println?|dbg)!|\b(stdout|stderr|stdin)\(|\bindicatif\b";
    assert_none(others.flat_map(|source| source.complaints(pattern, "belongs into ui/")));
}

#[test]
fn only_cli_reads_the_environment() {
    let sources = sources();
    let pattern = r"\bstd::(\{[^}]*\b)?env\b|\benv::(var|vars|args|set_var|temp_dir|home_dir|current_dir)\b";
    assert_none(sources.iter().flat_map(|source| source.complaints(pattern, "clap reads it in cli.rs")));
}

#[test]
fn every_file_says_what_lives_in_it() {
    let sources = sources();
    let silent = sources.iter().filter(|source| source.module() != "main" && !source.text.starts_with("//! "));
    assert_none(silent.map(|source| format!("{}: does not begin with `//!`", source.path)));
}

#[test]
fn comments_are_not_code() {
    assert_eq!(without_comment("let a = 1; // tokio::spawn"), "let a = 1; ");
    assert_eq!(without_comment("//! kube::"), "");
    assert_eq!(without_comment(r#"let a = "https://x"; // b"#), r#"let a = "https://x"; "#);
}
