//! Argo CD's API server, reached by a port-forward: the one call that proves a password. In gRPC-Web, as its own command line speaks it: the
//! REST API is a client of the same server, and answers only where that listens on localhost too.

use http::{Method, Request, Response};
use hyper::body::Bytes;

use super::forward::passing;
use super::{Cluster, Problem};
use crate::plan::reach::Target;

const WHO: &str = "Argo CD";
const LOGIN: &str = "/session.SessionService/Create";
const TYPE: &str = "application/grpc-web+proto";

/// gRPC's numbers.
const OK: &str = "0";
const UNAUTHENTICATED: &str = "16";

impl Cluster {
    /// Whether Argo CD takes user and password. Five wrong ones lock the user out for minutes, so it is asked sparingly.
    pub async fn argocd_accepts(&self, server: &Target, user: &str, password: &str) -> Result<bool, Problem> {
        let mut http = self.http(server, WHO).await?;
        let request = Request::builder().method(Method::POST).uri(LOGIN).header("host", "argocd-server");
        let request = request.header("content-type", TYPE).header("accept", TYPE).header("x-grpc-web", "1");
        let answer = http.send(request, frame(&message(&[user, password]))).await?;
        match status(&answer).as_deref() {
            Some(OK) => Ok(true),
            Some(UNAUTHENTICATED) => Ok(false),
            Some(other) => Err(passing(WHO, &format!("log in: gRPC status {other}"))),
            None => Err(passing(WHO, &format!("log in: {}", answer.status()))),
        }
    }
}

/// A message of protobuf whose fields 1, 2, … are these strings.
fn message(fields: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, text) in (1_u8..).zip(fields) {
        bytes.push(number << 3 | 2);
        let mut length = text.len();
        while length > 0x7f {
            bytes.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap_or(0));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A message as gRPC sends it: not compressed, its length in front.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

/// gRPC's status: a header where there is no message, else in the last frame of the body.
fn status(answer: &Response<Bytes>) -> Option<String> {
    if let Some(status) = answer.headers().get("grpc-status") {
        return status.to_str().ok().map(str::to_owned);
    }
    let mut rest: &[u8] = answer.body();
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).ok()?;
        let (frame, after) = after.split_at_checked(length)?;
        if head[0] & 0x80 != 0 {
            let lines = String::from_utf8_lossy(frame).to_lowercase();
            return lines.lines().find_map(|line| Some(line.strip_prefix("grpc-status:")?.trim().to_owned()));
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_protobuf() {
        assert_eq!(frame(&message(&["ab", "c"])), b"\0\0\0\0\x07\x0a\x02ab\x12\x01c");
        assert_eq!(message(&[&"x".repeat(300)])[..3], [0x0a, 0xac, 0x02]);
    }

    #[test]
    fn the_status_is_in_a_header_or_the_last_frame() {
        let answer = |body: &'static [u8]| Response::new(Bytes::from_static(body));
        let said = b"\0\0\0\0\x02hi\x80\0\0\0\x10Grpc-Status: 0\r\n";
        assert_eq!(status(&answer(said)).as_deref(), Some("0"));
        assert_eq!(status(&answer(b"\0\0\0\0\x09cut")), None);
        let mut refused = answer(b"");
        refused.headers_mut().insert("grpc-status", "16".parse().unwrap());
        assert_eq!(status(&refused).as_deref(), Some("16"));
    }
}
