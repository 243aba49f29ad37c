//! Which steps between versions are refused and why, and what becomes of the files in Git that people changed.

use std::collections::BTreeMap;

use platctl::plan::merge::{SUMS, Sums, blob_sha, merge, read_sums, write_sums};
use platctl::plan::tree::Tree;
use platctl::plan::upgrade::{Change, changes, codes, is_newer, judge};

use crate::gitops::tree_of;
use crate::platform::{dev, platforms};

fn change(component: &str, from: &str, to: &str) -> Change {
    let version = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Change { component: component.to_owned(), from: version(from), to: version(to) }
}

/// The codes of what is refused, then of what is warned of.
fn codes_of(component: &str, from: &str, to: &str) -> Vec<&'static str> {
    let judgement = judge("0.1.0", "0.2.0", &[change(component, from, to)]);
    judgement.refusals.iter().chain(&judgement.warnings).map(|finding| finding.code).collect()
}

#[test]
fn steps_of_components() {
    for (component, from, to, expected) in [
        ("istiod", "1.30.2", "1.31.4", ""),
        ("istiod", "1.31.1", "1.31.4", ""),
        ("istiod", "1.29.9", "1.31.0", "istio-minor"),
        ("istio-gateway", "1.31.4", "2.0.0", "istio-minor"),
        ("mesh-policies", "1.28.0", "1.31.4", "istio-minor"),
        ("argocd", "v3.4.9", "v3.5.7", ""),
        ("argocd", "v3.3.0", "v3.5.7", "argocd-minor"),
        ("argocd", "v2.14.0", "v3.0.0", "argocd-minor"),
        ("cnpg-operator", "1.26.0", "1.30.1", ""),
        ("cnpg-operator", "1.30.1", "2.0.0", "cnpg-major"),
        ("postgres", "18.2", "18.6", ""),
        ("postgres", "17.9", "18.6", "postgres-major"),
        ("keycloak", "26.0.1", "26.8.1", ""),
        ("keycloak", "25.0.6", "26.8.1", "keycloak-major"),
        ("loki", "2.9.1", "3.7.8", "loki-major"),
        ("gitea", "1.22.0", "1.27.3", ""),
        ("grafana", "12.0.0", "13.2.3", ""),
        ("grafana", "13.2.3", "13.2.2", "downgrade"),
        ("argocd", "v3.5.7", "v3.5.7-rc.1", "downgrade"),
        ("postgres", "18.10", "18.6", "downgrade"),
        ("keycloak", "26.8.1", "", "component-removed"),
        ("keycloak", "", "26.8.1", ""),
        ("keycloak", "unknown", "26.8.1", "unknown-version"),
        ("keycloak", "nightly", "26.8.1", "unknown-version"),
    ] {
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(codes_of(component, from, to), expected, "{component} {from} → {to}");
    }
}

#[test]
fn steps_of_platctl() {
    let codes = |from: &str, to: &str| {
        let judgement = judge(from, to, &[]);
        (judgement.refusals.len(), judgement.warnings.len())
    };
    assert_eq!(codes("0.1.0", "0.1.0"), (0, 0));
    assert_eq!(codes("0.1.0", "2.0.0"), (0, 0));
    assert_eq!(codes("0.2.0", "0.1.9"), (1, 0));
    assert_eq!(codes("", "0.1.0"), (0, 1));
    assert!(is_newer("0.10.0", "0.9.9") && is_newer("1.0.0", "1.0.0-rc.2") && is_newer("1.0.0-rc.2", "1.0.0-rc.1"));
    assert!(!is_newer("0.9.9", "0.9.9") && !is_newer("0.2.0", "nonsense"));
}

