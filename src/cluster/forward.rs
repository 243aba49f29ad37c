//! Connections into pods by the API server's port-forward, so that neither side needs an address for the other: for the HTTP APIs of
//! components, and for a port of this machine that people use.

use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::{Class, Cluster, Problem, REQUEST_TIMEOUT};
use crate::object::Id;
use crate::plan::reach::Target;
use crate::readiness::{Verdict, judge};

/// How long a connection is held while no pod is ready: a rolling update takes no longer.
const HELD: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);

/// HTTP/1.1 to one pod, open while it lives.
pub(super) struct Http {
    sender: SendRequest<Full<Bytes>>,
    who: &'static str,
    _forward: Portforwarder,
}

/// What people should know of a forwarded port.
pub enum Notice {
    /// Connections go to this pod from now on.
    To(String),
    /// A connection could not be carried.
    Broken(String),
}

impl Cluster {
    /// A ready pod of the target.
    pub async fn ready_pod(&self, target: &Target) -> Result<String, Problem> {
        let pods = self.list(&Id::new("v1", "Pod", Some(&target.namespace), ""), &target.selector).await?;
        let ready = pods.iter().find(|pod| judge(&pod.id(), Some(pod)) == Verdict::Ready);
        let none = || Problem { class: Class::Transient, message: format!("no pod of {} is ready", target.component) };
        ready.map(|pod| pod.name().to_owned()).ok_or_else(none)
    }

    pub(super) async fn dial(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<(impl AsyncRead + AsyncWrite + Unpin + Send + use<>, Portforwarder), Problem> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let mut forward = api.portforward(pod, &[port]).await?;
        let none = || Problem { class: Class::Transient, message: "the port-forward gave no stream".to_owned() };
        let stream = forward.take_stream(port).ok_or_else(none)?;
        Ok((stream, forward))
    }

    /// HTTP to a ready pod; `who` is what problems call it.
    pub(super) async fn http(&self, target: &Target, who: &'static str) -> Result<Http, Problem> {
        let pod = self.ready_pod(target).await?;
        let (stream, forward) = self.dial(&target.namespace, &pod, target.port).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| passing(who, &error))?;
        tokio::spawn(connection);
        Ok(Http { sender, who, _forward: forward })
    }

    /// Carries every connection that the listener takes to a ready pod, chosen anew each time. Returns only when it cannot listen any more.
    pub async fn forward(
        &self,
        listener: TcpListener,
        target: Target,
        notices: UnboundedSender<Notice>,
    ) -> std::io::Result<()> {
        loop {
            let (socket, _) = listener.accept().await?;
            let (cluster, target, notices) = (self.clone(), target.clone(), notices.clone());
            tokio::spawn(async move {
                if let Err(problem) = cluster.carry(socket, &target, &notices).await {
                    let _ = notices.send(Notice::Broken(problem.message));
                }
            });
        }
    }

    async fn carry(
        &self,
        mut socket: TcpStream,
        target: &Target,
        notices: &UnboundedSender<Notice>,
    ) -> Result<(), Problem> {
        let pod = self.awaited_pod(target).await?;
        let _ = notices.send(Notice::To(pod.clone()));
        let (mut stream, mut forward) = self.dial(&target.namespace, &pod, target.port).await?;
        let refused = forward.take_error(target.port);
        // Which side hung up is nobody's business; what the node says of the pod's port is.
        let _ = copy_bidirectional(&mut socket, &mut stream).await;
        let _ = stream.shutdown().await;
        drop(stream);
        refusal(refused).await.map_or(Ok(()), |said| {
            Err(Problem { class: Class::Transient, message: format!("Pod {}/{pod}: {said}", target.namespace) })
        })
    }

    async fn awaited_pod(&self, target: &Target) -> Result<String, Problem> {
        let deadline = Instant::now() + HELD;
        loop {
            match self.ready_pod(target).await {
                Err(problem) if problem.class == Class::Transient && Instant::now() < deadline => {
                    tokio::time::sleep(AGAIN).await;
                }
                found => return found,
            }
        }
    }
}

/// What the node says of a port that it could not reach.
pub(super) async fn refusal(said: Option<impl Future<Output = Option<String>>>) -> Option<String> {
    let message = tokio::time::timeout(AGAIN, said?).await.ok().flatten()?;
    Some(message.trim().to_owned())
}

pub(super) fn passing(who: &str, cause: &dyn std::fmt::Display) -> Problem {
    Problem { class: Class::Transient, message: format!("{who}: {cause}") }
}

impl Http {
    /// One request and its answer as JSON; null where it is none.
    pub(super) async fn call(
        &mut self,
        request: http::request::Builder,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Problem> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = request.header("content-type", "application/json").header("accept", "application/json");
        let answer = self.send(request, body).await?;
        Ok((answer.status(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null)))
    }

    pub(super) async fn send(
        &mut self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Response<Bytes>, Problem> {
        let who = self.who;
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| passing(who, &error))?;
        let answered = async {
            self.sender.ready().await.map_err(|error| passing(who, &error))?;
            let answer = self.sender.send_request(request).await.map_err(|error| passing(who, &error))?;
            let (head, body) = answer.into_parts();
            let bytes = body.collect().await.map_err(|error| passing(who, &error))?.to_bytes();
            Ok(Response::from_parts(head, bytes))
        };
        let silence = |_| passing(who, &format!("no answer in {} s", REQUEST_TIMEOUT.as_secs()));
        tokio::time::timeout(REQUEST_TIMEOUT, answered).await.map_err(silence)?
    }
}
