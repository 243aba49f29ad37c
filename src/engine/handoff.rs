//! The handoff: the chart tree is in Git, the ApplicationSet follows it, every Application is Synced and Healthy at the very commit that was
//! published, and the proof that Argo CD changed nothing and restarted nothing by taking over.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::Engine;
use super::convergence::content;
use super::inventory::{Inventory, Phase, Published};
use crate::cluster::{Seen, Selector};
use crate::event::Event;
use crate::failure::{Advise, chain};
use crate::object::{COMPONENT_LABEL, Id, Object};
use crate::plan::applicationset::{self, APPLICATION_SET};
use crate::plan::profile::{Profile, RepositoryMode, duration};
use crate::plan::tree::Tree;
use crate::plan::{Plan, digest};

/// What is compared before and after: the content of each object and the identity of each pod.
struct Snapshot {
    objects: BTreeMap<Id, Value>,
    pods: BTreeMap<String, String>,
}

impl Engine {
    pub async fn handoff(&self, plan: &Plan, tree: &Tree, inventory: &mut Inventory) -> Result<()> {
        self.cancellable(self.hand_over(plan, tree, inventory)).await
    }

    async fn hand_over(&self, plan: &Plan, tree: &Tree, inventory: &mut Inventory) -> Result<()> {
        let profile = &plan.profile;
        let deadline = Instant::now() + Duration::from_secs(duration(&profile.timeouts.handoff)?);
        let revision = self.repository(plan, tree, deadline).await?;
        let before = self.snapshot(plan, deadline).await?;
        for object in applicationset::objects(profile, plan.known.iter().map(String::as_str)) {
            self.apply_own(&object, deadline).await?;
        }
        let names: Vec<String> = plan.components().map(|planned| planned.component.name.clone()).collect();
        let reached = self.until_synced(&names, revision.as_deref(), deadline).await.hint(unsynced_hint(profile))?;
        let after = self.snapshot(plan, deadline).await?;
        compare(&before, &after)?;
        let ids: Vec<Id> = before.objects.keys().cloned().collect();
        self.give_up(&ids, deadline).await?;
        let repository = applicationset::repository_url(profile);
        inventory.phase = Phase::HandedOver;
        inventory.published = Some(Published { repository: repository.clone(), revision: reached.clone() });
        self.store(inventory).await?;
        self.events.send(Event::HandedOver {
            repository,
            revision: reached,
            objects: before.objects.len(),
            pods: before.pods.len(),
        });
        Ok(())
    }

    /// In-cluster: publishes and gives the commit. Of one's own: it is published already; which commit, Argo CD will say.
    async fn repository(&self, plan: &Plan, tree: &Tree, deadline: Instant) -> Result<Option<String>> {
        let profile = &plan.profile;
        match profile.repository.mode {
            RepositoryMode::InCluster => {
                let credentials = self.git_credentials(deadline).await?;
                let revision = self.publish(plan, tree, &credentials, deadline).await?;
                let secret = applicationset::repository_secret(profile, &credentials.username, &credentials.password);
                self.apply_own(&secret.context("make the repository's Secret")?, deadline).await?;
                Ok(Some(revision))
            }
            RepositoryMode::External => {
                self.own_repository_secret(profile, deadline).await?;
                Ok(None)
            }
        }
    }

