//! What is most likely behind words in which a cluster says that something does not get ready, and what to do about it. One table: words of the
//! kubelet, the scheduler, admission and the programs themselves, as they were seen, beside what people do then. Where nothing fits, nothing
//! is said: a wrong guess costs more time than none.

/// Likely, not certain: the words stand above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    pub cause: &'static str,
    pub advice: &'static str,
}

/// All of `all` and one of `any` stand in one and the same line, in lower case.
struct Entry {
    all: &'static [&'static str],
    any: &'static [&'static str],
    remedy: Remedy,
}

const fn entry(
    all: &'static [&'static str],
    any: &'static [&'static str],
    cause: &'static str,
    advice: &'static str,
) -> Entry {
    Entry { all, any, remedy: Remedy { cause, advice } }
}

const PULL: &[&str] = &["pull"];

/// The more telling first: what a program says of itself, what a registry answers, then the bare states.
const TABLE: [Entry; 22] = [
    entry(
        &[],
        &["no space left on device"],
        "the volume or the node's disk is full",
        "make room, or enlarge the volume: its size is a key of the profile",
    ),
    entry(
        &["password authentication failed"],
        &["user"],
        "the database is of an earlier installation and has another password than the Secret",
        "put the Secret of back then in its place, or give the role the new password",
    ),
    entry(
        &[],
        &["exec format error"],
        "the image is for another processor than the node's",
        "`platctl explain architecture` says which are served",
    ),
    entry(
        PULL,
        &["toomanyrequests", "429 too many requests", "rate limit"],
        "the registry limits how much may be pulled",
        "name a Secret with a login in `imagePullSecrets`, or a mirror with `--registry-mirror`",
    ),
    entry(
        PULL,
        &["unauthorized", "403 forbidden", "authorization failed", "access denied", "no basic auth credentials"],
        "the registry wants a login, or another one",
        "name a Secret with it in `imagePullSecrets`; `platctl explain pull-secrets` says where it has to be",
    ),
    entry(
        PULL,
        &["not found", "manifest unknown", "name unknown"],
        "the registry does not have this image",
        "if it is a mirror, fill it: `platctl images --format skopeo` or `crane` prints the commands",
    ),
    entry(
        PULL,
        &["x509:", "certificate signed by unknown authority"],
        "the node does not trust the registry's certificate",
        "give the node's container runtime the CA of the registry",
    ),
    entry(
        PULL,
        &["dial tcp", "no such host", "connection refused", "i/o timeout", "deadline exceeded", "tls handshake"],
        "the node does not reach the registry",
        "mend the node's DNS, proxy or firewall, or name a mirror that it reaches with `--registry-mirror`",
    ),
    entry(
        &["image"],
        &["errimagepull", "imagepullbackoff", "failed to pull"],
        "the node cannot pull the image",
        "`kubectl describe` the pod for the registry's own words; `platctl images` lists what is needed",
    ),
    entry(
        &["dial tcp", ":443"],
        &["i/o timeout", "deadline exceeded", "no route to host"],
        "the pod does not reach the API server (a NetworkPolicy without its port, or the node's network)",
        "`platctl explain api-server-ports` says how the port is found",
    ),
    entry(
        &[],
        &["oomkilled"],
        "the container needs more memory than its limit",
        "raise `resources.limits.memory` of the component in the profile",
    ),
    entry(
        &[],
        &["exceeded quota"],
        "a ResourceQuota of the namespace is used up",
        "raise it, or give the platform its namespaces to itself",
    ),
    entry(
        &[],
        &["violates podsecurity", "violates pod security"],
        "admission refuses the pod",
        "`platctl explain pod-security` says what to exempt",
    ),
    entry(
        &[],
        &["failed calling webhook"],
        "the program behind a webhook does not answer",
        "look at that program first; `sidecar-injector` is istiod, `cnpg` the operator",
    ),
    entry(
        &[],
        &[
            "unbound immediate persistentvolumeclaims",
            "didn't find available persistent volumes",
            "no volume is bound yet",
        ],
        "nothing makes a volume for its claim",
        "`kubectl describe pvc` in that namespace says why; `--set storageClass=NAME` takes another StorageClass",
    ),
    entry(
        &[],
        &["volume node affinity conflict"],
        "its volume is on a node, or in a zone, that takes no pods now",
        "bring that node back, or add one in that zone",
    ),
    entry(
        &["insufficient"],
        &["cpu", "memory", "too many pods"],
        "the nodes have no room left",
        "add a node, or lower the requests in the profile; `platctl preflight` counts what is free",
    ),
    entry(
        &["node"],
        &["were unschedulable", "untolerated taint"],
        "the nodes are cordoned or tainted",
        "`kubectl uncordon` the node, take the taint away, or add a node",
    ),
    entry(
        &["failedmount"],
        &["not found"],
        "a Secret or ConfigMap that the pod mounts is missing",
        "its name stands above; if it is to be supplied, supply it",
    ),
    entry(
        &[],
        &["failedcreatepodsandbox", "cni plugin"],
        "the node's network plugin fails",
        "look at its pods in `kube-system`",
    ),
    entry(
        &[],
        &["load balancer has no address"],
        "nothing gives Services of type LoadBalancer an address",
        "`platctl explain load-balancer` says what does; or `--set istio-gateway.service.type=NodePort`",
    ),
    entry(
        &[],
        &["permission denied"],
        "the container may not write to its volume, which ignores `fsGroup`, as NFS and hostPath often do",
        "take a StorageClass that honours it: `--set storageClass=NAME`",
    ),
];

/// The first entry of the table that fits a line of what was said.
pub fn remedy<'a>(said: impl IntoIterator<Item = &'a str>) -> Option<Remedy> {
    let lines: Vec<String> = said.into_iter().flat_map(str::lines).map(str::to_lowercase).collect();
    let fits = |entry: &&Entry| {
        lines.iter().any(|line| {
            entry.all.iter().all(|word| line.contains(word)) && entry.any.iter().any(|word| line.contains(word))
        })
    };
    TABLE.iter().find(fits).map(|entry| entry.remedy)
}

impl Remedy {
    pub fn in_words(&self) -> String {
        format!("likely {}: {}", self.cause, self.advice)
    }
}
