//! The table of checks, in the order in which people read them, with what `platctl explain` says of each. `docs/checks.md` is made from it.

use super::Severity::{Blocking, Warning};
use super::{Check, addresses, balancer, capacity, cluster, conflicts, network, outside, pods, storage};

pub static CHECKS: [Check; 20] = [
    Check {
        code: "api-version",
        severities: &[Blocking, Warning],
        title: "Kubernetes is of a version that the platform works with",
        looks_at: "The version that the API server gives at `/version`. The kubelets' versions are not looked at; they may be older by the three \
                   minor versions that Kubernetes allows.",
        matters: "The database's Jobs have sidecars of the mesh and would never end without native sidecars, which are on for good from 1.33. \
                  A version newer than the newest tried may have dropped an API that a chart uses.",
        mend: "Upgrade the cluster if it is too old. If it is too new, look for a newer platctl; going on is a risk, not a certain failure.",
        always: None,
        judge: cluster::api_version,
    },
    Check {
        code: "permissions",
        severities: &[Blocking],
        title: "You may do all that the installation needs",
        looks_at: "One SelfSubjectAccessReview for each kind and namespace of the rendered objects and each verb that platctl uses on it, and \
                   the same for its inventory, its lock and the Secrets that it generates. If you may do everything, one question is enough.",
        matters: "A right that is missing half-way leaves half an installation. Deleting is asked for too, as `uninstall` needs it.",
        mend: "Use a context with the rights of `cluster-admin`. `platctl preflight -o json` lists every right that is missing, under \
               `facts.denied`. Roles that the charts create hold rights that you must have yourself, which this cannot ask for.",
        always: None,
        judge: cluster::permissions,
    },
    Check {
        code: "foreign-objects",
        severities: &[Blocking, Warning],
        title: "Nothing of others has the name of one of the platform's objects",
        looks_at: "Every object of the plan is read by its name. One that exists without the label `platctl.dev/component` is somebody else's.",
        matters: "platctl never changes or deletes what is not its own. An Istio or an Argo CD of the same names would otherwise be \
                  overwritten. A namespace can be shared: it is labelled, and `uninstall` leaves it.",
        mend: "Remove the other installation, its CRDs too. If platctl is to own an object, label it yourself: \
               `kubectl label KIND NAME platctl.dev/component=COMPONENT`.",
        always: Some("it is all that keeps platctl from taking, and later deleting, what is not its own"),
        judge: conflicts::foreign_objects,
    },
    Check {
        code: "conflicts",
        severities: &[Warning],
        title: "No second Istio, CloudNativePG or Argo CD is in the cluster, nor another mesh",
        looks_at: "The labels of all pods: istiod, the CloudNativePG operator, Argo CD and Linkerd in namespaces that are not the platform's for \
                   them. Also the MutatingWebhookConfigurations of Istio's sidecar injectors, whose istiod may be gone.",
        matters: "All of them look at the whole cluster unless told otherwise. Two injectors change the same pods, two database operators \
                  work against each other, and a webhook without anybody behind it stops all pods that it is asked about.",
        mend: "Remove the other installation or restrict it to namespaces of its own: Istio by revision and `discoverySelectors`, \
               CloudNativePG by `WATCH_NAMESPACE`, Argo CD by its namespaced installation. Delete webhook configurations that were left behind.",
        always: None,
        judge: conflicts::conflicts,
    },
    Check {
        code: "crd-versions",
        severities: &[Blocking],
        title: "CRDs that exist have no objects in versions that ours do not know",
        looks_at: "`status.storedVersions` of each CRD of the plan that exists, against the versions in the chart's CRD of that name.",
        matters: "The API server refuses a CRD that leaves out a version in which objects may be stored, so the wave would fail at it.",
        mend: "Upgrade the product that brought the CRD to a version near to the platform's, migrate its objects to the newer version (write \
               each back unchanged), then take the old one out of `status.storedVersions`. Or remove the CRD, which deletes all its objects.",
        always: None,
        judge: conflicts::crd_versions,
    },
    Check {
        code: "nodes",
        severities: &[Blocking],
        title: "At least one node takes pods",
        looks_at: "The nodes' condition Ready, whether they are cordoned, and taints with the effects NoSchedule and NoExecute against the \
                   tolerations of the rendered pods.",
        matters: "Without a node that takes them all pods stay pending, and the first wave runs into its timeout.",
        mend: "`kubectl get nodes` and `kubectl describe node NAME` say why a node is not ready. `kubectl uncordon NAME` takes pods again; \
               `kubectl taint nodes NAME KEY:EFFECT-` removes a taint, such as that of control-plane nodes in a cluster of one node.",
        always: None,
        judge: cluster::nodes,
    },
    Check {
        code: "architecture",
        severities: &[Blocking, Warning],
        title: "The nodes can run the images: linux/amd64 or linux/arm64",
        looks_at: "The labels `kubernetes.io/os` and `kubernetes.io/arch` of the nodes that take pods. The images themselves are not asked: \
                   all of the charts' are published for both platforms, those of your own values are your own matter.",
        matters: "A pod on another architecture ends at once with `exec format error`, and the scheduler does not know.",
        mend: "Add nodes of one of the two. In a mixed cluster keep the platform's pods away from the others by a taint.",
        always: None,
        judge: cluster::architecture,
    },
    Check {
        code: "capacity",
        severities: &[Blocking],
        title: "The nodes have room for what the platform requests",
        looks_at: "CPU and memory requests of every rendered pod, times its replicas, against what the nodes that take pods have allocatable, less \
                   the requests of the pods that run on them already. The platform's own namespaces are left out of those, so that a second \
                   run does not count itself. Then the largest pod against the freest node. Sidecars, pods that operators make \
                   besides, a DaemonSet's pods beyond the first, and limits are not counted, so a little more is needed.",
        matters: "The scheduler places by requests, not by use. A pod without room stays pending until the wave's timeout.",
        mend: "Add a node, lower requests or replicas in the profile (`--set keycloak.replicas=1`), or stop what is not needed. With an \
               autoscaler, which adds nodes only once pods are pending, skip the check. If the pods could not be listed, all counts as free.",
        always: None,
        judge: capacity::capacity,
    },
    Check {
        code: "storage-class",
        severities: &[Blocking],
        title: "The StorageClass for the platform's volumes exists",
        looks_at: "The StorageClass that the profile names, else the one annotated `storageclass.kubernetes.io/is-default-class`.",
        matters: "PostgreSQL, Loki, in `prod` Grafana and in `dev` the Git server keep data on volumes. A claim without a class stays pending.",
        mend: "`kubectl get storageclass` lists what there is; choose one with `--set storageClass=NAME`. Where there is none, install a \
               provisioner first: the provider's CSI driver, or local-path-provisioner on a single machine.",
        always: None,
        judge: storage::storage_class,
    },
    Check {
        code: "volumes",
        severities: &[Warning],
        title: "The StorageClass makes volumes by itself, where their pods can use them",
        looks_at: "The class's provisioner and its `volumeBindingMode`, and the zones of the nodes. `platctl preflight` says how many volumes of \
                   which size are claimed, all ReadWriteOnce: each is used from one node at a time, and no class needs to share them. Whether \
                   the storage has that much space no API tells, except for drivers that publish CSIStorageCapacity, which the scheduler reads.",
        matters: "Without a provisioner somebody must make each volume. A volume that is made before its pod is placed \
                  (`Immediate`) may be in a zone in which that pod finds no room, and then the pod is pending for ever.",
        mend: "Choose a class with a provisioner and `volumeBindingMode: WaitForFirstConsumer`, or make PersistentVolumes by hand. Sizes are values \
               of the charts, such as `--set loki.persistence.size=20Gi`; `platctl render` shows every claim.",
        always: None,
        judge: storage::volumes,
    },
    Check {
        code: "load-balancer",
        severities: &[Warning],
        title: "A Service of type LoadBalancer gets an address",
        looks_at: "Services of that type: one with an address is proof, one that has waited for more than five minutes is proof of the contrary. \
                   Else the pods of MetalLB, kube-vip, PureLB and OpenELB, and what the nodes stand on, mostly by their `providerID`. What runs outside \
                   the cluster, as `cloud-provider-kind` and `minikube tunnel` do, is not to be seen before it has given an address.",
        matters: "The ingress gateway is such a Service. The second wave waits for its address, until its timeout.",
        mend: "Start or install something that gives addresses: MetalLB on machines of your own, `cloud-provider-kind` on kind, \
               `minikube tunnel` on minikube. Or expose the gateway on the nodes' ports: `--set istio-gateway.service.type=NodePort`.",
        always: None,
        judge: balancer::load_balancer,
    },
    Check {
        code: "network-policies",
        severities: &[Warning],
        title: "The cluster's network enforces NetworkPolicies",
        looks_at: "The names of the containers in DaemonSets on the nodes' own network: Calico (Canal too), Cilium, Antrea, Weave Net, kube-router, \
                   Kube-OVN, OVN-Kubernetes, kindnet of kind 0.24 or newer, Azure's and AWS' policy agents, and k3s by its version enforce \
                   them. flannel alone and AWS' plugin without its agent do not. Where no such pod is to be seen, nothing is said.",
        matters: "Any API server stores NetworkPolicies; without a plugin that enforces them default-deny stands on paper alone. The mesh's own \
                  rules (mutual TLS, AuthorizationPolicies) hold all the same.",
        mend: "Install Calico or Cilium, or add their policies to what is there (Canal to flannel, the network policy agent to AWS' plugin). To \
               try it: a pod in namespace `default` must get no answer from `nc -z -w 3 loki.observability 3100`.",
        always: None,
        judge: network::network_policies,
    },
    Check {
        code: "pod-security",
        severities: &[Blocking, Warning],
        title: "Admission lets in the pods of the mesh",
        looks_at: "The level of Pod Security that the plan gives to meshed namespaces. Then two kinds of server-side dry runs, which write nothing: \
                   those of the plan's namespaces with a level below `restricted` are applied, and a pod with NET_ADMIN, NET_RAW and user \
                   0 is created, in one of them if it exists, else in `default`. What Pod Security says of that pod is left out: the \
                   platform's namespaces carry a level of their own, which goes before the cluster's default.",
        matters: "The sidecar's init container redirects the pod's traffic as root. Policies of Kyverno, Gatekeeper, OpenShift or a \
                  ValidatingAdmissionPolicy that forbid it stop every pod of `iam-system` and `observability`.",
        mend: "The message names the policy: exempt the two namespaces from it. A conflict over the label \
               `pod-security.kubernetes.io/enforce` means that somebody else set it: take it off, `kubectl label namespace NAME \
               pod-security.kubernetes.io/enforce-`. An admission webhook that does not answer has to be mended or removed first.",
        always: None,
        judge: pods::pod_security,
    },
    Check {
        code: "api-server-ports",
        severities: &[Blocking],
        title: "The NetworkPolicies admit the ports at which pods reach the API server",
        looks_at: "The ports of the Service `default/kubernetes` and of its EndpointSlices, against the profile's `apiServerPorts`.",
        matters: "Operators and Argo CD talk to the API server through default-deny. Some networks see the port of the Service, others the port \
                  behind it, so both must be admitted.",
        mend: "Add the port that is missing, as the hint shows: `--set apiServerPorts=[443,8443]`. `platctl init` writes them into the profile.",
        always: None,
        judge: cluster::api_server_ports,
    },
    Check {
        code: "secrets",
        severities: &[Warning],
        title: "Secrets that are to be supplied from outside are there",
        looks_at: "With `secrets: external` every Secret that the charts refer to, with `tls.mode: secret` the gateway's certificate. Only whether \
                   they exist; their content is not read.",
        matters: "The installation waits for each of them in the wave that needs it, until that wave's timeout.",
        mend: "Create them, or let the External Secrets Operator or the like do it; their namespaces can be created beforehand. Or let platctl \
               generate them: `--set secrets=generated`.",
        always: None,
        judge: outside::secrets,
    },
    Check {
        code: "pull-secrets",
        severities: &[Warning],
        title: "The Secrets that images are pulled with are there",
        looks_at: "Each Secret of `imagePullSecrets` in each namespace that has pods. Only whether it exists; neither its content nor what a \
                   registry makes of it.",
        matters: "A pod that names a pull Secret which is not there is made all the same, and its images are pulled without it: only the \
                  registry's refusal tells.",
        mend: "Create the namespaces and the Secret in each of them: `kubectl create secret docker-registry NAME -n NAMESPACE …`. Where nodes \
               have the credentials themselves, leave `imagePullSecrets` empty.",
        always: None,
        judge: outside::pull_secrets,
    },
    Check {
        code: "certificates",
        severities: &[Warning],
        title: "The gateway's certificate and its CA do not end soon",
        looks_at: "The gateway's certificate, whoever made it, and with `tls.mode: generated` that of platctl's CA, as far as their Secrets are \
                   there. Less than 30 days left is a finding; `status` tells it too. Whether somebody else renews a certificate in time \
                   cannot be seen. The certificates of the mesh, of PostgreSQL and of webhooks are renewed by those who make them.",
        matters: "Once the certificate has ended no browser lets anybody in, and Argo CD's and Keycloak's logins go by the same address.",
        mend: "`platctl credentials rotate istio-gateway` makes a new one from the CA that is there and proves that the gateway shows it. \
               What was supplied from outside is renewed there. A CA that ends is replaced: docs/operations.md, Certificates.",
        always: None,
        judge: outside::certificates,
    },
    Check {
        code: "repository",
        severities: &[Blocking, Warning],
        title: "The repository that Argo CD is to follow is named rightly and prepared",
        looks_at: "The URL of an external repository: its scheme, host and path, and that no password stands in it. Whether its host answers, \
                   `addresses` tries; nothing is read there: Argo CD reads it, from within the cluster, by its own network and credentials, and `install` reports what it says.",
        matters: "The handoff can only succeed if the repository holds what platctl would render. A password in the URL ends up in Git and in \
                  the ApplicationSet, where many can read it.",
        mend: "Write the tree with `platctl export DIR`, with the same profile and flags, commit and push it before the handoff. Credentials \
               belong into a Secret of namespace `argocd`, named by `--set repository.credentialsSecret=NAME`.",
        always: None,
        judge: outside::repository,
    },
    Check {
        code: "addresses",
        severities: &[Warning],
        title: "What the profile names outside of the cluster answers",
        looks_at: "Whether this machine gets a connection to the hosts of `imageRegistry`, `imageRegistries` and an external `repository.url`, \
                   within three seconds. Nothing is asked there, and the charts' own registries are not tried: who pulls from them are the nodes.",
        matters: "These names are typed by hand. A wrong one shows late: pods that cannot pull, or a handoff that does not end.",
        mend: "Correct the name. Where only the cluster reaches it, or this machine goes out by a proxy, there is nothing to mend: nodes and Argo \
               CD go by their own network.",
        always: None,
        judge: addresses::addresses,
    },
    Check {
        code: "clock",
        severities: &[Warning],
        title: "The API server's clock and this machine's agree",
        looks_at: "The header `Date` of an answer of the API server against the local clock. Five minutes apart is a finding. The nodes' clocks are \
                   not looked at.",
        matters: "Certificates of the profile `dev` are made here, valid from an hour ago. If this machine is ahead by more, nobody accepts them \
                  yet. Tokens and the lock between two installations go by the clock too.",
        mend: "Set the clock that is wrong: `timedatectl set-ntp true` on most Linux machines. A virtual machine that slept is often behind.",
        always: None,
        judge: outside::clock,
    },
];

/// What one might expect to be checked, and why it is not.
pub const NOT_CHECKED: [(&str, &str); 3] = [
    (
        "image registries",
        "nodes pull images, by their own network, proxies, mirrors and credentials; whether this machine reaches a registry tells nothing of \
         them, so only mirrors that a profile names are tried (`addresses`). `platctl images` lists the images; one that cannot be pulled ends its wave early, with the kubelet's own message",
    ),
    (
        "access to the Git repository",
        "Argo CD reads it from within the cluster; `install` waits for it at the handoff and shows its message",
    ),
    (
        "free disk space",
        "no API tells it for most storage; a volume that cannot be made shows as an event of its claim, which the failed wait shows",
    ),
];
