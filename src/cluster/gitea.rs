//! The in-cluster Git server's REST API, reached by a port-forward through the API server, so that it needs no address of its own. Just the
//! calls that publishing a tree needs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use serde_json::{Value, json};

use super::{Class, Cluster, Problem};
use crate::object::Id;
use crate::readiness::{Verdict, judge};

/// A connection to the Git server, open while it lives.
pub struct Gitea {
    sender: SendRequest<Full<Bytes>>,
    authorization: String,
    _forward: Portforwarder,
}

/// A repository in it.
#[derive(Clone, Debug)]
pub struct Repository {
    pub owner: String,
    pub name: String,
    pub branch: String,
}

impl Repository {
    fn path(&self) -> String {
        format!("/api/v1/repos/{}/{}", self.owner, self.name)
    }
}

impl Cluster {
    /// Opens a connection to a ready pod that the selector finds.
    pub async fn gitea(
        &self,
        namespace: &str,
        selector: &str,
        port: u16,
        user: &str,
        password: &str,
    ) -> Result<Gitea, Problem> {
        let pods = self.list(&Id::new("v1", "Pod", Some(namespace), ""), selector).await?;
        let pod = pods
            .iter()
            .find(|pod| judge(&pod.id(), Some(pod)) == Verdict::Ready)
            .ok_or_else(|| passing(&"no pod of the Git server is ready"))?;
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let mut forward = api.portforward(pod.name(), &[port]).await?;
        let stream = forward.take_stream(port).ok_or_else(|| passing(&"the port-forward gave no stream"))?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| passing(&error))?;
        tokio::spawn(connection);
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Ok(Gitea { sender, authorization, _forward: forward })
    }
}

fn passing(cause: &dyn std::fmt::Display) -> Problem {
    Problem { class: Class::Transient, message: format!("Git server: {cause}") }
}

impl Gitea {
    /// Makes the repository, private and with a first commit, unless it is there.
    pub async fn ensure(&mut self, repository: &Repository) -> Result<(), Problem> {
        let (status, _) = self.call(Method::GET, &repository.path(), None).await?;
        if status != StatusCode::NOT_FOUND {
            return Ok(());
        }
        let wanted =
            json!({"name": repository.name, "private": true, "auto_init": true, "default_branch": repository.branch});
        match self.call(Method::POST, "/api/v1/user/repos", Some(&wanted)).await? {
            (StatusCode::CREATED | StatusCode::CONFLICT, _) => Ok(()),
            (status, answer) => Err(refused("create the repository", status, &answer)),
        }
    }

    /// The commit at the branch's head.
    pub async fn head(&mut self, repository: &Repository) -> Result<String, Problem> {
        let path = format!("{}/branches/{}", repository.path(), repository.branch);
        match self.call(Method::GET, &path, None).await? {
            (StatusCode::OK, answer) => {
                Ok(answer.pointer("/commit/id").and_then(Value::as_str).unwrap_or_default().to_owned())
            }
            (status, answer) => Err(refused("read the branch", status, &answer)),
        }
    }

    /// Path → blob SHA of all files at the branch's head.
    pub async fn files(&mut self, repository: &Repository) -> Result<BTreeMap<String, String>, Problem> {
        self.files_at(repository, &repository.branch).await
    }

    /// Path → blob SHA of all files at a branch or commit.
    pub async fn files_at(
        &mut self,
        repository: &Repository,
        reference: &str,
    ) -> Result<BTreeMap<String, String>, Problem> {
        let mut files = BTreeMap::new();
        for page in 1.. {
            let path = format!("{}/git/trees/{reference}?recursive=1&per_page=1000&page={page}", repository.path());
            let answer = match self.call(Method::GET, &path, None).await? {
                (StatusCode::OK, answer) => answer,
                (status, answer) => return Err(refused("list the files", status, &answer)),
            };
            let entries = answer["tree"].as_array().map_or(&[][..], Vec::as_slice);
            for entry in entries.iter().filter(|entry| entry["type"] == "blob") {
                let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                files.insert(text("path"), text("sha"));
            }
            if !answer["truncated"].as_bool().unwrap_or(false) || entries.is_empty() {
                break;
            }
        }
        Ok(files)
    }

    /// A file's content at a branch or commit; none if there is no such file.
    pub async fn file(
        &mut self,
        repository: &Repository,
        reference: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let path = format!("{}/contents/{path}?ref={reference}", repository.path());
        let answer = match self.call(Method::GET, &path, None).await? {
            (StatusCode::OK, answer) => answer,
            (StatusCode::NOT_FOUND, _) => return Ok(None),
            (status, answer) => return Err(refused("read a file", status, &answer)),
        };
        let content = answer["content"].as_str().unwrap_or_default().replace('\n', "");
        STANDARD.decode(content).map(Some).map_err(|error| passing(&error))
    }

    /// One commit with all changes, on a branch made for it if one is named; gives its SHA.
    pub async fn commit(
        &mut self,
        repository: &Repository,
        new_branch: Option<&str>,
        message: &str,
        changes: Vec<Value>,
    ) -> Result<String, Problem> {
        let mut wanted = json!({"branch": repository.branch, "message": message, "files": changes});
        if let Some(name) = new_branch {
            wanted["new_branch"] = Value::from(name);
        }
        match self.call(Method::POST, &format!("{}/contents", repository.path()), Some(&wanted)).await? {
            (StatusCode::CREATED, answer) => {
                Ok(answer.pointer("/commit/sha").and_then(Value::as_str).unwrap_or_default().to_owned())
            }
            (status, answer) => Err(refused("commit", status, &answer)),
        }
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Problem> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gitea-http")
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| passing(&error))?;
        self.sender.ready().await.map_err(|error| passing(&error))?;
        let answer = self.sender.send_request(request).await.map_err(|error| passing(&error))?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.map_err(|error| passing(&error))?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }
}

fn refused(what: &str, status: StatusCode, answer: &Value) -> Problem {
    let said = answer["message"].as_str().unwrap_or("no message");
    let class = match status.as_u16() {
        401 | 403 => Class::Denied,
        // Somebody pushed in between: read again, then commit again.
        409 | 500.. => Class::Transient,
        _ => Class::Invalid,
    };
    Problem { class, message: format!("Git server: {what}: {status}: {said}") }
}
