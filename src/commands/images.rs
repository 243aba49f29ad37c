//! `platctl images`: every image that the platform runs, read off the rendered objects.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use super::Desired;
use crate::cli::Images;
use crate::object::Object;
use crate::plan::Plan;
use crate::ui::Ui;

pub(super) fn run(flags: &Images, ui: &Ui) -> Result<u8> {
    let images = images(&Desired::of(&flags.choice)?.plan);
    let text = images.iter().fold(String::new(), |text, image| text + image + "\n");
    ui.result(&images, &text)?;
    Ok(0)
}

pub(super) fn images(plan: &Plan) -> BTreeSet<String> {
    let mut images = BTreeSet::new();
    for (_, object) in plan.objects().filter(|(_, object)| object.kind() != "CustomResourceDefinition") {
        collect(object, object.value(), &mut images);
    }
    images
}

/// Containers' `image`, CNPG's `imageName`, and what operators are told to run by their environment or their templates.
fn collect(object: &Object, value: &Value, images: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner.as_str() {
                    // `auto` is filled in by the sidecar injector.
                    Some(image) if matches!(key.as_str(), "image" | "imageName") && image != "auto" => {
                        images.insert(image.to_owned());
                    }
                    Some(text) if object.kind() == "ConfigMap" => images.extend(templated(text)),
                    _ => collect(object, inner, images),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(object, item, images)),
        _ => {}
    }
}

/// Literal images in a configuration text, such as the injector's values.
fn templated(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(['"', '\'', ' ', '\n'])
        .filter(|word| {
            let path =
                word.split_once('/').is_some_and(|(registry, _)| registry.contains('.') && !registry.contains(':'));
            let tag = word
                .rsplit_once(':')
                .is_some_and(|(image, tag)| image.contains('/') && !tag.is_empty() && !tag.contains('/'));
            path && tag && !word.contains("://") && !word.contains('{')
        })
        .map(str::to_owned)
}
