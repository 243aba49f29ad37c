//! Maps. They are values here and cannot change in place as Go's can; `render::rewrite` sees to it that `set` and `merge` are only written
//! where that makes no difference.

use std::sync::Arc;

use gotmpl::Value;

use super::text::split;
use super::{Function, MANY, Map, Outcome, as_map, as_text, list, show};

pub(super) const FUNCTIONS: &[Function] = &[
    ("dict", 0..=MANY, |a| {
        let pair = |pair: &[Value]| (Arc::from(show(&pair[0])), pair.get(1).cloned().unwrap_or_else(|| "".into()));
        Ok(a.chunks(2).map(pair).collect::<Map>().into())
    }),
    ("get", 2..=2, |a| Ok(as_map(&a[0])?.get(as_text(&a[1])?).cloned().unwrap_or_else(|| "".into()))),
    ("set", 3..=3, |a| {
        let mut map = as_map(&a[0])?.clone();
        map.insert(as_text(&a[1])?.into(), a[2].clone());
        Ok(map.into())
    }),
    ("hasKey", 2..=2, |a| Ok(Value::Bool(as_map(&a[0])?.contains_key(as_text(&a[1])?)))),
    // Go's maps have no order; sorted is one of the orders Helm may come up with.
    ("keys", 0..=MANY, |a| {
        let maps = a.iter().map(as_map).collect::<Result<Vec<_>, _>>()?;
        Ok(list(maps.into_iter().flat_map(Map::keys).map(|key| Value::String(Arc::clone(key)))))
    }),
    ("values", 1..=1, |a| Ok(list(as_map(&a[0])?.values().cloned()))),
    ("merge", 1..=MANY, merge),
    ("split", 2..=2, |a| {
        let parts = split(as_text(&a[1])?, as_text(&a[0])?).into_iter().enumerate();
        Ok(parts.map(|(index, part)| (Arc::from(format!("_{index}")), part.into())).collect::<Map>().into())
    }),
];

fn merge(a: &[Value]) -> Outcome {
    let mut merged = as_map(&a[0])?.clone();
    for source in &a[1..] {
        fill(&mut merged, as_map(source)?);
    }
    Ok(merged.into())
}

/// Takes over what is missing or empty, and `false` and 0 count as empty: that is what the Go library does.
fn fill(map: &mut Map, source: &Map) {
    for (key, value) in source {
        match (map.get_mut(key), value) {
            (_, Value::Nil) => {}
            (Some(Value::Map(below)), Value::Map(value)) => fill(Arc::make_mut(below), value),
            (Some(present), _) if present.is_truthy() => {}
            _ => {
                map.insert(Arc::clone(key), value.clone());
            }
        }
    }
}
