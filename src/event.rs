//! What happened, as facts. The engine sends these, the renderers in `ui` show them; nothing else passes between the two. Serialisable, so
//! that `--output json` is the same stream; no times (the renderer adds them), no formatted text beyond the words of the cluster itself.

use serde::Serialize;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::object::Id;

/// One wave as the plan announces it, so that bars know their length.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedWave {
    pub number: u8,
    pub name: String,
    pub components: Vec<String>,
    pub objects: usize,
    /// What it usually takes where the images are on the nodes already.
    pub typical_ms: u64,
}

/// What an apply or a delete did to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Created,
    Configured,
    Unchanged,
}

/// A component's version before and after an upgrade; none where it is not there.
#[derive(Clone, Debug, Serialize)]
pub struct VersionChange {
    pub component: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// What happened. A new variant cannot be missed: both renderers match exhaustively.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The cluster was reached.
    Connected {
        context: String,
        server: String,
        version: String,
        nodes: usize,
    },
    /// A check before the first write found something that people should know, but that does not block.
    Warned {
        check: String,
        title: String,
        hint: String,
    },
    /// A check that the user left out: what it would have found is not known.
    CheckSkipped {
        check: String,
    },
    /// Everything is rendered and checked; nothing is written yet.
    Planned {
        action: String,
        profile: String,
        waves: Vec<PlannedWave>,
    },
    /// An upgrade: versions and objects that are recorded beside those that are wanted.
    Compared {
        from: String,
        to: String,
        components: Vec<VersionChange>,
        created: usize,
        changed: usize,
        removed: usize,
    },
    /// The nodes pull the images of the later waves already.
    Prepulling {
        images: usize,
        nodes: usize,
    },
    WaveStarted {
        wave: u8,
        name: String,
    },
    ComponentStarted {
        component: String,
        objects: usize,
    },
    /// A Secret that nobody supplied was generated. Never its content.
    SecretGenerated {
        id: Id,
    },
    Applied {
        component: String,
        id: Id,
        change: Change,
    },
    /// The first thing that a component waits for, in the object's own words. Sent when it changes.
    Waiting {
        component: String,
        id: Option<Id>,
        reason: String,
    },
    /// A request failed in a way that passes; it is sent again.
    Retrying {
        what: String,
        cause: String,
        attempt: u32,
        after_ms: u64,
    },
    ComponentReady {
        component: String,
    },
    WaveReady {
        wave: u8,
        name: String,
    },
    /// The chart tree is in Git.
    Published {
        repository: String,
        revision: String,
        changed_files: usize,
    },
    /// An Application as Argo CD sees it. Sent when it changes.
    Application {
        name: String,
        sync: String,
        health: String,
        revision: String,
    },
    /// Argo CD owns the platform now; `objects` did not change and `pods` did not restart.
    HandedOver {
        repository: String,
        revision: String,
        objects: usize,
        pods: usize,
    },
    /// Argo CD no longer owns the platform.
    TakenBack {
        applications: usize,
    },
    /// `component` may also be `CRDs` or `namespaces`, which go last.
    Deleting {
        component: String,
        objects: usize,
    },
    Deleted {
        id: Id,
    },
    /// Not removed, and why.
    Kept {
        id: Id,
        reason: String,
    },
    /// The run was stopped; the inventory says where it stood.
    Interrupted {
        wave: Option<u8>,
    },
    Finished {
        action: String,
        created: usize,
        configured: usize,
        unchanged: usize,
        deleted: usize,
        next: Vec<Line>,
    },
    Failed {
        failure: Failure,
    },
}

/// A line of the closing summary: a label and a value, such as a URL or the next command.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub label: String,
    pub value: String,
}

/// The sending end. Cheap to clone; sending never fails, as a renderer that has gone away is no reason to stop an installation.
#[derive(Clone)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }
}
