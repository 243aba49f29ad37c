//! Volumes: the StorageClass that makes them, and what the platform claims.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Facts, Judged, blocking, quoted, warning};
use crate::object::Object;
use crate::plan::Plan;
use crate::plan::needs::volumes as volumes_of;

/// Says that somebody makes the volumes beforehand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

#[derive(Clone, Debug, Default, Serialize)]
pub struct StorageClass {
    pub name: String,
    pub default: bool,
    pub provisioner: String,
    /// Volumes are made where the first pod goes that uses them, not before.
    pub waits_for_consumer: bool,
}

impl StorageClass {
    pub fn of(class: &Object) -> Self {
        Self {
            name: class.name().to_owned(),
            default: class.annotation("storageclass.kubernetes.io/is-default-class") == Some("true"),
            provisioner: class.text("/provisioner").unwrap_or_default().to_owned(),
            waits_for_consumer: class.text("/volumeBindingMode") == Some("WaitForFirstConsumer"),
        }
    }
}

/// The volumes that the plan's objects claim, themselves or through their controllers.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claims {
    pub volumes: u64,
    pub bytes: u64,
}

pub fn claims(plan: &Plan) -> Claims {
    volumes_of(plan).iter().fold(Claims::default(), |sum, claimed| Claims {
        volumes: sum.volumes + claimed.count,
        bytes: sum.bytes + claimed.count * claimed.bytes,
    })
}

impl Facts {
    /// The class that the platform's claims would get.
    pub fn storage_class(&self, plan: &Plan) -> Option<&StorageClass> {
        let wanted = &plan.profile.storage_class;
        let is_it = |class: &&StorageClass| if wanted.is_empty() { class.default } else { class.name == *wanted };
        self.storage_classes.iter().find(is_it)
    }
}

pub(super) fn storage_class(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    if facts.storage_class(plan).is_some() || (facts.storage_classes.is_empty() && !facts.denied.is_empty()) {
        return Vec::new();
    }
    let wanted = &plan.profile.storage_class;
    if !wanted.is_empty() {
        let title = format!("there is no StorageClass `{wanted}`");
        return vec![blocking(title, "`kubectl get storageclass` lists what there is")];
    }
    let names = quoted(facts.storage_classes.iter().map(|class| class.name.as_str()));
    let hint = match names.as_str() {
        "" => "install a storage provisioner first".to_owned(),
        _ => format!("give one: `--set storageClass=NAME`, there are {names}"),
    };
    vec![blocking("the cluster has no default StorageClass".to_owned(), hint)]
}

pub(super) fn volumes(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let claims = claims(plan);
    let Some(class) = facts.storage_class(plan).filter(|_| claims.volumes > 0) else { return Vec::new() };
    let name = &class.name;
    if class.provisioner == NO_PROVISIONER {
        let size = claims.bytes.div_ceil(1024 * 1024 * 1024);
        let title = format!(
            "StorageClass `{name}` makes no volumes by itself; the platform claims {} volumes, {size} GiB together",
            claims.volumes
        );
        return vec![warning(
            title,
            "make the PersistentVolumes beforehand, or choose another class: `--set storageClass=NAME`",
        )];
    }
    let usable = facts.nodes.iter().filter(|node| node.is_usable() && !node.zone.is_empty());
    let zones: BTreeSet<&str> = usable.map(|node| node.zone.as_str()).collect();
    if zones.len() > 1 && !class.waits_for_consumer {
        let title = format!(
            "StorageClass `{name}` makes a volume before it is known where its pod goes, and the nodes are in {} zones",
            zones.len()
        );
        let hint = "a volume of one zone is of no use to a pod in another: choose a class with `volumeBindingMode: WaitForFirstConsumer`";
        return vec![warning(title, hint)];
    }
    Vec::new()
}
