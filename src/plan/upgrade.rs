//! Whether one step leads from the versions that are installed to those of this platctl: the table of jumps that must not be made at once,
//! each with its reason and the way around. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Written for a component that is there and whose version no record tells.
pub const UNKNOWN: &str = "unknown";

/// A component's version before and after; none where it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub component: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// What differs, by component. Both maps: component → version.
pub fn changes(installed: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<&String> = installed.keys().chain(wanted.keys()).collect();
    names
        .into_iter()
        .map(|name| Change {
            component: name.clone(),
            from: installed.get(name).cloned(),
            to: wanted.get(name).cloned(),
        })
        .filter(|change| change.from != change.to)
        .collect()
}

/// A jump that is refused, or known too little of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable: what `--accept` takes.
    pub code: &'static str,
    pub what: String,
    pub why: String,
    pub way: String,
}

/// What one step may change at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// The next minor version of the same major one.
    OneMinor,
    /// Any version of the same major one.
    SameMajor,
}

struct Rule {
    code: &'static str,
    software: &'static str,
    components: &'static [&'static str],
    limit: Limit,
    why: &'static str,
    way: &'static str,
}

/// `{between}` stands for the minor versions that were left out.
const RULES: [Rule; 7] = [
    Rule {
        code: "istio-minor",
        software: "Istio",
        components: &["istio-base", "istiod", "istio-gateway", "mesh-policies"],
        limit: Limit::OneMinor,
        why: "Istio supports an upgrade in place over one minor version only",
        way: "upgrade with a platctl that brings {between}, restarting the workloads with sidecars each time",
    },
    Rule {
        code: "argocd-minor",
        software: "Argo CD",
        components: &["argocd"],
        limit: Limit::OneMinor,
        why: "its upgrade notes lead from one minor version to the next, and it is Argo CD itself that rolls this out",
        way: "upgrade with a platctl that brings {between} first",
    },
    Rule {
        code: "cnpg-major",
        software: "CloudNativePG",
        components: &["cnpg-operator"],
        limit: Limit::SameMajor,
        why: "the operator's API for database clusters may change with its major version",
        way: "back up the databases, read the operator's release notes, then accept it",
    },
    Rule {
        code: "postgres-major",
        software: "PostgreSQL",
        components: &["postgres"],
        limit: Limit::SameMajor,
        why: "one major version cannot read the files of another, so the database is down while they are converted",
        way: "back up the databases and plan the downtime; accepted, CloudNativePG runs pg_upgrade when it sees the new \
              image. Or dump the databases and restore them into a new cluster",
    },
    Rule {
        code: "keycloak-major",
        software: "Keycloak",
        components: &["keycloak"],
        limit: Limit::SameMajor,
        why: "its first start migrates the database, which no older version can use again, and settings may have changed",
        way: "back up the database, read Keycloak's upgrading guide, then accept it",
    },
    Rule {
        code: "loki-major",
        software: "Loki",
        components: &["loki"],
        limit: Limit::SameMajor,
        why: "a new major version may refuse the schema that the logs are stored in",
        way: "read Loki's upgrade guide, take what it asks for into the values, then accept it",
    },
    Rule {
        code: "gitea-major",
        software: "Gitea",
        components: &["gitea"],
        limit: Limit::SameMajor,
        why: "its first start migrates the database of the Git server, and Argo CD follows that server",
        way: "clone the repositories as a backup, read Gitea's release notes, then accept it",
    },
];

/// The codes that `--accept` takes.
pub fn codes() -> impl Iterator<Item = &'static str> + Clone {
    ["downgrade", "component-removed"].into_iter().chain(RULES.iter().map(|rule| rule.code))
}

/// What stands against the step, and what of it cannot be judged. The former is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    pub refusals: Vec<Finding>,
    pub warnings: Vec<Finding>,
}

