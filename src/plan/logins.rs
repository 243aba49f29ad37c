//! Where people log in and which Secret knows how, read off the plan. Pure: names of Secrets and keys, never their content.

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::failure::{Advise, code};
use crate::object::{Id, Object};
use crate::plan::{Plan, PlannedComponent, reach};

/// The names under which a Secret keeps user and password of a login.
const KEYS: [(&str, &str); 2] = [("username", "password"), ("admin-user", "admin-password")];

/// One login: its address, and the Secret with its user and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    pub component: String,
    /// As people call it.
    pub name: String,
    pub url: String,
    #[serde(skip)]
    pub secret: Id,
    #[serde(skip)]
    pub user_key: String,
    #[serde(skip)]
    pub password_key: String,
}

/// All logins of a plan, in its order.
pub fn logins(plan: &Plan) -> Vec<Login> {
    let domain = &plan.profile.domain;
    plan.components().flat_map(|planned| of_component(planned, domain)).collect()
}

/// Those of one component, or all. A name that has none is an error which names those that have.
pub fn choose(plan: &Plan, component: Option<&str>) -> Result<Vec<Login>> {
    let all = logins(plan);
    let Some(name) = component else { return Ok(all) };
    let chosen: Vec<Login> = all.iter().filter(|login| login.component == name).cloned().collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    // A component without one must be told from a name that is wrong.
    plan.component(name).exit(code::USAGE)?;
    let names: Vec<String> = all.iter().map(|login| format!("`{}`", login.component)).collect();
    Err(anyhow!("component `{name}` has no login"))
        .hint(format!("these have one: {}", names.join(", ")))
        .exit(code::USAGE)
}

fn of_component(planned: &PlannedComponent, domain: &str) -> Vec<Login> {
    let component = &planned.component;
    let generated = component.secrets.iter().filter_map(|spec| {
        let keys =
            KEYS.iter().find(|(user, password)| spec.keys.contains_key(*user) && spec.keys.contains_key(*password))?;
        let route = component.routes.iter().find(|route| route.credentials.as_ref() == Some(&spec.name));
        let (name, url) = match route {
            Some(route) => (route.name.clone(), format!("https://{}.{domain}", route.host)),
            None => (component.name.clone(), in_cluster(&planned.objects)),
        };
        Some(login(&component.name, (name, url), component.secret_id(spec), keys))
    });
    let databases = planned.objects.iter().filter(|object| reach::is_database(object)).map(|cluster| {
        let namespace = cluster.namespace().unwrap_or_default();
        let address = (cluster.name().to_owned(), format!("postgresql://{}-rw.{namespace}.svc:5432", cluster.name()));
        // Made by the operator, under this name.
        let secret = Id::new("v1", "Secret", Some(namespace), &format!("{}-app", cluster.name()));
        login(&component.name, address, secret, &KEYS[0])
    });
    generated.chain(databases).collect()
}

fn login(component: &str, (name, url): (String, String), secret: Id, (user, password): &(&str, &str)) -> Login {
    Login {
        component: component.to_owned(),
        name,
        url,
        secret,
        user_key: (*user).to_owned(),
        password_key: (*password).to_owned(),
    }
}

/// The address of what has no route from outside.
fn in_cluster(objects: &[Object]) -> String {
    reach::service(objects).map_or_else(String::new, |service| {
        let port = service.number("/spec/ports/0/port").unwrap_or(80);
        format!("http://{}.{}.svc:{port}", service.name(), service.namespace().unwrap_or_default())
    })
}
