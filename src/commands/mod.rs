//! One file a command: flags become inputs, the engine works, a summary is shown. Here the dispatch and what several of them share.

mod credentials;
mod diff;
mod explain;
mod export;
mod images;
mod install;
mod man;
mod open;
mod port_forward;
mod preflight;
mod profile;
mod render;
mod rotate;
mod status;
mod support_bundle;
mod trust;
mod uninstall;
mod upgrade;
mod version;
mod wizard;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::CommandFactory;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cli::{Choice, Cli, Command, Global};
use crate::cluster::reach::Reached;
use crate::cluster::{Class, Cluster};
use crate::embedded;
use crate::engine::inventory::Inventory;
use crate::engine::secrets::{Keys, decode};
use crate::engine::{Engine, Pacing};
use crate::event::Events;
use crate::failure::{Advise, code};
use crate::object::Id;
use crate::plan::catalog::Catalog;
use crate::plan::images::Mirrors;
use crate::plan::profile::{Base, Layers, Profile, duration};
use crate::plan::{self, Plan};
use crate::ui::Ui;

const PATH_OF_PROFILE: &str = "give the path of a file; `platctl profile list` shows the profiles that need none";

/// Runs the command; gives its exit code.
pub async fn dispatch(cli: &Cli, ui: &Ui) -> Result<u8> {
    let global = &cli.global;
    let Some(command) = &cli.command else { return wizard::greet(global, ui).await };
    match command {
        Command::Init(flags) => wizard::run(global, flags, ui).await,
        Command::Install(flags) => install::run(global, flags, ui).await,
        Command::Upgrade(flags) => upgrade::run(global, flags, ui).await,
        Command::Status(flags) => status::run(global, flags, ui).await,
        Command::Uninstall(flags) => uninstall::run(global, flags, ui).await,
        Command::Export(flags) => export::run(flags, ui),
        Command::Render(flags) => render::run(flags, ui),
        Command::Diff(flags) => diff::run(global, flags, ui).await,
        Command::Preflight(flags) => preflight::run(global, flags, ui).await,
        Command::Explain(flags) => explain::run(flags, ui),
        Command::Credentials(flags) => credentials::run(global, flags, ui).await,
        Command::Open(flags) => open::run(global, flags, ui).await,
        Command::PortForward(flags) => port_forward::run(global, flags, ui).await,
        Command::Trust(flags) => trust::run(global, flags, ui).await,
        Command::SupportBundle(flags) => support_bundle::run(global, flags, ui).await,
        Command::Man(flags) => man::run(flags, ui),
        Command::Profile(flags) => profile::run(&flags.action, ui),
        Command::Images(flags) => images::run(flags, ui),
        Command::Completions(flags) => {
            let mut script = Vec::new();
            clap_complete::generate(flags.shell, &mut Cli::command(), "platctl", &mut script);
            ui.data(&String::from_utf8_lossy(&script));
            Ok(0)
        }
        Command::Version => version::run(ui),
    }
}

/// What the flags and the executable alone give: no cluster yet.
struct Desired {
    catalog: Catalog,
    charts: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    plan: Plan,
}

impl Desired {
    fn of(choice: &Choice) -> Result<Self> {
        Self::with(|catalog| load_profile(choice, catalog))
    }

    /// The profile that an inventory recorded, with more laid over it.
    fn over(inventory: &Inventory, values: &[PathBuf], set: &[String]) -> Result<Self> {
        let text = serde_json::to_string_pretty(&inventory.profile)?;
        let base = Base::File { name: "the recorded profile", text: &text };
        Self::with(|catalog| load_layers(base, values, set, catalog))
    }

    /// The same for a profile that an inventory recorded.
    fn recorded(inventory: &Inventory) -> Result<Self> {
        Self::with(|_| Profile::recorded(&inventory.profile, &embedded::profiles()))
    }

    fn with(profile: impl FnOnce(&Catalog) -> Result<Profile>) -> Result<Self> {
        let charts = embedded::charts();
        let catalog = Catalog::new(charts.clone()).context("read the embedded charts")?;
        let profile = profile(&catalog)?;
        let plan = plan::build(&profile, &catalog)?;
        Ok(Self { catalog, charts, plan })
    }
}

/// Reads the files that the flags name and merges the layers.
fn load_profile(choice: &Choice, catalog: &Catalog) -> Result<Profile> {
    let mut set = choice.set.clone();
    if let Some(url) = &choice.repo_url {
        set.extend(["repository.mode=external".to_owned(), format!("repository.url={}", Value::from(url.as_str()))]);
        set.push("components.gitea.enabled=false".to_owned());
    }
    set.extend(mirrors(&choice.registry_mirror)?);
    let is_file = choice.profile.contains(['/', '.']);
    let text = if is_file { read(&PathBuf::from(&choice.profile), PATH_OF_PROFILE)? } else { String::new() };
    let base = if is_file { Base::File { name: &choice.profile, text: &text } } else { Base::Name(&choice.profile) };
    load_layers(base, &choice.values, &set, catalog)
}

