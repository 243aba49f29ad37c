//! `platctl status`: what is installed, whether it is ready and why not, what Argo CD says, where to log in.

mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use super::install::live;
use super::{Desired, connect, engine, inventory};
use crate::cli::{Global, Status};
use crate::cluster::{Class, Cluster};
use crate::engine::convergence::covers;
use crate::engine::handoff::Application;
use crate::engine::inventory::{Inventory, Phase};
use crate::engine::is_stray;
use crate::event::{Events, Line};
use crate::failure::code;
use crate::object::{COMPONENT_LABEL, Id, Object};
use crate::plan::applicationset;
use crate::plan::catalog::Component;
use crate::plan::preflight::{Finding, check_certificates, check_standing};
use crate::plan::upgrade::is_newer;
use crate::plan::{PlannedComponent, digest};
use crate::readiness::remedy::remedy;
use crate::readiness::{Verdict, judge};
use crate::ui::Ui;
use words::in_words;

const AGAIN: Duration = Duration::from_secs(2);

/// The document of `-o json|yaml`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    context: String,
    version: String,
    /// This platctl's version, when it is newer than the installation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    newer: Option<&'static str>,
    phase: Phase,
    profile: String,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    components: Vec<Row>,
    /// Certificates that end soon; and what is wrong with the cluster itself, which is looked for only while not all is ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    /// 0: a chart that people added in Git.
    wave: u8,
    version: String,
    ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// What is likely behind them, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Objects that do not say what the chart says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drift: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Endpoint {
    name: String,
    url: String,
}

pub(super) async fn run(global: &Global, flags: &Status, ui: &Ui) -> Result<u8> {
    let (cluster, _) = connect(global).await?;
    let (events, _) = Events::channel();
    let engine = engine(cluster.clone(), events, "60s");
    let mut last = None;
    loop {
        let Some(record) = inventory(&cluster).await? else {
            ui.say("platctl has installed nothing here; `platctl install` does");
            return Ok(code::FAILED);
        };
        let report = report(&cluster, &record).await?;
        let ready = report.ready;
        if last.as_ref() != Some(&report) {
            ui.result(&report, &ui.prose(&in_words(&report)))?;
            last = Some(report);
        }
        if !flags.watch {
            return Ok(if ready { 0 } else { code::FAILED });
        }
        let pause = engine.cancellable(async {
            tokio::time::sleep(AGAIN).await;
            Ok(())
        });
        if pause.await.is_err() {
            return Ok(if ready { 0 } else { code::FAILED });
        }
    }
}

pub(super) async fn report(cluster: &Cluster, record: &Inventory) -> Result<Report> {
    let desired = Desired::recorded(record)?;
    let live = live(cluster, &desired.plan).await?;
    let of = Id::new("argoproj.io/v1alpha1", "Application", Some(applicationset::NAMESPACE), "");
    let applications =
        cluster.list(&of, "").await.map_err(|problem| anyhow!(problem)).context("list the Applications")?;
    let handed_over = record.phase == Phase::HandedOver;
    let mut components = Vec::new();
    for planned in desired.plan.components() {
        let application =
            applications.iter().find(|application| application.name() == planned.component.name).map(Application::of);
        components.push(row(planned, record, &live, application.filter(|_| handed_over)));
    }
    // Charts that people added in Git are of the platform too.
    let is_known = |name: &str| desired.plan.components().any(|planned| planned.component.name == name);
    let of_the_set = applications.iter().filter(|application| handed_over && application.component().is_some());
    components.extend(of_the_set.filter(|application| !is_known(application.name())).map(added));
    if components.iter().any(|row| !row.ready) {
        let mut behind = most_telling(&pods(cluster).await?);
        for row in components.iter_mut().filter(|row| !row.ready) {
            row.reasons.extend(behind.remove(&row.name));
            row.hint = remedy(row.reasons.iter().map(String::as_str)).map(|remedy| remedy.in_words());
        }
    }
    let domain = &desired.plan.profile.domain;
    let ready = matches!(record.phase, Phase::Installed | Phase::HandedOver) && components.iter().all(|row| row.ready);
    Ok(Report {
        context: cluster.context.clone(),
        version: record.version.clone(),
        newer: Some(env!("CARGO_PKG_VERSION")).filter(|own| is_newer(own, &record.version)),
        phase: record.phase,
        profile: desired.plan.profile.extends.clone(),
        ready,
        repository: record.published.as_ref().map(|published| published.repository.clone()),
        revision: record.published.as_ref().map(|published| published.revision.clone()),
        components,
        findings: findings(cluster, &desired, ready).await?,
        endpoints: routes(desired.plan.components().map(|planned| &planned.component), domain)
            .into_iter()
            .map(|line| Endpoint { name: line.label, url: line.value })
            .collect(),
    })
}

/// The platform's pods; none for whoever may not list them.
async fn pods(cluster: &Cluster) -> Result<Vec<Object>> {
    match cluster.list(&Id::new("v1", "Pod", None, ""), COMPONENT_LABEL).await {
        Ok(pods) => Ok(pods),
        Err(problem) if problem.class == Class::Denied => Ok(Vec::new()),
        Err(problem) => Err(anyhow!(problem)).context("list the platform's pods"),
    }
}

