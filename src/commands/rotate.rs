//! `platctl credentials rotate COMPONENT`: asks, changes the password, shows it only when asked for.

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::{connect, engine, holder, installed};
use crate::cli::{Global, Rotate};
use crate::engine::rotation;
use crate::event::Events;
use crate::failure::{Advise, code};
use crate::plan::logins::choose;
use crate::ui::Ui;

pub(super) async fn run(global: &Global, flags: &Rotate, ui: &Ui) -> Result<u8> {
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
    if !flags.yes && !engine.cancellable(ui.confirm(&question)).await? {
        return Err(anyhow!("not confirmed, nothing was changed")).exit(code::FAILED);
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
