//! platctl: from an empty Kubernetes cluster to a running, secured, GitOps-owned platform.

pub mod failure;
pub mod object;
pub mod plan;
pub mod readiness;
