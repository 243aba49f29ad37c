//! Is it done? Each file below `tests/readiness/` is an object as an API server returns it; its name begins with the verdict that it must
//! get. A new case is a new file; the words of the verdict are in `tests/readiness/verdicts.snap`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use platctl::object::{Id, Object};
use platctl::readiness::remedy::remedy;
use platctl::readiness::{Verdict, is_awaited, judge};
use serde_json::Value;

/// The folder of the objects whose kinds have no rule.
const WITHOUT_RULE: &str = "without-rule";
/// Kinds that are judged by what was asked for, not by what a controller reports.
const JUDGED_BY_SPEC: [&str; 3] = ["Service", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// One file: `<kind>/<verdict>-<case>`, and what is in it.
struct Case {
    name: String,
    object: Object,
}

impl Case {
    fn kind(&self) -> &str {
        self.name.split('/').next().unwrap()
    }

    /// The verdict that the file's name asks for.
    fn expected(&self) -> &str {
        self.name.split(['/', '-']).find(|word| ["ready", "waiting", "failed"].contains(word)).unwrap_or("nothing")
    }

    fn verdict(&self) -> Verdict {
        judge(&self.object.id(), Some(&self.object))
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readiness");
    let mut cases = Vec::new();
    for folder in sorted(&root).into_iter().filter(|path| path.is_dir()) {
        for file in sorted(&folder) {
            let name = file.strip_prefix(&root).unwrap().with_extension("").display().to_string();
            let value: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).expect(&name);
            cases.push(Case { object: Object::new(value).expect(&name), name });
        }
    }
    cases
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "ready",
        Verdict::Waiting(_) => "waiting",
        Verdict::Failed(_) => "failed",
    }
}

/// Fails with all complaints at once.
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn each_file_gets_the_verdict_that_it_is_named_after() {
    let wrong = |case: &Case| {
        let verdict = case.verdict();
        (name_of(&verdict) != case.expected()).then(|| format!("{}: {verdict:?}", case.name))
    };
    assert_none(&cases().iter().filter_map(wrong).collect::<Vec<_>>());
}

#[test]
fn verdicts_say_why() {
    let said = |case: &Case| match case.verdict() {
        Verdict::Ready => case.name.clone(),
        Verdict::Waiting(words) | Verdict::Failed(words) => format!("{}\n    {words}", case.name),
    };
    let words = cases().iter().map(said).collect::<Vec<_>>().join("\n");
    insta::with_settings!({snapshot_path => "readiness", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("verdicts", words);
    });
}

#[test]
fn every_kind_with_a_rule_is_shown_ready_and_waiting() {
    let mut shown: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let cases = cases();
    for case in &cases {
        shown.entry(case.kind().to_owned()).or_default().push(case.expected());
    }
    let lacks = |(kind, verdicts): (&String, &Vec<&str>)| {
        let missing: Vec<_> = ["ready", "waiting"].into_iter().filter(|verdict| !verdicts.contains(verdict)).collect();
        (!missing.is_empty()).then(|| format!("{kind} has no case that is {}", missing.join(" or ")))
    };
    assert_none(&shown.iter().filter_map(lacks).collect::<Vec<_>>());
}

#[test]
fn kinds_are_awaited_that_have_a_rule() {
    let wrong = |case: &Case| {
        let awaited = is_awaited(&case.object.id());
        (awaited == (case.kind() == WITHOUT_RULE)).then(|| format!("{}: awaited is {awaited}", case.name))
    };
    assert_none(&cases().iter().filter_map(wrong).collect::<Vec<_>>());
}

/// An object one moment old is the commonest lie: everything that is said of it is missing, not fine.
#[test]
fn without_a_status_nothing_is_ready() {
    let cases = cases();
    let judged_by_status =
        cases.iter().filter(|case| case.kind() != WITHOUT_RULE && !JUDGED_BY_SPEC.contains(&case.object.kind()));
    let wrong = judged_by_status.filter_map(|case| {
        let mut value = case.object.value().clone();
        value.as_object_mut()?.remove("status");
        let verdict = judge(&case.object.id(), Some(&Object::new(value).unwrap()));
        (name_of(&verdict) != "waiting").then(|| format!("{}: {verdict:?}", case.name))
    });
    assert_none(&wrong.collect::<Vec<_>>());
}

