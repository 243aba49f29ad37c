//! Which kinds the server knows, and the URL paths of their objects. Asked once for each API version and kept, asked anew when a kind is
//! missing: a CRD may have come since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::api::ApiResource;

use super::{Class, Problem, REQUEST_TIMEOUT, reading};
use crate::object::Id;

#[derive(Clone)]
pub(super) struct Resources {
    client: Client,
    known: Arc<Mutex<HashMap<(String, String), Resource>>>,
}

#[derive(Clone)]
pub(super) struct Resource {
    pub(super) api: ApiResource,
    pub(super) namespaced: bool,
}

impl Resources {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Arc::default() }
    }

    pub(super) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The kind of an id. `NotFound` where the server does not serve it.
    pub(super) async fn find(&self, id: &Id) -> Result<Resource, Problem> {
        let key = (id.api_version.clone(), id.kind.clone());
        if let Some(resource) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(resource.clone());
        }
        let found = self.ask(id).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(found);
        known.get(&key).cloned().ok_or_else(|| Problem {
            class: Class::NotFound,
            message: format!("the server does not serve the kind {} in {}", id.kind, id.api_version),
        })
    }

    async fn ask(&self, id: &Id) -> Result<Vec<((String, String), Resource)>, Problem> {
        let attempt = || async {
            Ok(if id.group().is_empty() {
                self.client.list_core_api_resources(id.version()).await?
            } else {
                self.client.list_api_group_resources(&id.api_version).await?
            })
        };
        let list = tokio::time::timeout(REQUEST_TIMEOUT, reading(attempt))
            .await
            .map_err(|_| Problem { class: Class::Transient, message: "no answer to discovery".to_owned() })??;
        let kinds = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
        Ok(kinds
            .map(|resource| {
                let api = ApiResource {
                    group: id.group().to_owned(),
                    version: id.version().to_owned(),
                    api_version: id.api_version.clone(),
                    kind: resource.kind.clone(),
                    plural: resource.name,
                };
                ((id.api_version.clone(), resource.kind), Resource { api, namespaced: resource.namespaced })
            })
            .collect())
    }

    /// The path of one object.
    pub(super) async fn path(&self, id: &Id) -> Result<String, Problem> {
        Ok(format!("{}/{}", self.collection(id).await?, id.name))
    }

    /// The path of all objects of a kind, in the id's namespace if it has one.
    pub(super) async fn collection(&self, id: &Id) -> Result<String, Problem> {
        let resource = self.find(id).await?;
        let root = if resource.api.group.is_empty() {
            format!("/api/{}", resource.api.version)
        } else {
            format!("/apis/{}", resource.api.api_version)
        };
        Ok(match (&id.namespace, resource.namespaced) {
            (Some(namespace), true) => format!("{root}/namespaces/{namespace}/{}", resource.api.plural),
            _ => format!("{root}/{}", resource.api.plural),
        })
    }
}
