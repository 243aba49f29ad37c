//! Does the plan, without a terminal: walks the waves against a cluster, forwards and backwards. All that happens leaves as events; what
//! fails leaves as an error with its cause. Dependencies are the fields of `Engine`, built once in `commands`.

pub mod certificates;
pub mod convergence;
pub mod handoff;
pub mod inventory;
pub mod lock;
pub mod ownership;
mod prepull;
mod publish;
pub mod removal;
pub mod retry;
pub mod rotation;
pub mod secrets;
pub mod uninstall;
pub mod upgrade;
mod wait;
mod wave;

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::{self, CONCURRENCY, Cluster, Problem, Propagation};
use crate::event::{Event, Events};
use crate::failure::{advised, interrupted};
use crate::object::Id;
use crate::plan::Plan;
use inventory::{Inventory, Phase};
use retry::Pace;
pub use wait::is_stray;
use wave::Ahead;

/// How fast things go: what a test or a flag may change.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    pub retry: Pace,
    /// Requests under way at once.
    pub concurrency: usize,
    /// How long a pod may stay in a state that does not heal by itself.
    pub stuck: Duration,
    /// How long objects may take to go before their finalizers are named.
    pub gone: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            retry: Pace { first: Duration::from_millis(200), cap: Duration::from_secs(10), seed: rand::random() },
            concurrency: CONCURRENCY,
            stuck: Duration::from_mins(1),
            gone: Duration::from_mins(2),
        }
    }
}

/// What a run did, for the closing summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub created: usize,
    pub configured: usize,
    pub unchanged: usize,
    pub deleted: usize,
}

pub struct Engine {
    pub cluster: Cluster,
    pub events: Events,
    pub pacing: Pacing,
    /// Cancelled by Ctrl-C: the run ends at the next await, the inventory says where it stood.
    pub cancel: CancellationToken,
}

impl Engine {
    /// Walks the waves in order. The inventory is written before and after each, and when the run ends early.
    pub async fn install(&self, plan: &Plan, inventory: &mut Inventory) -> Result<Totals> {
        let mut totals = Totals::default();
        let ahead = Ahead::default();
        inventory.phase = Phase::Installing;
        for wave in &plan.waves {
            inventory.record_wave(wave);
            self.store(inventory).await?;
            self.events.send(Event::WaveStarted { wave: wave.number, name: wave.name.to_owned() });
            let done = self.cancellable(self.wave(wave, plan, inventory, &ahead, &mut totals)).await;
            if let Err(error) = done {
                return Err(self.stop(inventory, wave.number, error).await);
            }
            inventory.complete_wave(wave);
            self.events.send(Event::WaveReady { wave: wave.number, name: wave.name.to_owned() });
        }
        let gone = self.cancellable(self.prune(plan, inventory)).await?;
        totals.deleted += gone;
        inventory.phase = Phase::Installed;
        self.store(inventory).await?;
        Ok(totals)
    }

    /// Removes what an earlier run applied and this plan no longer holds. CRDs and namespaces stay: what hangs on them may be data.
    async fn prune(&self, plan: &Plan, inventory: &mut Inventory) -> Result<usize> {
        let deadline = Instant::now() + Duration::from_mins(2);
        let wanted: BTreeSet<Id> = plan.objects().map(|(_, object)| object.id()).collect();
        let (kept, dropped): (Vec<_>, Vec<_>) =
            std::mem::take(&mut inventory.objects).into_iter().partition(|entry| wanted.contains(&entry.id));
        inventory.objects = kept;
        let versions = plan.versions();
        inventory.components.retain(|name, _| versions.contains_key(name));
        let mut gone = 0;
        for entry in
            dropped.iter().filter(|entry| !matches!(entry.id.kind.as_str(), "CustomResourceDefinition" | "Namespace"))
        {
            let live = self.persist(&format!("get {}", entry.id), deadline, || self.cluster.get(&entry.id)).await?;
            if let Some(live) = live.filter(|live| live.component().is_some()) {
                self.persist(&format!("delete {}", entry.id), deadline, || {
                    self.cluster.delete(&entry.id, live.uid(), Propagation::Background)
                })
                .await?;
                self.events.send(Event::Deleted { id: entry.id.clone() });
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Ends a run early: the record is written even now, so that status and the next run know.
    async fn stop(&self, inventory: &Inventory, wave: u8, error: anyhow::Error) -> anyhow::Error {
        if self.cancel.is_cancelled() {
            self.events.send(Event::Interrupted { wave: Some(wave) });
        }
        // Best effort under a bound: the same failure may well have taken the API server along.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.cluster.store_inventory(inventory)).await;
        error
    }

    async fn store(&self, inventory: &mut Inventory) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(2);
        self.persist("write the inventory", deadline, || self.cluster.store_inventory(inventory)).await
    }

    /// Runs a future until Ctrl-C.
    pub async fn cancellable<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(interrupted()),
            done = work => done,
        }
    }

    /// Sends a request until it succeeds, cannot succeed, or the deadline is over. Each retry is an event.
    pub async fn persist<T, F, R>(&self, what: &str, deadline: Instant, request: F) -> Result<T>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T, Problem>>,
    {
        let mut delays = self.pacing.retry.delays();
        let mut attempt = 1;
        loop {
            let problem = match request().await {
                Ok(done) => return Ok(done),
                Err(problem) => problem,
            };
            let after = delays.next().unwrap_or(self.pacing.retry.cap);
            if !retry::is_retried(urgency(problem.class), attempt) || Instant::now() + after > deadline {
                return Err(refusal(problem)).with_context(|| what.to_owned());
            }
            self.events.send(Event::Retrying {
                what: what.to_owned(),
                cause: problem.message,
                attempt,
                after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            });
            self.cancellable(async {
                tokio::time::sleep(after).await;
                Ok(())
            })
            .await?;
            attempt += 1;
        }
    }
}

fn urgency(class: cluster::Class) -> retry::Class {
    match class {
        cluster::Class::Transient => retry::Class::Passing,
        // Not found: a kind or a namespace that has just been made may not be known to every API server yet.
        cluster::Class::Conflict | cluster::Class::NotFound => retry::Class::Contended,
        cluster::Class::Denied | cluster::Class::Invalid => retry::Class::Final,
    }
}

/// The advice that fits the class of a problem that ended a run.
fn refusal(problem: Problem) -> anyhow::Error {
    let hint = match problem.class {
        cluster::Class::Transient => {
            "look at the API server's health, then run the same command again: it goes on where it stopped"
        }
        cluster::Class::Conflict => {
            "another field manager owns these fields: let it give them up, or remove the object, then run the same command again"
        }
        cluster::Class::Denied => "`platctl preflight` lists the rights that are missing",
        cluster::Class::NotFound | cluster::Class::Invalid => {
            "the object is in the chart: `platctl render COMPONENT` shows it as it was sent"
        }
    };
    advised(problem, hint)
}
