//! JSON as Go's `json.Marshal` writes it: keys sorted, no spaces, `<`, `>` and `&` escaped.

use gotmpl::Value;

pub(super) fn write(value: &Value) -> String {
    match value {
        Value::Nil | Value::Function(_) => "null".to_owned(),
        Value::Float(number) => float(*number),
        Value::String(text) => string(text),
        Value::List(items) => format!(
            "[{}]",
            items.iter().map(write).collect::<Vec<_>>().join(",")
        ),
        Value::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{}:{}", string(key), write(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// JavaScript's notation: digits for whole numbers below 10^21, no sign for an exponent's plus, no zeros before it.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let written = format!("{number:e}");
        return if size < 1.0 {
            written
        } else {
            written.replace('e', "e+")
        };
    }
    number.to_string()
}

fn string(text: &str) -> String {
    let mut written = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => written.extend(['\\', char]),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\x08' => written.push_str("\\b"),
            '\x0c' => written.push_str("\\f"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                written.push_str(&escape(char));
            }
            char => written.push(char),
        }
    }
    written.push('"');
    written
}

fn escape(char: char) -> String {
    format!("\\u{:04x}", u32::from(char))
}
