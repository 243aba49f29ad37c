//! The first request to a server. It proves address, certificate and credentials, and its answer tells version and clock, so that nobody has
//! to ask again. And whether other addresses answer at all.

use std::time::Duration;

use futures::future::join_all;
use http::Request;
use kube::client::Body;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::net::TcpStream;

use super::problem::class_of;
use super::{Class, Cluster, Problem, REQUEST_TIMEOUT, reading, silence};
use crate::plan::preflight::{Address, Unreached};

/// What the first answer tells.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Such as `v1.34.1`.
    pub version: String,
    /// By how many seconds the server's clock is ahead of this machine's.
    pub clock_ahead: Option<i64>,
}

impl Cluster {
    pub async fn reach(&self) -> Result<Reached, Problem> {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, reading(|| self.greet())).await;
        answer.map_err(|_| silence("GET"))?
    }

    async fn greet(&self) -> Result<Reached, Problem> {
        let request = Request::get("/version").header("accept", "application/json").body(Body::empty());
        let request = request.map_err(|error| Problem { class: Class::Invalid, message: error.to_string() })?;
        let before = OffsetDateTime::now_utc();
        let answer = self.client.send(request).await?;
        // The server tells whole seconds, and may have answered at any time in between: what counts is minutes.
        let between: OffsetDateTime = before + (OffsetDateTime::now_utc() - before) / 2;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        let server = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
        let status = answer.status();
        let body = answer.into_body().collect_bytes().await?;
        if !status.is_success() {
            let words: Value = serde_json::from_slice(&body).unwrap_or_default();
            let message = words["message"].as_str().map_or_else(|| status.to_string(), str::to_owned);
            return Err(Problem { class: class_of(status.as_u16(), &message), message });
        }
        let told: Value = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
        Ok(Reached {
            version: told["gitVersion"].as_str().unwrap_or_default().to_owned(),
            clock_ahead: server.map(|server| (server - between).whole_seconds()),
        })
    }
}

/// Long enough for a name server and a far host.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Those of the addresses that this machine gets no connection to.
pub(super) async fn unreached(addresses: Vec<Address>) -> Vec<Unreached> {
    let tries = addresses.into_iter().map(|address| async move {
        let host = address.host.trim_matches(['[', ']']);
        let connected = tokio::time::timeout(ANSWER_WITHIN, TcpStream::connect((host, address.port))).await;
        let why = match connected {
            Ok(Ok(_)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} s", ANSWER_WITHIN.as_secs()),
        };
        Some(Unreached { address, why })
    });
    join_all(tries).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    #[test]
    fn dates_of_http() {
        let date = OffsetDateTime::parse("Tue, 24 Nov 2026 09:46:36 GMT", &Rfc2822).unwrap();
        assert_eq!(date.format(&Rfc3339).unwrap(), "2026-11-24T09:46:36Z");
    }

    #[tokio::test]
    async fn who_does_not_answer_is_named() {
        let here = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = |port| Address { host: "127.0.0.1".to_owned(), port, key: "imageRegistry".to_owned() };
        let there = address(here.local_addr().unwrap().port());
        // Port 1 is nobody's.
        let found = unreached(vec![there, address(1)]).await;
        let ports: Vec<(u16, bool)> = found.iter().map(|one| (one.address.port, one.why.contains("refused"))).collect();
        assert_eq!(ports, [(1, true)]);
    }
}
