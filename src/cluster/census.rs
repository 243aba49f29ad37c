//! Counts what is in a cluster across all kinds: everything with our label, everything in a namespace, every object of a CRD. Used where the
//! inventory may be lost or may not know all: `uninstall` and the check of what is left.

use futures::{StreamExt, stream};
use serde_json::Value;

use super::{CONCURRENCY, Class, Cluster, Problem};
use crate::object::{COMPONENT_LABEL, Id, Object};

/// Kinds that controllers make from others and that carry their labels along; they go with what they were made from.
const DERIVED: [&str; 8] = [
    "Endpoints",
    "EndpointSlice",
    "Event",
    "Pod",
    "ReplicaSet",
    "ControllerRevision",
    "PodMetrics",
    "PersistentVolumeClaim",
];

/// What Kubernetes and the mesh put into every namespace by themselves.
const AMBIENT: [(&str, &str); 4] = [
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("ConfigMap", "istio-ca-crl"),
    ("ServiceAccount", "default"),
];

impl Cluster {
    /// Every object with our label that nobody else's object owns.
    pub async fn ours(&self) -> Result<Vec<Object>, Problem> {
        let kinds = self.kinds(None).await?;
        let mut found = self.list_all(kinds, COMPONENT_LABEL).await?;
        found.retain(|object| !is_derived(object));
        Ok(found)
    }

    /// Everything in a namespace but what Kubernetes puts into each.
    pub async fn contents(&self, namespace: &str) -> Result<Vec<Object>, Problem> {
        let kinds = self.kinds(Some(namespace)).await?;
        let mut found = self.list_all(kinds, "").await?;
        found.retain(|object| {
            let ambient = AMBIENT.iter().any(|(kind, name)| object.kind() == *kind && object.name() == *name);
            let derived = is_derived(object) && object.kind() != "PersistentVolumeClaim" && object.kind() != "Pod";
            !ambient && !derived && object.kind() != "Lease"
        });
        Ok(found)
    }

    async fn list_all(&self, kinds: Vec<Id>, selector: &str) -> Result<Vec<Object>, Problem> {
        let pages: Vec<Result<Vec<Object>, Problem>> = stream::iter(kinds)
            .map(|kind| async move { self.list(&kind, selector).await })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut found = Vec::new();
        for page in pages {
            match page {
                Ok(objects) => found.extend(objects),
                // A kind without the list right, or one whose CRD or aggregated API has just gone.
                Err(problem) if matches!(problem.class, Class::NotFound | Class::Denied) => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(found)
    }

    /// All kinds that can be listed and deleted: each in its preferred version; only the namespaced ones if a namespace is given.
    pub(super) async fn kinds(&self, namespace: Option<&str>) -> Result<Vec<Id>, Problem> {
        let mut versions = vec!["v1".to_owned()];
        let groups = self.send("GET", "/apis", None, None).await?;
        for group in groups["groups"].as_array().into_iter().flatten() {
            versions.extend(group.pointer("/preferredVersion/groupVersion").and_then(Value::as_str).map(str::to_owned));
        }
        let mut kinds = Vec::new();
        for api_version in versions {
            let path =
                if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") };
            let resources = match self.send("GET", &path, None, None).await {
                Ok(list) => list,
                // An aggregated API without a backend must not hold up everything else.
                Err(_) if api_version.contains('/') => continue,
                Err(problem) => return Err(problem),
            };
            for resource in resources["resources"].as_array().into_iter().flatten() {
                let can = |verb: &str| {
                    resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|known| known == verb))
                };
                let namespaced = resource["namespaced"].as_bool().unwrap_or(false);
                let is_sub = resource["name"].as_str().unwrap_or("/").contains('/');
                if !is_sub && can("list") && can("delete") && (namespace.is_none() || namespaced) {
                    kinds.push(Id::new(&api_version, resource["kind"].as_str().unwrap_or_default(), namespace, ""));
                }
            }
        }
        Ok(kinds)
    }

    /// The objects of the kind that a CRD defines, wherever they are.
    pub async fn instances(&self, definition: &Object) -> Result<Vec<Object>, Problem> {
        let version = definition
            .items("/spec/versions")
            .iter()
            .find(|version| version["served"] == true)
            .and_then(|version| version["name"].as_str())
            .unwrap_or_default();
        let group = definition.text("/spec/group").unwrap_or_default();
        let kind = definition.text("/spec/names/kind").unwrap_or_default();
        self.list(&Id::new(&format!("{group}/{version}"), kind, None, ""), "").await
    }
}

fn is_derived(object: &Object) -> bool {
    DERIVED.contains(&object.kind()) || !object.items("/metadata/ownerReferences").is_empty()
}
