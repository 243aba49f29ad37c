//! What a person does: through the gateway's TLS address by the names of the platform, with the credentials that were generated.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database;
use crate::gateway::secret;
use crate::lab::eventually;
use crate::logins::{AUTH, PASSWORD, USER, administrator, create_person, delete_person, log_in};
use crate::platform::Platform;
use crate::traces::{name, pods};

const GRAFANA: &str = "https://grafana.platform.localhost";
const ARGOCD: &str = "https://argocd.platform.localhost";

/// A person's browser: it trusts the platform's authority alone, and keeps cookies until it is dropped.
pub(crate) struct Browser {
    gateway: String,
    files: TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Fails unless the status is this one.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "{status} was expected: {}\n{}", self.head, self.body);
        self
    }

    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.body);
        assert!(parsed.is_ok(), "no JSON: {}\n{}", self.head, self.body);
        parsed.unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

impl Browser {
    pub(crate) fn open(platform: &Platform) -> Self {
        let service = platform.lab.get("/api/v1/namespaces/istio-ingress/services/istio-gateway").unwrap();
        let gateway = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str();
        assert!(gateway.is_some(), "the gateway has no address: {service:#}");
        let files = tempfile::tempdir().unwrap();
        let authority = secret(platform, "istio-ingress", "platform-tls", "ca.crt");
        std::fs::write(files.path().join("ca.crt"), authority).unwrap();
        Self { gateway: gateway.unwrap().to_owned(), files }
    }

    /// One request, its body on stdin; what curl says when there is no answer. Redirects are not followed.
    fn send(&self, method: &str, url: &str, headers: &[&str], body: &str) -> Result<Answer, String> {
        let file = |name: &str| self.files.path().join(name);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-i", "--max-time", "60", "-X", method]).arg("--cacert").arg(file("ca.crt"));
        for port in [80, 443] {
            curl.arg("--resolve").arg(format!("*:{port}:{}", self.gateway));
        }
        curl.arg("-b").arg(file("cookies")).arg("-c").arg(file("cookies"));
        curl.args(headers.iter().flat_map(|header| ["-H", *header]));
        if !body.is_empty() {
            curl.args(["--data-binary", "@-"]);
        }
        let mut child =
            curl.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    pub(crate) fn call(&self, method: &str, url: &str, headers: &[&str], body: &str) -> Answer {
        let answer = self.send(method, url, headers, body);
        assert!(answer.is_ok(), "{method} {url}: {}", answer.err().unwrap());
        answer.unwrap()
    }

    pub(crate) fn json(&self, method: &str, url: &str, token: &str, body: &Value) -> Answer {
        let bearer = format!("Authorization: Bearer {token}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call(method, url, &["Content-Type: application/json", &bearer], &body)
    }

    pub(crate) fn form(&self, url: &str, fields: &[(&str, &str)]) -> Answer {
        self.call("POST", url, &["Content-Type: application/x-www-form-urlencoded"], &encoded(fields))
    }
}

pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        let bytes = text.bytes();
        bytes.map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    fields.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value))).collect::<Vec<_>>().join("&")
}

/// MESH-2: TLS by the generated authority and no other; in the clear nothing but the way to TLS; no names but the platform's.
pub(crate) fn the_gateway_speaks_tls_alone(platform: &Platform) {
    let browser = Browser::open(platform);
    for host in [AUTH, GRAFANA, ARGOCD] {
        browser.call("GET", &format!("{host}/"), &[], "");
        let plain = host.replace("https", "http");
        let answer = browser.call("GET", &format!("{plain}/"), &[], "").expect(301);
        assert_eq!(answer.header("location").trim_end_matches('/'), host);
    }
    browser.call("GET", "https://other.platform.localhost/", &[], "").expect(404);
    // Another authority than the platform's: the mesh's own.
    let other = platform.lab.get("/api/v1/namespaces/istio-ingress/configmaps/istio-ca-root-cert").unwrap();
    std::fs::write(browser.files.path().join("ca.crt"), other["data"]["root-cert.pem"].as_str().unwrap()).unwrap();
    let refused = browser.send("GET", &format!("{AUTH}/"), &[], "").err().unwrap_or_default();
    assert!(refused.contains("certificate"), "{refused}");
}

