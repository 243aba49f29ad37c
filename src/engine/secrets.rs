//! Makes the Secrets that nobody supplies: once, from the system's random source, never over an existing one. Their content goes to the
//! cluster and nowhere else: no event, no file, no Git. Certificates are made in `certificates`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::RngExt;
use rand::distr::Alphanumeric;
use serde_json::json;
use tokio::time::Instant;

use super::Engine;
use crate::event::Event;
use crate::object::{COMPONENT_LABEL, GENERATED_LABEL, Id, Object};
use crate::plan::catalog::{Component, KeySpec, SecretSpec};
use crate::plan::profile::{Profile, SecretSource, TlsMode};

pub(super) const BCRYPT_COST: u32 = 10;

pub type Keys = BTreeMap<String, String>;

impl Engine {
    /// Sees to every Secret of a component: generates what is missing, waits for what is to be supplied.
    pub(super) async fn secrets(&self, component: &Component, profile: &Profile, deadline: Instant) -> Result<()> {
        let mut made: BTreeMap<String, Keys> = BTreeMap::new();
        for spec in &component.secrets {
            let supplied = match spec.certificate {
                Some(_) => profile.tls.mode == TlsMode::Secret,
                None => profile.secrets == SecretSource::External,
            };
            let mut id = component.secret_id(spec);
            if spec.certificate.is_some() {
                id.name.clone_from(&profile.tls.secret_name);
            }
            if supplied {
                self.await_supplied(component, &id, deadline).await?;
                continue;
            }
            let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
            let keys = match (live, &spec.certificate) {
                (Some(live), _) => decode(&live),
                (None, Some(certificate)) => {
                    let keys = self.certificate(certificate, &profile.domain, deadline).await?;
                    self.create_secret(component, spec, &id, &keys, deadline).await?;
                    keys
                }
                (None, None) => {
                    let keys = generate(spec, &made)?;
                    self.create_secret(component, spec, &id, &keys, deadline).await?;
                    keys
                }
            };
            made.insert(spec.name.clone(), keys);
        }
        Ok(())
    }

    /// Waits for a Secret that people or their operator supply. Polled: a watch on Secrets by name asks for a right that is not needed else.
    async fn await_supplied(&self, component: &Component, id: &Id, deadline: Instant) -> Result<()> {
        loop {
            if self.persist(&format!("get {id}"), deadline, || self.cluster.get(id)).await?.is_some() {
                return Ok(());
            }
            self.events.send(Event::Waiting {
                component: component.name.clone(),
                id: Some(id.clone()),
                reason: format!("{id} is to be supplied and is not there yet"),
            });
            if Instant::now() > deadline {
                bail!("{id} was not supplied in time");
            }
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        }
    }

    async fn create_secret(
        &self,
        component: &Component,
        spec: &SecretSpec,
        id: &Id,
        keys: &Keys,
        deadline: Instant,
    ) -> Result<()> {
        let mut labels =
            json!({COMPONENT_LABEL: component.name, GENERATED_LABEL: if spec.keep { "keep" } else { "true" }});
        for (key, value) in &spec.labels {
            labels[key] = json!(value);
        }
        let data: BTreeMap<_, _> = keys.iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let object = Object::new(json!({
            "apiVersion": "v1", "kind": "Secret", "type": spec.kind,
            "metadata": {"name": id.name, "namespace": id.namespace, "labels": labels},
            "data": data,
        }))
        .map_err(|missing| anyhow!(missing))?;
        self.create_once(&object, deadline).await
    }

    /// Creates and never overwrites: an existing object is as good as a new one.
    pub(super) async fn create_once(&self, object: &Object, deadline: Instant) -> Result<()> {
        let id = object.id();
        let created = self
            .persist(&format!("create {id}"), deadline, || async {
                match self.cluster.create(object).await {
                    Ok(_) => Ok(true),
                    Err(problem) if problem.message.contains("already exists") => Ok(false),
                    Err(problem) => Err(problem),
                }
            })
            .await?;
        if created {
            self.events.send(Event::SecretGenerated { id });
        }
        Ok(())
    }
}

/// The decoded keys of a live Secret.
pub fn decode(secret: &Object) -> Keys {
    let data = secret.value().get("data").and_then(serde_json::Value::as_object);
    data.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok()?)))
        .collect()
}

/// The keys of a new Secret. Digests come last: they look at the others.
pub(super) fn generate(spec: &SecretSpec, made: &BTreeMap<String, Keys>) -> Result<Keys> {
    let mut keys = Keys::new();
    for (name, key) in &spec.keys {
        let value = match key {
            KeySpec::Value(value) => value.clone(),
            KeySpec::Random(length) => rand::rng().sample_iter(Alphanumeric).take(*length).map(char::from).collect(),
            KeySpec::Base64(length) => STANDARD.encode(random_bytes(*length)),
            KeySpec::Base64url(length) => URL_SAFE_NO_PAD.encode(random_bytes(*length)),
            KeySpec::Hex(length) => {
                random_bytes(*length).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
            }
            KeySpec::Bcrypt(_) => continue,
        };
        keys.insert(name.clone(), value);
    }
    for (name, key) in &spec.keys {
        if let KeySpec::Bcrypt(of) = key {
            let source = match of.split_once('/') {
                Some((secret, key)) => made.get(secret).and_then(|keys| keys.get(key)),
                None => keys.get(of),
            };
            let source = source.with_context(|| format!("Secret {}: there is no key `{of}` to digest", spec.name))?;
            let digest = bcrypt::hash(source, BCRYPT_COST).with_context(|| format!("digest `{of}`"))?;
            keys.insert(name.clone(), digest);
        }
    }
    Ok(keys)
}

fn random_bytes(length: usize) -> Vec<u8> {
    rand::rng().random_iter().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> SecretSpec {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn keys_have_their_shape_and_differ_each_time() {
        let spec = spec(
            "name: x\nkeys:\n  user: {value: admin}\n  password: {random: 24}\n  digest: {bcrypt: password}\n  hex: {hex: 8}\n",
        );
        let (first, second) = (generate(&spec, &BTreeMap::new()).unwrap(), generate(&spec, &BTreeMap::new()).unwrap());
        assert_eq!(first["user"], "admin");
        assert_eq!(first["password"].len(), 24);
        assert_eq!(first["hex"].len(), 16);
        assert!(bcrypt::verify(&first["password"], &first["digest"]).unwrap());
        assert_ne!(first["password"], second["password"]);
    }

    #[test]
    fn digests_look_into_other_secrets_of_the_component() {
        let spec = spec("name: x\nkeys:\n  digest: {bcrypt: admin/password}\n");
        let made = BTreeMap::from([("admin".to_owned(), Keys::from([("password".to_owned(), "secret".to_owned())]))]);
        assert!(bcrypt::verify("secret", &generate(&spec, &made).unwrap()["digest"]).unwrap());
        assert!(generate(&spec, &BTreeMap::new()).is_err());
    }
}
