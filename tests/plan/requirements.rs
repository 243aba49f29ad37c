//! The table in `embedded/README.md`: every requirement has a row, and what a row names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::platform::assert_none;

const IDS: [&str; 23] = [
    "MESH-1", "MESH-2", "MESH-3", "MESH-4", "MESH-5", "MESH-6", "IAM-1", "IAM-2", "IAM-3", "OBS-1", "OBS-2", "OBS-3",
    "OBS-4", "GIT-1", "GIT-2", "GIT-3", "BOOT-1", "SEC-1", "SEC-2", "SEC-3", "SEC-4", "SEC-5", "SEC-6",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the table: id and the rest.
fn rows() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("embedded/README.md")).unwrap();
    let row = Regex::new(r"(?m)^\| ([A-Z]+-[0-9]) \| (.*)$").unwrap();
    row.captures_iter(&text).map(|row| (row[1].to_owned(), row[2].to_owned())).collect()
}

#[test]
fn every_requirement_has_a_row_with_a_check() {
    let ids: Vec<String> = rows().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, IDS);
    let unchecked = rows().into_iter().filter(|(_, row)| !row.contains("::"));
    assert_none(unchecked.map(|(id, _)| format!("{id} is checked by nothing")));
}

/// Each requirement has a command in `docs/security.md` by which people see it.
#[test]
fn every_requirement_can_be_looked_at() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let sections: Vec<&str> = text.split("\n### ").skip(1).collect();
    let ids: Vec<&str> = sections.iter().filter_map(|section| section.lines().next()).collect();
    assert_eq!(ids, IDS);
    let silent = sections.iter().zip(ids).filter(|(section, _)| !section.contains("\n```\n$ "));
    assert_none(silent.map(|(_, id)| format!("docs/security.md: {id} has no command")));
}

#[test]
fn every_file_and_check_of_a_row_exists() {
    let quoted = Regex::new(r"`([^`]+)`").unwrap();
    let mut missing = BTreeSet::new();
    for (id, row) in rows() {
        for name in quoted.captures_iter(&row).map(|found| found[1].to_owned()) {
            let exists = match name.split_once("::") {
                Some((module, test)) => is_test(module, test),
                None if name.contains('/') => place(&name).exists(),
                // A key or a command.
                None => true,
            };
            if !exists {
                missing.insert(format!("{id}: `{name}` is not there"));
            }
        }
    }
    assert_none(missing);
}

fn place(name: &str) -> PathBuf {
    let is_from_the_root = ["src/", "profiles/", "tests/"].iter().any(|folder| name.starts_with(folder));
    if is_from_the_root { root().join(name) } else { root().join("embedded/charts").join(name) }
}

fn is_test(module: &str, test: &str) -> bool {
    let files = [format!("tests/plan/{module}.rs"), format!("tests/{module}.rs")];
    let texts = files.iter().filter_map(|file| fs::read_to_string(root().join(file)).ok());
    texts.into_iter().any(|text| text.contains(&format!("#[test]\nfn {test}() {{")))
}
