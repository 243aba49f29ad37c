//! OBS-2 to OBS-4: what happens on the platform is found in Loki, asked as a person does, through Grafana behind the gateway.

use serde_json::Value;
use tokio::time::Instant;

use crate::database::{primary, query};
use crate::gateway::{Host, administrator_token, secret};
use crate::lab::eventually;
use crate::platform::{Platform, items};

const NAMESPACE: &str = "real-logs";

/// OBS-2, OBS-3: what a pod of any namespace writes, with the labels of the platform.
pub(crate) fn a_line_of_a_pod_is_found(platform: &Platform) {
    let lab = &platform.lab;
    let _ = lab.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found"]);
    let gitea = lab.get("/apis/apps/v1/namespaces/gitea/deployments/gitea").unwrap();
    // Any image with a shell will do.
    let image = gitea["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
    let word = word();
    lab.create(&format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: writer, namespace: {NAMESPACE}, labels: {{app.kubernetes.io/name: novelist}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {{name: pen, image: \"{image}\", command: [sh, -c, \"echo it was a dark night {word}; exec sleep 3600\"]}}
"
    ));
    // The clock runs from when the line is written, not from when its pod is asked for.
    eventually("the line to be written", || {
        let written = lab.kubectl_with(&["logs", "-n", NAMESPACE, "writer"], "")?;
        written.contains(&word).then_some(()).ok_or(written)
    });
    let asked =
        format!("{{namespace=\"{NAMESPACE}\", pod=\"writer\", container=\"pen\", app=\"novelist\"}} |= `{word}`");
    let lines = found(platform, "a pod's line", &asked);
    assert_eq!(lines, [format!("it was a dark night {word}")]);
    // A line like an audit record is none: that label tells who wrote it.
    let audit = search(platform, &format!("{{audit=~\".+\", namespace=\"{NAMESPACE}\"}}"));
    assert_eq!(audit, Ok(Vec::new()));
    lab.kubectl(&["delete", "namespace", NAMESPACE]);
}

/// OBS-4: a login that failed, and what an administrator did.
pub(crate) fn events_of_keycloak_are_found(platform: &Platform) {
    let auth = Host::of(platform, "auth");
    let (stranger, user) = (word(), word());

    let name = format!("username={stranger}");
    let arguments =
        ["--data", "grant_type=password", "--data", "client_id=admin-cli", "--data", "password=x", "--data", &name];
    let (status, body) = auth.call("/realms/platform/protocol/openid-connect/token", &arguments).unwrap();
    // 401 in newer versions.
    assert!([400, 401].contains(&status), "{status}: {body}");
    let lines = found(platform, "a failed login", &format!("{{audit=\"keycloak\"}} |= `LOGIN_ERROR` |= `{stranger}`"));
    let record: Value = serde_json::from_str(&lines[0]).unwrap();
    let message = record["message"].as_str().unwrap();
    for part in ["type=\"LOGIN_ERROR\"", "realmName=\"platform\"", "error=\"user_not_found\"", "ipAddress="] {
        assert!(message.contains(part), "no {part} in {message}");
    }

    let token = format!("Authorization: Bearer {}", administrator_token(platform, &auth).unwrap());
    let body = format!("{{\"username\": \"{user}\"}}");
    let create = ["--header", &token, "--header", "Content-Type: application/json", "--data", &body];
    assert_eq!(auth.call("/admin/realms/platform/users", &create).map(|answer| answer.0), Ok(201));
    let (_, body) = auth.call(&format!("/admin/realms/platform/users?username={user}"), &["--header", &token]).unwrap();
    let users: Value = serde_json::from_str(&body).unwrap();
    let id = users[0]["id"].as_str().unwrap();
    let path = format!("/admin/realms/platform/users/{id}");
    assert_eq!(auth.call(&path, &["--header", &token, "--request", "DELETE"]).map(|answer| answer.0), Ok(204));
    for operation in ["CREATE", "DELETE"] {
        let asked = format!("{{audit=\"keycloak\"}} |= `operationType=\\\"{operation}\\\"` |= `users/{id}`");
        let lines = found(platform, &format!("an administrator's {operation}"), &asked);
        assert!(lines[0].contains("resourceType=\\\"USER\\\""), "{lines:?}");
    }
}

/// OBS-4: a change of the database's schema, by pgaudit, and a refused connection, by `PostgreSQL` itself.
pub(crate) fn records_of_postgresql_are_found(platform: &Platform) {
    let (table, role) = (word(), word());
    let primary = primary(platform).unwrap();
    query(platform, &primary, "keycloak", &format!("CREATE TABLE {table} (); DROP TABLE {table}")).unwrap();
    for statement in ["CREATE TABLE", "DROP TABLE"] {
        let asked =
            format!("{{audit=\"postgres\", pod=\"{primary}\"}} |= `\"logger\":\"pgaudit\"` |= `{statement} {table}`");
        let lines = found(platform, &format!("pgaudit's {statement}"), &asked);
        let record: Value = serde_json::from_str(&lines[0]).unwrap();
        let audit = &record["record"]["audit"];
        assert_eq!((&audit["class"], &audit["command"]), (&"DDL".into(), &statement.into()), "{record:#}");
    }
    let refused = platform.exec("iam-system", &primary, "postgres", &["psql", "-U", &role, "-d", "keycloak", "-c", ""]);
    assert!(refused.is_err(), "{refused:?}");
    found(platform, "a refused connection", &format!("{{audit=\"postgres\"}} |= `FATAL` |= `{role}`"));
}

/// A word that nobody has written before, good as a name everywhere.
fn word() -> String {
    format!("w{:016x}", rand::random::<u64>())
}

/// The lines that a query finds, once it finds some; says how long that took.
fn found(platform: &Platform, what: &str, query: &str) -> Vec<String> {
    let start = Instant::now();
    let lines = eventually(what, || {
        let lines = search(platform, query)?;
        if lines.is_empty() { Err(format!("{query} finds nothing")) } else { Ok(lines) }
    });
    println!("{what} is found after {:.1} s", start.elapsed().as_secs_f32());
    lines
}

/// Asks Loki through Grafana's data source.
fn search(platform: &Platform, query: &str) -> Result<Vec<String>, String> {
    let user = secret(platform, "observability", "grafana-admin", "admin-user");
    let password = secret(platform, "observability", "grafana-admin", "admin-password");
    let (user, query) = (format!("{user}:{password}"), format!("query={query}"));
    let arguments = ["--user", &user, "--get", "--data-urlencode", &query];
    let path = "/api/datasources/proxy/uid/loki/loki/api/v1/query_range";
    let (status, body) = Host::of(platform, "grafana").call(path, &arguments)?;
    let answer: Value = serde_json::from_str(&body).map_err(|_| format!("{status}: {body}"))?;
    if answer["status"] != "success" {
        return Err(format!("{status}: {body}"));
    }
    let streams = items(&answer["data"]["result"]).iter();
    let values = streams.flat_map(|stream| items(&stream["values"]));
    Ok(values.map(|value| value[1].as_str().unwrap().to_owned()).collect())
}
