//! Who owns the fields of an object. At the handoff platctl's entry becomes Argo CD's, so that a field deleted in Git is deleted in the
//! cluster: a field is removed only by the manager that alone owns it. The object itself does not change.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::Engine;
use crate::cluster::{Class, FIELD_MANAGER, Problem};
use crate::object::{COMPONENT_LABEL, Id, Object};

/// The field manager of Argo CD's server-side applies.
pub const ARGO_MANAGER: &str = "argocd-controller";

impl Engine {
    /// Gives up platctl's fields of all these objects to Argo CD.
    pub(super) async fn give_up(&self, ids: &[Id], deadline: Instant) -> Result<()> {
        stream::iter(ids)
            .map(|id| async move {
                self.persist(&format!("hand over the fields of {id}"), deadline, || self.rename(id)).await
            })
            .buffer_unordered(self.pacing.concurrency)
            .try_collect()
            .await
    }

    async fn rename(&self, id: &Id) -> Result<(), Problem> {
        let Some(live) = self.cluster.get(id).await? else { return Ok(()) };
        let Some(managers) = handed_over(&live) else { return Ok(()) };
        let version = live.text("/metadata/resourceVersion").unwrap_or_default();
        // The test makes it fail, and be tried again, when the object changed since it was read.
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "replace", "path": "/metadata/managedFields", "value": managers},
        ]);
        match self.cluster.json_patch(id, &patch).await {
            Err(problem) if problem.class == Class::Invalid && problem.message.contains("test") => {
                Err(Problem { class: Class::Transient, ..problem })
            }
            other => other,
        }
    }
}

/// The managed fields with platctl's apply entry as Argo CD's; none if platctl has none. Where Argo CD has applied already, it owns the same
/// fields and ours just goes.
fn handed_over(live: &Object) -> Option<Vec<Value>> {
    let is_apply_of = |entry: &Value, manager: &str| entry["manager"] == manager && entry["operation"] == "Apply";
    let managers = live.items("/metadata/managedFields");
    if !managers.iter().any(|entry| is_apply_of(entry, FIELD_MANAGER)) {
        return None;
    }
    let argo_has_applied = managers.iter().any(|entry| is_apply_of(entry, ARGO_MANAGER));
    let renamed =
        managers.iter().filter(|entry| !(argo_has_applied && is_apply_of(entry, FIELD_MANAGER))).map(|entry| {
            let mut entry = entry.clone();
            if is_apply_of(&entry, FIELD_MANAGER) {
                entry["manager"] = Value::from(ARGO_MANAGER);
            }
            entry
        });
    Some(renamed.collect())
}

/// The patch that takes the labels and annotations which platctl, or Argo CD in its place, set, and which nobody else did.
pub(super) fn without_marks(live: &Object) -> Value {
    let (ours, others): (Vec<&Value>, Vec<&Value>) = live.items("/metadata/managedFields").iter().partition(|entry| {
        entry["operation"] == "Apply" && (entry["manager"] == FIELD_MANAGER || entry["manager"] == ARGO_MANAGER)
    });
    let keys = |entries: &[&Value], of: &str| -> BTreeSet<String> {
        let fields = entries.iter().filter_map(|entry| entry["fieldsV1"]["f:metadata"][of].as_object());
        fields.flat_map(Map::keys).filter_map(|key| key.strip_prefix("f:")).map(str::to_owned).collect()
    };
    let gone = |of: &str| -> Map<String, Value> {
        keys(&ours, of).difference(&keys(&others, of)).map(|key| (key.clone(), Value::Null)).collect()
    };
    let (mut labels, annotations) = (gone("f:labels"), gone("f:annotations"));
    // Whoever else set it: without it the object is nobody's.
    labels.insert(COMPONENT_LABEL.to_owned(), Value::Null);
    json!({"metadata": {"labels": labels, "annotations": annotations}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_set_stays() {
        let fields = |kind: &str, keys: &[&str]| {
            let keys: Map<String, Value> = keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
            json!({"f:metadata": {kind: keys}})
        };
        let entry = |manager: &str, operation: &str, fields: Value| json!({"manager": manager, "operation": operation, "fieldsV1": fields});
        let live =
            Object::new(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "managedFields": [
                entry("argocd-controller", "Apply", fields("f:labels", &["istio-injection", "team", COMPONENT_LABEL])),
                entry("platctl", "Apply", fields("f:annotations", &["argocd.argoproj.io/tracking-id"])),
                entry("kubectl-label", "Update", fields("f:labels", &["team", "kept"])),
            ]}}));
        let released = json!({"metadata": {
            "labels": {"istio-injection": null, COMPONENT_LABEL: null},
            "annotations": {"argocd.argoproj.io/tracking-id": null},
        }});
        assert_eq!(without_marks(&live.unwrap()), released);
    }

    fn object(managers: &[(&str, &str)]) -> Object {
        let managers: Vec<Value> =
            managers.iter().map(|(manager, operation)| json!({"manager": manager, "operation": operation})).collect();
        Object::new(json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "managedFields": managers}}))
            .unwrap()
    }

    fn names(managers: &[Value]) -> Vec<&str> {
        managers.iter().filter_map(|entry| entry["manager"].as_str()).collect()
    }

    #[test]
    fn our_entry_becomes_argo_cds_or_goes() {
        let managers = handed_over(&object(&[("platctl", "Apply"), ("kube-controller-manager", "Update")])).unwrap();
        assert_eq!(names(&managers), ["argocd-controller", "kube-controller-manager"]);
        let managers = handed_over(&object(&[("platctl", "Apply"), ("argocd-controller", "Apply")])).unwrap();
        assert_eq!(names(&managers), ["argocd-controller"]);
        assert!(handed_over(&object(&[("argocd-controller", "Apply")])).is_none());
    }
}
