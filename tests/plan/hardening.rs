//! SEC-3 to SEC-6, for every container of every pod, init containers and the injected ones included. An exception counts only if the
//! chart's `component.yaml` lists it with its reason, and one that is listed without need is a violation too.

use serde_json::{Value, json};

use crate::injected;
use crate::platform::{Platform, Workload, assert_none_in_any, items, texts};

/// Says what is wrong with a container of a pod, if anything is.
type ContainerRule = fn(&Value, &Value) -> Option<String>;
/// Says what is wrong with a pod.
type PodRule = fn(&Value) -> Option<String>;

const CONTAINER_RULES: [(&str, ContainerRule); 7] = [
    ("runAsNonRoot", run_as_non_root),
    ("readOnlyRootFilesystem", read_only_root_filesystem),
    ("capabilities", capabilities),
    ("allowPrivilegeEscalation", allow_privilege_escalation),
    ("seccompProfile", seccomp_profile),
    ("resources", resources),
    ("image", image),
];
const POD_RULES: [(&str, PodRule); 4] = [
    ("automountServiceAccountToken", automount_service_account_token),
    ("serviceAccountName", service_account_name),
    ("hostPath", host_path),
    ("hostNamespaces", host_namespaces),
];

/// A setting of the container, else of its pod.
fn effective<'a>(pod: &'a Value, container: &'a Value, field: &str) -> &'a Value {
    match &container["securityContext"][field] {
        Value::Null => &pod["securityContext"][field],
        own => own,
    }
}

fn run_as_non_root(pod: &Value, container: &Value) -> Option<String> {
    let is_root = effective(pod, container, "runAsUser") == 0;
    (is_root || effective(pod, container, "runAsNonRoot") != true).then(|| "may run as root".to_owned())
}

fn read_only_root_filesystem(_: &Value, container: &Value) -> Option<String> {
    let is_read_only = container["securityContext"]["readOnlyRootFilesystem"] == true;
    (!is_read_only).then(|| "may write to its image's files".to_owned())
}

fn capabilities(_: &Value, container: &Value) -> Option<String> {
    let capabilities = &container["securityContext"]["capabilities"];
    let (added, dropped) = (texts(&capabilities["add"]), texts(&capabilities["drop"]));
    if !dropped.contains(&"ALL") {
        return Some("does not drop ALL".to_owned());
    }
    (!added.is_empty()).then(|| format!("adds {}", added.join(", ")))
}

fn allow_privilege_escalation(_: &Value, container: &Value) -> Option<String> {
    let context = &container["securityContext"];
    let may_gain = context["allowPrivilegeEscalation"] != false || context["privileged"] == true;
    may_gain.then(|| "may gain privileges".to_owned())
}

fn seccomp_profile(pod: &Value, container: &Value) -> Option<String> {
    let profile = effective(pod, container, "seccompProfile")["type"].as_str().unwrap_or("none");
    (!["RuntimeDefault", "Localhost"].contains(&profile)).then(|| format!("is {profile}"))
}

fn resources(_: &Value, container: &Value) -> Option<String> {
    let stated = ["requests", "limits"].into_iter().flat_map(|list| [(list, "cpu"), (list, "memory")]);
    let is_missing = |(list, name): &(&str, &str)| container["resources"][*list][*name].is_null();
    let missing: Vec<_> = stated.filter(is_missing).map(|(list, name)| format!("{list}.{name}")).collect();
    (!missing.is_empty()).then(|| format!("without {}", missing.join(", ")))
}

/// A tag that names a version, or a digest.
fn image(_: &Value, container: &Value) -> Option<String> {
    let image = container["image"].as_str().unwrap_or_default();
    (!is_pinned(image)).then(|| format!("`{image}` is not pinned"))
}

pub(crate) fn is_pinned(image: &str) -> bool {
    let Some((repository, name)) = image.rsplit_once('/') else { return false };
    let has_registry = repository.split('/').next().is_some_and(|registry| registry.contains('.'));
    let is_versioned = match name.split_once(':') {
        Some((_, tag)) => tag != "latest" && tag.contains(|letter: char| letter.is_ascii_digit()),
        None => name.contains("@sha256:"),
    };
    has_registry && is_versioned
}

fn automount_service_account_token(pod: &Value) -> Option<String> {
    pod["automountServiceAccountToken"].is_null().then(|| "is left to the default".to_owned())
}

fn service_account_name(pod: &Value) -> Option<String> {
    let name = pod["serviceAccountName"].as_str().unwrap_or("default");
    (name == "default").then(|| "has none of its own".to_owned())
}

fn host_path(pod: &Value) -> Option<String> {
    let paths = items(&pod["volumes"]).iter().filter_map(|volume| volume["hostPath"]["path"].as_str());
    let paths: Vec<_> = paths.collect();
    (!paths.is_empty()).then(|| format!("sees {} of the node", paths.join(", ")))
}

