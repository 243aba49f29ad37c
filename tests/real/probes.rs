//! Pods of the tests' own among those of the platform, and what they see of the network from there. They carry one label, by which
//! they and all that belongs to them go again. Their program is `tests/lab/real/probe`.

use serde_json::{Value, json};

use crate::lab::eventually;
use crate::platform::Platform;

/// On everything that a test adds to the platform's namespaces.
const LABEL: &str = "lab.platctl.dev/probe";

/// A namespace that is none of the platform's. Pods with a sidecar in it are in the mesh all the same.
pub(crate) const STRANGERS: &str = "lab-strangers";

/// A pod to ask from, or to talk to.
#[derive(Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    /// Its identity.
    pub(crate) account: &'static str,
    pub(crate) has_sidecar: bool,
    pub(crate) command: &'static [&'static str],
}

impl Probe {
    pub(crate) const fn plain(namespace: &'static str, name: &'static str) -> Self {
        Self { namespace, name, account: "default", has_sidecar: false, command: &["serve", ":8080", "probe"] }
    }

    pub(crate) const fn meshed(namespace: &'static str, name: &'static str, account: &'static str) -> Self {
        Self { account, has_sidecar: true, ..Self::plain(namespace, name) }
    }

    fn pod(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": self.name, "namespace": self.namespace,
                "labels": {LABEL: "true", "lab": self.name, "sidecar.istio.io/inject": self.has_sidecar.to_string()},
            },
            "spec": {
                "serviceAccountName": self.account,
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 1,
                "restartPolicy": "Never",
                // As strict as the strictest namespace wants it.
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "probe",
                    "image": "lab.platctl.dev/probe:1",
                    "args": self.command,
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "roots", "mountPath": "/roots"}],
                }],
                "volumes": [{"name": "roots", "configMap": {"name": "istio-ca-root-cert", "optional": true}}],
            },
        })
    }
}

/// What the tests have added. Dropped, it is gone, after a failure too.
pub(crate) struct Probes<'a> {
    platform: &'a Platform,
}

impl<'a> Probes<'a> {
    /// Starts with nothing but the namespace of strangers.
    pub(crate) fn new(platform: &'a Platform) -> Self {
        let probes = Self { platform };
        // Of a test that was killed.
        probes.clear();
        probes.add(&json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": STRANGERS, "labels": {LABEL: "true", "istio-injection": "enabled"}},
        }));
        probes
    }

    /// Adds an object. One with a namespace must carry the label: see `labelled`.
    pub(crate) fn add(&self, object: &Value) {
        self.platform.lab.create(&object.to_string());
    }

    /// Adds an object under this name with the label by which it goes again.
    pub(crate) fn labelled(&self, kind: [&str; 2], namespace: &str, name: &str, spec: &Value) {
        let metadata = json!({"name": name, "namespace": namespace, "labels": {LABEL: "true"}});
        self.add(&json!({"apiVersion": kind[0], "kind": kind[1], "metadata": metadata, "spec": spec}));
    }

    /// Opens the `NetworkPolicies`: the probes may enter these namespaces, and leave them.
    pub(crate) fn open(&self, namespaces: &[&str]) {
        for namespace in namespaces {
            let from = json!([{"namespaceSelector": {}, "podSelector": {"matchLabels": {LABEL: "true"}}}]);
            let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": from}]});
            self.labelled(["networking.k8s.io/v1", "NetworkPolicy"], namespace, "lab-enter", &spec);
            self.open_egress(namespace);
        }
    }

    /// Opens but one side: the probes of this namespace may leave it.
    pub(crate) fn open_egress(&self, namespace: &str) {
        let all = json!({"matchLabels": {LABEL: "true"}});
        let spec = json!({"podSelector": all, "policyTypes": ["Egress"], "egress": [{}]});
        self.labelled(["networking.k8s.io/v1", "NetworkPolicy"], namespace, "lab-leave", &spec);
    }

    pub(crate) fn start(&self, probes: &[Probe]) {
        self.start_changed(probes, |_, _| {});
    }

    /// With a last word of the test on the manifests.
    pub(crate) fn start_changed(&self, probes: &[Probe], change: impl Fn(&Probe, &mut Value)) {
        let lab = &self.platform.lab;
        for probe in probes {
            let mut pod = probe.pod();
            change(probe, &mut pod);
            // The `ServiceAccount` of a namespace that is just being made may not be there yet.
            let pod = pod.to_string();
            eventually("a probe to be admitted", || lab.kubectl_with(&["create", "-f", "-"], &pod));
        }
        for probe in probes {
            let pod = format!("pod/{}", probe.name);
            let condition = "--for=condition=ContainersReady";
            lab.kubectl(&["wait", condition, &pod, "-n", probe.namespace, "--timeout=240s"]);
        }
    }

    /// What a probe says to a command of its program.
    pub(crate) fn ask(&self, probe: &Probe, command: &[&str]) -> String {
        let said = self.platform.exec(probe.namespace, probe.name, "probe", &[&["/probe"], command].concat());
        assert!(said.is_ok(), "{}/{}: {} {}", probe.namespace, probe.name, command.join(" "), said.unwrap_err());
        said.unwrap().trim_end().to_owned()
    }

    /// Asks until the answer begins so: policies and routes need a moment to arrive everywhere.
    pub(crate) fn expect(&self, probe: &Probe, command: &[&str], beginning: &str) -> String {
        let what =
            format!("`{}` from {}/{} to begin with `{beginning}`", command.join(" "), probe.namespace, probe.name);
        eventually(&what, || {
            let said = self.ask(probe, command);
            if said.starts_with(beginning) { Ok(said) } else { Err(said) }
        })
    }

    pub(crate) fn address(&self, probe: &Probe) -> String {
        let pod = format!("/api/v1/namespaces/{}/pods/{}", probe.namespace, probe.name);
        self.platform.lab.get(&pod).unwrap()["status"]["podIP"].as_str().unwrap().to_owned()
    }

    fn clear(&self) {
        // One by one, as a failure to delete one thing must not keep the others; and with the pods gone their addresses are free.
        let kinds = "pods,services,networkpolicies,authorizationpolicies.security.istio.io";
        let selector = format!("{LABEL}=true");
        for what in [&[kinds, "-A"][..], &["namespaces"]] {
            let delete = [&["delete"], what, &["-l", &selector, "--wait=true", "--timeout=120s"]].concat();
            if let Err(stderr) = self.platform.lab.kubectl_with(&delete, "") {
                eprintln!("not all probes are gone: {stderr}");
            }
        }
    }
}

impl Drop for Probes<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}
