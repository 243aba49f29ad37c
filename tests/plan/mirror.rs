//! Air gap: under a mirror no object names an image's own registry, digests pin every image, and the pull Secrets reach every pod.

use std::collections::BTreeSet;

use platctl::embedded;
use platctl::object::Object;
use platctl::plan::images::{images, names, registry};
use platctl::plan::preflight::probe;
use platctl::plan::profile::{Base, Layers, Profile};
use serde_json::json;

use crate::platform::{Platform, REPOSITORY, assert_none, document, env, platforms};

/// Both profiles with more keys.
fn both(set: &[String]) -> [Platform; 2] {
    let prod: Vec<String> = set.iter().cloned().chain([format!("repository.url={REPOSITORY}")]).collect();
    [Platform::load("dev", set), Platform::load("prod", &prod)]
}

/// The registries that images come from.
fn registries(platform: &Platform) -> BTreeSet<String> {
    names(&platform.plan).iter().map(|image| registry(image).to_owned()).collect()
}

/// A key of `--set` for each registry or image.
fn keys(map: &str, of: impl IntoIterator<Item = String>, value: impl Fn(&str) -> String) -> Vec<String> {
    of.into_iter().map(|key| format!("{map}.{}={}", key.replace('.', "\\."), value(&key))).collect()
}

/// What of an object names an image at its own registry, however it does: the object as text.
fn escapes(platform: &Platform, registries: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for object in platform.objects().filter(|object| object.kind() != "CustomResourceDefinition") {
        let text = object.value().to_string();
        let named = registries.iter().filter(|registry| {
            text.match_indices(&format!("{registry}/")).any(|(at, _)| !text[..at].ends_with(['.', '/', '-']))
        });
        found.extend(named.map(|registry| format!("{}: {}: {registry}", platform.name, object.id())));
    }
    found
}

#[test]
fn without_a_mirror_the_search_finds_what_names_images() {
    for platform in platforms() {
        let found = escapes(platform, &registries(platform));
        for id in
            ["Deployment argocd/argocd-redis", "Cluster iam-system/", "ConfigMap istio-system/istio-sidecar-injector"]
        {
            assert!(found.iter().any(|escape| escape.contains(id)), "{}: {id} of {found:?}", platform.name);
        }
    }
}

#[test]
fn no_image_escapes_a_mirror_of_all() {
    for (platform, plain) in both(&["imageRegistry=mirror:5000/team".to_owned()]).iter().zip(platforms()) {
        assert_none(escapes(platform, &registries(plain)));
        let expected: BTreeSet<String> = names(&plain.plan)
            .iter()
            .map(|image| format!("mirror:5000/team/{}", image.split_once('/').unwrap().1))
            .collect();
        assert_eq!(names(&platform.plan), expected);
        assert_eq!(expected.len(), names(&plain.plan).len(), "no two images become one");
        // What operators and the injector are told to run.
        let operator = platform.workload("Deployment", "cnpg-controller-manager");
        let told = env(operator.container("manager"), "OPERATOR_IMAGE_NAME").unwrap();
        assert!(told.starts_with("mirror:5000/team/"), "{told}");
        let cluster = platform.of_kind("Cluster")[0].text("/spec/imageName").unwrap();
        assert!(cluster.starts_with("mirror:5000/team/"), "{cluster}");
        let injector = platform.get("ConfigMap", "istio-system", "istio-sidecar-injector");
        let sidecar = document(injector, "values")["platctl"]["image"].clone();
        assert!(sidecar.as_str().unwrap().starts_with("mirror:5000/team/"), "{sidecar}");
        // And the pod that asks the cluster's policies before anything is written.
        let probe = probe(&platform.plan, "iam-system").unwrap();
        assert!(probe.text("/spec/containers/0/image").unwrap().starts_with("mirror:5000/team/"), "{probe:?}");
    }
}

#[test]
fn no_image_escapes_mirrors_of_each() {
    for plain in platforms() {
        let registries = registries(plain);
        let mut set =
            keys("imageRegistries", registries.clone(), |name| format!("m.example.org/{}", name.replace('.', "-")));
        set.push(format!("repository.url={REPOSITORY}"));
        let platform = Platform::load(plain.name, &set);
        assert_none(escapes(&platform, &registries));
        assert_eq!(names(&platform.plan).len(), names(&plain.plan).len());
    }
}

