//! IAM-2: three instances of which one may fail, without a committed row being lost and without Keycloak being lost to its users.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::gateway::{Host, administrator_token};
use crate::lab::eventually;
use crate::platform::{Platform, items};
use crate::writer::{Writer, empty_table, nothing_is_lost};

const CLUSTER: &str = "/apis/postgresql.cnpg.io/v1/namespaces/iam-system/clusters/postgres";
const PODS: &str = "/api/v1/namespaces/iam-system/pods";

/// IAM-2: one primary, and two replicas that follow it, one of which has every transaction before it counts as committed.
pub(crate) fn two_replicas_follow_the_primary(platform: &Platform) {
    let primary = eventually("a whole cluster", || primary(platform));
    // What a session gets that asks for nothing special, such as Keycloak's.
    let settings = "SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')";
    let settings = query(platform, &primary, "keycloak", settings).unwrap();
    let replicas = replicas(&primary).map(|name| format!("\"{name}\"")).join(",");
    assert_eq!(settings, format!("ANY 1 ({replicas})|on"));
    // A row is there on both, and neither takes one.
    let table = "public.real_replication";
    let make = format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} AS SELECT 7 AS n");
    query(platform, &primary, "postgres", &make).unwrap();
    for replica in self::replicas(&primary) {
        eventually("a row to be replicated", || {
            let found = query(platform, &replica, "postgres", &format!("SELECT n FROM {table}"))?;
            if found == "7" { Ok(()) } else { Err(found) }
        });
        let refused = query(platform, &replica, "postgres", &format!("INSERT INTO {table} VALUES (8)")).unwrap_err();
        assert!(refused.contains("read-only transaction"), "{refused}");
    }
    query(platform, &primary, "postgres", &format!("DROP TABLE {table}")).unwrap();
}

/// IAM-2: evictions, which are how `kubectl drain` empties a node, get no more than one replica at a time and never the primary.
pub(crate) fn evictions_leave_a_primary_and_a_replica(platform: &Platform) {
    let primary = eventually("a whole cluster", || self::primary(platform));
    let refused = |refusal: Result<String, String>| {
        let refusal = refusal.unwrap_err();
        assert!(refusal.contains("it would violate the pod's disruption budget"), "{refusal}");
    };
    let before = uid(platform, &primary);
    refused(evict(platform, &primary));
    // The same by drain itself. On the only node a drain in earnest would drain all.
    let node = platform.lab.get(&format!("{PODS}/{primary}")).unwrap()["spec"]["nodeName"].as_str().unwrap().to_owned();
    let drain = ["drain", &node, "--dry-run=server", "--delete-emptydir-data", "--timeout=1s", "--pod-selector"];
    refused(
        platform
            .lab
            .kubectl_with(&[&drain[..], &["cnpg.io/cluster=postgres,cnpg.io/instanceRole=primary"]].concat(), ""),
    );

    let [one, other] = replicas(&primary);
    evict(platform, &one).unwrap();
    refused(evict(platform, &other));
    let after = eventually("the evicted replica to be back", || self::primary(platform));
    assert_eq!((&after, uid(platform, &after)), (&primary, before), "the primary stayed");
}

/// IAM-2, IAM-1: the primary's pod is taken away.
pub(crate) fn a_lost_primary_loses_no_row(platform: &Platform) {
    let (before, after) = lose_primary(platform, |primary| delete(platform, primary));
    assert_ne!(before, after, "a replica took over");
}

