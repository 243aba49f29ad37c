//! What a server behind a forwarded port shows of itself by TLS: the one handshake that proves a certificate.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::forward::{passing, refusal};
use super::{Class, Cluster, Problem, REQUEST_TIMEOUT};
use crate::plan::reach::Target;

const WHO: &str = "TLS";

impl Cluster {
    /// The certificate, in DER, that a ready pod shows to somebody who asks for this host and trusts this CA alone, and the pod's name.
    pub async fn shown_certificate(&self, server: &Target, host: &str, ca: &str) -> Result<(String, Vec<u8>), Problem> {
        let pod = self.ready_pod(server).await?;
        let (stream, mut forward) = self.dial(&server.namespace, &pod, server.port).await?;
        let refused = forward.take_error(server.port);
        let problem = match tokio::time::timeout(REQUEST_TIMEOUT, handshake(stream, host, ca)).await {
            Ok(Ok(shown)) => return Ok((pod, shown)),
            Ok(Err(problem)) => problem,
            Err(_) => passing(WHO, &format!("no answer in {} s", REQUEST_TIMEOUT.as_secs())),
        };
        // What the node says of the pod's port is nearer to the cause than that the connection ended.
        Err(match refusal(refused).await {
            Some(said) => passing(WHO, &format!("Pod {}/{pod}: {said}", server.namespace)),
            None => problem,
        })
    }
}

async fn handshake<S>(stream: S, host: &str, ca: &str) -> Result<Vec<u8>, Problem>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let wrong = |cause: String| Problem { class: Class::Invalid, message: format!("{WHO}: {cause}") };
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    roots.add(authority).map_err(|error| wrong(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| wrong(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| passing(WHO, &error))?;
    let (_, connection) = stream.get_ref();
    let shown = connection.peer_certificates().and_then(|chain| chain.first());
    shown.map(|leaf| leaf.to_vec()).ok_or_else(|| passing(WHO, &"no certificate was shown"))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    fn authority() -> (rcgen::Issuer<'static, rcgen::KeyPair>, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        (rcgen::Issuer::new(params, key), pem)
    }

    /// What somebody who asks for this host and trusts this CA is shown by a server that has a certificate for `*.example.org`.
    async fn shown(
        issuer: &rcgen::Issuer<'_, rcgen::KeyPair>,
        host: &str,
        ca: &str,
    ) -> (Vec<u8>, Result<Vec<u8>, Problem>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["*.example.org".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.clone()], key)
            .unwrap();
        let (near, far) = duplex(16 * 1024);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (shown, _) = tokio::join!(handshake(near, host, ca), acceptor.accept(far));
        (leaf.to_vec(), shown)
    }

    #[tokio::test]
    async fn a_certificate_counts_for_its_names_and_its_authority_alone() {
        let ((issuer, ca), (_, other)) = (authority(), authority());
        let (leaf, seen) = shown(&issuer, "auth.example.org", &ca).await;
        assert_eq!(seen.unwrap(), leaf);
        let (_, seen) = shown(&issuer, "auth.example.org", &other).await;
        assert!(seen.unwrap_err().message.contains("invalid peer certificate"));
        let (_, seen) = shown(&issuer, "auth.example.com", &ca).await;
        assert!(seen.unwrap_err().message.contains("not valid for"));
    }
}
