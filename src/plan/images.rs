//! The images that a plan pulls, where each comes from, and how a mirror is named. The charts put the names together, from the profile's
//! `imageRegistry`, `imageRegistries` and `imageDigests`; here they are read off the rendered objects. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::object::Object;
use crate::plan::catalog::Catalog;
use crate::plan::profile::Profile;
use crate::plan::render::{merge_values, yaml};
use crate::plan::{self, Plan};

/// An image as nodes pull it, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// What the nodes pull: mirror and digest included.
    pub image: String,
    /// The same without a mirror and without a digest of the profile's.
    pub upstream: String,
    pub digest: Option<String>,
    pub components: BTreeSet<String>,
    /// Where it is to be copied to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// One place of a rendered object that names an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub component: String,
    pub image: String,
    /// Named by a `ConfigMap`: an operator or the injector makes pods of it later.
    pub is_later: bool,
}

/// Where images are to be found instead of where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Of every registry that is not in `each`.
    pub all: Option<String>,
    pub each: BTreeMap<String, String>,
}

impl Mirrors {
    /// `HOST[/PATH]` for every registry, `REGISTRY=HOST[/PATH]` for one.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut mirrors = Self::default();
        for text in texts {
            let (registry, place) = text.split_once('=').map_or((None, text.as_str()), |(one, at)| (Some(one), at));
            check_place(place).map_err(|error| anyhow!("`{text}`: {error}"))?;
            let earlier = match registry {
                Some(registry) => mirrors.each.insert(registry.to_owned(), place.to_owned()),
                None => mirrors.all.replace(place.to_owned()),
            };
            if let Some(earlier) = earlier {
                let what = registry.map_or_else(|| "every registry".to_owned(), |name| format!("`{name}`"));
                return Err(anyhow!("`{text}`: {what} has a mirror already, `{earlier}`"));
            }
        }
        Ok(mirrors)
    }

    /// The profile with these instead of its own.
    fn apply(self, profile: &Profile) -> Profile {
        let mut profile = profile.clone();
        profile.image_registry = self.all.unwrap_or_default();
        profile.image_registries = self.each;
        profile.image_digests.clear();
        profile
    }
}

/// Fails unless the text may stand in front of an image's path: a host, a port, a path.
pub fn check_place(text: &str) -> Result<()> {
    ensure!(!text.contains("://"), "a registry is written without a scheme such as `https://`");
    ensure!(!text.ends_with('/'), "a registry is written without a `/` at its end");
    let (host, path) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(is_host_letter)
    };
    ensure!(name.split('.').all(is_label), "`{host}` is no host such as mirror.example.org:5000");
    ensure!(port.is_none_or(|port| port.parse::<u16>().is_ok()), "`{host}` has no port that is a number");
    ensure!(
        name.contains('.') || port.is_some() || name == "localhost",
        "`{host}` would be taken for a part of the path at docker.io: a host has a dot or a port"
    );
    let wrong = path.and_then(|path| path.split('/').find(|part| !is_path_part(part)));
    ensure!(
        wrong.is_none(),
        "`{}` is no part of a path: lower-case letters, digits and single `.`, `_` or `-` between them",
        wrong.unwrap_or_default()
    );
    Ok(())
}

fn is_host_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-'
}

fn is_path_part(part: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_fine = |letter: char| is_plain(letter) || "._-".contains(letter);
    part.starts_with(is_plain) && part.ends_with(is_plain) && part.chars().all(is_fine) && !part.contains("..")
}

/// Fails unless the text is a digest as registries give it.
pub fn check_digest(text: &str) -> Result<()> {
    let is_hex = |letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter);
    let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.chars().all(is_hex));
    hex.map(drop).ok_or_else(|| anyhow!("`{text}` is no digest: `sha256:` and 64 hexadecimal digits are expected"))
}

/// All images that the charts know under the profile's values, enabled or not, by their upstream names.
pub fn known(profile: &Profile, catalog: &Catalog) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in catalog.entries() {
        let mut values = entry.chart.values().clone();
        merge_values(&mut values, &profile.values(&entry.component.name));
        collect_known(&values, &mut found);
    }
    found
}

fn collect_known(values: &Value, found: &mut BTreeSet<String>) {
    let Some(map) = values.as_object() else { return };
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    if let (Some(registry), Some(repository), Some(tag)) = (text("registry"), text("repository"), text("tag")) {
        found.insert(format!("{registry}/{repository}:{tag}"));
    }
    map.values().for_each(|inner| collect_known(inner, found));
}

/// The registry of an image.
pub fn registry(image: &str) -> &str {
    image.split_once('/').map_or(image, |(registry, _)| registry)
}

/// Every image of the plan, each once.
pub fn names(plan: &Plan) -> BTreeSet<String> {
    places(plan).into_iter().map(|place| place.image).collect()
}

/// Every image of the plan with where it comes from and, if it is to be copied, where to.
pub fn images(plan: &Plan, catalog: &Catalog, to: Option<Mirrors>) -> Result<Vec<Image>> {
    let upstream = renamed(plan, catalog, Mirrors::default())?;
    let targets = to.map(|to| renamed(plan, catalog, to)).transpose()?;
    let mut images: BTreeMap<String, Image> = BTreeMap::new();
    for (index, (place, upstream)) in places(plan).into_iter().zip(upstream).enumerate() {
        let digest = place.image.split_once('@').map(|(_, digest)| digest.to_owned());
        let to = targets.as_ref().map(|targets| without_digest(&targets[index]).to_owned());
        let image = Image { image: place.image, upstream: upstream.clone(), digest, components: BTreeSet::new(), to };
        images.entry(upstream).or_insert(image).components.insert(place.component);
    }
    let mut images: Vec<Image> = images.into_values().collect();
    images.sort_by(|a, b| a.image.cmp(&b.image));
    Ok(images)
}

