//! Lists what `plan::surroundings` reads: the first look of the wizard. Reads only; what may not be read is left out.

use std::collections::BTreeSet;

use super::facts::{as_allowed, read_balancer, read_node};
use super::{Cluster, Problem};
use crate::object::Id;
use crate::plan::preflight::Node;
use crate::plan::surroundings::{Listings, Surroundings};

impl Cluster {
    /// `version`: the server's. `own`: the namespaces of the platform.
    pub async fn surroundings(&self, version: &str, own: &BTreeSet<String>) -> Result<Surroundings, Problem> {
        let [node, pod, service, namespace] =
            ["Node", "Pod", "Service", "Namespace"].map(|kind| Id::new("v1", kind, None, ""));
        let (groups, nodes, pods, services, namespaces, classes, api_server_ports) = futures::try_join!(
            as_allowed(self.groups()),
            as_allowed(self.list(&node, "")),
            as_allowed(self.list(&pod, "")),
            as_allowed(self.list(&service, "")),
            as_allowed(self.list(&namespace, "")),
            as_allowed(self.storage_classes()),
            as_allowed(self.api_server_ports()),
        )?;
        let usable: Vec<Node> = nodes.iter().map(read_node).collect();
        let balancer = read_balancer(version, &nodes, &services, &pods);
        let version = version.to_owned();
        let seen = Listings { version, groups, nodes, pods, namespaces, balancer, api_server_ports };
        Ok(Surroundings::of(&seen, &usable, classes, own))
    }

    async fn groups(&self) -> Result<Vec<String>, Problem> {
        let list = self.send("GET", "/apis", None, None).await?;
        let groups = list["groups"].as_array().into_iter().flatten();
        Ok(groups.filter_map(|group| group["name"].as_str().map(str::to_owned)).collect::<Vec<_>>())
    }
}
