//! Runs the templates of one chart: they share their definitions, and `include` and `tpl` reach them all. Keeps track of where it is, so
//! that a failure is reported with file and line, from the inside out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Result, anyhow, bail};
use gotmpl::{FuncMap, Template, TemplateError, Value};

use super::rewrite;
use super::tree::{self, Mistake, Tree};
use crate::plan::functions;

/// The templates of a chart, parsed.
pub(super) struct Engine {
    template: Arc<Template>,
    trace: Arc<Trace>,
    /// `<chart>/templates`, as Helm names them.
    folder: String,
}

impl Engine {
    /// Takes the files below `templates/` by their path.
    pub(super) fn new(chart: &str, sources: &BTreeMap<String, &str>) -> Result<Self> {
        let trace = Arc::new(Trace { files: sources.keys().cloned().collect(), places: Mutex::default() });
        let names = functions(&Weak::new(), &trace);
        let known = |name: &str| names.contains_key(name) || functions::BUILT_IN.contains(&name);
        let mut template = Template::new("");
        let mut defined: BTreeMap<String, &str> = BTreeMap::new();
        for (index, (path, text)) in sources.iter().enumerate() {
            let Tree { body, defines } = tree::parse(index, text, &known)
                .map_err(|Mistake { line, message }| anyhow!("{path}:{line}: {message}"))?;
            template = template.add_parse_tree(&format!("{chart}/{path}"), body);
            for define in defines {
                if let Some(other) = defined.insert(define.name.to_string(), path) {
                    bail!("{path}:{}: template `{}` is already defined in {other}", define.pos.line, define.name);
                }
                template = template.add_parse_tree(&define.name, define.body);
            }
        }
        let template = Arc::new_cyclic(|itself| template.funcs(functions(itself, &trace)));
        Ok(Self { template, trace, folder: format!("{chart}/templates") })
    }

    /// The text of one template.
    pub(super) fn run(&self, path: &str, data: &BTreeMap<Arc<str>, Value>) -> Result<String> {
        let name = format!("{}{}", self.folder, path.trim_start_matches("templates"));
        let about = BTreeMap::from([
            ("Name".to_owned(), name.as_str().into()),
            ("BasePath".to_owned(), self.folder.as_str().into()),
        ]);
        let mut data = data.clone();
        data.insert(Arc::from("Template"), about.into());
        self.trace.enter();
        let text = self.template.execute_template_to_string(&name, &data.into());
        let text = text.map_err(|error| anyhow!("{}: {}", self.trace.in_words(path), in_words(&error)))?;
        self.trace.leave();
        Ok(clean(&text))
    }
}

/// Every function that a template of this chart may call.
fn functions(template: &Weak<Template>, trace: &Arc<Trace>) -> FuncMap {
    let mut functions = functions::all();
    for function in rewrite::FUNCTIONS {
        functions::add(&mut functions, function);
    }
    let at = Arc::clone(trace);
    functions.insert(rewrite::AT.to_owned(), Arc::new(move |given| Ok(at.mark(given))));
    let (templates, place) = (Weak::clone(template), Arc::clone(trace));
    functions.insert(rewrite::INCLUDE.to_owned(), Arc::new(move |given| include(&templates, &place, given)));
    let (templates, place) = (Weak::clone(template), Arc::clone(trace));
    functions.insert("tpl".to_owned(), Arc::new(move |given| tpl(&templates, &place, given)));
    functions
}

fn include(template: &Weak<Template>, trace: &Trace, given: &[Value]) -> gotmpl::Result<Value> {
    let [Value::String(name), data] = given else {
        return Err(TemplateError::Exec("include: expected the name of a template and its data".to_owned()));
    };
    let defined = template.upgrade().filter(|template| template.lookup(name).is_some());
    let template = defined.ok_or_else(|| TemplateError::UndefinedTemplate(name.to_string()))?;
    trace.within(|| template.execute_template_to_string(name, data)).map(Value::from)
}

/// Runs a text as a template.
fn tpl(template: &Weak<Template>, trace: &Arc<Trace>, given: &[Value]) -> gotmpl::Result<Value> {
    let [Value::String(text), data] = given else {
        return Err(TemplateError::Exec("tpl: expected a text and its data".to_owned()));
    };
    if !text.contains("{{") {
        return Ok(Value::String(Arc::clone(text)));
    }
    let functions = functions(template, trace);
    let known = |name: &str| functions.contains_key(name) || functions::BUILT_IN.contains(&name);
    let in_line = |line: usize, message: &str| TemplateError::Exec(format!("tpl: line {line} of the text: {message}"));
    let tree = tree::parse(OF_TPL, text, &known).map_err(|mistake| in_line(mistake.line, &mistake.message))?;
    if let Some(define) = tree.defines.first() {
        return Err(in_line(define.pos.line, "`define` is not available here"));
    }
    let template = Template::new("tpl").add_parse_tree("tpl", tree.body).funcs(functions);
    trace.within(|| template.execute_template_to_string("tpl", data)).map(|text| clean(&text).into())
}

/// How deep templates may include each other. Helm allows 1000; no chart comes near this, and the stack of a thread is small.
const MOST_CALLS: usize = 50;

/// Stands for the text given to `tpl` among the files.
const OF_TPL: usize = usize::MAX >> 1;

/// Go prints nil as this, and Helm takes it out.
fn clean(text: &str) -> String {
    text.replace("<no value>", "")
}

/// gotmpl's error as a sentence of ours.
pub(super) fn in_words(error: &TemplateError) -> String {
    match error {
        TemplateError::Exec(message) => message.clone(),
        TemplateError::UndefinedTemplate(name) => format!("template `{name}` is not defined"),
        other => other.to_string(),
    }
}

/// Where execution is: the last place is the current one, those before are the calls that led there.
struct Trace {
    files: Vec<String>,
    places: Mutex<Vec<Place>>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    file: usize,
    line: usize,
}

impl Trace {
    fn places<T>(&self, change: impl FnOnce(&mut Vec<Place>) -> T) -> T {
        change(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self) {
        self.places(|places| places.push(Place::default()));
    }

    fn leave(&self) {
        self.places(Vec::pop);
    }

    /// Does something one call deeper. After a failure the trace stays as it was there.
    fn within<T>(&self, run: impl FnOnce() -> gotmpl::Result<T>) -> gotmpl::Result<T> {
        if self.places(|places| places.len()) >= MOST_CALLS {
            let message = "templates include each other again and again";
            return Err(TemplateError::Exec(message.to_owned()));
        }
        self.enter();
        let result = run()?;
        self.leave();
        Ok(result)
    }

    /// `#at`: prints nothing.
    fn mark(&self, given: &[Value]) -> Value {
        let number = |index: usize| {
            given.get(index).and_then(Value::as_int).and_then(|number| number.try_into().ok()).unwrap_or_default()
        };
        let place = Place { file: number(0), line: number(1) };
        self.places(|places| places.last_mut().map(|last| *last = place));
        "".into()
    }

    /// The innermost place, and the calls that led there.
    fn in_words(&self, path: &str) -> String {
        let name = |place: &Place| match self.files.get(place.file) {
            _ if place.line == 0 => path.to_owned(),
            Some(file) => format!("{file}:{}", place.line),
            None => format!("line {} of the text given to tpl", place.line),
        };
        self.places(|places| {
            let mut names = places.iter().rev().map(name);
            let innermost = names.next().unwrap_or_else(|| path.to_owned());
            let calls: Vec<String> = names.map(|call| format!("included at {call}")).collect();
            if calls.is_empty() { innermost } else { format!("{innermost} ({})", calls.join(", ")) }
        })
    }
}