/// Judges platctl's own versions, from and to, and those of the components.
pub fn judge(from: &str, to: &str, changes: &[Change]) -> Judgement {
    let mut judgement = Judgement::default();
    match compare(from, to) {
        Some(Ordering::Greater) => judgement.refuse(downgrade("platctl", from, to, from)),
        Some(_) => {}
        None => judgement.warnings.push(unknown("platctl", from)),
    }
    for Change { component, from: before, to: after } in changes {
        match (before, after) {
            (Some(before), Some(after)) => judgement.component(component, before, after, from),
            (Some(before), None) => judgement.refuse(removed(component, before)),
            (None, _) => {}
        }
    }
    judgement
}

impl Judgement {
    fn component(&mut self, component: &str, before: &str, after: &str, platctl: &str) {
        let (Some(old), Some(new)) = (Version::parse(before), Version::parse(after)) else {
            self.warnings.push(unknown(component, before));
            return;
        };
        if new < old {
            self.refuse(downgrade(component, before, after, platctl));
            return;
        }
        for rule in RULES.iter().filter(|rule| rule.components.contains(&component)) {
            if let Some(finding) = rule.judge(&old, &new, before, after) {
                self.refuse(finding);
            }
        }
    }

    /// Several components of one software say the same.
    fn refuse(&mut self, finding: Finding) {
        if !self.refusals.contains(&finding) {
            self.refusals.push(finding);
        }
    }
}

impl Rule {
    fn judge(&self, old: &Version, new: &Version, before: &str, after: &str) -> Option<Finding> {
        let same_major = old.major == new.major;
        let is_fine = match self.limit {
            Limit::SameMajor => same_major,
            Limit::OneMinor => same_major && new.minor - old.minor <= 1,
        };
        if is_fine {
            return None;
        }
        let between = if same_major {
            let minors = (old.minor + 1..new.minor).map(|minor| format!("{}.{minor}", old.major));
            minors.collect::<Vec<_>>().join(", then ")
        } else {
            "each minor version between".to_owned()
        };
        let way = self.way.replace("{between}", &between);
        let what = format!("{} {before} → {after} is too far for one step", self.software);
        Some(Finding { code: self.code, what, why: self.why.to_owned(), way })
    }
}

fn downgrade(name: &str, from: &str, to: &str, platctl: &str) -> Finding {
    Finding {
        code: "downgrade",
        what: format!("{name} {from} → {to} goes backwards"),
        why: "data and kinds were migrated forwards, and nothing leads back".to_owned(),
        way: format!("use platctl {platctl} or a newer one"),
    }
}

fn removed(component: &str, version: &str) -> Finding {
    Finding {
        code: "component-removed",
        what: format!("{component} {version} would be removed"),
        why: "with its objects its data may go".to_owned(),
        way: format!("keep it (`--set components.{component}.enabled=true`), or back up what it holds and accept it"),
    }
}

fn unknown(name: &str, version: &str) -> Finding {
    Finding {
        code: "unknown-version",
        what: format!("the installed version of {name} is not known (`{version}`)"),
        why: "no record tells it".to_owned(),
        way: format!("look up which version of {name} runs before you go on: jumps that are too far are not noticed"),
    }
}

/// Whether `version` is newer than `other`; no if either cannot be read.
pub fn is_newer(version: &str, other: &str) -> bool {
    compare(version, other) == Some(Ordering::Greater)
}

fn compare(left: &str, right: &str) -> Option<Ordering> {
    Some(Version::parse(left)?.cmp(&Version::parse(right)?))
}

/// `1.2.3`, `v1.2`, `1.2.3-rc.1`. The order of the fields is that of comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    /// A candidate comes before its release.
    is_release: bool,
    candidate: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (numbers, candidate) = text.split_once('-').unwrap_or((text, ""));
        let numbers: Vec<u64> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        let (&major, rest) = numbers.split_first()?;
        let at = |index: usize| rest.get(index).copied().unwrap_or(0);
        let is_release = candidate.is_empty();
        Some(Self { major, minor: at(0), patch: at(1), is_release, candidate: candidate.to_owned() })
    }
}
