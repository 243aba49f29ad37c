//! The wizard without a terminal: what it sees, what it proposes and why, what it refuses, and that its file says what was answered.

use std::collections::BTreeSet;

use clap::CommandFactory;
use platctl::cli::Cli;
use platctl::embedded;
use platctl::failure::Failure;
use platctl::object::Object;
use platctl::plan::host::Host;
use platctl::plan::interview::{Interview, Reply, Script, Step};
use platctl::plan::needs::volumes;
use platctl::plan::preflight::{Node, StorageClass, balancer};
use platctl::plan::profile::{Base, Layers, Profile};
use platctl::plan::questions::{QUESTIONS, Question, Scene};
use platctl::plan::surroundings::{Amount, Listings, Surroundings};
use platctl::plan::written;
use serde_json::{Value, json};

use crate::platform::{dev, prod};

const GIBI: u64 = 1024 * 1024 * 1024;
const URL: &str = "https://git.example.org/team/platform.git";

/// What is seen of so many nodes on that provider.
fn cluster(provider: &str, count: usize) -> (Listings, Vec<Node>) {
    let node = |index: usize| {
        let spec =
            if provider.is_empty() { json!({}) } else { json!({"providerID": format!("{provider}://n{index}")}) };
        object("Node", "", &format!("n{index}"), json!({"spec": spec}))
    };
    let capacity = |index: usize| Node {
        name: format!("n{index}"),
        ready: true,
        schedulable: true,
        cpu_millis: 4000,
        memory_bytes: 8 * GIBI,
        ..Node::default()
    };
    let version = "v1.34.1".to_owned();
    let nodes: Vec<Object> = (0..count).map(node).collect();
    let balancer = balancer(Host::of(&version, &nodes), &[], &[], |_| false);
    let listings = Listings { version, nodes, balancer, api_server_ports: vec![443, 6443], ..Listings::default() };
    (listings, (0..count).map(capacity).collect())
}

fn object(kind: &str, namespace: &str, name: &str, mut value: Value) -> Object {
    value["apiVersion"] = "v1".into();
    value["kind"] = kind.into();
    value["metadata"] = json!({"name": name, "labels": value["labels"].take()});
    if !namespace.is_empty() {
        value["metadata"]["namespace"] = namespace.into();
    }
    Object::new(value).unwrap()
}

fn look((listings, nodes): &(Listings, Vec<Node>)) -> Surroundings {
    let class = StorageClass { name: "standard".to_owned(), default: true, ..StorageClass::default() };
    let own = BTreeSet::from(["argocd".to_owned(), "platctl-system".to_owned()]);
    Surroundings::of(listings, nodes, vec![class], &own)
}

fn interview(seen: Option<Surroundings>, script: &str) -> Interview {
    let mut scene = Scene::new(&embedded::profiles(), &embedded::catalog().unwrap()).unwrap();
    scene.seen = seen;
    let mut answers = Script::default();
    answers.read("answers.yaml", script).unwrap();
    Interview::new(scene, answers)
}

/// The question that comes next.
fn next(interview: &mut Interview) -> &'static Question {
    match interview.step().unwrap() {
        Step::Ask(question) => question,
        Step::Look(_) | Step::Done => panic!("a question was expected"),
    }
}

/// Takes every proposal; gives each with its reason.
fn proposals(mut interview: Interview) -> String {
    let mut lines = Vec::new();
    while let Step::Ask(question) = interview.step().unwrap() {
        let proposal = interview.proposal(question);
        lines.push(proposal.map_or_else(
            || format!("{}: nothing", question.id),
            |proposal| format!("{}: {} ({})", question.id, proposal.value, proposal.why),
        ));
        interview.skip(question, true);
        if lines.last().unwrap().ends_with("nothing") {
            // Its absence is told at the end.
            break;
        }
    }
    lines.join("\n")
}

/// An interview in which everything was answered.
fn answered(script: &str) -> Interview {
    let mut interview = interview(None, script);
    while let Step::Ask(question) = interview.step().unwrap() {
        interview.skip(question, true);
    }
    interview
}

