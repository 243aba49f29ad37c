//! The gateway's certificate and the CA that signs it: made at the installation, the former anew when people ask for it. A new one is
//! proven by a TLS handshake with the gateway.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Engine;
use super::inventory::NAMESPACE;
use super::rotation::{PATIENCE, nothing_changed};
use super::secrets::{Keys, decode};
use crate::cluster::FIELD_MANAGER;
use crate::failure::{Advise, code};
use crate::object::{COMPONENT_LABEL, GENERATED_LABEL, Object};
use crate::plan::Plan;
use crate::plan::catalog::CertificateSpec;
use crate::plan::certificates::{self, CA_SECRET, Certificate};
use crate::plan::reach::{self, GATEWAY};

const CA_DAYS: i64 = 3650;
/// Browsers refuse server certificates that are valid for longer.
const SERVER_DAYS: i64 = 397;

/// The gateway has a new certificate from istiod within a second or two.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// A gateway that is ready and does not answer so many times will not.
const FAILURES: u32 = 5;

/// A certificate that was replaced.
pub struct Renewed {
    pub certificate: Certificate,
    /// The pod that showed it.
    pub pod: String,
    /// Whether its CA is a new one too.
    pub has_new_authority: bool,
}

impl Engine {
    /// A server certificate under the platform's CA, which is made the first time.
    pub(super) async fn certificate(&self, spec: &CertificateSpec, domain: &str, deadline: Instant) -> Result<Keys> {
        let id = certificates::authority();
        let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
        let authority = if let Some(live) = &live { decode(live) } else { self.make_authority(deadline).await? };
        let known = live.as_ref().and_then(|live| certificates::read(live, now()));
        // What outlives its CA is worth nothing from there on, and nobody would be warned in time.
        let days = known.as_ref().map_or(SERVER_DAYS, |known| known.days_left.min(SERVER_DAYS));
        if let Some(known) = known.filter(|_| days < 1) {
            return Err(anyhow!("the certificate of platctl's CA ({id}) ends on {}", known.ends))
                .hint(certificates::new_authority())
                .exit(code::REFUSED);
        }
        let hosts = spec.hosts.iter().map(|host| host.replace("{domain}", domain)).collect();
        sign(hosts, &authority, days).context("make the gateway's certificate")
    }

