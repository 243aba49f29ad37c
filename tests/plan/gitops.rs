//! GIT-1 to GIT-3, SEC-6: what Argo CD is told, and the tree that it follows.

use std::collections::BTreeSet;

use platctl::embedded;
use platctl::object::Object;
use platctl::plan::applicationset;
use platctl::plan::render::merge_values;
use platctl::plan::schema::Schemas;
use platctl::plan::tree::{Tree, tree};
use serde_json::{Value, json};

use crate::platform::{Platform, REPOSITORY, assert_none_in_any, dev, platforms, prod};

pub(crate) fn tree_of(platform: &Platform) -> Tree {
    tree(&platform.plan.profile, &embedded::catalog().unwrap(), &embedded::charts())
}

fn handoff(platform: &Platform) -> Vec<Object> {
    let plan = &platform.plan;
    applicationset::objects(&plan.profile, plan.known.iter().map(String::as_str))
}

fn application_set(platform: &Platform) -> Object {
    handoff(platform).into_iter().find(|object| object.kind() == "ApplicationSet").unwrap()
}

#[test]
fn the_application_set_discovers_every_chart() {
    for platform in platforms() {
        let set = application_set(platform);
        let generator = &set.value()["spec"]["generators"][0]["git"];
        assert_eq!(generator["files"], json!([{"path": "charts/*/component.yaml"}]));
        assert_eq!(generator["repoURL"], applicationset::repository_url(&platform.plan.profile));
        assert_eq!(generator["revision"], "main");
    }
}

#[test]
fn syncing_is_automatic_prunes_heals_and_tries_five_times() {
    for platform in platforms() {
        let policy = application_set(platform).value()["spec"]["template"]["spec"]["syncPolicy"].clone();
        assert_eq!(policy["automated"], json!({"prune": true, "selfHeal": true}));
        assert_eq!(policy["retry"]["limit"], 5);
        let options = policy["syncOptions"].as_array().unwrap();
        assert!(options.contains(&json!("ServerSideApply=true")), "as platctl applied it");
        let metadata = application_set(platform).value()["spec"]["template"]["metadata"].clone();
        let compared = &metadata["annotations"]["argocd.argoproj.io/compare-options"];
        assert_eq!(
            compared, "IncludeMutationWebhook=true",
            "a field that goes in Git and has a default is seen to differ"
        );
    }
}

#[test]
fn losing_the_application_set_does_not_take_the_platform_with_it() {
    for platform in platforms() {
        let spec = application_set(platform).value()["spec"].clone();
        assert_eq!(spec["syncPolicy"]["preserveResourcesOnDeletion"], true);
        assert!(spec["template"]["metadata"]["finalizers"].is_null(), "an Application takes nothing with it either");
        // What people added goes with its directory: only those that are not ours get the finalizer.
        let patch = spec["templatePatch"].as_str().unwrap();
        let own: Vec<String> = platform.plan.known.iter().map(|name| format!("\"{name}\"")).collect();
        let all_but_own = format!("if not (has .name (list {}))", own.join(" "));
        assert!(patch.contains(&all_but_own) && patch.contains("resources-finalizer.argocd.argoproj.io"), "{patch}");
    }
}

#[test]
fn argo_cd_accepts_the_objects_of_the_handoff() {
    assert_none_in_any(|platform| {
        let schemas = Schemas::of(platform.objects());
        handoff(platform).iter().flat_map(|object| schemas.findings(object)).collect()
    });
}

#[test]
fn the_repository_is_the_profiles() {
    let url = |platform: &Platform| applicationset::repository_url(&platform.plan.profile);
    assert_eq!(url(prod()), REPOSITORY);
    assert_eq!(url(dev()), "http://gitea-http.gitea.svc.cluster.local:3000/platctl/platform.git");
    let port = dev().get("Service", "gitea", "gitea-http").items("/spec/ports")[0]["port"].clone();
    assert_eq!(port, 3000);
}

