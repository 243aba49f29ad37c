//! Fills `plan::preflight::Facts` from a live cluster. Reads only.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::{Class, Cluster, Problem};
use crate::object::{Id, OWN_NAMESPACE, Object};
use crate::plan::Plan;
use crate::plan::preflight::{Facts, Node, StorageClass, millis};

/// Requests under way at once.
const CONCURRENCY: usize = 16;

/// What platctl does with each kind that it applies.
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// What it needs besides: API group, resource, verbs, and whether only in its own namespace.
const NEEDS: [(&str, &str, &[&str], bool); 5] = [
    ("", "nodes", &["list"], false),
    ("storage.k8s.io", "storageclasses", &["list"], false),
    ("", "configmaps", &["get", "create", "patch", "delete"], true),
    ("", "secrets", &["get", "create"], true),
    ("coordination.k8s.io", "leases", &["get", "create", "update", "delete"], true),
];

impl Cluster {
    pub async fn facts(&self, plan: &Plan) -> Result<Facts, Problem> {
        let (version, minor) = self.server_version().await?;
        let (nodes, storage_classes, denied, foreign, secrets, api_server_ports) = futures::try_join!(
            as_allowed(self.nodes()),
            as_allowed(self.storage_classes()),
            self.denied(plan),
            as_allowed(self.foreign(plan)),
            as_allowed(self.present(plan.supplied_secrets().into_iter().chain(plan.pull_secrets()).collect())),
            as_allowed(self.api_server_ports()),
        )?;
        Ok(Facts { version, minor, nodes, storage_classes, denied, foreign, secrets, api_server_ports })
    }

    async fn server_version(&self) -> Result<(String, u32), Problem> {
        let version = self.version().await?;
        let minor = version.trim_start_matches('v').split('.').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok((version, minor))
    }

    pub async fn nodes(&self) -> Result<Vec<Node>, Problem> {
        Ok(self.list(&Id::new("v1", "Node", None, ""), "").await?.iter().map(read_node).collect())
    }

    pub(super) async fn storage_classes(&self) -> Result<Vec<StorageClass>, Problem> {
        let classes = self.list(&Id::new("storage.k8s.io/v1", "StorageClass", None, ""), "").await?;
        Ok(classes
            .iter()
            .map(|class| StorageClass {
                name: class.name().to_owned(),
                default: class.annotation("storageclass.kubernetes.io/is-default-class") == Some("true"),
            })
            .collect())
    }

    /// `NetworkPolicies` see one or the other, before or after address translation, depending on the network.
    async fn api_server_ports(&self) -> Result<Vec<u16>, Problem> {
        let service = self.get(&Id::new("v1", "Service", Some("default"), "kubernetes")).await?;
        let slices = Id::new("discovery.k8s.io/v1", "EndpointSlice", Some("default"), "");
        let slices = self.list(&slices, "kubernetes.io/service-name=kubernetes").await?;
        let own = service.iter().flat_map(|service| service.items("/spec/ports"));
        let behind = slices.iter().flat_map(|slice| slice.items("/ports"));
        let ports: BTreeSet<u16> =
            own.chain(behind).filter_map(|port| u16::try_from(port["port"].as_u64()?).ok()).collect();
        Ok(ports.into_iter().collect())
    }

