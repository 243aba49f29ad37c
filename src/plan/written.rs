//! Answers become a profile: as a commented file, and as the flags that say the same. Pure.

use crate::plan::questions::{Answers, IN_CLUSTER, QUESTIONS, Scene, Setting};

/// What the answers set, in the order of the questions.
fn settings(answers: &Answers) -> Vec<Setting> {
    let answered = QUESTIONS.iter().filter_map(|question| Some((question, answers.get(question.id)?)));
    answered.flat_map(|(question, answer)| question.settings(answer)).collect()
}

/// The profile file: what was asked, with comments. `version` is platctl's.
pub fn file(answers: &Answers, version: &str) -> String {
    let profile = &answers["profile"];
    let mut text = format!(
        "# Written by `platctl init` ({version}), for `platctl install --profile FILE`. Holds no secrets.\n\
         # What is not here is as in the built-in profile: `platctl profile show {profile}`.\n"
    );
    let mut settings = settings(answers);
    // The components' own values come last, as in the built-in profiles.
    settings.sort_by_key(|(key, _, _)| key.starts_with("components."));
    let entries: Vec<Entry> =
        settings.iter().map(|(key, value, comment)| (key.split('.').collect(), scalar(value), *comment)).collect();
    block(&entries, 0, &mut text);
    text
}

/// The rest of the key's path, the value, the comment.
type Entry<'a> = (Vec<&'a str>, String, &'a str);

/// One level of the document. Entries that begin with the same key belong together, wherever they stand.
fn block(entries: &[Entry], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let mut done: Vec<&str> = Vec::new();
    for (path, value, comment) in entries {
        let Some((head, rest)) = path.split_first().filter(|(head, _)| !done.contains(*head)) else { continue };
        done.push(head);
        if depth == 0 {
            text.push('\n');
        }
        if rest.is_empty() {
            *text += &format!("{indent}# {comment}\n{indent}{head}: {value}\n");
            continue;
        }
        *text += &format!("{indent}{head}:\n");
        let is_below = |(path, _, _): &&Entry| path.first() == Some(head);
        let below =
            entries.iter().filter(is_below).map(|(path, value, comment)| (path[1..].to_vec(), value.clone(), *comment));
        block(&below.collect::<Vec<_>>(), depth + 1, text);
    }
}

/// The flags of `install` that say the same without a file: what differs from the built-in profile.
pub fn flags(scene: &Scene, answers: &Answers) -> Vec<String> {
    let mut words = vec!["--profile".to_owned(), answers["profile"].clone()];
    let repository = answers.get("repository").filter(|answer| *answer != IN_CLUSTER);
    if let Some(url) = repository {
        words.extend(["--repo-url".to_owned(), url.clone()]);
    }
    let is_said = |key: &str| repository.is_some() && REPO_URL.contains(&key);
    for (key, value, _) in settings(answers) {
        if key == "extends" || is_said(key) || scene.standard(answers, key) == Some(&value) {
            continue;
        }
        // A component's name stands for its values.
        let short = key.strip_prefix("components.").and_then(|key| key.split_once(".values."));
        let key = short.map_or_else(|| key.to_owned(), |(component, inside)| format!("{component}.{inside}"));
        words.extend(["--set".to_owned(), format!("{key}={}", scalar(&value))]);
    }
    words
}

/// The keys that `--repo-url` stands for.
const REPO_URL: [&str; 3] = ["repository.mode", "repository.url", "components.gitea.enabled"];

/// One word of a command line, quoted where a shell would not take it as it is.
pub fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A value as YAML: plain where that reads back as the same, else as JSON writes it.
fn scalar(value: &serde_json::Value) -> String {
    let plain = value.as_str().filter(|text| {
        let read: Result<serde_json::Value, _> = serde_saphyr::from_str(text);
        read.is_ok_and(|read| read == *value)
    });
    plain.map_or_else(|| value.to_string(), str::to_owned)
}
