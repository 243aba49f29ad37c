//! MESH-1 to MESH-6: who is in the mesh, that it is STRICT but for one port, who may call whom, and the one way in.

use platctl::object::Object;
use regex::Regex;
use serde_json::{Value, json};

use crate::platform::{MESHED, assert_none_in_any, document, env, items, platforms, selects, texts};

const GATEWAY: &str = "istio-ingress/platform";

#[test]
fn namespaces_say_who_is_in_the_mesh() {
    assert_none_in_any(|platform| {
        let wrong = |namespace: &Object| {
            let expected = match namespace.name() {
                name if MESHED.contains(&name) => Some("enabled"),
                // Its pods ask for it one by one.
                "istio-ingress" => None,
                _ => Some("disabled"),
            };
            let found = namespace.label("istio-injection");
            (found != expected).then(|| format!("{}: istio-injection is {found:?}", namespace.id()))
        };
        platform.of_kind("Namespace").into_iter().filter_map(wrong).collect()
    });
}

#[test]
fn no_pod_of_a_meshed_namespace_leaves_the_mesh() {
    assert_none_in_any(|platform| {
        let opted_out = |metadata: &Value| {
            ["labels", "annotations"].iter().any(|map| metadata[*map]["sidecar.istio.io/inject"] == "false")
        };
        let meshed = platform.workloads().into_iter().filter(|workload| MESHED.contains(&workload.namespace()));
        let outside = meshed.filter(|workload| opted_out(workload.metadata));
        outside.map(|workload| format!("{} opts out", workload.object.id())).collect()
    });
}

#[test]
fn strict_holds_for_the_mesh_and_again_for_both_namespaces() {
    assert_none_in_any(|platform| {
        let is_strict = |namespace: &str| {
            platform.of_kind("PeerAuthentication").into_iter().any(|policy| {
                policy.namespace() == Some(namespace)
                    && policy.text("/spec/mtls/mode") == Some("STRICT")
                    && policy.value().pointer("/spec/selector").is_none()
            })
        };
        let loose = ["istio-system", MESHED[0], MESHED[1]].into_iter().filter(|namespace| !is_strict(namespace));
        loose.map(|namespace| format!("{namespace} has no PeerAuthentication STRICT without selector")).collect()
    });
}

#[test]
fn the_databases_status_port_is_the_only_one_without_mtls() {
    for platform in platforms() {
        let loose: Vec<_> = platform.of_kind("PeerAuthentication").into_iter().flat_map(ports_without_mtls).collect();
        assert_eq!(loose, ["iam-system/postgres: port 8000 is PERMISSIVE"], "{}", platform.name);
        let policy = platform.get("PeerAuthentication", "iam-system", "postgres");
        assert_eq!(policy.value()["spec"]["selector"], json!({"matchLabels": {"cnpg.io/cluster": "postgres"}}));
        assert_eq!(policy.text("/spec/mtls/mode"), Some("STRICT"), "all its other ports, 5432 among them");
    }
}

/// Everything in a policy that is not STRICT.
fn ports_without_mtls(policy: &Object) -> Vec<String> {
    let name = format!("{}/{}", policy.namespace().unwrap(), policy.name());
    let whole = policy.text("/spec/mtls/mode").unwrap_or("inherited");
    let whole = (whole != "STRICT").then(|| format!("{name}: all ports are {whole}"));
    let ports = policy.value()["spec"]["portLevelMtls"].as_object().into_iter().flatten();
    let loose = ports.filter(|(_, mtls)| mtls["mode"] != "STRICT");
    let loose = loose.map(|(port, mtls)| format!("{name}: port {port} is {}", mtls["mode"].as_str().unwrap()));
    whole.into_iter().chain(loose).collect()
}

#[test]
fn no_rule_of_a_client_turns_mtls_off() {
    assert_none_in_any(|platform| {
        let rules = platform.of_kind("DestinationRule").into_iter();
        let off = rules.filter(|rule| {
            let mode = rule.text("/spec/trafficPolicy/tls/mode");
            mode.is_some_and(|mode| mode != "ISTIO_MUTUAL") || rule.value().to_string().contains("DISABLE")
        });
        off.map(|rule| format!("{} does not use the mesh's certificates", rule.id())).collect()
    });
}

