//! What is there already: objects of our names, CRDs of other versions, other installations of the same products.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::{Facts, Judged, blocking, quoted, warning};
use crate::object::{Id, Object};
use crate::plan::Plan;

/// A product that minds a second one of its kind.
struct Product {
    name: &'static str,
    /// The label by which its pods are known, with its value; any value where that is empty.
    label: (&'static str, &'static str),
    /// The component that brings it, none where the platform has another in its place.
    component: &'static str,
    hint: &'static str,
}

const PRODUCTS: [Product; 4] = [
    Product {
        name: "Istio",
        label: ("app", "istiod"),
        component: "istiod",
        hint: "two control planes inject the same pods: remove the other one, or give it a revision and `discoverySelectors` of its own",
    },
    Product {
        name: "Linkerd",
        label: ("linkerd.io/control-plane-component", ""),
        component: "",
        hint: "a pod cannot be in two meshes: see that no `linkerd.io/inject` annotation is on the platform's namespaces",
    },
    Product {
        name: "CloudNativePG",
        label: ("app.kubernetes.io/name", "cloudnative-pg"),
        component: "cnpg-operator",
        hint: "two operators work against each other on the same databases: remove the other one, or restrict it to its namespaces by `WATCH_NAMESPACE`",
    },
    Product {
        name: "Argo CD",
        label: ("app.kubernetes.io/part-of", "argocd"),
        component: "argocd",
        hint: "they share CRDs: keep the other one to its own namespace, and its version near to the platform's",
    },
];

/// A product that runs in a namespace which is not the platform's for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Installation {
    pub product: &'static str,
    pub namespace: String,
}

/// A webhook by which another Istio injects sidecars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Injector {
    pub name: String,
    pub namespace: String,
}

/// A CRD that exists, and the versions in which its objects may be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredVersions {
    pub name: String,
    pub versions: Vec<String>,
}

/// The products that run elsewhere, by their pods.
pub fn installations(pods: &[Object], plan: &Plan) -> Vec<Installation> {
    let mut found = BTreeSet::new();
    for Product { name, label: (key, value), component, .. } in PRODUCTS {
        let own = match component {
            "" => "",
            component => match plan.component(component) {
                Ok(planned) => planned.component.namespace.as_str(),
                // Not to be installed, so there is nothing to mind.
                Err(_) => continue,
            },
        };
        let is_one = |pod: &&Object| pod.label(key).is_some_and(|label| value.is_empty() || label == value);
        let namespaces = pods.iter().filter(is_one).filter_map(Object::namespace).filter(|namespace| *namespace != own);
        found.extend(namespaces.map(|namespace| Installation { product: name, namespace: namespace.to_owned() }));
    }
    found.into_iter().collect()
}

/// Those of webhook configurations, but for our own, that inject Istio's sidecars for a control plane in another namespace.
pub fn other_injectors(configurations: &[Object], plan: &Plan) -> Vec<Injector> {
    let own = plan.component("istiod").map_or("", |planned| planned.component.namespace.as_str());
    let others = configurations.iter().filter(|configuration| configuration.component().is_none());
    others
        .filter_map(|configuration| {
            let injects = |webhook: &&Value| {
                webhook["name"].as_str().is_some_and(|name| name.ends_with("sidecar-injector.istio.io"))
            };
            let webhook = configuration.items("/webhooks").iter().find(injects)?;
            let namespace = webhook.pointer("/clientConfig/service/namespace")?.as_str()?;
            (namespace != own)
                .then(|| Injector { name: configuration.name().to_owned(), namespace: namespace.to_owned() })
        })
        .collect()
}

/// Of a live object, if it is a CRD.
pub fn stored_versions(live: &Object) -> Option<StoredVersions> {
    let versions = live.items("/status/storedVersions").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (live.kind() == "CustomResourceDefinition").then(|| StoredVersions { name: live.name().to_owned(), versions })
}

pub(super) fn foreign_objects(_: &Plan, facts: &Facts) -> Vec<Judged> {
    let judge = |id: &Id| {
        // A namespace can be shared; everything else of that name belongs to another installation.
        if id.kind == "Namespace" {
            let title = format!("{id} exists already and will be labelled");
            return warning(title, "choose another cluster if its contents must stay apart");
        }
        blocking(
            format!("{id} exists and is not platctl's"),
            "remove the other installation first, or label the object `platctl.dev/component` yourself if platctl is to own it",
        )
    };
    facts.foreign.iter().map(judge).collect()
}

pub(super) fn conflicts(_: &Plan, facts: &Facts) -> Vec<Judged> {
    let mut found = Vec::new();
    for Product { name, component, hint, .. } in PRODUCTS {
        let places = facts.others.iter().filter(|other| other.product == name).map(|other| other.namespace.as_str());
        let places = quoted(places);
        if !places.is_empty() {
            let article = if component.is_empty() { name.to_owned() } else { format!("another {name}") };
            found.push(warning(format!("{article} runs in namespace {places}"), hint));
        }
    }
    // Those of an Istio that runs are said already.
    let is_alone = |injector: &&Injector| {
        !facts.others.iter().any(|other| other.product == "Istio" && other.namespace == injector.namespace)
    };
    found.extend(facts.injectors.iter().filter(is_alone).map(|Injector { name, namespace }| {
        let title = format!(
            "MutatingWebhookConfiguration {name} calls an istiod in `{namespace}`, of which no pod is to be seen"
        );
        let hint = format!(
            "if it was left behind, it keeps pods from being made: `kubectl delete mutatingwebhookconfiguration {name}`"
        );
        warning(title, hint)
    }));
    found
}

pub(super) fn crd_versions(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let judge = |StoredVersions { name, versions }: &StoredVersions| {
        let is_it = |object: &&Object| object.kind() == "CustomResourceDefinition" && object.name() == name;
        let ours = plan.objects().map(|(_, object)| object).find(is_it)?;
        let known: Vec<&str> =
            ours.items("/spec/versions").iter().filter_map(|version| version["name"].as_str()).collect();
        let unknown = versions.iter().map(String::as_str).filter(|version| !known.contains(version));
        let unknown = quoted(unknown);
        if unknown.is_empty() {
            return None;
        }
        let title =
            format!("CustomResourceDefinition {name} has objects stored as {unknown}; ours has {}", quoted(known));
        let hint = "the API server would refuse ours: migrate its objects with the tools of the version that made it, or remove it with them";
        Some(blocking(title, hint))
    };
    facts.definitions.iter().filter_map(judge).collect()
}
