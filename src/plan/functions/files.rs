//! `.Files`: the files of a chart that are neither templates nor its description. Only `.Files.Get` is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{TemplateError, Value};

use super::as_text;
use crate::plan::render::Files;

/// The files that templates may read.
pub(in crate::plan) struct Shown {
    files: Arc<Files>,
    hidden: fn(&str) -> bool,
}

impl Shown {
    pub(in crate::plan) fn new(files: Arc<Files>, hidden: fn(&str) -> bool) -> Self {
        Self { files, hidden }
    }

    /// The map with the one method; `render::rewrite` turns `.Files.Get "x"` into a call of it.
    pub(in crate::plan) fn into_value(self) -> Value {
        let get = move |arguments: &[Value]| {
            self.get(arguments).map_err(|reason| TemplateError::Exec(format!(".Files.Get: {reason}")))
        };
        BTreeMap::from([("Get".to_owned(), Value::Function(Arc::new(get)))]).into()
    }

    /// A file that is not there is empty text, as in Helm.
    fn get(&self, arguments: &[Value]) -> Result<Value, String> {
        let [path] = arguments else {
            return Err("it takes one path".to_owned());
        };
        let path = as_text(path)?;
        let bytes = self.files.get(path).filter(|_| !(self.hidden)(path)).map_or(&[][..], |bytes| bytes);
        std::str::from_utf8(bytes).map(Value::from).map_err(|_| format!("`{path}` is no text"))
    }
}
