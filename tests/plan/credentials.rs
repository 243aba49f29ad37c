//! SEC-2: no credential in a chart, in an object or in the tree; and every Secret that a pod asks for is one that somebody makes.

use std::collections::BTreeSet;

use platctl::object::Object;
use platctl::plan::catalog::Component;
use regex::Regex;
use serde_json::Value;

use crate::gitops::tree_of;
use crate::platform::{Platform, assert_none, assert_none_in_any, items, platforms};

/// Made by an operator, not by platctl.
const BY_OPERATORS: [&str; 3] = ["iam-system/postgres-app", "iam-system/postgres-ca", "cnpg-system/cnpg-webhook-cert"];
/// Used if somebody supplies it, and marked as optional.
const IF_SUPPLIED: [&str; 1] = ["istio-system/cacerts"];

#[test]
fn charts_make_no_secret() {
    assert_none_in_any(|platform| {
        platform.of_kind("Secret").into_iter().map(|secret| secret.id().to_string()).collect()
    });
}

#[test]
fn no_object_holds_what_looks_like_a_credential() {
    let credential = crate::credential::pattern();
    assert_none_in_any(|platform| {
        let mut found = Vec::new();
        // Definitions describe fields for credentials; they hold none.
        for object in platform.objects().filter(|object| object.kind() != "CustomResourceDefinition") {
            each_text(object.value(), "", &mut |path, text| {
                let pairs = text.lines().map(|line| format!("{}: {line}", path.rsplit('.').next().unwrap()));
                let suspect = text.lines().map(str::to_owned).chain(pairs).any(|line| credential.is_match(&line));
                if suspect {
                    found.push(format!("{}: {path}", object.id()));
                }
            });
        }
        found
    });
}

/// Calls with each text in a value, and its path.
fn each_text(value: &Value, path: &str, call: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => call(path, text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, path, call)),
        Value::Object(map) => map.iter().for_each(|(key, inner)| each_text(inner, &format!("{path}.{key}"), call)),
        _ => {}
    }
}

#[test]
fn no_variable_of_a_container_holds_a_literal_credential() {
    let promises = Regex::new(r"PASSWORD|PASSWD|SECRET_KEY|TOKEN$|_SECRET$|AUTH$").unwrap();
    assert_none_in_any(|platform| {
        let mut found = Vec::new();
        for workload in platform.workloads() {
            for variable in workload.containers().flat_map(|container| items(&container["env"])) {
                let (name, value) =
                    (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or_default());
                // `$(NAME)` is another variable of the same container.
                if promises.is_match(name) && !value.is_empty() && !value.starts_with("$(") {
                    found.push(format!("{}: {name}", workload.object.id()));
                }
            }
        }
        found
    });
}

#[test]
fn the_tree_holds_no_credential() {
    let credential = crate::credential::pattern();
    let mut found = Vec::new();
    for platform in platforms() {
        for (path, content) in tree_of(platform).iter().filter(|(path, _)| !path.contains("/crds/")) {
            let text = String::from_utf8_lossy(content);
            let lines = text.lines().enumerate().filter(|(_, line)| credential.is_match(line));
            found.extend(lines.map(|(index, line)| format!("{}: {path}:{}: {line}", platform.name, index + 1)));
        }
    }
    assert_none(found);
}

/// Every Secret that a pod, a Gateway or a Cluster names: `namespace/name`, and the key where one is named.
fn references(platform: &Platform) -> BTreeSet<(String, Option<String>)> {
    let mut found = BTreeSet::new();
    for workload in platform.workloads() {
        collect(workload.spec, workload.namespace(), &mut found);
    }
    for gateway in platform.of_kind("Gateway") {
        let names = gateway.items("/spec/servers").iter().filter_map(|server| server["tls"]["credentialName"].as_str());
        found.extend(names.map(|name| (format!("istio-ingress/{name}"), None)));
    }
    found
}

fn collect(value: &Value, namespace: &str, found: &mut BTreeSet<(String, Option<String>)>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let (name, key) = match key.as_str() {
                    "secretKeyRef" => (&inner["name"], inner["key"].as_str()),
                    // The one in a volume, the other in a projection or in `envFrom`.
                    "secret" if inner.get("secretName").is_some() => (&inner["secretName"], None),
                    "secret" | "secretRef" => (&inner["name"], None),
                    _ => {
                        collect(inner, namespace, found);
                        continue;
                    }
                };
                found.extend(name.as_str().map(|name| (format!("{namespace}/{name}"), key.map(str::to_owned))));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, namespace, found)),
        _ => {}
    }
}

#[test]
fn every_secret_that_is_asked_for_is_made_by_somebody() {
    assert_none_in_any(|platform| {
        let mut violations = Vec::new();
        for (secret, key) in references(platform) {
            if BY_OPERATORS.contains(&secret.as_str()) || IF_SUPPLIED.contains(&secret.as_str()) {
                continue;
            }
            match (declared(platform, &secret), key) {
                (None, _) => violations.push(format!("Secret {secret} is in no component.yaml")),
                (Some(keys), Some(key)) if !keys.contains(&key) => {
                    violations.push(format!("Secret {secret} has no key {key}"));
                }
                _ => {}
            }
        }
        violations
    });
}

/// The keys of a Secret that a `component.yaml` declares.
fn declared(platform: &Platform, wanted: &str) -> Option<Vec<String>> {
    let of = |component: &Component| {
        let named = component
            .secrets
            .iter()
            .find(|secret| format!("{}/{}", component.secret_namespace(secret), secret.name) == wanted)?;
        Some(named.keys.keys().cloned().collect())
    };
    platform.plan.components().find_map(|planned| of(&planned.component))
}

#[test]
fn no_secret_is_declared_for_nobody() {
    assert_none_in_any(|platform| {
        let used: BTreeSet<String> = references(platform).into_iter().map(|(secret, _)| secret).collect();
        let for_people: Vec<&String> = platform
            .plan
            .components()
            .flat_map(|planned| &planned.component.routes)
            .filter_map(|route| route.credentials.as_ref())
            .collect();
        let mut violations = Vec::new();
        for planned in platform.plan.components() {
            for secret in &planned.component.secrets {
                let name = format!("{}/{}", planned.component.secret_namespace(secret), secret.name);
                // Argo CD finds its own by its name.
                let is_argo_cds = secret.name == "argocd-secret";
                if !used.contains(&name) && !for_people.contains(&&secret.name) && !is_argo_cds {
                    violations.push(format!("nobody asks for Secret {name}"));
                }
            }
        }
        violations
    });
}

#[test]
fn in_production_every_secret_comes_from_outside() {
    let [dev, prod] = platforms();
    assert!(dev.plan.supplied_secrets().is_empty());
    let declared = prod.plan.components().map(|planned| planned.component.secrets.len()).sum::<usize>();
    assert_eq!(prod.plan.supplied_secrets().len(), declared);
}

#[test]
fn optional_secrets_are_marked_so() {
    assert_none_in_any(|platform| {
        let is_lax = |volume: &&Value| {
            let name = volume["secret"]["secretName"].as_str().unwrap_or_default();
            ["cacerts", "cnpg-webhook-cert"].contains(&name) && volume["secret"]["optional"] != true
        };
        let of = |object: &Object, spec: &Value| {
            let strict = items(&spec["volumes"]).iter().filter(is_lax);
            strict.map(|volume| format!("{}: {}", object.id(), volume["name"])).collect::<Vec<_>>()
        };
        platform.workloads().iter().flat_map(|workload| of(workload.object, workload.spec)).collect()
    });
}
