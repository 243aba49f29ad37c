//! The pods that pull the images of later waves ahead: of which images, on which nodes, and that they may do nothing else.

use std::collections::BTreeSet;

use platctl::object::OWN_NAMESPACE;
use platctl::plan::images::names;
use platctl::plan::prepull::{LABEL, images, objects};
use serde_json::json;

use crate::hardening;
use crate::platform::{Platform, items, platforms, selects};

#[test]
fn all_but_what_the_first_wave_pulls_itself_and_sidecars_first() {
    for platform in platforms() {
        let images = images(&platform.plan);
        let now = names(&platform.plan).into_iter().filter(|image| !images.contains(image)).collect::<Vec<_>>();
        assert!(matches!(now.as_slice(), [pilot] if pilot.contains("/pilot:")), "{now:?}");
        assert!(images[0].contains("/proxyv2:"), "{images:?}");
        let at = |name: &str| images.iter().position(|image| image.contains(name)).unwrap();
        assert!(at("/cloudnative-pg:") < at("/keycloak:") && at("/keycloak:") < at("/argocd:"), "{images:?}");
        assert_eq!(images.iter().collect::<BTreeSet<_>>().len(), images.len(), "each once");
    }
}

#[test]
fn one_pod_for_each_node_that_may_do_nothing() {
    let set = ["imagePullSecrets=[{name: regcred}]".to_owned(), "imageRegistry=m.example.org".to_owned()];
    let platform = Platform::load("dev", &set);
    let long = "n".repeat(253);
    let objects = objects(&platform.plan, &["a.example.org", &long]);
    let names: Vec<_> = objects.iter().map(|object| (object.kind(), object.name().len() <= 63)).collect();
    assert_eq!(names, [("NetworkPolicy", true), ("Pod", true), ("Pod", true)]);
    assert_ne!(objects[1].name(), objects[2].name());
    assert!(objects.iter().all(|object| object.namespace() == Some(OWN_NAMESPACE) && object.label(LABEL).is_some()));
    for (pod, node) in objects[1..].iter().zip(["a.example.org", &long]) {
        let spec = &pod.value()["spec"];
        // No account of its own: its token is not mounted, and nothing runs.
        let violations = hardening::violations("Pod", spec);
        assert_eq!(violations, ["Pod, the pod: serviceAccountName has none of its own"]);
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "regcred"}]));
        assert_eq!(spec["restartPolicy"], "Never");
        assert!(
            spec.to_string().contains(&format!(r#"{{"key":"metadata.name","operator":"In","values":["{node}"]}}"#))
        );
        let pulled: Vec<_> = items(&spec["containers"]).iter().map(|one| one["image"].as_str().unwrap()).collect();
        assert_eq!(pulled, images(&platform.plan));
        assert!(pulled.iter().all(|image| image.starts_with("m.example.org/")), "{pulled:?}");
        let policy = &objects[0].value()["spec"];
        assert!(selects(&policy["podSelector"]["matchLabels"], &pod.value()["metadata"]["labels"]));
        assert_eq!((&policy["ingress"], &policy["egress"]), (&json!(null), &json!(null)));
    }
}
