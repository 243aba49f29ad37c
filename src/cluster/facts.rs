//! Fills `plan::preflight::Facts` from a live cluster. Reads, and tries a few things by server-side dry runs, which write nothing. What the
//! objects mean is concluded in `plan::preflight`.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::reach::{Reached, unreached};
use super::{CONCURRENCY, Class, Cluster, Problem};
use crate::object::{Id, OWN_NAMESPACE, Object};
use crate::plan::Plan;
use crate::plan::certificates::{self, Certificate};
use crate::plan::host::Host;
use crate::plan::preflight::{self, Balancer, Facts, Injector, Node, Refusal, StorageClass, Taint, millis};

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
    pub async fn facts(&self, plan: &Plan, reached: &Reached) -> Result<Facts, Problem> {
        let [node, pod, service] = ["Node", "Pod", "Service"].map(|kind| Id::new("v1", kind, None, ""));
        let (denied, live, secrets, api_server_ports, unreached) = futures::try_join!(
            self.denied(plan),
            as_allowed(self.live(plan)),
            as_allowed(self.present(plan.supplied_secrets().into_iter().chain(plan.pull_secrets()).collect())),
            as_allowed(self.api_server_ports()),
            async { Ok(unreached(plan.addresses()).await) },
        )?;
        let (nodes, storage_classes, pods, services, injectors, refusals, certificates) = futures::try_join!(
            as_allowed(self.list(&node, "")),
            as_allowed(self.storage_classes()),
            as_allowed(self.all(&pod)),
            as_allowed(self.all(&service)),
            as_allowed(self.injectors(plan)),
            self.refusals(plan, &live),
            self.certificates(plan),
        )?;
        let mut facts = Facts {
            version: reached.version.clone(),
            minor: minor(&reached.version),
            nodes: nodes.iter().map(read_node).collect(),
            storage_classes,
            denied,
            foreign: live.iter().filter(|object| object.component().is_none()).map(Object::id).collect(),
            definitions: live.iter().filter_map(preflight::stored_versions).collect(),
            secrets,
            api_server_ports,
            unreached,
            refusals,
            certificates,
            clock_ahead: reached.clock_ahead,
            ..Facts::default()
        };
        // Whether an istiod is behind a webhook, its pods tell.
        facts.injectors = if pods.is_some() { injectors } else { Vec::new() };
        let pods = pods.unwrap_or_default();
        preflight::count_taken(&mut facts.nodes, &pods, plan);
        facts.plugins = preflight::plugins(&facts.version, &pods);
        facts.others = preflight::installations(&pods, plan);
        facts.balancer = services.map(|services| read_balancer(&facts.version, &nodes, &services, &pods));
        Ok(facts)
    }

    /// What `preflight::check_standing` judges.
    pub async fn standing(&self) -> Result<(Vec<Node>, Vec<StorageClass>), Problem> {
        let nodes = self.list(&Id::new("v1", "Node", None, ""), "").await?;
        Ok((nodes.iter().map(read_node).collect(), self.storage_classes().await?))
    }

    /// What `preflight::check_certificates` judges. One whose Secret may not be read is left out.
    pub async fn certificates(&self, plan: &Plan) -> Result<Vec<Certificate>, Problem> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let ids = certificates::watched(plan).into_iter();
        let secrets = ids.map(|id| async move { as_allowed(self.get(&id)).await });
        let secrets = futures::future::try_join_all(secrets).await?;
        Ok(secrets.iter().flatten().filter_map(|secret| certificates::read(secret, now)).collect())
    }

    /// As `list`, but what may not be listed is told from what is not there.
    async fn all(&self, of: &Id) -> Result<Option<Vec<Object>>, Problem> {
        self.list(of, "").await.map(Some)
    }

    pub(super) async fn storage_classes(&self) -> Result<Vec<StorageClass>, Problem> {
        let classes = self.list(&Id::new("storage.k8s.io/v1", "StorageClass", None, ""), "").await?;
        Ok(classes.iter().map(StorageClass::of).collect())
    }

    async fn injectors(&self, plan: &Plan) -> Result<Vec<Injector>, Problem> {
        let of = Id::new("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", None, "");
        Ok(preflight::other_injectors(&self.list(&of, "").await?, plan))
    }

    /// Tries what admission may object to. Whatever else goes wrong with a dry run says nothing of the cluster.
    async fn refusals(&self, plan: &Plan, live: &[Object]) -> Result<Vec<Refusal>, Problem> {
        let mut refusals = Vec::new();
        let mut place = "default";
        for namespace in preflight::privileged_namespaces(plan) {
            if live.iter().any(|live| live.kind() == "Namespace" && live.name() == namespace.name()) {
                place = namespace.name();
            }
            refusals.extend(refusal(namespace.id(), self.dry_apply(namespace).await));
        }
        if let Some(pod) = preflight::probe(plan, place) {
            refusals.extend(refusal(pod.id(), self.dry_create(&pod).await));
        }
        Ok(refusals)
    }

    /// `NetworkPolicies` see one or the other, before or after address translation, depending on the network.
    pub(super) async fn api_server_ports(&self) -> Result<Vec<u16>, Problem> {
        let service = self.get(&Id::new("v1", "Service", Some("default"), "kubernetes")).await?;
        let slices = Id::new("discovery.k8s.io/v1", "EndpointSlice", Some("default"), "");
        let slices = self.list(&slices, "kubernetes.io/service-name=kubernetes").await?;
        let own = service.iter().flat_map(|service| service.items("/spec/ports"));
        let behind = slices.iter().flat_map(|slice| slice.items("/ports"));
        let ports: BTreeSet<u16> =
            own.chain(behind).filter_map(|port| u16::try_from(port["port"].as_u64()?).ok()).collect();
        Ok(ports.into_iter().collect())
    }

    /// What of the plan's names exists, whoever made it.
    async fn live(&self, plan: &Plan) -> Result<Vec<Object>, Problem> {
        let live = self.get_all(plan.objects().map(|(_, object)| object.id())).await?;
        Ok(live.into_values().collect())
    }

    async fn present(&self, ids: Vec<Id>) -> Result<Vec<Id>, Problem> {
        Ok(self.get_all(ids).await?.into_keys().collect())
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

/// 34 of `v1.34.1`.
fn minor(version: &str) -> u32 {
    version.trim_start_matches('v').split('.').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(super) fn read_node(node: &Object) -> Node {
    let allocatable = |name: &str| node.value().pointer(&format!("/status/allocatable/{name}")).map_or(0, millis);
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let taints = node.items("/spec/taints").iter().filter(|taint| taint["effect"] != "PreferNoSchedule");
    let platform = node.label("kubernetes.io/os").zip(node.label("kubernetes.io/arch"));
    Node {
        name: node.name().to_owned(),
        ready: node.items("/status/conditions").iter().any(is_ready),
        schedulable: node.value().pointer("/spec/unschedulable").is_none_or(|cordoned| cordoned == false),
        taints: taints
            .map(|taint| Taint {
                key: text(&taint["key"]),
                value: text(&taint["value"]),
                effect: text(&taint["effect"]),
            })
            .collect(),
        platform: platform.map(|(system, architecture)| format!("{system}/{architecture}")).unwrap_or_default(),
        zone: node.label("topology.kubernetes.io/zone").unwrap_or_default().to_owned(),
        cpu_millis: allocatable("cpu"),
        memory_bytes: allocatable("memory") / 1000,
        ..Node::default()
    }
}

/// A load balancer that has not answered by then will not.
const ADDRESS_AFTER: Duration = Duration::minutes(5);

pub(super) fn read_balancer(version: &str, nodes: &[Object], services: &[Object], pods: &[Object]) -> Balancer {
    let now = OffsetDateTime::now_utc();
    let made = |service: &Object| OffsetDateTime::parse(service.text("/metadata/creationTimestamp")?, &Rfc3339).ok();
    let host = Host::of(version, nodes);
    preflight::balancer(host, services, pods, |service| made(service).is_some_and(|made| now - made > ADDRESS_AFTER))
}

fn refusal(id: Id, outcome: Result<Object, Problem>) -> Option<Refusal> {
    let why = outcome.err()?.message;
    preflight::is_of_admission(&id, &why).then_some(Refusal { id, why })
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
