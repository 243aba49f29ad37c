//! What becomes of each file of the Git tree when platctl writes it anew over what people may have changed since. The tree itself tells what
//! platctl wrote the last time, in `platctl.sums`, so that it works in any clone and nobody's change is lost unseen. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use crate::plan::tree::Tree;

/// The file in the tree that holds the names of all others' contents.
pub const SUMS: &str = "platctl.sums";

/// Path → Git's name for the content.
pub type Sums = BTreeMap<String, String>;

/// Git's name for a file's content.
pub fn blob_sha(content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The file `platctl.sums` of a tree.
pub fn write_sums(tree: &Tree) -> String {
    let head = format!(
        "# What platctl {} wrote here, as `git hash-object` names it. `platctl upgrade` tells by it which files people\n\
         # have changed since, so leave it as it is.\n",
        env!("CARGO_PKG_VERSION")
    );
    tree.iter().fold(head, |text, (path, content)| text + &format!("{}  {path}\n", blob_sha(content)))
}

/// Paths that lead out of the tree are left out: the file comes from a repository.
pub fn read_sums(text: &str) -> Sums {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once("  "))
        .filter(|(_, path)| !path.split('/').any(|part| matches!(part, "" | "." | "..")))
        .map(|(sha, path)| (path.to_owned(), sha.to_owned()))
        .collect()
}

/// One file to write, or to remove where there is no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub path: String,
    /// What is there now.
    pub had: Option<String>,
    pub content: Option<Vec<u8>>,
}

/// What writing the tree comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    pub steps: Vec<Step>,
    /// People changed these, and so does the new tree.
    pub conflicts: Vec<Step>,
    /// People changed these, and the new tree has nothing new for them: they stay.
    pub kept: Vec<String>,
}

/// `base` is what platctl wrote the last time, `there` is what is there now. What people added beside it is none of our business.
pub fn merge(new: &Tree, base: &Sums, there: &Sums) -> Merge {
    let mut merge = Merge::default();
    let paths: BTreeSet<&String> = new.keys().chain(base.keys()).collect();
    for path in paths {
        let wanted = new.get(path).map(|content| blob_sha(content));
        let (before, now) = (base.get(path), there.get(path));
        if wanted.as_ref() == now {
            continue;
        }
        let step = Step { path: path.clone(), had: now.cloned(), content: new.get(path).cloned() };
        if now == before || path == SUMS {
            merge.steps.push(step);
        } else if wanted.as_ref() == before {
            merge.kept.push(path.clone());
        } else {
            merge.conflicts.push(step);
        }
    }
    merge
}

impl Merge {
    /// Ours wins.
    pub fn overwrite(&mut self) {
        self.steps.append(&mut self.conflicts);
        self.steps.sort_by(|left, right| left.path.cmp(&right.path));
    }
}
