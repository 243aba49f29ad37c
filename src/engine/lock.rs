//! Holds the lock while something works: takes it, keeps it renewed, gives it back. Losing it ends the run, as then somebody else is at work.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::Instant;

use super::Engine;
use super::inventory::{self, NAMESPACE};
use crate::cluster::lease::{LEASE_SECONDS, Taken};
use crate::cluster::{Class, Problem};
use crate::failure::{Advise, code};
use crate::object::{Id, Object};

fn id() -> Id {
    Id::new("coordination.k8s.io/v1", "Lease", Some(NAMESPACE), "platctl")
}

impl Engine {
    /// Runs `work` under the lock. `holder` names this run to whoever is refused meanwhile.
    pub async fn locked<T>(&self, holder: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.take(holder).await?;
        let done = tokio::select! {
            done = work => done,
            lost = self.renew(holder) => Err(lost),
        };
        // Under a bound: the lock runs out by itself.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.cluster.release_lease(&id(), holder)).await;
        done
    }

    async fn take(&self, holder: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        let namespace = Object::new(inventory::namespace()).map_err(|missing| anyhow!(missing))?;
        let namespace_id = namespace.id();
        self.persist(&format!("create {namespace_id}"), deadline, || async {
            if self.cluster.get(&namespace_id).await?.is_none() {
                self.cluster.apply(&namespace).await?;
            }
            Ok(())
        })
        .await?;
        let lease = id();
        let taken = self.persist("take the lock", deadline, || self.cluster.take_lease(&lease, holder)).await?;
        match taken {
            Taken::Ours => Ok(()),
            Taken::HeldBy { holder, since } => Err(anyhow!("another run is at work: {holder}, since {since}"))
                .hint(format!(
                    "wait for it to end; if it died, its lock runs out {LEASE_SECONDS} s after its last sign of life"
                ))
                .exit(code::REFUSED),
        }
    }

    /// Returns only when the lock is lost.
    async fn renew(&self, holder: &str) -> anyhow::Error {
        let period = Duration::from_secs(LEASE_SECONDS.unsigned_abs() / 3);
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(period).await;
            match self.cluster.take_lease(&id(), holder).await {
                // Not found: the uninstallation removes the namespace with the lock in it at its very end.
                Ok(Taken::Ours) | Err(Problem { class: Class::NotFound | Class::Denied, .. }) => {
                    renewed = Instant::now();
                }
                Ok(Taken::HeldBy { holder, .. }) => return anyhow!("the lock was taken by {holder}"),
                Err(problem) if renewed.elapsed() > period * 3 => {
                    return anyhow!(problem).context("the lock could not be renewed");
                }
                Err(_) => {}
            }
        }
    }
}