#[test]
fn proposals_on_one_machine() {
    insta::assert_snapshot!(proposals(interview(Some(look(&cluster("kind", 1))), "")), @"
    profile: dev (the cluster runs on kind)
    domain: platform.localhost (names under .localhost lead to your own machine without DNS)
    tls: generated (as in the profile dev)
    exposure: NodePort (kind gives Services no addresses by itself)
    storage-class: cluster-default (the cluster has one)
    database-size: 5Gi (as in the profile dev)
    log-size: 10Gi (as in the profile dev)
    log-retention: 31d (as in the profile dev)
    audit-retention: 90d (as in the profile dev)
    repository: in-cluster (a small Git server, nothing to supply; or give a URL)
    secrets: generated (as in the profile dev)
    ");
}

#[test]
fn proposals_in_a_cloud() {
    let script = format!("domain: example.org\nrepository: {URL}\n");
    insta::assert_snapshot!(proposals(interview(Some(look(&cluster("aws", 3))), &script)), @"
    profile: prod (3 nodes, and not a cluster on one machine)
    tls: secret (as in the profile prod)
    tls-secret: platform-tls (as in the profile prod)
    exposure: LoadBalancer (AWS gives Services addresses, unless that is off)
    storage-class: cluster-default (the cluster has one)
    database-size: 5Gi (as in the profile prod)
    log-size: 10Gi (as in the profile prod)
    log-retention: 31d (as in the profile prod)
    audit-retention: 90d (as in the profile prod)
    branch: main (as in the profile prod)
    credentials-secret: none (right for a public repository)
    secrets: external (as in the profile prod)
    ");
}

/// Nothing is known, so nothing is claimed.
#[test]
fn proposals_without_a_cluster() {
    insta::assert_snapshot!(proposals(interview(None, "")), @"
    profile: dev (it needs nothing from outside)
    domain: platform.localhost (names under .localhost lead to your own machine without DNS)
    tls: generated (as in the profile dev)
    exposure: LoadBalancer (as in the profile dev)
    storage-class: cluster-default (whatever it is)
    database-size: 5Gi (as in the profile dev)
    log-size: 10Gi (as in the profile dev)
    log-retention: 31d (as in the profile dev)
    audit-retention: 90d (as in the profile dev)
    repository: in-cluster (a small Git server, nothing to supply; or give a URL)
    secrets: generated (as in the profile dev)
    ");
}

#[test]
fn what_only_a_person_knows_is_not_proposed() {
    assert!(proposals(interview(None, "profile: prod")).ends_with("domain: nothing"));
    assert!(proposals(interview(None, "profile: prod\ndomain: example.org")).ends_with("repository: nothing"));
}

#[test]
fn storage_classes_are_those_of_the_cluster() {
    let mut seen = look(&cluster("kind", 1));
    seen.storage_classes[0].default = false;
    let script = "profile: dev\ndomain: example.org\ntls: generated\nexposure: NodePort\n";
    let mut without_default = interview(Some(seen.clone()), script);
    let question = next(&mut without_default);
    assert_eq!(without_default.proposal(question).unwrap().value, "standard");
    assert!(matches!(without_default.reply(question, "fast"), Reply::Refused(_)));
    assert_eq!(without_default.reply(question, "1"), Reply::Taken);
    seen.storage_classes.clear();
    let mut without_any = interview(Some(seen), script);
    let question = next(&mut without_any);
    assert!(without_any.proposal(question).unwrap().why.contains("install a storage provisioner first"));
}

#[test]
fn free_is_what_running_pods_do_not_request() {
    let mut cluster = cluster("kind", 2);
    let pod = |node: &str, phase: &str, init: Value| {
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}});
        let mut init_container = container("500m");
        init_container["restartPolicy"] = init;
        let spec = json!({"nodeName": node, "containers": [container("1")], "initContainers": [init_container]});
        object("Pod", "x", "p", json!({"spec": spec, "status": {"phase": phase}}))
    };
    cluster.0.pods = vec![
        pod("n0", "Running", Value::Null),
        pod("n0", "Running", "Always".into()),
        pod("n0", "Succeeded", Value::Null),
        pod("n1", "Running", Value::Null),
    ];
    cluster.1[1].schedulable = false;
    let seen = look(&cluster);
    assert_eq!((seen.usable, seen.nodes), (1, 2));
    assert_eq!(seen.cpu, Amount { total: 4000, free: 4000 - 1000 - 1500 });
    assert_eq!(seen.memory, Amount { total: 8 * GIBI, free: 5 * GIBI });
}

