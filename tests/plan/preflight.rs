//! The checks before the first write: what of a cluster makes which finding. All findings come at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platctl::object::{Id, Object};
use platctl::plan::certificates::{self, Certificate};
use platctl::plan::host::Host;
use platctl::plan::preflight::{
    self, Balancer, CHECKS, Check, Facts, Installation, NOT_CHECKED, Node, Plugin, Refusal, StorageClass,
    StoredVersions, Taint, Unreached, check, find,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::platform::{Platform, dev, prod};

const GIBI: u64 = 1024 * 1024 * 1024;

fn node(name: &str, cpu_millis: u64, gibi: u64) -> Node {
    let (name, platform) = (name.to_owned(), "linux/amd64".to_owned());
    Node { name, platform, ready: true, schedulable: true, cpu_millis, memory_bytes: gibi * GIBI, ..Node::default() }
}

/// A cluster that nothing is wrong with.
fn good() -> Facts {
    Facts {
        version: "v1.34.1".to_owned(),
        minor: 34,
        nodes: vec![node("a", 4000, 8), node("b", 4000, 8), node("c", 4000, 8)],
        storage_classes: vec![StorageClass {
            name: "standard".to_owned(),
            default: true,
            provisioner: "disks.example.org".to_owned(),
            waits_for_consumer: true,
        }],
        balancer: Some(Balancer { works: true, why: "MetalLB is there".to_owned() }),
        plugins: Some(vec![Plugin { name: "Cilium", enforces: true }]),
        clock_ahead: Some(2),
        ..Facts::default()
    }
}

/// The findings of a cluster that differs from the good one.
fn findings(platform: &Platform, change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = good();
    change(&mut facts);
    let in_words = |finding: preflight::Finding| {
        let severities = find(finding.check).unwrap().severities;
        assert!(severities.contains(&finding.severity), "`{}` is not said to be able to do that", finding.check);
        format!("{}: {} ({})\n  hint: {}", finding.severity.verb(), finding.title, finding.check, finding.hint)
    };
    check(&platform.plan, &facts, &[]).into_iter().map(in_words).collect::<Vec<_>>().join("\n")
}

fn object(value: Value) -> Object {
    Object::new(value).unwrap()
}

#[test]
fn nothing_is_said_of_a_good_cluster() {
    assert_eq!(findings(dev(), |_| {}), "");
}

#[test]
fn versions() {
    let of = |minor| {
        findings(dev(), |facts| {
            facts.minor = minor;
            facts.version = format!("v1.{minor}.0");
        })
    };
    insta::assert_snapshot!(of(32), @"
    blocks: Kubernetes v1.32.0 is too old, 1.33 is the oldest that works (api-version)
      hint: upgrade the cluster: the database's Jobs need native sidecars
    ");
    assert_eq!(of(33), "");
    insta::assert_snapshot!(of(99), @"
    warns: Kubernetes v1.99.0 is newer than 1.37, the newest tried (api-version)
      hint: look for a newer platctl
    ");
}

#[test]
fn rights() {
    insta::assert_snapshot!(findings(dev(), |facts| {
        facts.denied = vec!["create namespaces".to_owned(), "patch secrets in namespace iam-system".to_owned()];
    }), @"
    blocks: you may not create namespaces and 1 more (permissions)
      hint: use a context with the rights of `cluster-admin`, or ask for these: `platctl preflight -o json` lists them all
    ");
}

#[test]
fn objects_of_others() {
    insta::assert_snapshot!(findings(dev(), |facts| {
        facts.foreign = vec![
            Id::new("v1", "Namespace", None, "argocd"),
            Id::new("apps/v1", "Deployment", Some("argocd"), "argocd-server"),
        ];
    }), @"
    warns: Namespace argocd exists already and will be labelled (foreign-objects)
      hint: choose another cluster if its contents must stay apart
    blocks: Deployment argocd/argocd-server exists and is not platctl's (foreign-objects)
      hint: remove the other installation first, or label the object `platctl.dev/component` yourself if platctl is to own it
    ");
}

#[test]
fn nodes() {
    insta::assert_snapshot!(findings(dev(), |facts| facts.nodes.iter_mut().for_each(|node| node.schedulable = false)), @"
    blocks: no node is ready and schedulable, of 3: a, b and c are cordoned (nodes)
      hint: `kubectl uncordon a` lets pods in again
    ");
    // Not ready and cordoned; many; none at all.
    let change = |facts: &mut Facts| {
        facts.nodes.push(node("d", 4000, 8));
        facts.nodes.iter_mut().for_each(|node| node.ready = false);
        facts.nodes[1].schedulable = false;
    };
    insta::assert_snapshot!(findings(dev(), change), @"
    blocks: no node is ready and schedulable, of 4: b is cordoned; a, b and 2 more are not ready (nodes)
      hint: `kubectl uncordon b` lets pods in again; `kubectl describe node` says why a node is not ready
    ");
    insta::assert_snapshot!(findings(dev(), |facts| facts.nodes.clear()), @"
    blocks: no node is ready and schedulable, of 0 (nodes)
      hint: add a node
    ");
}

#[test]
fn capacity() {
    let small = findings(dev(), |facts| facts.nodes = vec![node("only", 1000, 2)]);
    let what = ["m of CPU, the nodes have 1000 m", "MiB of memory, the nodes have 2048 MiB", "--skip capacity"];
    assert!(what.iter().all(|words| small.contains(words)), "{small}");
    // A node that takes no pods does not count.
    let cordoned = findings(dev(), |facts| {
        facts.nodes = vec![node("only", 1000, 2), Node { schedulable: false, ..node("big", 64_000, 256) }];
    });
    assert_eq!(cordoned, small);
}

#[test]
fn storage() {
    insta::assert_snapshot!(findings(dev(), |facts| facts.storage_classes.clear()), @"
    blocks: the cluster has no default StorageClass (storage-class)
      hint: install a storage provisioner first
    ");
    insta::assert_snapshot!(findings(dev(), |facts| facts.storage_classes[0].default = false), @"
    blocks: the cluster has no default StorageClass (storage-class)
      hint: give one: `--set storageClass=NAME`, there are `standard`
    ");
    let fast = Platform::load("dev", &["storageClass=fast".to_owned()]);
    insta::assert_snapshot!(findings(&fast, |_| {}), @"
    blocks: there is no StorageClass `fast` (storage-class)
      hint: `kubectl get storageclass` lists what there is
    ");
}

/// Production generates nothing and brings no Git server.
#[test]
fn what_production_expects_from_outside() {
    insta::assert_snapshot!(findings(prod(), |_| {}), @"
    warns: these Secrets are to be supplied and are not there yet: istio-ingress/platform-tls, observability/grafana-admin, iam-system/keycloak-admin, argocd/argocd-admin, argocd/argocd-secret, argocd/argocd-redis (secrets)
      hint: the installation waits for each where it is needed
    warns: Argo CD will follow https://git.example.org/platform.git (repository)
      hint: it must hold what `platctl export DIR` writes, with the same profile and flags, pushed before the handoff
    ");
}

#[test]
fn all_findings_come_at_once() {
    let all = findings(dev(), |facts| *facts = Facts { minor: 20, version: "v1.20.0".to_owned(), ..Facts::default() });
    assert_eq!(all.lines().filter(|line| line.starts_with("blocks")).count(), 3, "{all}");
}

#[test]
fn ports_of_the_api_server() {
    let of = |ports: &[u16]| findings(dev(), |facts| facts.api_server_ports = ports.to_vec());
    assert_eq!(of(&[443, 6443]), "");
    insta::assert_snapshot!(of(&[443, 8443]), @"
    blocks: pods reach the API server at port 8443, which the NetworkPolicies do not admit (api-server-ports)
      hint: add `--set apiServerPorts=[443,8443]`
    ");
}

#[test]
fn addresses_outside() {
    let set = [
        "imageRegistry=mirror.example.org:5000/platform",
        "imageRegistries.docker\\.io=hub.example.org",
        "repository.mode=external",
        "repository.url=git@git.example.org:team/platform.git",
    ];
    let platform = Platform::load("dev", &set.map(str::to_owned));
    let addresses = platform.plan.addresses();
    let named = addresses.iter().map(|address| format!("{} {}:{}", address.key, address.host, address.port));
    insta::assert_snapshot!(named.collect::<Vec<_>>().join("\n"), @"
    repository.url git.example.org:22
    imageRegistries.docker.io hub.example.org:443
    imageRegistry mirror.example.org:5000
    ");
    let why = "no answer in 3 s".to_owned();
    let unreached = vec![Unreached { address: addresses[1].clone(), why }];
    insta::assert_snapshot!(findings(dev(), |facts| facts.unreached = unreached), @"
    warns: hub.example.org:443, which `imageRegistries.docker.io` names, does not answer this machine: no answer in 3 s (addresses)
      hint: is the name right? If only the cluster reaches it, or this machine by a proxy, nothing is wrong
    ");

    // What is named by nobody, or is where it is asked from, is not tried.
    let of = |url: &str| {
        let set = ["repository.mode=external".to_owned(), format!("repository.url={url}")];
        let found = Platform::load("dev", &set).plan.addresses();
        found.into_iter().map(|address| (address.host, address.port)).collect::<Vec<_>>()
    };
    assert_eq!(dev().plan.addresses(), []);
    assert_eq!(of("https://user@git.example.org:8443/a.git"), [("git.example.org".to_owned(), 8443)]);
    assert_eq!(of("ssh://git@[2001:db8::1]/a.git"), [("[2001:db8::1]".to_owned(), 22)]);
    assert_eq!(of("git://10.86.0.1/a.git"), [("10.86.0.1".to_owned(), 9418)]);
    assert_eq!(of("http://gitea-http.gitea.svc.cluster.local:3000/a.git"), []);
    assert_eq!(of("https://git.localhost/a.git"), []);
}

#[test]
fn room_that_others_have_taken() {
    insta::assert_snapshot!(findings(dev(), |facts| {
        for node in &mut facts.nodes {
            node.cpu_taken_millis = 3900;
        }
    }), @"
    blocks: the platform requests 1360 m of CPU, the nodes have 12000 m, of which 300 m are free (capacity)
      hint: add a node, or lower the requests in the profile; where nodes come by themselves when pods wait, `--skip capacity`
    ");
    // Together there is room for it, on no node alone.
    insta::assert_snapshot!(findings(dev(), |facts| {
        facts.nodes = (0..64).map(|index| node(&format!("n{index}"), 400, 0)).collect();
        for node in &mut facts.nodes {
            node.memory_bytes = 300 * 1024 * 1024;
        }
        facts.nodes[0].memory_bytes += GIBI;
        facts.nodes[0].memory_taken_bytes = GIBI;
    }), @"
    blocks: no node has room for a pod of Deployment iam-system/keycloak, which requests 250 m of CPU and 1024 MiB of memory: n63 has 400 m and 300 MiB free (capacity)
      hint: add a node, or lower the requests in the profile; where nodes come by themselves when pods wait, `--skip capacity`
    ");
}

/// What runs in the platform's own namespaces is in the plan already: a second run must not count it twice.
#[test]
fn requests_of_running_pods() {
    let pod = |namespace: &str, node: &str, phase: &str| {
        object(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace},
            "spec": {
                "nodeName": node,
                "containers": [{"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}, {}],
                "initContainers": [
                    {"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
                    {"resources": {"requests": {"cpu": "4"}}},
                ],
            },
            "status": {"phase": phase},
        }))
    };
    let mut nodes = vec![node("a", 4000, 8), node("b", 4000, 8)];
    let pods = [
        pod("shop", "a", "Running"),
        pod("shop", "a", "Succeeded"),
        pod("iam-system", "a", "Running"),
        pod("shop", "", "Pending"),
        pod("kube-system", "b", "Running"),
        pod("kube-system", "b", "Running"),
    ];
    preflight::count_taken(&mut nodes, &pods, &dev().plan);
    let taken: Vec<_> = nodes.iter().map(|node| (node.cpu_taken_millis, node.memory_taken_bytes / GIBI)).collect();
    assert_eq!(taken, [(600, 1), (1200, 2)]);
}

#[test]
fn taints() {
    let tainted =
        |key: &str| vec![Taint { key: key.to_owned(), value: String::new(), effect: "NoSchedule".to_owned() }];
    let control_plane = "node-role.kubernetes.io/control-plane";
    insta::assert_snapshot!(findings(dev(), |facts| {
        for node in &mut facts.nodes {
            node.taints = tainted(control_plane);
        }
    }), @"
    blocks: every node keeps the platform's pods away by a taint: node-role.kubernetes.io/control-plane:NoSchedule (nodes)
      hint: add a node without, or remove it: `kubectl taint nodes --all node-role.kubernetes.io/control-plane:NoSchedule-`
    ");
    // Such a node counts for nothing where others do.
    let other = findings(dev(), |facts| facts.nodes = vec![node("only", 1000, 2)]);
    let both = findings(dev(), |facts| {
        facts.nodes = vec![node("only", 1000, 2), Node { taints: tainted(control_plane), ..node("big", 64_000, 256) }];
    });
    assert_eq!(both, other);
}

#[test]
fn architectures() {
    let on = |platforms: [&str; 3]| {
        findings(dev(), |facts| {
            for (node, platform) in facts.nodes.iter_mut().zip(platforms) {
                platform.clone_into(&mut node.platform);
            }
        })
    };
    assert_eq!(on(["linux/amd64", "linux/arm64", ""]), "");
    insta::assert_snapshot!(on(["linux/amd64", "windows/amd64", "linux/arm64"]), @"
    warns: 1 of 3 usable nodes cannot run the images: b is windows/amd64 (architecture)
      hint: keep the platform's pods away: `kubectl taint nodes b platform:NoSchedule`
    ");
    insta::assert_snapshot!(on(["linux/s390x"; 3]), @"
    blocks: no usable node is linux/amd64 or linux/arm64: a is linux/s390x (architecture)
      hint: add a node of one of these: the images are published for no other
    ");
}

#[test]
fn volumes() {
    insta::assert_snapshot!(findings(dev(), |facts| {
        facts.storage_classes[0].provisioner = "kubernetes.io/no-provisioner".to_owned();
    }), @"
    warns: StorageClass `standard` makes no volumes by itself; the platform claims 5 volumes, 27 GiB together (volumes)
      hint: make the PersistentVolumes beforehand, or choose another class: `--set storageClass=NAME`
    ");
    let immediate = |zones: [&str; 3]| {
        findings(dev(), |facts| {
            facts.storage_classes[0].waits_for_consumer = false;
            for (node, zone) in facts.nodes.iter_mut().zip(zones) {
                zone.clone_into(&mut node.zone);
            }
        })
    };
    assert_eq!(immediate(["north"; 3]), "");
    insta::assert_snapshot!(immediate(["north", "south", "north"]), @"
    warns: StorageClass `standard` makes a volume before it is known where its pod goes, and the nodes are in 2 zones (volumes)
      hint: a volume of one zone is of no use to a pod in another: choose a class with `volumeBindingMode: WaitForFirstConsumer`
    ");
}

#[test]
fn what_is_claimed() {
    let claims = preflight::claims(&dev().plan);
    let of_database = dev().of_kind("Cluster")[0].number("/spec/instances").unwrap();
    assert!(claims.volumes > u64::try_from(of_database).unwrap(), "the database's and others: {claims:?}");
    assert!(claims.bytes > claims.volumes * GIBI / 2, "{claims:?}");
}

#[test]
fn addresses_of_load_balancers() {
    let with = |works: bool| {
        move |facts: &mut Facts| {
            facts.balancer = Some(Balancer { works, why: "kind gives Services no addresses by itself".to_owned() });
        }
    };
    insta::assert_snapshot!(findings(dev(), with(false)), @"
    warns: kind gives Services no addresses by itself (load-balancer)
      hint: the installation waits for the gateway's address: give Services one (MetalLB; on kind `cloud-provider-kind`, on minikube `minikube tunnel`), or do without: `--set istio-gateway.service.type=NodePort`
    ");
    assert_eq!(findings(dev(), with(true)), "");
    // What the hint says is a way out.
    let ports = Platform::load("dev", &["istio-gateway.service.type=NodePort".to_owned()]);
    assert_eq!(findings(&ports, with(false)), "");
    assert_eq!(findings(dev(), |facts| facts.balancer = None), "", "Services may not be listed");
}

/// The wizard proposes by it, the check warns by it. An address that was given says more than the provider's name.
#[test]
fn signs_of_a_load_balancer() {
    let service = |name: &str, kind: &str, ingress: Value| {
        object(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"type": kind}, "status": {"loadBalancer": {"ingress": ingress}},
        }))
    };
    let inside = service("inside", "ClusterIP", json!([]));
    let old = service("old", "LoadBalancer", json!([]));
    let new = service("new", "LoadBalancer", json!([]));
    let front = service("front", "LoadBalancer", json!([{"hostname": "front.example.org"}]));
    let speaker = object(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "speaker", "namespace": "metallb-system", "labels": {"app.kubernetes.io/name": "metallb"}},
    }));
    let speaker = std::slice::from_ref(&speaker);
    let of = |provider: &str, services: &[&Object], pods: &[Object]| {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": {"providerID": format!("{provider}://a")},
        });
        let services: Vec<Object> = services.iter().map(|service| (*service).clone()).collect();
        let host = Host::of("v1.34.1", &[object(node)]);
        let balancer = preflight::balancer(host, &services, pods, |service| service.name() != "new");
        format!("{}: {}", balancer.works, balancer.why)
    };
    let said = [
        of("kind", &[&inside, &old, &front], &[]),
        of("aws", &[&old], &[]),
        of("kind", &[&old], speaker),
        of("kind", &[&inside, &new], speaker),
        of("kind", &[&new], &[]),
        of("oci", &[&new], &[]),
        of("k3s", &[], &[]),
        of("", &[], &[]),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    true: Service shop/front got an address
    false: Service shop/old has been waiting for its address for long
    false: Service shop/old has been waiting for its address for long, although MetalLB is there
    true: MetalLB is there
    false: kind gives Services no addresses by itself
    true: Oracle Cloud gives Services addresses, unless that is off
    true: k3s gives Services addresses, unless that is off
    false: nothing was seen that gives Services of type LoadBalancer an address
    ");
}

#[test]
fn enforcement_of_network_policies() {
    let with = |plugins: &[Plugin]| findings(dev(), |facts| facts.plugins = Some(plugins.to_vec()));
    let flannel = Plugin { name: "flannel", enforces: false };
    insta::assert_snapshot!(with(std::slice::from_ref(&flannel)), @"
    warns: the cluster's network is flannel, which does not enforce NetworkPolicies: default-deny would be written but not be in force (network-policies)
      hint: install a plugin that does, such as Calico or Cilium; with kind, a node image of 0.24 or newer
    ");
    insta::assert_snapshot!(with(&[]), @"
    warns: no network plugin was seen that is known to enforce NetworkPolicies; without one default-deny would be written but not be in force (network-policies)
      hint: if the network of this cluster does enforce them, `--skip network-policies`; else install Calico or Cilium
    ");
    assert_eq!(with(&[Plugin { name: "Calico", enforces: true }, flannel]), "", "together they are Canal");
    assert_eq!(findings(dev(), |facts| facts.plugins = None), "", "nothing was to be seen");
}

/// As their pods show them.
#[test]
fn network_plugins() {
    let pod = |on_host: bool, containers: Value| {
        object(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "kube-system", "ownerReferences": [{"kind": "DaemonSet"}]},
            "spec": {"hostNetwork": on_host, "containers": containers},
        }))
    };
    let seen = |version: &str, on_host: bool, containers: Value| {
        let plugins = preflight::plugins(version, &[pod(on_host, containers)])?;
        Some(plugins.iter().map(|plugin| format!("{} {}", plugin.name, plugin.enforces)).collect::<Vec<_>>().join(", "))
    };
    let of = |containers: Value| seen("v1.34.1", true, containers).unwrap();
    assert_eq!(of(json!([{"name": "calico-node"}, {"name": "kube-flannel"}])), "Calico true, flannel false");
    assert_eq!(of(json!([{"name": "kube-proxy"}])), "");
    let kindnet =
        |tag: &str| of(json!([{"name": "kindnet-cni", "image": format!("docker.io/kindest/kindnetd:{tag}")}]));
    assert_eq!(kindnet("v20240513-cd2ac642"), "kindnet false");
    assert_eq!(kindnet("v20241212-9f82dd49"), "kindnet true");
    let aws = |argument: &str| of(json!([{"name": "aws-node"}, {"name": "aws-eks-nodeagent", "args": [argument]}]));
    assert!(aws("--enable-network-policy=true").ends_with("the AWS policy agent true"));
    assert_eq!(aws("--enable-network-policy=false"), "the AWS VPC CNI without its policy agent false");
    assert_eq!(seen("v1.34.1", false, json!([{"name": "calico-node"}])), None, "not on the nodes' network");
    assert_eq!(seen("v1.34.1+k3s1", false, json!([])).as_deref(), Some("k3s true"));
}

#[test]
fn admission() {
    let refused = |id: Id, why: &str| {
        assert!(preflight::is_of_admission(&id, why), "{why}");
        findings(dev(), |facts| facts.refusals = vec![Refusal { id, why: why.to_owned() }])
    };
    let namespace = || Id::new("v1", "Namespace", None, "iam-system");
    let pod = |namespace: &str| Id::new("v1", "Pod", Some(namespace), "platctl-preflight");
    insta::assert_snapshot!(refused(namespace(), "Apply failed with 1 conflict: conflict with \"kubectl-label\" using v1: .metadata.labels.pod-security.kubernetes.io/enforce"), @r#"
    blocks: Namespace iam-system would be refused: Apply failed with 1 conflict: conflict with "kubectl-label" using v1: .metadata.labels.pod-security.kubernetes.io/enforce (pod-security)
      hint: exempt the platform's namespaces from that policy, or take off the label that somebody else set
    "#);
    insta::assert_snapshot!(refused(pod("default"), "admission webhook \"validate.kyverno.svc-fail\" denied the request: capabilities are restricted"), @r#"
    warns: a pod like those of the mesh would be refused in namespace default: admission webhook "validate.kyverno.svc-fail" denied the request: capabilities are restricted (pod-security)
      hint: allow NET_ADMIN, NET_RAW and user 0 in `iam-system` and `observability`, for the sidecar's init container
    "#);
    insta::assert_snapshot!(refused(namespace(), "Internal error occurred: failed calling webhook \"gone.example.org\": no endpoints available"), @r#"
    warns: an admission webhook does not answer for Namespace iam-system: Internal error occurred: failed calling webhook "gone.example.org": no endpoints available (pod-security)
      hint: mend what stands behind it, or delete its configuration if that is gone
    "#);
    // What says nothing of the platform's pods.
    for (id, why) in [
        (pod("default"), "pods \"platctl-preflight\" is forbidden: violates PodSecurity \"restricted:latest\""),
        (pod("iam-system"), "pods \"platctl-preflight\" is forbidden: violates PodSecurity \"baseline:latest\""),
        (pod("default"), "pods is forbidden: User \"reader\" cannot create resource \"pods\" in API group \"\""),
        (namespace(), "namespaces \"iam-system\" is forbidden: User \"reader\" cannot patch resource \"namespaces\""),
        (pod("default"), "no answer to POST in 30 s"),
    ] {
        assert!(!preflight::is_of_admission(&id, why), "{why}");
    }
    let strict =
        r#"namespaces.namespaces=[{"name":"iam-system","injection":"enabled","podSecurity":"baseline","reason":""}]"#;
    let strict = Platform::load("dev", &[strict.to_owned()]);
    insta::assert_snapshot!(findings(&strict, |_| {}), @"
    blocks: Namespace iam-system enforces the level `baseline` of Pod Security, which lets in no pod of the mesh (pod-security)
      hint: set `podSecurity: privileged` for it in the values of `namespaces`: the sidecar's init container needs NET_ADMIN and NET_RAW
    ");
}

/// The dry runs: only what a cluster may object to is tried.
#[test]
fn what_is_tried() {
    let namespaces: Vec<&str> = preflight::privileged_namespaces(&dev().plan).map(Object::name).collect();
    assert_eq!(namespaces, crate::platform::MESHED);
    let probe = preflight::probe(&dev().plan, "iam-system").unwrap();
    let context = probe.value().pointer("/spec/containers/0/securityContext").unwrap();
    assert_eq!(context["capabilities"]["add"], json!(["NET_ADMIN", "NET_RAW"]), "as the injector's init container");
}

#[test]
fn other_installations() {
    let pod = |namespace: &str, label: &str, value: &str| {
        object(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": namespace, "labels": {label: value}},
        }))
    };
    let pods = [
        pod("istio-system", "app", "istiod"),
        pod("mesh", "app", "istiod"),
        pod("mesh", "app", "istiod"),
        pod("databases", "app.kubernetes.io/name", "cloudnative-pg"),
        pod("argocd", "app.kubernetes.io/part-of", "argocd"),
        pod("gitops", "app.kubernetes.io/part-of", "argocd"),
        pod("linkerd", "linkerd.io/control-plane-component", "destination"),
    ];
    let found = preflight::installations(&pods, &dev().plan);
    insta::assert_snapshot!(findings(dev(), |facts| facts.others = found), @"
    warns: another Istio runs in namespace `mesh` (conflicts)
      hint: two control planes inject the same pods: remove the other one, or give it a revision and `discoverySelectors` of its own
    warns: Linkerd runs in namespace `linkerd` (conflicts)
      hint: a pod cannot be in two meshes: see that no `linkerd.io/inject` annotation is on the platform's namespaces
    warns: another CloudNativePG runs in namespace `databases` (conflicts)
      hint: two operators work against each other on the same databases: remove the other one, or restrict it to its namespaces by `WATCH_NAMESPACE`
    warns: another Argo CD runs in namespace `gitops` (conflicts)
      hint: they share CRDs: keep the other one to its own namespace, and its version near to the platform's
    ");
    let without = Platform::load("dev", &["components.argocd.enabled=false".to_owned()]);
    let found = preflight::installations(&pods[5..6], &without.plan);
    assert_eq!(found, [], "nothing to conflict with");
}

#[test]
fn injectors_left_behind() {
    let webhook = |name: &str, labels: Value, client: Value| {
        object(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name, "labels": labels},
            "webhooks": [{"name": "rev.namespace.sidecar-injector.istio.io", "clientConfig": client}],
        }))
    };
    let service = |namespace: &str| json!({"service": {"name": "istiod", "namespace": namespace}});
    let seen = [
        webhook("istio-sidecar-injector-old", json!({}), service("mesh")),
        webhook("istio-sidecar-injector", json!({"platctl.dev/component": "istiod"}), service("elsewhere")),
        webhook("istio-sidecar-injector-ours", json!({}), service("istio-system")),
        webhook("outside", json!({}), json!({"url": "https://istiod.example.org/inject"})),
    ];
    let found = preflight::other_injectors(&seen, &dev().plan);
    assert_eq!(found.len(), 1, "{found:?}");
    insta::assert_snapshot!(findings(dev(), |facts| facts.injectors.clone_from(&found)), @"
    warns: MutatingWebhookConfiguration istio-sidecar-injector-old calls an istiod in `mesh`, of which no pod is to be seen (conflicts)
      hint: if it was left behind, it keeps pods from being made: `kubectl delete mutatingwebhookconfiguration istio-sidecar-injector-old`
    ");
    let with_istio = findings(dev(), |facts| {
        facts.injectors = found;
        facts.others = vec![Installation { product: "Istio", namespace: "mesh".to_owned() }];
    });
    assert_eq!(with_istio.matches("(conflicts)").count(), 1, "its webhook is part of it: {with_istio}");
}

#[test]
fn versions_of_crds() {
    let live = |name: &str, versions: Value| {
        let live = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
            "status": {"storedVersions": versions},
        });
        preflight::stored_versions(&object(live)).unwrap()
    };
    let with = |stored: StoredVersions| findings(dev(), |facts| facts.definitions = vec![stored]);
    assert_eq!(with(live("clusters.postgresql.cnpg.io", json!(["v1"]))), "");
    insta::assert_snapshot!(with(live("clusters.postgresql.cnpg.io", json!(["v1alpha1", "v1"]))), @"
    blocks: CustomResourceDefinition clusters.postgresql.cnpg.io has objects stored as `v1alpha1`; ours has `v1` (crd-versions)
      hint: the API server would refuse ours: migrate its objects with the tools of the version that made it, or remove it with them
    ");
    assert_eq!(preflight::stored_versions(dev().get("Namespace", "", "iam-system")), None);
}

#[test]
fn clocks() {
    let of = |seconds: i64| findings(dev(), |facts| facts.clock_ahead = Some(seconds));
    assert_eq!(of(300) + &of(-300), "");
    insta::assert_snapshot!(of(-360), @"
    warns: the API server's clock is 6 minutes behind this machine's (clock)
      hint: set the one that is wrong, by NTP: certificates are made here and read there
    ");
    insta::assert_snapshot!(of(3 * 3600), @"
    warns: the API server's clock is 3 hours ahead of this machine's (clock)
      hint: set the one that is wrong, by NTP: certificates are made here and read there
    ");
    assert_eq!(findings(dev(), |facts| facts.clock_ahead = None), "", "the server did not say");
}

/// A certificate as `certificates::read` gives it.
fn certificate(secret: Id, generated: bool, days_left: i64) -> Certificate {
    Certificate { secret, generated, serial: "0A".to_owned(), ends: "2027-12-26".to_owned(), days_left }
}

#[test]
fn certificates_that_end() {
    let gateway = || certificates::of_gateway(&dev().plan).unwrap().0;
    let of = |secret: Id, generated, days| {
        findings(dev(), |facts| facts.certificates = vec![certificate(secret, generated, days)])
    };
    assert_eq!(of(gateway(), true, 30), "");
    assert_eq!(of(certificates::authority(), true, 397), "");
    insta::assert_snapshot!(of(gateway(), true, 29), @"
    warns: the gateway's certificate (Secret istio-ingress/platform-tls) ends in 29 days, on 2027-12-26 (certificates)
      hint: `platctl credentials rotate istio-gateway` makes a new one
    ");
    insta::assert_snapshot!(of(gateway(), true, -1), @"
    warns: the gateway's certificate (Secret istio-ingress/platform-tls) ended on 2027-12-26 (certificates)
      hint: `platctl credentials rotate istio-gateway` makes a new one
    ");
    insta::assert_snapshot!(of(gateway(), false, 1), @"
    warns: the gateway's certificate (Secret istio-ingress/platform-tls) ends in 1 day, on 2027-12-26 (certificates)
      hint: renew it where it comes from: Secret istio-ingress/platform-tls was supplied from outside
    ");
    insta::assert_snapshot!(of(certificates::authority(), true, 0), @"
    warns: the certificate of platctl's CA (Secret platctl-system/platctl-ca) ends within a day, on 2027-12-26 (certificates)
      hint: `kubectl delete secret platctl-ca -n platctl-system`, then `platctl credentials rotate istio-gateway` makes another, which is to be trusted anew: `platctl trust`
    ");
    let told = preflight::check_certificates(&dev().plan, vec![certificate(gateway(), true, 3)]);
    assert_eq!(told.iter().map(|finding| finding.check).collect::<Vec<_>>(), ["certificates"]);
}

#[test]
fn which_certificates_are_watched() {
    let names =
        |platform: &Platform| certificates::watched(&platform.plan).iter().map(Id::to_string).collect::<Vec<_>>();
    assert_eq!(names(dev()), ["Secret istio-ingress/platform-tls", "Secret platctl-system/platctl-ca"]);
    assert_eq!(names(prod()), ["Secret istio-ingress/platform-tls"]);
    assert_eq!(certificates::host(&dev().plan), "grafana.platform.localhost");
}

/// Self-signed, until 2031-02-03T04:05:06Z.
#[test]
fn when_a_certificate_ends() {
    let mut params = rcgen::CertificateParams::new(vec!["*.example.org".to_owned()]).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(1_927_857_906).unwrap();
    params.serial_number = Some(rcgen::SerialNumber::from(vec![0x0a, 0xff]));
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let secret = |name: &str, key: &str, text: &str| {
        object(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "istio-ingress"},
            "data": {key: STANDARD.encode(text)},
        }))
    };
    let tls = secret("platform-tls", "tls.crt", &format!("{pem}{pem}"));
    let read =
        |now| certificates::read(&tls, now).map(|found| (found.serial, found.ends, found.days_left, found.generated));
    let found = |days| Some(("0AFF".to_owned(), "2031-02-03".to_owned(), days, false));
    assert_eq!(read(1_927_857_906), found(0));
    assert_eq!(read(1_927_857_907), found(-1));
    assert_eq!(read(1_927_857_906 - 30 * 24 * 3600 + 1), found(29));
    for nothing in [secret("platform-tls", "tls.crt", "no certificate"), secret("platform-tls", "ca.crt", &pem)] {
        assert_eq!(certificates::read(&nothing, 0), None);
    }
}

#[test]
fn addresses_of_repositories() {
    let of = |url: &str| {
        let url = format!("repository.url={}", Value::from(url));
        let set = ["repository.mode=external".to_owned(), url, "components.gitea.enabled=false".to_owned()];
        findings(&Platform::load("dev", &set), |_| {})
    };
    for fine in [
        "https://git.example.org/team/platform.git",
        "ssh://git@git.example.org:2222/team/platform.git",
        "git@git.example.org:team/platform.git",
        "https://team@dev.azure.com/team/project/_git/platform",
        "http://10.0.0.1:3000/team/platform",
    ] {
        let said = of(fine);
        assert!(
            said.starts_with(&format!("warns: Argo CD will follow {fine} ")) && said.lines().count() == 2,
            "{said}"
        );
    }
    let wrong = [
        "git.example.org/platform",
        "https:///platform.git",
        "https://git.example.org",
        "file:///srv/platform",
        "https://git.example.org/my platform",
    ];
    let titles: Vec<String> = wrong.iter().map(|url| of(url).lines().next().unwrap().to_owned()).collect();
    insta::assert_snapshot!(titles.join("\n"), @"
    blocks: `git.example.org/platform` is not the URL of a Git repository: it names no host (repository)
    blocks: `https:///platform.git` is not the URL of a Git repository: it names no host (repository)
    blocks: `https://git.example.org` is not the URL of a Git repository: it names no repository on that host (repository)
    blocks: `file:///srv/platform` is not the URL of a Git repository: Argo CD reads no Git by `file` (repository)
    blocks: `https://git.example.org/my platform` is not the URL of a Git repository: it has a space in it (repository)
    ");
    insta::assert_snapshot!(of("https://bot:hunter2@git.example.org/team/platform.git"), @"
    warns: Argo CD will follow https://***@git.example.org/team/platform.git (repository)
      hint: it must hold what `platctl export DIR` writes, with the same profile and flags, pushed before the handoff
    warns: the password in https://***@git.example.org/team/platform.git would be written into Git and the ApplicationSet (repository)
      hint: leave it out of the URL and put it into a Secret in `argocd`: `--set repository.credentialsSecret=NAME`
    ");
    assert!(
        !of("https://ghp_0123456789abcdefghij@git.example.org/platform.git").contains("ghp_"),
        "a token is not shown"
    );
}

#[test]
fn checks_that_are_left_out() {
    let facts = Facts { minor: 20, version: "v1.20.0".to_owned(), ..Facts::default() };
    let codes = |skipped: &[&Check]| {
        check(&dev().plan, &facts, skipped).iter().map(|finding| finding.check).collect::<Vec<_>>()
    };
    assert_eq!(codes(&[]), ["api-version", "nodes", "storage-class"]);
    assert_eq!(codes(&[find("nodes").unwrap(), find("api-version").unwrap()]), ["storage-class"]);
    let always = preflight::leave_out("foreign-objects").err().unwrap().to_string();
    assert!(always.starts_with("the check `foreign-objects` cannot be left out: "), "{always}");
    assert_eq!(preflight::leave_out("clock").unwrap().code, "clock");
    assert_eq!(
        find("storage-clas").err().unwrap().to_string(),
        "no check `storage-clas`: did you mean `storage-class`?"
    );
}

/// What `status` says of the cluster when the platform is not ready.
#[test]
fn findings_of_a_platform_that_is_not_ready() {
    let of = |nodes: Vec<Node>, classes: Vec<StorageClass>| {
        let found = preflight::check_standing(&dev().plan, nodes, classes);
        found.iter().map(|finding| finding.check).collect::<Vec<_>>()
    };
    assert_eq!(of(good().nodes, good().storage_classes), [""; 0]);
    assert_eq!(of(vec![Node { ready: false, ..node("a", 1, 1) }], Vec::new()), ["nodes", "storage-class"]);
}

#[test]
fn every_check_is_explained() {
    let codes: BTreeSet<&str> = CHECKS.iter().map(|check| check.code).collect();
    assert_eq!(codes.len(), CHECKS.len(), "each has a code of its own");
    for check in &CHECKS {
        assert!(!check.severities.is_empty(), "{}", check.code);
        for (name, words) in [("looks_at", check.looks_at), ("matters", check.matters), ("mend", check.mend)] {
            let is_whole = words.len() > 60 && words.ends_with('.') && !words.contains("  ");
            assert!(is_whole, "{}: {name} explains nothing or is not well-formed: {words}", check.code);
        }
    }
}

fn row(check: &Check) -> String {
    format!("| [`{}`](docs/checks.md#{}) | {} | {} |\n", check.code, check.code, check.verbs(), check.title)
}

/// Each check has its line in the README, in the same order.
#[test]
fn the_readme_lists_all_checks() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table: String = CHECKS.iter().map(row).collect();
    assert!(readme.contains(&table), "README.md is to have these lines:\n{table}");
}

fn document() -> String {
    let mut text = "# The checks before the first write\n\n\
        `platctl install` and `platctl preflight` look at the cluster before anything is written. A finding that blocks ends the \
        installation there; one that warns does not. This page is what `platctl explain CODE` says, made from \
        `src/plan/preflight/catalogue.rs` by `just golden`.\n"
        .to_owned();
    for check in &CHECKS {
        text += &format!("\n## {}\n\n{}. Findings: {}.\n\n", check.code, check.title, check.verbs());
        text += &format!("**It looks at.** {}\n\n**Why it matters.** {}\n\n", check.looks_at, check.matters);
        text += &format!("**What to do.** {}\n\n**To go on without it.** {}\n", check.mend, check.skipped_by());
    }
    text += "\n## What is not checked\n\n";
    for (what, why) in NOT_CHECKED {
        text += &format!("- **{what}**: {why}.\n");
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, as insta reads it")]
fn the_document_says_what_the_checks_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        fs::write(&path, document()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == document(), "docs/checks.md is not what the checks say: `just golden` writes it");
}

/// A pod without one is made all the same and pulls as nobody, so that only the registry would tell.
#[test]
fn pull_secrets() {
    let set = ["imagePullSecrets=[{name: regcred}]".to_owned()];
    let platform = Platform::load("dev", &set);
    insta::assert_snapshot!(findings(&platform, |_| {}), @"
    warns: the pull Secret `regcred` is not there in argocd, cnpg-system, gitea, iam-system, istio-ingress, istio-system, observability (pull-secrets)
      hint: make it in each: `kubectl create namespace NAMESPACE`, `kubectl create secret docker-registry regcred -n NAMESPACE …`
    ");
    let some = |facts: &mut Facts| {
        let is_there = |id: &Id| id.namespace.as_deref() != Some("observability");
        facts.secrets = platform.plan.pull_secrets().into_iter().filter(is_there).collect();
    };
    insta::assert_snapshot!(findings(&platform, some), @"
    warns: the pull Secret `regcred` is not there in observability (pull-secrets)
      hint: make it in each: `kubectl create namespace NAMESPACE`, `kubectl create secret docker-registry regcred -n NAMESPACE …`
    ");
    assert_eq!(findings(&platform, |facts| facts.secrets = platform.plan.pull_secrets().into_iter().collect()), "");
}
