//! `platctl install`: render everything, check, ask, walk the waves, hand over.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tokio::time::Instant;

use super::{Desired, confirmed, connect, engine, holder};
use crate::cli::{Global, Install};
use crate::cluster::reach::Reached;
use crate::cluster::{Class, Cluster};
use crate::engine::convergence::is_applied;
use crate::engine::inventory::{Inventory, Phase};
use crate::engine::{Engine, Totals};
use crate::event::{Event, Events, Line, PlannedWave};
use crate::failure::{Advise, chain, code};
use crate::object::{Id, Object};
use crate::plan::Plan;
use crate::plan::catalog::{TYPICAL, WAVES};
use crate::plan::document::nearest;
use crate::plan::preflight::{self, Check, Facts, Severity};
use crate::plan::profile::{TlsMode, duration};
use crate::plan::upgrade::is_newer;
use crate::readiness::{Verdict, judge};
use crate::ui::Ui;

/// How long the first look at the cluster may take, retries included.
const LOOKING: Duration = Duration::from_mins(1);

pub(super) async fn run(global: &Global, flags: &Install, ui: &Ui) -> Result<u8> {
    let desired = desired(flags)?;
    let skipped = super::preflight::skipped(&flags.skip)?;
    let (cluster, reached) = connect(global).await?;
    let (events, receiver) = Events::channel();
    let shown = ui.start(receiver);
    let engine = engine(cluster.clone(), events, &desired.plan.profile.timeouts.stuck);
    let done = install(&engine, &desired, flags, &Looking { reached: &reached, skipped: &skipped }, ui).await;
    drop(engine);
    let _ = shown.await;
    done
}

/// The flags' own names in what would else be told of the keys that they stand for.
fn check_timeouts(flags: &Install) -> Result<()> {
    if let Some(total) = &flags.timeout {
        duration(total).context("--timeout")?;
    }
    for assignment in &flags.wave_timeout {
        let name = format!("--wave-timeout {assignment}");
        let (wave, text) = assignment.split_once('=').ok_or_else(|| anyhow!("{name}: `WAVE=DURATION` is expected"))?;
        if !WAVES.contains(&wave) {
            return Err(anyhow!("{name}: no wave `{wave}`: {}", nearest(wave, WAVES.into_iter())));
        }
        duration(text).with_context(|| name.clone())?;
    }
    Ok(())
}

/// The plan, with the flags that override its timeouts.
fn desired(flags: &Install) -> Result<Desired> {
    check_timeouts(flags).exit(code::USAGE)?;
    let mut choice_set = Vec::new();
    for assignment in &flags.wave_timeout {
        choice_set.push(format!("timeouts.waves.{assignment}"));
    }
    if let Some(total) = &flags.timeout {
        choice_set.push(format!("timeouts.total={total}"));
    }
    let mut choice = flags.choice.clone();
    choice.set.extend(choice_set);
    Desired::of(&choice)
}

/// What is known and wanted of the checks.
pub(super) struct Looking<'a> {
    pub(super) reached: &'a Reached,
    pub(super) skipped: &'a [&'static Check],
}

async fn install(engine: &Engine, desired: &Desired, flags: &Install, looking: &Looking<'_>, ui: &Ui) -> Result<u8> {
    let (cluster, plan) = (&engine.cluster, &desired.plan);
    let recorded = match cluster.load_inventory().await {
        // The checks below tell all the rights that are missing, not only the first.
        Err(problem) if problem.class == Class::Denied => None,
        loaded => loaded.map_err(|problem| anyhow!(problem)).context("read the inventory")?,
    };
    if let Some(inventory) = recorded.as_ref().filter(|inventory| inventory.phase == Phase::HandedOver) {
        engine.cancellable(engine.refresh_repository(&desired.plan.profile)).await?;
        return Ok(owned_by_argo(engine, desired, inventory));
    }
    if let Some(inventory) = &recorded {
        // To leave out a component is what people may do here; to jump over versions is not.
        super::upgrade::judge(engine, plan, inventory, &["component-removed".to_owned()])?;
    }
    let how = How {
        action: "install",
        yes: flags.yes,
        dry_run: flags.dry_run,
        no_handoff: flags.no_handoff,
        prepull: flags.prepull,
    };
    proceed(engine, desired, recorded, &how, looking, ui).await
}

/// How the waves are walked, and by which command.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct How {
    pub(super) action: &'static str,
    pub(super) yes: bool,
    pub(super) dry_run: bool,
    pub(super) no_handoff: bool,
    pub(super) prepull: bool,
}

