//! Which cluster, and as whom: the kubeconfig, or in a pod its `ServiceAccount`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::plan::document::nearest;

/// The contexts of a kubeconfig, in its order.
pub struct Contexts {
    pub names: Vec<String>,
    pub current: Option<String>,
}

/// Reads the kubeconfig for its contexts alone.
pub fn contexts(kubeconfig: Option<&Path>) -> Result<Contexts> {
    let file = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path).with_context(|| format!("read kubeconfig `{}`", path.display()))?,
        None => Kubeconfig::read().context("read the kubeconfig")?,
    };
    let names: Vec<String> = file.contexts.into_iter().map(|context| context.name).collect();
    let current = file.current_context.filter(|name| names.contains(name));
    Ok(Contexts { names, current })
}

pub(super) async fn load(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Config, String)> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    let file = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path).with_context(|| format!("read kubeconfig `{}`", path.display()))?,
        None => match Kubeconfig::read() {
            Ok(file) => file,
            Err(error) if context.is_none() => {
                // In a pod there is no file, but a ServiceAccount.
                let config = Config::incluster().map_err(|_| error).context("read the kubeconfig")?;
                return Ok((config, "in-cluster".to_owned()));
            }
            Err(error) => return Err(error).context("read the kubeconfig"),
        },
    };
    let name = context.map(str::to_owned).or_else(|| file.current_context.clone()).unwrap_or_default();
    let names: Vec<&str> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    if !names.contains(&name.as_str()) {
        let what = if name.is_empty() { "current context".to_owned() } else { format!("context `{name}`") };
        bail!("the kubeconfig has no {what}: {}", nearest(&name, names.iter().copied()));
    }
    let config =
        Config::from_custom_kubeconfig(file, &options).await.with_context(|| format!("use context `{name}`"))?;
    Ok((config, name))
}
