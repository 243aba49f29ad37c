//! What the documents name exists: the targets of their links, headings too, and the files that stand in back-ticks. The drawing of the modules is the
//! same in all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents for users, by their paths from the root.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    found.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    found.sort();
    found
}

/// As GitHub makes them: lower case, spaces to hyphens, other signs dropped.
fn anchors(text: &str) -> Vec<String> {
    let anchor = |heading: &str| {
        let letters = heading.trim().to_lowercase();
        letters.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// Why the target of a link in a document is not there.
fn missing(document: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { document.to_owned() } else { document.parent().unwrap().join(path) };
    if !file.exists() {
        return Some(format!("{}: the link `{target}` leads nowhere", document.display()));
    }
    let has_heading = heading.is_empty() || anchors(&fs::read_to_string(&file).unwrap()).iter().any(|it| it == heading);
    (!has_heading).then(|| format!("{}: the link `{target}` names no heading", document.display()))
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The drawing of the modules is the same wherever it stands; which arrows it may have, `tests/layers.rs` says.
#[test]
fn the_drawing_is_everywhere_the_same() {
    let drawing = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let lines = text.lines().map(|line| line.trim_start_matches("//!").trim_start_matches(' '));
        lines
            .skip_while(|line| !line.starts_with("main → lib"))
            .take_while(|line| !line.starts_with("```"))
            .map(|line| line.trim().to_owned())
            .collect()
    };
    let of_code = drawing("src/lib.rs");
    assert!(of_code.len() > 5, "{of_code:#?}");
    for file in ["README.md", "docs/architecture.md"] {
        assert_eq!(drawing(file), of_code, "{file}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut found = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        found.extend(link.captures_iter(&text).filter_map(|link| missing(&document, &link[1])));
    }
    assert_none(&found);
}

/// A path in back-ticks that begins with a folder of the repository.
#[test]
fn every_named_file_exists() {
    let named = Regex::new(r"`((?:src|tests|docs|profiles|embedded|\.ci)/[A-Za-z0-9_./-]*)`").unwrap();
    let mut found = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let gone = named.captures_iter(&text).filter(|path| !root().join(&path[1]).exists());
        found.extend(gone.map(|path| format!("{}: `{}` is not there", document.display(), &path[1])));
    }
    assert_none(&found);
}

#[test]
fn missing_targets_are_found() {
    let readme = root().join("README.md");
    assert_eq!(missing(&readme, "docs/checks.md#capacity"), None);
    assert_eq!(missing(&readme, "#checks"), None);
    assert!(missing(&readme, "docs/checks.md#capacities").is_some());
    assert!(missing(&readme, "docs/none.md").is_some());
}
