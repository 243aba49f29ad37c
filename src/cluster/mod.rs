//! The only place that talks to a cluster. Objects go in and come out as plain JSON; what goes wrong comes out as a `Problem` whose class
//! tells the engine whether to try again. One field manager, server-side apply only, never forced.

pub mod argocd;
pub mod census;
pub mod diagnose;
pub mod evidence;
pub mod facts;
pub mod forward;
pub mod gitea;
mod kubeconfig;
pub mod lease;
mod problem;
pub mod reach;
mod resources;
mod surroundings;
pub mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::Request;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::failure::{Advise, code};
use crate::object::{Id, Object};
use kubeconfig::load;
pub use kubeconfig::{Contexts, contexts};
use problem::innermost;
pub use problem::{Class, Problem};
use resources::Resources;

/// The field manager of everything that platctl applies.
pub const FIELD_MANAGER: &str = "platctl";

/// A request that has no answer by then is as good as a lost connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests under way at once. The API server is far away more often than it is slow.
pub const CONCURRENCY: usize = 16;

/// The pauses between attempts to read.
const READ_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// How an object is written: method and content type.
const APPLY: (&str, &str) = ("PATCH", "application/apply-patch+yaml");
const CREATE: (&str, &str) = ("POST", "application/json");
const REPLACE: (&str, &str) = ("PUT", "application/json");

/// A connection to one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    resources: Resources,
    pub context: String,
    pub server: String,
}

/// How the dependents of a deleted object go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Orphan,
}

