//! A support bundle: what was gathered from a cluster becomes named texts without secrets, then one archive. Pure; `cluster` gathers.

pub mod archive;
mod layout;
pub mod redact;

pub use layout::{Files, files};

use crate::object::Object;

/// What was seen in the cluster, as it came: secrets are still in it.
#[derive(Debug, Default)]
pub struct Evidence {
    pub objects: Vec<Object>,
    pub events: Vec<Object>,
    pub nodes: Vec<Object>,
    pub definitions: Vec<Object>,
    pub logs: Vec<Log>,
    /// What could not be read, and why.
    pub problems: Vec<String>,
    /// Where Secrets could not be read, so that their values were not looked for in the other texts.
    pub unread_secrets: Vec<String>,
}

/// What a container wrote; `previous` in its life before the last restart.
#[derive(Debug)]
pub struct Log {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub previous: bool,
    pub text: String,
}
