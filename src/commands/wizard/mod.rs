//! `platctl init`, and `platctl` alone on a terminal: walks the interview, sums up what would be installed, writes the profile file, offers
//! to install. The questions are `plan::questions`, their order and the way back `plan::interview`.

mod screens;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::CommandFactory;
use serde_json::json;

use super::{connect, install, read, wait_for_signal};
use crate::cli::{Choice, Cli, Global, Init, Install};
use crate::cluster::contexts;
use crate::embedded;
use crate::failure::{Advise, Failure, code};
use crate::plan::catalog::Catalog;
use crate::plan::interview::{Interview, Reply, Script, Step};
use crate::plan::profile::{Base, Layers, Profile};
use crate::plan::questions::{Question, Scene};
use crate::plan::surroundings::Surroundings;
use crate::plan::{self, Plan, images, written};
use crate::ui::Ui;
use crate::ui::paragraph::paragraph;

/// How long the first look at a cluster may take: long enough for a far one, short enough for a person.
const LOOKING: Duration = Duration::from_secs(20);

/// `platctl` alone: the wizard for somebody who begins here, help for everybody else.
pub(super) async fn greet(global: &Global, ui: &Ui) -> Result<u8> {
    let flags = Init::new();
    if ui.is_interactive() && !flags.file.exists() {
        return run(global, &flags, ui).await;
    }
    let help = Cli::command().render_help().to_string();
    ui.say(help.trim_end());
    if flags.file.exists() {
        ui.say(&format!("\n`{0}` is here: `platctl install --profile {0}`", flags.file.display()));
    }
    Ok(code::USAGE)
}

impl Init {
    /// `platctl init` without flags.
    fn new() -> Self {
        Self { file: PathBuf::from("platform.yaml"), answers: None, answer: Vec::new(), yes: false, force: false }
    }
}

pub(super) async fn run(global: &Global, flags: &Init, ui: &Ui) -> Result<u8> {
    let is_asking = ui.is_interactive() && !flags.yes;
    if !is_asking {
        check_place(flags).exit(code::USAGE)?;
    }
    let catalog = embedded::catalog()?;
    let mut interview = begin(global, flags, &catalog, ui)?;
    if is_asking {
        say_prose(screens::WELCOME, 0, ui);
    }
    let asking = async {
        loop {
            answer(&mut interview, global, flags, &catalog, ui).await?;
            let done = Done::of(&interview, &catalog)?;
            let summary = screens::summary(&done, &interview, ui.width());
            ui.say(&format!("\n{}\n{summary}", ui.strong("What would be installed")));
            if let Some(path) = choose_file(&mut interview, flags, is_asking, ui).await? {
                return Ok((done, path));
            }
        }
    };
    let (done, path) = unless_interrupted("nothing was written", asking).await?;
    write(&path, &done.text)?;
    ui.say(&format!("\nwrote `{}`", path.display()));
    let commands = Commands::of(&interview, global, &path);
    ui.result(
        &json!({"file": path, "install": commands.by_file, "installWithoutFile": commands.by_flags, "images": done.images}),
        &format!("install:       {}\nwithout file:  {}\n", commands.by_file, commands.by_flags),
    )?;
    if !is_asking || interview.scene.seen.is_none() {
        return Ok(0);
    }
    offer(global, &interview, &path, ui).await
}

/// `install` with the file that was just written, if that is wanted.
async fn offer(global: &Global, interview: &Interview, path: &Path, ui: &Ui) -> Result<u8> {
    let question = "\nCheck the cluster and install now? It asks again before it writes";
    let state = format!("`{}` is written, nothing is installed", path.display());
    if !unless_interrupted(&state, ui.confirm(question)).await? {
        return Ok(0);
    }
    let choice = Choice { profile: as_flag(path), ..Choice::default() };
    let global = Global { context: interview.context().map(str::to_owned), ..global.clone() };
    let flags = Install { choice, ..Install::default() };
    install::run(&global, &flags, ui).await
}

/// Ctrl-C ends it. The terminal is as it was: it is never switched to anything else.
async fn unless_interrupted<T>(state: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = wait_for_signal() => Err(anyhow!("interrupted; {state}")).exit(code::INTERRUPTED),
    }
}

