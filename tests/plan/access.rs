//! SEC-3: a service account for each workload, and rights that name what they are for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::platform::{Platform, assert_none_in_any, items, texts};

/// Verbs by which one gains rights that one was not given.
const SPECIAL_VERBS: [&str; 3] = ["escalate", "bind", "impersonate"];

/// Roles that give more than what they name: component, object, problem.
pub(crate) fn findings(platform: &Platform) -> Vec<(&str, String, String)> {
    let mut found = Vec::new();
    for (planned, object) in platform.plan.objects().filter(|(_, object)| object.kind().ends_with("Role")) {
        let problems: Vec<String> = items(&object.value()["rules"]).iter().filter_map(too_wide).collect();
        if !problems.is_empty() {
            let name = format!("{}/{}", object.kind(), object.name());
            found.push((planned.component.name.as_str(), name, problems.join("; ")));
        }
    }
    found
}

fn too_wide(rule: &Value) -> Option<String> {
    let (groups, verbs) = (texts(&rule["apiGroups"]), texts(&rule["verbs"]));
    let special: Vec<_> = verbs.iter().filter(|verb| SPECIAL_VERBS.contains(verb)).copied().collect();
    if groups.contains(&"*") || verbs.contains(&"*") {
        return Some(format!("gives {} in {}", verbs.join(", "), groups.join(", ")));
    }
    (!special.is_empty()).then(|| format!("gives {}", special.join(", ")))
}

#[test]
fn each_workload_has_a_service_account_of_its_own() {
    assert_none_in_any(|platform| {
        let mut users: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for workload in platform.workloads() {
            users.entry((workload.namespace(), workload.account())).or_default().push(workload.object.id().to_string());
        }
        let wrong = |((namespace, account), users): ((&str, &str), Vec<String>)| {
            if platform.find("ServiceAccount", namespace, account).is_none() {
                return Some(format!("{}: ServiceAccount {namespace}/{account} is not made", users[0]));
            }
            (users.len() > 1).then(|| format!("{} share {namespace}/{account}", users.join(", ")))
        };
        users.into_iter().filter_map(wrong).collect()
    });
}

/// A token for whoever asks for none is the commonest way to lose one.
#[test]
fn service_accounts_hand_out_no_token_by_themselves() {
    assert_none_in_any(|platform| {
        let accounts = platform.of_kind("ServiceAccount").into_iter();
        let open = accounts.filter(|account| account.value()["automountServiceAccountToken"] != false);
        open.map(|account| format!("{}: automountServiceAccountToken is not false", account.id())).collect()
    });
}

#[test]
fn only_who_has_rights_gets_a_token() {
    assert_none_in_any(|platform| {
        let bindings: Vec<_> =
            ["RoleBinding", "ClusterRoleBinding"].iter().flat_map(|kind| platform.of_kind(kind)).collect();
        let is_bound = |namespace: &str, account: &str| {
            bindings.iter().flat_map(|binding| binding.items("/subjects")).any(|subject| {
                subject["kind"] == "ServiceAccount" && subject["namespace"] == namespace && subject["name"] == account
            })
        };
        let workloads = platform.workloads().into_iter();
        let idle = workloads.filter(|workload| {
            workload.spec["automountServiceAccountToken"] == true && !is_bound(workload.namespace(), workload.account())
        });
        idle.map(|workload| format!("{} mounts a token that opens nothing", workload.object.id())).collect()
    });
}

#[test]
fn bindings_name_roles_and_accounts_of_the_platform() {
    assert_none_in_any(|platform| {
        let mut violations = Vec::new();
        for binding in ["RoleBinding", "ClusterRoleBinding"].iter().flat_map(|kind| platform.of_kind(kind)) {
            let (kind, name) = (binding.text("/roleRef/kind").unwrap(), binding.text("/roleRef/name").unwrap());
            let namespace = if kind == "Role" { binding.namespace().unwrap_or_default() } else { "" };
            if platform.find(kind, namespace, name).is_none() {
                violations.push(format!("{}: {kind} {name} is not made by the platform", binding.id()));
            }
            for subject in binding.items("/subjects") {
                let text = |key: &str| subject[key].as_str().unwrap_or_default();
                if text("kind") != "ServiceAccount"
                    || platform.find("ServiceAccount", text("namespace"), text("name")).is_none()
                {
                    violations.push(format!("{}: subject {subject} is not made by the platform", binding.id()));
                }
            }
        }
        violations
    });
}
