//! The way back: ownership from Argo CD first, then the waves in reverse while the operators that must clear finalizers still run, then CRDs
//! and namespaces that hold nothing of others. Data stays unless it was asked for by name. What does not carry our label is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::inventory::{Inventory, NAMESPACE, Phase};
use super::ownership::without_marks;
use super::removal::{Removal, all_data};
use super::{Engine, Totals};
use crate::cluster::{Class, Propagation};
use crate::event::Event;
use crate::failure::Advise;
use crate::object::{COMPONENT_LABEL, GENERATED_LABEL, Id, Object};
use crate::plan::applicationset::{self, APPLICATION_SET, HANDOFF};
use crate::plan::catalog::{Catalog, WAVES};

/// From here on, objects are or make pods.
const RANK_OF_MAKERS: u8 = 10;

/// Looks at what is to go before it is said what holds it.
const QUICK: u32 = 4;

/// What is left, and what of it was not meant to be.
#[derive(Debug, Default)]
pub struct Leftovers {
    pub kept: Vec<(Id, String)>,
    pub unplanned: Vec<Id>,
}

impl Engine {
    pub async fn uninstall(
        &self,
        removal: &Removal,
        catalog: &Catalog,
        inventory: &mut Inventory,
    ) -> Result<(Totals, Leftovers)> {
        let mut totals = Totals::default();
        let mut left = Leftovers::default();
        self.cancellable(self.remove(removal, catalog, inventory, &mut totals, &mut left)).await?;
        Ok((totals, left))
    }

    async fn remove(
        &self,
        removal: &Removal,
        catalog: &Catalog,
        inventory: &mut Inventory,
        totals: &mut Totals,
        left: &mut Leftovers,
    ) -> Result<()> {
        // What a run that was killed may have left.
        self.end_prepull(false).await;
        totals.deleted += self.take_back().await?;
        inventory.phase = Phase::Uninstalling;
        self.store(inventory).await?;
        for (wave, objects) in &removal.waves {
            let name = WAVES.get(usize::from(*wave).wrapping_sub(1)).copied().unwrap_or("other");
            self.events.send(Event::WaveStarted { wave: *wave, name: name.to_owned() });
            for (component, count) in counted(objects) {
                self.events.send(Event::Deleting { component, objects: count });
            }
            if !removal.delete_data {
                self.release_claims(catalog, *wave).await?;
            }
            totals.deleted += self.delete_by_rank(objects).await?;
            if removal.delete_data {
                totals.deleted += self.delete_claims(catalog, *wave).await?;
            }
            self.events.send(Event::WaveReady { wave: *wave, name: name.to_owned() });
        }
        totals.deleted += self.leftovers(catalog).await?;
        totals.deleted += self.definitions_without_objects(removal, left).await?;
        Self::note_kept(removal, left);
        totals.deleted += self.empty_namespaces(removal, inventory, left).await?;
        left.unplanned = self.what_is_left(left).await?;
        Ok(())
    }

    /// Ends Argo CD's rule without a cascade: the Applications lose their finalizers before they go, so their objects stay.
    async fn take_back(&self) -> Result<usize> {
        let deadline = self.patience();
        let namespace = Some(applicationset::NAMESPACE);
        let set = Id::new("argoproj.io/v1alpha1", "ApplicationSet", namespace, APPLICATION_SET);
        let mut gone = Vec::new();
        if let Some(live) = self.persist(&format!("get {set}"), deadline, || self.cluster.get(&set)).await? {
            self.delete_one(&live, Propagation::Orphan, deadline).await?;
            self.until_gone(&[live], deadline).await?;
            gone.push(set);
        }
        let of = Id::new("argoproj.io/v1alpha1", "Application", namespace, "");
        let applications =
            self.persist("list the Applications", deadline, || self.cluster.list(&of, COMPONENT_LABEL)).await?;
        stream::iter(&applications)
            .map(|application| self.let_go(application, deadline))
            .buffer_unordered(self.pacing.concurrency)
            .try_collect::<()>()
            .await?;
        self.until_gone(&applications, deadline).await?;
        let ours = [
            Id::new("argoproj.io/v1alpha1", "AppProject", namespace, applicationset::PROJECT),
            Id::new("v1", "Secret", namespace, applicationset::REPOSITORY_SECRET),
        ];
        for id in ours {
            if let Some(live) = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?
                && live.component() == Some(HANDOFF)
            {
                self.delete_one(&live, Propagation::Background, deadline).await?;
                gone.push(id);
            }
        }
        if !applications.is_empty() {
            self.events.send(Event::TakenBack { applications: applications.len() });
        }
        Ok(gone.len() + applications.len())
    }

