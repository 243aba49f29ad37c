//! What comes from outside the cluster: Secrets to be supplied, the Git repository, the time.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Judged, blocking, warning};
use crate::object::Id;
use crate::plan::Plan;
use crate::plan::certificates::Certificate;
use crate::plan::profile::{RepositoryMode, SecretSource, TlsMode};

/// Certificates that are generated here are valid from an hour ago; nearer to that than this is worth a word.
const SKEW: u64 = 5 * 60;

/// Nobody's name is that long, every token is.
const TOKEN: usize = 20;

/// The schemes by which Argo CD reads Git.
const SCHEMES: [&str; 4] = ["https", "http", "ssh", "git"];

pub(super) fn secrets(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let missing: Vec<String> = plan
        .supplied_secrets()
        .into_iter()
        .filter(|id| !facts.secrets.contains(id))
        .map(|id| format!("{}/{}", id.namespace.clone().unwrap_or_default(), id.name))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let title = format!("these Secrets are to be supplied and are not there yet: {}", missing.join(", "));
    vec![warning(title, "the installation waits for each where it is needed")]
}

/// Without one of its pull Secrets a pod is made all the same, and pulls as nobody.
pub(super) fn pull_secrets(plan: &Plan, facts: &Facts) -> Vec<Judged> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for id in plan.pull_secrets().into_iter().filter(|id| !facts.secrets.contains(id)) {
        missing.entry(id.name).or_default().extend(id.namespace);
    }
    let finding = |(name, namespaces): (String, Vec<String>)| {
        let title = format!("the pull Secret `{name}` is not there in {}", namespaces.join(", "));
        let hint = format!(
            "make it in each: `kubectl create namespace NAMESPACE`, `kubectl create secret docker-registry {name} -n NAMESPACE …`"
        );
        warning(title, &hint)
    };
    missing.into_iter().map(finding).collect()
}

pub(super) fn certificates(_: &Plan, facts: &Facts) -> Vec<Judged> {
    let complaints = facts.certificates.iter().filter_map(Certificate::complaint);
    complaints.map(|(title, hint)| warning(title, hint)).collect()
}

pub(super) fn repository(plan: &Plan, _: &Facts) -> Vec<Judged> {
    if plan.profile.repository.mode == RepositoryMode::InCluster {
        return Vec::new();
    }
    let url = &plan.profile.repository.url;
    let (shown, has_password) = without_password(url);
    if let Err(why) = check_url(url) {
        let title = format!("`{shown}` is not the URL of a Git repository: {why}");
        let hint = "write it as `https://HOST/PATH.git`, `ssh://git@HOST/PATH.git` or `git@HOST:PATH.git`";
        return vec![blocking(title, hint)];
    }
    let mut found = vec![warning(
        format!("Argo CD will follow {shown}"),
        "it must hold what `platctl export DIR` writes, with the same profile and flags, pushed before the handoff",
    )];
    if has_password {
        let title = format!("the password in {shown} would be written into Git and the ApplicationSet");
        let hint =
            "leave it out of the URL and put it into a Secret in `argocd`: `--set repository.credentialsSecret=NAME`";
        found.push(warning(title, hint));
    }
    found
}

/// What can be told of a URL without asking anybody.
fn check_url(url: &str) -> Result<(), String> {
    if url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err("it has a space in it".to_owned());
    }
    let (host, path) = match url.split_once("://") {
        Some((scheme, _)) if !SCHEMES.contains(&scheme) => return Err(format!("Argo CD reads no Git by `{scheme}`")),
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        // As Git's own short form of SSH has it.
        None => url.split_once(':').ok_or_else(|| "it names no host".to_owned())?,
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') || host.contains('/') {
        return Err("it names no host".to_owned());
    }
    if path.trim_matches('/').is_empty() {
        return Err("it names no repository on that host".to_owned());
    }
    Ok(())
}

/// The URL as it may be shown, and whether a password was taken out of it.
fn without_password(url: &str) -> (String, bool) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), false) };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, host)) = authority.rsplit_once('@') else { return (url.to_owned(), false) };
    // A name alone is a name, unless it is as long as a token.
    let is_secret = user.contains(':') || user.len() >= TOKEN;
    if is_secret { (format!("{scheme}://***@{host}{path}"), true) } else { (url.to_owned(), false) }
}

pub(super) fn clock(_: &Plan, facts: &Facts) -> Vec<Judged> {
    let Some(ahead) = facts.clock_ahead.filter(|ahead| ahead.unsigned_abs() > SKEW) else { return Vec::new() };
    let by = match ahead.unsigned_abs() {
        seconds if seconds >= 2 * 24 * 3600 => format!("{} days", seconds / 24 / 3600),
        seconds if seconds >= 2 * 3600 => format!("{} hours", seconds / 3600),
        seconds => format!("{} minutes", seconds / 60),
    };
    let which = if ahead > 0 { "ahead of" } else { "behind" };
    let title = format!("the API server's clock is {by} {which} this machine's");
    vec![warning(title, "set the one that is wrong, by NTP: certificates are made here and read there")]
}

/// Where an object of this kind describes its pods; a CNPG Cluster does it in fields of its own of the same names.
fn pod_spec(kind: &str) -> Option<&'static str> {
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => Some("/spec/template/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        "Pod" | "Cluster" => Some("/spec"),
        _ => None,
    }
}

impl Plan {
    /// The Secrets that the pods of the plan are pulled with, in the namespaces of the pods.
    pub fn pull_secrets(&self) -> BTreeSet<Id> {
        let mut ids = BTreeSet::new();
        for (_, object) in self.objects() {
            let Some(place) = pod_spec(object.kind()) else { continue };
            let list = object.items(&format!("{place}/imagePullSecrets"));
            let names = list.iter().filter_map(|one| one["name"].as_str());
            ids.extend(names.map(|name| Id::new("v1", "Secret", object.namespace(), name)));
        }
        ids
    }

    /// Secrets that nobody generates: all of them with external secrets, or the gateway's certificate.
    pub fn supplied_secrets(&self) -> Vec<Id> {
        let mut ids = Vec::new();
        for planned in self.components() {
            for secret in &planned.component.secrets {
                let supplied = match secret.certificate {
                    Some(_) => self.profile.tls.mode == TlsMode::Secret,
                    None => self.profile.secrets == SecretSource::External,
                };
                if supplied {
                    let mut id = planned.component.secret_id(secret);
                    if secret.certificate.is_some() {
                        id.name.clone_from(&self.profile.tls.secret_name);
                    }
                    ids.push(id);
                }
            }
        }
        ids
    }
}
