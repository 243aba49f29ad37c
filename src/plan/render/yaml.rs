//! YAML as Kubernetes and Helm read it (`sigs.k8s.io/yaml`, YAML 1.1): `yes` and `on` are booleans, `0640` is an octal number, keys become
//! text. Where they let a mistake pass (a key given twice, merge keys, tags) this refuses. Writing is `functions::to_yaml`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

/// Why a text is no YAML, and where.
#[derive(Debug)]
pub struct YamlError {
    line: usize,
    message: String,
}

impl YamlError {
    fn at(span: &Span, message: impl Into<String>) -> Self {
        Self { line: span.start.line(), message: message.into() }
    }

    /// The error with the file's name and the line itself: a rendered text is nowhere else to be seen.
    pub(super) fn in_file(&self, path: &str, text: &str) -> anyhow::Error {
        let shown = text.lines().nth(self.line.saturating_sub(1)).unwrap_or_default().trim();
        anyhow::anyhow!("{path}: line {} of the rendered text, `{shown}`: {}", self.line, self.message)
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for YamlError {}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        Self { line: error.marker().line(), message: error.info() }
    }
}

/// The first document of a text; null where there is none.
pub fn document(text: &str) -> Result<Value, YamlError> {
    Ok(documents(text)?.into_iter().next().map_or(Value::Null, |(_, document)| document))
}

/// All documents of a text that hold something, each with the line where it starts.
pub fn documents(text: &str) -> Result<Vec<(usize, Value)>, YamlError> {
    if let Some((line, document)) = json(text) {
        return Ok(vec![(line, document)]);
    }
    let mut options = Options::default();
    options.emit_comments = false;
    options.block_scalar_eof_without_line_feed = true;
    let mut reader = Reader { parser: Parser::new_from_str_with_options(text, options), anchors: BTreeMap::new() };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            content => match reader.value(content, &span)? {
                Value::Null => {}
                document => documents.push((span.start.line(), document)),
            },
        }
    }
    Ok(documents)
}

/// A text that is one JSON document below its comments, as generated CRDs are. What it says is the same as YAML, and a JSON parser takes a
/// tenth of the time. Anything else, a template's `{{` included, is none.
fn json(text: &str) -> Option<(usize, Value)> {
    let mut rest = text;
    let mut line = 1;
    while rest.starts_with('#') {
        rest = rest.split_once('\n')?.1;
        line += 1;
    }
    if !rest.starts_with("{\n") {
        return None;
    }
    serde_json::from_str(rest).ok().map(|document| (line, document))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Value>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        Ok(self.parser.next().transpose()?)
    }

    /// The next event inside a collection, which never ends with the stream.
    fn inside(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        self.next()?.ok_or_else(|| YamlError { line: 0, message: "the text ends too early".to_owned() })
    }

    fn value(&mut self, event: Event<'a>, span: &Span) -> Result<Value, YamlError> {
        let (anchor, value) = match event {
            Event::Alias(anchor) => (0, self.anchors.get(&anchor).cloned().unwrap_or_default()),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, scalar(&text, style, tag.as_deref()).map_err(|message| YamlError::at(span, message))?)
            }
            Event::SequenceStart(_, anchor, None) => (anchor, self.sequence()?),
            Event::MappingStart(_, anchor, None) => (anchor, self.mapping()?),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(YamlError::at(span, "tags are not supported"));
            }
            other => return Err(YamlError::at(span, format!("unexpected {other:?}"))),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.inside()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.value(event, &span)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, YamlError> {
        let mut map = Map::new();
        loop {
            let (event, span) = self.inside()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Object(map));
            }
            if matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<") {
                return Err(YamlError::at(&span, "merge keys (`<<`) are not supported"));
            }
            let key = match self.value(event, &span)? {
                Value::String(key) => key,
                Value::Bool(key) => key.to_string(),
                Value::Number(key) if !key.is_f64() => key.to_string(),
                other => {
                    return Err(YamlError::at(&span, format!("`{other}` cannot be a key: put it in quotes")));
                }
            };
            let (event, below) = self.inside()?;
            let value = self.value(event, &below)?;
            match map.entry(key) {
                Entry::Vacant(place) => place.insert(value),
                Entry::Occupied(there) => {
                    let message = format!("the key `{}` is there twice", there.key());
                    return Err(YamlError::at(&span, message));
                }
            };
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag {
        None if style == ScalarStyle::Plain => plain(text),
        None => Ok(text.into()),
        Some(tag) if tag.core_suffix() == Some("str") => Ok(text.into()),
        Some(tag) => Err(format!("the tag `{tag}` is not supported")),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    Ok(match resolve(text) {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => value.into(),
        Scalar::Integer(value) => Value::Number(value),
        // As JSON has it, a whole number is one whatever its notation.
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => (value as i64).into(),
        Scalar::Float(value) => {
            Number::from_f64(value).map(Value::Number).ok_or_else(|| format!("`{text}` is no finite number"))?
        }
        Scalar::Text => text.into(),
    })
}

/// What a scalar without quotes means.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Integer(Number),
    Float(f64),
    Text,
}

/// Resolves a plain scalar as go-yaml v2 does. Dates stay text, as they do there when the target has no type.
pub(crate) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Scalar::Text;
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return i64::try_from(number)
            .map(Number::from)
            .or_else(|_| u64::try_from(number).map(Number::from))
            .map_or_else(|_| float(&digits), Scalar::Integer);
    }
    // A leading point is the one case in which go-yaml keeps the underscores.
    if text.starts_with('.') { float(text) } else { float(&digits) }
}

/// A whole number as Go's `strconv.ParseInt` reads it with base 0: `0x1f`, `0b1`, `0o17`, `017`, `-12`.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (base, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &unsigned[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &unsigned[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(digits, base).ok()?;
    Some(if text.starts_with('-') { -number } else { number })
}

fn float(text: &str) -> Scalar {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let written_as_float = exponent && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    match text.parse::<f64>() {
        Ok(number) if written_as_float && number.is_finite() => Scalar::Float(number),
        _ => Scalar::Text,
    }
}
