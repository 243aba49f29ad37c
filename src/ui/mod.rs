//! The terminal: the only place that prints. Picks the renderer (bars, lines or JSON), shows events while a command works, asks, and says
//! how it ended. Data goes to stdout, talk to stderr.

mod lines;
pub mod paragraph;
mod progress;
pub mod table;

pub use lines::counted;

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

use anyhow::{Result, anyhow};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::cli::{Global, Output};
use crate::event::Event;
use crate::failure::{Advise, Failure, code};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Bars,
    Lines,
    Json,
}

pub struct Ui {
    mode: Mode,
    output: Output,
    verbose: bool,
    color: bool,
}

/// Shows one event after another.
trait Renderer: Send {
    fn show(&mut self, event: &Event);
}

impl Ui {
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let mode = match global.output {
            Output::Json => Mode::Json,
            Output::Auto if terminal && !global.ci && !global.verbose => Mode::Bars,
            _ => Mode::Lines,
        };
        Self { mode, output: global.output, verbose: global.verbose, color: terminal && !global.no_color }
    }

    /// Shows events until the last sender is gone.
    pub fn start(&self, mut events: UnboundedReceiver<Event>) -> JoinHandle<()> {
        let mut renderer: Box<dyn Renderer> = match self.mode {
            Mode::Bars => Box::new(progress::Progress::new(self.color)),
            Mode::Lines => Box::new(lines::Lines::new(std::io::stderr(), self.verbose)),
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

    /// Data on stdout. A reader that has gone away, as `head` does, is no error.
    pub fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Talk on stderr.
    pub fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// What failed, the cause, what to do. As JSON it is the last event on stdout.
    pub fn failure(&self, failure: &Failure) {
        if self.mode == Mode::Json {
            lines::JsonLines::new(std::io::stdout()).show(&Event::Failed { failure: failure.clone() });
            return;
        }
        let mut text = format!("{} {}\n", self.paint("31;1", "error:"), failure.what);
        for cause in &failure.why {
            text += &format!("  {} {cause}\n", self.paint("2", "because:"));
        }
        if let Some(hint) = &failure.hint {
            text += &format!("\n{} {hint}\n", self.paint("36;1", "hint:"));
        }
        // What was refused or stopped is no riddle; what failed for a reason may be one.
        if failure.code == code::FAILED && !failure.why.is_empty() {
            text += "to ask for help, send what `platctl support-bundle` writes\n";
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
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
        let _ = write!(std::io::stderr(), "{question} ");
        let _ = std::io::stderr().flush();
        // On a thread of its own, so that Ctrl-C at the question is heard.
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            std::io::stdin().read_line(&mut answer).map(|length| (length > 0).then_some(answer))
        });
        Ok(answer.await??.map(|answer| answer.trim().to_owned()))
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