/// MESH-2: a new certificate is in force at once, of the authority that people trust already.
pub(crate) fn the_gateway_shows_a_new_certificate(platform: &Platform) {
    let browser = Browser::open(platform);
    let shown = || {
        let ask = format!(
            "openssl s_client -connect {}:443 -servername {} </dev/null 2>/dev/null | openssl x509 -noout -serial",
            browser.gateway,
            AUTH.trim_start_matches("https://")
        );
        let output = Command::new("sh").args(["-c", &ask]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().trim_start_matches("serial=").to_owned()
    };
    let before = shown();
    let rotated = platform.lab.run(&["credentials", "rotate", "istio-gateway", "--yes"]).expect(0).document();
    assert_eq!(rotated["newAuthority"], false, "{rotated:#}");
    let after = shown();
    assert!(after != before && rotated["serial"] == after.as_str(), "before {before}, now {after}: {rotated:#}");
    browser.call("GET", &format!("{AUTH}/realms/platform"), &[], "").expect(200);
}

/// Asks the primary's database as its superuser, on its own socket.
fn query(platform: &Platform, sql: &str) -> String {
    let primary = pods(platform, "iam-system", "cnpg.io/cluster=postgres,cnpg.io/instanceRole=primary");
    database::query(platform, name(&primary[0]), "keycloak", sql).unwrap()
}

/// IAM-1, MESH-2: an administrator makes a user, who logs in by OpenID Connect; both through the gateway. The user is a row in
/// PostgreSQL, and is still there, with the same password, when Keycloak's pod is another one.
pub(crate) fn users_log_in_and_outlive_keycloak(platform: &Platform) {
    let browser = Browser::open(platform);
    let id = create_person(&browser, AUTH, &administrator(platform, &browser, AUTH));
    let claims = log_in(platform, PASSWORD).unwrap_or_else(|answer| answer.expect(302).json());
    assert_eq!((&claims["sub"], &claims["preferred_username"]), (&id.clone().into(), &USER.into()), "{claims:#}");
    let refused = log_in(platform, "not the password").err().map(|answer| answer.status);
    assert_eq!(refused, Some(200), "the form once more, and no code");
    let sql =
        format!("select u.id, r.name from user_entity u join realm r on r.id = u.realm_id where username = '{USER}'");
    assert_eq!(query(platform, &sql), format!("{id}|platform"));

    let before = pods(platform, "iam-system", "app.kubernetes.io/name=keycloak");
    for pod in &before {
        platform.lab.kubectl(&["delete", "pod", "-n", "iam-system", name(pod)]);
    }
    let rollout = ["rollout", "status", "deployment/keycloak", "-n", "iam-system", "--timeout=240s"];
    platform.lab.kubectl(&rollout);
    let after = pods(platform, "iam-system", "app.kubernetes.io/name=keycloak");
    let uids = |pods: &[Value]| -> Vec<String> { pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect() };
    assert!(uids(&after).iter().all(|uid| !uids(&before).contains(uid)), "it was not restarted");
    eventually("the gateway to find the new Keycloak", || {
        let answer = browser.call("GET", &format!("{AUTH}/realms/platform"), &[], "");
        if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.head, answer.body)) }
    });
    let again = log_in(platform, PASSWORD).unwrap_or_else(|answer| answer.expect(302).json());
    assert_eq!(again["sub"], claims["sub"]);
    delete_person(&browser, AUTH, &administrator(platform, &browser, AUTH));
}

/// MESH-2, GIT-1, OBS-3: the other two ways in. Each administrator gets in by the generated password and not by another one.
pub(crate) fn administrators_reach_argo_cd_and_grafana(platform: &Platform) {
    let browser = Browser::open(platform);
    let [username, password] = ["username", "password"].map(|key| secret(platform, "argocd", "argocd-admin", key));
    let session = |password: &str| {
        let body = json!({"username": username, "password": password}).to_string();
        browser.call("POST", &format!("{ARGOCD}/api/v1/session"), &["Content-Type: application/json"], &body)
    };
    let token = session(&password).expect(200).json()["token"].as_str().unwrap().to_owned();
    let applications = format!("{ARGOCD}/api/v1/applications");
    let found = browser.json("GET", &applications, &token, &Value::Null).expect(200).json();
    let names: Vec<&str> =
        found["items"].as_array().unwrap().iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    assert!(names.contains(&"keycloak") && names.contains(&"argocd"), "{names:?}");
    session("wrong").expect(401);
    Browser::open(platform).call("GET", &applications, &[], "").expect(401);

    let key = |key: &str| secret(platform, "observability", "grafana-admin", key);
    let (username, password) = (key("admin-user"), key("admin-password"));
    let log_in = |password: &str| {
        let body = json!({"user": username, "password": password}).to_string();
        browser.call("POST", &format!("{GRAFANA}/login"), &["Content-Type: application/json"], &body)
    };
    log_in("wrong").expect(401);
    browser.call("GET", &format!("{GRAFANA}/api/datasources"), &[], "").expect(401);
    log_in(&password).expect(200);
    let sources = browser.call("GET", &format!("{GRAFANA}/api/datasources"), &[], "").expect(200).json();
    let loki = sources.as_array().unwrap().iter().find(|source| source["type"] == "loki");
    assert!(loki.is_some(), "{sources:#}");
    // Through the mesh to Loki and back.
    let uid = loki.unwrap()["uid"].as_str().unwrap();
    browser.call("GET", &format!("{GRAFANA}/api/datasources/uid/{uid}/health"), &[], "").expect(200);
}