/// The one registry goes before all, and the others stay where they are.
#[test]
fn one_registry_alone() {
    let hub = keys("imageRegistries", ["docker.io".to_owned()], |_| "harbor.example.org/hub".to_owned());
    for (platform, plain) in both(&hub).iter().zip(platforms()) {
        let expected: BTreeSet<String> =
            names(&plain.plan).iter().map(|image| image.replace("docker.io/", "harbor.example.org/hub/")).collect();
        assert_eq!(names(&platform.plan), expected);
    }
    let with_all: Vec<String> = hub.into_iter().chain(["imageRegistry=m.example.org".to_owned()]).collect();
    let names = names(&both(&with_all)[0].plan);
    let below = |place: &str| names.iter().filter(|name| name.starts_with(place)).count();
    assert_eq!((below("harbor.example.org/hub/grafana/"), below("m.example.org/")), (3, 8));
}

#[test]
fn digests_pin_every_image_at_every_place() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    for plain in platforms() {
        let catalog = embedded::catalog().unwrap();
        let mut set = keys("imageDigests", names(&plain.plan), |_| digest.clone());
        set.extend(["imageRegistry=m.example.org".to_owned(), format!("repository.url={REPOSITORY}")]);
        let platform = Platform::load(plain.name, &set);
        let images = images(&platform.plan, &catalog, None).unwrap();
        let upstream: BTreeSet<String> = images.iter().map(|image| image.upstream.clone()).collect();
        assert_eq!(upstream, names(&plain.plan));
        for image in &images {
            assert_eq!(image.digest.as_ref(), Some(&digest), "{image:?}");
            let expected = format!("m.example.org/{}@{digest}", image.upstream.split_once('/').unwrap().1);
            assert_eq!(image.image, expected);
        }
        // Whatever names an image names it with its digest.
        let unpinned = |object: &Object| {
            let text = object.value().to_string();
            let of = |image: &str| text.matches(image).count() != text.matches(&format!("{image}@{digest}")).count();
            let wrong = images.iter().map(|image| image.image.split_once('@').unwrap().0).filter(|image| of(image));
            wrong.map(|image| format!("{}: {image}", object.id())).collect::<Vec<_>>()
        };
        assert_none(platform.objects().flat_map(unpinned));
    }
}

#[test]
fn pull_secrets_reach_every_pod() {
    let secret = json!([{"name": "regcred"}]);
    for platform in both(&[format!("imagePullSecrets={secret}")]) {
        let missing = |object: &Object, list: &serde_json::Value| {
            (*list != secret).then(|| format!("{}: {}: no pull Secret", platform.name, object.id()))
        };
        let workloads = platform.workloads();
        assert!(workloads.len() > 8, "{}", workloads.len());
        assert_none(workloads.iter().filter_map(|one| missing(one.object, &one.spec["imagePullSecrets"])));
        let clusters = platform.of_kind("Cluster");
        assert!(!clusters.is_empty());
        assert_none(clusters.iter().filter_map(|one| missing(one, &one.value()["spec"]["imagePullSecrets"])));
        // The check asks for it wherever pods are: those into which a sidecar is injected are among them.
        let places: Vec<String> = platform.plan.pull_secrets().into_iter().filter_map(|id| id.namespace).collect();
        let of_pods: BTreeSet<String> = workloads
            .iter()
            .map(|one| one.namespace().to_owned())
            .chain(clusters.iter().filter_map(|one| one.namespace().map(str::to_owned)))
            .collect();
        assert_eq!(places.into_iter().collect::<BTreeSet<_>>(), of_pods);
    }
    assert!(platforms()[0].plan.pull_secrets().is_empty(), "only where the profile says so");
}

#[test]
fn mistakes_are_refused_in_words() {
    let said = |set: &str| {
        let layers =
            Layers { built_in: &embedded::profiles(), base: Base::Name("dev"), values: &[], set: &[set.to_owned()] };
        format!("{:#}", Profile::load(&layers, &embedded::catalog().unwrap()).expect_err("it is refused"))
    };
    insta::assert_snapshot!(said("imageRegistry=https://mirror.example.org"), @"profile `dev` cannot be used: `imageRegistry`: `https://mirror.example.org`: a registry is written without a scheme such as `https://`");
    insta::assert_snapshot!(said(r"imageRegistries.docker\.oi=mirror.example.org"), @"profile `dev` cannot be used: `imageRegistries`: no image comes from `docker.oi`: did you mean `docker.io`?");
    insta::assert_snapshot!(said(r"imageRegistries.docker\.io=mirror"), @"profile `dev` cannot be used: `imageRegistries.docker.io`: `mirror`: `mirror` would be taken for a part of the path at docker.io: a host has a dot or a port");
    insta::assert_snapshot!(said(r"imageDigests.docker\.io/grafana/loki:1=sha256:00"), @"profile `dev` cannot be used: `imageDigests`: no image `docker.io/grafana/loki:1`: did you mean `docker.io/grafana/loki:3.7.8`?");
    insta::assert_snapshot!(said("imagePullSecrets=[regcred]"), @r#"profile `dev` cannot be used: `imagePullSecrets`: `"regcred"`: `{name: SECRET}` is expected"#);
}
