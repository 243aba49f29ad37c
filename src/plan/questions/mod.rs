//! What a question of the wizard is: data with its explanation, proposal, check, and the keys of the profile that an answer sets. Pure.
//! The questions themselves are the `table`; `interview` walks them in its order.

mod checks;
mod table;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::catalog::Catalog;
use crate::plan::document::{Document, nearest};
use crate::plan::surroundings::Surroundings;
pub use table::QUESTIONS;

/// The answers so far, by question.
pub type Answers = BTreeMap<&'static str, String>;

/// What proposals and checks look at.
pub struct Scene {
    /// The kubeconfig's contexts, and its current one.
    pub contexts: Vec<String>,
    pub current: Option<String>,
    /// None: the cluster was not reached.
    pub seen: Option<Surroundings>,
    built_in: BTreeMap<String, Document>,
    charts: BTreeMap<String, Value>,
}

/// What Enter takes, and why that.
pub struct Proposal {
    pub value: String,
    pub why: String,
}

/// A key of the profile, its value, and the comment above it in the file.
pub type Setting = (&'static str, Value, &'static str);

pub struct Question {
    pub id: &'static str,
    pub title: &'static str,
    /// What `?` says.
    pub help: &'static str,
    /// The key of the profile that it is about, and the comment that explains it in the file.
    key: &'static str,
    comment: &'static str,
    /// The words that may be answered, with their meanings. Empty: whatever the check lets pass.
    words: &'static [(&'static str, &'static str)],
    /// The same where the cluster tells.
    found: fn(&Scene) -> Vec<(String, String)>,
    applies: fn(&Scene, &Answers) -> bool,
    /// None: only a person can know.
    propose: fn(&Self, &Scene, &Answers) -> Option<Proposal>,
    /// The answer as it is kept, or what is wrong with it.
    check: fn(&str, &Answers) -> Result<String, String>,
    /// The value of the key. Null sets nothing.
    value: fn(&str) -> Value,
    /// Further keys.
    more: fn(&str) -> Vec<Setting>,
}

/// What most questions do not say: always asked, any text, proposed and set as it stands in the built-in profile.
const PLAIN: Question = Question {
    id: "",
    title: "",
    help: "",
    key: "",
    comment: "",
    words: &[],
    found: |_| Vec::new(),
    applies: |_, _| true,
    propose: as_in_profile,
    check: |text, _| Ok(text.to_owned()),
    value: |text| text.into(),
    more: |_| Vec::new(),
};

/// The answers that stand for "nothing of my own".
const DEFAULT: &str = "cluster-default";
const NONE: &str = "none";
pub const IN_CLUSTER: &str = "in-cluster";

impl Scene {
    /// `profiles`: the built-in ones by name.
    pub fn new(profiles: &BTreeMap<String, String>, catalog: &Catalog) -> anyhow::Result<Self> {
        let mut built_in = BTreeMap::new();
        for (name, text) in profiles {
            built_in.insert(name.clone(), Document::parse(name, text)?);
        }
        let charts =
            catalog.entries().map(|entry| (entry.component.name.clone(), entry.chart.values().clone())).collect();
        Ok(Self { contexts: Vec::new(), current: None, seen: None, built_in, charts })
    }

    /// What the chosen built-in profile has at a key, else the chart's own default.
    pub fn standard(&self, answers: &Answers, key: &str) -> Option<&Value> {
        let pointer = |key: &str| format!("/{}", key.replace('.', "/"));
        let profile = answers.get("profile").and_then(|name| self.built_in.get(name));
        profile.and_then(|profile| profile.value.pointer(&pointer(key))).or_else(|| {
            let (component, inside) = key.strip_prefix("components.")?.split_once(".values.")?;
            self.charts.get(component)?.pointer(&pointer(inside))
        })
    }
}

impl Question {
    /// What may be answered, with its meaning; empty where the check decides.
    pub fn options(&self, scene: &Scene) -> Vec<(String, String)> {
        let words = self.words.iter().map(|(word, meaning)| ((*word).to_owned(), (*meaning).to_owned()));
        words.chain((self.found)(scene)).collect()
    }

    pub fn is_asked(&self, scene: &Scene, answers: &Answers) -> bool {
        (self.applies)(scene, answers)
    }

    pub fn proposal(&self, scene: &Scene, answers: &Answers) -> Option<Proposal> {
        (self.propose)(self, scene, answers)
    }

    /// The answer as it is kept: an option by its number, its word or the beginning of it, else what the check makes of the text.
    pub fn accept(&self, scene: &Scene, answers: &Answers, text: &str) -> Result<String, String> {
        if text.chars().any(char::is_control) {
            return Err("it holds a control character, as the arrow keys make them here".to_owned());
        }
        let words: Vec<String> = self.options(scene).into_iter().map(|(word, _)| word).collect();
        if words.is_empty() {
            return (self.check)(text, answers);
        }
        if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            return Ok(word.clone());
        }
        let number = text.parse::<usize>().ok().and_then(|number| words.get(number.checked_sub(1)?));
        let begins = |word: &&String| word.to_lowercase().starts_with(&text.to_lowercase());
        let begun: Vec<&String> = words.iter().filter(begins).collect();
        match (number, begun.as_slice()) {
            (Some(word), _) => Ok(word.clone()),
            (None, [word]) => Ok((*word).clone()),
            _ => Err(format!("`{text}` is none of the options: {}", nearest(text, words.iter().map(String::as_str)))),
        }
    }

    /// What a checked answer sets in the profile.
    pub fn settings(&self, answer: &str) -> Vec<Setting> {
        let own = (self.key, (self.value)(answer), self.comment);
        let more = (self.more)(answer);
        std::iter::once(own).chain(more).filter(|(_, value, _)| !value.is_null()).collect()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what a question's `propose` gives")]
fn proposal(value: impl Into<String>, why: impl Into<String>) -> Option<Proposal> {
    Some(Proposal { value: value.into(), why: why.into() })
}

fn as_in_profile(question: &Question, scene: &Scene, answers: &Answers) -> Option<Proposal> {
    let value = scene.standard(answers, question.key)?.as_str()?;
    // As the answer is written: days for hours.
    let value = (question.check)(value, answers).unwrap_or_else(|_| value.to_owned());
    proposal(value, format!("as in the profile {}", answers.get("profile").map_or("", String::as_str)))
}
