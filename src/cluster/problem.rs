//! What goes wrong with a request: the server's own words, and a class that tells whoever asked what can be done about it.

use std::fmt;

/// Why a request failed, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself: 429, 5xx, a lost connection, a webhook that is not up yet.
    Transient,
    /// Somebody else changed or owns it.
    Conflict,
    NotFound,
    /// 401 and 403.
    Denied,
    /// The server refuses the object as it is.
    Invalid,
}

#[derive(Clone, Debug)]
pub struct Problem {
    pub class: Class,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<kube::Error> for Problem {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => {
                Self { class: class_of(status.code, &status.message), message: status.message.clone() }
            }
            // An answer that breaks off is a lost connection, whatever ended it.
            kube::Error::SerdeError(broken) if broken.is_eof() => {
                Self { class: Class::Transient, message: format!("the answer broke off: {broken}") }
            }
            kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
                Self { class: Class::Invalid, message: innermost(&error) }
            }
            kube::Error::Auth(_) => Self { class: Class::Denied, message: innermost(&error) },
            _ => Self { class: Class::Transient, message: innermost(&error) },
        }
    }
}

/// The class of an answer. A webhook or an aggregated API that is not up yet answers 500 or 503, some as 403 or 404 of its backend; the
/// message tells those from real refusals.
pub(super) fn class_of(status: u16, message: &str) -> Class {
    let lower = message.to_lowercase();
    match status {
        _ if lower.contains("failed calling webhook") || lower.contains("conversion webhook") => Class::Transient,
        409 if lower.contains("already exists") => Class::Transient,
        409 => Class::Conflict,
        404 => Class::NotFound,
        // A namespace that is going away refuses new objects until it is gone.
        403 if lower.contains("being terminated") => Class::Transient,
        401 | 403 => Class::Denied,
        // An object that does not fit its kind is answered with 500, but no retry makes it fit.
        500 if lower.contains("failed to create typed patch object") => Class::Invalid,
        408 | 429 | 500..=599 => Class::Transient,
        _ => Class::Invalid,
    }
}

/// The last word of a chain of causes is the one that says what happened.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_breaks_off_is_asked_for_again() {
        let class_of = |text: &str| {
            let broken = serde_json::from_str::<serde_json::Value>(text).unwrap_err();
            Problem::from(kube::Error::SerdeError(broken)).class
        };
        assert_eq!(class_of("{\"kind\": \"Applic"), Class::Transient);
        assert_eq!(class_of("<html>"), Class::Invalid);
    }

    #[test]
    fn classes_of_answers() {
        for (status, message, class) in [
            (503, "the server is currently unable to handle the request", Class::Transient),
            (429, "too many requests", Class::Transient),
            (500, "Internal error occurred: failed calling webhook \"x\": connection refused", Class::Transient),
            (403, "clusterroles is forbidden: User \"x\" cannot create", Class::Denied),
            (403, "unable to create new content in namespace x because it is being terminated", Class::Transient),
            (409, "Apply failed with 1 conflict: conflict with \"kubectl\"", Class::Conflict),
            (422, "Deployment is invalid", Class::Invalid),
            (404, "not found", Class::NotFound),
        ] {
            assert_eq!(class_of(status, message), class, "{status} {message}");
        }
    }
}
