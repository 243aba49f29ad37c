//! The certificates by which people know the gateway: where they are, when they end, and what is said of one that ends soon. Pure: the time
//! is an argument.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use x509_parser::pem::parse_x509_pem;

use crate::object::{GENERATED_LABEL, Id, OWN_NAMESPACE, Object};
use crate::plan::Plan;
use crate::plan::catalog::CertificateSpec;
use crate::plan::profile::TlsMode;
use crate::plan::reach::GATEWAY;

/// The CA of a generated certificate, for `ca.crt` and for people to trust.
pub const CA_SECRET: &str = "platctl-ca";

/// From how many days before its end on a certificate is spoken of. Nobody looks at `status` every day.
pub const SOON: i64 = 30;

const DAY: i64 = 24 * 60 * 60;

/// What is known of a certificate without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub secret: Id,
    /// Whether platctl made it.
    pub generated: bool,
    /// In hexadecimal, as openssl prints it.
    pub serial: String,
    /// The day on which it ends, in UTC.
    pub ends: String,
    /// Whole days until then; negative once it is over.
    pub days_left: i64,
}

/// The Secret of the gateway's certificate and the names in it.
pub fn of_gateway(plan: &Plan) -> Option<(Id, &CertificateSpec)> {
    let planned = plan.components().find(|planned| planned.component.name == GATEWAY)?;
    let mut found = planned.component.secrets.iter().filter_map(|spec| Some((spec, spec.certificate.as_ref()?)));
    let (spec, certificate) = found.next()?;
    let mut id = planned.component.secret_id(spec);
    id.name.clone_from(&plan.profile.tls.secret_name);
    Some((id, certificate))
}

/// A host that the gateway's certificate is for.
pub fn host(plan: &Plan) -> String {
    let mut routes = plan.components().flat_map(|planned| &planned.component.routes);
    let host = routes.next().map_or("gateway", |route| route.host.as_str());
    format!("{host}.{}", plan.profile.domain)
}

pub fn authority() -> Id {
    Id::new("v1", "Secret", Some(OWN_NAMESPACE), CA_SECRET)
}

/// The Secrets whose certificates are looked at.
pub fn watched(plan: &Plan) -> Vec<Id> {
    let own = (plan.profile.tls.mode == TlsMode::Generated).then(authority);
    of_gateway(plan).map(|(id, _)| id).into_iter().chain(own).collect()
}

/// Reads the first certificate of a live Secret; `now` is in seconds since 1970. None where it holds none that can be read.
pub fn read(secret: &Object, now: i64) -> Option<Certificate> {
    let key = if secret.name() == CA_SECRET { "ca.crt" } else { "tls.crt" };
    let text = secret.value().get("data")?.get(key)?.as_str()?;
    let (_, pem) = parse_x509_pem(&STANDARD.decode(text).ok()?).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let ends = certificate.validity().not_after;
    Some(Certificate {
        secret: secret.id(),
        generated: secret.label(GENERATED_LABEL).is_some(),
        serial: hexadecimal(certificate.raw_serial()),
        ends: ends.to_datetime().date().to_string(),
        days_left: (ends.timestamp() - now).div_euclid(DAY),
    })
}

/// The serial number of a certificate in DER.
pub fn serial(der: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(hexadecimal(certificate.raw_serial()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}

impl Certificate {
    /// Title and hint for one that ends soon or has ended.
    pub fn complaint(&self) -> Option<(String, String)> {
        if self.days_left >= SOON {
            return None;
        }
        let is_authority = self.secret == authority();
        let whose = if is_authority { "the certificate of platctl's CA" } else { "the gateway's certificate" };
        let when = match self.days_left {
            ..0 => format!("ended on {}", self.ends),
            0 => format!("ends within a day, on {}", self.ends),
            1 => format!("ends in 1 day, on {}", self.ends),
            days => format!("ends in {days} days, on {}", self.ends),
        };
        let hint = if is_authority {
            new_authority()
        } else if self.generated {
            format!("`platctl credentials rotate {GATEWAY}` makes a new one")
        } else {
            format!("renew it where it comes from: {} was supplied from outside", self.secret)
        };
        Some((format!("{whose} ({}) {when}", self.secret), hint))
    }
}

/// How a CA is replaced. Everybody has to trust the new one, so platctl does not do it unasked.
pub fn new_authority() -> String {
    format!(
        "`kubectl delete secret {CA_SECRET} -n {OWN_NAMESPACE}`, then `platctl credentials rotate {GATEWAY}` makes another, which is to \
         be trusted anew: `platctl trust`"
    )
}
