//! The wizard as a machine without a terminal: it says what comes next, takes a line, and says what became of it. Answers that were given
//! beforehand, by file or flag, are checked at their turn and not asked. Pure; `commands/wizard` reads and prints.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use crate::failure::{Advise, code};
use crate::plan::document::{Document, nearest};
use crate::plan::questions::{Answers, Proposal, QUESTIONS, Question, Scene};
use crate::plan::surroundings::Surroundings;

/// An answer given beforehand, and where.
struct Given {
    text: String,
    place: String,
}

/// Answers given beforehand, by question.
#[derive(Default)]
pub struct Script(BTreeMap<&'static str, Given>);

pub struct Interview {
    pub scene: Scene,
    script: Script,
    answers: Answers,
    /// What was asked, in order: the way back.
    asked: Vec<&'static str>,
    /// What was said before going back, to be proposed again.
    said: Answers,
    /// The context that was looked at last, whatever came of it.
    looked: Option<String>,
    missing: Vec<&'static str>,
}

pub enum Step {
    /// The cluster of this context is to be looked at.
    Look(String),
    Ask(&'static Question),
    Done,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Taken,
    Explain,
    Back,
    Refused(String),
}

impl Script {
    /// A file of answers: one `question: answer` a line.
    pub fn read(&mut self, name: &str, text: &str) -> Result<()> {
        let document = Document::parse(name, text)?;
        for (key, value) in document.value.as_object().into_iter().flatten() {
            let place = document.line_of(&[key]).map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                _ => return Err(anyhow!("{place}: `{key}`: text is expected")),
            };
            self.give(key, text, place)?;
        }
        Ok(())
    }

    /// `--answer KEY=ANSWER`.
    pub fn assign(&mut self, assignment: &str) -> Result<()> {
        let place = format!("--answer {assignment}");
        let (key, text) = assignment.split_once('=').ok_or_else(|| anyhow!("{place}: `KEY=ANSWER` is expected"))?;
        self.give(key, text.to_owned(), place.clone())
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// A later answer to the same question counts.
    pub fn give(&mut self, key: &str, text: String, place: String) -> Result<()> {
        let ids = QUESTIONS.iter().map(|question| question.id);
        let id = ids.clone().find(|id| *id == key);
        let id = id.ok_or_else(|| anyhow!("{place}: no question `{key}`: {}", nearest(key, ids)))?;
        self.0.insert(id, Given { text, place });
        Ok(())
    }
}

impl Interview {
    pub fn new(scene: Scene, script: Script) -> Self {
        Self {
            scene,
            script,
            answers: Answers::new(),
            asked: Vec::new(),
            said: Answers::new(),
            looked: None,
            missing: Vec::new(),
        }
    }

    /// What comes next. An answer given beforehand that is wrong ends it here.
    pub fn step(&mut self) -> Result<Step> {
        loop {
            if let Some(context) = self.context().filter(|context| self.looked.as_deref() != Some(*context)) {
                return Ok(Step::Look(context.to_owned()));
            }
            let Some(question) = self.next() else { return self.end() };
            let Some(given) = self.script.0.get(question.id) else { return Ok(Step::Ask(question)) };
            let answer = question
                .accept(&self.scene, &self.answers, &given.text)
                .map_err(|problem| anyhow!("{}: `{}`: {problem}", given.place, question.id))
                .exit(code::USAGE)?;
            self.answers.insert(question.id, answer);
        }
    }

    fn next(&self) -> Option<&'static Question> {
        let is_open = |question: &&Question| !self.answers.contains_key(question.id);
        QUESTIONS.iter().filter(is_open).find(|question| question.is_asked(&self.scene, &self.answers))
    }

    /// What was given but never asked for would be lost in silence.
    fn end(&self) -> Result<Step> {
        let unused = self.script.0.iter().find(|(id, _)| !self.answers.contains_key(*id));
        if let Some((id, given)) = unused {
            let error = anyhow!("{}: `{id}` is not asked, as the other answers are", given.place);
            return Err(error).hint("leave it out, or change what it depends on").exit(code::USAGE);
        }
        if self.missing.is_empty() {
            return Ok(Step::Done);
        }
        let ids: Vec<String> = self.missing.iter().map(|id| format!("`{id}`")).collect();
        Err(anyhow!("nothing is asked here, and there is no answer to {}", ids.join(", ")))
            .hint("give them by `--answers FILE` or `--answer KEY=ANSWER`; `--yes` takes the proposals where there are some")
            .exit(code::USAGE)
    }

    /// The context that was chosen.
    pub fn context(&self) -> Option<&str> {
        self.answers.get("context").map(String::as_str)
    }

    /// What became of `Step::Look`.
    pub fn saw(&mut self, context: String, seen: Option<Surroundings>) {
        self.looked = Some(context);
        self.scene.seen = seen;
    }

    /// What Enter takes: what was said before going back, else what fits.
    pub fn proposal(&self, question: &Question) -> Option<Proposal> {
        let said = self.said.get(question.id);
        let said = said.filter(|said| question.accept(&self.scene, &self.answers, said).is_ok());
        match said {
            Some(said) => Some(Proposal { value: said.clone(), why: "as you said before".to_owned() }),
            None => question.proposal(&self.scene, &self.answers),
        }
    }

    /// Takes a line that answers `question`, the one of the last step.
    pub fn reply(&mut self, question: &'static Question, line: &str) -> Reply {
        match line.trim() {
            "?" => Reply::Explain,
            "<" | "back" => self.back(),
            "" => match self.proposal(question) {
                Some(proposal) => self.take(question, &proposal.value),
                None => Reply::Refused("it takes an answer of yours; `?` explains what is wanted".to_owned()),
            },
            text => self.take(question, text),
        }
    }

    fn take(&mut self, question: &'static Question, text: &str) -> Reply {
        match question.accept(&self.scene, &self.answers, text) {
            Ok(answer) => {
                // Another cluster or another profile makes other proposals.
                let is_new = self.said.insert(question.id, answer.clone()).is_some_and(|before| before != answer);
                if is_new && ["context", "profile"].contains(&question.id) {
                    self.said.retain(|id, _| *id == question.id);
                }
                self.answers.insert(question.id, answer);
                self.asked.push(question.id);
                Reply::Taken
            }
            Err(problem) => Reply::Refused(problem),
        }
    }

    /// Back to the question that was asked last; everything after it is open again.
    pub fn back(&mut self) -> Reply {
        let Some(last) = self.asked.pop() else {
            return Reply::Refused("this is the first question".to_owned());
        };
        for question in QUESTIONS.iter().skip_while(|question| question.id != last) {
            self.answers.remove(question.id);
        }
        Reply::Back
    }

    /// Without a terminal: the proposal if that is wanted and there is one; else the question is noted as missing, and what is proposed, or
    /// nothing, stands for its answer to find the others that are.
    pub fn skip(&mut self, question: &'static Question, takes_proposals: bool) {
        let proposal = self.proposal(question);
        if proposal.is_none() || !takes_proposals {
            self.missing.push(question.id);
        }
        self.answers.insert(question.id, proposal.map_or_else(String::new, |proposal| proposal.value));
    }

    /// The number of the present question, and how many there are as far as the answers tell.
    pub fn progress(&self) -> (usize, usize) {
        let is_open = |question: &&Question| {
            let is_answered = self.answers.contains_key(question.id) || self.script.0.contains_key(question.id);
            !is_answered && question.is_asked(&self.scene, &self.answers)
        };
        (self.asked.len() + 1, self.asked.len() + QUESTIONS.iter().filter(is_open).count())
    }

    pub fn answers(&self) -> &Answers {
        &self.answers
    }
}