/// What a controller reported of the version before says nothing of this one.
#[test]
fn with_a_status_of_an_older_generation_nothing_is_decided() {
    let cases = cases();
    let observed = cases.iter().filter(|case| case.object.number("/status/observedGeneration").is_some());
    let wrong = observed.filter(|case| case.kind() != WITHOUT_RULE).filter_map(|case| {
        let mut object = case.object.clone();
        object.value_mut()["metadata"]["generation"] = Value::from(1000);
        let verdict = judge(&object.id(), Some(&object));
        (name_of(&verdict) != "waiting").then(|| format!("{}: {verdict:?}", case.name))
    });
    assert_none(&wrong.collect::<Vec<_>>());
}

#[test]
fn what_is_not_there_is_waited_for() {
    let deployment = Id::new("apps/v1", "Deployment", Some("iam-system"), "keycloak");
    assert_eq!(
        judge(&deployment, None),
        Verdict::Waiting("Deployment iam-system/keycloak is not there yet".to_owned())
    );
    let class = Id::new("storage.k8s.io/v1", "StorageClass", None, "fast");
    assert_eq!(judge(&class, None), Verdict::Waiting("StorageClass fast is not there yet".to_owned()));
}

/// Lines as they were seen of kubelets, schedulers, admission, registries and programs; nothing is said where nothing is known.
#[test]
fn remedies_fit_the_words() {
    let lines = [
        "container `discovery`: ImagePullBackOff: Back-off pulling image \"r.example/pilot:1\": failed to resolve reference: r.example/pilot:1: not found",
        "container `grafana`: ErrImagePull: failed to pull and unpack image: failed to do request: Head \"https://docker.io/v2\": dial tcp 192.0.2.1:443: i/o timeout",
        "event on Pod a/b: Failed: Failed to pull image \"docker.io/grafana/loki:3\": 429 Too Many Requests - toomanyrequests: You have reached your pull rate limit",
        "container `istio-init`: ErrImagePull: failed to pull and unpack image \"m.example/proxyv2:1\": failed to authorize: unexpected status: 401 Unauthorized",
        "container `x`: ErrImagePull: failed to pull image: tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "container `x`: ImagePullBackOff: Back-off pulling image \"r.example/x:1\"",
        "log of manager: Get \"https://10.96.0.1:443/api\": dial tcp 10.96.0.1:443: i/o timeout",
        "log of loki: level=error msg=\"write /loki/wal: no space left on device\"",
        "container `keycloak`: CrashLoopBackOff: last time it ended with 137 (OOMKilled)",
        "log of keycloak: FATAL: password authentication failed for user \"keycloak\"",
        "no node takes it: 0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available",
        "no node takes it: 0/1 nodes are available: 1 node(s) were unschedulable.",
        "no node takes it: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        "no node takes it: 0/3 nodes are available: 3 node(s) had volume node affinity conflict.",
        "0 of 1 replicas are made: pods \"loki-0\" is forbidden: violates PodSecurity \"restricted:latest\"",
        "0 of 1 replicas are made: Internal error occurred: failed calling webhook \"namespace.sidecar-injector.istio.io\"",
        "0 of 1 replicas are made: pods \"x\" is forbidden: exceeded quota: team",
        "event on Pod a/b: FailedMount: MountVolume.SetUp failed for volume \"tls\": secret \"platform-tls\" not found",
        "event on Pod a/b: FailedCreatePodSandBox: plugin type=\"calico\" failed (add): connection is unauthorized",
        "log of x: exec /bin/x: exec format error",
        "Service istio-ingress/istio-gateway: the load balancer has no address yet",
        "log of postgres: mkdir: cannot create directory '/var/lib/postgresql/data/pgdata': Permission denied",
        "container `x` runs and is not ready yet",
        "log of x: panic: something that nobody has seen",
    ];
    let said = |line: &&str| {
        let remedy = remedy([*line]).map_or_else(|| "nothing is known".to_owned(), |remedy| remedy.in_words());
        format!("{line}\n    {remedy}")
    };
    insta::with_settings!({snapshot_path => "readiness", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("remedies", lines.iter().map(said).collect::<Vec<_>>().join("\n"));
    });
    // What a program says of itself tells more than the state that it is in.
    let both = ["container `loki`: CrashLoopBackOff: back-off", "log of loki: no space left on device"];
    assert_eq!(remedy(both), remedy([both[1]]));
}