/// The interview with all that is known before the first question.
fn begin(global: &Global, flags: &Init, catalog: &Catalog, ui: &Ui) -> Result<Interview> {
    let mut script = Script::default();
    if let Some(path) = &flags.answers {
        let text = read(path, "`--answers FILE` takes a YAML file with one `question: answer` a line")?;
        script.read(&path.display().to_string(), &text).exit(code::USAGE)?;
    }
    for assignment in &flags.answer {
        script.assign(assignment).exit(code::USAGE)?;
    }
    let mut scene = Scene::new(&embedded::profiles(), catalog)?;
    match contexts(global.kubeconfig.as_deref()) {
        Ok(found) => (scene.contexts, scene.current) = (found.names, found.current),
        // Who names one wants that one.
        Err(error) if global.kubeconfig.is_some() || global.context.is_some() => {
            return Err(error)
                .hint("without `--kubeconfig` and `--context` it works without a cluster too")
                .exit(code::USAGE);
        }
        Err(error) => say_caveat(&error, ui),
    }
    match (&global.context, scene.contexts.as_slice()) {
        (Some(context), _) => script.give("context", context.clone(), "--context".to_owned())?,
        (None, [only]) if !script.has("context") => {
            script.give("context", only.clone(), "the kubeconfig".to_owned())?;
        }
        _ => {}
    }
    Ok(Interview::new(scene, script))
}

fn say_prose(words: &str, indent: usize, ui: &Ui) {
    ui.say(paragraph(words, indent, ui.width()).trim_end_matches('\n'));
}

fn say_caveat(error: &anyhow::Error, ui: &Ui) {
    let failure = Failure::of(error);
    let causes: Vec<String> = std::iter::once(failure.what).chain(failure.why).collect();
    let text = format!("cluster not reached: {}; what is proposed is not fitted to it", causes.join(": "));
    say_prose(&text, 0, ui);
}

/// Walks the interview to its end.
async fn answer(interview: &mut Interview, global: &Global, flags: &Init, catalog: &Catalog, ui: &Ui) -> Result<()> {
    loop {
        match interview.step()? {
            Step::Done => return Ok(()),
            Step::Look(context) => {
                ui.say(&format!("\nlooking at {context}"));
                let seen = match look(global, &context, catalog).await {
                    Ok((seen, is_installed)) => {
                        let heading = ui.strong(&format!("Seen in {context}"));
                        ui.say(&format!("{heading}\n{}", screens::seen(&seen, ui.width())));
                        if is_installed {
                            say_prose(screens::INSTALLED, 0, ui);
                        }
                        Some(seen)
                    }
                    Err(error) => {
                        say_caveat(&error, ui);
                        None
                    }
                };
                interview.saw(context, seen);
            }
            Step::Ask(question) if flags.yes || !ui.is_interactive() => interview.skip(question, flags.yes),
            Step::Ask(question) => ask(interview, question, ui).await?,
        }
    }
}

/// What is there, and whether platctl has installed the platform already.
async fn look(global: &Global, context: &str, catalog: &Catalog) -> Result<(Surroundings, bool)> {
    let global = Global { context: Some(context.to_owned()), ..global.clone() };
    let own: BTreeSet<String> = catalog.entries().map(|entry| entry.component.namespace.clone()).collect();
    let looking = async {
        let (cluster, reached) = connect(&global).await?;
        let seen = cluster.surroundings(&reached.version, &own).await;
        let seen = seen.map_err(|problem| anyhow!(problem)).context("look at the cluster")?;
        // Whoever may not read the record is asked as for a first time.
        let record = cluster.load_inventory().await;
        Ok((seen, record.is_ok_and(|record| record.is_some())))
    };
    tokio::time::timeout(LOOKING, looking).await.unwrap_or_else(|_| {
        Err(anyhow!("no answer in {} s", LOOKING.as_secs()).context(format!("look at context `{context}`")))
    })
}

/// One question until it is answered or left.
async fn ask(interview: &mut Interview, question: &'static Question, ui: &Ui) -> Result<()> {
    let (number, all) = interview.progress();
    ui.say(&format!("\n{}", ui.strong(&format!("{number}/{all} {}", question.title))));
    let proposal = interview.proposal(question);
    ui.say(&screens::question(question, interview, proposal.as_ref(), ui.width()));
    let prompt = match &proposal {
        Some(proposal) => format!("{} [{}]:", question.id, proposal.value),
        None => format!("{}:", question.id),
    };
    loop {
        let line = next_line(&prompt, ui).await?;
        match interview.reply(question, &line) {
            Reply::Taken | Reply::Back => return Ok(()),
            Reply::Explain => say_prose(question.help, 2, ui),
            Reply::Refused(problem) => say_prose(&format!("not taken: {problem}"), 2, ui),
        }
    }
}