/// What only Argo CD's configuration could not know: the fields that others fill in.
#[test]
fn fields_of_other_writers_are_ignored() {
    let ignored = application_set(dev()).value()["spec"]["template"]["spec"]["ignoreDifferences"].to_string();
    for field in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "caBundle", "failurePolicy"] {
        assert!(ignored.contains(field), "{field}");
    }
    assert_none_in_any(|platform| {
        let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
        let all = kinds.iter().flat_map(|kind| platform.of_kind(kind));
        let written = all.filter(|object| object.value().to_string().contains("caBundle"));
        written.map(|object| format!("{} writes the caBundle", object.id())).collect()
    });
}

/// A number of replicas and an autoscaler would fight over it.
#[test]
fn nobody_writes_what_an_autoscaler_writes() {
    let scaled = Platform::load("dev", &["istio-gateway.autoscaling.enabled=true".to_owned()]);
    assert_eq!(scaled.of_kind("HorizontalPodAutoscaler").len(), 1);
    assert_eq!(scaled.get("Deployment", "istio-ingress", "istio-gateway").number("/spec/replicas"), None);
}

#[test]
fn the_tree_holds_the_enabled_charts_and_their_values() {
    for platform in platforms() {
        let tree = tree_of(platform);
        let folders: BTreeSet<&str> =
            tree.keys().filter_map(|path| path.strip_prefix("charts/")?.split('/').next()).collect();
        let enabled: BTreeSet<&str> =
            platform.plan.components().map(|planned| planned.component.name.as_str()).collect();
        assert_eq!(folders, enabled, "{}", platform.name);
        for name in enabled {
            for path in ["component.yaml", "Chart.yaml", "values.yaml"] {
                assert!(tree.contains_key(&format!("charts/{name}/{path}")), "{name}: {path}");
            }
            assert!(tree.contains_key(&format!("values/{name}.yaml")), "{name}: values");
        }
        assert!(tree.contains_key("README.md") && tree.contains_key("bootstrap.yaml"));
    }
}

/// Argo CD renders the tree's charts with the tree's values: that must be what platctl rendered.
#[test]
fn the_trees_values_are_the_plans() {
    for platform in platforms() {
        let tree = tree_of(platform);
        for planned in platform.plan.components() {
            let name = &planned.component.name;
            let read = |path: String| serde_saphyr::from_slice::<Value>(&tree[&path]).unwrap();
            let mut merged = read(format!("charts/{name}/values.yaml"));
            merge_values(&mut merged, &read(format!("values/{name}.yaml")));
            let mut planned = read(format!("charts/{name}/values.yaml"));
            merge_values(&mut planned, &platform.plan.profile.values(name));
            assert_eq!(merged, planned, "{}: {name}", platform.name);
        }
    }
}

#[test]
fn bootstrap_holds_the_objects_of_the_handoff() {
    let text = tree_of(prod())["bootstrap.yaml"].clone();
    let text = String::from_utf8(text).unwrap();
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(kinds, ["AppProject", "ApplicationSet"]);
    assert!(text.contains(REPOSITORY));
}

/// Git outside the cluster must be within reach, Git inside need not be.
#[test]
fn the_repo_server_reaches_the_repository_and_no_other_place() {
    let outside = |platform: &Platform| {
        platform.get("NetworkPolicy", "argocd", "argocd-repo-server").value().to_string().contains("ipBlock")
    };
    assert!(outside(prod()), "in production Git is outside");
    assert!(!outside(dev()), "in development it is not");
    // What `--repo-url` says on top of `dev`.
    let elsewhere = ["repository.mode=external", "components.gitea.enabled=false"].map(str::to_owned);
    let elsewhere = [&elsewhere[..], &[format!("repository.url={REPOSITORY}")]].concat();
    assert!(outside(&Platform::load("dev", &elsewhere)), "with a repository of one's own it is");
}
