//! After the installation: logins are shown and changed, and ports lead to components. Argo CD and Gitea are the real programs, so who logs
//! in with which password is their own word.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::lab::{Lab, eventually};
use crate::run::Run;

/// The handoff belongs to it: Argo CD has to know the Git server's new password.
const INSTALL: [&str; 6] =
    ["install", "--yes", "--set", "components.postgres.enabled=false", "--set", "components.keycloak.enabled=false"];

#[test]
fn passwords_change_and_ports_lead_to_pods() {
    let lab = Lab::start();
    lab.run(&INSTALL).expect(0);

    let hidden = lab.run(&["credentials"]).expect(0);
    let logins = hidden.document();
    let names: Vec<&str> =
        logins.as_array().unwrap().iter().map(|login| login["component"].as_str().unwrap()).collect();
    assert_eq!(names, ["grafana", "argocd", "gitea"]);
    for component in names {
        assert!(!hidden.stdout.contains(&password(&lab, component)), "{component}: {}", hidden.stdout);
    }
    lab.run(&["credentials", "loki"]).expect(2).expect_words(&["no login", "grafana"]);
    by_hand_only(&lab);
    argo_cd(&lab);
    gitea(&lab);
}

fn by_hand_only(lab: &Lab) {
    let before = password(lab, "grafana");
    let refused = lab.run(&["credentials", "rotate", "grafana", "--yes"]).expect(3);
    refused.expect_words(&["when it makes its database", "platctl open grafana", "observability/grafana-admin"]);
    assert_eq!(password(lab, "grafana"), before);
}

/// The new password is in force, the old is not; then the port still leads to Argo CD when its pod is another one.
fn argo_cd(lab: &Lab) {
    let old = password(lab, "argocd");
    let rotated = lab.run(&["credentials", "rotate", "argocd", "--yes"]).expect(0);
    let new = password(lab, "argocd");
    assert!(old != new && new.len() == old.len());
    assert!(![&rotated.stdout, &rotated.stderr].iter().any(|said| said.contains(&new) || said.contains(&old)));

    let (run, address) = forward(lab, &["port-forward", "argocd", "0"]);
    let login = |password: &str| {
        let fields = [(0x0a, "admin"), (0x12, password)];
        let message: Vec<u8> = fields
            .iter()
            .flat_map(|(tag, text)| [&[*tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat())
            .collect();
        let body = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message.as_slice()].concat();
        let head = "POST /session.SessionService/Create HTTP/1.0\r\nContent-Type: application/grpc-web+proto\r\n";
        exchange(&address, head, &body).to_lowercase()
    };
    let said = login(&new);
    assert!(said.contains("grpc-status: 0"), "{said}");
    let said = login(&old);
    assert!(said.contains("grpc-status: 16"), "{said}");

    lab.kubectl(&["delete", "pod", "-n", "argocd", "-l", "app.kubernetes.io/name=argocd-server", "--wait=false"]);
    eventually("Argo CD to be reached again", || {
        let said = exchange(&address, "GET /healthz HTTP/1.0\r\n", b"");
        if said.starts_with("HTTP/1.0 200") { Ok(()) } else { Err(said) }
    });
    run.interrupt();
    run.end().expect(0);
}

/// Gitea takes the new password only, and Argo CD, which fetches with it, goes on.
fn gitea(lab: &Lab) {
    let old = password(lab, "gitea");
    let shown = lab.run(&["credentials", "rotate", "gitea", "--yes", "--show"]).expect(0);
    let new = password(lab, "gitea");
    assert_eq!(shown.document()["password"], new);
    assert_ne!(old, new);

    let (run, address) = forward(lab, &["open", "gitea", "--port", "0"]);
    let status = |password: &str| {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("platctl:{password}"));
        let head = format!("GET /api/v1/user HTTP/1.0\r\nAuthorization: Basic {basic}\r\n");
        exchange(&address, &head, b"").split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!((status(&new).as_str(), status(&old).as_str()), ("200", "401"));
    run.interrupt();
    run.end().expect(0);

    assert_eq!(lab.secret("argocd", "platform-repository")["password"], new);
    lab.kubectl(&["annotate", "application", "grafana", "-n", "argocd", "argocd.argoproj.io/refresh=hard"]);
    eventually("Argo CD to have fetched with the new password", || {
        let path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/grafana";
        let application = lab.get(path).unwrap();
        let is_asked = application["metadata"]["annotations"]["argocd.argoproj.io/refresh"].is_string();
        let status = &application["status"];
        let is_fine = status["sync"]["status"] == "Synced" && status["conditions"].as_array().is_none_or(Vec::is_empty);
        if !is_asked && is_fine { Ok(()) } else { Err(status.to_string()) }
    });
}

fn password(lab: &Lab, component: &str) -> String {
    let (namespace, secret, key) = match component {
        "grafana" => ("observability", "grafana-admin", "admin-password"),
        "argocd" => ("argocd", "argocd-admin", "password"),
        _ => ("gitea", "gitea-admin", "password"),
    };
    lab.secret(namespace, secret)[key].clone()
}

/// A port that is open: the run that keeps it so, and its address.
fn forward(lab: &Lab, arguments: &[&str]) -> (Run, String) {
    let mut run = lab.spawn(arguments);
    let document: Value = run.document_so_far();
    let address = match document["address"].as_str() {
        Some(address) => address.to_owned(),
        None => format!("127.0.0.1:{}", document["port"]),
    };
    (run, address)
}

/// One request over a connection of its own; empty when that breaks.
fn exchange(address: &str, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::lab::PATIENCE)).unwrap();
    let length = body.len();
    let request = [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), body].concat();
    let mut answer = Vec::new();
    let _ = stream.write_all(&request).and_then(|()| stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}