    /// After the handoff: Argo CD's Secret for the in-cluster repository follows the Git server's credentials when these were changed.
    pub async fn refresh_repository(&self, profile: &Profile) -> Result<()> {
        if profile.repository.mode != RepositoryMode::InCluster {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_mins(1);
        let wanted = self.git_credentials(deadline).await?;
        let id = Id::new("v1", "Secret", Some(applicationset::NAMESPACE), applicationset::REPOSITORY_SECRET);
        let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
        let keys = live.as_ref().map(super::secrets::decode).unwrap_or_default();
        if keys.get("password") == Some(&wanted.password) && keys.get("username") == Some(&wanted.username) {
            return Ok(());
        }
        let secret = applicationset::repository_secret(profile, &wanted.username, &wanted.password);
        self.apply_own(&secret.context("make the repository's Secret")?, deadline).await
    }

    /// Argo CD's Secret for a repository of one's own, with the keys of the Secret that the profile names.
    async fn own_repository_secret(&self, profile: &Profile, deadline: Instant) -> Result<()> {
        let name = &profile.repository.credentials_secret;
        let mut secret = applicationset::repository_secret(profile, "", "").context("make the repository's Secret")?;
        if let Some(data) = secret.value_mut()["stringData"].as_object_mut() {
            data.remove("username");
            data.remove("password");
        }
        if !name.is_empty() {
            let id = Id::new("v1", "Secret", Some(applicationset::NAMESPACE), name);
            let found = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
            let keys = super::secrets::decode(
                &found.with_context(|| format!("{id}, named by `repository.credentialsSecret`, does not exist"))?,
            );
            for (key, value) in keys {
                secret.value_mut()["stringData"][key] = Value::from(value);
            }
        }
        self.apply_own(&secret, deadline).await
    }

    pub(super) async fn apply_own(&self, object: &Object, deadline: Instant) -> Result<()> {
        let id = object.id();
        self.persist(&format!("apply {id}"), deadline, || self.cluster.apply(object)).await.map(drop)
    }

    async fn snapshot(&self, plan: &Plan, deadline: Instant) -> Result<Snapshot> {
        let objects: Vec<(Id, Value)> = stream::iter(plan.objects().map(|(_, object)| object.id()))
            .map(|id| async move {
                let live = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
                let live = live.with_context(|| format!("{id} is gone"))?;
                Ok::<_, anyhow::Error>((id, content(&live)))
            })
            .buffer_unordered(self.pacing.concurrency)
            .try_collect()
            .await?;
        let any = Id::new("v1", "Pod", None, "");
        let pods = self.persist("list the pods", deadline, || self.cluster.list(&any, COMPONENT_LABEL)).await?;
        let pods = pods.iter().map(|pod| (pod.id().to_string(), pod.uid().unwrap_or_default().to_owned())).collect();
        Ok(Snapshot { objects: objects.into_iter().collect(), pods })
    }

    /// Until every Application is Synced and Healthy at one and the same commit, `revision` if it is known. Gives that commit.
    pub(super) async fn until_synced(
        &self,
        names: &[String],
        revision: Option<&str>,
        deadline: Instant,
    ) -> Result<String> {
        let of = Id::new("argoproj.io/v1alpha1", "Application", Some(applicationset::NAMESPACE), "");
        let all = Selector::Labels(COMPONENT_LABEL.to_owned());
        let mut watch =
            Box::pin(self.persist("watch the Applications", deadline, || self.cluster.watch(&of, &all)).await?);
        let mut seen: BTreeMap<String, Application> = BTreeMap::new();
        loop {
            if let Some(reached) = all_synced(names, &seen, revision) {
                return Ok(reached);
            }
            tokio::select! {
                event = watch.next() => if let Some(Seen::There(object)) = event {
                    let application = Application::of(&object);
                    let name = object.name().to_owned();
                    // One that Argo CD has not looked at yet is no news.
                    if seen.get(&name) != Some(&application) && !application.sync.is_empty() {
                        self.events.send(application.event(&name));
                        seen.insert(name, application);
                    }
                },
                () = tokio::time::sleep_until(deadline) => return Err(self.not_synced(names, &seen).await),
            }
        }
    }

    /// What each Application that is behind says of itself, and the ApplicationSet where there is none.
    async fn not_synced(&self, names: &[String], seen: &BTreeMap<String, Application>) -> anyhow::Error {
        let mut lines = Vec::new();
        if seen.is_empty() {
            lines.push("no Application was made".to_owned());
        }
        for name in names.iter().filter(|_| !seen.is_empty()) {
            match seen.get(name) {
                None => lines.push(format!("Application `{name}` was not made")),
                Some(application) if !application.is_done() => {
                    lines.push(format!("Application `{name}`: {}", application.in_words()));
                }
                Some(_) => {}
            }
        }
        let id = Id::new("argoproj.io/v1alpha1", "ApplicationSet", Some(applicationset::NAMESPACE), APPLICATION_SET);
        if let Ok(Some(set)) = self.cluster.get(&id).await {
            let errors = set
                .items("/status/conditions")
                .iter()
                .filter(|condition| condition["type"] == "ErrorOccurred" && condition["status"] == "True");
            lines.extend(errors.filter_map(|condition| Some(format!("{id}: {}", condition["message"].as_str()?))));
        }
        if lines.is_empty() {
            lines.push("the Applications are at different commits".to_owned());
        }
        chain("Argo CD did not bring every Application to Synced and Healthy in time", lines.into_iter())
    }
}

fn unsynced_hint(profile: &Profile) -> String {
    let mend = match profile.repository.mode {
        RepositoryMode::InCluster => "mend the cause".to_owned(),
        RepositoryMode::External => format!(
            "push what `platctl export DIR` writes with the same flags to branch {} of {}, or mend the cause",
            profile.repository.branch, profile.repository.url
        ),
    };
    format!("the platform itself is installed; {mend}, then run the same command again: it goes on with the handoff")
}

/// What counts of an Application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    pub sync: String,
    pub health: String,
    pub revision: String,
    pub message: String,
}