#[test]
fn both_namespaces_allow_nothing_by_default() {
    assert_none_in_any(|platform| {
        let denies = |namespace: &str| {
            let policies = platform.of_kind("AuthorizationPolicy").into_iter();
            policies
                .filter(|policy| policy.namespace() == Some(namespace))
                .any(|policy| policy.value()["spec"] == json!({}))
        };
        let open = MESHED.into_iter().filter(|namespace| !denies(namespace));
        open.map(|namespace| format!("{namespace} has no AuthorizationPolicy that allows nothing")).collect()
    });
}

#[test]
fn each_service_of_the_mesh_says_who_may_call_it() {
    assert_none_in_any(|platform| {
        let policies = platform.of_kind("AuthorizationPolicy");
        let is_guarded = |namespace: &str, labels: &Value| {
            policies.iter().any(|policy| {
                policy.namespace() == Some(namespace)
                    && selects(&policy.value()["spec"]["selector"]["matchLabels"], labels)
            })
        };
        let services = platform.of_kind("Service").into_iter();
        let meshed = services.filter(|service| service.namespace().is_some_and(|name| MESHED.contains(&name)));
        let open =
            meshed.filter(|service| !is_guarded(service.namespace().unwrap(), &service.value()["spec"]["selector"]));
        let database = platform.get("Cluster", "iam-system", "postgres").name();
        let database =
            (!is_guarded("iam-system", &json!({"cnpg.io/cluster": database}))).then_some("the database".to_owned());
        let open = open.map(|service| service.id().to_string()).chain(database);
        open.map(|name| format!("{name} has no AuthorizationPolicy")).collect()
    });
}

/// By identity, and identities that the platform has. Only the status port may be asked without one: its callers have none.
#[test]
fn callers_are_named_by_identity() {
    let identity = Regex::new(r"^cluster\.local/ns/([a-z0-9-]+)/sa/([a-z0-9-]+)$").unwrap();
    assert_none_in_any(|platform| {
        let is_known = |principal: &str| {
            let Some(found) = identity.captures(principal) else { return false };
            let made_by_operator = &found[2] == "postgres";
            made_by_operator || platform.find("ServiceAccount", &found[1], &found[2]).is_some()
        };
        let mut violations = Vec::new();
        for policy in platform.of_kind("AuthorizationPolicy") {
            for rule in policy.items("/spec/rules") {
                let sources = items(&rule["from"]).iter().flat_map(|from| texts(&from["source"]["principals"]));
                let callers: Vec<&str> = sources.collect();
                let unknown = callers.iter().filter(|caller| !is_known(caller));
                violations.extend(unknown.map(|caller| format!("{}: nobody is {caller}", policy.id())));
                let asked: Vec<&str> =
                    items(&rule["to"]).iter().flat_map(|to| texts(&to["operation"]["ports"])).collect();
                if callers.is_empty() && asked != ["8000"] {
                    violations.push(format!("{}: everybody may call {asked:?}", policy.id()));
                }
                if asked.is_empty() {
                    violations.push(format!("{}: {callers:?} may call any port", policy.id()));
                }
            }
        }
        violations
    });
}

#[test]
fn certificates_of_workloads_live_a_day() {
    for platform in platforms() {
        let istiod = platform.workload("Deployment", "istiod");
        let discovery = istiod.container("discovery");
        let mesh = document(platform.get("ConfigMap", "istio-system", "istio"), "mesh");
        assert_eq!(env(discovery, "DEFAULT_WORKLOAD_CERT_TTL"), Some("24h0m0s"));
        assert_eq!(env(discovery, "MAX_WORKLOAD_CERT_TTL"), Some("24h0m0s"));
        assert_eq!(mesh["defaultConfig"]["proxyMetadata"]["SECRET_TTL"], "24h0m0s");
        assert_eq!(mesh["enableAutoMtls"], true);
        assert_eq!(env(discovery, "PILOT_CERT_PROVIDER"), Some("istiod"));
    }
}

#[test]
fn the_operator_of_the_databases_has_no_sidecar() {
    for platform in platforms() {
        let operator = platform.workload("Deployment", "cnpg-controller-manager");
        assert_eq!(operator.namespace(), "cnpg-system");
        assert_eq!(operator.metadata["labels"]["sidecar.istio.io/inject"], "false");
        assert_eq!(operator.metadata["annotations"]["sidecar.istio.io/inject"], "false");
        let env_of_manager = items(&operator.container("manager")["env"]);
        let watches_some = env_of_manager.iter().any(|variable| variable["name"] == "WATCH_NAMESPACE");
        assert!(!watches_some, "it serves every namespace");
        assert!(platform.find("ClusterRole", "", "cnpg-manager").is_some());
    }
}

