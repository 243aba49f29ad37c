//! `platctl port-forward COMPONENT [LOCAL_PORT]`: a port of this machine that leads to a component, until Ctrl-C. Also what `open` shares.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, anyhow};
use serde_json::json;
use tokio::net::TcpListener;

use super::{connect, installed, wait_for_signal};
use crate::cli::{Global, PortForward};
use crate::cluster::Cluster;
use crate::cluster::forward::Notice;
use crate::failure::{Advise, code};
use crate::plan::reach::{Target, target};
use crate::ui::Ui;

pub(super) async fn run(global: &Global, flags: &PortForward, ui: &Ui) -> Result<u8> {
    let (cluster, _) = connect(global).await?;
    let (_, plan) = installed(&cluster).await?;
    let target = target(&plan, &flags.component)?;
    ready(&cluster, &target).await?;
    let listener = match flags.local_port {
        Some(port) => listen(&[port]).await?,
        None => listen(&[target.port, 0]).await?,
    };
    let address = listener.local_addr()?;
    let document = json!({
        "address": address.to_string(), "component": target.component, "namespace": target.namespace, "port": target.port,
    });
    let text = format!(
        "forwarding {address} to {} (namespace {}), port {}\n",
        target.component, target.namespace, target.port
    );
    ui.result(&document, &text)?;
    ui.say("Ctrl-C ends it");
    until_interrupted(&cluster, listener, target, ui).await
}

/// A forwarded port that leads nowhere is better refused.
pub(super) async fn ready(cluster: &Cluster, target: &Target) -> Result<()> {
    let pod = cluster.ready_pod(target).await.map_err(|problem| anyhow!(problem));
    pod.map(drop).hint("`platctl status` says why").exit(code::FAILED)
}

/// The first of these ports that can be had; 0 is any.
pub(super) async fn listen(ports: &[u16]) -> Result<TcpListener> {
    let mut last = None;
    for port in ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(anyhow!(error).context(format!("listen on 127.0.0.1:{port}"))),
        }
    }
    Err(last.unwrap_or_else(|| anyhow!("no port to listen on")))
        .hint("choose another port; 0 is any free one")
        .exit(code::USAGE)
}

/// Carries connections until Ctrl-C, which is the usual end and no failure, as with `kubectl port-forward`.
pub(super) async fn until_interrupted(cluster: &Cluster, listener: TcpListener, target: Target, ui: &Ui) -> Result<u8> {
    let (notices, mut received) = tokio::sync::mpsc::unbounded_channel();
    let told = async {
        let mut pod = None;
        while let Some(notice) = received.recv().await {
            match notice {
                Notice::To(name) => {
                    if pod.as_ref().is_some_and(|before| *before != name) {
                        ui.say(&format!("now to Pod {name}"));
                    }
                    pod = Some(name);
                }
                Notice::Broken(cause) => ui.say(&format!("a connection failed: {cause}")),
            }
        }
    };
    tokio::select! {
        done = cluster.forward(listener, target, notices) => done.context("listen")?,
        () = told => {}
        () = wait_for_signal() => {}
    }
    Ok(0)
}
