//! What the profile for production wants from outside, as `docs/production.md` has it.

use serde_json::{Value, json};

/// No secret to anybody: this platform ends with the test.
const PASSWORD: &str = "0123456789abcdefghijklmnopqrstuv";

pub(crate) fn secrets() -> Vec<Value> {
    let digest = bcrypt::hash(PASSWORD, 10).unwrap();
    let mut argocd =
        opaque("argocd", "argocd-secret", &json!({"admin.password": digest, "server.secretkey": PASSWORD}));
    argocd["metadata"]["labels"] = json!({"app.kubernetes.io/part-of": "argocd"});
    let grafana = json!({"admin-user": "admin", "admin-password": PASSWORD, "secret-key": PASSWORD});
    let login = json!({"username": "admin", "password": PASSWORD});
    vec![
        opaque("argocd", "argocd-admin", &login),
        argocd,
        opaque("argocd", "argocd-redis", &json!({"auth": PASSWORD})),
        certificate(),
        opaque("observability", "grafana-admin", &grafana),
        opaque("iam-system", "keycloak-admin", &login),
    ]
}

fn opaque(namespace: &str, name: &str, keys: &Value) -> Value {
    let metadata = json!({"namespace": namespace, "name": name});
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "stringData": keys})
}

/// With the authority beside it, as cert-manager does. It is its own.
fn certificate() -> Value {
    let hosts = ["*.platform.localhost", "platform.localhost"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(hosts).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let keys = json!({"tls.crt": certificate, "tls.key": key, "ca.crt": certificate});
    let mut secret = opaque("istio-ingress", "platform-tls", &keys);
    secret["type"] = "kubernetes.io/tls".into();
    secret
}
