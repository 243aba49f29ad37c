//! YAML as `toYaml` writes it in Helm, byte for byte (go-yaml v2): checksums of rendered text must be the same in both. Keys in natural
//! order, block style, lists not indented, long lines folded at 80 columns. `scalar` decides how a text is written.

use std::cmp::Ordering;
use std::sync::Arc;

use gotmpl::Value;

use super::Map;
use super::format::float;
use super::scalar::{Style, style_of, write_double, write_literal, write_plain, write_single};

/// A value as YAML, without the line break at the end.
pub(super) fn write(value: &Value) -> String {
    let mut page = Page::default();
    match value {
        Value::Map(_) | Value::List(_) => page.node(value, 0, true),
        scalar => page.scalar(scalar, 2),
    }
    page.text.strip_suffix('\n').map(str::to_owned).unwrap_or(page.text)
}

/// The text so far, and where its last line ends.
#[derive(Default)]
pub(super) struct Page {
    text: String,
    pub(super) column: usize,
}

impl Page {
    pub(super) fn put(&mut self, char: char) {
        self.text.push(char);
        self.column = if char == '\n' { 0 } else { self.column + 1 };
    }

    pub(super) fn put_all(&mut self, text: &str) {
        text.chars().for_each(|char| self.put(char));
    }

    /// Begins a line, if this is not the beginning of one.
    pub(super) fn line(&mut self, indent: usize) {
        if self.column > 0 {
            self.put('\n');
        }
        (0..indent).for_each(|_| self.put(' '));
    }

    /// A map or list whose entries stand at an indent; `inline` says that the first one goes on where the line is.
    fn node(&mut self, value: &Value, indent: usize, inline: bool) {
        match value {
            Value::Map(map) if !map.is_empty() => self.map(map, indent, inline),
            Value::List(items) if !items.is_empty() => self.list(items, indent, inline),
            scalar => self.scalar(scalar, indent),
        }
    }

    fn map(&mut self, map: &Map, indent: usize, inline: bool) {
        for (index, key) in sorted(map).into_iter().enumerate() {
            if index > 0 || !inline {
                self.line(indent);
            }
            let simple = key.len() <= 128 && !key.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
            if !simple {
                self.put_all("? ");
            }
            self.string(key, indent + 2, simple);
            if !simple {
                self.line(indent);
            }
            self.put(':');
            match &map[key] {
                Value::Map(below) if simple && !below.is_empty() => {
                    self.map(below, indent + 2, false);
                }
                Value::List(below) if simple && !below.is_empty() => {
                    self.list(below, indent, false);
                }
                below => {
                    self.put(' ');
                    self.node(below, indent + 2, true);
                }
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize, inline: bool) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || !inline {
                self.line(indent);
            }
            self.put_all("- ");
            self.node(item, indent + 2, true);
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::String(text) => self.string(text, indent, false),
            Value::Map(_) => self.put_all("{}"),
            Value::List(_) => self.put_all("[]"),
            Value::Float(number) => self.put_all(&number_text(*number)),
            Value::Nil | Value::Function(_) => self.put_all("null"),
            other => self.put_all(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str, indent: usize, key: bool) {
        match style_of(text, key) {
            Style::Plain => write_plain(self, text, indent, key),
            Style::Single => write_single(self, text, indent, key),
            Style::Double => write_double(self, text, indent, key),
            Style::Literal => write_literal(self, text, indent),
        }
    }
}

/// On its way a number is JSON: a whole one that fits into 64 bits is then an integer.
fn number_text(number: f64) -> String {
    let written = number.to_string();
    match written.parse::<i128>() {
        Ok(whole) if whole >= i64::MIN.into() && whole <= u64::MAX.into() => whole.to_string(),
        _ => float(number),
    }
}

/// Keys in go-yaml's natural order: `a2` before `a10`, other signs before letters. That order is no total one, which the standard sort
/// may answer with a panic; placing the keys one by one cannot fail.
fn sorted(map: &Map) -> Vec<&Arc<str>> {
    let mut keys: Vec<&Arc<str>> = Vec::with_capacity(map.len());
    for key in map.keys() {
        let place = keys.partition_point(|placed| natural(placed, key) != Ordering::Greater);
        keys.insert(place, key);
    }
    keys
}

fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else {
        return a.len().cmp(&b.len());
    };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Behind a digit other than 0 a differing 0 is part of a number that already began.
    let before = a[..at].iter().rev().take_while(|char| char.is_ascii_digit());
    let begun = (a[at] == '0' || b[at] == '0') && before.into_iter().any(|digit| *digit != '0');
    let number = |chars: &[char]| {
        let digits = chars[at..].iter().map_while(|char| char.to_digit(10));
        digits.fold((i64::from(begun), 0), |(number, length), digit| {
            (number.wrapping_mul(10).wrapping_add(i64::from(digit)), length + 1)
        })
    };
    number(&a).cmp(&number(&b)).then(a[at].cmp(&b[at]))
}
