//! `platctl images`: every image that the platform pulls, as a list or as the commands that fill a mirror.

use anyhow::{Result, anyhow};

use super::Desired;
use crate::cli::{ImageFormat, Images};
use crate::failure::{Advise, code};
use crate::plan::images::{Image, Mirrors, by_digest, images, without_digest};
use crate::plan::profile::Profile;
use crate::ui::Ui;

pub(super) fn run(flags: &Images, ui: &Ui) -> Result<u8> {
    let desired = Desired::of(&flags.choice)?;
    let to = target(flags, &desired.plan.profile)?;
    let images = images(&desired.plan, &desired.catalog, to).exit(code::USAGE)?;
    let text: String = images.iter().map(|image| line(flags.format, image) + "\n").collect();
    ui.result(&images, &header(flags.format, text))?;
    Ok(0)
}

/// Where the images are to be copied to: `--to`, or else where the profile has them pulled from.
fn target(flags: &Images, profile: &Profile) -> Result<Option<Mirrors>> {
    let is_copy = matches!(flags.format, ImageFormat::Skopeo | ImageFormat::Crane);
    if !flags.to.is_empty() {
        if !is_copy {
            return Err(anyhow!("--to: nothing is copied with this format"))
                .hint("add `--format skopeo` or `--format crane`")
                .exit(code::USAGE);
        }
        return Mirrors::parse(&flags.to).map(Some).map_err(|error| anyhow!("--to {error}")).exit(code::USAGE);
    }
    if !is_copy {
        return Ok(None);
    }
    if profile.image_registry.is_empty() && profile.image_registries.is_empty() {
        return Err(anyhow!("where are the images to be copied to?"))
            .hint("add `--to REGISTRY`, or the `--registry-mirror` that `install` is to get")
            .exit(code::USAGE);
    }
    let all = Some(profile.image_registry.clone()).filter(|registry| !registry.is_empty());
    Ok(Some(Mirrors { all, each: profile.image_registries.clone() }))
}

fn line(format: ImageFormat, image: &Image) -> String {
    let pinned = image.digest.as_ref().map(|digest| format!("{}@{digest}", without_digest(&image.upstream)));
    // Skopeo takes a tag or a digest, not both.
    let from = pinned.map_or_else(|| image.upstream.clone(), |pinned| by_digest(&pinned));
    let to = image.to.as_deref().unwrap_or_default();
    match format {
        ImageFormat::List => image.image.clone(),
        ImageFormat::Skopeo => format!("skopeo copy --all --preserve-digests docker://{from} docker://{to}"),
        ImageFormat::Crane => format!("crane copy {from} {to}"),
        ImageFormat::Digests => {
            // Where the nodes would pull it from: behind an air gap nothing else can be asked. Two commands, as `set -e` passes over a
            // failure before `&&`.
            let place = without_digest(&image.image);
            format!("digest=$(crane digest {place})\necho \"  {}: $digest\"", without_digest(&image.upstream))
        }
    }
}

fn header(format: ImageFormat, text: String) -> String {
    match format {
        ImageFormat::Digests => format!("set -e\necho imageDigests:\n{text}"),
        ImageFormat::Skopeo | ImageFormat::Crane => format!("set -e\n{text}"),
        ImageFormat::List => text,
    }
}
