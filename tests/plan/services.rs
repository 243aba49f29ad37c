//! IAM-1, OBS-1 to OBS-4: Keycloak on its database, Loki as one process, Promtail on every node, Grafana with source and dashboards, and the
//! audit trail from the events to the dashboard.

use platctl::object::Object;
use serde_json::{Value, json};

use crate::platform::{Platform, dev, document, env, items, platforms, prod, texts};

#[test]
fn keycloaks_data_is_in_the_database() {
    for platform in platforms() {
        let keycloak = platform.workload("Deployment", "keycloak");
        let container = keycloak.container("keycloak");
        assert_eq!(env(container, "KC_DB"), Some("postgres"));
        let secret = |name: &str| {
            let variables = items(&container["env"]).iter().find(|variable| variable["name"] == name);
            variables
                .map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str().unwrap_or_default().to_owned())
        };
        for name in ["KC_DB_URL_HOST", "KC_DB_USERNAME", "KC_DB_PASSWORD"] {
            assert_eq!(secret(name).as_deref(), Some("postgres-app"), "{name}");
        }
        let is_claim = |volume: &Value| volume.get("persistentVolumeClaim").is_some();
        assert!(!items(&keycloak.spec["volumes"]).iter().any(is_claim), "nothing of it is in the pod");
    }
}

/// The master realm's login is not for the internet.
#[test]
fn the_administration_console_is_published_in_development_only() {
    let paths = |platform: &'static Platform| {
        let routes = platform.get("VirtualService", "iam-system", "keycloak").items("/spec/http").iter();
        let uris = routes.flat_map(|http| items(&http["match"])).map(|wanted| wanted["uri"].to_string());
        uris.collect::<Vec<_>>().join(" ")
    };
    assert!(paths(dev()).contains("/admin"), "{}", paths(dev()));
    assert!(!paths(prod()).contains("/admin"), "{}", paths(prod()));
    let policy = prod().get("AuthorizationPolicy", "iam-system", "keycloak").value().to_string();
    assert!(!policy.contains("/admin"), "{policy}");
}

#[test]
fn loki_is_one_process_that_takes_its_logs_from_promtail() {
    for platform in platforms() {
        let loki = platform.workload("StatefulSet", "loki");
        assert_eq!((loki.replicas(), loki.namespace()), (1, "observability"));
        assert!(texts(&loki.container("loki")["args"]).contains(&"-target=all"));
        let promtail = document(platform.get("ConfigMap", "observability", "promtail"), "promtail.yaml");
        assert_eq!(promtail["clients"][0]["url"], "http://loki.observability.svc.cluster.local:3100/loki/api/v1/push");
    }
}

#[test]
fn promtail_is_on_every_node_and_reads_every_pod() {
    for platform in platforms() {
        let promtail = platform.workload("DaemonSet", "promtail");
        assert_eq!(promtail.namespace(), "observability");
        let tolerated = items(&promtail.spec["tolerations"]).iter().map(|toleration| &toleration["key"]);
        assert!(tolerated.into_iter().any(|key| key == "node-role.kubernetes.io/control-plane"));
        let logs = items(&promtail.spec["volumes"]).iter().find(|volume| volume["name"] == "pods").unwrap();
        assert_eq!(logs["hostPath"]["path"], "/var/log/pods");
        let mounts = items(&promtail.container("promtail")["volumeMounts"]).iter();
        let mount = mounts.into_iter().find(|mount| mount["name"] == "pods").unwrap();
        assert_eq!((&mount["mountPath"], &mount["readOnly"]), (&json!("/var/log/pods"), &json!(true)));
    }
}

#[test]
fn grafana_finds_loki_and_its_dashboards_by_itself() {
    for platform in platforms() {
        let provisioning = platform.get("ConfigMap", "observability", "grafana-provisioning");
        let source = &document(provisioning, "datasources.yaml")["datasources"][0];
        assert_eq!(
            (&source["type"], &source["uid"], &source["isDefault"]),
            (&json!("loki"), &json!("loki"), &json!(true))
        );
        assert_eq!(source["url"], "http://loki.observability.svc.cluster.local:3100");
        let folder = document(provisioning, "dashboards.yaml")["providers"][0]["options"]["path"].clone();
        let grafana = platform.workload("Deployment", "grafana");
        let mounts = items(&grafana.container("grafana")["volumeMounts"]).iter();
        let mounted = mounts.into_iter().find(|mount| mount["mountPath"] == folder).unwrap();
        let volume = items(&grafana.spec["volumes"]).iter().find(|volume| volume["name"] == mounted["name"]).unwrap();
        assert_eq!(volume["configMap"]["name"], "grafana-dashboards");
    }
}