/// Everything after the look at the record; `upgrade` does the same.
pub(super) async fn proceed(
    engine: &Engine,
    desired: &Desired,
    recorded: Option<Inventory>,
    how: &How,
    looking: &Looking<'_>,
    ui: &Ui,
) -> Result<u8> {
    let (cluster, plan) = (&engine.cluster, &desired.plan);
    let facts = check(engine, plan, looking).await?;
    announce(engine, plan, how.action);
    if how.dry_run {
        return dry_run(engine, plan, recorded.as_ref()).await;
    }
    let mut record = record(recorded, plan, &facts)?;
    if !how.yes {
        confirmed(engine, ui, &question(cluster, plan, how), "nothing was written").await?;
    }
    let converged = is_converged(cluster, plan, &record).await?;
    let totals = if converged && how.no_handoff {
        // Nothing to write, not even a lock.
        unchanged(plan)
    } else {
        let total = Duration::from_secs(duration(&plan.profile.timeouts.total)?);
        let is_prepulling = how.prepull && !converged;
        let work = steps(engine, desired, &mut record, converged, how.no_handoff);
        let prepull = async {
            if is_prepulling {
                engine.prepull(plan, &usable(&facts)).await;
            }
        };
        let bounded = async {
            let done = tokio::time::timeout(total, async { futures::join!(work, prepull).0 }).await;
            // However it ended. An earlier run may have been killed before it came to this.
            engine.end_prepull(is_prepulling).await;
            done.map_err(|_| anyhow!("the installation took longer than {}", plan.profile.timeouts.total))
                .hint("run the same command again: it goes on where it stopped; `--timeout` gives it longer")?
        };
        engine.locked(&holder(how.action), bounded).await?
    };
    finish(engine, plan, totals, how);
    Ok(0)
}

/// The nodes that take pods.
fn usable(facts: &Facts) -> Vec<&str> {
    facts.nodes.iter().filter(|node| node.is_usable()).map(|node| node.name.as_str()).collect()
}

/// What is done under the lock: the waves, unless all of them are there already, and the handoff.
async fn steps(
    engine: &Engine,
    desired: &Desired,
    record: &mut Inventory,
    converged: bool,
    no_handoff: bool,
) -> Result<Totals> {
    let plan = &desired.plan;
    let totals = if converged { unchanged(plan) } else { engine.install(plan, record).await? };
    if !no_handoff {
        let tree = crate::plan::tree::tree(&plan.profile, &desired.catalog, &desired.charts);
        engine.handoff(plan, &tree, record).await?;
    }
    Ok(totals)
}

/// Gathers facts, judges them, sends the warnings; a blocking finding ends here, before the first write.
pub(super) async fn check(engine: &Engine, plan: &Plan, looking: &Looking<'_>) -> Result<Facts> {
    let cluster = &engine.cluster;
    let deadline = Instant::now() + LOOKING;
    let look = || cluster.facts(plan, looking.reached);
    let facts = engine.cancellable(engine.persist("look at the cluster", deadline, look)).await?;
    engine.events.send(Event::Connected {
        context: cluster.context.clone(),
        server: cluster.server.clone(),
        version: facts.version.clone(),
        nodes: facts.nodes.len(),
    });
    for check in looking.skipped {
        engine.events.send(Event::CheckSkipped { check: check.code.to_owned() });
    }
    let (blocking, warnings): (Vec<_>, Vec<_>) = preflight::check(plan, &facts, looking.skipped)
        .into_iter()
        .partition(|finding| finding.severity == Severity::Blocking);
    for warning in warnings {
        engine.events.send(Event::Warned { check: warning.check.to_owned(), title: warning.title, hint: warning.hint });
    }
    let Some(first) = blocking.first() else { return Ok(facts) };
    let causes = blocking.iter().map(|finding| format!("{} ({})", finding.title, finding.check));
    let error = chain("the cluster is not ready for the platform; nothing was written", causes);
    let hint = format!("{}; `platctl explain {}` says more", first.hint, first.check);
    Err(error).hint(hint).exit(code::REFUSED)
}

pub(super) fn announce(engine: &Engine, plan: &Plan, action: &str) {
    let waves = plan
        .waves
        .iter()
        .map(|wave| PlannedWave {
            number: wave.number,
            name: wave.name.to_owned(),
            components: wave.components.iter().map(|planned| planned.component.name.clone()).collect(),
            objects: wave.components.iter().map(|planned| planned.objects.len()).sum(),
            typical_ms: TYPICAL.get(usize::from(wave.number) - 1).map_or(0, |seconds| seconds * 1000),
        })
        .collect();
    engine.events.send(Event::Planned { action: action.to_owned(), profile: plan.profile.extends.clone(), waves });
}

/// The record to go on with: the cluster's own, or a new one that knows which namespaces were there before.
fn record(recorded: Option<Inventory>, plan: &Plan, facts: &Facts) -> Result<Inventory> {
    let profile = serde_json::to_value(&plan.profile)?;
    let mut record = recorded.unwrap_or_else(|| Inventory::new(Value::Null));
    record.profile = profile;
    env!("CARGO_PKG_VERSION").clone_into(&mut record.version);
    for id in facts.foreign.iter().filter(|id| id.kind == "Namespace") {
        if !record.adopted.contains(&id.name) {
            record.adopted.push(id.name.clone());
        }
    }
    Ok(record)
}

fn question(cluster: &Cluster, plan: &Plan, how: &How) -> String {
    let objects = plan.objects().count();
    format!(
        "{} {objects} objects in {} waves into context {} ({})?",
        if how.action == "upgrade" { "Upgrade" } else { "Install" },
        plan.waves.len(),
        cluster.context,
        cluster.server
    )
}