async fn next_line(prompt: &str, ui: &Ui) -> Result<String> {
    let line = ui.ask(prompt).await?;
    line.ok_or_else(|| anyhow!("the input ended; nothing was written"))
}

/// What the answers come to.
struct Done {
    text: String,
    plan: Plan,
    images: BTreeSet<String>,
}

impl Done {
    /// The file's own text is loaded as `install` would load it.
    fn of(interview: &Interview, catalog: &Catalog) -> Result<Self> {
        let text = written::file(interview.answers(), env!("CARGO_PKG_VERSION"));
        let base = Base::File { name: "the profile", text: &text };
        let profile = Profile::load(&Layers { built_in: &embedded::profiles(), base, values: &[], set: &[] }, catalog)?;
        let plan = plan::build(&profile, catalog)?;
        let images = images::names(&plan);
        Ok(Self { text, plan, images })
    }
}

/// Where to write to; None goes back to the questions.
async fn choose_file(interview: &mut Interview, flags: &Init, is_asking: bool, ui: &Ui) -> Result<Option<PathBuf>> {
    if !is_asking {
        return Ok(Some(flags.file.clone()));
    }
    ui.say("");
    loop {
        let line = next_line(&format!("write it to [{}]:", flags.file.display()), ui).await?;
        let path = if line.is_empty() { flags.file.clone() } else { PathBuf::from(&line) };
        match line.as_str() {
            "?" => say_prose(
                "The profile file, for `platctl install --profile FILE`. `<` goes back to the questions.",
                2,
                ui,
            ),
            "<" | "back" => match interview.back() {
                Reply::Refused(problem) => say_prose(&format!("not taken: {problem}"), 2, ui),
                _ => return Ok(None),
            },
            _ if is_misplaced(&path) => {
                ui.say(&format!("  not taken: `{}` is a directory, or in one that is not there", path.display()));
            }
            _ if !path.exists() || flags.force => return Ok(Some(path)),
            _ if ui.confirm(&format!("`{}` is there already; write over it?", path.display())).await? => {
                return Ok(Some(path));
            }
            _ => {}
        }
    }
}

/// The same for a file that nobody is asked about, before any work.
fn check_place(flags: &Init) -> Result<()> {
    let path = flags.file.display();
    if is_misplaced(&flags.file) {
        return Err(anyhow!("`{path}` is a directory, or in one that is not there"))
            .hint("name a file with `--file FILE`");
    }
    if flags.file.exists() && !flags.force {
        return Err(anyhow!("`{path}` is there already"))
            .hint("`--force` writes over it, `--file FILE` writes another");
    }
    Ok(())
}

fn is_misplaced(path: &Path) -> bool {
    path.is_dir() || !folder(path).is_dir()
}

/// The directory that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// All of it or nothing: written beside the file, then renamed.
fn write(path: &Path, text: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder(path).join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.with_context(|| format!("write `{}`", path.display())).hint("choose another place with `--file FILE`")
}

/// As `--profile` takes it: a word without dot and slash is a built-in profile.
fn as_flag(path: &Path) -> String {
    let path = path.display().to_string();
    if path.contains(['/', '.']) { path } else { format!("./{path}") }
}

/// The commands that install what was answered.
struct Commands {
    by_file: String,
    by_flags: String,
}

impl Commands {
    fn of(interview: &Interview, global: &Global, path: &Path) -> Self {
        let mut place = Vec::new();
        if let Some(kubeconfig) = &global.kubeconfig {
            place.extend(["--kubeconfig".to_owned(), kubeconfig.display().to_string()]);
        }
        if let Some(context) = interview.context() {
            place.extend(["--context".to_owned(), context.to_owned()]);
        }
        let command = |words: Vec<String>| {
            let words = words.iter().chain(&place).map(|word| written::quoted(word));
            format!("platctl install {}", words.collect::<Vec<_>>().join(" "))
        };
        let flags = written::flags(&interview.scene, interview.answers());
        Self { by_file: command(vec!["--profile".to_owned(), as_flag(path)]), by_flags: command(flags) }
    }
}
