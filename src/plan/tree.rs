//! The Git tree that Argo CD follows: each enabled chart as it is, its values beside it, and the objects that start it all for people who
//! bootstrap by hand. The same function serves the handoff and `platctl export`, so both are the same to the byte. Pure.

use std::collections::BTreeMap;

use crate::plan::applicationset;
use crate::plan::catalog::Catalog;
use crate::plan::functions::yaml;
use crate::plan::merge::{SUMS, write_sums};
use crate::plan::profile::Profile;

/// Path in the repository → content.
pub type Tree = BTreeMap<String, Vec<u8>>;

pub fn tree(profile: &Profile, catalog: &Catalog, charts: &BTreeMap<String, BTreeMap<String, Vec<u8>>>) -> Tree {
    let mut tree = Tree::new();
    for entry in catalog.entries().filter(|entry| profile.is_enabled(&entry.component.name)) {
        let name = &entry.component.name;
        for (path, content) in charts.get(name).into_iter().flatten() {
            tree.insert(format!("charts/{name}/{path}"), content.clone());
        }
        tree.insert(format!("values/{name}.yaml"), yaml(&profile.values(name)).into_bytes());
    }
    let mut bootstrap = String::new();
    for object in applicationset::objects(profile, catalog.names()) {
        bootstrap += "---\n";
        bootstrap += &yaml(object.value());
    }
    tree.insert("bootstrap.yaml".to_owned(), bootstrap.into_bytes());
    tree.insert("README.md".to_owned(), README.as_bytes().to_vec());
    let sums = write_sums(&tree);
    tree.insert(SUMS.to_owned(), sums.into_bytes());
    tree
}

const README: &str = "\
# The platform

Written by `platctl`, followed by Argo CD. Each directory of `charts/` is a Helm chart with a `component.yaml`; the ApplicationSet `platform`
makes an Application of each, with the values of `values/<chart>.yaml`. Commit a change and Argo CD applies it; add a directory with a
`component.yaml` (`name`, `namespace`, `wave`, `version`, `description`) and it is installed; remove it again and its objects are pruned.
Removing a directory that `platctl` wrote ends only Argo CD's rule: its objects stay, as data may hang on them.

There is no credential in here, and none belongs here. `bootstrap.yaml` holds the AppProject and the ApplicationSet. `platctl upgrade` writes
a newer platform over this one; by `platctl.sums` it tells which files were changed here, and never overwrites those unasked.
";