    async fn make_authority(&self, deadline: Instant) -> Result<Keys> {
        let authority = new_authority().context("make the CA")?;
        let data: BTreeMap<_, _> = authority.iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let object = Object::new(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": CA_SECRET, "namespace": NAMESPACE,
                         "labels": {COMPONENT_LABEL: FIELD_MANAGER, GENERATED_LABEL: "keep"}},
            "data": data,
        }))
        .map_err(|missing| anyhow!(missing))?;
        self.create_once(&object, deadline).await?;
        Ok(authority)
    }

    /// Gives the gateway a new certificate from the CA that is there, and waits until it shows it.
    pub async fn renew_certificate(&self, plan: &Plan) -> Result<Renewed> {
        let deadline = Instant::now() + PATIENCE;
        let (id, spec) = certificates::of_gateway(plan).context("the gateway's chart declares no certificate")?;
        let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
        let live = live.with_context(|| format!("{id} does not exist"))?;
        if live.label(GENERATED_LABEL).is_none() {
            return Err(anyhow!("{id} was supplied from outside"))
                .hint("renew it where it comes from (cert-manager does it by itself); the gateway takes the new one without a restart")
                .exit(code::REFUSED);
        }
        let server = reach::target(plan, GATEWAY)?;
        // Nothing is changed where the result could not be proven.
        self.cluster.ready_pod(&server).await.map_err(nothing_changed)?;
        let authority = certificates::authority();
        let is_there = self.persist(&format!("get {authority}"), deadline, || self.cluster.get(&authority)).await?;
        let keys = self.certificate(spec, &plan.profile.domain, deadline).await?;
        let pairs: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.write_keys(&id, &pairs, deadline).await?;
        let written = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
        let certificate = written.and_then(|written| certificates::read(&written, now()));
        let certificate = certificate.with_context(|| format!("{id} holds no certificate any more"))?;
        let ca = keys.get("ca.crt").context("the new certificate came without its CA")?;
        let shown = self.await_shown(&server, &certificates::host(plan), ca, &certificate.serial).await;
        let pod = shown
            .with_context(|| {
                format!("the new certificate {} is in {id}, but that the gateway shows it could not be seen", certificate.serial)
            })
            .hint("`platctl status` tells whether the gateway is ready; `platctl open grafana` and a browser show its certificate")?;
        Ok(Renewed { certificate, pod, has_new_authority: is_there.is_none() })
    }

    /// Connects as people do, trusting this CA and nothing else, until the certificate of that number is shown. Gives the pod's name.
    async fn await_shown(&self, server: &reach::Target, host: &str, ca: &str, serial: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut failures = 0;
        loop {
            let why = match self.cluster.shown_certificate(server, host, ca).await {
                Ok((pod, der)) => match certificates::serial(&der) {
                    Some(shown) if shown == serial => return Ok(pod),
                    Some(shown) => anyhow!("Pod {pod} still shows {shown}"),
                    None => anyhow!("Pod {pod} shows a certificate that cannot be read"),
                },
                Err(problem) => {
                    failures += 1;
                    anyhow!(problem)
                }
            };
            if failures == FAILURES || Instant::now() + ASK_AFTER > deadline {
                return Err(why);
            }
            tokio::time::sleep(ASK_AFTER).await;
        }
    }
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn new_authority() -> Result<Keys> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "platctl CA");
    valid_for(&mut params, CA_DAYS);
    let certificate = params.self_signed(&key)?;
    Ok(Keys::from([("ca.crt".to_owned(), certificate.pem()), ("ca.key".to_owned(), key.serialize_pem())]))
}

fn sign(hosts: Vec<String>, authority: &Keys, days: i64) -> Result<Keys> {
    let text = |key: &str| authority.get(key).with_context(|| format!("Secret {CA_SECRET} lacks `{key}`"));
    let (ca, ca_key) = (text("ca.crt")?, KeyPair::from_pem(text("ca.key")?)?);
    let issuer = Issuer::from_ca_cert_pem(ca, ca_key)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name.push(DnType::CommonName, "platctl gateway");
    valid_for(&mut params, days);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Keys::from([
        ("tls.crt".to_owned(), certificate.pem() + ca),
        ("tls.key".to_owned(), key.serialize_pem()),
        ("ca.crt".to_owned(), ca.clone()),
    ]))
}

/// From an hour ago, for clocks that are a little slow.
fn valid_for(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(days);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_signed_by_the_authority() {
        let authority = new_authority().unwrap();
        let keys = sign(vec!["*.example.org".to_owned()], &authority, SERVER_DAYS).unwrap();
        assert_eq!(keys["ca.crt"], authority["ca.crt"]);
        assert_eq!(keys["tls.crt"].matches("BEGIN CERTIFICATE").count(), 2);
    }

    /// What is read of a Secret is what was made.
    #[test]
    fn certificates_are_read_as_they_were_made() {
        let authority = new_authority().unwrap();
        let of = |name: &str, keys: &Keys| {
            let data: BTreeMap<_, _> = keys.iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": data,
                                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {GENERATED_LABEL: "true"}}});
            certificates::read(&Object::new(secret).unwrap(), now()).unwrap()
        };
        let hosts = || vec!["*.example.org".to_owned()];
        let (first, second) = (sign(hosts(), &authority, 12).unwrap(), sign(hosts(), &authority, 12).unwrap());
        let (first, second) = (of("platform-tls", &first), of("platform-tls", &second));
        assert!((11..=12).contains(&first.days_left) && first.generated, "{first:?}");
        assert_ne!(first.serial, second.serial);
        assert!((CA_DAYS - 1..=CA_DAYS).contains(&of(CA_SECRET, &authority).days_left));
    }
}
