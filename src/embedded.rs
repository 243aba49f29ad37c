//! The charts and profiles that are compiled into the executable, as bytes by name. What they mean is `plan`'s affair.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rust_embed::RustEmbed;

use crate::plan::catalog::Catalog;

#[derive(RustEmbed)]
#[folder = "embedded/charts"]
struct Charts;

#[derive(RustEmbed)]
#[folder = "profiles"]
#[include = "*.yaml"]
struct Profiles;

/// chart name → path inside the chart → content.
pub fn charts() -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut charts: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for path in Charts::iter() {
        if let (Some((chart, inside)), Some(file)) = (path.split_once('/'), Charts::get(&path)) {
            charts.entry(chart.to_owned()).or_default().insert(inside.to_owned(), file.data.into_owned());
        }
    }
    charts
}

pub fn catalog() -> Result<Catalog> {
    Catalog::new(charts()).context("read the embedded charts")
}

/// The built-in profiles' texts by name.
pub fn profiles() -> BTreeMap<String, String> {
    Profiles::iter()
        .filter_map(|path| {
            let text = String::from_utf8(Profiles::get(&path)?.data.into_owned()).ok()?;
            Some((path.strip_suffix(".yaml")?.to_owned(), text))
        })
        .collect()
}
