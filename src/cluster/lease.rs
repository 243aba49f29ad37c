//! The lock: a Lease, so that two installations at once do not undo each other. Its holder renews it; a dead holder's runs out.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Class, Cluster, FIELD_MANAGER, Problem, Propagation};
use crate::object::{COMPONENT_LABEL, Id, Object};

/// A holder that has not renewed for this long is dead.
pub const LEASE_SECONDS: i64 = 30;

/// What an attempt to take the lock gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Ours,
    HeldBy { holder: String, since: String },
}

impl Cluster {
    /// Takes or renews the lock for `holder`. A race for it is lost as a `Conflict`, which comes back as the winner's name next time.
    pub async fn take_lease(&self, id: &Id, holder: &str) -> Result<Taken, Problem> {
        let now = OffsetDateTime::now_utc();
        let Some(live) = self.get(id).await? else {
            return match self.create(&lease(id, holder, now, None)?).await {
                Ok(_) => Ok(Taken::Ours),
                Err(problem) => Err(problem),
            };
        };
        let current = live.text("/spec/holderIdentity").unwrap_or_default();
        if !current.is_empty() && current != holder && !is_expired(&live, now) {
            let since = live.text("/spec/acquireTime").unwrap_or_default().to_owned();
            return Ok(Taken::HeldBy { holder: current.to_owned(), since });
        }
        let kept = (current == holder).then(|| live.clone());
        let mut next = lease(id, holder, now, kept.as_ref())?;
        next.value_mut()["metadata"]["resourceVersion"] = live.value()["metadata"]["resourceVersion"].clone();
        self.replace(&next).await.map(|_| Taken::Ours)
    }

    pub async fn release_lease(&self, id: &Id, holder: &str) -> Result<(), Problem> {
        let Some(live) = self.get(id).await? else { return Ok(()) };
        if live.text("/spec/holderIdentity") != Some(holder) {
            return Ok(());
        }
        self.delete(id, live.uid(), Propagation::Background).await.map(drop)
    }
}

fn lease(id: &Id, holder: &str, now: OffsetDateTime, kept: Option<&Object>) -> Result<Object, Problem> {
    let acquired = kept.and_then(|live| live.text("/spec/acquireTime")).map_or_else(|| micro_time(now), str::to_owned);
    Object::new(json!({
        "apiVersion": id.api_version, "kind": id.kind,
        "metadata": {"name": id.name, "namespace": id.namespace, "labels": {COMPONENT_LABEL: FIELD_MANAGER}},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": acquired,
            "renewTime": micro_time(now),
        },
    }))
    .map_err(|message| Problem { class: Class::Invalid, message })
}

fn is_expired(live: &Object, now: OffsetDateTime) -> bool {
    let renewed = live.text("/spec/renewTime").and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let seconds = live.value().pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or(LEASE_SECONDS);
    renewed.is_none_or(|renewed| now - renewed > time::Duration::seconds(seconds))
}

/// Kubernetes' `MicroTime`: exactly six digits of a second.
fn micro_time(at: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_expires_when_its_holder_is_silent() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let id = Id::new("coordination.k8s.io/v1", "Lease", Some("x"), "y");
        let live = lease(&id, "me", now, None).unwrap();
        assert_eq!(live.text("/spec/renewTime"), Some("2023-11-14T22:13:20.000000Z"));
        assert!(!is_expired(&live, now + time::Duration::seconds(LEASE_SECONDS)));
        assert!(is_expired(&live, now + time::Duration::seconds(LEASE_SECONDS + 1)));
    }
}
