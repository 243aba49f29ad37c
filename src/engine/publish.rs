//! Brings the chart tree into the in-cluster Git server: one commit with what differs, none when nothing does.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Engine;
use super::secrets::decode;
use crate::cluster::Problem;
use crate::cluster::gitea::{Gitea, Repository};
use crate::event::Event;
use crate::object::Id;
use crate::plan::Plan;
use crate::plan::applicationset::{IN_CLUSTER_NAME, IN_CLUSTER_OWNER};
use crate::plan::merge::{Step, Sums, merge};
use crate::plan::profile::Profile;
use crate::plan::reach::Target;
use crate::plan::tree::Tree;

const NAMESPACE: &str = "gitea";

/// The Git server's pod.
pub(super) fn git_server() -> Target {
    Target {
        component: "gitea".to_owned(),
        namespace: NAMESPACE.to_owned(),
        selector: "app.kubernetes.io/name=gitea".to_owned(),
        port: 3000,
    }
}

/// The repository of the in-cluster Git server, on the branch that Argo CD follows.
pub(super) fn in_cluster(profile: &Profile) -> Repository {
    Repository {
        owner: IN_CLUSTER_OWNER.to_owned(),
        name: IN_CLUSTER_NAME.to_owned(),
        branch: profile.repository.branch.clone(),
    }
}

/// Who may read and write the repository.
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
}

impl Engine {
    /// The Git server's own administrator, as the Secret of its component has it.
    pub(super) async fn git_credentials(&self, deadline: Instant) -> Result<Credentials> {
        let id = Id::new("v1", "Secret", Some(NAMESPACE), "gitea-admin");
        let secret = self.persist(&format!("get {id}"), deadline, || self.cluster.get(&id)).await?;
        let keys = decode(&secret.with_context(|| format!("{id} does not exist"))?);
        let key = |name: &str| keys.get(name).cloned().with_context(|| format!("{id} lacks the key `{name}`"));
        Ok(Credentials { username: key("username")?, password: key("password")? })
    }

    /// Publishes and gives the commit that Argo CD is to reach.
    pub(super) async fn publish(
        &self,
        plan: &Plan,
        tree: &Tree,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<String> {
        let profile = &plan.profile;
        let repository = in_cluster(profile);
        let (revision, changed) = self
            .persist("publish the charts to Git", deadline, || self.push(&repository, plan, tree, credentials))
            .await?;
        let url = crate::plan::applicationset::repository_url(profile);
        self.events.send(Event::Published { repository: url, revision: revision.clone(), changed_files: changed });
        Ok(revision)
    }

    /// A connection to the Git server.
    pub(super) async fn git(&self, credentials: &Credentials) -> Result<Gitea, Problem> {
        self.cluster.gitea(&git_server(), &credentials.username, &credentials.password).await
    }

    async fn push(
        &self,
        repository: &Repository,
        plan: &Plan,
        tree: &Tree,
        credentials: &Credentials,
    ) -> Result<(String, usize), Problem> {
        let mut git = self.git(credentials).await?;
        git.ensure(repository).await?;
        let there = git.files(repository).await?;
        let changes: Vec<Value> = steps(tree, &there, &plan.known).iter().map(operation).collect();
        if changes.is_empty() {
            return Ok((git.head(repository).await?, 0));
        }
        let count = changes.len();
        let message = format!("Platform as installed by platctl {}", env!("CARGO_PKG_VERSION"));
        Ok((git.commit(repository, None, &message, changes).await?, count))
    }
}

/// What turns what is there of ours into the tree. What people added beside it stays.
fn steps(tree: &Tree, there: &Sums, known: &BTreeSet<String>) -> Vec<Step> {
    let ours = there.iter().filter(|(path, _)| tree.contains_key(*path) || is_ours(path, known));
    let ours = ours.map(|(path, sha)| (path.clone(), sha.clone())).collect();
    // Before the handoff Git holds what platctl says and nothing else, so nothing is a conflict.
    merge(tree, &ours, there).steps
}

/// A step as the Git server's API takes it.
fn operation(step: &Step) -> Value {
    match &step.content {
        Some(content) => json!({"operation": "upload", "path": step.path, "content": STANDARD.encode(content)}),
        None => json!({"operation": "delete", "path": step.path, "sha": step.had}),
    }
}

/// In the directory or the values file of one of our components.
fn is_ours(path: &str, known: &BTreeSet<String>) -> bool {
    let mut parts = path.split('/');
    match (parts.next(), parts.next()) {
        (Some("charts"), Some(chart)) => known.contains(chart),
        (Some("values"), Some(file)) => file.strip_suffix(".yaml").is_some_and(|name| known.contains(name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_committed() {
        let tree = Tree::from([("same".to_owned(), b"hello\n".to_vec()), ("charts/a/new".to_owned(), b"x".to_vec())]);
        let there =
            [("same", "ce013625030ba8dba906f756967f9e9ca394464a"), ("charts/a/old", "abc"), ("charts/theirs/x", "def")];
        let known = BTreeSet::from(["a".to_owned()]);
        let there = there.into_iter().map(|(path, sha)| (path.to_owned(), sha.to_owned())).collect();
        let operations: Vec<_> = steps(&tree, &there, &known)
            .iter()
            .map(operation)
            .map(|change| format!("{} {}", change["operation"], change["path"]))
            .collect();
        assert_eq!(operations, ["\"upload\" \"charts/a/new\"", "\"delete\" \"charts/a/old\""]);
    }
}