#[test]
fn every_panel_of_every_dashboard_asks_loki() {
    let map = dev().get("ConfigMap", "observability", "grafana-dashboards");
    let mut names: Vec<&String> = map.value()["data"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["audit.json", "platform-logs.json"]);
    for name in names {
        let dashboard = document(map, name);
        assert!(dashboard["uid"].is_string() && dashboard["title"].is_string(), "{name}");
        let panels = items(&dashboard["panels"]).iter().filter(|panel| !items(&panel["targets"]).is_empty());
        let targets: Vec<&Value> = panels.flat_map(|panel| items(&panel["targets"])).collect();
        assert!(targets.len() > 4, "{name} has {} queries", targets.len());
        for target in targets {
            assert_eq!(target["datasource"], json!({"type": "loki", "uid": "loki"}), "{name}");
            assert!(target["expr"].as_str().is_some_and(|query| query.contains('{')), "{name}: {target}");
        }
    }
}

/// One label per source, set where the line is read, asked for where it is shown, kept longer in between.
#[test]
fn the_audit_trail_ends_in_loki() {
    for platform in platforms() {
        assert_keycloak_logs_all_events(platform);
        assert_database_logs_who_connects_and_what_changes(platform);
        let marked = promtails_audit_labels(platform);
        assert_eq!(marked, ["keycloak", "postgres"], "{}", platform.name);
        let dashboard =
            platform.get("ConfigMap", "observability", "grafana-dashboards").value()["data"]["audit.json"].to_string();
        for source in marked {
            assert!(dashboard.contains(&format!(r#"audit=\\\"{source}\\\""#)), "the dashboard asks for {source}");
        }
        let loki = document(platform.get("ConfigMap", "observability", "loki"), "config.yaml");
        assert_eq!(loki["limits_config"]["retention_stream"][0]["selector"], r#"{audit=~".+"}"#);
    }
}

fn assert_keycloak_logs_all_events(platform: &Platform) {
    let keycloak = platform.workload("Deployment", "keycloak");
    let container = keycloak.container("keycloak");
    assert_eq!(env(container, "KC_LOG_CONSOLE_OUTPUT"), Some("json"));
    assert_eq!(env(container, "KC_SPI_EVENTS_LISTENER__JBOSS_LOGGING__SUCCESS_LEVEL"), Some("info"));
    let realm = document(platform.get("ConfigMap", "iam-system", "keycloak-realm"), "platform-realm.json");
    assert_eq!(realm["eventsListeners"], json!(["jboss-logging"]));
    assert_eq!((&realm["eventsEnabled"], &realm["adminEventsEnabled"]), (&json!(true), &json!(true)));
}

fn assert_database_logs_who_connects_and_what_changes(platform: &Platform) {
    let parameters =
        platform.get("Cluster", "iam-system", "postgres").value()["spec"]["postgresql"]["parameters"].clone();
    assert_eq!(parameters["log_connections"], "authentication,authorization");
    assert_eq!(parameters["log_disconnections"], "on");
    assert_eq!(parameters["pgaudit.log"], "ddl, role");
}

fn promtails_audit_labels(platform: &Platform) -> Vec<String> {
    let map: &Object = platform.get("ConfigMap", "observability", "promtail");
    let stages = document(map, "promtail.yaml")["scrape_configs"][0]["pipeline_stages"].clone();
    let matches = items(&stages).iter().flat_map(|stage| items(&stage["match"]["stages"]).to_vec());
    matches.filter_map(|stage| stage["static_labels"]["audit"].as_str().map(str::to_owned)).collect()
}

/// What the operator's backup machinery wants to know is passed on as it is given; without it none of it is there.
#[test]
fn backups_of_the_database_are_asked_for_in_its_values() {
    let plugin = json!({"name": "barman-cloud.cloudnative-pg.io", "isWALArchiver": true, "parameters": {"barmanObjectName": "store"}});
    let snapshots = json!({"volumeSnapshot": {"className": "fast"}});
    let store = json!({"to": [{"ipBlock": {"cidr": "192.0.2.20/32"}}], "ports": [{"protocol": "TCP", "port": 443}]});
    let set = [
        format!("postgres.plugins=[{plugin}]"),
        format!("postgres.backup={snapshots}"),
        format!("postgres.networkPolicy.extraEgress=[{store}]"),
    ];
    let with = Platform::load("dev", &set);
    let cluster = |platform: &Platform| platform.get("Cluster", "iam-system", "postgres").value()["spec"].clone();
    let egress =
        |platform: &Platform| platform.get("NetworkPolicy", "iam-system", "postgres").items("/spec/egress").to_vec();
    assert_eq!((&cluster(&with)["plugins"], &cluster(&with)["backup"]), (&json!([plugin]), &snapshots));
    assert_eq!(egress(&with), [egress(dev()), vec![store]].concat());
    assert!(cluster(dev()).get("plugins").is_none() && cluster(dev()).get("backup").is_none());
}
