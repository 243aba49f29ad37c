//! Argo CD's API server, reached by a port-forward: the one call that proves a password.

use http::{Method, Request, StatusCode};
use serde_json::json;

use super::forward::passing;
use super::{Cluster, Problem};
use crate::plan::reach::Target;

const WHO: &str = "Argo CD";

impl Cluster {
    /// Whether Argo CD takes user and password. Five wrong ones lock the user out for minutes, so it is asked sparingly.
    pub async fn argocd_accepts(&self, server: &Target, user: &str, password: &str) -> Result<bool, Problem> {
        let mut http = self.http(server, WHO).await?;
        let request = Request::builder().method(Method::POST).uri("/api/v1/session").header("host", "argocd-server");
        let login = json!({"username": user, "password": password});
        match http.call(request, Some(&login)).await? {
            (StatusCode::OK, answer) => Ok(answer["token"].is_string()),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Ok(false),
            (status, answer) => {
                let said = answer["message"].as_str().unwrap_or("no message");
                Err(passing(WHO, &format!("log in: {status}: {said}")))
            }
        }
    }
}
