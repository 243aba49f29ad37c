//! `platctl open COMPONENT`: its pages on this machine where the cluster gives the gateway no address: a forwarded port, and the URL that
//! leads to it. What has a route goes through the gateway, so that host, TLS and cookies are the real ones.

use anyhow::{Result, anyhow};
use serde_json::json;

use super::port_forward::{listen, ready, until_interrupted};
use super::{connect, installed};
use crate::cli::{Global, Open};
use crate::failure::{Advise, code};
use crate::plan::Plan;
use crate::plan::logins::{Login, logins};
use crate::plan::reach::{GATEWAY, Target, target};
use crate::ui::Ui;

const HTTPS: u16 = 443;
/// The ports of this machine that are tried: the one that URLs have by themselves needs a right that most users lack.
const GATEWAY_PORTS: [u16; 3] = [HTTPS, 8443, 0];

/// What is opened: the login with its pages, the way to it, and the host in its URL where it has a route.
struct Page {
    login: Login,
    target: Target,
    host: Option<String>,
}

pub(super) async fn run(global: &Global, flags: &Open, ui: &Ui) -> Result<u8> {
    let (cluster, _) = connect(global).await?;
    let (_, plan) = installed(&cluster).await?;
    let page = page(&plan, &flags.component)?;
    ready(&cluster, &page.target).await?;
    let listener = match (flags.port, &page.host) {
        (Some(port), _) => listen(&[port]).await?,
        (None, Some(_)) => listen(&GATEWAY_PORTS).await?,
        (None, None) => listen(&[page.target.port, 0]).await?,
    };
    let port = listener.local_addr()?.port();
    let url = url(page.host.as_deref(), port);
    ui.result(&json!({"component": page.login.component, "url": url, "port": port}), &format!("{url}\n"))?;
    for line in notes(&page, port, &plan.profile.domain) {
        ui.say(&line);
    }
    if flags.browser && !ui.browse(&url) {
        ui.say("no browser could be started: neither `xdg-open` nor `open` is there");
    }
    ui.say("Ctrl-C ends it");
    until_interrupted(&cluster, listener, page.target, ui).await
}

fn page(plan: &Plan, component: &str) -> Result<Page> {
    // A database has a login and no pages.
    let pages: Vec<Login> = logins(plan).into_iter().filter(|login| login.url.starts_with("http")).collect();
    let Some(login) = pages.iter().find(|login| login.component == component) else {
        plan.component(component).exit(code::USAGE)?;
        let names: Vec<String> = pages.iter().map(|login| format!("`{}`", login.component)).collect();
        return Err(anyhow!("component `{component}` has no pages to open"))
            .hint(format!("these have: {}; `platctl port-forward {component}` may lead to it", names.join(", ")))
            .exit(code::USAGE);
    };
    let host = login.url.strip_prefix("https://").map(str::to_owned);
    let target = target(plan, if host.is_some() { GATEWAY } else { component })?;
    Ok(Page { login: login.clone(), target, host })
}

fn url(host: Option<&str>, port: u16) -> String {
    match host {
        Some(host) if port == HTTPS => format!("https://{host}/"),
        Some(host) => format!("https://{host}:{port}/"),
        None => format!("http://127.0.0.1:{port}/"),
    }
}

/// What stands between the URL and the page.
fn notes(page: &Page, port: u16, domain: &str) -> Vec<String> {
    let component = &page.login.component;
    let mut lines = vec![format!("login: `platctl credentials {component} --show`")];
    if let Some(host) = &page.host {
        lines.push("certificate: `platctl trust` says how to trust it".to_owned());
        if domain != "localhost" && !domain.ends_with(".localhost") {
            lines.push(format!("name: `127.0.0.1 {host}` has to be in this machine's hosts file"));
        }
        if component == "keycloak" && port != HTTPS {
            lines.push("Keycloak leads on to port 443, which could not be had here: it needs root or".to_owned());
            lines.push("`sysctl net.ipv4.ip_unprivileged_port_start=443`".to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(url(Some("grafana.platform.localhost"), 443), "https://grafana.platform.localhost/");
        assert_eq!(url(Some("grafana.platform.localhost"), 8443), "https://grafana.platform.localhost:8443/");
        assert_eq!(url(None, 3000), "http://127.0.0.1:3000/");
    }
}
