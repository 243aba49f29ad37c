//! How go-yaml v2 writes one text: plain where that reads back the same, else quoted, several lines as a block.

use super::to_yaml::Page;
use crate::plan::render::yaml::{Scalar, resolve};

/// Lines longer than this are folded at the next single space.
const WIDTH: usize = 80;

pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

pub(super) fn style_of(text: &str, key: bool) -> Style {
    let allowed = Allowed::by(text);
    let stays_text = resolve(text) == Scalar::Text && !is_date(text) && !is_base_60(text);
    let single = if allowed.single {
        Style::Single
    } else {
        Style::Double
    };
    match text.contains('\n') {
        true if allowed.block && !key => Style::Literal,
        true => Style::Double,
        false if !stays_text => Style::Double,
        false if allowed.plain => Style::Plain,
        false => single,
    }
}

/// The styles that the characters of a text allow.
struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

impl Allowed {
    fn by(text: &str) -> Self {
        let mut allowed = Self {
            plain: !is_indicator(text),
            single: true,
            block: !text.ends_with(' '),
        };
        let mut previous = None;
        for char in text.chars() {
            let after_space = previous == Some(' ');
            if !is_printable(char) || (after_space && is_break(char)) {
                allowed = Self {
                    plain: false,
                    single: false,
                    block: false,
                };
            }
            if char == ' ' && previous.is_some_and(is_break) {
                allowed = Self {
                    plain: false,
                    single: false,
                    ..allowed
                };
            }
            let comment = char == '#'
                && previous.is_none_or(|char| is_break(char) || matches!(char, ' ' | '\t' | '\0'));
            if is_break(char) || comment {
                allowed.plain = false;
            }
            previous = Some(char);
        }
        allowed
    }
}

/// Whether a text begins, ends or contains what means something in YAML.
fn is_indicator(text: &str) -> bool {
    let blank = |char: Option<char>| char.is_none_or(|char| matches!(char, ' ' | '\t'));
    let mut chars = text.chars();
    let at_start = match chars.next() {
        Some(
            ' ' | '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
            | '%' | '@' | '`',
        ) => true,
        Some('?' | ':' | '-') => blank(chars.next()),
        _ => false,
    };
    let colon = text
        .match_indices(':')
        .any(|(at, _)| blank(text[at + 1..].chars().next()));
    at_start || colon || text.starts_with("---") || text.starts_with("...") || text.ends_with(' ')
}

fn is_break(char: char) -> bool {
    matches!(char, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(char: char) -> bool {
    matches!(char, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && char != '\u{feff}'
}

pub(super) fn write_plain(page: &mut Page, text: &str, indent: usize, key: bool) {
    let mut chars = text.chars().peekable();
    let mut previous = None;
    while let Some(char) = chars.next() {
        let single_space = char == ' ' && previous != Some(' ') && chars.peek() != Some(&' ');
        if single_space && !key && page.column > WIDTH {
            page.line(indent);
        } else {
            page.put(char);
        }
        previous = Some(char);
    }
}

pub(super) fn write_single(page: &mut Page, text: &str, indent: usize, key: bool) {
    page.put('\'');
    let mut chars = text.chars().peekable();
    let mut previous = None;
    while let Some(char) = chars.next() {
        let inside = previous.is_some_and(|previous| previous != ' ')
            && chars.peek().is_some_and(|next| *next != ' ');
        match char {
            ' ' if inside && !key && page.column > WIDTH => page.line(indent),
            '\'' => page.put_all("''"),
            char => page.put(char),
        }
        previous = Some(char);
    }
    page.put('\'');
}

pub(super) fn write_double(page: &mut Page, text: &str, indent: usize, key: bool) {
    page.put('"');
    let mut chars = text.chars().peekable();
    let mut previous = None;
    while let Some(char) = chars.next() {
        let inside = previous.is_some_and(|previous| previous != ' ') && chars.peek().is_some();
        match char {
            ' ' if inside && !key && page.column > WIDTH => {
                page.line(indent);
                if chars.peek() == Some(&' ') {
                    page.put('\\');
                }
            }
            '"' | '\\' => page.put_all(&format!("\\{char}")),
            char if is_printable(char) && !is_break(char) => page.put(char),
            char => page.put_all(&escape(char)),
        }
        previous = Some(char);
    }
    page.put('"');
}

fn escape(char: char) -> String {
    let short = match char {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            return match u32::from(char) {
                code @ 0..0x100 => format!("\\x{code:02X}"),
                code @ 0x100..0x1_0000 => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

pub(super) fn write_literal(page: &mut Page, text: &str, indent: usize) {
    page.put('|');
    if text.starts_with([' ', '\n']) {
        page.put('2');
    }
    let breaks = text.len() - text.trim_end_matches('\n').len();
    match breaks {
        0 => page.put('-'),
        1 if text.len() > 1 => {}
        _ => page.put('+'),
    }
    page.put('\n');
    for line in text.split_inclusive('\n') {
        if line != "\n" {
            page.line(indent);
        }
        page.put_all(line);
    }
}

/// Whether go-yaml takes a text for a point in time: `2024-1-2`, `2024-01-02T10:00:00Z`, `2024-01-02 10:00:00`.
fn is_date(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let year = parts
        .next()
        .filter(|year| year.len() == 4)
        .and_then(|year| digits(year, 4));
    let month = parts.next().and_then(|month| digits(month, 2));
    let day = parts.next().and_then(|day| digits(day, 2));
    let (Some(year), Some(month), Some(day)) = (year, month, day) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day) && time.is_none_or(is_time)
}

/// A time of day behind its `T` or space; behind `T` a zone must follow.
fn is_time(text: &str) -> bool {
    let (time, zone) = match text.find(['Z', '+', '-']) {
        Some(at) => (&text[1..at], Some(&text[at..])),
        None => (&text[1..], None),
    };
    let zone = match zone {
        None => text.starts_with(' '),
        Some("Z") => !text.starts_with(' '),
        Some(offset) => {
            let offset = offset[1..]
                .split_once(':')
                .filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2);
            let within = |(hour, minute)| {
                digits(hour, 2).is_some_and(|hour| hour <= 24)
                    && digits(minute, 2).is_some_and(|minute| minute < 60)
            };
            !text.starts_with(' ') && offset.is_some_and(within)
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts: Vec<Option<u32>> = time.split(':').map(|part| digits(part, 2)).collect();
    let clock = matches!(parts[..], [Some(0..24), Some(0..60), Some(0..60)]);
    zone && clock && !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

fn digits(text: &str, most: usize) -> Option<u32> {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

/// YAML 1.1's numbers with base 60, such as `12:30`: go-yaml reads them as text and yet quotes them.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = number.split(':');
    let number_like = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    let first = parts.next().is_some_and(|part| {
        part.starts_with(|first: char| first.is_ascii_digit()) && number_like(part)
    });
    let rest: Vec<bool> = parts
        .map(|part| digits(part, 2).is_some_and(|part| part < 60))
        .collect();
    first && !rest.is_empty() && rest.iter().all(|fits| *fits) && number_like(fraction)
}