    /// Deletes an Application, not what it manages.
    async fn let_go(&self, application: &Object, deadline: Instant) -> Result<()> {
        let id = application.id();
        let patch = json!({"metadata": {"finalizers": null}});
        self.persist(&format!("release {id}"), deadline, || async {
            match self.cluster.merge_patch(&id, &patch).await {
                Err(problem) if problem.class == Class::NotFound => Ok(()),
                other => other,
            }
        })
        .await?;
        self.delete_one(application, Propagation::Orphan, deadline).await
    }

    /// Takes the claims away from the custom resource that would drag them along, while its operator holds still.
    async fn release_claims(&self, catalog: &Catalog, wave: u8) -> Result<()> {
        let deadline = self.patience();
        for (component, data) in all_data(catalog).filter(|(component, _)| component.wave == wave) {
            let namespace = data.namespace.as_deref().unwrap_or(&component.namespace);
            let Some(owner) = &data.owner else { continue };
            let id = Id::new(&owner.api_version, &owner.kind, Some(namespace), &owner.name);
            if self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?.is_none() {
                continue;
            }
            let pause = json!({"metadata": {"annotations": owner.pause}});
            self.persist(&format!("pause {id}"), deadline, || self.cluster.merge_patch(&id, &pause)).await?;
            let of = Id::new("v1", "PersistentVolumeClaim", Some(namespace), "");
            for claim in self.persist("list the claims", deadline, || self.cluster.list(&of, &data.selector)).await? {
                let claim = claim.id();
                let patch = json!({"metadata": {"ownerReferences": null}});
                self.persist(&format!("release {claim}"), deadline, || self.cluster.merge_patch(&claim, &patch))
                    .await?;
            }
        }
        Ok(())
    }

    async fn delete_claims(&self, catalog: &Catalog, wave: u8) -> Result<usize> {
        let deadline = self.patience();
        let mut gone = 0;
        for (component, data) in all_data(catalog).filter(|(component, _)| component.wave == wave) {
            let of = Id::new(
                "v1",
                "PersistentVolumeClaim",
                Some(data.namespace.as_deref().unwrap_or(&component.namespace)),
                "",
            );
            let claims = self.persist("list the claims", deadline, || self.cluster.list(&of, &data.selector)).await?;
            gone += self.delete_all(&claims).await?;
        }
        Ok(gone)
    }

    /// What makes pods first, and then, once the pods are gone, what they need to end well: `PostgreSQL` gives up its role by the API server,
    /// which takes its NetworkPolicy.
    async fn delete_by_rank(&self, objects: &[Object]) -> Result<usize> {
        let (makers, needed) = objects.split_at(objects.partition_point(|object| object.rank() >= RANK_OF_MAKERS));
        let mut gone = self.delete_ranks(makers).await?;
        self.until_pods_gone(makers).await?;
        gone += self.delete_ranks(needed).await?;
        Ok(gone)
    }

    async fn delete_ranks(&self, objects: &[Object]) -> Result<usize> {
        let mut gone = 0;
        for rank in objects.chunk_by(|a, b| a.rank() == b.rank()) {
            gone += self.delete_all(rank).await?;
        }
        Ok(gone)
    }

    /// Of the components that these objects are of, in so far as something made them.
    async fn until_pods_gone(&self, makers: &[Object]) -> Result<()> {
        let components: BTreeSet<&str> = makers.iter().filter_map(Object::component).collect();
        if components.is_empty() {
            return Ok(());
        }
        let deadline = self.patience();
        let selector = format!("{COMPONENT_LABEL} in ({})", Vec::from_iter(components).join(","));
        let of = Id::new("v1", "Pod", None, "");
        let mut pods = self.persist("list the pods", deadline, || self.cluster.list(&of, &selector)).await?;
        pods.retain(|pod| !pod.items("/metadata/ownerReferences").is_empty());
        self.until_gone(&pods, deadline).await
    }

    /// Deletes side by side and waits until all are gone.
    async fn delete_all(&self, objects: &[Object]) -> Result<usize> {
        let deadline = self.patience();
        stream::iter(objects)
            .map(|object| self.delete_one(object, Propagation::Background, deadline))
            .buffer_unordered(self.pacing.concurrency)
            .try_collect::<()>()
            .await?;
        self.until_gone(objects, deadline).await?;
        Ok(objects.len())
    }

