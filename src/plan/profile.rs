//! The profile: everything a person may choose. Layers are merged (built-in profile ← profile file ← `--values` ← `--set`), each is checked
//! against what exists before it is merged, so that a mistake is reported where it stands. Pure: texts come in as arguments.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::failure::{Advise, code};
use crate::plan::catalog::{Catalog, WAVES};
use crate::plan::document::{Document, nearest};
use crate::plan::images;

/// What is to be installed and how. The keys of a profile file are these fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// The built-in profile it stands on, or its own name.
    #[serde(default)]
    pub extends: String,
    #[serde(default)]
    pub description: String,
    /// User-facing hosts are `<host>.<domain>`.
    pub domain: String,
    pub tls: Tls,
    pub secrets: SecretSource,
    /// The StorageClass of all claims; empty is the cluster's default.
    #[serde(default)]
    pub storage_class: String,
    /// Replaces the registry of every image.
    #[serde(default)]
    pub image_registry: String,
    /// Replaces single registries: `docker.io: mirror.example.org/dockerhub`. Goes before `image_registry`.
    #[serde(default)]
    pub image_registries: BTreeMap<String, String>,
    /// The digest of an image by its upstream name: `docker.io/grafana/loki:3.7.8: sha256:…`.
    #[serde(default)]
    pub image_digests: BTreeMap<String, String>,
    #[serde(default)]
    pub image_pull_secrets: Vec<Value>,
    /// Where pods reach the API server: its Service's port, and its own, which `NetworkPolicies` see after address translation.
    pub api_server_ports: Vec<u16>,
    pub repository: Repository,
    pub timeouts: Timeouts,
    #[serde(default)]
    pub components: BTreeMap<String, Choice>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Tls {
    /// `generated`: a CA of platctl's own signs the certificate. `secret`: the named Secret is there or will be supplied.
    pub mode: TlsMode,
    pub secret_name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    Generated,
    Secret,
}

/// Who makes the Secrets that the charts expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    Generated,
    External,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Repository {
    pub mode: RepositoryMode,
    /// Needed with `external`; with `in-cluster` it is the Git server's own.
    #[serde(default)]
    pub url: String,
    pub branch: String,
    /// A Secret in `argocd` with the keys that Argo CD documents for a repository (username, password, sshPrivateKey…).
    #[serde(default)]
    pub credentials_secret: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepositoryMode {
    InCluster,
    External,
}

/// How long things may take, such as `10m` or `90s`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Timeouts {
    /// The whole installation.
    pub total: String,
    /// From the ApplicationSet to every Application Synced and Healthy.
    pub handoff: String,
    /// How long a pod may stay in a state that it does not recover from by itself before the wait ends early.
    pub stuck: String,
    pub waves: BTreeMap<String, String>,
}

/// A component's place in the profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    pub values: Map<String, Value>,
}

fn yes() -> bool {
    true
}

/// The keys that take one word of a few, each with its words.
pub(super) const WORDS: [(&[&str], &[&str]); 3] = [
    (&["tls", "mode"], &["generated", "secret"]),
    (&["secrets"], &["generated", "external"]),
    (&["repository", "mode"], &["in-cluster", "external"]),
];

/// Where the layers of a profile come from, in order.
pub struct Layers<'a> {
    /// The built-in profiles by name.
    pub built_in: &'a BTreeMap<String, String>,
    /// `--profile`: a built-in name, or a file's name and text.
    pub base: Base<'a>,
    /// `--values`: name and text of each file.
    pub values: &'a [(String, String)],
    /// `--set path=value`.
    pub set: &'a [String],
}

pub enum Base<'a> {
    Name(&'a str),
    File { name: &'a str, text: &'a str },
}

impl Profile {
    /// Merges and checks the layers. Every mistake of a layer is reported at once.
    pub fn load(layers: &Layers, catalog: &Catalog) -> Result<Self> {
        Self::merge(layers, catalog).exit(code::USAGE)
    }

    /// A profile that was recorded merged, perhaps by an older platctl: what it does not have yet comes from the built-in one.
    pub fn recorded(record: &Value, built_in: &BTreeMap<String, String>) -> Result<Self> {
        let name = record["extends"].as_str().unwrap_or_default();
        let mut merged = match built_in.get(name) {
            Some(text) => Document::parse(&format!("profile {name}"), text)?.value,
            None => json!({}),
        };
        layer(&mut merged, record);
        serde_json::from_value(merged).context("read the recorded profile")
    }

