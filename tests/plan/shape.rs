//! BOOT-1: the waves, what is in them, and what every object has in common. The snapshots in `tests/golden/` list the ids of all objects.

use std::collections::BTreeSet;

use platctl::object::{COMPONENT_LABEL, TRACKING_ANNOTATION};

use crate::platform::{Platform, assert_none_in_any, platforms};

#[test]
fn waves_components_and_objects() {
    for platform in platforms() {
        let waves: Vec<String> = platform.plan.waves.iter().map(wave_in_words).collect();
        insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(platform.name, waves.join("\n"));
        });
    }
}

fn wave_in_words(wave: &platctl::plan::Wave) -> String {
    let mut lines = vec![format!("wave {} {}, at most {} s", wave.number, wave.name, wave.timeout)];
    for planned in &wave.components {
        lines.push(format!("  {}", planned.component.name));
        lines.extend(planned.objects.iter().map(|object| format!("    {}", object.id())));
    }
    lines.join("\n")
}

#[test]
fn waves_come_in_the_order_of_the_platform() {
    for platform in platforms() {
        let waves: Vec<_> = platform.plan.waves.iter().map(|wave| wave.name).collect();
        assert_eq!(waves, ["istio", "gateway", "cnpg", "services", "gitops"]);
        let wave = |name: &str| platform.component(name).wave_name();
        assert_eq!(["istiod", "istio-gateway", "cnpg-operator"].map(wave), ["istio", "gateway", "cnpg"]);
        for service in ["postgres", "keycloak", "loki", "promtail", "grafana"] {
            assert_eq!(wave(service), "services", "{service}");
        }
        assert_eq!(wave("argocd"), "gitops");
    }
}

/// Readiness is waited for between waves, and within one where a component says whom it needs.
#[test]
fn who_needs_another_says_so() {
    let needs = |name: &str| platforms()[0].component(name).needs.clone();
    assert_eq!(needs("keycloak"), ["postgres"]);
    assert_eq!(needs("promtail"), ["loki"]);
    assert_eq!(needs("istiod"), ["namespaces", "istio-base"]);
}

#[test]
fn the_same_profile_gives_the_same_objects() {
    let again = Platform::load("dev", &[]);
    let objects = |platform: &Platform| platform.objects().map(|object| object.value().to_string()).collect::<Vec<_>>();
    assert!(objects(&again) == objects(&platforms()[0]), "two renderings differ");
}

#[test]
fn every_object_and_pod_says_whose_it_is() {
    assert_none_in_any(|platform| {
        let mut violations = Vec::new();
        for (planned, object) in platform.plan.objects() {
            let (id, component) = (object.id(), planned.component.name.as_str());
            if object.component() != Some(component) {
                violations.push(format!("{id}: label {COMPONENT_LABEL} is not {component}"));
            }
            // Argo CD does not track CRDs.
            if object.kind() != "CustomResourceDefinition" && object.annotation(TRACKING_ANNOTATION).is_none() {
                violations.push(format!("{id}: no annotation {TRACKING_ANNOTATION}"));
            }
            if object.label("app.kubernetes.io/managed-by").is_some() {
                violations.push(format!("{id}: managed-by changes with whoever applies it"));
            }
        }
        for workload in platform.workloads() {
            if workload.labels()[COMPONENT_LABEL] != workload.component.name.as_str() {
                violations.push(format!("{}: its pods lack the label {COMPONENT_LABEL}", workload.object.id()));
            }
        }
        violations
    });
}

#[test]
fn every_namespace_is_made_by_the_platform_and_outlives_a_sync() {
    assert_none_in_any(|platform| {
        let made: BTreeSet<&str> = platform.namespaces().into_iter().collect();
        let used = platform.objects().filter_map(|object| object.namespace().map(|namespace| (namespace, object.id())));
        let unknown = used.filter(|(namespace, _)| !made.contains(namespace));
        let unknown = unknown.map(|(namespace, id)| format!("{id}: namespace {namespace} is not made"));
        let kept = |options: Option<&str>| options == Some("Prune=false,Delete=false");
        let namespaces = platform.of_kind("Namespace").into_iter();
        let pruned = namespaces.filter(|object| !kept(object.annotation("argocd.argoproj.io/sync-options")));
        unknown.chain(pruned.map(|object| format!("{} could be pruned", object.id()))).collect()
    });
}

#[test]
fn in_cluster_git_is_for_development() {
    let [dev, prod] = platforms();
    assert!(dev.namespaces().contains(&"gitea") && dev.plan.component("gitea").is_ok());
    assert!(!prod.namespaces().contains(&"gitea") && prod.plan.component("gitea").is_err());
}

/// Injection needs root in `istio-init`, nothing else does.
#[test]
fn pod_security_is_restricted_wherever_nothing_is_injected() {
    assert_none_in_any(|platform| {
        let wrong = platform.of_kind("Namespace").into_iter().filter(|namespace| {
            let is_meshed = crate::platform::MESHED.contains(&namespace.name());
            let expected = if is_meshed { "privileged" } else { "restricted" };
            let reason = namespace.annotation("platctl.dev/pod-security-reason");
            namespace.label("pod-security.kubernetes.io/enforce") != Some(expected)
                || namespace.label("pod-security.kubernetes.io/warn") != Some("restricted")
                || is_meshed != reason.is_some()
        });
        wrong.map(|namespace| format!("{}: level or reason of its Pod Security is wrong", namespace.id())).collect()
    });
}
