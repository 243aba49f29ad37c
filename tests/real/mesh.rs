//! Mutual TLS on the running platform. `NetworkPolicies` are opened for the probes wherever it is the mesh that must refuse.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::lab::eventually;
use crate::platform::Platform;
use crate::probes::{Probe, Probes, STRANGERS};
use crate::traces::{address, name, pods, proxy, sidecar_refused};

const HTTP: &str = r"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// With this a client of PostgreSQL asks whether there is TLS; a server says `S` or `N`.
const POSTGRES: &str = r"\x00\x00\x00\x08\x04\xd2\x16\x2f";

/// A service of the mesh: namespace, selector, the port of its pods, and something to say there.
const SERVICES: [(&str, &str, u16, &str); 4] = [
    ("iam-system", "app.kubernetes.io/name=keycloak", 8080, HTTP),
    ("iam-system", "cnpg.io/cluster=postgres", 5432, POSTGRES),
    ("observability", "app.kubernetes.io/name=loki", 3100, HTTP),
    ("observability", "app.kubernetes.io/name=grafana", 3000, HTTP),
];

/// MESH-3, MESH-4 (5432): whoever comes without a sidecar reaches the sidecar and nothing behind it; with a sidecar and the right
/// identity the same services answer.
pub(crate) fn plaintext_is_refused_and_identities_are_served(platform: &Platform) {
    let probes = Probes::new(platform);
    probes.open(&["iam-system", "observability"]);
    let plain =
        [Probe::plain(STRANGERS, "plain"), Probe::plain("iam-system", "plain"), Probe::plain("observability", "plain")];
    let keycloak = Probe::meshed("iam-system", "as-keycloak", "keycloak");
    let grafana = Probe::meshed("observability", "as-grafana", "grafana");
    probes.start(&[&plain[..], &[keycloak, grafana]].concat());
    for probe in &plain {
        let from = probes.address(probe);
        for (namespace, selector, port, words) in SERVICES {
            for pod in pods(platform, namespace, selector) {
                // `closed`, not `timeout`: the network let it through.
                probes.expect(probe, &["say", &format!("{}:{port}", address(&pod)), words], "closed");
                sidecar_refused(platform, namespace, name(&pod), &from, "filter_chain_not_found");
            }
        }
    }
    probes.expect(&keycloak, &["say", "postgres-rw.iam-system.svc:5432", POSTGRES], r#"answered: "S""#);
    probes.expect(&grafana, &["status", "GET", "http://loki.observability.svc:3100/loki/api/v1/labels"], "200");
}

/// MESH-4 (8000): the operator has no sidecar and asks the instances by TLS of their own; from its place, and with the
/// `NetworkPolicies` as they are, this works and the database stays out of reach.
pub(crate) fn the_status_port_answers_the_operator_without_a_sidecar(platform: &Platform) {
    let probes = Probes::new(platform);
    let operator = Probe::plain("cnpg-system", "as-operator");
    let bystander = Probe::plain("cnpg-system", "bystander");
    probes.start_changed(&[operator, bystander], |probe, pod| {
        if probe.name == operator.name {
            pod["metadata"]["labels"]["app.kubernetes.io/name"] = "cloudnative-pg".into();
            // Never ready, so that the operator's Service does not send it webhooks.
            pod["spec"]["readinessGates"] = json!([{"conditionType": "lab.platctl.dev/never"}]);
        }
    });
    for pod in pods(platform, "iam-system", "cnpg.io/cluster=postgres") {
        let (status, database) = (format!("{}:8000", address(&pod)), format!("{}:5432", address(&pod)));
        let said = probes.ask(&operator, &["status", "GET", &format!("https://{status}/pg/status")]);
        assert!(said.starts_with("200 {"), "{}: {said}", name(&pod));
        let said = probes.ask(&operator, &["status", "GET", &format!("http://{status}/pg/status")]);
        assert!(said.starts_with("400"), "plaintext on 8000 of {}: {said}", name(&pod));
        let said = probes.ask(&operator, &["reach", &database]);
        assert_eq!(said, format!("{database} timeout"), "the operator has no business there");
        let said = probes.ask(&bystander, &["reach", &status]);
        assert_eq!(said, format!("{status} timeout"), "nobody but the operator has business there");
    }
}

/// MESH-1, MESH-5: every proxy shows a certificate that istiod's authority signed for its `ServiceAccount`, for 24 hours.
pub(crate) fn certificates_are_istiods_and_last_a_day(platform: &Platform) {
    let lab = &platform.lab;
    let probes = Probes::new(platform);
    probes.open(&["iam-system", "observability"]);
    let plain = Probe::plain(STRANGERS, "plain");
    probes.start(&[plain]);
    // The authority that the probe checks by is the one whose key istiod keeps for itself.
    let published = lab.get(&format!("/api/v1/namespaces/{STRANGERS}/configmaps/istio-ca-root-cert")).unwrap();
    let own = lab.get("/api/v1/namespaces/istio-system/secrets/istio-ca-secret").unwrap();
    assert_eq!(published["data"]["root-cert.pem"].as_str().unwrap(), decoded(&own["data"]["ca-cert.pem"]));

    let mut seen = 0;
    for namespace in ["iam-system", "observability"] {
        for pod in pods(platform, namespace, "security.istio.io/tlsMode=istio") {
            let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
            // Any port will do: the sidecar takes them all.
            let command = ["handshake", &format!("{}:8080", address(&pod)), "/roots/root-cert.pem"];
            let shown: Value = serde_json::from_str(&probes.ask(&plain, &command)).unwrap();
            assert_eq!(shown["identity"], format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"));
            is_a_day(shown["seconds"].as_i64().unwrap(), name(&pod));
            seen += 1;
        }
    }
    assert!(seen >= 7, "only {seen} pods have a sidecar");
    // The gateway shows the world another one; its own is for the way behind it.
    for pod in pods(platform, "istio-ingress", "istio=ingressgateway") {
        let own = workload_certificate(platform, "istio-ingress", name(&pod));
        assert_eq!(own.identity, "spiffe://cluster.local/ns/istio-ingress/sa/istio-gateway");
        is_a_day((own.until - own.from).whole_seconds(), name(&pod));
    }
}

/// From the moment it is signed; that it is valid a little before is for clocks that are late.
fn is_a_day(seconds: i64, whose: &str) {
    let day = 24 * 60 * 60;
    assert!((day..=day + 5 * 60).contains(&seconds), "the certificate of {whose} is for {seconds} s");
}

fn decoded(value: &Value) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[derive(Debug)]
struct Certificate {
    serial: String,
    identity: String,
    from: OffsetDateTime,
    until: OffsetDateTime,
}

/// The one that the proxy of a pod uses at this moment.
fn workload_certificate(platform: &Platform, namespace: &str, pod: &str) -> Certificate {
    let said: Value = serde_json::from_str(&proxy(platform, namespace, pod, "certs")).unwrap();
    let chains = said["certificates"].as_array().unwrap().iter().filter_map(|entry| entry["cert_chain"].as_array());
    let mut workload = chains.flatten().filter(|shown| shown["subject_alt_names"][0]["uri"].is_string());
    let shown = workload.next().unwrap();
    let text = |key: &str| shown[key].as_str().unwrap().to_owned();
    let time = |key: &str| OffsetDateTime::parse(&text(key), &Rfc3339).unwrap();
    Certificate {
        serial: text("serial_number"),
        identity: shown["subject_alt_names"][0]["uri"].as_str().unwrap().to_owned(),
        from: time("valid_from"),
        until: time("expiration_time"),
    }
}

/// MESH-5: two workloads whose certificates last a minute talk on one connection until those by which they knew one another at its
/// beginning have been replaced and are worth nothing any more. Nothing else is unlike what the platform's own proxies do.
pub(crate) fn a_rotation_breaks_no_connection(platform: &Platform) {
    const SERVER: Probe = Probe { command: &["echo", ":7000"], ..Probe::meshed(STRANGERS, "listener", "default") };
    const CLIENT: Probe = Probe {
        command: &["converse", "listener.lab-strangers.svc:7000"],
        ..Probe::meshed(STRANGERS, "talker", "default")
    };
    let probes = Probes::new(platform);
    // Beyond the platform's own namespaces istiod admits nobody.
    probes.open(&["istio-system"]);
    let ports = json!([{"name": "tcp", "port": 7000}]);
    let service = json!({"selector": {"lab": SERVER.name}, "ports": ports});
    probes.labelled(["v1", "Service"], STRANGERS, SERVER.name, &service);
    for probe in [SERVER, CLIENT] {
        probes.start_changed(&[probe], |_, pod| {
            let config = r#"{"proxyMetadata": {"SECRET_TTL": "60s"}}"#;
            pod["metadata"]["annotations"] = json!({"proxy.istio.io/config": config});
        });
    }
    let lines = || -> u64 {
        let log = platform.lab.kubectl(&["logs", "-n", STRANGERS, CLIENT.name, "-c", "probe"]);
        log.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).max().unwrap_or(0)
    };
    let is_beyond = |count: u64| if lines() > count { Ok(()) } else { Err(format!("{count} lines")) };
    eventually("the conversation to begin", || is_beyond(0));
    let certificates = || [SERVER, CLIENT].map(|probe| workload_certificate(platform, STRANGERS, probe.name));
    let first = certificates();
    for certificate in &first {
        let lifetime = (certificate.until - certificate.from).whole_seconds();
        assert!(lifetime < 5 * 60, "not short-lived: {certificate:?}");
    }
    let (last, now) = eventually("both certificates to be replaced and the first ones to end", || {
        let (last, now) = (certificates(), OffsetDateTime::now_utc());
        let is_over = first.iter().zip(&last).all(|(old, new)| old.serial != new.serial && old.until < now);
        if is_over { Ok((last, now)) } else { Err(format!("{first:?}, then {last:?}, at {now}")) }
    });
    assert!(last.iter().all(|certificate| certificate.until > now), "{last:?} at {now}");
    let said = lines();
    eventually("the conversation to go on", || is_beyond(said));
    // It has but one connection, and ends with it.
    let talker = platform.lab.get(&format!("/api/v1/namespaces/{STRANGERS}/pods/{}", CLIENT.name)).unwrap();
    let container = &talker["status"]["containerStatuses"][0];
    assert!(container["state"]["running"].is_object() && container["restartCount"] == 0, "{container:#}");
    // And the new ones open new ones.
    let stats = proxy(platform, STRANGERS, CLIENT.name, "clusters");
    assert!(stats.contains("listener.lab-strangers"), "the connection is not the mesh's: {stats}");
    probes.expect(&CLIENT, &["say", "listener.lab-strangers.svc:7000", r"again\n"], r#"answered: "again\n""#);
}
