//! The containers that istiod adds to pods of the mesh, as far as its templates say without being executed: their security context, their
//! resources and their image. So the rules for containers hold for these too.

use serde_json::{Value, json};

use crate::platform::{Platform, document};

/// How `component.yaml` names the place.
pub(crate) const OBJECT: &str = "ConfigMap/istio-sidecar-injector";

/// `istio-init` and `istio-proxy` of the template `sidecar`, `istio-proxy` of the template `gateway`.
pub(crate) fn containers(platform: &Platform) -> Vec<Value> {
    let map = platform.get("ConfigMap", "istio-system", "istio-sidecar-injector");
    let (config, values) = (document(map, "config"), document(map, "values"));
    let template = |name: &str| config["templates"][name].as_str().unwrap();
    let contexts = security_contexts(template("sidecar")).into_iter().chain(security_contexts(template("gateway")));
    contexts.map(|(name, context)| container(name, &context, &values)).collect()
}

fn container(name: &str, context: &Value, values: &Value) -> Value {
    let own = if name == "istio-init" { "init" } else { "proxy" };
    let values = &values["platctl"];
    json!({
        "name": name, "image": values["image"], "securityContext": context, "resources": values[own]["resources"],
    })
}

/// Each block `securityContext:` of a template with the container that it belongs to. What is filled in later stands as a user's number.
fn security_contexts(template: &str) -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    let mut owner = "";
    let lines: Vec<&str> = template.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.contains("- name: istio-init") {
            owner = "istio-init";
        } else if line.contains("- name: istio-proxy") || line.contains("define \"proxy\"") {
            owner = "istio-proxy";
        } else if line.trim() == "securityContext:" {
            let inside = lines[index + 1..].iter().take_while(|below| indent(below) > indent(line));
            let block = inside.map(|line| without_actions(line)).collect::<Vec<_>>().join("\n");
            found.push((owner, serde_saphyr::from_str(&block).unwrap()));
        }
    }
    found
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn without_actions(line: &str) -> String {
    match (line.find("{{"), line.find("}}")) {
        (Some(begin), Some(end)) => format!("{}1337{}", &line[..begin], &line[end + 2..]),
        _ => line.to_owned(),
    }
}

#[test]
fn both_containers_of_a_sidecar_and_the_gateway_are_found() {
    let containers = containers(crate::platform::dev());
    let names: Vec<_> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["istio-proxy", "istio-init", "istio-proxy"]);
    assert!(containers.iter().all(|container| container["securityContext"]["runAsUser"].is_number()));
}
