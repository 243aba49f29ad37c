//! One wave: its CRDs first, established and served, then its components side by side, each as soon as those that it needs are ready. While
//! the first wave waits, the CRDs of the later ones go in, as the API server takes its time to serve them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, future, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::convergence::is_applied;
use super::inventory::Inventory;
use super::{Engine, Totals};
use crate::event::{Change, Event};
use crate::failure::Advise;
use crate::object::{Id, Object};
use crate::plan::{Plan, PlannedComponent, Wave};

/// CRDs of later waves that are applied already, and what that changed.
pub(super) type Ahead = Mutex<HashMap<Id, Change>>;

impl Engine {
    pub(super) async fn wave(
        &self,
        wave: &Wave,
        plan: &Plan,
        inventory: &Inventory,
        ahead: &Ahead,
        totals: &mut Totals,
    ) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(wave.timeout);
        let totals = Mutex::new(totals);
        let count = |change: Change| {
            let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
            match change {
                Change::Created => totals.created += 1,
                Change::Configured => totals.configured += 1,
                Change::Unchanged => totals.unchanged += 1,
            }
        };
        self.definitions(wave, inventory, ahead, deadline, &count).await?;
        let (ready, _) = watch::channel(BTreeSet::new());
        let components = wave.components.iter().map(|planned| {
            let ready = ready.clone();
            let count = &count;
            async move {
                self.needs(planned, wave, ready.subscribe()).await;
                self.component(planned, plan, inventory, deadline, count).await.with_context(|| {
                    format!("component `{}` in wave {} ({})", planned.component.name, wave.number, wave.name)
                })?;
                ready.send_modify(|ready| {
                    ready.insert(planned.component.name.clone());
                });
                Ok::<(), anyhow::Error>(())
            }
        });
        // The first failure ends the wave: what the others were waiting for is there again on the next run.
        let components = future::try_join_all(components);
        future::try_join(components, self.definitions_ahead(wave, plan, inventory, deadline, ahead))
            .await
            .map(drop)
            .hint("run the same command again once the cause is gone: it goes on where it stopped")
    }

    /// CRDs of the whole wave, so that no component meets a kind of another that is not served yet.
    async fn definitions(
        &self,
        wave: &Wave,
        inventory: &Inventory,
        ahead: &Ahead,
        deadline: Instant,
        count: &(dyn Fn(Change) + Sync),
    ) -> Result<()> {
        let waits = wave.components.iter().map(|planned| async move {
            let definitions: Vec<&Object> = definitions_of(planned).collect();
            if definitions.is_empty() {
                return Ok(());
            }
            let mut rest = Vec::new();
            for object in &definitions {
                let early = ahead.lock().unwrap_or_else(PoisonError::into_inner).remove(&object.id());
                match early {
                    Some(change) => self.applied(planned, object, change, count),
                    None => rest.push(*object),
                }
            }
            self.apply_all(planned, &rest, inventory, deadline, count).await?;
            self.until_ready(planned, &definitions, deadline).await
        });
        future::try_join_all(waits).await?;
        self.cluster.forget_kinds();
        Ok(())
    }

    /// The API server takes seconds until it serves a new kind: those of later waves become served while the first wave waits for its
    /// components. What fails here is tried again, and reported, in its own wave.
    async fn definitions_ahead(
        &self,
        wave: &Wave,
        plan: &Plan,
        inventory: &Inventory,
        deadline: Instant,
        ahead: &Ahead,
    ) -> Result<()> {
        if plan.waves.first().is_none_or(|first| first.number != wave.number) {
            return Ok(());
        }
        let later = plan.waves.iter().skip(1).flat_map(|wave| &wave.components).flat_map(definitions_of);
        stream::iter(later)
            .for_each_concurrent(self.pacing.concurrency, |object| async move {
                if let Ok(change) = self.apply_one(object, inventory, deadline).await {
                    ahead.lock().unwrap_or_else(PoisonError::into_inner).insert(object.id(), change);
                }
            })
            .await;
        Ok(())
    }

    /// Returns once all that the component needs within this wave is ready; earlier waves are.
    async fn needs(&self, planned: &PlannedComponent, wave: &Wave, mut ready: watch::Receiver<BTreeSet<String>>) {
        let here = |need: &&String| wave.components.iter().any(|other| other.component.name == **need);
        let needs: Vec<&String> = planned.component.needs.iter().filter(here).collect();
        let missing = needs.iter().find(|need| !ready.borrow().contains(**need));
        if let Some(need) = missing {
            self.events.send(Event::Waiting {
                component: planned.component.name.clone(),
                id: None,
                reason: format!("component `{need}` is to be ready first"),
            });
        }
        // The sender lives as long as the wave.
        let _ = ready.wait_for(|ready| needs.iter().all(|need| ready.contains(*need))).await;
    }

    async fn component(
        &self,
        planned: &PlannedComponent,
        plan: &Plan,
        inventory: &Inventory,
        deadline: Instant,
        count: &(dyn Fn(Change) + Sync),
    ) -> Result<()> {
        let name = planned.component.name.clone();
        // CRDs are there already, for the whole wave.
        let rest: Vec<&Object> =
            planned.objects.iter().filter(|object| object.kind() != "CustomResourceDefinition").collect();
        self.events.send(Event::ComponentStarted { component: name.clone(), objects: rest.len() });
        self.secrets(&planned.component, &plan.profile, deadline).await?;
        self.apply_all(planned, &rest, inventory, deadline, count).await?;
        self.until_ready(planned, &rest, deadline).await?;
        self.probes(planned, deadline).await?;
        self.events.send(Event::ComponentReady { component: name });
        Ok(())
    }

    /// Applies rank by rank, all of a rank side by side.
    async fn apply_all(
        &self,
        planned: &PlannedComponent,
        objects: &[&Object],
        inventory: &Inventory,
        deadline: Instant,
        count: &(dyn Fn(Change) + Sync),
    ) -> Result<()> {
        for rank in objects.chunk_by(|a, b| a.rank() == b.rank()) {
            stream::iter(rank)
                .map(|object| async move {
                    let change = self.apply_one(object, inventory, deadline).await?;
                    self.applied(planned, object, change, count);
                    Ok::<(), anyhow::Error>(())
                })
                .buffer_unordered(self.pacing.concurrency)
                .try_collect::<()>()
                .await?;
        }
        Ok(())
    }

    fn applied(&self, planned: &PlannedComponent, object: &Object, change: Change, count: &(dyn Fn(Change) + Sync)) {
        self.events.send(Event::Applied { component: planned.component.name.clone(), id: object.id(), change });
        count(change);
    }

    /// Reads first: an object that already says all of it costs no write.
    async fn apply_one(&self, object: &Object, inventory: &Inventory, deadline: Instant) -> Result<Change> {
        let id = object.id();
        let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
        if let Some(live) = &live
            && is_applied(object, live, inventory.digest_of(&id))
        {
            return Ok(Change::Unchanged);
        }
        let applied = self.persist(&format!("apply {id}"), deadline, || self.cluster.apply(object)).await?;
        let version = |object: &Object| object.text("/metadata/resourceVersion").map(str::to_owned);
        Ok(match live {
            None => Change::Created,
            Some(live) if version(&live) == version(&applied) => Change::Unchanged,
            Some(_) => Change::Configured,
        })
    }

    /// Dry-run creates until each is admitted: the proof that a webhook answers, which no object's status gives.
    async fn probes(&self, planned: &PlannedComponent, deadline: Instant) -> Result<()> {
        for probe in &planned.component.probes {
            let object = Object::new(probe.create.clone()).map_err(|missing| {
                anyhow::anyhow!("component.yaml of `{}`: probe: {missing}", planned.component.name)
            })?;
            let mut delays = self.pacing.retry.delays();
            let mut last = String::new();
            loop {
                let reason = match self.cluster.dry_create(&object).await {
                    Ok(answer) => match &probe.expect {
                        Some(text) if !answer.value().to_string().contains(text.as_str()) => {
                            format!("{} was admitted without `{text}`", object.id())
                        }
                        _ => break,
                    },
                    Err(problem) => problem.message,
                };
                if reason != last {
                    self.events.send(Event::Waiting {
                        component: planned.component.name.clone(),
                        id: Some(object.id()),
                        reason: format!("{}: {reason}", probe.what),
                    });
                    last.clone_from(&reason);
                }
                let after = delays.next().unwrap_or(self.pacing.retry.cap);
                if Instant::now() + after > deadline {
                    anyhow::bail!("not proven in time that {}: {reason}", probe.what);
                }
                tokio::time::sleep(after).await;
            }
        }
        Ok(())
    }
}

fn definitions_of(planned: &PlannedComponent) -> impl Iterator<Item = &Object> {
    planned.objects.iter().filter(|object| object.kind() == "CustomResourceDefinition")
}