#[test]
fn a_refusal_says_what_why_and_which_way() {
    let names = ["istio-base", "istiod", "istio-gateway"];
    let judgement = judge("0.1.0", "0.2.0", &names.map(|name| change(name, "1.28.3", "1.31.4")));
    let [refusal] = &judgement.refusals[..] else { panic!("{judgement:#?}") };
    insta::assert_debug_snapshot!(refusal, @r#"
    Finding {
        code: "istio-minor",
        what: "Istio 1.28.3 → 1.31.4 is too far for one step",
        why: "Istio supports an upgrade in place over one minor version only",
        way: "upgrade with a platctl that brings 1.29, then 1.30, restarting the workloads with sidecars each time",
    }
    "#);
}

/// Every rule is about a component that there is, or it would never hold.
#[test]
fn each_rule_is_met() {
    let mut met: Vec<&str> = Vec::new();
    for component in dev().plan.versions().keys() {
        for (from, to) in [("1.0.0", "9.0.0"), ("1.0.0", "0.9.0"), ("1.0.0", "")] {
            met.extend(codes_of(component, from, to));
        }
    }
    for code in codes() {
        assert!(met.contains(&code), "{code}");
    }
}

#[test]
fn only_what_differs_is_a_change() {
    let versions = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    };
    let installed = versions(&[("a", "1"), ("b", "1"), ("c", "1")]);
    let wanted = versions(&[("a", "1"), ("b", "2"), ("d", "1")]);
    assert_eq!(changes(&installed, &wanted), [change("b", "1", "2"), change("c", "1", ""), change("d", "", "1")]);
}

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn sums(files: &[(&str, &str)]) -> Sums {
    files.iter().map(|(path, text)| ((*path).to_owned(), blob_sha(text.as_bytes()))).collect()
}

#[test]
fn every_case_of_a_file() {
    let base = [("same", "1"), ("new", "1"), ("gone", "1"), ("theirs", "1"), ("both", "1"), ("alike", "1")];
    let base =
        [&base[..], &[("gone-both", "1"), ("gone-theirs", "1"), ("removed", "1"), ("removed-new", "1")]].concat();
    let there = [("same", "1"), ("new", "1"), ("gone", "1"), ("theirs", "x"), ("both", "x"), ("alike", "2")];
    let there = [&there[..], &[("gone-theirs", "x"), ("added", "x"), ("beside", "x")]].concat();
    let new = [("same", "1"), ("new", "2"), ("theirs", "1"), ("both", "2"), ("alike", "2"), ("fresh", "1")];
    let new = [&new[..], &[("removed", "1"), ("removed-new", "2"), ("added", "1")]].concat();
    let mut merged = merge(&tree(&new), &sums(&base), &sums(&there));
    let paths = |steps: &[platctl::plan::merge::Step]| steps.iter().map(|step| step.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&merged.steps), ["fresh", "gone", "new"]);
    assert_eq!(paths(&merged.conflicts), ["added", "both", "gone-theirs", "removed-new"]);
    assert_eq!(merged.kept, ["removed", "theirs"]);
    let gone = merged.steps.iter().find(|step| step.path == "gone").unwrap();
    assert_eq!((&gone.content, &gone.had), (&None, &Some(blob_sha(b"1"))));
    merged.overwrite();
    assert_eq!(paths(&merged.steps), ["added", "both", "fresh", "gone", "gone-theirs", "new", "removed-new"]);
    assert!(merged.conflicts.is_empty());
}

/// After an upgrade that left a changed file alone, the next one still knows that people changed it.
#[test]
fn a_kept_file_is_not_forgotten() {
    let first = tree(&[("values", "ours"), ("chart", "1")]);
    let second = tree(&[("values", "ours"), ("chart", "2")]);
    let third = tree(&[("values", "ours, newer"), ("chart", "2")]);
    let there = sums(&[("values", "theirs"), ("chart", "1")]);
    let merged = merge(&second, &read_sums(&write_sums(&first)), &there);
    assert_eq!((merged.kept, merged.conflicts.len()), (vec!["values".to_owned()], 0));
    let there = sums(&[("values", "theirs"), ("chart", "2")]);
    assert_eq!(merge(&third, &read_sums(&write_sums(&second)), &there).conflicts[0].path, "values");
}

#[test]
fn every_tree_knows_what_it_holds() {
    assert_eq!(blob_sha(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    for platform in platforms() {
        let mut whole = tree_of(platform);
        let text = String::from_utf8(whole.remove(SUMS).unwrap()).unwrap();
        let expected: Sums = whole.iter().map(|(path, content)| (path.clone(), blob_sha(content))).collect();
        assert_eq!(read_sums(&text), expected, "{}", platform.name);
    }
}

/// The file comes from a repository, and what it names may be removed.
#[test]
fn no_path_leads_out_of_the_tree() {
    let read = read_sums("# comment\nabc  charts/a\nabc  ../b\nabc  /c\nabc  charts/../../d\nnonsense\n");
    assert_eq!(read.into_keys().collect::<Vec<_>>(), ["charts/a"]);
}
