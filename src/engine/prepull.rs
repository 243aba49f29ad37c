//! Makes and removes the pods of `plan::prepull`. Neither can make an installation fail: what goes wrong is told as a warning.

use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::{StreamExt, TryStreamExt, stream};

use super::Engine;
use super::inventory::NAMESPACE;
use crate::cluster::{Problem, Propagation};
use crate::event::Event;
use crate::object::Id;
use crate::plan::Plan;
use crate::plan::prepull::{LABEL, images, objects};

/// How long making or removing them may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Has each node pull the images of the later waves.
    pub async fn prepull(&self, plan: &Plan, nodes: &[&str]) {
        let made = self.cancellable(async {
            let applies = async {
                // The policy first.
                for object in objects(plan, nodes).chunk_by(|a, b| a.kind() == b.kind()) {
                    stream::iter(object)
                        .map(|object| self.cluster.apply(object))
                        .buffer_unordered(self.pacing.concurrency)
                        .try_collect::<Vec<_>>()
                        .await?;
                }
                Ok::<(), Problem>(())
            };
            bounded(applies).await
        });
        match made.await {
            Ok(()) => self.events.send(Event::Prepulling { images: images(plan).len(), nodes: nodes.len() }),
            Err(_) if self.cancel.is_cancelled() => {}
            Err(error) => {
                self.warn("the images of later waves are not pulled ahead", &error, "nothing else depends on it");
            }
        }
    }

    /// Removes what this or an earlier run made for it. `is_expected`: whether it is worth a word that it could not be looked for.
    pub async fn end_prepull(&self, is_expected: bool) {
        let removed = async {
            for (api_version, kind) in [("v1", "Pod"), ("networking.k8s.io/v1", "NetworkPolicy")] {
                let of = Id::new(api_version, kind, Some(NAMESPACE), "");
                for object in self.cluster.list(&of, LABEL).await? {
                    self.cluster.delete(&object.id(), object.uid(), Propagation::Background).await?;
                }
            }
            Ok::<(), Problem>(())
        };
        if let Err(error) = bounded(removed).await
            && is_expected
        {
            let hint = format!("`kubectl delete pods,networkpolicies -n {NAMESPACE} -l {LABEL}` removes them");
            self.warn("the pods that pulled images ahead are still there", &error, &hint);
        }
    }

    fn warn(&self, title: &str, error: &anyhow::Error, hint: &str) {
        let title = format!("{title}: {error:#}");
        self.events.send(Event::Warned { check: "prepull".to_owned(), title, hint: hint.to_owned() });
    }
}

async fn bounded(work: impl Future<Output = Result<(), Problem>>) -> Result<()> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|problem| anyhow!(problem)),
        Err(_) => Err(anyhow!("no answer in {} s", PATIENCE.as_secs())),
    }
}
