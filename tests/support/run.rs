//! One run of the platctl executable: its events as they come, signals at the moment that a test chooses, and how it ended.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::lab::{Lab, PATIENCE};

/// A run under way.
pub(crate) struct Run {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    deadline: Instant,
    outcome: Outcome,
}

/// All that a run said and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    command: String,
    pub(crate) events: Vec<Value>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// None when a signal ended it.
    pub(crate) code: Option<i32>,
}

impl Lab {
    /// Starts platctl with JSON events.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Run {
        let kubeconfig = self.kubeconfig();
        let mut all = arguments.to_vec();
        if !arguments.contains(&"--kubeconfig") {
            all.extend(["--kubeconfig", kubeconfig.to_str().unwrap()]);
        }
        if !arguments.contains(&"-o") {
            all.extend(["-o", "json"]);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_platctl"));
        command.args(&all).env_remove("KUBECONFIG").env_remove("CI");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let outcome = Outcome { command: format!("platctl {}", all.join(" ")), ..Outcome::default() };
        Run { child, lines, stderr: Some(stderr), deadline: Instant::now() + PATIENCE, outcome }
    }

    /// Runs platctl to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.spawn(arguments).end()
    }
}

impl Run {
    /// For what takes longer than others.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.deadline = Instant::now() + patience;
        self
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads on until an event that fits. None when the run has ended without one.
    pub(crate) fn seek(&mut self, mut fits: impl FnMut(&Value) -> bool) -> Option<Value> {
        loop {
            let line = self.line()?;
            if let Ok(event @ Value::Object(_)) = serde_json::from_str::<Value>(&line)
                && event["type"].is_string()
            {
                self.outcome.events.push(event.clone());
                if fits(&event) {
                    return Some(event);
                }
            }
        }
    }

    /// The next event that fits; that the run ends before is a failure.
    pub(crate) fn until(&mut self, what: &str, fits: impl FnMut(&Value) -> bool) -> Value {
        let found = self.seek(fits);
        if found.is_none() {
            self.fail(&format!("the run ended before {what}"));
        }
        found.unwrap()
    }

    /// The document that a run which goes on has printed.
    pub(crate) fn document_so_far(&mut self) -> Value {
        loop {
            if self.line().is_none() {
                self.fail("the run ended before its document");
            }
            if let Ok(document) = serde_json::from_str(&self.outcome.stdout) {
                return document;
            }
        }
    }

    /// A line of stdout; none at its end.
    fn line(&mut self) -> Option<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.outcome.stdout += &line;
                self.outcome.stdout.push('\n');
                Some(line)
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                self.fail("the run takes too long");
                None
            }
        }
    }

    fn fail(&mut self, what: &str) {
        let _ = self.child.kill();
        assert!(what.is_empty(), "{what}\n{}", self.outcome.context());
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// SIGKILL: no chance to clear up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    pub(crate) fn end(mut self) -> Outcome {
        while self.seek(|_| false).is_some() {}
        let status: ExitStatus = self.child.wait().unwrap();
        self.outcome.code = status.code();
        self.outcome.stderr = self.stderr.take().unwrap().join().unwrap();
        std::mem::take(&mut self.outcome)
    }
}

/// A failed test leaves no run behind.
impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// Fails unless the run ended with this exit code.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{}", self.context());
        self
    }

    /// Fails unless everything that it said in the end holds all these words.
    pub(crate) fn expect_words(&self, words: &[&str]) {
        let said = self.last_words();
        for word in words {
            assert!(said.contains(word), "`{word}` is missing in:\n{said}\n{}", self.context());
        }
    }

    /// What the reader is told at the end: a failure with its causes and its hint, or the closing lines.
    pub(crate) fn last_words(&self) -> String {
        let mut words = self.stderr.clone();
        match self.events.last() {
            Some(last) if last["type"] == "failed" => {
                let failure = &last["failure"];
                let causes = failure["why"].as_array().into_iter().flatten();
                for line in std::iter::once(&failure["what"]).chain(causes).chain([&failure["hint"]]) {
                    let _ = writeln!(words, "{}", line.as_str().unwrap_or_default());
                }
            }
            Some(last) if last["type"] == "finished" => {
                for line in last["next"].as_array().into_iter().flatten() {
                    let text = |key: &str| line[key].as_str().unwrap_or_default();
                    let _ = writeln!(words, "{}: {}", text("label"), text("value"));
                }
            }
            _ => {}
        }
        words
    }

    /// The document on stdout, of commands that give one.
    pub(crate) fn document(&self) -> Value {
        let document = serde_json::from_str(&self.stdout);
        assert!(document.is_ok(), "no JSON document\n{}", self.context());
        document.unwrap()
    }

    /// The events of a kind.
    pub(crate) fn all(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }

    /// The one event of its kind.
    pub(crate) fn only(&self, kind: &str) -> &Value {
        let found = self.all(kind);
        assert!(found.len() == 1, "{} events `{kind}`\n{}", found.len(), self.context());
        found[0]
    }

    /// For people who look at a failure: the command and its last words.
    pub(crate) fn context(&self) -> String {
        let tail = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(20)..].join("\n")
        };
        let (stdout, stderr) = (tail(&self.stdout), tail(&self.stderr));
        format!("{}\nexit code {:?}, last of stdout:\n{stdout}\nlast of stderr:\n{stderr}", self.command, self.code)
    }
}
