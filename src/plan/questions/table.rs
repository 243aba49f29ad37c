//! The questions in their order, each beside what explains it. A new one is an entry here and its name in the help of `cli.rs`.

use serde_json::Value;

use super::checks::{branch, days, host_name, hours, object_name, ports, repository, size};
use super::{Answers, DEFAULT, IN_CLUSTER, NONE, PLAIN, Question, as_in_profile, proposal};

pub static QUESTIONS: [Question; 16] = [
    Question {
        id: "context",
        title: "Which cluster is it for?",
        help: "These are the contexts of your kubeconfig. Only the proposals below depend on it: the profile itself fits any cluster, \
               and `install` says once more where it would write.",
        found: |scene| scene.contexts.iter().map(|name| (name.clone(), String::new())).collect(),
        applies: |scene, _| !scene.contexts.is_empty(),
        propose: |_, scene, _| match &scene.current {
            Some(current) => proposal(current, "the kubeconfig's current context"),
            None => proposal(scene.contexts.first()?, "the first one, as none is current"),
        },
        value: |_| Value::Null,
        ..PLAIN
    },
    Question {
        id: "profile",
        title: "What kind of installation is it?",
        help: "The built-in profile that yours stands on; what you are not asked here is as it says. `platctl profile show dev` and \
               `platctl profile show prod` print them with their comments.",
        words: &[
            ("dev", "everything inside one cluster, nothing to supply"),
            ("prod", "replicas; Secrets, certificate and Git repository come from you"),
        ],
        propose: |_, scene, _| match &scene.seen {
            Some(seen) if seen.host.is_local => proposal("dev", format!("the cluster runs on {}", seen.host.name)),
            Some(seen) if seen.usable < 3 => {
                proposal("dev", format!("prod wants 3 nodes, {} can be used", seen.usable))
            }
            Some(seen) => proposal("prod", format!("{} nodes, and not a cluster on one machine", seen.usable)),
            None => proposal("dev", "it needs nothing from outside"),
        },
        key: "extends",
        comment: "The built-in profile that has whatever is not here.",
        ..PLAIN
    },
    Question {
        id: "domain",
        title: "Which domain?",
        help: "Keycloak is then at auth.<domain>, Grafana at grafana.<domain>, Argo CD at argocd.<domain>. The names must lead to the \
               gateway: one wildcard DNS record *.<domain>. Names under .localhost lead to your own machine without DNS.",
        // That of prod is a placeholder.
        propose: |question, scene, answers| {
            let standard = scene.standard(answers, question.key).filter(|_| answers["profile"] == "dev")?;
            proposal(standard.as_str()?, "names under .localhost lead to your own machine without DNS")
        },
        check: |text, _| host_name(text),
        key: "domain",
        comment: "The hosts are auth.<domain>, grafana.<domain> and argocd.<domain>.",
        ..PLAIN
    },
    Question {
        id: "tls",
        title: "Where does the gateway's certificate come from?",
        help: "generated: platctl makes a CA, keeps its key in the cluster and signs a certificate for *.<domain>; browsers do not know \
               that CA until you trust it. secret: a Secret of type kubernetes.io/tls in istio-ingress, from you or from cert-manager.",
        words: &[("generated", "platctl makes a CA and signs it"), ("secret", "a Secret that you supply")],
        key: "tls.mode",
        comment: "generated: by a CA that platctl makes. secret: you supply the Secret in istio-ingress.",
        ..PLAIN
    },
    Question {
        id: "tls-secret",
        title: "What is the certificate's Secret called?",
        help: "A Secret of type kubernetes.io/tls in the namespace istio-ingress, for *.<domain>. It may come later: the installation \
               waits for it.",
        applies: |_, answers| answers.get("tls").is_some_and(|tls| tls == "secret"),
        check: |text, _| object_name(text),
        key: "tls.secretName",
        comment: "Of type kubernetes.io/tls, for *.<domain>.",
        ..PLAIN
    },
    Question {
        id: "exposure",
        title: "How do people reach the gateway?",
        help: "The gateway's Service. LoadBalancer: the cluster gives it an address with ports 80 and 443. NodePort: a port of every \
               node, which Kubernetes chooses; for kind and minikube, or behind a load balancer of your own.",
        words: &[
            ("LoadBalancer", "the cluster gives the gateway an address"),
            ("NodePort", "a port of every node leads to the gateway"),
        ],
        propose: |question, scene, answers| match scene.seen.as_ref().map(|seen| &seen.balancer) {
            Some(balancer) if balancer.works => proposal("LoadBalancer", &balancer.why),
            Some(balancer) => proposal("NodePort", &balancer.why),
            None => as_in_profile(question, scene, answers),
        },
        key: "components.istio-gateway.values.service.type",
        comment: "LoadBalancer: the cluster gives it an address. NodePort: a port of every node.",
        ..PLAIN
    },
    Question {
        id: "api-server-ports",
        title: "At which ports do pods reach the API server?",
        help: "NetworkPolicies admit connections to the API server by port. Some networks judge by the port of its Service, others by the \
               one that it listens at itself, so both belong here: 443, 16443. The proposal is what the cluster's Service `kubernetes` \
               and its endpoints say.",
        applies: |scene, answers| {
            let admitted = scene.standard(answers, "apiServerPorts").and_then(Value::as_array);
            let ports = scene.seen.iter().flat_map(|seen| &seen.api_server_ports);
            admitted.is_some_and(|admitted| ports.into_iter().any(|port| !admitted.contains(&Value::from(*port))))
        },
        propose: |_, scene, _| {
            let ports: Vec<String> = scene.seen.as_ref()?.api_server_ports.iter().map(u16::to_string).collect();
            proposal(ports.join(", "), "where its Service and its endpoints listen")
        },
        check: |text, _| ports(text),
        key: "apiServerPorts",
        comment: "Where the Service of the API server and the API server itself listen; NetworkPolicies admit these ports.",
        value: |text| text.split(", ").filter_map(|port| port.parse::<u16>().ok()).collect(),
        ..PLAIN
    },
    Question {
        id: "storage-class",
        title: "Which StorageClass do the volumes take?",
        help: "For the databases, the logs and the Git server. `cluster-default` leaves it to the cluster. It cannot be changed once \
               the volumes are there.",
        found: |scene| {
            let Some(seen) = &scene.seen else { return Vec::new() };
            let default =
                seen.default_class().map(|name| (DEFAULT.to_owned(), format!("the cluster's default, now {name}")));
            default
                .into_iter()
                .chain(seen.storage_classes.iter().map(|class| (class.name.clone(), String::new())))
                .collect()
        },
        propose: |_, scene, _| match &scene.seen {
            None => proposal(DEFAULT, "whatever it is"),
            Some(seen) if seen.default_class().is_some() => proposal(DEFAULT, "the cluster has one"),
            Some(seen) => match seen.storage_classes.first() {
                Some(first) => proposal(&first.name, "the cluster has no default"),
                None => proposal(DEFAULT, "no class was seen: install a storage provisioner first"),
            },
        },
        check: |text, _| if text == DEFAULT { Ok(DEFAULT.to_owned()) } else { object_name(text) },
        key: "storageClass",
        comment: "Of all volumes; empty: the cluster's default.",
        value: |text| if text == DEFAULT { "" } else { text }.into(),
        ..PLAIN
    },
    Question {
        id: "database-size",
        title: "How big is each volume of the database?",
        help: "PostgreSQL runs with three instances, so three such volumes. May grow later where the StorageClass can, never shrink.",
        check: |text, _| size(text),
        key: "components.postgres.values.storage.size",
        comment: "Of each of the instances. May grow later, never shrink.",
        ..PLAIN
    },
    Question {
        id: "log-size",
        title: "How big is the volume of the logs?",
        help: "Loki keeps the logs of all containers in it. A full volume takes no more: size and retention belong together. It cannot \
               be changed later.",
        check: |text, _| size(text),
        key: "components.loki.values.persistence.size",
        comment: "Belongs together with the retention. Cannot be changed later.",
        ..PLAIN
    },
    Question {
        id: "log-retention",
        title: "How long are logs kept?",
        help: "Whole days, such as 14d; 336h says the same. Older lines are deleted.",
        check: |text, _| days(text),
        key: "components.loki.values.retention",
        comment: "Of all logs: whole days, in hours.",
        value: hours,
        ..PLAIN
    },
    Question {
        id: "audit-retention",
        title: "How long are audit records kept?",
        help: "The logins and changes that Keycloak and PostgreSQL record. Often a rule of your organisation. Whole days, such as 90d.",
        check: |text, _| days(text),
        key: "components.loki.values.auditRetention",
        comment: "Of the audit records of Keycloak and PostgreSQL: whole days, in hours.",
        value: hours,
        ..PLAIN
    },
    Question {
        id: "repository",
        title: "Which Git repository does Argo CD follow?",
        help: "in-cluster (profile dev only): a small Git server in the cluster, filled by platctl. Otherwise the URL of a repository of \
               yours; `platctl export DIR` writes what belongs into it. No credentials in the URL: the profile is made to be committed.",
        propose: |_, _, answers| match answers["profile"].as_str() {
            "dev" => proposal(IN_CLUSTER, "a small Git server, nothing to supply; or give a URL"),
            _ => None,
        },
        check: |text, answers| repository(text, &answers["profile"]),
        key: "repository.mode",
        comment: "in-cluster: a small Git server inside. external: the repository at `url`.",
        value: |text| if text == IN_CLUSTER { text } else { "external" }.into(),
        more: |text| match text {
            IN_CLUSTER => Vec::new(),
            url => vec![
                ("repository.url", url.into(), "Holds what `platctl export DIR` writes, with this profile."),
                ("components.gitea.enabled", false.into(), "No Git server inside."),
            ],
        },
        ..PLAIN
    },
    Question {
        id: "branch",
        title: "Which branch of it?",
        help: "Argo CD follows this branch: what is pushed to it is applied.",
        applies: |_, answers| is_outside(answers),
        check: |text, _| branch(text),
        key: "repository.branch",
        comment: "What is pushed to it is applied.",
        ..PLAIN
    },
    Question {
        id: "credentials-secret",
        title: "Which Secret holds the credentials of the repository?",
        help: "The name of a Secret in argocd with the keys that Argo CD documents for a repository: username and password, or \
               sshPrivateKey. Only its name goes into the profile. `none` for a public repository.",
        applies: |_, answers| is_outside(answers),
        propose: |_, _, _| proposal(NONE, "right for a public repository"),
        check: |text, _| if text == NONE { Ok(NONE.to_owned()) } else { object_name(text) },
        key: "repository.credentialsSecret",
        comment: "A Secret in argocd; empty for a public repository.",
        value: |text| if text == NONE { "" } else { text }.into(),
        ..PLAIN
    },
    Question {
        id: "secrets",
        title: "Who makes the other Secrets?",
        help: "The first administrators' passwords and the keys of Argo CD, Grafana and the Git server. generated: platctl makes each \
               once, in the cluster, never in Git. external: you or an operator such as External Secrets supply them; the installation \
               waits for each.",
        words: &[("generated", "platctl makes each once, in the cluster"), ("external", "you supply them")],
        key: "secrets",
        comment: "generated: platctl makes each once, in the cluster. external: you supply them.",
        ..PLAIN
    },
];

fn is_outside(answers: &Answers) -> bool {
    answers.get("repository").is_some_and(|repository| repository != IN_CLUSTER)
}
