//! The words that the whole crate shares: a Kubernetes object as plain JSON, its identity, its rank in the order of creation and the mark
//! that says that it is ours. Pure; no I/O, no client. `plan` makes objects, `readiness` judges them, `cluster` sends them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The label on every object of the platform; its value is the component's name. It alone says that an object is ours, so that the
/// inventory can be made anew from the cluster when it is lost.
pub const COMPONENT_LABEL: &str = "platctl.dev/component";

/// The namespace of platctl's own records: inventory, lock and CA.
pub const OWN_NAMESPACE: &str = "platctl-system";

/// The label on Secrets that platctl generated. They are in no chart and no Git tree.
pub const GENERATED_LABEL: &str = "platctl.dev/generated";

/// The annotation by which Argo CD knows the objects of an Application.
pub const TRACKING_ANNOTATION: &str = "argocd.argoproj.io/tracking-id";

/// What names an object in a cluster. The version takes no part in equality of purpose, but a plan never holds one object in two versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
}

impl Id {
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// The API group, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    pub fn version(&self) -> &str {
        self.api_version.rsplit_once('/').map_or(self.api_version.as_str(), |(_, version)| version)
    }

    /// `Kind namespace/name`, as people write it.
    pub fn in_words(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// A Kubernetes object: JSON with at least `apiVersion`, `kind` and `metadata.name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(Value);

impl Object {
    /// Takes a JSON value that is an object with `apiVersion`, `kind` and `metadata.name`; otherwise says which is missing.
    pub fn new(value: Value) -> Result<Self, String> {
        for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
            if value.pointer(pointer).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(format!("`{}` is missing", pointer[1..].replace('/', ".")));
            }
        }
        Ok(Self(value))
    }

    pub fn id(&self) -> Id {
        Id::new(self.api_version(), self.kind(), self.namespace(), self.name())
    }

    pub fn api_version(&self) -> &str {
        self.text("/apiVersion").unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or_default()
    }

    pub fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    pub fn uid(&self) -> Option<&str> {
        self.text("/metadata/uid")
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("annotations")?.get(key)?.as_str()
    }

    /// The component that an object says it belongs to, if it is one of ours.
    pub fn component(&self) -> Option<&str> {
        self.label(COMPONENT_LABEL)
    }

    /// The string at a JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str()
    }

    /// The whole number at a JSON pointer.
    pub fn number(&self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer)?.as_i64()
    }

    /// The items of the list at a JSON pointer; none where there is no list.
    pub fn items(&self, pointer: &str) -> &[Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    pub fn into_value(self) -> Value {
        self.0
    }

    /// Sets one annotation, making the map where there is none.
    pub fn annotate(&mut self, key: &str, value: &str) {
        self.metadata_entry("annotations", key, value);
    }

    /// Sets one label, making the map where there is none.
    pub fn label_with(&mut self, key: &str, value: &str) {
        self.metadata_entry("labels", key, value);
    }

    fn metadata_entry(&mut self, map: &str, key: &str, value: &str) {
        let entry = &mut self.0["metadata"][map];
        if !entry.is_object() {
            *entry = Value::Object(serde_json::Map::new());
        }
        entry[key] = Value::from(value);
    }

    /// Where this object stands in the order of creation: what others need comes first. Removal walks it backwards.
    pub fn rank(&self) -> u8 {
        rank(self.kind())
    }
}

/// The order of creation by kind. Kinds that are not named here are custom resources: after the built-in configuration, before nothing.
pub fn rank(kind: &str) -> u8 {
    match kind {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "PriorityClass" | "StorageClass" | "ResourceQuota" | "LimitRange" => 2,
        "NetworkPolicy" => 3,
        "ServiceAccount" => 4,
        "Secret" | "ConfigMap" => 5,
        "ClusterRole" | "Role" => 6,
        "ClusterRoleBinding" | "RoleBinding" => 7,
        "PersistentVolumeClaim" | "Service" => 8,
        "PodDisruptionBudget" => 9,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" | "Job" | "CronJob" => 11,
        "HorizontalPodAutoscaler" => 12,
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" | "APIService" => 13,
        _ => 10,
    }
}
