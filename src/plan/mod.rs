//! What is to be done: the profile and the catalogue become a `Plan`, with every chart rendered, before anything touches a cluster. Pure:
//! no client, no clock, no files. `commands` builds it, `engine` walks it.

pub mod applicationset;
pub mod catalog;
pub mod certificates;
pub mod document;
pub mod functions;
pub mod host;
pub mod images;
pub mod interview;
pub mod logins;
pub mod merge;
pub mod needs;
pub mod preflight;
pub mod prepull;
pub mod profile;
pub mod questions;
pub mod reach;
pub mod reference;
pub mod render;
pub mod schema;
pub mod surroundings;
pub mod tree;
pub mod upgrade;
pub mod written;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::failure::{Advise, code};
use crate::object::{COMPONENT_LABEL, Id, Object, TRACKING_ANNOTATION};
use catalog::{Catalog, Component, Entry, WAVES};
use document::nearest;
use profile::Profile;
use render::Release;

/// Waves in their order, each with its rendered components.
pub struct Plan {
    pub profile: Profile,
    /// All components that there are, enabled or not: what is named so in Git is ours.
    pub known: BTreeSet<String>,
    pub waves: Vec<Wave>,
}

pub struct Wave {
    pub number: u8,
    pub name: &'static str,
    /// Seconds.
    pub timeout: u64,
    pub components: Vec<PlannedComponent>,
}

/// A component with its objects in the order of creation.
pub struct PlannedComponent {
    pub component: Component,
    pub objects: Vec<Object>,
}

/// Renders every enabled component and puts it in its wave.
pub fn build(profile: &Profile, catalog: &Catalog) -> Result<Plan> {
    let mut owners: BTreeMap<Id, String> = BTreeMap::new();
    let mut waves: Vec<Wave> = Vec::new();
    for (number, name) in (1..).zip(WAVES) {
        let mut components = Vec::new();
        for entry in catalog.entries().filter(|entry| entry.component.wave == number) {
            if profile.is_enabled(&entry.component.name) {
                components.push(plan_component(profile, entry, &mut owners)?);
            }
        }
        check_needs(profile, &components)?;
        waves.push(Wave { number, name, timeout: profile.wave_timeout(name), components });
    }
    let plan = Plan { profile: profile.clone(), known: catalog.names().map(str::to_owned).collect(), waves };
    schema::check(&plan)?;
    Ok(plan)
}

fn plan_component(profile: &Profile, entry: &Entry, owners: &mut BTreeMap<Id, String>) -> Result<PlannedComponent> {
    let component = entry.component.clone();
    let release = Release { name: &component.name, namespace: &component.namespace };
    let mut objects = render::render(&entry.chart, &release, &profile.values(&component.name))?;
    for object in &mut objects {
        let id = object.id();
        if object.component() != Some(component.name.as_str()) {
            bail!("chart `{}`: {id} lacks the label `{COMPONENT_LABEL}: {}`", component.name, component.name);
        }
        if let Some(other) = owners.insert(id.clone(), component.name.clone()) {
            bail!("{id} is rendered by both `{other}` and `{}`", component.name);
        }
        track(object, &component);
    }
    objects.sort_by_key(Object::rank);
    Ok(PlannedComponent { component, objects })
}

/// Argo CD finds the objects of an Application by this annotation. Written from the start, so that its first sync has nothing to change.
/// It does not track CRDs by it (they may belong to several Applications).
fn track(object: &mut Object, component: &Component) {
    if object.kind() == "CustomResourceDefinition" {
        return;
    }
    let id = object.id();
    // The namespace is the Application's own where the object has none.
    let namespace = id.namespace.as_deref().unwrap_or(&component.namespace);
    let tracking = format!("{}:{}/{}:{namespace}/{}", component.name, id.group(), id.kind, id.name);
    object.annotate(TRACKING_ANNOTATION, &tracking);
}

/// A disabled component must not be needed by an enabled one.
fn check_needs(profile: &Profile, components: &[PlannedComponent]) -> Result<()> {
    for planned in components {
        if let Some(need) = planned.component.needs.iter().find(|need| !profile.is_enabled(need)) {
            let name = &planned.component.name;
            return Err(anyhow!("component `{name}` needs `{need}`, which the profile disables"))
                .hint(format!("enable `{need}`, or disable `{name}` too: `--set components.{name}.enabled=false`"))
                .exit(code::USAGE);
        }
    }
    Ok(())
}

impl Plan {
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &PlannedComponent> {
        self.waves.iter().flat_map(|wave| &wave.components)
    }

    pub fn objects(&self) -> impl Iterator<Item = (&PlannedComponent, &Object)> {
        self.components().flat_map(|component| component.objects.iter().map(move |object| (component, object)))
    }

    /// The version of each component's software.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.components().map(|planned| (planned.component.name.clone(), planned.component.version.clone())).collect()
    }

    pub fn component(&self, name: &str) -> Result<&PlannedComponent> {
        let names: Vec<&str> = self.components().map(|planned| planned.component.name.as_str()).collect();
        self.components()
            .find(|planned| planned.component.name == name)
            .ok_or_else(|| anyhow!("no component `{name}` in this profile: {}", nearest(name, names.iter().copied())))
    }
}

/// A digest of what an object should be, kept in the inventory to tell whether a newer rendering differs from what was applied.
pub fn digest(object: &Object) -> String {
    let bytes = Sha256::digest(object.value().to_string().as_bytes());
    bytes.iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
