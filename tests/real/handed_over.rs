//! The handoff, after the fact: nothing was restarted by it, and who applied what is Argo CD alone.

use serde_json::Value;

use crate::platform::Platform;

/// No pod of the platform is younger than the handoff, and no container was started twice.
pub(crate) fn no_pod_was_restarted(platform: &Platform) {
    let lab = &platform.lab;
    let set = lab.get("/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/platform").unwrap();
    // RFC 3339 in UTC, as the API server writes it: the order of the texts is the order of the times.
    let handoff = set["metadata"]["creationTimestamp"].as_str().unwrap();
    let pods = lab.list("/api/v1/pods?labelSelector=platctl.dev/component");
    assert!(pods.len() > 10, "{} pods", pods.len());
    let mut wrong = Vec::new();
    for pod in &pods {
        let name = format!("{}/{}", pod["metadata"]["namespace"], pod["metadata"]["name"]);
        let containers = ["initContainerStatuses", "containerStatuses"]
            .iter()
            .flat_map(|key| pod["status"][*key].as_array().into_iter().flatten());
        for container in containers {
            let running = container["state"]["running"]["startedAt"].as_str();
            let started = running.or(container["state"]["terminated"]["startedAt"].as_str()).unwrap_or("never");
            if container["restartCount"] != 0 || started > handoff {
                wrong.push(format!("{name}: {} started at {started}, {container}", container["name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "the handoff was at {handoff}\n{}", wrong.join("\n"));
}

/// Of each object that platctl applied from a chart, Argo CD is the one applier. What platctl keeps for itself is still its own.
pub(crate) fn argo_cd_owns_what_platctl_applied(platform: &Platform) {
    let lab = &platform.lab;
    let record = lab.get("/api/v1/namespaces/platctl-system/configmaps/platctl-inventory").unwrap();
    let inventory: Value = serde_json::from_str(record["data"]["inventory"].as_str().unwrap()).unwrap();
    let recorded: Vec<String> = inventory["objects"].as_array().unwrap().iter().map(name).collect();
    assert!(recorded.len() > 100, "{} objects", recorded.len());
    let census = lab.census();
    let appliers = |object: &Value| {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let applied = entries.filter(|entry| entry["operation"] == "Apply");
        applied.map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = recorded
        .iter()
        .map(|name| (name, appliers(census.get(name))))
        .filter(|(_, appliers)| *appliers != ["argocd-controller"])
        .map(|(name, appliers)| format!("{name}: applied by {appliers:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let managed = |object: &Value| {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["manager"].as_str()).any(|manager| manager == "platctl")
    };
    let own: Vec<(&String, &Value)> = census.objects().filter(|(_, object)| managed(object)).collect();
    for (name, object) in &own {
        let label = object["metadata"]["labels"]["platctl.dev/component"].as_str().unwrap_or_default();
        let is_generated = object["kind"] == "Secret";
        assert!(is_generated || ["handoff", "platctl"].contains(&label), "{name} is still platctl's");
    }
    assert!(own.len() >= 4, "project, set, Secrets, inventory: {own:?}");
}

/// As the census names it.
fn name(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str();
    let group = text("apiVersion").and_then(|version| version.split_once('/')).map(|(group, _)| format!(".{group}"));
    let namespace = text("namespace").map(|namespace| format!("{namespace}/"));
    let (group, namespace) = (group.unwrap_or_default(), namespace.unwrap_or_default());
    format!("{}{group} {namespace}{}", text("kind").unwrap(), text("name").unwrap())
}
