//! The platform as people outside of it reach it: over HTTPS at the gateway's address, trusting the platform's CA and nothing else.

use std::process::Command;

use base64::Engine as _;
use serde_json::Value;

use crate::platform::Platform;

/// The domain of the profile `dev`.
pub(crate) const DOMAIN: &str = "platform.localhost";

/// A host behind the gateway.
pub(crate) struct Host {
    name: String,
    address: String,
    ca: tempfile::NamedTempFile,
}

impl Host {
    /// `auth` and the like.
    pub(crate) fn of(platform: &Platform, name: &str) -> Self {
        let service = platform.lab.get("/api/v1/namespaces/istio-ingress/services/istio-gateway").unwrap();
        let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap().to_owned();
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), secret(platform, "platctl-system", "platctl-ca", "ca.crt")).unwrap();
        Self { name: format!("{name}.{DOMAIN}"), address, ca }
    }

    /// The status and the body of the answer; what curl says when there was none.
    pub(crate) fn call(&self, path: &str, arguments: &[&str]) -> Result<(u16, String), String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}", "--cacert"])
            .arg(self.ca.path());
        curl.args(["--resolve", &format!("{}:443:{}", self.name, self.address)]);
        let output = curl.args(arguments).arg(format!("https://{}{path}", self.name)).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        Ok((status.parse().unwrap(), body.to_owned()))
    }
}

/// One value of a Secret.
pub(crate) fn secret(platform: &Platform, namespace: &str, name: &str, key: &str) -> String {
    let secret = platform.lab.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"));
    let value = secret.as_ref().and_then(|secret| secret["data"][key].as_str());
    assert!(value.is_some(), "Secret {namespace}/{name} has no {key}");
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(value.unwrap()).unwrap()).unwrap()
}

/// The administrator's access token, which takes Keycloak a look into its database.
pub(crate) fn administrator_token(platform: &Platform, auth: &Host) -> Result<String, String> {
    let user = format!("username={}", secret(platform, "iam-system", "keycloak-admin", "username"));
    let password = format!("password={}", secret(platform, "iam-system", "keycloak-admin", "password"));
    let mut arguments = vec!["--data", "grant_type=password", "--data", "client_id=admin-cli"];
    arguments.extend(["--data-urlencode", &user, "--data-urlencode", &password]);
    let (status, body) = auth.call("/realms/master/protocol/openid-connect/token", &arguments)?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    answer["access_token"].as_str().map(str::to_owned).ok_or_else(|| format!("{status}: {body}"))
}
