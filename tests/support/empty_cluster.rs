//! A cluster with nodes and nothing else but perhaps platctl's record of an installation: as much of an API server as the commands need that
//! stop before the first write. It answers over plain HTTP, one request a connection, and remembers what would have changed something.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

pub(crate) struct EmptyCluster {
    pub(crate) port: u16,
    writes: Arc<Mutex<Vec<String>>>,
}

impl EmptyCluster {
    /// With one node of that many cores.
    pub(crate) fn start(cores: u32) -> Self {
        Self::start_with(cores, None, None)
    }

    /// The same, perhaps with the record of an installation, and with what its answers say the time is.
    pub(crate) fn start_with(cores: u32, inventory: Option<String>, date: Option<&'static str>) -> Self {
        let inventory = Arc::new(inventory);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let writes = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&writes);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (log, inventory) = (Arc::clone(&log), Arc::clone(&inventory));
                thread::spawn(move || serve(connection, cores, inventory.as_deref(), date, &log));
            }
        });
        Self { port, writes }
    }

    /// Every request so far that was more than a question.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }

    pub(crate) fn kubeconfig(&self) -> String {
        kubeconfig(&format!("http://127.0.0.1:{}", self.port))
    }
}

/// A kubeconfig with the one context `here`.
pub(crate) fn kubeconfig(server: &str) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    });
    config.to_string()
}

fn serve(mut connection: TcpStream, cores: u32, inventory: Option<&str>, date: Option<&str>, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut request = String::new();
    reader.read_line(&mut request).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let (method, path) = request.trim_end_matches(" HTTP/1.1\r\n").split_once(' ').unwrap();
    let is_trial = path.contains("dryRun=All");
    let path = path.split('?').next().unwrap();
    let is_question = method == "GET" || is_trial || path.ends_with("/selfsubjectaccessreviews");
    if !is_question {
        log.lock().unwrap().push(format!("{method} {path}"));
    }
    let (status, body) = match answer(path, cores, inventory) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", json!({"kind": "Status", "status": "Failure", "message": "not found", "code": 404})),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    let date = date.map(|date| format!("\r\ndate: {date}")).unwrap_or_default();
    // A client that has gone away wants no answer.
    let _ = write!(connection, "{head}{date}\r\nconnection: close\r\n\r\n{body}");
}

fn answer(path: &str, cores: u32, inventory: Option<&str>) -> Option<Value> {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]});
    let resources = |version: &str, list: Vec<Value>| json!({"kind": "APIResourceList", "groupVersion": version, "resources": list});
    let items = |kind: &str, items: Vec<Value>| json!({"kind": kind, "metadata": {}, "items": items});
    Some(match path {
        "/version" => {
            json!({"major": "1", "minor": "34", "gitVersion": "v1.34.1", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
        }
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        "/apis" => json!({"kind": "APIGroupList", "groups": []}),
        "/api/v1" => resources("v1", vec![resource("nodes", "Node", false), resource("configmaps", "ConfigMap", true)]),
        "/api/v1/namespaces/platctl-system/configmaps/platctl-inventory" => json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "platctl-inventory", "namespace": "platctl-system"},
            "data": {"inventory": inventory?},
        }),
        "/apis/storage.k8s.io/v1" => {
            resources("storage.k8s.io/v1", vec![resource("storageclasses", "StorageClass", false)])
        }
        "/api/v1/nodes" => items("NodeList", vec![node(cores)]),
        "/apis/storage.k8s.io/v1/storageclasses" => items("StorageClassList", vec![storage_class()]),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": true}})
        }
        _ => return None,
    })
}

fn node(cores: u32) -> Value {
    json!({
        "metadata": {"name": "one"},
        // A cloud that gives load balancers their addresses.
        "spec": {"providerID": "gce://project/zone/one"},
        "status": {
            "allocatable": {"cpu": cores.to_string(), "memory": "64Gi"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

fn storage_class() -> Value {
    json!({"metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}})
}