#[test]
fn hosts() {
    let name = |change: &dyn Fn(&mut Listings)| {
        let mut cluster = cluster("", 1);
        change(&mut cluster.0);
        look(&cluster).host.name
    };
    let labelled = |labels: Value| vec![object("Node", "", "n0", json!({ "labels": labels }))];
    assert_eq!(name(&|seen| seen.nodes = labelled(json!({"minikube.k8s.io/name": "minikube"}))), "minikube");
    assert_eq!(name(&|seen| seen.nodes = labelled(json!({"type": "kwok"}))), "simulated nodes (KWOK)");
    assert_eq!(name(&|seen| seen.version = "v1.34.1+k3s1".to_owned()), "k3s");
    assert_eq!(name(&|_| {}), "");
    assert_eq!(look(&cluster("gce", 1)).host.name, "Google Cloud");
}

#[test]
fn what_is_there_already() {
    let namespace = |name: &str, labels: Value| object("Namespace", "", name, json!({ "labels": labels }));
    let mut cluster = cluster("kind", 1);
    cluster.0.groups = ["argoproj.io", "networking.istio.io", "notistio.io"].map(str::to_owned).to_vec();
    cluster.0.namespaces = vec![namespace("argocd", json!({})), namespace("default", json!({}))];
    let seen = look(&cluster);
    let expected = ["namespace argocd", "Istio (API networking.istio.io)", "an Argo project (API argoproj.io)"];
    assert_eq!((seen.existing.as_slice(), seen.is_installed), (expected.map(str::to_owned).as_slice(), false));
    // All of that is ours, once the installation is.
    cluster.0.namespaces = ["argocd", "platctl-system"]
        .map(|name| namespace(name, json!({"platctl.dev/component": "namespaces"})))
        .to_vec();
    let seen = look(&cluster);
    assert_eq!((seen.existing.as_slice(), seen.is_installed), ([].as_slice(), true));
}