    fn merge(layers: &Layers, catalog: &Catalog) -> Result<Self> {
        let documents = layers.documents(catalog)?;
        let shape = shape(catalog);
        let mut merged = json!({});
        for document in &documents {
            let mut mistakes = document.mistakes(&shape);
            mistakes.extend(WORDS.iter().filter_map(|(path, words)| document.not_among(path, words)));
            mistakes.sort_by_key(|mistake| mistake.line);
            if !mistakes.is_empty() {
                let words: Vec<_> = mistakes.iter().map(|mistake| document.describe(mistake)).collect();
                return Err(anyhow!("{}", words.join("\n")))
                    .hint("`platctl profile show NAME` prints a profile's keys; a chart's are in its `values.yaml`, which `platctl export DIR` writes");
            }
            layer(&mut merged, &document.value);
        }
        let profile: Self = serde_json::from_value(merged).map_err(|error| anyhow!("{}: {error}", layers.name()))?;
        profile.check(catalog).with_context(|| format!("profile `{}` cannot be used", layers.name()))?;
        Ok(profile)
    }

    /// What one value alone cannot tell.
    fn check(&self, catalog: &Catalog) -> Result<()> {
        if self.domain.is_empty() || self.domain.contains(['/', ' ', ':']) {
            bail!("`domain` is `{}`, but a DNS name such as platform.example.org is expected", self.domain);
        }
        if self.repository.mode == RepositoryMode::External && self.repository.url.is_empty() {
            return Err(anyhow!("`repository.url` is empty"))
                .hint("give the Git repository that Argo CD is to follow: `--repo-url URL`, or `repository.url` in the profile");
        }
        if self.repository.mode == RepositoryMode::InCluster && !self.is_enabled("gitea") {
            return Err(anyhow!("`repository.mode` is `in-cluster`, but the component `gitea` is not enabled"))
                .hint("enable it, or give a Git repository of your own: `--repo-url URL`");
        }
        self.check_images(catalog)?;
        for (name, text) in self.timeouts.named() {
            duration(text).map_err(|error| anyhow!("`timeouts.{name}`: {error}"))?;
        }
        if let Some(wave) = WAVES.iter().find(|wave| !self.timeouts.waves.contains_key(**wave)) {
            bail!("`timeouts.waves.{wave}` is missing");
        }
        Ok(())
    }

    /// A registry or an image that no chart has is a mistake: what it was meant for would be pulled from elsewhere, or unpinned.
    fn check_images(&self, catalog: &Catalog) -> Result<()> {
        if !self.image_registry.is_empty() {
            images::check_place(&self.image_registry)
                .map_err(|error| anyhow!("`imageRegistry`: `{}`: {error}", self.image_registry))?;
        }
        let known = images::known(self, catalog);
        let registries: BTreeSet<&str> = known.iter().map(|image| images::registry(image)).collect();
        for (registry, place) in &self.image_registries {
            if !registries.contains(registry.as_str()) {
                let nearest = nearest(registry, registries.iter().copied());
                bail!("`imageRegistries`: no image comes from `{registry}`: {nearest}");
            }
            images::check_place(place).map_err(|error| anyhow!("`imageRegistries.{registry}`: `{place}`: {error}"))?;
        }
        for (image, digest) in &self.image_digests {
            if !known.contains(image) {
                let nearest = nearest(image, known.iter().map(String::as_str));
                return Err(anyhow!("`imageDigests`: no image `{image}`: {nearest}"))
                    .hint("`platctl images --format digests` prints the commands that make the list anew");
            }
            images::check_digest(digest).map_err(|error| anyhow!("`imageDigests.{image}`: {error}"))?;
        }
        for secret in &self.image_pull_secrets {
            let has_name = secret.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
            if !has_name || secret.as_object().is_none_or(|map| map.len() != 1) {
                bail!("`imagePullSecrets`: `{secret}`: `{{name: SECRET}}` is expected");
            }
        }
        Ok(())
    }

    pub fn is_enabled(&self, component: &str) -> bool {
        self.components.get(component).is_none_or(|choice| choice.enabled)
    }

    /// The Helm values of a component: what the profile says for all of them, then its own. The same values go into the Git tree.
    pub fn values(&self, component: &str) -> Value {
        let mut values = json!({"global": {
            "domain": self.domain,
            "imageRegistry": self.image_registry,
            "imageRegistries": self.image_registries,
            "imageDigests": self.image_digests,
            "imagePullSecrets": self.image_pull_secrets,
            "storageClass": self.storage_class,
            "apiServerPorts": self.api_server_ports,
        }});
        if component == "istio-gateway" {
            values["tls"] = json!({"secretName": self.tls.secret_name});
        }
        if component == "argocd" {
            // Where the repository is decides where the repo-server may connect to.
            let is_inside = self.repository.mode == RepositoryMode::InCluster;
            values["git"] = json!({"inCluster": is_inside, "external": {"enabled": !is_inside}});
        }
        if component == "namespaces" {
            values["gitea"] = json!({"enabled": self.is_enabled("gitea")});
        }
        if let Some(choice) = self.components.get(component) {
            layer(&mut values, &Value::Object(choice.values.clone()));
        }
        values
    }