    /// Only the very object that was listed: one of the same name that came since is somebody else's.
    async fn delete_one(&self, object: &Object, propagation: Propagation, deadline: Instant) -> Result<()> {
        let id = object.id();
        self.persist(&format!("delete {id}"), deadline, || self.cluster.delete(&id, object.uid(), propagation)).await?;
        Ok(())
    }

    /// Until when what is under way may take.
    pub(super) fn patience(&self) -> Instant {
        Instant::now() + self.pacing.gone
    }

    async fn until_gone(&self, objects: &[Object], deadline: Instant) -> Result<()> {
        let mut waiting: Vec<&Object> = objects.iter().collect();
        let mut delays = self.pacing.retry.delays();
        let mut said = String::new();
        let mut looks_taken = 0;
        loop {
            let looks = waiting.into_iter().map(|object| async move {
                let id = object.id();
                let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
                Ok::<_, anyhow::Error>((object, live.filter(|live| live.uid() == object.uid())))
            });
            let seen: Vec<_> = stream::iter(looks).buffered(self.pacing.concurrency).try_collect().await?;
            let mut left: Vec<&Object> = Vec::new();
            let mut blockers = Vec::new();
            for (object, live) in seen {
                match live {
                    Some(live) => {
                        blockers.push(blocker(&live));
                        left.push(object);
                    }
                    // It went with what made it.
                    None if object.kind() == "Pod" => {}
                    None => self.events.send(Event::Deleted { id: object.id() }),
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            looks_taken += 1;
            // Most objects are gone by then.
            if looks_taken > QUICK && blockers[0] != said {
                said.clone_from(&blockers[0]);
                let component = left[0].component().unwrap_or("others").to_owned();
                self.events.send(Event::Waiting { component, id: Some(left[0].id()), reason: said.clone() });
            }
            waiting = left;
            if Instant::now() >= deadline {
                return Err(anyhow!("{}", blockers.join("\n")))
                    .context("some objects do not go away")
                    .hint("see to the controller that clears the finalizer, then run `platctl uninstall` again");
            }
            tokio::time::sleep(delays.next().unwrap_or(self.pacing.retry.cap).min(Duration::from_secs(2))).await;
        }
    }

    /// What components made at run time outside their own objects.
    async fn leftovers(&self, catalog: &Catalog) -> Result<usize> {
        let deadline = self.patience();
        let mut found = Vec::new();
        for entry in catalog.entries() {
            for leftover in &entry.component.leftovers {
                let namespace = leftover.namespace.as_deref();
                if !leftover.every_namespace {
                    let id = Id::new(&leftover.api_version, &leftover.kind, namespace, &leftover.name);
                    found.extend(self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?);
                    continue;
                }
                let of = Id::new(&leftover.api_version, &leftover.kind, None, "");
                let all =
                    self.persist(&format!("list {}", leftover.kind), deadline, || self.cluster.list(&of, "")).await?;
                found.extend(all.into_iter().filter(|object| object.name() == leftover.name));
            }
        }
        self.delete_all(&found).await
    }

    /// CRDs of which no object is left. The others stay: somebody's data hangs on them.
    async fn definitions_without_objects(&self, removal: &Removal, left: &mut Leftovers) -> Result<usize> {
        let deadline = self.patience();
        let mut empty = Vec::new();
        let lists = stream::iter(&removal.definitions).map(|definition| async move {
            let instances = self.persist("list custom resources", deadline, || self.cluster.instances(definition));
            Ok::<_, anyhow::Error>((definition, instances.await?))
        });
        let lists: Vec<_> = lists.buffered(self.pacing.concurrency).try_collect().await?;
        for (definition, instances) in lists {
            match instances.first() {
                None => empty.push(definition.clone()),
                Some(first) => {
                    let reason =
                        format!("{} of its objects are somebody else's, such as {}", instances.len(), first.id());
                    left.kept.push((definition.id(), reason));
                }
            }
        }
        if !empty.is_empty() {
            self.events.send(Event::Deleting { component: "CRDs".to_owned(), objects: empty.len() });
        }
        self.delete_all(&empty).await
    }

    fn note_kept(removal: &Removal, left: &mut Leftovers) {
        if !removal.delete_data {
            left.kept.extend(removal.claims.iter().map(|(claim, holds)| (claim.id(), format!("holds {holds}"))));
        }
        left.kept
            .extend(removal.kept_secrets.iter().map(|secret| (secret.id(), "opens the data that is kept".to_owned())));
    }

    /// Namespaces that hold nothing of others. One that was there before platctl only loses what platctl wrote on it.
    async fn empty_namespaces(&self, removal: &Removal, inventory: &Inventory, left: &mut Leftovers) -> Result<usize> {
        let deadline = self.patience();
        let mut empty = Vec::new();
        for namespace in &removal.namespaces {
            let id = namespace.id();
            if id.name == NAMESPACE {
                continue;
            }
            let contents = self
                .persist(&format!("list the contents of {id}"), deadline, || self.cluster.contents(&id.name))
                .await?;
            let foreign: Vec<&Object> =
                contents.iter().filter(|object| !is_going(object, &removal.claims, removal.delete_data)).collect();
            if inventory.adopted.contains(&id.name) {
                let patch = without_marks(namespace);
                self.persist(&format!("release {id}"), deadline, || self.cluster.merge_patch(&id, &patch)).await?;
                left.kept.push((id, "was there before platctl".to_owned()));
            } else if let Some(first) = foreign.first() {
                left.kept.push((id, format!("holds {}{}", first.id(), more(foreign.len() - 1))));
            } else {
                empty.push(namespace.clone());
            }
        }
        self.events.send(Event::Deleting { component: "namespaces".to_owned(), objects: empty.len() + 1 });
        let mut gone = self.delete_all(&empty).await?;
        // Inventory, lock and CA go last, with the namespace that this very run may have made for its lock.
        let own = Id::new("v1", "Namespace", None, NAMESPACE);
        let own = self.persist(&format!("get {own}"), deadline, || self.cluster.get(&own)).await?;
        gone += self.delete_all(own.as_slice()).await?;
        for (id, reason) in &left.kept {
            self.events.send(Event::Kept { id: id.clone(), reason: reason.clone() });
        }
        Ok(gone)
    }

    /// Our objects that are still there and were not meant to be.
    async fn what_is_left(&self, left: &Leftovers) -> Result<Vec<Id>> {
        let deadline = self.patience();
        let ours = self.persist("list what is left", deadline, || self.cluster.ours()).await?;
        let kept: BTreeSet<&Id> = left.kept.iter().map(|(id, _)| id).collect();
        Ok(ours.iter().map(Object::id).filter(|id| !kept.contains(id)).collect())
    }
}

/// How many of the objects each component has.
fn counted(objects: &[Object]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object.component().unwrap_or("others").to_owned()).or_default() += 1;
    }
    counts
}

