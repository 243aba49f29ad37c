//! `platctl trust`: the certificate of the platform's own CA, and the commands that make systems trust it. It changes no system itself.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{connect, installed, secret};
use crate::cli::{Global, Trust};
use crate::engine::inventory::NAMESPACE;
use crate::failure::{Advise, code};
use crate::plan::certificates;
use crate::plan::logins::logins;
use crate::ui::Ui;

/// The file that the instructions speak of when the certificate goes to stdout.
const FILE: &str = "platctl-ca.crt";

pub(super) async fn run(global: &Global, flags: &Trust, ui: &Ui) -> Result<u8> {
    let (cluster, _) = connect(global).await?;
    let (_, plan) = installed(&cluster).await?;
    let id = certificates::authority();
    let certificate = secret(&cluster, &id)
        .await?
        .and_then(|mut keys| keys.remove("ca.crt"))
        .ok_or_else(|| anyhow!("there is no {id}: platctl has made no CA here"))
        .hint("a profile with `tls.mode: secret` has a certificate of yours, which your own CA has signed")
        .exit(code::REFUSED)?;
    let urls: Vec<String> =
        logins(&plan).into_iter().map(|login| login.url).filter(|url| url.starts_with("https://")).collect();
    let fingerprint = fingerprint(&certificate).context("read the CA's certificate")?;
    let document = json!({"certificate": certificate, "sha256": fingerprint, "file": flags.out});
    if let Some(path) = &flags.out {
        std::fs::write(path, &certificate).with_context(|| format!("write `{}`", path.display()))?;
        ui.result(&document, &format!("wrote the CA's certificate to `{}`\n", path.display()))?;
    } else {
        ui.result(&document, &certificate)?;
    }
    let path = flags.out.as_deref().unwrap_or(Path::new(FILE)).display().to_string();
    ui.say(&instructions(&path, &fingerprint, urls.first().map(String::as_str), flags.out.is_some()));
    Ok(0)
}

/// SHA-256 of the certificate itself, as browsers and openssl show it.
fn fingerprint(pem: &str) -> Result<String> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let digest = Sha256::digest(STANDARD.decode(body)?);
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(bytes.join(":"))
}

fn instructions(file: &str, fingerprint: &str, url: Option<&str>, is_written: bool) -> String {
    let mut text = String::new();
    if !is_written {
        text += &format!("\nwrite it to a file with `--out {file}`, then:\n");
    }
    let ways = [
        (
            "Debian, Ubuntu",
            format!("sudo cp {file} /usr/local/share/ca-certificates/platctl.crt\nsudo update-ca-certificates"),
        ),
        ("Fedora, RHEL", format!("sudo trust anchor {file}")),
        ("macOS", format!("security add-trusted-cert -r trustRoot {file}")),
        ("Windows", format!("certutil -user -addstore Root {file}")),
        ("Chrome on Linux", format!("certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n platctl -i {file}")),
        ("Firefox", "Settings, Privacy & Security, View Certificates, Authorities, Import".to_owned()),
        ("only one request", format!("curl --cacert {file} {}", url.unwrap_or("https://HOST"))),
    ];
    for (system, commands) in ways {
        text += &format!("\n{system}\n  {}\n", commands.replace('\n', "\n  "));
    }
    let (first, second) = fingerprint.split_at(fingerprint.len().min(48));
    text += &format!("\nSHA-256\n  {first}\n  {second}\n");
    text += &format!("\nwho has the CA's key, a Secret in {NAMESPACE}, can sign for every name:\n");
    text + "trust it on your own machine only"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_openssl() {
        let pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        assert!(fingerprint(pem).unwrap().starts_with("BA:78:16:BF:8F:01:CF:EA:"));
    }

    #[test]
    fn instructions_fit_a_terminal() {
        let fingerprint = vec!["AB"; 32].join(":");
        let text = instructions("platctl-ca.crt", &fingerprint, Some("https://grafana.platform.localhost"), false);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
