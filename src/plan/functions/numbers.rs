//! Whole numbers. sprig reads any argument as one: text, true and false, floats cut off; nothing and nonsense are 0.

use gotmpl::Value;

use super::{Function, MANY, Outcome};
use crate::plan::render::yaml;

pub(super) const FUNCTIONS: &[Function] = &[
    ("int", 1..=1, |a| Ok(Value::Int(cast(&a[0])))),
    ("int64", 1..=1, |a| Ok(Value::Int(cast(&a[0])))),
    ("add", 0..=MANY, |a| Ok(fold(0, a, i64::wrapping_add))),
    ("add1", 1..=1, |a| Ok(fold(1, a, i64::wrapping_add))),
    ("sub", 2..=2, |a| {
        Ok(fold(cast(&a[0]), &a[1..], i64::wrapping_sub))
    }),
    ("mul", 1..=MANY, |a| Ok(fold(1, a, i64::wrapping_mul))),
    ("div", 2..=2, |a| divide(a, i64::checked_div)),
    ("mod", 2..=2, |a| divide(a, i64::checked_rem)),
    ("max", 1..=MANY, |a| {
        Ok(fold(cast(&a[0]), &a[1..], i64::max))
    }),
    ("min", 1..=MANY, |a| {
        Ok(fold(cast(&a[0]), &a[1..], i64::min))
    }),
];

fn fold(start: i64, numbers: &[Value], step: fn(i64, i64) -> i64) -> Value {
    Value::Int(numbers.iter().map(cast).fold(start, step))
}

fn divide(a: &[Value], step: fn(i64, i64) -> Option<i64>) -> Outcome {
    step(cast(&a[0]), cast(&a[1]))
        .map(Value::Int)
        .ok_or_else(|| "division by zero".to_owned())
}

/// A value as a whole number, as the Go library `cast` reads it.
pub(super) fn cast(value: &Value) -> i64 {
    match value {
        Value::Bool(value) => i64::from(*value),
        Value::String(text) => {
            // "3.00" is 3, "3.5" is nothing.
            let whole = text
                .trim_end_matches('0')
                .strip_suffix('.')
                .filter(|whole| whole.len() + 1 < text.len())
                .unwrap_or(text);
            yaml::integer(whole)
                .and_then(|number| number.try_into().ok())
                .unwrap_or_default()
        }
        other => other.as_int().unwrap_or_default(),
    }
}
