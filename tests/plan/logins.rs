//! Where people log in, which Secret knows how, and which pods a component answers on: read off the very charts, so a change in one shows here.

use platctl::failure::Failure;
use platctl::plan::Plan;
use platctl::plan::logins::{choose, logins};
use platctl::plan::reach::target;

use crate::platform::{dev, platforms, prod};

#[test]
fn each_login_has_its_address_and_its_secret() {
    let rows = |plan: &Plan| -> Vec<String> {
        let row = |login: platctl::plan::logins::Login| {
            format!("{} {} {} {} {}", login.name, login.url, login.secret, login.user_key, login.password_key)
        };
        logins(plan).into_iter().map(row).collect()
    };
    let expected = [
        "Grafana https://grafana.platform.localhost Secret observability/grafana-admin admin-user admin-password",
        "Keycloak https://auth.platform.localhost Secret iam-system/keycloak-admin username password",
        "postgres postgresql://postgres-rw.iam-system.svc:5432 Secret iam-system/postgres-app username password",
        "Argo CD https://argocd.platform.localhost Secret argocd/argocd-admin username password",
        "gitea http://gitea-http.gitea.svc:3000 Secret gitea/gitea-admin username password",
    ];
    assert_eq!(rows(&dev().plan), expected);
    // Without the Git server, and under its own domain.
    let expected: Vec<String> =
        expected[..4].iter().map(|row| row.replace("platform.localhost", "platform.example.org")).collect();
    assert_eq!(rows(&prod().plan), expected);
}

#[test]
fn every_route_with_credentials_is_a_login() {
    for platform in platforms() {
        let urls: Vec<String> = logins(&platform.plan).into_iter().map(|login| login.url).collect();
        for route in platform.plan.components().flat_map(|planned| &planned.component.routes) {
            let url = format!("https://{}.{}", route.host, platform.plan.profile.domain);
            assert!(urls.contains(&url), "{}: {url} is no login", platform.name);
        }
    }
}

#[test]
fn a_component_without_a_login_and_one_that_is_not_there() {
    let failure = |name: &str| Failure::of(&choose(&dev().plan, Some(name)).unwrap_err());
    let loki = failure("loki");
    assert_eq!((loki.what.as_str(), loki.code), ("component `loki` has no login", 2));
    assert!(loki.hint.unwrap().contains("`keycloak`"));
    let grafan = failure("grafan");
    assert!(grafan.what.ends_with("did you mean `grafana`?") && grafan.code == 2, "{grafan:?}");
    assert_eq!(choose(&dev().plan, Some("gitea")).unwrap().len(), 1);
}

#[test]
fn components_answer_on_the_ports_of_their_pods() {
    for (component, expected) in [
        ("istio-gateway", "istio-ingress app.kubernetes.io/name=istio-gateway 8443"),
        ("grafana", "observability app.kubernetes.io/name=grafana 3000"),
        ("loki", "observability app.kubernetes.io/name=loki 3100"),
        ("keycloak", "iam-system app.kubernetes.io/name=keycloak 8080"),
        ("postgres", "iam-system cnpg.io/cluster=postgres,cnpg.io/instanceRole=primary 5432"),
        // The one of its Services that the route leads to.
        ("argocd", "argocd app.kubernetes.io/name=argocd-server 8080"),
        ("gitea", "gitea app.kubernetes.io/name=gitea 3000"),
    ] {
        let found = target(&dev().plan, component).unwrap();
        assert_eq!(format!("{} {} {}", found.namespace, found.selector, found.port), expected);
    }
    let failure = Failure::of(&target(&dev().plan, "promtail").unwrap_err());
    assert_eq!((failure.what.as_str(), failure.code), ("component `promtail` has no Service to forward to", 2));
    assert!(failure.hint.unwrap().contains("`postgres`"));
}
