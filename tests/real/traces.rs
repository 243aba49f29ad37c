//! Which layer refused: packets that the lab's `NetworkPolicies` dropped, and what the sidecars wrote about connections.

use std::process::Command;

use serde_json::Value;

use crate::lab::eventually;
use crate::platform::Platform;

/// Where a packet was stopped: at its sender's pod, or at the pod that it was for.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Egress,
    Ingress,
}

/// How many packets of this flow a `NetworkPolicy` has dropped, in the last ten minutes.
pub(crate) fn dropped(side: Side, from: &str, to: &str, port: u16) -> u64 {
    drops(side)(from, to, port)
}

/// The same for many flows, by one look at the node.
pub(crate) fn drops(side: Side) -> impl Fn(&str, &str, u16) -> u64 {
    let set = match side {
        Side::Egress => "egress-drops",
        Side::Ingress => "ingress-drops",
    };
    let output = Command::new("nft").args(["-j", "list", "set", "inet", "lab-policy", set]).output().unwrap();
    assert!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    move |from, to, port| {
        let parts = listed["nftables"].as_array().unwrap().iter();
        let flows = parts.filter_map(|part| part["set"]["elem"].as_array()).flatten();
        let ours = flows.map(|flow| &flow["elem"]).find(|flow| {
            let value = &flow["val"]["concat"];
            (&value[0], &value[1], &value[3]) == (&from.into(), &to.into(), &port.into())
        });
        ours.map_or(0, |flow| flow["counter"]["packets"].as_u64().unwrap())
    }
}

/// Pods of a namespace by a label, as they run.
pub(crate) fn pods(platform: &Platform, namespace: &str, selector: &str) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    let mut pods = platform.lab.list(&path);
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running");
    assert!(!pods.is_empty(), "no pod {selector} runs in {namespace}");
    pods
}

pub(crate) fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

pub(crate) fn address(pod: &Value) -> &str {
    pod["status"]["podIP"].as_str().unwrap()
}

/// The sidecar of this pod has ended a connection from this address, for this reason. The proxy writes its log with a delay.
pub(crate) fn sidecar_refused(platform: &Platform, namespace: &str, pod: &str, from: &str, reason: &str) {
    let from = format!("{from}:");
    eventually(&format!("{reason} in the access log of {namespace}/{pod} about {from}"), || {
        let log = platform.lab.kubectl(&["logs", "-n", namespace, pod, "-c", "istio-proxy", "--tail=5000"]);
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut about =
            entries.filter(|entry| entry["downstream_remote_address"].as_str().is_some_and(|by| by.starts_with(&from)));
        let is_so = |entry: &Value| {
            ["response_code_details", "connection_termination_details"]
                .iter()
                .any(|key| entry[key].as_str().is_some_and(|words| words.starts_with(reason)))
        };
        about.any(|entry| is_so(&entry)).then_some(()).ok_or_else(|| "there is none".to_owned())
    });
}

/// What the proxy of a pod says to a question of its administration interface.
pub(crate) fn proxy(platform: &Platform, namespace: &str, pod: &str, path: &str) -> String {
    let answer = platform.exec(namespace, pod, "istio-proxy", &["pilot-agent", "request", "GET", path]);
    assert!(answer.is_ok(), "{namespace}/{pod} {path}: {answer:?}");
    answer.unwrap()
}
