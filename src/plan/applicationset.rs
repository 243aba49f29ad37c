//! The objects of the handoff: the AppProject, the ApplicationSet that discovers the charts in Git, and the repository's Secret. Pure. They
//! are platctl's own and not part of the Git tree that they follow, so Argo CD never prunes what it hangs on.

use serde_json::{Value, json};

use crate::object::{COMPONENT_LABEL, Object};
use crate::plan::profile::{Profile, RepositoryMode};

pub const NAMESPACE: &str = "argocd";
pub const PROJECT: &str = "platform";
pub const APPLICATION_SET: &str = "platform";
pub const REPOSITORY_SECRET: &str = "platform-repository";
/// The value of the ownership label on these objects.
pub const HANDOFF: &str = "handoff";
/// The repository in the in-cluster Git server.
pub const IN_CLUSTER_OWNER: &str = "platctl";
pub const IN_CLUSTER_NAME: &str = "platform";

const API: &str = "argoproj.io/v1alpha1";

/// The URL that Argo CD clones from.
pub fn repository_url(profile: &Profile) -> String {
    match profile.repository.mode {
        RepositoryMode::External => profile.repository.url.clone(),
        RepositoryMode::InCluster => {
            format!("http://gitea-http.gitea.svc.cluster.local:3000/{IN_CLUSTER_OWNER}/{IN_CLUSTER_NAME}.git")
        }
    }
}

/// The AppProject and the ApplicationSet, in the order in which they must be there. `own` names the components that platctl knows.
pub fn objects<'a>(profile: &Profile, own: impl Iterator<Item = &'a str>) -> Vec<Object> {
    [project(profile), application_set(profile, &finalizers(own))]
        .into_iter()
        .filter_map(|value| Object::new(value).ok())
        .collect()
}

/// The Secret by which Argo CD knows the repository. Never part of the tree.
pub fn repository_secret(profile: &Profile, username: &str, password: &str) -> Option<Object> {
    Object::new(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": metadata(REPOSITORY_SECRET, &[("argocd.argoproj.io/secret-type", "repository"), ("app.kubernetes.io/part-of", "argocd")]),
        "stringData": {"type": "git", "url": repository_url(profile), "username": username, "password": password},
    }))
    .ok()
}

fn metadata(name: &str, labels: &[(&str, &str)]) -> Value {
    let mut metadata = json!({"name": name, "namespace": NAMESPACE, "labels": {COMPONENT_LABEL: HANDOFF}});
    for (key, value) in labels {
        metadata["labels"][*key] = Value::from(*value);
    }
    metadata
}

fn project(profile: &Profile) -> Value {
    json!({
        "apiVersion": API, "kind": "AppProject",
        "metadata": metadata(PROJECT, &[]),
        "spec": {
            "description": "The platform, as platctl installed it",
            "sourceRepos": [repository_url(profile)],
            "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    })
}

/// An Application with this finalizer takes its objects along when it goes: those of charts that people added. Removing the directory of one
/// of our own leaves its objects, for a database must not go with a directory.
fn finalizers<'a>(own: impl Iterator<Item = &'a str>) -> String {
    let own: Vec<String> = own.map(|name| format!("{name:?}")).collect();
    let is_own = format!("has .name (list {})", own.join(" "));
    format!(
        "metadata:\n  finalizers: [{{{{ if not ({is_own}) }}}}resources-finalizer.argocd.argoproj.io{{{{ end }}}}]\n"
    )
}

fn application_set(profile: &Profile, template_patch: &str) -> Value {
    let url = repository_url(profile);
    json!({
        "apiVersion": API, "kind": "ApplicationSet",
        "metadata": metadata(APPLICATION_SET, &[]),
        "spec": {
            "goTemplate": true,
            "goTemplateOptions": ["missingkey=error"],
            "generators": [{"git": {
                "repoURL": url,
                "revision": profile.repository.branch,
                "files": [{"path": "charts/*/component.yaml"}],
                "requeueAfterSeconds": 60,
                // What its controller writes into it when it is asked for a refresh. Left out, the list would be that controller's from then
                // on, and a handoff that goes on would meet a conflict.
                "template": {"metadata": {}, "spec": {"destination": {}, "project": ""}},
            }}],
            // Losing the ApplicationSet must never take the platform with it.
            "syncPolicy": {"preserveResourcesOnDeletion": true},
            "templatePatch": template_patch,
            "template": {
                "metadata": {
                    "name": "{{.name}}",
                    "labels": {COMPONENT_LABEL: "{{.name}}"},
                    // Else Argo CD takes a default, which follows where Git no longer sets a field, for a webhook's doing and sees no
                    // difference. The price: an object that changes while it is compared may be OutOfSync for a moment, until a sync
                    // that changes nothing.
                    "annotations": {"argocd.argoproj.io/compare-options": "IncludeMutationWebhook=true"},
                },
                "spec": {
                    "project": PROJECT,
                    "source": {
                        "repoURL": url,
                        "targetRevision": profile.repository.branch,
                        "path": "{{.path.path}}",
                        "helm": {
                            "releaseName": "{{.name}}",
                            "valueFiles": ["../../values/{{.name}}.yaml"],
                            "ignoreMissingValueFiles": true,
                        },
                    },
                    "destination": {"server": "https://kubernetes.default.svc", "namespace": "{{.namespace}}"},
                    "syncPolicy": {
                        "automated": {"prune": true, "selfHeal": true},
                        "syncOptions": ["ServerSideApply=true", "CreateNamespace=true", "RespectIgnoreDifferences=true"],
                        "retry": {"limit": 5, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}},
                    },
                    "ignoreDifferences": ignored(),
                },
            },
        },
    })
}

/// What istiod and the operators fill in at run time.
fn ignored() -> Value {
    json!([
        {"group": "admissionregistration.k8s.io", "kind": "MutatingWebhookConfiguration",
         "jqPathExpressions": [".webhooks[]?.clientConfig.caBundle"]},
        {"group": "admissionregistration.k8s.io", "kind": "ValidatingWebhookConfiguration",
         "jqPathExpressions": [".webhooks[]?.clientConfig.caBundle", ".webhooks[]?.failurePolicy"]},
    ])
}
