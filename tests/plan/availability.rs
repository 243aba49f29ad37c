//! IAM-1, IAM-2: how many of each there are, and that losing a node or replacing a pod does not take the last one.

use platctl::object::Object;
use serde_json::{Value, json};

use crate::hardening::is_pinned;
use crate::platform::{Platform, Workload, assert_none_in_any, dev, items, platforms, prod, selects};

#[test]
fn replicas() {
    let lines: Vec<String> =
        dev().workloads().iter().filter(|workload| workload.object.kind() != "DaemonSet").map(in_words).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    istiod: 1 in dev, 2 in prod
    istio-gateway: 1 in dev, 2 in prod
    cnpg-controller-manager: 1 in dev, 2 in prod
    grafana: 1 in dev, 1 in prod
    keycloak: 1 in dev, 2 in prod
    loki: 1 in dev, 1 in prod
    argocd-application-controller: 1 in dev, 1 in prod
    argocd-applicationset-controller: 1 in dev, 2 in prod
    argocd-redis: 1 in dev, 1 in prod
    argocd-repo-server: 1 in dev, 2 in prod
    argocd-server: 1 in dev, 2 in prod
    gitea: 1 in dev, none in prod
    ");
}

/// `name: replicas in dev, replicas in prod`.
fn in_words(workload: &Workload) -> String {
    let name = workload.object.name();
    let in_prod = prod().workloads().into_iter().find(|other| other.object.name() == name);
    let in_prod = in_prod.map_or_else(|| "none".to_owned(), |other| other.replicas().to_string());
    format!("{name}: {} in dev, {in_prod} in prod", workload.replicas())
}

#[test]
fn keycloak_has_one_replica_in_development_and_two_in_production() {
    assert_eq!(dev().workload("Deployment", "keycloak").replicas(), 1);
    assert_eq!(prod().workload("Deployment", "keycloak").replicas(), 2);
}

#[test]
fn several_replicas_have_a_budget_and_spread_over_nodes() {
    assert_none_in_any(|platform| {
        let several = platform.workloads().into_iter().filter(|workload| workload.replicas() > 1);
        let lacks = |workload: Workload| {
            let spec = workload.spec;
            let spreads =
                !items(&spec["topologySpreadConstraints"]).is_empty() || !spec["affinity"]["podAntiAffinity"].is_null();
            let id = workload.object.id();
            let no_budget = budgets(platform, &workload).is_empty().then(|| format!("{id} has no PodDisruptionBudget"));
            let no_spread = (!spreads).then(|| format!("{id} may run on one node alone"));
            no_budget.into_iter().chain(no_spread)
        };
        several.flat_map(lacks).collect()
    });
}

fn budgets<'a>(platform: &'a Platform, workload: &Workload) -> Vec<&'a Object> {
    let of_kind = platform.of_kind("PodDisruptionBudget").into_iter();
    of_kind.filter(|budget| is_for(budget, workload)).collect()
}

fn is_for(budget: &Object, workload: &Workload) -> bool {
    budget.namespace() == Some(workload.namespace())
        && selects(&budget.value()["spec"]["selector"]["matchLabels"], workload.labels())
}

/// A budget that never lets a pod go would stop every drain of its node.
#[test]
fn budgets_are_for_pods_of_the_platform_and_let_one_go() {
    assert_none_in_any(|platform| {
        let workloads = platform.workloads();
        let wrong = platform.of_kind("PodDisruptionBudget").into_iter().filter(|budget| {
            let is_used = workloads.iter().any(|workload| is_for(budget, workload));
            !is_used || budget.value()["spec"]["maxUnavailable"] != 1
        });
        wrong.map(|budget| format!("{} is for no pod, or lets none go", budget.id())).collect()
    });
}

#[test]
fn updates_keep_a_ready_pod_unless_a_volume_forbids_two() {
    assert_none_in_any(|platform| {
        let deployments = platform.workloads().into_iter().filter(|workload| workload.object.kind() == "Deployment");
        let wrong = deployments.filter(|workload| {
            let strategy = &workload.object.value()["spec"]["strategy"];
            let has_volume =
                items(&workload.spec["volumes"]).iter().any(|volume| volume.get("persistentVolumeClaim").is_some());
            match strategy["type"].as_str() {
                Some("Recreate") => !has_volume,
                _ => has_volume || strategy["rollingUpdate"]["maxUnavailable"] != 0,
            }
        });
        wrong.map(|workload| format!("{}: its update strategy", workload.object.id())).collect()
    });
}

#[test]
fn three_revisions_are_kept() {
    assert_none_in_any(|platform| {
        let kept = |workload: &Workload| workload.object.number("/spec/revisionHistoryLimit");
        let wrong = platform.workloads().into_iter().filter(|workload| kept(workload) != Some(3));
        wrong.map(|workload| format!("{}: revisionHistoryLimit is not 3", workload.object.id())).collect()
    });
}

#[test]
fn the_database_has_three_instances_that_the_operator_looks_after() {
    for platform in platforms() {
        let cluster = platform.get("Cluster", "iam-system", "postgres");
        let spec = &cluster.value()["spec"];
        assert_eq!(spec["instances"], 3);
        assert_eq!(spec["enablePDB"], true);
        assert_eq!(spec["primaryUpdateStrategy"], "unsupervised");
        assert_eq!(spec["enableSuperuserAccess"], false);
        assert_eq!(spec["affinity"]["enablePodAntiAffinity"], true);
        assert_eq!(spec["seccompProfile"], json!({"type": "RuntimeDefault"}));
        assert!(is_pinned(spec["imageName"].as_str().unwrap()), "{}", spec["imageName"]);
        for list in ["requests", "limits"] {
            let has = |name: &str| spec["resources"][list][name] != Value::Null;
            assert!(has("cpu") && has("memory"), "{list} of the database");
        }
    }
}

/// What platctl waits for beyond the Cluster's own status.
#[test]
fn the_database_is_ready_with_its_credentials() {
    let waits = &dev().component("postgres").waits;
    let names: Vec<String> = waits.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["Secret iam-system/postgres-app", "Secret iam-system/postgres-ca"]);
}

#[test]
fn data_is_known_to_whoever_uninstalls() {
    assert_none_in_any(|platform| {
        let named: Vec<String> = platform
            .plan
            .components()
            .flat_map(|planned| {
                planned.component.data.iter().map(|data| {
                    format!("{} {}", data.namespace.as_ref().unwrap_or(&planned.component.namespace), data.selector)
                })
            })
            .collect();
        let is_named = |namespace: &str, labels: &Value| {
            let pairs = labels.as_object().into_iter().flatten();
            let pairs = pairs.filter_map(|(key, value)| Some(format!("{namespace} {key}={}", value.as_str()?)));
            pairs.into_iter().any(|pair| named.contains(&pair))
        };
        let claims =
            platform.of_kind("PersistentVolumeClaim").into_iter().map(|claim| (claim, &claim.value()["metadata"]));
        let templates = platform.of_kind("StatefulSet").into_iter().flat_map(|set| {
            set.items("/spec/volumeClaimTemplates").iter().map(move |template| (set, &template["metadata"]))
        });
        let unnamed = claims
            .chain(templates)
            .filter(|(object, metadata)| !is_named(object.namespace().unwrap(), &metadata["labels"]));
        unnamed.map(|(object, _)| format!("{}: its claim is no `data` of component.yaml", object.id())).collect()
    });
}
