//! What was installed, kept in the cluster: a ConfigMap that says version, profile, phase, wave and every object. Written before and after
//! each wave, so that an interrupted run can be resumed, shown and undone. When it is lost, the ownership label finds the objects again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::{Class, Cluster, FIELD_MANAGER, Problem};
/// Where platctl keeps its own records.
pub use crate::object::OWN_NAMESPACE as NAMESPACE;
use crate::object::{COMPONENT_LABEL, Id, Object};
use crate::plan::upgrade::UNKNOWN;
use crate::plan::{Wave, digest};

const NAME: &str = "platctl-inventory";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Installing,
    Installed,
    HandedOver,
    Uninstalling,
}

/// The record of an installation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The version of platctl that wrote it.
    pub version: String,
    /// The merged profile; it holds no secret.
    pub profile: Value,
    pub phase: Phase,
    /// The last wave that was begun.
    pub wave: u8,
    /// Waves that were ready once.
    pub ready_waves: Vec<u8>,
    pub objects: Vec<Entry>,
    /// The version of each component that was ready once.
    #[serde(default)]
    pub components: BTreeMap<String, String>,
    /// Namespaces that were there before; `uninstall` leaves them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<String>,
    /// What Argo CD follows, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub id: Id,
    pub component: String,
    pub wave: u8,
    /// Of the rendering that was applied.
    pub digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub repository: String,
    pub revision: String,
}

impl Inventory {
    pub fn new(profile: Value) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile,
            phase: Phase::Installing,
            wave: 0,
            ready_waves: Vec::new(),
            objects: Vec::new(),
            components: BTreeMap::new(),
            adopted: Vec::new(),
            published: None,
        }
    }

    /// Notes all objects of a wave before the first of them is applied: better one too many than one forgotten. The digest follows when
    /// the object is there, so that a run that died in between applies it again.
    pub fn record_wave(&mut self, wave: &Wave) {
        self.wave = self.wave.max(wave.number);
        for planned in &wave.components {
            for object in &planned.objects {
                let id = object.id();
                if !self.objects.iter().any(|entry| entry.id == id) {
                    let component = planned.component.name.clone();
                    self.objects.push(Entry { id, component, wave: wave.number, digest: String::new() });
                }
            }
        }
    }

    /// All of the wave is applied and ready.
    pub fn complete_wave(&mut self, wave: &Wave) {
        let digests: BTreeMap<Id, String> = wave
            .components
            .iter()
            .flat_map(|planned| &planned.objects)
            .map(|object| (object.id(), digest(object)))
            .collect();
        for entry in &mut self.objects {
            if let Some(digest) = digests.get(&entry.id) {
                entry.digest.clone_from(digest);
            }
        }
        for planned in &wave.components {
            self.components.insert(planned.component.name.clone(), planned.component.version.clone());
        }
        if !self.ready_waves.contains(&wave.number) {
            self.ready_waves.push(wave.number);
        }
    }

    /// What is installed: component → version, unknown where only the objects are recorded. One that never was ready is not there.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let ready = self.objects.iter().filter(|entry| self.ready_waves.contains(&entry.wave));
        let there = ready.map(|entry| (entry.component.clone(), UNKNOWN.to_owned()));
        let mut versions: BTreeMap<String, String> = there.collect();
        versions.extend(self.components.clone());
        versions
    }

    pub fn digest_of(&self, id: &Id) -> Option<&str> {
        self.objects.iter().find(|entry| entry.id == *id).map(|entry| entry.digest.as_str())
    }
}

fn id() -> Id {
    Id::new("v1", "ConfigMap", Some(NAMESPACE), NAME)
}

/// The namespace of platctl's own records, as it must be before the charts bring it in full.
pub fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {COMPONENT_LABEL: "namespaces"}},
    })
}

impl Cluster {
    pub async fn load_inventory(&self) -> Result<Option<Inventory>, Problem> {
        let Some(object) = self.get(&id()).await? else { return Ok(None) };
        let text = object.text("/data/inventory").unwrap_or_default();
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| Problem { class: Class::Invalid, message: format!("{} cannot be read: {error}", id()) })
    }

    /// Writes the inventory, unless it already says the same.
    pub async fn store_inventory(&self, inventory: &Inventory) -> Result<(), Problem> {
        let text = serde_json::to_string(inventory)
            .map_err(|error| Problem { class: Class::Invalid, message: error.to_string() })?;
        let wanted = Object::new(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {COMPONENT_LABEL: FIELD_MANAGER}},
            "data": {"inventory": text},
        }))
        .map_err(|message| Problem { class: Class::Invalid, message })?;
        if let Some(live) = self.get(&id()).await?
            && live.text("/data/inventory") == wanted.text("/data/inventory")
        {
            return Ok(());
        }
        self.apply(&wanted).await.map(drop)
    }

    pub async fn delete_inventory(&self) -> Result<(), Problem> {
        self.delete(&id(), None, crate::cluster::Propagation::Background).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_unknown_or_not_there() {
        let entry = |component: &str, wave: u8| Entry {
            id: Id::new("v1", "ConfigMap", None, component),
            component: component.to_owned(),
            wave,
            digest: String::new(),
        };
        let mut inventory = Inventory::new(Value::Null);
        inventory.objects = vec![entry("recorded", 1), entry("older", 1), entry("never-ready", 2)];
        inventory.ready_waves = vec![1];
        inventory.components.insert("recorded".to_owned(), "1.2.3".to_owned());
        let versions = inventory.versions();
        let versions: Vec<_> = versions.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
        assert_eq!(versions, [("older", UNKNOWN), ("recorded", "1.2.3")]);
    }
}