#[test]
fn the_gateway_is_the_only_way_in() {
    assert_none_in_any(|platform| {
        let services = platform.of_kind("Service").into_iter();
        let published = services.filter(|service| {
            matches!(service.text("/spec/type"), Some("LoadBalancer" | "NodePort" | "ExternalName"))
                || !service.items("/spec/externalIPs").is_empty()
        });
        let published: Vec<String> = published.map(|service| service.id().to_string()).collect();
        let others = published.iter().filter(|id| *id != "Service istio-ingress/istio-gateway");
        let missing = published.is_empty().then(|| "no Service of type LoadBalancer".to_owned());
        let ingresses = platform.of_kind("Ingress").into_iter().map(|ingress| ingress.id().to_string());
        others.cloned().chain(ingresses).map(|id| format!("{id} is a way in too")).chain(missing).collect()
    });
}

#[test]
fn the_gateway_speaks_tls_and_sends_all_else_there() {
    for platform in platforms() {
        let gateway = platform.get("Gateway", "istio-ingress", "platform");
        let domain = format!("*.{}", platform.plan.profile.domain);
        let servers = gateway.items("/spec/servers");
        assert_eq!(servers.len(), 2);
        let by_port = |port: i64| servers.iter().find(|server| server["port"]["number"] == port).unwrap();
        let tls = &by_port(443)["tls"];
        assert_eq!((&tls["mode"], &tls["minProtocolVersion"]), (&json!("SIMPLE"), &json!("TLSV1_2")));
        assert_eq!(tls["credentialName"], platform.plan.profile.tls.secret_name.as_str());
        assert_eq!(by_port(80)["tls"], json!({"httpsRedirect": true}));
        assert!(servers.iter().all(|server| texts(&server["hosts"]) == [domain.as_str()]));
        let pods = platform.workload("Deployment", "istio-gateway");
        assert!(selects(&gateway.value()["spec"]["selector"], pods.labels()), "the Gateway is for its pods");
    }
}

#[test]
fn each_route_is_served() {
    assert_none_in_any(|platform| {
        let mut violations = Vec::new();
        for route in platform.plan.components().flat_map(|planned| &planned.component.routes) {
            let host = format!("{}.{}", route.host, platform.plan.profile.domain);
            let services = platform.of_kind("VirtualService").into_iter();
            let serving = services.filter(|service| texts(&service.value()["spec"]["hosts"]).contains(&host.as_str()));
            match serving.collect::<Vec<_>>().as_slice() {
                [service] if texts(&service.value()["spec"]["gateways"]) == [GATEWAY] => {}
                found => violations.push(format!("{host}: {} VirtualServices at {GATEWAY}", found.len())),
            }
        }
        violations
    });
}

#[test]
fn people_find_keycloak_grafana_and_argo_cd() {
    for platform in platforms() {
        let routes = platform.plan.components().flat_map(|planned| &planned.component.routes);
        let routes: Vec<_> = routes.map(|route| (route.name.as_str(), route.host.as_str())).collect();
        assert_eq!(routes, [("Grafana", "grafana"), ("Keycloak", "auth"), ("Argo CD", "argocd")]);
    }
}

#[test]
fn each_destination_is_a_service_and_a_port_of_the_platform() {
    assert_none_in_any(|platform| {
        let serves = |host: &str, port: &Value| {
            let mut parts = host.split('.');
            let (name, namespace) = (parts.next().unwrap(), parts.next().unwrap_or_default());
            let service = platform.find("Service", namespace, name);
            service.is_some_and(|service| service.items("/spec/ports").iter().any(|one| one["port"] == *port))
        };
        let mut violations = Vec::new();
        for service in platform.of_kind("VirtualService") {
            for route in service.items("/spec/http").iter().flat_map(|http| items(&http["route"])) {
                let (host, port) = (&route["destination"]["host"], &route["destination"]["port"]["number"]);
                if !serves(host.as_str().unwrap(), port) {
                    violations.push(format!("{}: no Service is {host} port {port}", service.id()));
                }
            }
        }
        violations
    });
}
