//! Lists.

use gotmpl::Value;

use super::text::split;
use super::{Function, MANY, Outcome, as_list, as_text, list, numbers, show};

pub(super) const FUNCTIONS: &[Function] = &[
    ("list", 0..=MANY, |a| Ok(list(a.iter().cloned()))),
    ("append", 2..=2, |a| Ok(list(as_list(&a[0])?.iter().chain([&a[1]]).cloned()))),
    ("concat", 0..=MANY, |a| {
        let lists = a.iter().map(as_list).collect::<Result<Vec<_>, _>>()?;
        Ok(list(lists.into_iter().flatten().cloned()))
    }),
    ("first", 1..=1, |a| Ok(as_list(&a[0])?.first().cloned().unwrap_or(Value::Nil))),
    ("last", 1..=1, |a| Ok(as_list(&a[0])?.last().cloned().unwrap_or(Value::Nil))),
    ("has", 2..=2, |a| match &a[1] {
        Value::Nil => Ok(Value::Bool(false)),
        // As in Go, the number 1 of a template is not among the numbers of the values, which are floats.
        items => Ok(Value::Bool(as_list(items)?.contains(&a[0]))),
    }),
    ("uniq", 1..=1, |a| {
        let mut unique: Vec<Value> = Vec::new();
        for item in as_list(&a[0])? {
            if !unique.contains(item) {
                unique.push(item.clone());
            }
        }
        Ok(list(unique))
    }),
    ("slice", 1..=MANY, slice),
    ("until", 1..=1, |a| {
        let count = super::as_int(&a[0])?;
        Ok(list((0..count.abs()).map(|index| Value::Int(index * count.signum()))))
    }),
    ("join", 2..=2, |a| Ok(texts(&a[1]).join(as_text(&a[0])?).into())),
    ("sortAlpha", 1..=1, |a| {
        let mut sorted = texts(&a[0]);
        sorted.sort_unstable();
        Ok(list(sorted.into_iter().map(Value::from)))
    }),
    ("splitList", 2..=2, |a| Ok(list(split(as_text(&a[1])?, as_text(&a[0])?).into_iter().map(Value::from)))),
];

/// sprig's `slice`, which hides Go's own: lists only.
fn slice(a: &[Value]) -> Outcome {
    let items = as_list(&a[0])?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |at: usize, otherwise: usize| {
        a.get(at).map_or(Ok(otherwise), |bound| {
            usize::try_from(numbers::cast(bound)).map_err(|_| "a bound is negative".to_owned())
        })
    };
    let (start, end) = (bound(1, 0)?, bound(2, items.len())?);
    let part =
        items.get(start..end).ok_or_else(|| format!("{start} to {end} is not within the list of {}", items.len()))?;
    Ok(list(part.iter().cloned()))
}

/// The items as text, without those that are nil; of a single value, the value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(items) => items.iter().filter(|item| !matches!(item, Value::Nil)).map(show).collect(),
        single => vec![show(single)],
    }
}
