//! How a command fails: what failed, the cause in the component's own words, what to do next, and the exit code. Built with anyhow: the
//! chain of contexts is the message, `hint` adds the one line of advice, `exit` the code. Only `ui` prints it.

use std::fmt;

/// Exit codes. They come from the outcome, never from how it was printed.
pub mod code {
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const REFUSED: u8 = 3;
    pub const INTERRUPTED: u8 = 130;
}

/// Advice and exit code that ride on an error. It prints nothing itself, so it never shows up in the chain.
#[derive(Debug)]
struct Advice {
    hint: Option<String>,
    code: Option<u8>,
    source: anyhow::Error,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)
    }
}

impl std::error::Error for Advice {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// What a person is told of a failed command.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// What failed, one line.
    pub what: String,
    /// Why, from the outside in; the last is the component's own word.
    pub why: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    #[serde(skip)]
    pub code: u8,
}

impl Failure {
    pub fn of(error: &anyhow::Error) -> Self {
        let mut hint = None;
        let mut code = None;
        let mut lines: Vec<String> = Vec::new();
        for cause in error.chain() {
            if let Some(advice) = cause.downcast_ref::<Advice>() {
                // The advice nearest to the user's command wins: it knows most about what can be done.
                hint = hint.or_else(|| advice.hint.clone());
                code = code.or(advice.code);
                collect_advice(&advice.source, &mut hint, &mut code);
            }
            let line = cause.to_string();
            // Many errors end in the words of their own cause.
            if !lines.last().is_some_and(|last| last.ends_with(&line)) {
                lines.push(line);
            }
        }
        let mut lines = lines.into_iter();
        Self {
            what: lines.next().unwrap_or_default(),
            why: lines.collect(),
            hint,
            code: code.unwrap_or(self::code::FAILED),
        }
    }
}

/// Advice can sit inside advice (a hint below an exit code); anyhow's chain shows only the outer one's source.
fn collect_advice(error: &anyhow::Error, hint: &mut Option<String>, code: &mut Option<u8>) {
    if let Some(inner) = error.downcast_ref::<Advice>() {
        // Who stood nearest to the cause knows best what to do about it.
        *hint = inner.hint.clone().or(hint.take());
        *code = code.or(inner.code);
        collect_advice(&inner.source, hint, code);
    }
}

/// Adds advice or an exit code to an error.
pub trait Advise<T> {
    /// What the reader can do about it; one sentence without full stop.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
    /// The exit code of the command, one of [`code`].
    fn exit(self, code: u8) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| advised(error, hint))
    }

    fn exit(self, code: u8) -> anyhow::Result<T> {
        self.map_err(|error| Advice { hint: None, code: Some(code), source: error.into() }.into())
    }
}

/// An error with advice, where there is no `Result` to add it to.
pub fn advised(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    Advice { hint: Some(hint.into()), code: None, source: error.into() }.into()
}

/// An error with several causes, the first of them the outermost.
pub fn chain(what: &str, causes: impl DoubleEndedIterator<Item = String>) -> anyhow::Error {
    let causes = causes.rev().fold(None, |chain: Option<anyhow::Error>, cause| {
        Some(match chain {
            Some(chain) => chain.context(cause),
            None => anyhow::anyhow!(cause),
        })
    });
    causes.map_or_else(|| anyhow::anyhow!(what.to_owned()), |causes| causes.context(what.to_owned()))
}

/// The error of a command that was stopped by the user.
pub fn interrupted() -> anyhow::Error {
    Advice {
        hint: Some("run the same command again: it goes on where it stopped".to_owned()),
        code: Some(code::INTERRUPTED),
        source: anyhow::anyhow!("interrupted"),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn chain_hint_and_code_survive_contexts() {
        let error = Err::<(), _>(anyhow::anyhow!("connection refused"))
            .context("get version")
            .hint("check the address")
            .exit(code::REFUSED)
            .context("connect")
            .unwrap_err();
        let failure = Failure::of(&error);
        assert_eq!(failure.what, "connect");
        assert_eq!(failure.why, ["get version", "connection refused"]);
        assert_eq!(failure.hint.as_deref(), Some("check the address"));
        assert_eq!(failure.code, code::REFUSED);
    }

    #[test]
    fn the_hint_that_is_nearest_to_the_cause_is_shown() {
        let error = Err::<(), _>(anyhow::anyhow!("no space")).hint("make room").context("wave 4").hint("run it again");
        assert_eq!(Failure::of(&error.unwrap_err()).hint.as_deref(), Some("make room"));
    }
}
