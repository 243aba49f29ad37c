//! An upgrade after the handoff: the difference between the new tree and what is in Git, one commit with it, and Argo CD's way to that
//! commit. Before the handoff an upgrade is an installation.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Engine;
use super::inventory::{Inventory, Published};
use super::publish::in_cluster;
use crate::cluster::Problem;
use crate::event::Event;
use crate::failure::Advise;
use crate::object::Id;
use crate::plan::Plan;
use crate::plan::applicationset::{self, APPLICATION_SET};
use crate::plan::merge::{SUMS, Step, Sums, read_sums};
use crate::plan::profile::duration;

/// For a few requests to the Git server.
const SHORT: Duration = Duration::from_mins(2);

/// What the branch that Argo CD follows holds.
pub struct Followed {
    pub revision: String,
    pub files: Sums,
    /// What platctl wrote there the last time; none if the file that says so is gone.
    pub written: Option<Sums>,
}

/// What is to be committed.
pub struct Commit<'a> {
    pub message: &'a str,
    pub steps: &'a [Step],
    /// A new branch for it instead of the one that Argo CD follows.
    pub branch: Option<&'a str>,
}

impl Engine {
    /// Reads the in-cluster Git server.
    pub async fn followed(&self, plan: &Plan) -> Result<Followed> {
        let deadline = Instant::now() + SHORT;
        let credentials = self.git_credentials(deadline).await?;
        let repository = in_cluster(&plan.profile);
        self.persist("read the charts in Git", deadline, || async {
            let mut git = self.git(&credentials).await?;
            let revision = git.head(&repository).await?;
            let files = git.files_at(&repository, &revision).await?;
            let sums = git.file(&repository, &revision, SUMS).await?;
            let written = sums.map(|text| read_sums(&String::from_utf8_lossy(&text)));
            Ok(Followed { revision, files, written })
        })
        .await
    }

    /// Commits to the in-cluster Git server; gives the commit. On the followed branch it is recorded at once as what platctl wrote.
    pub async fn commit(&self, plan: &Plan, commit: &Commit<'_>, inventory: &mut Inventory) -> Result<String> {
        let credentials = self.git_credentials(Instant::now() + SHORT).await?;
        let operations: Vec<Value> = commit.steps.iter().map(operation).collect();
        // Once only: tried again after somebody else's push, it would not be what was compared.
        let sent: Result<String, Problem> = async {
            let mut git = self.git(&credentials).await?;
            git.commit(&in_cluster(&plan.profile), commit.branch, commit.message, operations).await
        }
        .await;
        let revision = sent.context("commit the upgrade to Git").hint(
            "run the same command again: it looks at the branch anew; a name for `--branch` must not be taken yet",
        )?;
        let repository = applicationset::repository_url(&plan.profile);
        self.events.send(Event::Published {
            repository: repository.clone(),
            revision: revision.clone(),
            changed_files: commit.steps.len(),
        });
        if commit.branch.is_none() {
            inventory.published = Some(Published { repository, revision: revision.clone() });
            self.store(inventory).await?;
        }
        Ok(revision)
    }

    /// Watches Argo CD bring every Application to the commit, makes the Secrets that new charts expect, and records what is there then.
    pub async fn roll_out(&self, plan: &Plan, revision: &str, inventory: &mut Inventory) -> Result<()> {
        self.cancellable(self.follow(plan, revision, inventory)).await
    }

    async fn follow(&self, plan: &Plan, revision: &str, inventory: &mut Inventory) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(duration(&plan.profile.timeouts.handoff)?);
        // A component that this platctl no longer knows is none that people added: Argo CD must not take its objects along.
        let own: BTreeSet<&str> = plan.known.iter().chain(inventory.components.keys()).map(String::as_str).collect();
        for object in applicationset::objects(&plan.profile, own.into_iter()) {
            self.apply_own(&object, deadline).await?;
        }
        let names: Vec<String> = plan.versions().into_keys().collect();
        self.nudge(&names).await;
        let secrets = self.new_secrets(plan, deadline);
        let synced = async {
            self.until_synced(&names, Some(revision), deadline).await.hint(
                "the new state is in Git: mend the cause there or in the cluster, then run the same command again, which goes on \
                 watching; `git revert` of the commit leads back where data was not migrated",
            )
        };
        future::try_join(synced, secrets).await?;
        for wave in &plan.waves {
            inventory.record_wave(wave);
            inventory.complete_wave(wave);
        }
        // What of a dropped component Argo CD leaves behind: it keeps the objects of an Application that goes.
        self.prune(plan, inventory).await?;
        inventory.profile = serde_json::to_value(&plan.profile)?;
        env!("CARGO_PKG_VERSION").clone_into(&mut inventory.version);
        let repository = applicationset::repository_url(&plan.profile);
        inventory.published = Some(Published { repository, revision: revision.to_owned() });
        self.store(inventory).await
    }

    /// Makes Argo CD look now and not in minutes. It would come by itself, so nothing depends on it.
    async fn nudge(&self, names: &[String]) {
        let patch =
            |key: &str, value: &str| json!({"metadata": {"annotations": {format!("argocd.argoproj.io/{key}"): value}}});
        let id = |kind: &str, name: &str| Id::new("argoproj.io/v1alpha1", kind, Some(applicationset::NAMESPACE), name);
        let set = (id("ApplicationSet", APPLICATION_SET), patch("application-set-refresh", "true"));
        let applications = names.iter().map(|name| (id("Application", name), patch("refresh", "normal")));
        for (id, patch) in applications.chain([set]) {
            // The Application of a new component is not there yet.
            let _ = self.cluster.merge_patch(&id, &patch).await;
        }
    }

    /// Secrets are in no chart: new ones are made here, as soon as Argo CD has made their namespaces.
    async fn new_secrets(&self, plan: &Plan, deadline: Instant) -> Result<()> {
        for planned in plan.components() {
            let component = &planned.component;
            for spec in &component.secrets {
                let namespace = Id::new("v1", "Namespace", None, component.secret_namespace(spec));
                while self
                    .persist(&format!("get {namespace}"), deadline, || self.cluster.get(&namespace))
                    .await?
                    .is_none()
                    && Instant::now() < deadline
                {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            self.secrets(component, &plan.profile, deadline).await?;
        }
        Ok(())
    }
}

/// A step as the Git server's API takes it. It refuses one whose file is no longer what was compared.
fn operation(step: &Step) -> Value {
    let mut operation = match (&step.content, &step.had) {
        (Some(content), None) => json!({"operation": "create", "content": STANDARD.encode(content)}),
        (Some(content), Some(sha)) => {
            json!({"operation": "update", "content": STANDARD.encode(content), "sha": sha})
        }
        (None, sha) => json!({"operation": "delete", "sha": sha}),
    };
    operation["path"] = Value::from(step.path.as_str());
    operation
}