/// Everything recorded, applied and ready: then a run has nothing to write, not even a lock.
async fn is_converged(cluster: &Cluster, plan: &Plan, record: &Inventory) -> Result<bool> {
    if record.phase != Phase::Installed {
        return Ok(false);
    }
    let recorded: usize = record.objects.len();
    if recorded != plan.objects().count() {
        return Ok(false);
    }
    let live = live(cluster, plan).await?;
    Ok(plan.objects().all(|(_, object)| {
        let id = object.id();
        live.get(&id).is_some_and(|live| {
            is_applied(object, live, record.digest_of(&id)) && judge(&id, Some(live)) == Verdict::Ready
        })
    }))
}

/// What is there of the plan's objects.
pub(super) async fn live(cluster: &Cluster, plan: &Plan) -> Result<BTreeMap<Id, Object>> {
    cluster.get_all(plan.objects().map(|(_, object)| object.id())).await.map_err(|problem| anyhow!(problem))
}

fn unchanged(plan: &Plan) -> Totals {
    Totals { unchanged: plan.objects().count(), ..Totals::default() }
}

/// What an apply would do to each object, in so far as the server can tell: its namespace and its kind may come in an earlier wave.
async fn dry_run(engine: &Engine, plan: &Plan, recorded: Option<&Inventory>) -> Result<u8> {
    let mut totals = Totals::default();
    let live = live(&engine.cluster, plan).await?;
    for (planned, object) in plan.objects() {
        let id = object.id();
        let change = match live.get(&id) {
            None => {
                totals.created += 1;
                crate::event::Change::Created
            }
            Some(live) if is_applied(object, live, recorded.and_then(|record| record.digest_of(&id))) => {
                totals.unchanged += 1;
                crate::event::Change::Unchanged
            }
            Some(_) => {
                let _ = engine
                    .cluster
                    .dry_apply(object)
                    .await
                    .map_err(|problem| anyhow!(problem))
                    .with_context(|| format!("try {id}"))?;
                totals.configured += 1;
                crate::event::Change::Configured
            }
        };
        engine.events.send(Event::Applied { component: planned.component.name.clone(), id, change });
    }
    let next =
        vec![Line { label: "nothing was written".to_owned(), value: "run again without `--dry-run`".to_owned() }];
    engine.events.send(finished("dry run", totals, next));
    Ok(0)
}

/// After the handoff Git rules: says so, and what to do instead.
fn owned_by_argo(engine: &Engine, desired: &Desired, inventory: &Inventory) -> u8 {
    let published = inventory.published.clone();
    let (repository, revision) =
        published.map_or_else(Default::default, |published| (published.repository, published.revision));
    let changed: Vec<Id> = desired
        .plan
        .objects()
        .filter(|(_, object)| inventory.digest_of(&object.id()) != Some(crate::plan::digest(object).as_str()))
        .map(|(_, object)| object.id())
        .collect();
    let mut next = vec![
        Line { label: "owned by Argo CD".to_owned(), value: format!("{repository} at {revision}") },
        Line {
            label: "to change the platform".to_owned(),
            value: "commit to that repository, in `values/` or `charts/`".to_owned(),
        },
    ];
    if is_newer(env!("CARGO_PKG_VERSION"), &inventory.version) {
        next.push(Line { label: "older".to_owned(), value: older(&inventory.version) });
    }
    if !changed.is_empty() {
        let value = format!(
            "this profile differs in {} objects, such as {}; `platctl export DIR` writes the tree to push",
            changed.len(),
            changed[0]
        );
        next.push(Line { label: "not applied".to_owned(), value });
    }
    engine.events.send(finished("install", Totals::default(), next));
    0
}

/// What to say of an installation of an older platctl.
pub(super) fn older(version: &str) -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!("platctl {version} installed it, this is {own}: `platctl upgrade --dry-run` shows what changes")
}

fn finish(engine: &Engine, plan: &Plan, totals: Totals, how: &How) {
    let mut next = super::status::routes(plan.components().map(|planned| &planned.component), &plan.profile.domain);
    let mut say = |label: &str, value: &str| next.push(Line { label: label.to_owned(), value: value.to_owned() });
    // The names need not lead to the gateway: those below `.localhost` lead here.
    say("on this machine", "platctl open grafana");
    say("logins", "platctl credentials --show");
    if plan.profile.tls.mode == TlsMode::Generated {
        say("trust its CA", "platctl trust");
    }
    say("next", "platctl status");
    if how.no_handoff {
        next.push(Line {
            label: "not handed over".to_owned(),
            value: "run `platctl install` again without `--no-handoff`".to_owned(),
        });
    }
    engine.events.send(finished(how.action, totals, next));
}

pub(super) fn finished(action: &str, totals: Totals, next: Vec<Line>) -> Event {
    Event::Finished {
        action: action.to_owned(),
        created: totals.created,
        configured: totals.configured,
        unchanged: totals.unchanged,
        deleted: totals.deleted,
        next,
    }
}
