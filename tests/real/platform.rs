//! The platform under test: installed once, used by all checks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::lab::{Lab, bin};
use crate::repository::Repository;
use crate::run::Outcome;

pub(crate) struct Platform {
    pub(crate) lab: Lab,
    /// What `install` said; none when the platform was there already.
    pub(crate) installed: Option<Outcome>,
    /// That of production, which ends with the platform.
    pub(crate) repository: OnceLock<Repository>,
}

/// The profile, and the values above another one, that the lab's images need.
pub(crate) fn profile() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/real/values.yaml").to_str().unwrap().to_owned()
}

impl Platform {
    /// A lab with the platform in it, or for the checks that install it themselves without.
    pub(crate) fn bring_up(is_installed: bool) -> Self {
        let repository = OnceLock::new();
        if let Some(directory) = std::env::var_os("PLATCTL_REAL_LAB") {
            return Self { lab: Lab::attach(Path::new(&directory)), installed: None, repository };
        }
        let lab = Lab::start_real(&images());
        let install = || lab.run(&["install", "--yes", "--profile", &profile()]).expect(0);
        let installed = is_installed.then(install);
        Self { lab, installed, repository }
    }

    /// After a failure the lab's files stay to be looked at.
    pub(crate) fn take_down(mut self, is_all_well: bool) {
        self.lab.end(!is_all_well);
    }

    pub(crate) fn status(&self) -> Value {
        self.lab.run(&["status"]).document()
    }

    /// Runs a program in a container of a running pod.
    pub(crate) fn exec(&self, namespace: &str, pod: &str, container: &str, command: &[&str]) -> Result<String, String> {
        let exec = ["exec", "-n", namespace, pod, "-c", container, "--"];
        self.lab.kubectl_with(&[&exec, command].concat(), "")
    }
}

/// The items of a list; none where it is missing.
pub(crate) fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// All images of the platform, built where something is missing.
fn images() -> PathBuf {
    let target = bin().ancestors().nth(2).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    let images = target.join("lab/images");
    let probe = images.join("probe.tar");
    for script in [
        &["real/install.sh"][..],
        &["build.sh", "pause", "coredns"],
        &["images/build.sh"],
        &["real/probe/image.sh", probe.to_str().unwrap()],
    ] {
        let mut command = Command::new("bash");
        command.arg(source.join(script[0])).args(&script[1..]).env("PLATCTL_TARGET", target);
        let built = command.output().unwrap();
        let words = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "tests/lab/{} failed: {words}", script.join(" "));
    }
    images
}

/// Every wave, every Application, and the proof that the handoff changed nothing.
pub(crate) fn everything_is_ready_and_handed_over(platform: &Platform) {
    let status = platform.status();
    assert_eq!((&status["ready"], &status["phase"]), (&true.into(), &"handed-over".into()), "{status:#}");
    for component in status["components"].as_array().unwrap() {
        assert_eq!((&component["sync"], &component["health"]), (&"Synced".into(), &"Healthy".into()), "{component:#}");
    }
    let Some(installed) = &platform.installed else { return };
    let handed_over = installed.only("handed-over");
    assert!(
        handed_over["objects"].as_u64().unwrap() > 100 && handed_over["pods"].as_u64().unwrap() > 10,
        "{handed_over}"
    );
}
