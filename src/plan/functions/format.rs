//! Go's `fmt`: how values look as text. gotmpl's own `print` and `printf` write floats as Rust does and let wrong verbs pass.

use gotmpl::Value;

use super::printf::printf;
use super::{Function, MANY, as_text};

pub(super) const FUNCTIONS: &[Function] = &[
    ("print", 0..=MANY, |a| Ok(print(a).into())),
    ("printf", 1..=MANY, |a| {
        Ok(printf(as_text(&a[0])?, &a[1..])?.into())
    }),
    ("quote", 0..=MANY, |a| {
        Ok(each(a, |value| quote(&show(value))))
    }),
    ("squote", 0..=MANY, |a| {
        Ok(each(a, |value| format!("'{}'", show(value))))
    }),
];

/// A value as `%v` shows it, and as a template prints it.
pub(in crate::plan) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Nil => "<nil>".to_owned(),
        Value::Float(number) => float(*number),
        Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", show(value)));
            format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// A float in Go's shortest form: 1000000 is `1e+06`, as every user of Helm finds out once.
pub(super) fn float(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            format!("{digits}e{}{:02}", sign(exponent), exponent.abs())
        }
        _ => number.to_string(),
    }
}

/// The sign of an exponent, which Go always writes.
pub(super) fn sign(exponent: i32) -> char {
    if exponent < 0 { '-' } else { '+' }
}

/// Go's `strconv.Quote`: double quotes, everything escaped that cannot be seen.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            char if is_printable(char) => quoted.push(char),
            char => quoted.push_str(&escape(u32::from(char))),
        }
    }
    quoted.push('"');
    quoted
}

fn escape(code: u32) -> String {
    match code {
        0..0x80 => format!("\\x{code:02x}"),
        0x80..0x1_0000 => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}

/// Whether Go counts a character as printable. Rust's `escape_debug` keeps to the same Unicode classes, but for the first character of a
/// text, where it also escapes what combines with the one before; hence the `a`.
fn is_printable(char: char) -> bool {
    match char {
        ' '..='~' => true,
        '\0'..='\x7f' => false,
        char => ['a', char].iter().collect::<String>().escape_debug().nth(1) == Some(char),
    }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The values that are there, each written in a way, with a space between them.
fn each(values: &[Value], write: fn(&Value) -> String) -> Value {
    let written = values
        .iter()
        .filter(|value| !matches!(value, Value::Nil))
        .map(write);
    written.collect::<Vec<_>>().join(" ").into()
}

/// Go's `fmt.Sprint`: a space between two values of which neither is text.
fn print(values: &[Value]) -> String {
    let mut printed = String::new();
    for (index, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::String(_));
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            printed.push(' ');
        }
        printed.push_str(&show(value));
    }
    printed
}
