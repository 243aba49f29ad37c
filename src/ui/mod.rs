//! The terminal: the only place that prints. Picks the renderer (bars, lines or JSON), shows events while a command works, asks, and says
//! how it ended. Data goes to stdout, talk to stderr.

mod github;
mod lines;
pub mod paragraph;
mod progress;
mod screen;
pub mod table;

pub use lines::counted;

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::cli::{Global, Output};
use crate::event::Event;
use crate::failure::{Advise, Failure, code};
use paragraph::wrapped;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Bars,
    Lines,
    GitHub,
    Json,
}

pub struct Ui {
    mode: Mode,
    output: Output,
    verbose: bool,
    color: bool,
    /// Stderr is a terminal.
    is_terminal: bool,
    /// A question is on the terminal, and the line not over.
    is_asking: AtomicBool,
}

/// The widest that prose is set: longer lines are hard to read.
const WIDEST: usize = 78;

/// Shows one event after another.
trait Renderer: Send {
    fn show(&mut self, event: &Event);
}

impl Ui {
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let is_dumb = global.term.as_deref() == Some("dumb");
        let mode = match global.output {
            Output::Json => Mode::Json,
            // A dumb terminal cannot go back to the line above.
            Output::Auto if terminal && !global.ci && !global.verbose && !is_dumb => Mode::Bars,
            _ if global.github_actions => Mode::GitHub,
            _ => Mode::Lines,
        };
        Self {
            mode,
            output: global.output,
            verbose: global.verbose,
            color: terminal && !global.no_color && !is_dumb,
            is_terminal: terminal,
            is_asking: AtomicBool::new(false),
        }
    }

    /// Shows events until the last sender is gone.
    pub fn start(&self, mut events: UnboundedReceiver<Event>) -> JoinHandle<()> {
        let mut renderer: Box<dyn Renderer> = match self.mode {
            Mode::Bars => Box::new(progress::Progress::new(self.color)),
            Mode::Lines => Box::new(lines::Lines::new(std::io::stderr(), self.verbose)),
            Mode::GitHub => Box::new(github::Workflow::new(lines::Lines::new(std::io::stderr(), self.verbose))),
            Mode::Json => Box::new(lines::JsonLines::new(std::io::stdout())),
        };
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                renderer.show(&event);
            }
        })
    }

    pub fn output(&self) -> Output {
        self.output
    }

    /// A result: a document in the format that was asked for, else the text.
    pub fn result(&self, document: &impl Serialize, text: &str) -> Result<()> {
        match self.output {
            Output::Json => self.data(&(serde_json::to_string_pretty(document)? + "\n")),
            Output::Yaml => self.data(&serde_saphyr::to_string(document)?),
            Output::Auto | Output::Text => self.data(text),
        }
        Ok(())
    }

    /// The text of a result that is read rather than copied: on a terminal it is broken between words.
    pub fn prose(&self, text: &str) -> String {
        if std::io::stdout().is_terminal() { wrapped(text, columns()) } else { text.to_owned() }
    }

    /// Data on stdout. A reader that has gone away, as `head` does, is no error.
    pub fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Talk on stderr.
    pub fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{}", self.fitted(text));
    }

    /// Nothing is broken within a word where a terminal's line ends.
    fn fitted(&self, text: &str) -> String {
        if self.is_terminal { wrapped(text, columns()) } else { text.to_owned() }
    }

    /// How wide prose is to be set.
    pub fn width(&self) -> usize {
        if self.is_terminal { columns().min(WIDEST) } else { WIDEST }
    }

    /// What failed, the cause, what to do. As JSON it is the last event on stdout.
    pub fn failure(&self, failure: &Failure) {
        if self.mode == Mode::Json {
            lines::JsonLines::new(std::io::stdout()).show(&Event::Failed { failure: failure.clone() });
            return;
        }
        let is_annotation = self.mode == Mode::GitHub;
        let mut text = if is_annotation {
            format!("{}\n", failure.what)
        } else {
            self.labelled("", "31;1", "error:", &failure.what)
        };
        for cause in &failure.why {
            text += &self.labelled("  ", "2", "because:", cause);
        }
        if let Some(hint) = &failure.hint {
            text += &format!("\n{}", self.labelled("", "36;1", "hint:", hint));
        }
        // What was refused or stopped is no riddle; what failed for a reason may be one.
        if failure.code == code::FAILED && !failure.why.is_empty() {
            text += "to ask for help, send what `platctl support-bundle` writes\n";
        }
        if is_annotation {
            text = github::command("error", text.trim_end()) + "\n";
        }
        // Ctrl-C at a question leaves its line open.
        self.end_question();
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn end_question(&self) {
        if self.is_asking.swap(false, Ordering::Relaxed) {
            let _ = writeln!(std::io::stderr());
        }
    }

    /// A label and what it is of. Colours take no room, so they come last.
    fn labelled(&self, margin: &str, style: &str, label: &str, words: &str) -> String {
        let text = self.fitted(&format!("{margin}{label} {words}"));
        let rest = text.strip_prefix(margin).and_then(|text| text.strip_prefix(label)).unwrap_or(&text);
        format!("{margin}{}{rest}\n", self.paint(style, label))
    }

    /// Hands a URL to whatever opens pages on this system; false where nothing does.
    pub fn browse(&self, url: &str) -> bool {
        ["xdg-open", "open"].iter().any(|program| {
            let mut command = Command::new(program);
            command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
        })
    }

    /// Bold, where colours are.
    pub fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Whether somebody is there to be asked.
    pub fn is_interactive(&self) -> bool {
        self.mode != Mode::Json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks on the terminal for a line, which the terminal itself lets people edit: nothing of it is changed, so nothing must be put back.
    /// None at the end of the input.
    pub async fn ask(&self, question: &str) -> Result<Option<String>> {
        // What was sent before the question is shown before it.
        tokio::task::yield_now().await;
        let _ = write!(std::io::stderr(), "{} ", self.fitted(question));
        let _ = std::io::stderr().flush();
        self.is_asking.store(true, Ordering::Relaxed);
        // On a thread of its own, so that Ctrl-C at the question is heard.
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            std::io::stdin().read_line(&mut answer).map(|length| (length > 0).then_some(answer))
        });
        let answer = answer.await??;
        match &answer {
            // The terminal has shown the end of the line.
            Some(_) => self.is_asking.store(false, Ordering::Relaxed),
            None => self.end_question(),
        }
        Ok(answer.map(|answer| answer.trim().to_owned()))
    }

    /// Asks for a yes. Anything else, the end of input included, is no. Without a terminal it is an error that names the flag.
    pub async fn confirm(&self, question: &str) -> Result<bool> {
        if self.mode == Mode::Json || !std::io::stdin().is_terminal() {
            return Err(anyhow!("there is no terminal to ask on"))
                .hint("say `--yes` to go on without being asked")
                .exit(code::USAGE);
        }
        let answer = self.ask(&format!("{question} [y/N]")).await?.unwrap_or_default();
        Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }
}

/// The width of the terminal as it is now.
fn columns() -> usize {
    usize::from(console::Term::stderr().size().1)
}