    /// Seconds, already known to parse.
    pub fn wave_timeout(&self, wave: &str) -> u64 {
        self.timeouts.waves.get(wave).and_then(|text| duration(text).ok()).unwrap_or(600)
    }
}

impl Timeouts {
    fn named(&self) -> impl Iterator<Item = (String, &str)> {
        let own = [("total", &self.total), ("handoff", &self.handoff), ("stuck", &self.stuck)];
        let waves = self.waves.iter().map(|(wave, text)| (format!("waves.{wave}"), text.as_str()));
        own.into_iter().map(|(name, text)| (name.to_owned(), text.as_str())).chain(waves)
    }
}

/// Lays one document over another. Unlike Helm's merge it keeps a null: it is the chart's default that the null is to delete.
fn layer(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                layer(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Seconds of `90s`, `10m`, `1h`, or of their sum such as `1h30m`.
pub fn duration(text: &str) -> Result<u64> {
    let wrong = || anyhow!("`{text}` is no duration; write it as `90s`, `10m` or `1h30m`");
    let mut seconds = 0;
    let mut digits = String::new();
    for letter in text.chars() {
        let unit = match letter {
            '0'..='9' => {
                digits.push(letter);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(wrong()),
        };
        seconds += digits.parse::<u64>().map_err(|_| wrong())? * unit;
        digits.clear();
    }
    if seconds == 0 || !digits.is_empty() {
        return Err(wrong());
    }
    Ok(seconds)
}

impl Layers<'_> {
    fn name(&self) -> &str {
        match self.base {
            Base::Name(name) | Base::File { name, .. } => name,
        }
    }

    fn documents(&self, catalog: &Catalog) -> Result<Vec<Document>> {
        let mut documents = match self.base {
            Base::Name(name) => vec![self.built_in(name)?],
            Base::File { name, text } => {
                let own = Document::parse(name, text)?;
                let extends = own.value.get("extends").and_then(Value::as_str).unwrap_or("dev").to_owned();
                vec![self.built_in(&extends).with_context(|| format!("{name}: `extends`"))?, own]
            }
        };
        for (name, text) in self.values {
            documents.push(Document::parse(name, text)?);
        }
        for assignment in self.set {
            documents.push(assign(assignment, catalog)?);
        }
        Ok(documents)
    }

    fn built_in(&self, name: &str) -> Result<Document> {
        let names = self.built_in.keys().map(String::as_str);
        let text = self.built_in.get(name).ok_or_else(|| anyhow!("no profile `{name}`: {}", nearest(name, names)))?;
        let mut document = Document::parse(&format!("profile {name}"), text)?;
        document.value["extends"] = Value::from(name);
        Ok(document)
    }
}

/// `--set a.b=c`: a path into the profile; a component's name in front stands for `components.<name>.values`. A backslash keeps a dot.
fn assign(assignment: &str, catalog: &Catalog) -> Result<Document> {
    let name = format!("--set {assignment}");
    let (path, text) = assignment.split_once('=').ok_or_else(|| anyhow!("{name}: `KEY=VALUE` is expected"))?;
    let mut keys: Vec<String> = path.replace("\\.", "\u{0}").split('.').map(|key| key.replace('\u{0}', ".")).collect();
    if keys.iter().any(String::is_empty) {
        bail!("{name}: the key has an empty part");
    }
    if catalog.get(&keys[0]).is_some() {
        keys.splice(1..1, ["values".to_owned()]);
        keys.insert(0, "components".to_owned());
    }
    let value: Value = if text.is_empty() {
        Value::from("")
    } else {
        serde_saphyr::from_str(text).map_err(|error| anyhow!("{name}: {}", error.without_snippet()))?
    };
    let value = keys.into_iter().rev().fold(value, |inner, key| json!({ key: inner }));
    Ok(Document::of(&name, value))
}

/// Everything that a profile may hold: its own fields, and for each component the keys of its chart's values.
pub fn shape(catalog: &Catalog) -> Value {
    let mut components = Map::new();
    for entry in catalog.entries() {
        let choice = json!({"enabled": true, "values": entry.chart.values()});
        components.insert(entry.component.name.clone(), choice);
    }
    let waves: Map<String, Value> = WAVES.iter().map(|wave| ((*wave).to_owned(), Value::from(""))).collect();
    json!({
        "extends": "", "description": "", "domain": "", "storageClass": "", "imageRegistry": "", "imageRegistries": {},
        "imageDigests": {}, "imagePullSecrets": [],
        "apiServerPorts": [], "tls": {"mode": "", "secretName": ""},
        "secrets": "",
        "repository": {"mode": "", "url": "", "branch": "", "credentialsSecret": ""},
        "timeouts": {"total": "", "handoff": "", "stuck": "", "waves": waves},
        "components": components,
    })
}
