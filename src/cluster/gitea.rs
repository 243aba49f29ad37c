//! The in-cluster Git server's REST API, reached by a port-forward through the API server, so that it needs no address of its own. Just the
//! calls that publishing a tree needs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::forward::{Http, passing};
use super::{Class, Cluster, Problem};
use crate::plan::reach::Target;

const WHO: &str = "Git server";

/// A connection to the Git server, open while it lives.
pub struct Gitea {
    http: Http,
    authorization: String,
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
    /// Opens a connection to a ready pod.
    pub async fn gitea(&self, server: &Target, user: &str, password: &str) -> Result<Gitea, Problem> {
        let http = self.http(server, WHO).await?;
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Ok(Gitea { http, authorization })
    }
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
        STANDARD.decode(content).map(Some).map_err(|error| passing(WHO, &error))
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

    /// Gives a user of this server a new password, that of this connection among them.
    pub async fn set_password(&mut self, user: &str, password: &str) -> Result<(), Problem> {
        // Without the login name some versions refuse, without the last line the user would have to change it at once.
        let wanted = json!({"source_id": 0, "login_name": user, "password": password, "must_change_password": false});
        match self.call(Method::PATCH, &format!("/api/v1/admin/users/{user}"), Some(&wanted)).await? {
            (StatusCode::OK, _) => Ok(()),
            (status, answer) => Err(refused("set the password", status, &answer)),
        }
    }

    /// Whether the server takes this connection's user and password.
    pub async fn is_accepted(&mut self) -> Result<bool, Problem> {
        match self.call(Method::GET, "/api/v1/user", None).await? {
            (StatusCode::OK, _) => Ok(true),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Ok(false),
            (status, answer) => Err(refused("log in", status, &answer)),
        }
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Problem> {
        let request = Request::builder().method(method).uri(path).header("host", "gitea-http");
        self.http.call(request.header("authorization", &self.authorization), body).await
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
    Problem { class, message: format!("{WHO}: {what}: {status}: {said}") }
}