    /// What of the plan's names exists without our label.
    async fn foreign(&self, plan: &Plan) -> Result<Vec<Id>, Problem> {
        let found: Vec<Option<Id>> = stream::iter(plan.objects().map(|(_, object)| object.id()))
            .map(|id| async move {
                let live = self.get(&id).await?;
                Ok::<_, Problem>(live.filter(|live| live.component().is_none()).map(|_| id))
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut foreign: Vec<Id> = found.into_iter().flatten().collect();
        foreign.sort();
        Ok(foreign)
    }

    async fn present(&self, ids: Vec<Id>) -> Result<Vec<Id>, Problem> {
        let mut present = Vec::new();
        for id in ids {
            if self.get(&id).await?.is_some() {
                present.push(id);
            }
        }
        Ok(present)
    }

    /// Asks for each kind of the plan and each verb, unless everything is allowed anyway.
    async fn denied(&self, plan: &Plan) -> Result<Vec<String>, Problem> {
        if self.is_allowed("*", "*", "*", None).await? {
            return Ok(Vec::new());
        }
        let of_plan = plan.objects().flat_map(|(_, object)| {
            let kind = (object.id().group().to_owned(), plural(plan, object), object.namespace().map(str::to_owned));
            VERBS.map(|verb| (kind.clone(), verb))
        });
        let besides = NEEDS.iter().flat_map(|(group, resource, verbs, is_own)| {
            let namespace = is_own.then(|| OWN_NAMESPACE.to_owned());
            verbs.iter().map(move |verb| (((*group).to_owned(), (*resource).to_owned(), namespace.clone()), *verb))
        });
        // In no chart, but made by platctl itself.
        let generated = plan.components().flat_map(|planned| {
            let namespaces = planned.component.secrets.iter().map(|spec| planned.component.secret_id(spec).namespace);
            namespaces.flat_map(|namespace| {
                ["get", "create", "delete"].map(|verb| ((String::new(), "secrets".to_owned(), namespace.clone()), verb))
            })
        });
        let questions: BTreeSet<_> = of_plan.chain(generated).chain(besides).collect();
        let denied: Vec<Option<String>> = stream::iter(questions)
            .map(|((group, resource, namespace), verb)| async move {
                let allowed = self.is_allowed(&group, &resource, verb, namespace.as_deref()).await?;
                let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
                let resource = if group.is_empty() { resource } else { format!("{resource}.{group}") };
                Ok::<_, Problem>((!allowed).then(|| format!("{verb} {resource}{place}")))
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(denied.into_iter().flatten().collect())
    }

    async fn is_allowed(
        &self,
        group: &str,
        resource: &str,
        verb: &str,
        namespace: Option<&str>,
    ) -> Result<bool, Problem> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"group": group, "resource": resource, "verb": verb, "namespace": namespace.unwrap_or_default()}},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.send("POST", path, Some("application/json"), Some(&review)).await?;
        Ok(answer.pointer("/status/allowed") == Some(&Value::Bool(true)))
    }
}

pub(super) fn read_node(node: &Object) -> Node {
    let allocatable = |name: &str| node.value().pointer(&format!("/status/allocatable/{name}")).map_or(0, millis);
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    Node {
        name: node.name().to_owned(),
        ready: node.items("/status/conditions").iter().any(is_ready),
        schedulable: node.value().pointer("/spec/unschedulable").is_none_or(|cordoned| cordoned == false),
        cpu_millis: allocatable("cpu"),
        memory_bytes: allocatable("memory") / 1000,
    }
}

/// What the caller may not read is left out: `denied` has it, and tells more than the first refusal would.
pub(super) async fn as_allowed<T: Default>(facts: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    match facts.await {
        Err(problem) if problem.class == Class::Denied => Ok(T::default()),
        other => other,
    }
}

/// The resource's name in URLs and rules. The kind may not be served yet, so the plan's own CRDs are asked before English is.
fn plural(plan: &Plan, object: &Object) -> String {
    let id = object.id();
    let definition = plan.objects().map(|(_, object)| object).find(|candidate| {
        candidate.kind() == "CustomResourceDefinition"
            && candidate.text("/spec/group") == Some(id.group())
            && candidate.text("/spec/names/kind") == Some(&id.kind)
    });
    if let Some(plural) = definition.and_then(|definition| definition.text("/spec/names/plural")) {
        return plural.to_owned();
    }
    let lower = id.kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if lower.ends_with('s') => format!("{lower}es"),
        None => format!("{lower}s"),
    }
}