/// IAM-2: the primary is lost while a replica is missing. Whoever is primary then has every row, and takes rows while nobody follows: availability
/// comes first (`dataDurability: preferred`).
pub(crate) fn a_lost_primary_beside_a_missing_replica_loses_no_row(platform: &Platform) {
    let before = eventually("a whole cluster", || primary(platform));
    let [left, away] = replicas(&before);
    let table = "public.real_beside_a_missing";
    empty_table(platform, &before, table);
    let writer = Writer::start(platform, &before, table, 1);
    let mut acknowledged = writer.wait_for(100);
    let awaited = |instance: &str, expected: &str| {
        eventually("the missing not to be waited for", || {
            let names = query(platform, instance, "postgres", "SELECT current_setting('synchronous_standby_names')")?;
            if names == expected { Ok(()) } else { Err(names) }
        });
    };
    let fence = Fence { platform };
    fence.hold(&[&away]);
    awaited(&before, &format!("ANY 1 (\"{left}\")"));
    acknowledged.extend(writer.so_far());
    acknowledged.extend(writer.wait_for(500));

    // Whichever is sooner: the replica that is left, or the lost one with the volume that it had. An instance must not be kept down before
    // that: the operator does not replace a primary that people hold.
    delete(platform, &before);
    let survivor = eventually("a primary that takes rows", || {
        let name = platform.lab.get(CLUSTER).unwrap()["status"]["currentPrimary"].as_str().unwrap_or("").to_owned();
        query(platform, &name, "postgres", &format!("INSERT INTO {table} VALUES (0)")).map(|_| name)
    });
    acknowledged.extend(writer.stop());
    let other = if survivor == left { &before } else { &left };
    fence.hold(&[&away, other]);
    awaited(&survivor, "");
    assert_eq!(query(platform, &survivor, "postgres", "SELECT count(*) FROM pg_stat_replication").unwrap(), "0");
    let alone = Writer::start(platform, &survivor, table, 1 << 32);
    acknowledged.extend(alone.wait_for(500));
    acknowledged.extend(alone.stop());

    drop(fence);
    let after = eventually("all instances to be back", || primary(platform));
    assert_eq!(after, survivor, "the one that has all rows stayed the primary");
    nothing_is_lost(platform, &after, table, &acknowledged);
}

/// Instances whose server the operator keeps down, their volumes kept; dropped, none.
struct Fence<'a> {
    platform: &'a Platform,
}

impl Fence<'_> {
    fn hold(&self, instances: &[&str]) {
        let fenced = format!("cnpg.io/fencedInstances={}", json!(instances));
        let annotate = ["annotate", "cluster", "-n", "iam-system", "postgres", "--overwrite", &fenced];
        self.platform.lab.kubectl(&annotate);
    }
}

impl Drop for Fence<'_> {
    fn drop(&mut self) {
        let annotate = ["annotate", "cluster", "-n", "iam-system", "postgres", "cnpg.io/fencedInstances-"];
        let _ = self.platform.lab.kubectl_with(&annotate, "");
    }
}

/// Takes an instance's pod away at once; its volume stays.
fn delete(platform: &Platform, instance: &str) {
    platform.lab.kubectl(&["delete", "pod", "-n", "iam-system", instance, "--force", "--grace-period=0"]);
}

/// IAM-2, IAM-1: the primary's server process dies on the spot, as in a crash.
pub(crate) fn a_crashed_primary_loses_no_row(platform: &Platform) {
    let crash = |primary: &str| {
        let kill = "kill -KILL $(head -n 1 \"$PGDATA/postmaster.pid\")";
        platform.exec("iam-system", primary, "postgres", &["sh", "-c", kill]).unwrap();
    };
    let (before, after) = lose_primary(platform, crash);
    println!("{before} crashed, {after} is the primary");
}

/// Loses the primary while rows are being written; every row that was acknowledged must be there afterwards, and Keycloak must not
/// have needed a new pod. The names of the primaries before and after.
fn lose_primary(platform: &Platform, lose: impl FnOnce(&str)) -> (String, String) {
    let before = eventually("a whole cluster", || primary(platform));
    let table = "public.real_acknowledged";
    empty_table(platform, &before, table);
    let (instance, keycloak) = (containers(platform, &before), keycloak(platform));
    let auth = Host::of(platform, "auth");

    let writer = Writer::start(platform, &before, table, 1);
    let mut acknowledged = writer.wait_for(500);
    let start = Instant::now();
    lose(&before);
    // Not when its pod is gone from the API, which may be before its processes are.
    eventually("the loss to be noticed", || {
        let primary = platform.lab.get(CLUSTER).unwrap()["status"]["currentPrimary"].take();
        let now = containers(platform, &before);
        let is_lost = primary != before.as_str() || now.is_some() && now != instance;
        is_lost.then_some(()).ok_or_else(|| format!("{primary} is the primary, {now:?}"))
    });
    acknowledged.extend(writer.stop());
    println!(
        "{} rows were confirmed; the loss is noticed after {:.1} s",
        acknowledged.len(),
        start.elapsed().as_secs_f32()
    );

    eventually("Keycloak to log people in", || administrator_token(platform, &auth));
    println!("Keycloak logs people in after {:.1} s", start.elapsed().as_secs_f32());
    let after = eventually("all instances to be back", || primary(platform));
    println!("all three instances are back after {:.1} s", start.elapsed().as_secs_f32());
    eventually("Keycloak to log people in still", || administrator_token(platform, &auth));

    nothing_is_lost(platform, &after, table, &acknowledged);
    assert_eq!(self::keycloak(platform), keycloak, "Keycloak's pod went on");
    (before, after)
}

