//! The gateway's certificate: renewed from the CA that is there, proven by a handshake, warned of before it ends. No gateway runs on
//! simulated nodes; a small TLS server at its pod's address shows what the Secret holds, as Envoy would.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platctl::plan::certificates::serial;
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use crate::SMALL;
use crate::lab::{Lab, PATIENCE};

const ROTATE: [&str; 4] = ["credentials", "rotate", "istio-gateway", "--yes"];

/// How often the stand-in shows its old certificate after the Secret has a new one: istiod takes its time too.
const LATE: usize = 2;

#[test]
fn the_gateways_certificate_is_renewed() {
    let lab = Lab::start();
    lab.run(&SMALL).expect(0);
    not_proven_is_said(&lab);

    let (before, authority) = (shown_by(&lab, "istio-ingress", "platform-tls"), ca(&lab));
    with_gateway(&lab, |asked| {
        let renewed = lab.run(&ROTATE).expect(0).document();
        let after = shown_by(&lab, "istio-ingress", "platform-tls");
        assert_ne!(before, after);
        assert_eq!(renewed["serial"], after);
        assert_eq!((&renewed["newAuthority"], ca(&lab) == authority), (&json!(false), true));
        assert!(renewed["shownBy"].as_str().unwrap().starts_with("istio-gateway-"), "{renewed}");
        assert!(asked.load(Ordering::SeqCst) > LATE, "the old certificate was taken for the new one");
    });
    assert_eq!(warnings(&lab), [""; 0]);

    // Near its end everybody is told, with the command that renews it.
    ends_in(&lab, 12);
    let warned = warnings(&lab);
    assert!(warned.len() == 1 && warned[0].contains("rotate istio-gateway"), "{warned:?}");
    let findings = lab.run(&["preflight"]).expect(0).document()["findings"].clone();
    assert!(findings.as_array().unwrap().iter().any(|finding| finding["check"] == "certificates"), "{findings}");
    with_gateway(&lab, |_| drop(lab.run(&ROTATE).expect(0)));
    assert_eq!(warnings(&lab), [""; 0]);

    // A CA that was removed is made anew, and that is said.
    lab.kubectl(&["delete", "secret", "platctl-ca", "-n", "platctl-system"]);
    with_gateway(&lab, |_| assert_eq!(lab.run(&ROTATE).expect(0).document()["newAuthority"], true));
    assert_ne!(ca(&lab), authority);

    // What was supplied from outside is not platctl's to renew.
    lab.kubectl(&["label", "secret", "platform-tls", "-n", "istio-ingress", "platctl.dev/generated-"]);
    let before = shown_by(&lab, "istio-ingress", "platform-tls");
    lab.run(&ROTATE).expect(3).expect_words(&["supplied from outside", "renew it where it comes from"]);
    assert_eq!(shown_by(&lab, "istio-ingress", "platform-tls"), before);
    lab.run(&[&ROTATE[..], &["--show"]].concat()).expect(2).expect_words(&["a certificate has none"]);
}

/// Nothing listens in the pod: the Secret has the new one, and that it is shown is not claimed.
fn not_proven_is_said(lab: &Lab) {
    let before = shown_by(lab, "istio-ingress", "platform-tls");
    let said = lab.run(&ROTATE).expect(1);
    let after = shown_by(lab, "istio-ingress", "platform-tls");
    assert_ne!(before, after);
    said.expect_words(&[&after, "could not be seen", "failed to connect"]);
}

fn ca(lab: &Lab) -> String {
    lab.secret("platctl-system", "platctl-ca")["ca.crt"].clone()
}

/// The serial number of the certificate in a Secret.
fn shown_by(lab: &Lab, namespace: &str, secret: &str) -> String {
    let pem = lab.secret(namespace, secret)["tls.crt"].clone();
    serial(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap()
}

/// What `status` says of certificates.
fn warnings(lab: &Lab) -> Vec<String> {
    let status = lab.run(&["status"]).expect(0).document();
    let findings = status["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().filter(|finding| finding["check"] == "certificates").map(Value::to_string).collect()
}

/// Puts a certificate that ends so soon in the place of the gateway's.
fn ends_in(lab: &Lab, days: i64) {
    let authority = lab.secret("platctl-system", "platctl-ca");
    let issuer =
        Issuer::from_ca_cert_pem(&authority["ca.crt"], KeyPair::from_pem(&authority["ca.key"]).unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["*.platform.localhost".to_owned()]).unwrap();
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let data = json!({"tls.crt": STANDARD.encode(certificate.pem()), "tls.key": STANDARD.encode(key.serialize_pem())});
    let patch = json!({ "data": data }).to_string();
    lab.kubectl(&["patch", "secret", "platform-tls", "-n", "istio-ingress", "--type=merge", "-p", &patch]);
}

/// Something listens where the gateway does; `during` gets how often it was asked.
fn with_gateway(lab: &Lab, during: impl FnOnce(&AtomicUsize)) {
    let pods = lab.list("/api/v1/namespaces/istio-ingress/pods?labelSelector=app.kubernetes.io/name=istio-gateway");
    let listener = TcpListener::bind((pods[0]["status"]["podIP"].as_str().unwrap(), 8443)).unwrap();
    let address = listener.local_addr().unwrap();
    let (ends, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let first = lab.secret("istio-ingress", "platform-tls");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for connection in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let secret = if asked.fetch_add(1, Ordering::SeqCst) < LATE {
                    first.clone()
                } else {
                    lab.secret("istio-ingress", "platform-tls")
                };
                show(connection, &secret["tls.crt"], &secret["tls.key"]);
            }
        });
        // The server ends with the test's own verdict, whatever that is.
        let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| during(&asked)));
        ends.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(address));
        if let Err(panic) = verdict {
            std::panic::resume_unwind(panic);
        }
    });
}

fn show(mut connection: TcpStream, chain: &str, key: &str) {
    let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain.into_iter().map(CertificateDer::into_owned).collect(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut session = ServerConnection::new(Arc::new(config)).unwrap();
    while session.is_handshaking() {
        // Whoever does not like the certificate hangs up.
        match session.complete_io(&mut connection) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return,
            _ => {}
        }
    }
    session.send_close_notify();
    let _ = session.complete_io(&mut connection);
}