#[test]
fn bad_answers_are_refused_with_words() {
    let bad = [
        ("profile", "staging"),
        ("profile", "3"),
        ("domain", "https://example.org"),
        ("domain", "localhost"),
        ("domain", "a_b.example.org"),
        ("tls", "none"),
        ("tls-secret", "My Secret"),
        ("exposure", "Ingress"),
        ("api-server-ports", "443, https"),
        ("api-server-ports", "0"),
        ("storage-class", "Fast!"),
        ("database-size", "5"),
        ("database-size", "5GB"),
        ("log-size", "100Mi"),
        ("log-retention", "36h"),
        ("log-retention", "0d"),
        ("audit-retention", "long"),
        ("repository", "platform"),
        ("repository", "https://me:word@git.example.org/platform.git"),
        ("repository", "https://git.example.org"),
        ("branch", "a b"),
        ("credentials-secret", "-x"),
        ("secrets", "\u{1b}[A"),
    ];
    let interview = answered("");
    let refusal = |(id, text): (&str, &str)| {
        let question = QUESTIONS.iter().find(|question| question.id == id).unwrap();
        format!("{id}: {}", question.accept(&interview.scene, interview.answers(), text).unwrap_err())
    };
    insta::assert_snapshot!(bad.map(refusal).join("\n"), @"
    profile: `staging` is none of the options: there are `dev`, `prod`
    profile: `3` is none of the options: there are `dev`, `prod`
    domain: `https://example.org` is a URL, but the name alone is expected, such as platform.example.org
    domain: `localhost` is no DNS name such as platform.example.org
    domain: `a_b.example.org` is no DNS name such as platform.example.org
    tls: `none` is none of the options: there are `generated`, `secret`
    tls-secret: `My Secret` is no name in Kubernetes: lower-case letters, digits, `-` and `.`
    exposure: `Ingress` is none of the options: there are `LoadBalancer`, `NodePort`
    api-server-ports: `443, https` is no list of ports; write it as 443, 6443
    api-server-ports: `0` is no list of ports; write it as 443, 6443
    storage-class: `Fast!` is no name in Kubernetes: lower-case letters, digits, `-` and `.`
    database-size: `5` is no size; write it as 10Gi
    database-size: `5GB` is no size; write it as 10Gi
    log-size: 100Mi is too small, 1Gi is the least
    log-retention: `36h` is no number of whole days; write it as 31d
    log-retention: `0d` is no number of whole days; write it as 31d
    audit-retention: `long` is no number of whole days; write it as 31d
    repository: `platform` is no URL of a Git repository, such as https://git.example.org/team/platform.git
    repository: the URL holds credentials, and the profile is made to be committed: put them into a Secret
    repository: `https://git.example.org` is no URL of a Git repository, such as https://git.example.org/team/platform.git
    branch: `a b` is no name of a branch
    credentials-secret: `-x` is no name in Kubernetes: lower-case letters, digits, `-` and `.`
    secrets: it holds a control character, as the arrow keys make them here
    ");
}

#[test]
fn answers_may_be_short() {
    let interview = answered("");
    let accept = |id: &str, text: &str| {
        let question = QUESTIONS.iter().find(|question| question.id == id).unwrap();
        question.accept(&interview.scene, interview.answers(), text).unwrap()
    };
    assert_eq!(accept("profile", "2"), "prod");
    assert_eq!(accept("exposure", "node"), "NodePort");
    assert_eq!(accept("log-retention", "14"), "14d");
    assert_eq!(accept("log-retention", "336h"), "14d");
    assert_eq!(accept("domain", "Example.ORG"), "example.org");
    for url in [URL, "git@github.com:team/platform.git", "ssh://git@git.example.org/platform.git"] {
        assert_eq!(accept("repository", url), url);
    }
}

#[test]
fn question_mark_explains_and_less_goes_back() {
    let mut interview = interview(None, "");
    let profile = next(&mut interview);
    assert_eq!(interview.reply(profile, "?"), Reply::Explain);
    assert_eq!(interview.reply(profile, "<"), Reply::Refused("this is the first question".to_owned()));
    assert_eq!(interview.reply(profile, ""), Reply::Taken);
    let domain = next(&mut interview);
    assert_eq!(interview.reply(domain, " example.org "), Reply::Taken);
    let tls = next(&mut interview);
    assert_eq!((tls.id, interview.progress().0), ("tls", 3));
    assert_eq!(interview.reply(tls, "<"), Reply::Back);
    let again = next(&mut interview);
    let proposal = interview.proposal(again).unwrap();
    assert_eq!(
        (again.id, proposal.value.as_str(), proposal.why.as_str()),
        ("domain", "example.org", "as you said before")
    );
    // Another profile has other proposals: what was said for the first counts no more.
    assert_eq!(interview.reply(again, "back"), Reply::Back);
    let profile = next(&mut interview);
    assert_eq!(interview.reply(profile, "prod"), Reply::Taken);
    let domain = next(&mut interview);
    assert!(interview.proposal(domain).is_none());
    assert!(matches!(interview.reply(domain, ""), Reply::Refused(_)));
}

/// A question that is gone with its reason leaves nothing behind.
#[test]
fn going_back_forgets_what_followed() {
    let script = "profile: dev\ndomain: example.org\nexposure: NodePort\n";
    let mut interview = interview(None, script);
    let tls = next(&mut interview);
    assert_eq!(interview.reply(tls, "secret"), Reply::Taken);
    let secret = next(&mut interview);
    assert_eq!(interview.reply(secret, "mine"), Reply::Taken);
    assert_eq!(next(&mut interview).id, "storage-class");
    assert_eq!((interview.back(), interview.back()), (Reply::Back, Reply::Back));
    assert_eq!(next(&mut interview).id, "tls");
    assert_eq!(interview.reply(tls, "generated"), Reply::Taken);
    assert_eq!(next(&mut interview).id, "storage-class", "given answers are in force again");
    assert!(!interview.answers().contains_key("tls-secret"));
}

#[test]
fn each_context_is_looked_at_once_it_is_chosen() {
    let mut interview = interview(None, "");
    interview.scene.contexts = vec!["a".to_owned(), "b".to_owned()];
    interview.scene.current = Some("b".to_owned());
    let context = next(&mut interview);
    assert_eq!(interview.reply(context, ""), Reply::Taken);
    assert!(matches!(interview.step().unwrap(), Step::Look(name) if name == "b"));
    interview.saw("b".to_owned(), None);
    let profile = next(&mut interview);
    assert_eq!(interview.reply(profile, "<"), Reply::Back);
    assert_eq!(next(&mut interview).id, "context");
    assert_eq!(interview.reply(context, "a"), Reply::Taken);
    assert!(matches!(interview.step().unwrap(), Step::Look(name) if name == "a"));
}

#[test]
fn mistakes_in_given_answers() {
    let read = |text: &str| Failure::of(&Script::default().read("answers.yaml", text).unwrap_err()).what;
    let walk = |text: &str| {
        let mut interview = interview(None, text);
        loop {
            match interview.step() {
                Ok(Step::Ask(question)) => interview.skip(question, false),
                Ok(_) => panic!("`{text}` passed"),
                Err(error) => return Failure::of(&error).what,
            }
        }
    };
    let said = [
        read("domian: example.org"),
        read("domain: [a]"),
        walk("profile: dev\ndomain: a b"),
        walk("branch: main\nrepository: in-cluster"),
        walk("profile: dev\ndomain: example.org\ntls: generated\nexposure: NodePort\nlog-retention: 31"),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    answers.yaml:1: no question `domian`: did you mean `domain`?
    answers.yaml:1: `domain`: text is expected
    answers.yaml:2: `domain`: `a b` is no DNS name such as platform.example.org
    answers.yaml:1: `branch` is not asked, as the other answers are
    nothing is asked here, and there is no answer to `storage-class`, `database-size`, `log-size`, `audit-retention`, `repository`, `secrets`
    ");
}

/// The profile that the answers' file gives, and the one that the flags give.
fn both_ways(interview: &Interview) -> (Value, Value) {
    let catalog = embedded::catalog().unwrap();
    let built_in = embedded::profiles();
    let load = |base: Base, set: &[String]| {
        let profile = Profile::load(&Layers { built_in: &built_in, base, values: &[], set }, &catalog).unwrap();
        serde_json::to_value(profile).unwrap()
    };
    let text = written::file(interview.answers(), "1.2.3");
    let by_file = load(Base::File { name: "mine.yaml", text: &text }, &[]);
    let flags = written::flags(&interview.scene, interview.answers());
    let mut set = Vec::new();
    for pair in flags.chunks(2) {
        match pair[0].as_str() {
            "--set" => set.push(pair[1].clone()),
            "--repo-url" => {
                set.extend(["repository.mode=external".to_owned(), format!("repository.url={}", pair[1])]);
                set.push("components.gitea.enabled=false".to_owned());
            }
            _ => {}
        }
    }
    (by_file, load(Base::Name(&flags[1]), &set))
}

/// What a profile leads to: values that only repeat a chart's default make no difference.
fn effective(profile: &Value) -> Value {
    let profile: Profile = serde_json::from_value(profile.clone()).unwrap();
    let plan = platctl::plan::build(&profile, &embedded::catalog().unwrap()).unwrap();
    let objects: Vec<&Value> = plan.objects().map(|(_, object)| object.value()).collect();
    let mut outside = serde_json::to_value(&profile).unwrap();
    outside["components"].take();
    json!({"objects": objects, "profile": outside})
}

#[test]
fn file_and_flags_say_what_was_answered() {
    let external = format!("repository: {URL}\nbranch: '1.0'\ncredentials-secret: '123'\n");
    let sets = [
        String::new(),
        "domain: example.org\nexposure: NodePort\nstorage-class: 'on'\ndatabase-size: 7Gi\nlog-size: 1Ti\n\
         log-retention: 14\naudit-retention: 365d\nsecrets: external\ntls: secret\ntls-secret: '1e3'\n"
            .to_owned(),
        external.clone(),
        format!("profile: prod\ndomain: example.org\n{external}"),
        format!("profile: prod\ndomain: example.org\ntls: generated\nsecrets: generated\n{external}"),
    ];
    for set in sets {
        let interview = answered(&set);
        let (by_file, by_flags) = both_ways(&interview);
        assert!(effective(&by_file) == effective(&by_flags), "{set}");
        for setting in
            QUESTIONS.iter().filter_map(|question| Some(question.settings(interview.answers().get(question.id)?)))
        {
            for (key, value, _) in setting {
                assert_eq!(by_file.pointer(&format!("/{}", key.replace('.', "/"))), Some(&value), "{key} of {set}");
            }
        }
    }
}

/// Some clusters do not listen where the profiles say, and NetworkPolicies go by the port.
#[test]
fn unusual_ports_of_the_api_server_go_into_the_profile() {
    let with = |ports: &[u16]| {
        let mut cluster = cluster("kind", 1);
        cluster.0.api_server_ports = ports.to_vec();
        interview(Some(look(&cluster)), "")
    };
    for usual in [&[443, 6443][..], &[443], &[]] {
        assert!(!proposals(with(usual)).contains("api-server-ports"), "{usual:?}");
    }
    let proposed = proposals(with(&[443, 16443]));
    let expected = "\napi-server-ports: 443, 16443 (where its Service and its endpoints listen)\n";
    assert!(proposed.contains(expected), "{proposed}");

    let mut interview = with(&[443, 16443]);
    while let Step::Ask(question) = interview.step().unwrap() {
        interview.skip(question, true);
    }
    let text = written::file(interview.answers(), "1.2.3");
    let expected = "# Where the Service of the API server and the API server itself listen; NetworkPolicies admit these ports.\n\
                    apiServerPorts: [443,16443]\n";
    assert!(text.contains(expected), "{text}");
    let (by_file, by_flags) = both_ways(&interview);
    assert_eq!(by_file["apiServerPorts"], json!([443, 16443]));
    assert!(effective(&by_file) == effective(&by_flags));
}

#[test]
fn the_file_explains_itself() {
    insta::assert_snapshot!(written::file(answered(&format!("repository: {URL}")).answers(), "1.2.3"), @r#"
    # Written by `platctl init` (1.2.3), for `platctl install --profile FILE`. Holds no secrets.
    # What is not here is as in the built-in profile: `platctl profile show dev`.

    # The built-in profile that has whatever is not here.
    extends: dev

    # The hosts are auth.<domain>, grafana.<domain> and argocd.<domain>.
    domain: platform.localhost

    tls:
      # generated: by a CA that platctl makes. secret: you supply the Secret in istio-ingress.
      mode: generated

    # Of all volumes; empty: the cluster's default.
    storageClass: ""

    repository:
      # in-cluster: a small Git server inside. external: the repository at `url`.
      mode: external
      # Holds what `platctl export DIR` writes, with this profile.
      url: https://git.example.org/team/platform.git
      # What is pushed to it is applied.
      branch: main
      # A Secret in argocd; empty for a public repository.
      credentialsSecret: ""

    # generated: platctl makes each once, in the cluster. external: you supply them.
    secrets: generated

    components:
      istio-gateway:
        values:
          service:
            # LoadBalancer: the cluster gives it an address. NodePort: a port of every node.
            type: LoadBalancer
      postgres:
        values:
          storage:
            # Of each of the instances. May grow later, never shrink.
            size: 5Gi
      loki:
        values:
          persistence:
            # Belongs together with the retention. Cannot be changed later.
            size: 10Gi
          # Of all logs: whole days, in hours.
          retention: 744h
          # Of the audit records of Keycloak and PostgreSQL: whole days, in hours.
          auditRetention: 2160h
      gitea:
        # No Git server inside.
        enabled: false
    "#);
}

#[test]
fn words_of_a_command_line_survive_a_shell() {
    assert_eq!(written::quoted("loki.retention=744h"), "loki.retention=744h");
    assert_eq!(written::quoted("branch=\"1.0\""), "'branch=\"1.0\"'");
    assert_eq!(written::quoted("it's"), r"'it'\''s'");
    assert_eq!(written::quoted(""), "''");
}

#[test]
fn volumes_are_those_of_the_rendered_objects() {
    let of = |platform: &crate::platform::Platform| {
        let volumes = volumes(&platform.plan);
        volumes.iter().map(|one| (one.component.clone(), one.count, one.bytes / GIBI)).collect::<BTreeSet<_>>()
    };
    let set = |volumes: &[(&str, u64, u64)]| {
        volumes.iter().map(|(name, count, size)| ((*name).to_owned(), *count, *size)).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(dev()), set(&[("gitea", 1, 2), ("loki", 1, 10), ("postgres", 3, 5)]));
    assert_eq!(of(prod()), set(&[("grafana", 1, 2), ("loki", 1, 10), ("postgres", 3, 5)]));
}

#[test]
fn help_names_every_question_in_order() {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("init").unwrap().render_long_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let ids: Vec<&str> = QUESTIONS.iter().map(|question| question.id).collect();
    assert!(help.contains(&format!("Questions: {}.", ids.join(", "))), "{help}");
}

#[test]
fn every_question_is_explained() {
    for question in &QUESTIONS {
        assert!(question.title.ends_with('?') && question.help.ends_with('.'), "{}", question.id);
    }
}
