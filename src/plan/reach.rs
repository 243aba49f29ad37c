//! Which pods and which of their ports a component answers on, read off its rendered objects. Pure; `cluster` connects.

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::failure::{Advise, code};
use crate::object::Object;
use crate::plan::Plan;

/// What a connection is forwarded to: any ready pod that the selector finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub component: String,
    pub namespace: String,
    pub selector: String,
    pub port: u16,
}

/// The component that ends TLS and routes.
pub const GATEWAY: &str = "istio-gateway";

/// The main address of a component.
pub fn target(plan: &Plan, component: &str) -> Result<Target> {
    let planned = plan.component(component).exit(code::USAGE)?;
    of_objects(component, &planned.objects)
        .ok_or_else(|| anyhow!("component `{component}` has no Service to forward to"))
        .hint(format!("these have one: {}", reachable(plan).join(", ")))
        .exit(code::USAGE)
}

/// The components that can be reached.
pub fn reachable(plan: &Plan) -> Vec<String> {
    plan.components()
        .filter(|planned| of_objects(&planned.component.name, &planned.objects).is_some())
        .map(|planned| format!("`{}`", planned.component.name))
        .collect()
}

fn of_objects(component: &str, objects: &[Object]) -> Option<Target> {
    let target = |namespace: &str, selector: String, port: u16| Target {
        component: component.to_owned(),
        namespace: namespace.to_owned(),
        selector,
        port,
    };
    // The operator makes a database's Services.
    if let Some(database) = objects.iter().find(|object| is_database(object)) {
        let selector = format!("cnpg.io/cluster={},cnpg.io/instanceRole=primary", database.name());
        return Some(target(database.namespace()?, selector, 5432));
    }
    let service = service(objects)?;
    let selector = service.value().pointer("/spec/selector")?.as_object()?;
    let selector: Vec<String> =
        selector.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    let port = main_port(service)?;
    Some(target(service.namespace()?, selector.join(","), pod_port(objects, port)?))
}

/// A CloudNativePG cluster.
pub fn is_database(object: &Object) -> bool {
    object.kind() == "Cluster" && object.api_version().starts_with("postgresql.cnpg.io/")
}

/// The Service that a component is known by: the one that its route leads to, else the first that has an address.
pub fn service(objects: &[Object]) -> Option<&Object> {
    let services = || {
        objects
            .iter()
            .filter(|object| object.kind() == "Service" && object.text("/spec/clusterIP").is_none_or(|ip| ip != "None"))
    };
    let routed = objects.iter().filter(|object| object.kind() == "VirtualService").flat_map(|route| {
        let routes = route.items("/spec/http").iter().flat_map(|http| http["route"].as_array().into_iter().flatten());
        routes.filter_map(|route| route.pointer("/destination/host")?.as_str()?.split('.').next())
    });
    let routed: Vec<&str> = routed.collect();
    services().find(|service| routed.contains(&service.name())).or_else(|| services().next())
}

/// HTTPS before HTTP before whatever comes first.
fn main_port(service: &Object) -> Option<&Value> {
    let ports = service.items("/spec/ports");
    let named = |name: &str| ports.iter().find(|port| port["name"] == name);
    named("https").or_else(|| named("http")).or_else(|| ports.first())
}

/// The pods' own port behind a Service's: a number, or the name of a container's port.
fn pod_port(objects: &[Object], port: &Value) -> Option<u16> {
    let target = port.get("targetPort").unwrap_or(&port["port"]);
    if let Some(number) = target.as_u64() {
        return u16::try_from(number).ok();
    }
    let containers = objects.iter().flat_map(|object| object.items("/spec/template/spec/containers"));
    let mut ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let named = ports.find(|port| port["name"] == *target)?;
    u16::try_from(named["containerPort"].as_u64()?).ok()
}
