//! Who may reach whom, and which layer says no: `NetworkPolicies` to packets, `AuthorizationPolicies` to identities.

use serde_json::Value;

use crate::lab::eventually;
use crate::platform::Platform;
use crate::probes::{Probe, Probes, STRANGERS};
use crate::traces::{Side, address, dropped, drops, name, pods, sidecar_refused};

/// That of the Git server is there with the profile `dev` alone.
const NAMESPACES: [&str; 8] = [
    "istio-system",
    "istio-ingress",
    "cnpg-system",
    "iam-system",
    "observability",
    "argocd",
    "platctl-system",
    "gitea",
];

/// What is open to everybody, as no selector matches the API server or the platform's clients: webhooks and the gateway.
const OPEN: [(&str, u64); 5] = [
    ("cnpg-system", 9443),
    ("istio-ingress", 8080),
    ("istio-ingress", 8443),
    ("istio-ingress", 15021),
    ("istio-system", 15017),
];

/// Whose pods may ask istiod for certificates: any of them may have a sidecar.
const MESHED: [&str; 3] = ["istio-ingress", "iam-system", "observability"];

/// A port of a pod of the platform.
struct Door {
    pod: String,
    address: String,
    port: u16,
    is_open: bool,
    is_istiods: bool,
}

impl Door {
    fn at(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    fn admits(&self, probe: &Probe) -> bool {
        self.is_open || (self.is_istiods && MESHED.contains(&probe.namespace))
    }
}

/// Every port that a pod of the platform declares, and those of sidecars' agents.
fn doors(platform: &Platform, namespaces: &[&str]) -> Vec<Door> {
    let mut doors = Vec::new();
    for namespace in namespaces.iter().filter(|namespace| **namespace != "platctl-system") {
        for pod in pods(platform, namespace, "platctl.dev/component") {
            let containers = ["containers", "initContainers"].iter().filter_map(|key| pod["spec"][key].as_array());
            let declared = containers.flatten().filter_map(|container| container["ports"].as_array()).flatten();
            let mut ports: Vec<u64> = declared.map(|port| port["containerPort"].as_u64().unwrap()).collect();
            if ports.contains(&15090) {
                ports.extend([15006, 15020]);
            }
            doors.extend(ports.iter().map(|port| Door {
                pod: format!("{namespace}/{}", name(&pod)),
                address: address(&pod).to_owned(),
                port: u16::try_from(*port).unwrap(),
                is_open: OPEN.contains(&(*namespace, *port)),
                is_istiods: (*namespace, *port) == ("istio-system", 15012),
            }));
        }
    }
    doors
}

/// Which of the doors a probe finds otherwise than it should: closed ones are silent, as packets are dropped.
fn wrong(probes: &Probes, probe: &Probe, doors: &[Door], are_all_closed: bool) -> Vec<String> {
    let addresses: Vec<String> = doors.iter().map(Door::at).collect();
    let mut command = vec!["reach"];
    command.extend(addresses.iter().map(String::as_str));
    let said = probes.ask(probe, &command);
    assert_eq!(said.lines().count(), doors.len(), "{said}");
    let found = said.lines().zip(doors).filter(|(line, door)| {
        let wanted = if door.admits(probe) && !are_all_closed { "connected" } else { "timeout" };
        **line != format!("{} {wanted}", door.at())
    });
    found.map(|(line, door)| format!("{}: {line}", door.pod)).collect()
}

/// SEC-1: a pod of another namespace, and pods of the platform's namespaces that have no business there, reach nothing but name
/// servers, webhooks and the gateway; those of the meshed namespaces, once they may leave theirs, istiod too. The packets are dropped where they come in; those of the platform's namespaces even where they
/// go out.
pub(crate) fn network_policies_refuse_who_has_no_business(platform: &Platform) {
    let probes = Probes::new(platform);
    let stranger = Probe::plain(STRANGERS, "plain");
    let has_gitea = platform.lab.get("/api/v1/namespaces/gitea").is_some();
    let namespaces = &NAMESPACES[..if has_gitea { 8 } else { 7 }];
    let bystanders: Vec<Probe> = namespaces.iter().map(|namespace| Probe::plain(namespace, "bystander")).collect();
    probes.start(&[&[stranger][..], &bystanders].concat());
    let doors = doors(platform, namespaces);
    let is_shut = |door: &&Door| !door.is_open;
    assert!(doors.iter().filter(is_shut).count() > 30 && doors.iter().any(|door| door.is_open), "{}", doors.len());
    let check = |probe: &Probe, side: Side, are_all_closed: bool| {
        let whose = format!("{}/{}", probe.namespace, probe.name);
        assert_eq!(wrong(&probes, probe, &doors, are_all_closed), Vec::<String>::new(), "seen from {whose}");
        let (from, drops) = (probes.address(probe), drops(side));
        for door in doors.iter().filter(|door| are_all_closed || !door.admits(probe)) {
            let packets = drops(&from, &door.address, door.port);
            assert!(packets > 0, "{whose} to {} of {}: not dropped by this layer", door.at(), door.pod);
        }
    };
    check(&stranger, Side::Ingress, false);

    let (server, port) = api_server(platform);
    // Silence takes its time, but not one after the other.
    side_by_side(&bystanders, |bystander| {
        check(bystander, Side::Egress, true);
        let from = probes.address(bystander);
        assert_eq!(
            probes.ask(bystander, &["reach", "10.96.0.1:443"]),
            "10.96.0.1:443 timeout",
            "{}",
            bystander.namespace
        );
        assert!(dropped(Side::Egress, &from, &server, port) > 0, "{}: the API server", bystander.namespace);
        // What every pod may do, so that silence is not for want of a network.
        probes.expect(bystander, &["reach", "10.96.0.10:53"], "10.96.0.10:53 connected");
        // And nobody may come to it.
        let own = format!("{from}:8080");
        assert_eq!(probes.ask(&stranger, &["reach", &own]), format!("{own} timeout"), "{}", bystander.namespace);
        assert!(dropped(Side::Ingress, &probes.address(&stranger), &from, 8080) > 0, "{}", bystander.namespace);
    });

    for namespace in namespaces {
        probes.open_egress(namespace);
    }
    let open = doors.iter().find(|door| door.is_open).unwrap().at();
    side_by_side(&bystanders, |bystander| {
        probes.expect(bystander, &["reach", &open], &format!("{open} connected"));
        check(bystander, Side::Ingress, false);
    });
}

/// Fails when it fails for one of them.
fn side_by_side(probes: &[Probe], check: impl Fn(&Probe) + Sync) {
    std::thread::scope(|scope| {
        for probe in probes {
            scope.spawn(|| check(probe));
        }
    });
}

/// Where the Service `kubernetes` leads.
fn api_server(platform: &Platform) -> (String, u16) {
    let slice = platform.lab.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes").unwrap();
    let address = slice["endpoints"][0]["addresses"][0].as_str().unwrap().to_owned();
    (address, u16::try_from(slice["ports"][0]["port"].as_u64().unwrap()).unwrap())
}

const KEYCLOAK: &str = "http://keycloak.iam-system.svc:8080/realms/platform";
const LABELS: &str = "http://loki.observability.svc:3100/loki/api/v1/labels";
const PUSH: &str = "http://loki.observability.svc:3100/loki/api/v1/push";
const DELETE: &str = "http://loki.observability.svc:3100/loki/api/v1/delete";
const GRAFANA: &str = "http://grafana.observability.svc:80/api/health";
const DATABASE: &str = "postgres-rw.iam-system.svc:5432";

/// MESH-6: with the `NetworkPolicies` opened and a certificate of the mesh, an identity gets what the policies of a service name it
/// for, and nothing else: neither other services, nor other operations of the same one.
pub(crate) fn authorization_policies_refuse_other_identities(platform: &Platform) {
    let stranger = Probe::meshed(STRANGERS, "meshed", "default");
    let iam = Probe::meshed("iam-system", "bystander", "default");
    let keycloak = Probe::meshed("iam-system", "as-keycloak", "keycloak");
    let observability = Probe::meshed("observability", "bystander", "default");
    let grafana = Probe::meshed("observability", "as-grafana", "grafana");
    let promtail = Probe::meshed("observability", "as-promtail", "promtail");
    let all = [stranger, iam, keycloak, observability, grafana, promtail];

    let probes = Probes::new(platform);
    probes.open(&["iam-system", "observability", "istio-system"]);
    probes.start(&all);
    let asked = |probe: &Probe, method: &str, url: &str, beginning: &str| {
        probes.expect(probe, &["status", method, url], beginning);
    };
    let denied = "403 RBAC: access denied";
    for probe in &all {
        // Keycloak knows the gateway alone.
        asked(probe, "GET", KEYCLOAK, denied);
        asked(probe, "GET", GRAFANA, denied);
        asked(probe, "DELETE", DELETE, denied);
        let is = |other: &Probe| (probe.namespace, probe.name) == (other.namespace, other.name);
        asked(probe, "GET", LABELS, if is(&grafana) { "200" } else { denied });
        // Without a line to push that is a bad request, which Loki itself says.
        asked(probe, "POST", PUSH, if is(&promtail) { "4" } else { denied });
        let database = if is(&keycloak) { r#"answered: "S""# } else { "closed" };
        probes.expect(probe, &["say", DATABASE, r"\x00\x00\x00\x08\x04\xd2\x16\x2f"], database);
    }
    let said = probes.ask(&promtail, &["status", "POST", PUSH]);
    assert!(!said.starts_with("403"), "{said}");

    // It was the sidecar of the service that refused, and by its policies.
    let reason = "rbac_access_denied_matched_policy[none]";
    let refused = |namespace: &str, selector: &str, probe: &Probe| {
        let found: Vec<Value> = pods(platform, namespace, selector);
        assert_eq!(found.len(), 1, "{selector}");
        sidecar_refused(platform, namespace, name(&found[0]), &probes.address(probe), reason);
    };
    for probe in [&stranger, &iam, &observability] {
        refused("iam-system", "app.kubernetes.io/name=keycloak", probe);
        refused("iam-system", "cnpg.io/cluster=postgres,cnpg.io/instanceRole=primary", probe);
        refused("observability", "app.kubernetes.io/name=loki", probe);
        refused("observability", "app.kubernetes.io/name=grafana", probe);
    }
    eventually("the closed door to be the database's, not the network's", || {
        let said = probes.ask(&iam, &["reach", DATABASE]);
        if said.ends_with("connected") { Ok(()) } else { Err(said) }
    });
}
