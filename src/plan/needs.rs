//! What a plan needs of a cluster, read off its rendered objects: the wizard's summary. Pure.

use crate::object::Object;
use crate::plan::Plan;
use crate::plan::preflight::millis;

/// Volumes of one owner, all alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Volumes {
    pub component: String,
    pub count: u64,
    pub bytes: u64,
}

/// Every volume that the plan's objects claim, themselves or through their controllers.
pub fn volumes(plan: &Plan) -> Vec<Volumes> {
    let mut found = Vec::new();
    for (planned, object) in plan.objects() {
        let mut claim = |object: &Object, count: &str, size: &str| {
            let count = object.number(count).map_or(1, |count| u64::try_from(count).unwrap_or(0));
            if let Some(size) = object.value().pointer(size) {
                let component = planned.component.name.clone();
                found.push(Volumes { component, count, bytes: millis(size) / 1000 });
            }
        };
        match object.kind() {
            "PersistentVolumeClaim" => claim(object, "", "/spec/resources/requests/storage"),
            "StatefulSet" => {
                for index in 0..object.items("/spec/volumeClaimTemplates").len() {
                    let size = format!("/spec/volumeClaimTemplates/{index}/spec/resources/requests/storage");
                    claim(object, "/spec/replicas", &size);
                }
            }
            "Cluster" => {
                claim(object, "/spec/instances", "/spec/storage/size");
                claim(object, "/spec/instances", "/spec/walStorage/size");
            }
            _ => {}
        }
    }
    found
}
