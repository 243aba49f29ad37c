//! Gives a component's administrator a new password, where platctl can do all of it: the component takes it, the Secret has it, and who
//! else uses it knows it. Where a component keeps its password in a database that only it writes, it says how people do it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use super::Engine;
use super::inventory::{Inventory, Phase};
use super::publish::git_server;
use super::secrets::{BCRYPT_COST, decode, generate};
use crate::cluster::Problem;
use crate::failure::{Advise, code};
use crate::object::{GENERATED_LABEL, Id};
use crate::plan::Plan;
use crate::plan::logins::Login;
use crate::plan::reach;

pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Argo CD sees a changed Secret within a second; each wrong attempt counts towards a lock-out.
const ASK_AFTER: [u64; 3] = [1, 3, 6];

/// Why a component's password is not platctl's to change, and how people change it.
const BY_HAND: [(&str, &str, &str); 3] = [
    (
        "grafana",
        "Grafana reads the Secret only when it makes its database",
        "change it in Grafana (`platctl open grafana`, Profile, Change password), then write it into {secret}",
    ),
    (
        "keycloak",
        "Keycloak reads the Secret only when it makes its database",
        "change it in the administration console (`platctl open keycloak`, Manage account, Signing in), then write it into {secret}",
    ),
    (
        "postgres",
        "the operator gives the database the password in the Secret, and Keycloak reads it only when it starts",
        "write a new one into {secret}, then `kubectl rollout restart deployment/keycloak -n iam-system`",
    ),
];

/// Whether `rotate` can do it; the error says why not.
pub fn check(login: &Login) -> Result<()> {
    let Some((_, reason, hint)) = BY_HAND.iter().find(|(component, ..)| *component == login.component) else {
        return Ok(());
    };
    Err(anyhow!("{reason}"))
        .with_context(|| format!("platctl does not change the password of `{}`", login.component))
        .hint(hint.replace("{secret}", &login.secret.to_string()))
        .exit(code::REFUSED)
}

impl Engine {
    /// Does it and gives the new password.
    pub async fn rotate(&self, plan: &Plan, record: &Inventory, login: &Login) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let live = self.persist(&format!("get {}", login.secret), deadline, || self.cluster.get(&login.secret)).await?;
        let live = live.with_context(|| format!("{} does not exist", login.secret))?;
        if live.label(GENERATED_LABEL).is_none() {
            return Err(anyhow!("{} was supplied from outside", login.secret))
                .hint("change it where it comes from")
                .exit(code::REFUSED);
        }
        let keys = decode(&live);
        let user = keys.get(&login.user_key).with_context(|| format!("{} lacks `{}`", login.secret, login.user_key))?;
        let password = new_password(plan, login)?;
        match login.component.as_str() {
            "argocd" => self.rotate_argocd(plan, login, user, &password).await?,
            "gitea" => {
                let old = keys.get(&login.password_key).map_or("", String::as_str);
                self.rotate_gitea(login, (user, old, &password)).await?;
                if record.phase == Phase::HandedOver {
                    self.refresh_repository(&plan.profile).await.context("tell Argo CD the Git server's password")?;
                }
            }
            other => return Err(anyhow!("platctl does not know how to change the password of `{other}`")),
        }
        Ok(password)
    }

    /// Argo CD takes the digest in its Secret at once. The readable password is written first: what is in force is always on record.
    async fn rotate_argocd(&self, plan: &Plan, login: &Login, user: &str, password: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let server = reach::target(plan, "argocd")?;
        // Nothing is changed where the result could not be proven.
        self.cluster.ready_pod(&server).await.map_err(nothing_changed)?;
        let digest = bcrypt::hash(password, BCRYPT_COST).context("digest the password")?;
        let now = OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?;
        let settings = Id::new("v1", "Secret", login.secret.namespace.as_deref(), "argocd-secret");
        self.write_keys(&login.secret, &[(&login.password_key, password)], deadline).await?;
        let changes = [("admin.password", digest.as_str()), ("admin.passwordMtime", now.as_str())];
        self.write_keys(&settings, &changes, deadline).await?;
        for seconds in ASK_AFTER {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let asked = self.cluster.argocd_accepts(&server, user, password).await;
            let asked = asked.map_err(|problem| anyhow!(problem));
            if asked.context("the password is changed, but that Argo CD takes it could not be seen")? {
                return Ok(());
            }
        }
        Err(anyhow!("Argo CD does not take the new password, though both Secrets have it"))
            .hint("see what its server says: `kubectl logs deployment/argocd-server -n argocd`")
    }

    /// The Git server first, as it may refuse; when the Secret cannot follow, the old password is put back.
    async fn rotate_gitea(&self, login: &Login, (user, old, new): (&str, &str, &str)) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let server = git_server();
        let mut git = self.cluster.gitea(&server, user, old).await.map_err(nothing_changed)?;
        if !git.is_accepted().await.map_err(nothing_changed)? {
            return Err(anyhow!("the Git server does not take the password in {}", login.secret)).hint(
                "`kubectl rollout restart deployment/gitea -n gitea` gives it that password; then run this again",
            );
        }
        git.set_password(user, new).await.map_err(nothing_changed)?;
        if let Err(error) = self.write_keys(&login.secret, &[(&login.password_key, new)], deadline).await {
            let mut git = self.cluster.gitea(&server, user, new).await?;
            git.set_password(user, old).await.context("put the old password back")?;
            return Err(error.context("the old password is in force again"));
        }
        let mut git = self.cluster.gitea(&server, user, new).await?;
        if git.is_accepted().await? { Ok(()) } else { Err(anyhow!("the Git server does not take its new password")) }
    }

    pub(super) async fn write_keys(&self, id: &Id, keys: &[(&str, &str)], deadline: Instant) -> Result<()> {
        let data: BTreeMap<&str, Value> =
            keys.iter().map(|(key, value)| (*key, Value::from(STANDARD.encode(value)))).collect();
        let patch = json!({"data": data});
        self.persist(&format!("change {id}"), deadline, || self.cluster.merge_patch(id, &patch)).await
    }
}

pub(super) fn nothing_changed(problem: Problem) -> anyhow::Error {
    anyhow!(problem).context("nothing was changed")
}

/// One of the shape that the first had.
fn new_password(plan: &Plan, login: &Login) -> Result<String> {
    let component = &plan.component(&login.component)?.component;
    let spec = component.secrets.iter().find(|spec| component.secret_id(spec) == login.secret);
    let spec = spec.with_context(|| format!("{} is not generated by platctl", login.secret))?;
    let mut keys = generate(spec, &BTreeMap::new())?;
    keys.remove(&login.password_key).with_context(|| format!("{} has no `{}`", login.secret, login.password_key))
}
