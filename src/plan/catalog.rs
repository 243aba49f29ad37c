//! The catalogue of components: each chart with its `component.yaml`. The one file drives platctl's plan and, through the Git generator,
//! Argo CD's ApplicationSet. Pure: bytes in, types out; `embedded` supplies the bytes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::Id;
use crate::plan::render::Chart;

/// The waves in their order. A component names its wave by number; people see the name.
pub const WAVES: [&str; 5] = ["istio", "gateway", "cnpg", "services", "gitops"];

/// What each wave usually takes, in seconds, where the images are on the nodes already: measured on the lab's real node (`docs/real-node.md`:
/// 7, 6, 11, 101 and 7 s) and rounded up. It is shown; nothing depends on it.
pub const TYPICAL: [u64; WAVES.len()] = [10, 10, 15, 120, 10];

/// `component.yaml`: what platctl must know of a chart beyond its objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    pub name: String,
    pub namespace: String,
    pub wave: u8,
    /// The version of the upstream software.
    pub version: String,
    pub description: String,
    /// Components that must be ready before this one is applied. All of an earlier wave are implied.
    #[serde(default)]
    pub needs: Vec<String>,
    #[serde(default)]
    pub secrets: Vec<SecretSpec>,
    #[serde(default)]
    pub data: Vec<Data>,
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// Objects that others make and that must be there before the component counts as ready.
    #[serde(default)]
    pub waits: Vec<Id>,
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Objects that the component makes at run time and that nothing else removes.
    #[serde(default)]
    pub leftovers: Vec<Leftover>,
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

/// A Secret that platctl generates once, or that must be supplied from outside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    pub name: String,
    pub namespace: Option<String>,
    #[serde(default = "opaque", rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Kept by `uninstall` together with the data that it opens.
    #[serde(default)]
    pub keep: bool,
    #[serde(default)]
    pub keys: BTreeMap<String, KeySpec>,
    pub certificate: Option<CertificateSpec>,
}

fn opaque() -> String {
    "Opaque".to_owned()
}

/// How one key of a generated Secret gets its value.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeySpec {
    /// A literal that is no secret, such as a user name.
    Value(String),
    /// That many characters of `[A-Za-z0-9]`.
    Random(usize),
    /// That many random bytes, as standard base64.
    Base64(usize),
    /// That many random bytes, as URL-safe base64 without padding.
    Base64url(usize),
    /// That many random bytes, as hex.
    Hex(usize),
    /// The bcrypt digest of another key: `key`, or `secret/key` of the same component.
    Bcrypt(String),
}

/// A server certificate signed by the CA that platctl generates. `{domain}` stands for the profile's domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSpec {
    pub hosts: Vec<String>,
}

/// Persistent data that `uninstall` keeps unless it is told otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A label selector for PersistentVolumeClaims.
    pub selector: String,
    pub namespace: Option<String>,
    /// What people lose with it, in a few words.
    pub holds: String,
    pub owner: Option<Owner>,
}

/// The custom resource whose deletion would take the claims with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Owner {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    /// Annotations that make its operator hold still while the claims are released.
    #[serde(default)]
    pub pause: BTreeMap<String, String>,
}

/// A server-side dry-run create that must be admitted before the component counts as ready: proof that its webhook answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    pub what: String,
    pub create: Value,
    /// Text that must stand in the object that comes back.
    pub expect: Option<String>,
}

/// A user-facing address: `https://<host>.<domain>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    pub host: String,
    /// The Secret with the first credentials.
    pub credentials: Option<String>,
}

/// Something made at run time outside the component's own objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Leftover {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
    /// One of that name in each namespace of the cluster.
    #[serde(default)]
    pub every_namespace: bool,
}

/// A stated deviation from the hardening rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// `Kind/name`.
    pub object: String,
    /// Empty for the pod itself.
    #[serde(default)]
    pub container: String,
    pub rule: String,
    pub reason: String,
}

/// A chart and what we know of it.
pub struct Entry {
    pub component: Component,
    pub chart: Chart,
}

/// All components by name.
pub struct Catalog {
    entries: BTreeMap<String, Entry>,
}

impl Catalog {
    /// `charts`: chart name → path inside the chart → content.
    pub fn new(charts: BTreeMap<String, BTreeMap<String, Vec<u8>>>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (name, files) in charts {
            let text = files.get("component.yaml").with_context(|| format!("chart `{name}` has no component.yaml"))?;
            let component: Component = serde_saphyr::from_slice(text)
                .map_err(|error| anyhow!("{name}/component.yaml: {}", error.without_snippet()))?;
            if component.name != name {
                bail!("{name}/component.yaml names the component `{}`", component.name);
            }
            if component.wave == 0 || usize::from(component.wave) > WAVES.len() {
                bail!("{name}/component.yaml: wave {} is not one of 1 to {}", component.wave, WAVES.len());
            }
            let files = files.into_iter().map(|(path, content)| (path, content.into())).collect();
            let chart = Chart::new(files).with_context(|| format!("read chart `{name}`"))?;
            entries.insert(name, Entry { component, chart });
        }
        let catalog = Self { entries };
        catalog.check_needs()?;
        Ok(catalog)
    }

    /// A need must name a component of the same or an earlier wave, or the plan could never be walked.
    fn check_needs(&self) -> Result<()> {
        for entry in self.entries.values() {
            for need in &entry.component.needs {
                let needed = self.get(need).with_context(|| {
                    format!("{}/component.yaml needs `{need}`, which does not exist", entry.component.name)
                })?;
                if needed.component.wave > entry.component.wave {
                    bail!("{}/component.yaml needs `{need}` of a later wave", entry.component.name);
                }
            }
        }
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

impl Component {
    pub fn wave_name(&self) -> &'static str {
        WAVES[usize::from(self.wave) - 1]
    }

    /// The namespace of one of its Secrets.
    pub fn secret_namespace<'a>(&'a self, secret: &'a SecretSpec) -> &'a str {
        secret.namespace.as_deref().unwrap_or(&self.namespace)
    }

    /// The id of one of its Secrets.
    pub fn secret_id(&self, secret: &SecretSpec) -> Id {
        Id::new("v1", "Secret", Some(self.secret_namespace(secret)), &secret.name)
    }
}