fn load_layers(base: Base, files: &[PathBuf], set: &[String], catalog: &Catalog) -> Result<Profile> {
    let built_in = embedded::profiles();
    let mut values = Vec::new();
    for path in files {
        values.push((path.display().to_string(), read(path, PATH_OF_PROFILE)?));
    }
    Profile::load(&Layers { built_in: &built_in, base, values: &values, set }, catalog)
}

/// The keys that `--registry-mirror` stands for.
fn mirrors(flags: &[String]) -> Result<Vec<String>> {
    let mirrors = Mirrors::parse(flags)
        .map_err(|error| anyhow!("--registry-mirror {error}"))
        .hint("name the registry, and a path if the images are below one: `mirror.example.org:5000/platform`")
        .exit(code::USAGE)?;
    let all = mirrors.all.iter().map(|place| format!("imageRegistry={}", Value::from(place.as_str())));
    let each = mirrors.each.iter().map(|(registry, place)| {
        format!("imageRegistries.{}={}", registry.replace('.', "\\."), Value::from(place.as_str()))
    });
    Ok(all.chain(each).collect())
}

fn read(path: &Path, hint: &str) -> Result<String> {
    let text = std::fs::read_to_string(path);
    text.with_context(|| format!("read `{}`", path.display())).hint(hint).exit(code::USAGE)
}

/// Reaches the cluster: a first request proves address, certificate and credentials.
async fn connect(global: &Global) -> Result<(Cluster, Reached)> {
    let cluster = Cluster::connect(global.kubeconfig.as_deref(), global.context.as_deref()).await?;
    let answer = tokio::time::timeout(Duration::from_secs(15), cluster.reach()).await;
    let problem = match answer {
        Ok(Ok(reached)) => return Ok((cluster, reached)),
        Ok(Err(problem)) => problem,
        Err(_) => crate::cluster::Problem { class: Class::Transient, message: "no answer in 15 s".to_owned() },
    };
    let hint = match problem.class {
        Class::Denied => {
            "the server is there but does not accept these credentials: log in again, or choose another context with `--context`"
        }
        _ => "check the address and that the cluster is up: `kubectl cluster-info` with the same context",
    };
    Err(anyhow!(problem))
        .context(format!("reach {} (context `{}`)", cluster.server, cluster.context))
        .hint(hint)
        .exit(code::REFUSED)
}

/// The engine of a command, and Ctrl-C wired to it: the first ends the run in order, the second at once.
fn engine(cluster: Cluster, events: Events, stuck: &str) -> Engine {
    let cancel = CancellationToken::new();
    let on_signal = cancel.clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        on_signal.cancel();
        wait_for_signal().await;
        #[expect(clippy::exit, reason = "the second Ctrl-C means now")]
        std::process::exit(i32::from(code::INTERRUPTED));
    });
    let mut pacing = Pacing::default();
    if let Ok(seconds) = duration(stuck) {
        pacing.stuck = Duration::from_secs(seconds);
    }
    Engine { cluster, events, pacing, cancel }
}

/// Asks before anything is changed. Ctrl-C at the question is a no: nothing has begun that could go on.
async fn confirmed(engine: &Engine, ui: &Ui, question: &str, otherwise: &str) -> Result<()> {
    match engine.cancellable(ui.confirm(question)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(anyhow!("not confirmed, {otherwise}")).exit(code::FAILED),
        Err(_) if engine.cancel.is_cancelled() => Err(anyhow!("interrupted; {otherwise}")).exit(code::INTERRUPTED),
        Err(error) => Err(error),
    }
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Who holds the lock, for whoever is refused meanwhile.
fn holder(action: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!(
        "platctl {action} on {} (process {}, {:08x})",
        if host.is_empty() { "an unknown host" } else { host },
        std::process::id(),
        rand::random::<u32>()
    )
}

async fn inventory(cluster: &Cluster) -> Result<Option<Inventory>> {
    cluster.load_inventory().await.map_err(|problem| anyhow!(problem)).context("read the inventory")
}

/// The record of an installation and its plan, for commands that make no sense without one.
async fn installed(cluster: &Cluster) -> Result<(Inventory, Plan)> {
    let record = inventory(cluster)
        .await?
        .ok_or_else(|| anyhow!("platctl has installed nothing in context `{}`", cluster.context))
        .hint("`platctl install` does; `--context NAME` chooses another cluster")
        .exit(code::REFUSED)?;
    let plan = Desired::recorded(&record)?.plan;
    Ok((record, plan))
}

/// The keys of a Secret; none where there is no such Secret.
async fn secret(cluster: &Cluster, id: &Id) -> Result<Option<Keys>> {
    match cluster.get(id).await {
        Ok(live) => Ok(live.as_ref().map(decode)),
        Err(problem) if problem.class == Class::Denied => Err(anyhow!(problem))
            .context(format!("read {id}"))
            .hint("it takes the right to `get secrets` in that namespace")
            .exit(code::REFUSED),
        Err(problem) => Err(anyhow!(problem)).context(format!("read {id}")),
    }
}