/// The primary's name, if the operator and `PostgreSQL` agree that all is well.
pub(crate) fn primary(platform: &Platform) -> Result<String, String> {
    let status = &platform.lab.get(CLUSTER).unwrap()["status"];
    let primary = status["currentPrimary"].as_str().unwrap_or_default().to_owned();
    let is_whole = status["phase"] == "Cluster in healthy state" && status["readyInstances"] == 3;
    if !is_whole || status["targetPrimary"] != primary.as_str() {
        return Err(format!("{}, primary {primary}, ready {}", status["phase"], status["readyInstances"]));
    }
    let roles = |role: &str| {
        let pods = platform.lab.list(&format!("{PODS}?labelSelector=cnpg.io%2FinstanceRole%3D{role}"));
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let names = (roles("primary"), roles("replica"));
    if names.0 != [primary.as_str()] || names.1 != replicas(&primary) {
        return Err(format!("roles: {names:?}"));
    }
    let followers = "SELECT application_name, state, sync_state FROM pg_stat_replication ORDER BY 1";
    let followers = query(platform, &primary, "postgres", followers)?;
    let expected = replicas(&primary).map(|name| format!("{name}|streaming|quorum"));
    if followers.lines().eq(expected) { Ok(primary) } else { Err(format!("replication: {followers}")) }
}

/// The other two.
pub(crate) fn replicas(primary: &str) -> [String; 2] {
    let mut all: Vec<String> = (1..=3).map(|number| format!("postgres-{number}")).collect();
    all.retain(|name| name != primary);
    all.try_into().unwrap()
}

/// What SQL answers in an instance, as its superuser.
pub(crate) fn query(platform: &Platform, instance: &str, database: &str, sql: &str) -> Result<String, String> {
    let psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql];
    let answer = platform.exec("iam-system", instance, "postgres", &psql)?;
    Ok(answer.trim_end().to_owned())
}

fn uid(platform: &Platform, pod: &str) -> String {
    platform.lab.get(&format!("{PODS}/{pod}")).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// The pod of an instance and how often its containers were restarted.
fn containers(platform: &Platform, instance: &str) -> Option<(Value, u64)> {
    platform.lab.get(&format!("{PODS}/{instance}")).map(|pod| (pod["metadata"]["uid"].clone(), restarts(&pod)))
}

fn restarts(pod: &Value) -> u64 {
    let statuses = items(&pod["status"]["containerStatuses"]).iter();
    statuses.filter_map(|status| status["restartCount"].as_u64()).sum()
}

/// Keycloak's pods and how often their containers were restarted.
fn keycloak(platform: &Platform) -> Vec<(Value, u64)> {
    let pods = platform.lab.list(&format!("{PODS}?labelSelector=app.kubernetes.io%2Fname%3Dkeycloak"));
    pods.iter().map(|pod| (pod["metadata"]["uid"].clone(), restarts(pod))).collect()
}

pub(crate) fn evict(platform: &Platform, pod: &str) -> Result<String, String> {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "iam-system"},
    });
    platform.lab.kubectl_with(&["create", "--raw", &format!("{PODS}/{pod}/eviction"), "-f", "-"], &eviction.to_string())
}