fn more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

/// What is in a namespace and goes with it or is on its way out.
fn is_going(object: &Object, claims: &[(Object, String)], delete_data: bool) -> bool {
    let is_claim = claims.iter().any(|(claim, _)| claim.id() == object.id());
    let is_kept_secret = object.label(GENERATED_LABEL) == Some("keep");
    let terminating = object.text("/metadata/deletionTimestamp").is_some();
    if is_claim || is_kept_secret {
        return delete_data || (is_kept_secret && claims.is_empty());
    }
    // Operators' own records and what they generated carry no label of ours but go with the namespace.
    terminating || object.kind() == "Secret" && is_operators(object) || object.component().is_some()
}

/// Secrets that the platform's operators made.
fn is_operators(secret: &Object) -> bool {
    let by_cnpg = secret.label("cnpg.io/cluster").is_some() || secret.name().starts_with("cnpg-");
    by_cnpg || secret.name() == "istio-ca-secret" || secret.name().starts_with("argocd-")
}

/// Why an object is still there.
fn blocker(live: &Object) -> String {
    let id = live.id();
    let finalizers: Vec<&str> = live.items("/metadata/finalizers").iter().filter_map(Value::as_str).collect();
    let condition = live.items("/status/conditions").iter().find(|condition| {
        condition["status"] == "True" && condition["type"].as_str().is_some_and(|kind| kind.starts_with("Namespace"))
    });
    let words = condition.and_then(|condition| condition["message"].as_str());
    match (finalizers.is_empty(), words) {
        (_, Some(words)) => format!("{id}: {words}"),
        (false, None) => format!("{id}: its finalizer `{}` is not cleared", finalizers.join("`, `")),
        (true, None) if live.kind() == "Pod" => format!("{id}: its containers have not ended"),
        (true, None) if live.kind() == "Namespace" => format!("{id}: what is in it goes first"),
        (true, None) => format!("{id}: it has no finalizer and is still there"),
    }
}