impl Application {
    pub fn of(object: &Object) -> Self {
        let text = |pointer: &str| object.text(pointer).unwrap_or_default().to_owned();
        let condition = object.items("/status/conditions").iter().find_map(|condition| condition["message"].as_str());
        let operation = object.text("/status/operationState/message");
        Self {
            sync: text("/status/sync/status"),
            health: text("/status/health/status"),
            revision: text("/status/sync/revision"),
            message: condition.or(operation).unwrap_or_default().to_owned(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.sync == "Synced" && self.health == "Healthy"
    }

    pub fn in_words(&self) -> String {
        let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        let state = format!("{}, {}", known(&self.sync), known(&self.health));
        if self.message.is_empty() { state } else { format!("{state}: {}", self.message) }
    }

    fn event(&self, name: &str) -> Event {
        Event::Application {
            name: name.to_owned(),
            sync: self.sync.clone(),
            health: self.health.clone(),
            revision: self.revision.clone(),
        }
    }
}

fn all_synced(names: &[String], seen: &BTreeMap<String, Application>, revision: Option<&str>) -> Option<String> {
    let mut reached: Option<&str> = revision;
    for name in names {
        let application = seen.get(name).filter(|application| application.is_done())?;
        if *reached.get_or_insert(&application.revision) != application.revision {
            return None;
        }
    }
    reached.map(str::to_owned)
}

/// Fails with what changed or restarted.
fn compare(before: &Snapshot, after: &Snapshot) -> Result<()> {
    let mut changed: Vec<String> = Vec::new();
    for (id, content) in &before.objects {
        if let Some(now) = after.objects.get(id).filter(|now| *now != content) {
            changed.push(format!(
                "{id} changed{}",
                first_difference(content, now, "").map(|path| format!(" at {path}")).unwrap_or_default()
            ));
        }
    }
    for (pod, uid) in &before.pods {
        if after.pods.get(pod) != Some(uid) {
            changed.push(format!("{pod} was replaced"));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    bail!("the handoff changed what it should only take over:\n{}", changed.join("\n"))
}

fn first_difference(before: &Value, after: &Value, path: &str) -> Option<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let mut keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
            keys.find_map(|key| {
                first_difference(
                    before.get(key).unwrap_or(&Value::Null),
                    after.get(key).unwrap_or(&Value::Null),
                    &format!("{path}.{key}"),
                )
            })
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => before
            .iter()
            .zip(after)
            .enumerate()
            .find_map(|(index, (before, after))| first_difference(before, after, &format!("{path}[{index}]"))),
        _ => (before != after).then(|| path.trim_start_matches('.').to_owned()),
    }
}

/// Whether the record says that what is applied is this very plan.
pub fn is_recorded(plan: &Plan, inventory: &Inventory) -> bool {
    plan.objects().all(|(_, object)| inventory.digest_of(&object.id()) == Some(digest(object).as_str()))
}
