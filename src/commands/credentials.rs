//! `platctl credentials`: where people log in and as whom. Passwords are shown only when asked for.

use anyhow::Result;
use serde::Serialize;

use super::{connect, installed, rotate, secret};
use crate::cli::{Credentials, CredentialsAction, Global, Output};
use crate::cluster::Cluster;
use crate::plan::logins::{Login, choose};
use crate::ui::Ui;

/// One login in the document of `-o json|yaml`. What is hidden or not there is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(flatten)]
    login: Login,
    secret: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Debug, Serialize)]
struct Place {
    namespace: String,
    name: String,
    key: String,
}

pub(super) async fn run(global: &Global, flags: &Credentials, ui: &Ui) -> Result<u8> {
    if let Some(CredentialsAction::Rotate(flags)) = &flags.action {
        return rotate::run(global, flags, ui).await;
    }
    let (cluster, _) = connect(global).await?;
    let (_, plan) = installed(&cluster).await?;
    let mut rows = Vec::new();
    for login in choose(&plan, flags.component.as_deref())? {
        rows.push(row(&cluster, login, flags.show).await?);
    }
    let text: Vec<String> = rows.iter().map(|row| in_words(row, flags.show)).collect();
    ui.result(&rows, &text.join("\n"))?;
    if !flags.show && matches!(ui.output(), Output::Auto | Output::Text) {
        ui.say("\n`--show` shows the passwords");
    }
    Ok(0)
}

async fn row(cluster: &Cluster, login: Login, show: bool) -> Result<Row> {
    let id = &login.secret;
    let mut keys = secret(cluster, id).await?.unwrap_or_default();
    let user = keys.remove(&login.user_key);
    let password = keys.remove(&login.password_key).filter(|_| show);
    let place = Place {
        namespace: id.namespace.clone().unwrap_or_default(),
        name: id.name.clone(),
        key: login.password_key.clone(),
    };
    Ok(Row { login, secret: place, user, password })
}

fn in_words(row: &Row, show: bool) -> String {
    let Place { namespace, name, key } = &row.secret;
    let missing = || format!("not there yet: Secret {namespace}/{name} has none");
    let user = row.user.clone().unwrap_or_else(missing);
    let password = match (&row.password, show, &row.user) {
        (Some(password), ..) => password.clone(),
        (None, false, Some(_)) => "(hidden)".to_owned(),
        _ => missing(),
    };
    format!(
        "{}  {}\n  user      {user}\n  password  {password}\n  Secret    {namespace}/{name}, key {key}\n",
        row.login.name, row.login.url
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Id;

    fn row(user: Option<&str>, password: Option<&str>) -> Row {
        let secret = Id::new("v1", "Secret", Some("shop"), "login");
        let text = |text: &str| text.to_owned();
        Row {
            login: Login {
                component: text("web"),
                name: text("Web"),
                url: text("https://web.example.org"),
                secret,
                user_key: text("username"),
                password_key: text("password"),
            },
            secret: Place { namespace: text("shop"), name: text("login"), key: text("password") },
            user: user.map(text),
            password: password.map(text),
        }
    }

    #[test]
    fn a_password_is_hidden_shown_or_missing() {
        let line = |row: &Row, show| in_words(row, show).lines().nth(2).unwrap().trim().to_owned();
        assert_eq!(line(&row(Some("admin"), None), false), "password  (hidden)");
        assert_eq!(line(&row(Some("admin"), Some("hunter2")), true), "password  hunter2");
        assert_eq!(line(&row(None, None), false), "password  not there yet: Secret shop/login has none");
        let document = serde_json::to_value(row(Some("admin"), None)).unwrap();
        assert!(document.get("password").is_none(), "{document}");
    }
}
