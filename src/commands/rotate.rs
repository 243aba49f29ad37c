//! `platctl credentials rotate COMPONENT`: asks, changes the password, shows it only when asked for. For the gateway it is the certificate.

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::{confirmed, connect, engine, holder, installed};
use crate::cli::{Global, Rotate};
use crate::engine::rotation;
use crate::event::Events;
use crate::failure::{Advise, code};
use crate::plan::certificates::Certificate;
use crate::plan::logins::choose;
use crate::plan::reach::GATEWAY;
use crate::ui::Ui;

pub(super) async fn run(global: &Global, flags: &Rotate, ui: &Ui) -> Result<u8> {
    if flags.component == GATEWAY {
        return certificate(global, flags, ui).await;
    }
    let (cluster, _) = connect(global).await?;
    let (record, plan) = installed(&cluster).await?;
    let logins = choose(&plan, Some(&flags.component))?;
    let Some(login) = logins.first() else { return Err(anyhow!("no login")).exit(code::USAGE) };
    rotation::check(login)?;
    let question = format!(
        "Change the password of `{}` in context {} ({})? Whoever uses the old one has to log in again.",
        login.component, cluster.context, cluster.server
    );
    let (events, _) = Events::channel();
    let engine = engine(cluster, events, "60s");
    if !flags.yes {
        confirmed(&engine, ui, &question, "nothing was changed").await?;
    }
    // Not to be stopped half way: it takes seconds, and ends by itself.
    let password = engine.locked(&holder("credentials rotate"), engine.rotate(&plan, &record, login)).await?;
    let mut document = json!({"component": login.component, "secret": login.secret, "rotated": true});
    let mut text = format!("{}: the new password is in force and in {}\n", login.name, login.secret);
    if flags.show {
        text += &format!("  password  {password}\n");
        document["password"] = Value::from(password);
    }
    ui.result(&document, &text)?;
    Ok(0)
}

async fn certificate(global: &Global, flags: &Rotate, ui: &Ui) -> Result<u8> {
    if flags.show {
        return Err(anyhow!("--show shows passwords; a certificate has none")).exit(code::USAGE);
    }
    let (cluster, _) = connect(global).await?;
    let (_, plan) = installed(&cluster).await?;
    let question = format!(
        "Give the gateway of context {} ({}) a new certificate? Connections that are open go on.",
        cluster.context, cluster.server
    );
    let (events, _) = Events::channel();
    let engine = engine(cluster, events, "60s");
    if !flags.yes {
        confirmed(&engine, ui, &question, "nothing was changed").await?;
    }
    let renewed = engine.locked(&holder("credentials rotate"), engine.renew_certificate(&plan)).await?;
    let Certificate { secret, serial, ends, .. } = &renewed.certificate;
    let document = json!({
        "component": GATEWAY, "secret": secret, "rotated": true, "serial": serial, "ends": ends, "shownBy": renewed.pod,
        "newAuthority": renewed.has_new_authority,
    });
    let mut text = format!(
        "{GATEWAY}: a new certificate is in {secret}, and Pod {} shows it\n  serial  {serial}\n  ends    {ends}\n",
        renewed.pod
    );
    if renewed.has_new_authority {
        text += "its CA is new too, as there was none: `platctl trust` has what is to be trusted instead\n";
    }
    ui.result(&document, &text)?;
    Ok(0)
}
