//! Go's `printf` for the verbs that charts use: v s q d t f e g, with flags, width and precision. Other verbs are refused; a verb that
//! does not fit its value is written into the text as Go does, so that `%d` of a number from the values shows up here too.

use std::iter::Peekable;
use std::str::Chars;

use gotmpl::Value;

use super::format::{float, quote, show, sign};

/// What stands between `%` and the verb.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the notation")]
struct Layout {
    left: bool,
    plus: bool,
    space: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn printf(format: &str, arguments: &[Value]) -> Result<String, String> {
    let mut written = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '%' {
            written.push(char);
            continue;
        }
        let layout = Layout::read(&mut chars);
        match chars.next() {
            None => written.push_str("%!(NOVERB)"),
            Some('%') => written.push('%'),
            Some(verb) if !"vsqdtfeg".contains(verb) => {
                return Err(format!("the verb `%{verb}` is not available"));
            }
            Some(verb) => written.push_str(&layout.fill(verb, arguments.next())),
        }
    }
    let extra: Vec<String> = arguments.map(|value| format!("{}={}", type_of(value), show(value))).collect();
    Ok(if extra.is_empty() { written } else { format!("{written}%!(EXTRA {})", extra.join(", ")) })
}

impl Layout {
    fn read(chars: &mut Peekable<Chars>) -> Self {
        let mut layout = Self::default();
        while let Some(flag) = chars.next_if(|char| "-+ 0".contains(*char)) {
            match flag {
                '-' => layout.left = true,
                '+' => layout.plus = true,
                ' ' => layout.space = true,
                _ => layout.zeros = true,
            }
        }
        layout.width = number(chars);
        layout.precision = chars.next_if_eq(&'.').map(|_| number(chars));
        layout
    }

    /// What a verb becomes with its argument, if there is one.
    fn fill(&self, verb: char, argument: Option<&Value>) -> String {
        match argument {
            None => format!("%!{verb}(MISSING)"),
            Some(Value::Nil) if verb == 'v' => self.pad("<nil>"),
            Some(Value::Nil) => format!("%!{verb}(<nil>)"),
            Some(value) => self.write(verb, value),
        }
    }

    fn write(&self, verb: char, value: &Value) -> String {
        match (verb, value) {
            (_, Value::List(items)) => {
                let items: Vec<String> = items.iter().map(|item| self.write_inside(verb, item)).collect();
                format!("[{}]", items.join(" "))
            }
            (_, Value::Map(map)) => {
                let entry = |(key, value): (_, &Value)| {
                    format!(
                        "{}:{}",
                        self.write(verb, &Value::String(std::sync::Arc::clone(key))),
                        self.write_inside(verb, value)
                    )
                };
                format!("map[{}]", map.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
            ('v' | 's', Value::String(text)) => self.pad(&self.cut(text)),
            ('q', Value::String(text)) => self.pad(&quote(&self.cut(text))),
            ('v' | 't', Value::Bool(value)) => self.pad(&value.to_string()),
            ('v' | 'd', Value::Int(number)) => self.number(*number < 0, &number.unsigned_abs().to_string()),
            ('q', Value::Int(number)) => self.pad(&quote_char(*number)),
            ('v' | 'f' | 'e' | 'g', Value::Float(number)) => {
                self.number(number.is_sign_negative(), &self.float(verb, number.abs()))
            }
            (verb, value) => format!("%!{verb}({}={})", type_of(value), show(value)),
        }
    }

    fn write_inside(&self, verb: char, value: &Value) -> String {
        if matches!(value, Value::Nil) { "<nil>".to_owned() } else { self.write(verb, value) }
    }

    fn float(&self, verb: char, number: f64) -> String {
        match (verb, self.precision) {
            ('f', precision) => format!("{number:.*}", precision.unwrap_or(6)),
            ('e', precision) => exponential(number, precision.unwrap_or(6)),
            (_, None) => float(number),
            (_, Some(precision)) => general(number, precision.max(1)),
        }
    }

    /// A number without its sign: the sign comes first, zeros fill up between.
    fn number(&self, negative: bool, digits: &str) -> String {
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let zeros = if self.zeros && !self.left { self.width.saturating_sub(sign.len() + digits.len()) } else { 0 };
        self.pad(&format!("{sign}{}{digits}", "0".repeat(zeros)))
    }

    fn cut(&self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn pad(&self, text: &str) -> String {
        if self.left {
            format!("{text:<width$}", width = self.width)
        } else {
            format!("{text:>width$}", width = self.width)
        }
    }
}

/// A number as the character it stands for, in single quotes.
fn quote_char(number: i64) -> String {
    let char = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    match char {
        '"' => "'\"'".to_owned(),
        '\'' => r"'\''".to_owned(),
        char => quote(&char.to_string()).replace('"', "'"),
    }
}

fn number(chars: &mut Peekable<Chars>) -> usize {
    let mut number = 0;
    while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
        number = (number * 10 + digit as usize).min(1000);
        chars.next();
    }
    number
}

fn exponential(number: f64, precision: usize) -> String {
    let scientific = format!("{number:.precision$e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{digits}e{}{:02}", sign(exponent), exponent.abs())
}

/// `%g` with a precision: that many digits, without zeros at the end.
fn general(number: f64, precision: usize) -> String {
    let written = exponential(number, precision - 1);
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let short = |digits: &str| {
        if digits.contains('.') {
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            digits.to_owned()
        }
    };
    match usize::try_from(exponent) {
        Ok(whole) if whole < precision => short(&format!("{number:.*}", precision - 1 - whole)),
        Err(_) if exponent >= -4 => short(&format!("{number:.*}", precision - 1 + exponent.unsigned_abs() as usize)),
        _ => format!("{}e{}{:02}", short(digits), sign(exponent), exponent.abs()),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        other => other.type_name(),
    }
}
