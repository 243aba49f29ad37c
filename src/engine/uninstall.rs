//! The way back: ownership from Argo CD first, then the waves in reverse while the operators that must clear finalizers still run, then CRDs
//! and namespaces that hold nothing of others. Data stays unless it was asked for by name. What does not carry our label is not touched.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::inventory::{Inventory, NAMESPACE, Phase};
use super::removal::{Removal, all_data};
use super::{Engine, Totals};
use crate::cluster::{Class, Propagation};
use crate::event::Event;
use crate::failure::Advise;
use crate::object::{COMPONENT_LABEL, GENERATED_LABEL, Id, Object, rank};
use crate::plan::applicationset::{self, APPLICATION_SET, HANDOFF};
use crate::plan::catalog::{Catalog, WAVES};

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
        for application in &applications {
            let id = application.id();
            let patch = json!({"metadata": {"finalizers": null}});
            self.persist(&format!("release {id}"), deadline, || async {
                match self.cluster.merge_patch(&id, &patch).await {
                    Err(problem) if problem.class == Class::NotFound => Ok(()),
                    other => other,
                }
            })
            .await?;
            self.delete_one(application, Propagation::Orphan, deadline).await?;
        }
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

    /// What pods need in order to end goes after them: a database gives up its lease at the API server, and without its rights or its
    /// `NetworkPolicy` it waits there until the connection times out.
    async fn delete_by_rank(&self, objects: &[Object]) -> Result<usize> {
        let mut gone = 0;
        let needed = objects.partition_point(|object| object.rank() > rank("RoleBinding"));
        let (first, last) = objects.split_at(needed);
        for rank in first.chunk_by(|a, b| a.rank() == b.rank()) {
            gone += self.delete_all(rank).await?;
        }
        self.until_pods_ended(objects).await?;
        for rank in last.chunk_by(|a, b| a.rank() == b.rank()) {
            gone += self.delete_all(rank).await?;
        }
        Ok(gone)
    }

    /// Waits for the pods that go with their owners among these objects. Owners are gone at once, their pods some time later.
    async fn until_pods_ended(&self, objects: &[Object]) -> Result<()> {
        let deadline = self.patience();
        let components: BTreeSet<&str> = objects.iter().filter_map(Object::component).collect();
        let is_theirs = |pod: &Object| {
            let is_owned = !pod.items("/metadata/ownerReferences").is_empty();
            is_owned && pod.component().is_some_and(|name| components.contains(name))
        };
        let any = Id::new("v1", "Pod", None, "");
        let mut delays = self.pacing.retry.delays();
        loop {
            let pods = self.persist("list the pods", deadline, || self.cluster.list(&any, COMPONENT_LABEL)).await?;
            let left: Vec<String> = pods.iter().filter(|pod| is_theirs(pod)).map(|pod| pod.id().to_string()).collect();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(anyhow!("{}", left.join("\n")))
                    .context("some pods do not end")
                    .hint("`kubectl describe` them for the reason, then run `platctl uninstall` again");
            }
            tokio::time::sleep(delays.next().unwrap_or(self.pacing.retry.cap).min(Duration::from_secs(2))).await;
        }
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
        loop {
            let looks = waiting.into_iter().map(|object| async move {
                let id = object.id();
                let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
                Ok::<_, anyhow::Error>((object, live.filter(|live| live.uid() == object.uid())))
            });
            let seen: Vec<_> = stream::iter(looks).buffered(self.pacing.concurrency).try_collect().await?;
            let mut left = Vec::new();
            let mut blockers = Vec::new();
            for (object, live) in seen {
                match live {
                    Some(live) => {
                        blockers.push(blocker(&live));
                        left.push(object);
                    }
                    None => self.events.send(Event::Deleted { id: object.id() }),
                }
            }
            if left.is_empty() {
                return Ok(());
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
        for definition in &removal.definitions {
            let instances =
                self.persist("list custom resources", deadline, || self.cluster.instances(definition)).await?;
            match instances.first() {
                None => empty.push(definition.clone()),
                Some(first) => {
                    let reason =
                        format!("{} of its objects are somebody else's, such as {}", instances.len(), first.id());
                    left.kept.push((definition.id(), reason));
                }
            }
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

    /// Namespaces that hold nothing of others. One that was there before platctl only loses its labels.
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
                let patch = json!({"metadata": {"labels": {COMPONENT_LABEL: null}}});
                self.persist(&format!("release {id}"), deadline, || self.cluster.merge_patch(&id, &patch)).await?;
                left.kept.push((id, "was there before platctl".to_owned()));
            } else if let Some(first) = foreign.first() {
                left.kept.push((id, format!("holds {}{}", first.id(), more(foreign.len() - 1))));
            } else {
                empty.push(namespace.clone());
            }
        }
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
        (true, None) => format!("{id}: it has no finalizer and is still there"),
    }
}
