//! The lab for tests: a real control plane with simulated nodes (`tests/lab`), started in a directory of its own and gone with its owner.
//! Here are its life, its admin API and `kubectl` around the fault proxy; how platctl is run against it is `install/run.rs`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything in the lab may take before a test fails. Far above what is needed: a loaded machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

/// A running lab. Dropped, it is down; when the test failed, its directory stays and is named.
pub(crate) struct Lab {
    directory: PathBuf,
    /// None when the lab was there before and stays.
    own: Option<TempDir>,
    info: Value,
    /// One lab at a time, over all threads and processes: each takes most of a small machine.
    _turn: File,
}

impl Lab {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further flags of `lab up`.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        Self::up(&[&["--pod-delay", "100ms"], flags].concat())
    }

    fn up(flags: &[&str]) -> Self {
        let turn = File::create(bin().join(".turn")).unwrap();
        turn.lock().unwrap();
        let own = tempfile::Builder::new().prefix("platctl-lab-").tempdir().unwrap();
        let directory = own.path().to_owned();
        let mut up = Command::new(bin().join("lab"));
        up.arg("up").arg("--dir").arg(&directory).arg("--detach").args(flags);
        let output = up.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let info = info(&directory);
        let lab = Self { directory, own: Some(own), info, _turn: turn };
        // Each namespace gets these from a controller that may not have come to the first ones yet.
        for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let path = format!("/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt");
            eventually("the control plane to settle", || lab.get(&path).map(drop).ok_or_else(|| path.clone()));
        }
        lab
    }

    /// This machine as the one node, which needs root.
    pub(crate) fn start_real(images: &Path) -> Self {
        Self::up(&["--node", "real", "--images", images.to_str().unwrap()])
    }

    /// A lab that is up already and stays up.
    pub(crate) fn attach(directory: &Path) -> Self {
        let turn = File::create(directory.join(".turn")).unwrap();
        Self { directory: directory.to_owned(), own: None, info: info(directory), _turn: turn }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kubeconfig through the fault proxy, which counts.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory().join("kubeconfig")
    }

    /// Fails requests of platctl: see `tests/lab/README.md`.
    pub(crate) fn fault(&self, fault: &Value) {
        self.admin("POST", "/faults", fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.admin("DELETE", "/faults", &Value::Null);
    }

    /// How the pods of a namespace whose names match behave.
    pub(crate) fn pods(&self, namespace: &str, name: &str, mode: &str, log: &str) {
        let rule = json!({"match": {"namespace": namespace, "nameRegex": name}, "mode": mode, "log": log});
        self.admin("POST", "/pods", &rule);
    }

    pub(crate) fn heal_pods(&self) {
        self.admin("DELETE", "/pods", &Value::Null);
    }

    pub(crate) fn load_balancers(&self, enabled: bool) {
        self.admin("POST", "/loadbalancer", &json!({"enabled": enabled}));
    }

    pub(crate) fn process(&self, name: &str, action: &str) {
        self.admin("POST", &format!("/processes/{name}/{action}"), &Value::Null);
    }

    pub(crate) fn forget_requests(&self) {
        self.admin("DELETE", "/requests", &Value::Null);
    }

    /// What platctl wrote since `forget_requests`, as `METHOD path`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let report = self.admin("GET", "/requests", &Value::Null);
        let rows = report["requests"].as_array().unwrap().iter();
        let writes: Vec<String> = rows
            .filter(|row| row["write"] == true)
            .map(|row| format!("{} {}", row["method"].as_str().unwrap(), row["path"].as_str().unwrap()))
            .collect();
        assert_eq!(report["writes"] == 0, writes.is_empty(), "{report:#}");
        writes
    }

    /// Requests that a fault stopped since `forget_requests`.
    pub(crate) fn faulted(&self) -> u64 {
        self.admin("GET", "/requests", &Value::Null)["faulted"].as_u64().unwrap()
    }

    fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let address = self.info["admin"].as_str().unwrap().trim_start_matches("http://");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // HTTP/1.0: the answer ends with the connection.
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        assert!(status.starts_with('2'), "{method} {path}: {head}\n{body}");
        serde_json::from_str(body).unwrap_or_default()
    }

    /// `kubectl` as the administrator, around the fault proxy. Fails the test when it fails.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "").unwrap_or_else(|stderr| {
            assert!(stderr.is_empty(), "kubectl {}: {stderr}", arguments.join(" "));
            stderr
        })
    }

    /// `kubectl` with an input; what it said on stderr when it failed.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(bin().join("kubectl"));
        command.arg("--kubeconfig").arg(self.directory().join("direct.kubeconfig"));
        // A cache of its own: another lab at the same address has other kinds.
        command.arg("--cache-dir").arg(self.directory().join("kubectl")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr) + "kubectl failed") }
    }

    /// Creates objects from YAML, as somebody who is not platctl.
    pub(crate) fn create(&self, yaml: &str) {
        let created = self.kubectl_with(&["create", "-f", "-"], yaml);
        assert!(created.is_ok(), "{created:?}");
    }

    /// The answer to a GET; none when there is no such thing.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        match self.kubectl_with(&["get", "--raw", path], "") {
            Ok(text) => Some(serde_json::from_str(&text).unwrap()),
            Err(stderr) => {
                assert!(stderr.contains("NotFound"), "get {path}: {stderr}");
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).map(|list| list["items"].as_array().unwrap().clone()).unwrap_or_default()
    }

    /// The keys of a Secret, decoded.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> BTreeMap<String, String> {
        let secret = self.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).unwrap();
        let text = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
        secret["data"].as_object().unwrap().iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }

    /// A kubeconfig through the fault proxy with what `change` makes of it.
    pub(crate) fn kubeconfig_with(&self, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let through = self.kubeconfig();
        let view = ["config", "view", "--raw", "-o", "json", "--kubeconfig", through.to_str().unwrap()];
        let mut config: Value = serde_json::from_str(&self.kubectl(&view)).unwrap();
        change(&mut config);
        let path = self.directory().join(name);
        fs::write(&path, config.to_string()).unwrap();
        path
    }
}

impl Lab {
    /// Takes down what this test has brought up; its files stay where somebody has to look at them.
    pub(crate) fn end(&mut self, files_stay: bool) {
        let Some(directory) = self.own.take() else { return };
        let _ = Command::new(bin().join("lab")).arg("down").arg("--dir").arg(directory.path()).output();
        if files_stay {
            eprintln!("the lab's logs are kept in {}", directory.keep().join("logs").display());
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.end(std::thread::panicking());
    }
}

fn info(directory: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(directory.join("lab.json")).unwrap()).unwrap()
}

/// Asks again and again until it is so; the last objection is the failure.
pub(crate) fn eventually<T>(what: &str, ask: impl FnMut() -> Result<T, String>) -> T {
    eventually_within(PATIENCE, what, ask)
}

/// `eventually` for what pauses by itself for longer.
pub(crate) fn eventually_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match ask() {
            Ok(found) => return found,
            Err(objection) => {
                assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}: {objection}");
            }
        }
        #[expect(clippy::disallowed_methods, reason = "no runtime here, and a real cluster has a real clock")]
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Where the lab's programs are: `PLATCTL_LAB_BIN`, else `lab/bin` in the target directory, built there when missing or stale.
pub(crate) fn bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(bin) = std::env::var_os("PLATCTL_LAB_BIN") {
            return PathBuf::from(bin);
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/build.sh");
        let built = Command::new("bash").arg(script).env("PLATCTL_TARGET", target).output().unwrap();
        let words = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "tests/lab/build.sh failed; it needs Go: {words}");
        target.join("lab/bin")
    })
}
