//! A value that somebody gives as text arrives as this text, whatever YAML would make of it: each text of each chart's values is replaced by
//! some that are words of YAML, and what is rendered is compared with what was rendered before.

use platctl::embedded;
use platctl::plan::render::{Chart, Release, render};
use serde_json::{Value, json};

const ODD: [&str; 4] = ["yes", "123", "a: b", "x #y"];

/// Values that a chart takes apart or refuses instead of writing them down.
const READ: [&str; 7] = [
    "/logFormat",
    "/retention",
    "/auditRetention",
    "/service/nodePorts/http",
    "/service/nodePorts/https",
    "/service/nodePorts/status",
    // Settings of argocd-cm that the template writes itself may not be given again.
    "/config/url",
];

#[test]
fn texts_stay_texts_whatever_they_say() {
    let catalog = embedded::catalog().unwrap();
    let mut complaints = Vec::new();
    let mut seen = 0;
    for (name, files) in embedded::charts() {
        let component = &catalog.get(&name).unwrap().component;
        // Definitions need no values and much time.
        let files = files.into_iter().filter(|(path, _)| !path.starts_with("crds/"));
        let chart = Chart::new(files.map(|(path, content)| (path, content.into())).collect()).unwrap();
        let values = chart.values();
        let release = Release { name: &component.name, namespace: &component.namespace };
        let before = rendered(&chart, &release, values).unwrap();
        let mut places = Vec::new();
        texts(values, "", &mut places);
        for place in places.iter().filter(|place| !READ.contains(&place.as_str())) {
            for odd in ODD {
                let changed = with(values, place, odd);
                let name = format!("{}{place}: {odd:?}", component.name);
                match rendered(&chart, &release, &changed) {
                    Err(error) => complaints.push(format!("{name}: {error}")),
                    Ok(after) if after == before => {}
                    Ok(after) => {
                        seen += 1;
                        if !holds(&after, odd) {
                            complaints.push(format!("{name}: it arrives nowhere as it is"));
                        }
                        types(&before, &after, &name, &mut complaints);
                    }
                }
            }
        }
    }
    assert!(seen > 300, "only {seen} changes were seen");
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// By kind and name, so that what is added or left out moves nothing else.
fn rendered(chart: &Chart, release: &Release, values: &Value) -> Result<Value, String> {
    let objects = render(chart, release, values).map_err(|error| format!("{error:#}"))?;
    Ok(objects.into_iter().map(|object| (object.id().to_string(), parsed(object.into_value()))).collect())
}

/// Texts that are documents of YAML or JSON themselves, such as a program's configuration, as what they say.
fn parsed(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, parsed(value))).collect(),
        Value::Array(items) => items.into_iter().map(parsed).collect(),
        Value::String(text) if text.contains('\n') || text.starts_with('{') => {
            match serde_saphyr::from_str::<Value>(&text) {
                Ok(document @ (Value::Object(_) | Value::Array(_))) => json!({ "document": document }),
                _ => Value::String(text),
            }
        }
        other => other,
    }
}

/// The places of all texts; a free-form map counts as one.
fn texts(value: &Value, place: &str, places: &mut Vec<String>) {
    match value {
        Value::String(_) => places.push(place.to_owned()),
        Value::Object(map) if map.is_empty() => places.push(format!("{place}/yes")),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            texts(value, &format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), places);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| texts(value, &format!("{place}/{index}"), places));
        }
        _ => {}
    }
}

fn with(values: &Value, place: &str, text: &str) -> Value {
    let mut changed = values.clone();
    let (above, key) = place.rsplit_once('/').unwrap();
    let above = changed.pointer_mut(above).unwrap();
    match above {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = text.into(),
        _ => above[key.replace("~1", "/").replace("~0", "~")] = text.into(),
    }
    changed
}

fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own.contains(text),
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains(text) || holds(value, text)),
        _ => false,
    }
}

/// What was a text before must be one still, and so for every other type.
fn types(before: &Value, after: &Value, name: &str, complaints: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, before) in before {
                if let Some(after) = after.get(key) {
                    types(before, after, &format!("{name}: {key}"), complaints);
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            before.iter().zip(after).for_each(|(before, after)| types(before, after, name, complaints));
        }
        _ if std::mem::discriminant(before) == std::mem::discriminant(after) => {}
        _ => complaints.push(format!("{name}: {before} has become {after}")),
    }
}
