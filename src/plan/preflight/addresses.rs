//! What a profile names outside of the cluster: mirrors of registries and the Git repository. They are typed by hand, and a name that nobody
//! answers to shows late otherwise, as pods that cannot pull or as a handoff that does not end.

use serde::Serialize;

use super::{Facts, Judged, warning};
use crate::plan::Plan;
use crate::plan::profile::RepositoryMode;

/// Where something should answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address {
    pub host: String,
    pub port: u16,
    /// The key of the profile that names it.
    pub key: String,
}

/// An address that did not answer this machine.
#[derive(Clone, Debug, Serialize)]
pub struct Unreached {
    pub address: Address,
    pub why: String,
}

pub(super) fn addresses(_: &Plan, facts: &Facts) -> Vec<Judged> {
    let finding = |Unreached { address: Address { host, port, key }, why }: &Unreached| {
        let title = format!("{host}:{port}, which `{key}` names, does not answer this machine: {why}");
        warning(
            title,
            "is the name right? If only the cluster reaches it, or this machine by a proxy, nothing is wrong",
        )
    };
    facts.unreached.iter().map(finding).collect()
}

impl Plan {
    /// Each once, without what is in the cluster or on whatever machine asks.
    pub fn addresses(&self) -> Vec<Address> {
        let profile = &self.profile;
        let mirror = |key: String, place: &String| at(place.split('/').next()?, 443, key);
        let mut found: Vec<Address> = mirror("imageRegistry".to_owned(), &profile.image_registry).into_iter().collect();
        found.extend(
            profile.image_registries.iter().filter_map(|(from, to)| mirror(format!("imageRegistries.{from}"), to)),
        );
        if profile.repository.mode == RepositoryMode::External {
            found.extend(of_repository(&profile.repository.url));
        }
        found.sort();
        found.dedup_by(|a, b| (&a.host, a.port) == (&b.host, b.port));
        found
    }
}

fn of_repository(url: &str) -> Option<Address> {
    let key = "repository.url".to_owned();
    let Some((scheme, rest)) = url.split_once("://") else {
        // As Git's own short form of SSH has it: the colon is before the path.
        return at(url.split_once(':')?.0, 22, key);
    };
    let port = match scheme {
        "https" => 443,
        "http" => 80,
        "ssh" => 22,
        "git" => 9418,
        _ => return None,
    };
    at(rest.split('/').next()?, port, key)
}

/// None for what is no host, and for what every machine has of its own.
fn at(authority: &str, port: u16, key: String) -> Option<Address> {
    let host = authority.rsplit('@').next()?;
    // An IPv6 address stands in brackets.
    let (host, port) = match host.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (host, port),
    };
    let is_elsewhere =
        host == "localhost" || [".localhost", ".svc", ".cluster.local"].iter().any(|end| host.ends_with(end));
    (!host.is_empty() && !is_elsewhere).then(|| Address { host: host.to_owned(), port, key })
}