/// The same places as in the plan, as they are called with other mirrors.
fn renamed(plan: &Plan, catalog: &Catalog, mirrors: Mirrors) -> Result<Vec<String>> {
    let other = plan::build(&mirrors.apply(&plan.profile), catalog)?;
    Ok(places(&other).into_iter().map(|place| place.image).collect())
}

pub fn without_digest(image: &str) -> &str {
    image.split_once('@').map_or(image, |(name, _)| name)
}

/// The image by its digest alone, for what takes no tag beside it; by its tag where it has no digest.
pub fn by_digest(image: &str) -> String {
    let Some((name, digest)) = image.split_once('@') else { return image.to_owned() };
    let path = name.rfind('/').unwrap_or(0);
    let name = name[path..].find(':').map_or(name, |tag| &name[..path + tag]);
    format!("{name}@{digest}")
}

/// Every place of the plan that names an image, in the plan's order.
pub fn places(plan: &Plan) -> Vec<Place> {
    let mut places = Vec::new();
    for (planned, object) in plan.objects().filter(|(_, object)| object.kind() != "CustomResourceDefinition") {
        let mut images = Vec::new();
        let is_later = object.kind() == "ConfigMap";
        if is_later {
            configured(object, &mut images);
        } else {
            collect(object.value(), &mut images);
        }
        let component = &planned.component.name;
        places.extend(images.into_iter().map(|image| Place { component: component.clone(), image, is_later }));
    }
    places
}

/// Containers' `image` and CNPG's `imageName`.
fn collect(value: &Value, images: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner.as_str() {
                    // `auto` is filled in by the sidecar injector.
                    Some(image) if matches!(key.as_str(), "image" | "imageName") => {
                        images.extend((image != "auto").then(|| image.to_owned()));
                    }
                    _ => collect(inner, images),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, images)),
        _ => {}
    }
}

/// What a `ConfigMap` has in its documents, such as the injector's values.
fn configured(object: &Object, images: &mut Vec<String>) {
    let Some(data) = object.value().get("data").and_then(Value::as_object) else { return };
    for document in data.values().filter_map(Value::as_str).filter_map(|text| yaml::document(text).ok()) {
        collect(&document, images);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_mirrors() {
        for fine in ["mirror.example.org", "mirror:5000", "10.0.0.1:5000/a", "localhost/x", "m.example.org/a-b/c__d.e"]
        {
            check_place(fine).unwrap();
        }
        let said = |text: &str| check_place(text).unwrap_err().to_string();
        insta::assert_snapshot!(said("https://mirror.example.org"), @"a registry is written without a scheme such as `https://`");
        insta::assert_snapshot!(said("mirror.example.org/"), @"a registry is written without a `/` at its end");
        insta::assert_snapshot!(said("mirror"), @"`mirror` would be taken for a part of the path at docker.io: a host has a dot or a port");
        insta::assert_snapshot!(said(""), @"`` is no host such as mirror.example.org:5000");
        insta::assert_snapshot!(said("user@mirror.example.org"), @"`user@mirror.example.org` is no host such as mirror.example.org:5000");
        insta::assert_snapshot!(said("mirror.example.org:http"), @"`mirror.example.org:http` has no port that is a number");
        insta::assert_snapshot!(said("mirror.example.org/Team"), @"`Team` is no part of a path: lower-case letters, digits and single `.`, `_` or `-` between them");
        insta::assert_snapshot!(said("mirror.example.org/loki:3"), @"`loki:3` is no part of a path: lower-case letters, digits and single `.`, `_` or `-` between them");
    }

    #[test]
    fn mirrors() {
        let parse = |texts: &[&str]| Mirrors::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let mirrors = parse(&["mirror.example.org", "docker.io=harbor.example.org/dockerhub"]).unwrap();
        assert_eq!(mirrors.all.as_deref(), Some("mirror.example.org"));
        assert_eq!(mirrors.each["docker.io"], "harbor.example.org/dockerhub");
        let said = |texts: &[&str]| parse(texts).unwrap_err().to_string();
        insta::assert_snapshot!(said(&["a.org", "b.org"]), @"`b.org`: every registry has a mirror already, `a.org`");
        insta::assert_snapshot!(said(&["docker.io=a.org", "docker.io=b.org"]), @"`docker.io=b.org`: `docker.io` has a mirror already, `a.org`");
        insta::assert_snapshot!(said(&["docker.io=ftp://a.org"]), @"`docker.io=ftp://a.org`: a registry is written without a scheme such as `https://`");
    }

    #[test]
    fn digests() {
        check_digest(&format!("sha256:{}", "0a".repeat(32))).unwrap();
        for wrong in
            ["", "sha256:", "0a0a", &format!("sha256:{}", "0A".repeat(32)), &format!("md5:{}", "0a".repeat(32))]
        {
            assert!(check_digest(wrong).is_err(), "{wrong}");
        }
        assert_eq!(by_digest("mirror:5000/a/b:1.2@sha256:00"), "mirror:5000/a/b@sha256:00");
        assert_eq!(by_digest("mirror:5000/a/b@sha256:00"), "mirror:5000/a/b@sha256:00");
        assert_eq!(by_digest("mirror:5000/a/b:1.2"), "mirror:5000/a/b:1.2");
    }
}