/// By component, what its pods say: one that does not recover by itself before one that is on the way. The object that waits for them
/// only counts them.
fn most_telling(pods: &[Object]) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    let judged = |pod: &Object| Some((pod.component()?.to_owned(), judge(&pod.id(), Some(pod))));
    let mut judged: Vec<(String, Verdict)> = pods.iter().filter(|pod| !is_stray(pod)).filter_map(judged).collect();
    judged.sort_by_key(|(_, verdict)| !matches!(verdict, Verdict::Failed(_)));
    for (component, verdict) in judged {
        if let Verdict::Failed(reason) | Verdict::Waiting(reason) = verdict {
            said.entry(component).or_insert(reason);
        }
    }
    said
}

/// Whoever may not list nodes is told of the platform alone.
async fn findings(cluster: &Cluster, desired: &Desired, ready: bool) -> Result<Vec<Finding>> {
    let plan = &desired.plan;
    let certificates = cluster.certificates(plan).await;
    let certificates = certificates.map_err(|problem| anyhow!(problem)).context("look at the certificates")?;
    let mut found = check_certificates(plan, certificates);
    if ready {
        return Ok(found);
    }
    match cluster.standing().await {
        Ok((nodes, classes)) => found.extend(check_standing(plan, nodes, classes)),
        Err(problem) if problem.class == Class::Denied => {}
        Err(problem) => return Err(anyhow!(problem)).context("look at the nodes"),
    }
    Ok(found)
}

/// What only Git and Argo CD know of.
fn added(object: &Object) -> Row {
    let application = Application::of(object);
    let is_done = application.is_done();
    Row {
        name: object.name().to_owned(),
        wave: 0,
        version: "-".to_owned(),
        ready: is_done,
        reasons: if is_done { Vec::new() } else { vec![format!("Argo CD: {}", application.in_words())] },
        hint: None,
        drift: Vec::new(),
        sync: Some(application.sync),
        health: Some(application.health),
    }
}

fn row(
    planned: &PlannedComponent,
    record: &Inventory,
    live: &BTreeMap<Id, Object>,
    application: Option<Application>,
) -> Row {
    let component = &planned.component;
    // What a newer platctl would bring is not missing in an older installation.
    let is_older = is_newer(env!("CARGO_PKG_VERSION"), &record.version);
    let mut reasons = Vec::new();
    let mut drift = Vec::new();
    for object in &planned.objects {
        let id = object.id();
        let recorded = record.digest_of(&id);
        if is_older && recorded.is_none() {
            continue;
        }
        let found = live.get(&id);
        match judge(&id, found) {
            Verdict::Ready => {}
            Verdict::Waiting(reason) | Verdict::Failed(reason) => reasons.push(reason),
        }
        // After the handoff Git says what an object should be, and Argo CD compares.
        let is_wanted = !is_older || recorded == Some(digest(object).as_str());
        if application.is_none() && is_wanted && found.is_some_and(|found| !covers(found.value(), object.value())) {
            drift.push(id.to_string());
        }
    }
    if let Some(application) = application.as_ref().filter(|application| !application.is_done()) {
        reasons.push(format!("Argo CD: {}", application.in_words()));
    }
    Row {
        name: component.name.clone(),
        wave: component.wave,
        version: record.components.get(&component.name).unwrap_or(&component.version).clone(),
        ready: reasons.is_empty(),
        reasons,
        hint: None,
        drift,
        sync: application.as_ref().map(|application| application.sync.clone()),
        health: application.map(|application| application.health),
    }
}

/// The user-facing addresses.
pub(super) fn routes<'a>(components: impl Iterator<Item = &'a Component>, domain: &str) -> Vec<Line> {
    components
        .flat_map(|component| &component.routes)
        .map(|route| Line { label: route.name.clone(), value: format!("https://{}.{domain}", route.host) })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pod_that_does_not_recover_by_itself_speaks_for_its_component() {
        let pod = |name: &str, component: &str, status: serde_json::Value| {
            let labels = json!({COMPONENT_LABEL: component});
            let metadata = json!({
                "namespace": "a", "name": name, "labels": labels, "ownerReferences": [{"kind": "ReplicaSet"}],
            });
            Object::new(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})).unwrap()
        };
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let cordoned = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 node(s) were unschedulable.",
        }]});
        let pods = [
            pod("evicted", "loki", json!({"phase": "Failed", "reason": "Evicted"})),
            pod("starting", "loki", json!({"phase": "Pending"})),
            pod("waiting", "loki", cordoned),
            pod("fine", "gitea", ready),
        ];
        let said = most_telling(&pods);
        let words = "Pod a/waiting: no node takes it: 0/1 nodes are available: 1 node(s) were unschedulable.";
        assert_eq!(said, BTreeMap::from([("loki".to_owned(), words.to_owned())]));
    }
}