impl Cluster {
    /// Reads the kubeconfig (the flag's, else `KUBECONFIG`, else the default file, else the pod's own) and makes a client. Nothing is sent yet.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self> {
        let (mut config, context) = load(kubeconfig, context)
            .await
            .hint(
                "give a kubeconfig with `--kubeconfig FILE` or `KUBECONFIG`, and a context of it with `--context NAME`",
            )
            .exit(code::USAGE)?;
        let server = config.cluster_url.to_string();
        // kube's own retries say nothing of what they wait for, and go on until our patience with the request is over.
        config.default_retry = false;
        let client = Client::try_from(config).context("make a client")?;
        Ok(Self::new(client, &context, &server))
    }

    pub fn new(client: Client, context: &str, server: &str) -> Self {
        Self {
            resources: Resources::new(client.clone()),
            client,
            context: context.to_owned(),
            server: server.trim_end_matches('/').to_owned(),
        }
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The object, or none. A kind that the server does not know is none too: its objects cannot be there.
    pub async fn get(&self, id: &Id) -> Result<Option<Object>, Problem> {
        let path = match self.resources.path(id).await {
            Ok(path) => path,
            Err(problem) if problem.class == Class::NotFound => return Ok(None),
            Err(problem) => return Err(problem),
        };
        match self.send("GET", &path, None, None).await {
            Ok(value) => Ok(Object::new(value).ok()),
            Err(problem) if problem.class == Class::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Those of many objects that are there. What goes wrong names its object.
    pub async fn get_all(&self, ids: impl IntoIterator<Item = Id>) -> Result<BTreeMap<Id, Object>, Problem> {
        stream::iter(ids)
            .map(|id| async move {
                let live = self.get(&id).await;
                let live =
                    live.map_err(|problem| Problem { message: format!("get {id}: {}", problem.message), ..problem })?;
                Ok(live.map(|live| (id, live)))
            })
            .buffer_unordered(CONCURRENCY)
            .try_filter_map(|found| async { Ok(found) })
            .try_collect()
            .await
    }

    /// All objects of a kind, in one namespace or all, that a label selector matches.
    pub async fn list(&self, of: &Id, selector: &str) -> Result<Vec<Object>, Problem> {
        let path = match self.resources.collection(of).await {
            Ok(path) => path,
            Err(problem) if problem.class == Class::NotFound => return Ok(Vec::new()),
            Err(problem) => return Err(problem),
        };
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let query = format!("?limit=500&labelSelector={}&continue={}", encode(selector), encode(&token));
            let mut page = self.send("GET", &(path.clone() + &query), None, None).await?;
            page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().clone_into(&mut token);
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                found.extend(items.into_iter().filter_map(|mut item| {
                    // Items of a list do not repeat what the list says.
                    item["apiVersion"] = Value::from(of.api_version.as_str());
                    item["kind"] = Value::from(of.kind.as_str());
                    Object::new(item).ok()
                }));
            }
            if token.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Server-side apply as `platctl`. Conflicts with other managers are reported, not forced.
    pub async fn apply(&self, object: &Object) -> Result<Object, Problem> {
        self.write(&APPLY, object, "").await
    }

    /// What `apply` would give, without writing.
    pub async fn dry_apply(&self, object: &Object) -> Result<Object, Problem> {
        self.write(&APPLY, object, "&dryRun=All").await
    }

    /// The same, taking over what others own: what the object would be, whoever owns it now.
    pub async fn dry_takeover(&self, object: &Object) -> Result<Object, Problem> {
        self.write(&APPLY, object, "&dryRun=All&force=true").await
    }

    /// Creates an object that must not be there yet.
    pub async fn create(&self, object: &Object) -> Result<Object, Problem> {
        self.write(&CREATE, object, "").await
    }

    /// Whether the object would be admitted, and what admission makes of it.
    pub async fn dry_create(&self, object: &Object) -> Result<Object, Problem> {
        self.write(&CREATE, object, "&dryRun=All").await
    }

    /// Replaces an object at its resource version: `Conflict` when somebody was faster.
    pub async fn replace(&self, object: &Object) -> Result<Object, Problem> {
        self.write(&REPLACE, object, "").await
    }

    async fn write(
        &self,
        (method, content_type): &(&str, &str),
        object: &Object,
        query: &str,
    ) -> Result<Object, Problem> {
        let id = object.id();
        let path =
            if *method == "POST" { self.resources.collection(&id).await } else { self.resources.path(&id).await }?;
        let path = format!("{path}?fieldManager={FIELD_MANAGER}{query}");
        let value = self.send(method, &path, Some(content_type), Some(object.value())).await?;
        Object::new(value).map_err(|message| Problem { class: Class::Invalid, message })
    }

    pub async fn merge_patch(&self, id: &Id, patch: &Value) -> Result<(), Problem> {
        self.patch(id, "application/merge-patch+json", patch).await
    }

    pub async fn json_patch(&self, id: &Id, patch: &Value) -> Result<(), Problem> {
        self.patch(id, "application/json-patch+json", patch).await
    }

    async fn patch(&self, id: &Id, content_type: &str, change: &Value) -> Result<(), Problem> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.resources.path(id).await?);
        self.send("PATCH", &path, Some(content_type), Some(change)).await.map(drop)
    }

    /// Deletes exactly the object that was seen: another one of the same name is left alone. True if there was something to delete.
    pub async fn delete(&self, id: &Id, uid: Option<&str>, propagation: Propagation) -> Result<bool, Problem> {
        let path = match self.resources.path(id).await {
            Ok(path) => path,
            Err(problem) if problem.class == Class::NotFound => return Ok(false),
            Err(problem) => return Err(problem),
        };
        let policy = if propagation == Propagation::Orphan { "Orphan" } else { "Background" };
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        if let Some(uid) = uid {
            options["preconditions"] = json!({"uid": uid});
        }
        match self.send("DELETE", &path, Some("application/json"), Some(&options)).await {
            Ok(_) => Ok(true),
            Err(problem) if matches!(problem.class, Class::NotFound | Class::Conflict) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// The objects of a kind that a label or field selector matches, as they come, change and go. Reconnects by itself.
    pub async fn watch(
        &self,
        of: &Id,
        selector: &Selector,
    ) -> Result<impl Stream<Item = Seen> + Send + use<>, Problem> {
        let resource = self.resources.find(of).await?;
        let api: Api<DynamicObject> = match (&of.namespace, resource.namespaced) {
            (Some(namespace), true) => Api::namespaced_with(self.client.clone(), namespace, &resource.api),
            _ => Api::all_with(self.client.clone(), &resource.api),
        };
        let config = match selector {
            Selector::Labels(labels) => watcher::Config::default().labels(labels),
            Selector::Name(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
        };
        let (api_version, kind) = (of.api_version.clone(), of.kind.clone());
        let backoff = watcher::DefaultBackoff::default();
        let events = kube::runtime::WatchStreamExt::backoff(watcher(api, config), backoff);
        Ok(events.filter_map(move |event| futures::future::ready(seen(event, &api_version, &kind))))
    }

    /// One request. Everything that goes wrong, a silent server included, is a `Problem`.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let attempt = || async {
            let mut request = Request::builder().method(method).uri(path).header("accept", "application/json");
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let request = request
                .body(body.clone())
                .map_err(|error| Problem { class: Class::Invalid, message: error.to_string() })?;
            Ok(self.client.request::<Value>(request).await?)
        };
        let answer = if method == "GET" {
            tokio::time::timeout(REQUEST_TIMEOUT, reading(attempt)).await
        } else {
            tokio::time::timeout(REQUEST_TIMEOUT, attempt()).await
        };
        answer.map_err(|_| silence(method))?
    }

    /// Forgets which kinds the server knows; called once new CRDs are served.
    pub fn forget_kinds(&self) {
        self.resources.forget();
    }
}

fn silence(method: &str) -> Problem {
    let message = format!("no answer to {method} in {} s", REQUEST_TIMEOUT.as_secs());
    Problem { class: Class::Transient, message }
}

/// Sends what changes nothing again at once, a few times: it does no harm, and commands that only look should not end over a hiccup. What
/// lasts longer is for the engine to say and to wait for.
async fn reading<T, R: Future<Output = Result<T, Problem>>>(attempt: impl Fn() -> R) -> Result<T, Problem> {
    for pause in READ_AGAIN_AFTER {
        match attempt().await {
            Err(problem) if problem.class == Class::Transient => tokio::time::sleep(pause).await,
            done => return done,
        }
    }
    attempt().await
}

/// What a watch looks at.
pub enum Selector {
    Labels(String),
    Name(String),
}

/// What a watch saw.
pub enum Seen {
    /// There, or changed.
    There(Object),
    Gone(Object),
    /// The first listing, or one after a lost connection, begins: whatever is not seen again is gone.
    Restarted,
    /// All that there is has been seen.
    Complete,
    /// The watch fails for now; it is tried again.
    Trouble(Problem),
}

fn seen(event: Result<watcher::Event<DynamicObject>, watcher::Error>, api_version: &str, kind: &str) -> Option<Seen> {
    let object = |found: DynamicObject| {
        let mut value = serde_json::to_value(found).ok()?;
        value["apiVersion"] = Value::from(api_version);
        value["kind"] = Value::from(kind);
        Object::new(value).ok()
    };
    match event {
        Ok(watcher::Event::Init) => Some(Seen::Restarted),
        Ok(watcher::Event::InitDone) => Some(Seen::Complete),
        Ok(watcher::Event::Apply(found) | watcher::Event::InitApply(found)) => object(found).map(Seen::There),
        Ok(watcher::Event::Delete(found)) => object(found).map(Seen::Gone),
        Err(error) => Some(Seen::Trouble(Problem { class: Class::Transient, message: innermost(&error) })),
    }
}

/// Percent-encodes what a query may not hold.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}
