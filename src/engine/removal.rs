//! What an uninstallation would remove and what it would leave, found in the live cluster: the label says what is ours, Argo CD says what
//! charts that people added in Git brought. Reads only; `uninstall` carries it out.

use std::collections::BTreeMap;

use anyhow::Result;
use tokio::time::Instant;

use super::Engine;
use super::inventory::NAMESPACE;
use crate::object::{COMPONENT_LABEL, GENERATED_LABEL, Id, Object, TRACKING_ANNOTATION};
use crate::plan::applicationset::{self, HANDOFF};
use crate::plan::catalog::{Catalog, Component, Data};

/// What would be removed and what stays, as shown before anybody agrees.
pub struct Removal {
    /// Highest wave first; within a wave the reverse order of creation.
    pub waves: Vec<(u8, Vec<Object>)>,
    pub definitions: Vec<Object>,
    pub namespaces: Vec<Object>,
    pub claims: Vec<(Object, String)>,
    pub kept_secrets: Vec<Object>,
    pub delete_data: bool,
}

impl Engine {
    /// Finds everything with our label. Reads only.
    pub async fn plan_removal(&self, catalog: &Catalog, delete_data: bool) -> Result<Removal> {
        let deadline = self.patience();
        let mut ours = self.persist("list what is installed", deadline, || self.cluster.ours()).await?;
        let added = self.added_by_git(catalog, deadline).await?;
        ours.extend(added.into_iter().filter(|object| object.component().is_none()));
        let mut claims = Vec::new();
        for (component, data) in all_data(catalog) {
            let of = Id::new(
                "v1",
                "PersistentVolumeClaim",
                Some(data.namespace.as_deref().unwrap_or(&component.namespace)),
                "",
            );
            let found = self.persist("list the claims", deadline, || self.cluster.list(&of, &data.selector)).await?;
            claims.extend(found.into_iter().map(|claim| (claim, data.holds.clone())));
        }
        let mut removal = Removal {
            waves: Vec::new(),
            definitions: Vec::new(),
            namespaces: Vec::new(),
            claims,
            kept_secrets: Vec::new(),
            delete_data,
        };
        let mut waves: BTreeMap<u8, Vec<Object>> = BTreeMap::new();
        for object in ours {
            match object.kind() {
                "CustomResourceDefinition" => removal.definitions.push(object),
                "Namespace" => removal.namespaces.push(object),
                _ if object.component() == Some(HANDOFF) || is_own_record(&object) => {}
                _ if !delete_data && object.label(GENERATED_LABEL) == Some("keep") && holds_data(&removal.claims) => {
                    removal.kept_secrets.push(object);
                }
                "Application" => {}
                _ => waves.entry(wave_of(catalog, &object)).or_default().push(object),
            }
        }
        for objects in waves.values_mut() {
            objects.sort_by_key(|object| std::cmp::Reverse(object.rank()));
        }
        removal.waves = waves.into_iter().rev().collect();
        Ok(removal)
    }

    /// Objects of charts that are not ours. Argo CD's own mark on them is asked for, as its list may be older than the cluster.
    async fn added_by_git(&self, catalog: &Catalog, deadline: Instant) -> Result<Vec<Object>> {
        let of = Id::new("argoproj.io/v1alpha1", "Application", Some(applicationset::NAMESPACE), "");
        let applications =
            self.persist("list the Applications", deadline, || self.cluster.list(&of, COMPONENT_LABEL)).await?;
        let mut added = Vec::new();
        for application in applications.iter().filter(|application| catalog.get(application.name()).is_none()) {
            let mark = format!("{}:", application.name());
            for resource in application.items("/status/resources") {
                let text = |key: &str| resource[key].as_str().filter(|text| !text.is_empty());
                let (Some(version), Some(kind), Some(name)) = (text("version"), text("kind"), text("name")) else {
                    continue;
                };
                let api_version =
                    text("group").map_or_else(|| version.to_owned(), |group| format!("{group}/{version}"));
                let id = Id::new(&api_version, kind, text("namespace"), name);
                let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
                added.extend(
                    live.filter(|live| live.annotation(TRACKING_ANNOTATION).is_some_and(|it| it.starts_with(&mark))),
                );
            }
        }
        Ok(added)
    }
}

pub(super) fn all_data(catalog: &Catalog) -> impl Iterator<Item = (&Component, &Data)> {
    catalog.entries().flat_map(|entry| entry.component.data.iter().map(move |data| (&entry.component, data)))
}

fn holds_data(claims: &[(Object, String)]) -> bool {
    !claims.is_empty()
}

/// Inventory, lock and CA live and go with platctl's own namespace.
fn is_own_record(object: &Object) -> bool {
    object.namespace() == Some(NAMESPACE) && object.kind() != "NetworkPolicy"
}

fn wave_of(catalog: &Catalog, object: &Object) -> u8 {
    let name = object.component().unwrap_or_default();
    // A chart that people added after the handoff goes with the services.
    catalog.get(name).map_or(4, |entry| entry.component.wave)
}
