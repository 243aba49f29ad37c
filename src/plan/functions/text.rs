//! Text.

use gotmpl::Value;
use regex::Regex;

use super::{Function, MANY, Outcome, as_int, as_size, as_text, show};

pub(super) const FUNCTIONS: &[Function] = &[
    ("trim", 1..=1, |a| Ok(as_text(&a[0])?.trim().into())),
    ("trimPrefix", 2..=2, |a| {
        let text = as_text(&a[1])?;
        Ok(text.strip_prefix(as_text(&a[0])?).unwrap_or(text).into())
    }),
    ("trimSuffix", 2..=2, |a| {
        let text = as_text(&a[1])?;
        Ok(text.strip_suffix(as_text(&a[0])?).unwrap_or(text).into())
    }),
    ("trunc", 2..=2, |a| trunc(as_int(&a[0])?, as_text(&a[1])?)),
    ("lower", 1..=1, |a| Ok(as_text(&a[0])?.chars().map(lower).collect::<String>().into())),
    ("upper", 1..=1, |a| Ok(as_text(&a[0])?.chars().map(upper).collect::<String>().into())),
    ("title", 1..=1, |a| Ok(title(as_text(&a[0])?).into())),
    ("nospace", 1..=1, |a| Ok(as_text(&a[0])?.split_whitespace().collect::<String>().into())),
    ("replace", 3..=3, |a| Ok(as_text(&a[2])?.replace(as_text(&a[0])?, as_text(&a[1])?).into())),
    ("contains", 2..=2, |a| Ok(Value::Bool(as_text(&a[1])?.contains(as_text(&a[0])?)))),
    ("hasPrefix", 2..=2, |a| Ok(Value::Bool(as_text(&a[1])?.starts_with(as_text(&a[0])?)))),
    ("hasSuffix", 2..=2, |a| Ok(Value::Bool(as_text(&a[1])?.ends_with(as_text(&a[0])?)))),
    ("regexMatch", 2..=2, |a| {
        let pattern = Regex::new(as_text(&a[0])?).map_err(|error| error.to_string())?;
        Ok(Value::Bool(pattern.is_match(as_text(&a[1])?)))
    }),
    ("html", 1..=1, |a| Ok(gotmpl::html_escape(&printed(&a[0])).into())),
    ("urlquery", 1..=1, |a| Ok(gotmpl::url_encode(&printed(&a[0])).into())),
    ("indent", 2..=2, |a| Ok(indent(as_size(&a[0])?, as_text(&a[1])?).into())),
    ("nindent", 2..=2, |a| Ok(format!("\n{}", indent(as_size(&a[0])?, as_text(&a[1])?)).into())),
    ("cat", 0..=MANY, |a| {
        let words: Vec<String> = a.iter().filter(|word| !matches!(word, Value::Nil)).map(show).collect();
        Ok(words.join(" ").into())
    }),
    ("dir", 1..=1, |a| Ok(dir(as_text(&a[0])?).into())),
    ("base", 1..=1, |a| Ok(base(as_text(&a[0])?).into())),
];

/// A value as a template prints it.
fn printed(value: &Value) -> String {
    if matches!(value, Value::Nil) { "<no value>".to_owned() } else { show(value) }
}

/// The parts of a text between separators. Where Rust finds an empty separator at both ends too, Go does not.
pub(super) fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let parts = text.split(separator);
    if separator.is_empty() { parts.filter(|part| !part.is_empty()).collect() } else { parts.collect() }
}

/// The first bytes, or with a negative count the last.
fn trunc(count: i64, text: &str) -> Outcome {
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let part = match size {
        size if size >= text.len() => Some(text),
        size if count < 0 => text.get(text.len() - size..),
        size => text.get(..size),
    };
    part.map(Value::from).ok_or_else(|| format!("{count} bytes of `{text}` end within a character"))
}

/// Go changes the case of one character to one character: `ß` stays.
fn lower(char: char) -> char {
    single(char, char.to_lowercase())
}

fn upper(char: char) -> char {
    single(char, char.to_uppercase())
}

fn single(char: char, mut changed: impl ExactSizeIterator<Item = char>) -> char {
    if changed.len() == 1 { changed.next().unwrap_or(char) } else { char }
}

fn title(text: &str) -> String {
    let separates = |char: char| {
        if char.is_ascii() { !char.is_ascii_alphanumeric() && char != '_' } else { char.is_whitespace() }
    };
    let mut at_start = true;
    let capital = |char: char| {
        let written = if at_start { upper(char) } else { char };
        at_start = separates(char);
        written
    };
    text.chars().map(capital).collect()
}

fn indent(spaces: usize, text: &str) -> String {
    let pad = " ".repeat(spaces);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

/// Go's `path.Clean`: no `.`, no `..` that can be resolved, no doubled or trailing slash.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            ("..", None) if rooted => {}
            _ => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |slash| &path[..=slash]))
}

fn base(path: &str) -> String {
    match (path.trim_end_matches('/'), path) {
        (_, "") => ".".to_owned(),
        ("", _) => "/".to_owned(),
        (path, _) => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}