fn host_namespaces(pod: &Value) -> Option<String> {
    let shared: Vec<_> = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|own| pod[*own] == true).collect();
    (!shared.is_empty()).then(|| format!("shares {}", shared.join(", ")))
}

/// What a rule found, in the terms of an exception in `component.yaml`.
struct Finding {
    object: String,
    container: String,
    rule: &'static str,
    problem: String,
}

impl Finding {
    fn in_words(&self) -> String {
        let container = if self.container.is_empty() { "the pod" } else { &self.container };
        format!("{}, {container}: {} {}", self.object, self.rule, self.problem)
    }
}

/// Everything that the rules find, exceptions not considered.
fn findings(object: &str, pod: &Value, is_injected: bool) -> Vec<Finding> {
    let finding = |container: &str, rule, problem| Finding {
        object: object.to_owned(),
        container: container.to_owned(),
        rule,
        problem,
    };
    let mut found = Vec::new();
    for container in ["initContainers", "containers"].into_iter().flat_map(|list| items(&pod[list])) {
        let name = container["name"].as_str().unwrap_or_default();
        for (rule, judge) in CONTAINER_RULES {
            // The injector puts its own image in its place; that one is judged with the injected containers.
            let is_filled_in = rule == "image" && container["image"] == "auto";
            found.extend(judge(pod, container).filter(|_| !is_filled_in).map(|problem| finding(name, rule, problem)));
        }
    }
    for (rule, judge) in POD_RULES.iter().filter(|_| !is_injected) {
        found.extend(judge(pod).map(|problem| finding("", rule, problem)));
    }
    found
}

/// What is wrong with the pods of platctl's own, which no chart brings.
pub(crate) fn violations(object: &str, pod: &Value) -> Vec<String> {
    findings(object, pod, false).iter().map(Finding::in_words).collect()
}

fn all_findings(platform: &Platform) -> Vec<(&str, Finding)> {
    let mut found = Vec::new();
    for workload in platform.workloads() {
        let object = format!("{}/{}", workload.object.kind(), workload.object.name());
        let findings = findings(&object, workload.spec, false);
        found.extend(findings.into_iter().map(|finding| (workload.component.name.as_str(), finding)));
    }
    let injected = json!({"initContainers": injected::containers(platform)});
    let findings = findings(injected::OBJECT, &injected, true);
    found.extend(findings.into_iter().map(|finding| ("istiod", finding)));
    found.extend(crate::access::findings(platform).into_iter().map(|(component, object, problem)| {
        let finding = Finding { object, container: String::new(), rule: "leastPrivilege", problem };
        (component, finding)
    }));
    found
}

#[test]
fn every_rule_holds_but_for_the_listed_exceptions() {
    assert_none_in_any(|platform| {
        let is_listed = |component: &str, finding: &Finding| {
            platform.component(component).exceptions.iter().any(|exception| {
                exception.object == finding.object
                    && exception.container == finding.container
                    && exception.rule == finding.rule
            })
        };
        let found = all_findings(platform);
        let violations = found.iter().filter(|(component, finding)| !is_listed(component, finding));
        violations.map(|(component, finding)| format!("chart {component}: {}", finding.in_words())).collect()
    });
}

#[test]
fn every_listed_exception_is_needed_and_has_a_reason() {
    assert_none_in_any(|platform| {
        let found = all_findings(platform);
        let mut violations = Vec::new();
        for planned in platform.plan.components() {
            for exception in &planned.component.exceptions {
                let excused = found.iter().any(|(component, finding)| {
                    *component == planned.component.name
                        && exception.object == finding.object
                        && exception.container == finding.container
                        && exception.rule == finding.rule
                });
                if !excused || exception.reason.trim().is_empty() {
                    let (object, rule) = (&exception.object, &exception.rule);
                    violations.push(format!(
                        "chart {}: exception {rule} of {object} `{}` excuses nothing, or says not why",
                        planned.component.name, exception.container
                    ));
                }
            }
        }
        violations
    });
}

#[test]
fn every_running_container_says_when_it_is_ready() {
    assert_none_in_any(|platform| {
        let of = |workload: Workload<'_>| {
            let silent = items(&workload.spec["containers"]).iter().filter(|one| one["readinessProbe"].is_null());
            silent
                .map(|one| format!("{}, {}: no readinessProbe", workload.object.id(), one["name"]))
                .collect::<Vec<_>>()
        };
        platform.workloads().into_iter().filter(|workload| workload.object.kind() != "Job").flat_map(of).collect()
    });
}

#[test]
fn pinned_means_registry_and_version() {
    for (image, expected) in [
        ("quay.io/keycloak/keycloak:26.8.1", true),
        ("registry.local:5000/grafana/loki:3.7.8", true),
        ("docker.io/library/redis@sha256:0123", true),
        ("docker.io/library/redis:latest", false),
        ("docker.io/library/redis:alpine", false),
        ("docker.io/library/redis", false),
        ("grafana/loki:3.7.8", false),
        ("redis:8", false),
        ("", false),
    ] {
        assert_eq!(is_pinned(image), expected, "{image}");
    }
}
