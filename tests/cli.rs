//! What a person sees: the binary's exit code, stdout and stderr, in a clean environment. Read top to bottom it is the manual of the
//! commands' mistakes. Nothing here needs a cluster; where one must answer, it is an empty one that notes every write.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/credential.rs"]
mod credential;
#[path = "support/empty_cluster.rs"]
mod empty_cluster;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use empty_cluster::{EmptyCluster, kubeconfig};
use insta::assert_snapshot;
use platctl::embedded;
use platctl::engine::inventory::{Inventory, Phase};
use platctl::plan::profile::{Base, Layers, Profile};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

/// An empty directory to run in, which is the home directory too.
struct Place(TempDir);

/// How a run ended.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with(name: &str, text: &str) -> Self {
        let place = Self::new();
        fs::write(place.path(name), text).unwrap();
        place
    }

    /// With a kubeconfig where everybody looks for it.
    fn with_kubeconfig(text: &str) -> Self {
        let place = Self::new();
        fs::create_dir(place.path(".kube")).unwrap();
        fs::write(place.path(".kube/config"), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_platctl"))
            .args(args)
            .env_clear()
            .env("HOME", self.0.path())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&self.0.path().display().to_string(), "[HOME]");
        Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The whole of a run, for a snapshot.
    fn say(&self, args: &[&str]) -> String {
        let run = self.run(args);
        let section =
            |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("\n{name}:\n{text}") };
        format!("exit {}{}{}", run.code, section("stdout", &run.stdout), section("stderr", &run.stderr))
    }
}

/// A run in an empty place.
fn say(args: &[&str]) -> String {
    Place::new().say(args)
}

#[test]
fn help() {
    assert_snapshot!(say(&["--help"]), @"
    exit 0
    stdout:
    Takes an empty Kubernetes cluster to a running, secured, GitOps-owned platform

    Usage: platctl [OPTIONS] [COMMAND]

    Commands:
      init            Ask what is wanted, write a profile for it, and offer to install
      install         Install the platform, or go on with an interrupted installation
      upgrade         Bring an installation to the versions of this platctl
      status          Show what is installed, whether it is ready, and why not
      uninstall       Remove the platform; data stays unless it is asked for by name
      export          Write the Git tree that Argo CD follows
      render          Print the Kubernetes objects of the platform or of some components
      diff            Show what `install` would change, field by field
      preflight       Check the cluster without changing it
      explain         Explain a check of `preflight`, or list all of them
      credentials     Show where to log in and as whom, or change a password
      open            Open a component's pages through a port of this machine, until Ctrl-C
      port-forward    Forward a port of this machine to a component, until Ctrl-C
      trust           Print the certificate of the platform's own CA, and how to trust it
      support-bundle  Gather what a maintainer asks for into one file, secrets redacted
      profile         List the built-in profiles or show one
      images          List the container images of the platform
      completions     Print a completion script
      version         Print the version, and how this executable was built
      help            Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Cluster:
          --kubeconfig <FILE>
              The kubeconfig file [default: KUBECONFIG, then ~/.kube/config]

          --context <NAME>
              The kubeconfig's context [default: its current one]

    Output:
      -o, --output <OUTPUT>
              How results and progress are written

              Possible values:
              - auto: Bars on a terminal, plain lines elsewhere
              - text: Plain lines
              - json: JSON on stdout: one event a line while working, one document for results
              - yaml: YAML on stdout for results
              
              [default: auto]

      -v, --verbose
              Say more: every object, every retry

          --no-color
              No colours
              
              [env: NO_COLOR=]
    ");
}

#[test]
fn help_of_a_command() {
    assert_snapshot!(say(&["install", "--help"]), @"
    exit 0
    stdout:
    Install the platform, or go on with an interrupted installation

    Usage: platctl install [OPTIONS]

    Options:
      -y, --yes
              Do not ask

          --dry-run
              Render and check everything, say what would be done, write nothing

          --no-handoff
              Stop before Argo CD takes over

          --prepull
              Have the nodes pull the images of the later waves while the first ones wait

          --timeout <DURATION>
              How long the whole installation may take, such as 30m [default: the profile's]

          --wave-timeout <WAVE=DURATION>
              How long one wave may take: `services=20m`; may be repeated [default: the profile's]

          --skip <CODE>
              Leave out a check; may be repeated, `platctl explain` lists the codes

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Profile:
      -p, --profile <NAME|FILE>
              A built-in profile (dev, prod) or a file
              
              [default: dev]

          --values <FILE>
              A file with keys of the profile that override it; may be repeated

          --set <KEY=VALUE>
              One key: `domain=example.org`, or a chart's value: `keycloak.replicas=2`; may be repeated

          --repo-url <URL>
              The Git repository that Argo CD follows, instead of one in the cluster

          --registry-mirror <[REGISTRY=]HOST[/PATH]>
              Pull the images from here: `mirror.example.org/team` for all,
              `docker.io=mirror.example.org/hub` for one registry's; may be repeated

    Cluster:
          --kubeconfig <FILE>
              The kubeconfig file [default: KUBECONFIG, then ~/.kube/config]

          --context <NAME>
              The kubeconfig's context [default: its current one]

    Output:
      -o, --output <OUTPUT>
              How results and progress are written

              Possible values:
              - auto: Bars on a terminal, plain lines elsewhere
              - text: Plain lines
              - json: JSON on stdout: one event a line while working, one document for results
              - yaml: YAML on stdout for results
              
              [default: auto]

      -v, --verbose
              Say more: every object, every retry

          --no-color
              No colours
              
              [env: NO_COLOR=]
    ");
}

#[test]
fn without_arguments_it_helps() {
    let run = Place::new().run(&[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("Usage: platctl"), "{}", run.stderr);
}

#[test]
fn version() {
    let number = env!("CARGO_PKG_VERSION");
    for args in [["--version"], ["-V"]] {
        let run = Place::new().run(&args);
        assert_eq!((run.code, run.stdout, run.stderr), (0, format!("platctl {number}\n"), String::new()));
    }
    // The same facts as a line and as a document: what is built here differs from machine to machine.
    let run = Place::new().run(&["version", "-o", "json"]);
    let build: Value = serde_json::from_str(&run.stdout).unwrap();
    let text = |key: &str| build[key].as_str().unwrap().to_owned();
    assert_eq!(text("version"), number);
    assert!(text("target").starts_with(std::env::consts::ARCH), "{build}");
    assert!(Regex::new(r"^1\.\d+\.\d+").unwrap().is_match(&text("rustc")), "{build}");
    let commit = build["commit"].as_str().map(|commit| format!("commit {commit}, ")).unwrap_or_default();
    let line = format!("platctl {number} ({commit}{}, rustc {})\n", text("target"), text("rustc"));
    let run = Place::new().run(&["version"]);
    assert_eq!((run.code, run.stdout, run.stderr), (0, line, String::new()));
}

#[test]
fn unknown_commands_and_flags() {
    assert_snapshot!(say(&["isntall"]), @"
    exit 2
    stderr:
    error: unrecognized subcommand 'isntall'

      tip: some similar subcommands exist: 'init', 'uninstall', 'install'

    Usage: platctl [OPTIONS] [COMMAND]

    For more information, try '--help'.
    ");
    assert_snapshot!(say(&["install", "--no-hand-off"]), @"
    exit 2
    stderr:
    error: unexpected argument '--no-hand-off' found

      tip: a similar argument exists: '--no-handoff'

    Usage: platctl install --no-handoff

    For more information, try '--help'.
    ");
    assert_snapshot!(say(&["status", "--output", "jsn"]), @"
    exit 2
    stderr:
    error: invalid value 'jsn' for '--output <OUTPUT>'
      [possible values: auto, text, json, yaml]

      tip: a similar value exists: 'json'

    For more information, try '--help'.
    ");
    assert_snapshot!(say(&["export"]), @"
    exit 2
    stderr:
    error: the following required arguments were not provided:
      <DIR>

    Usage: platctl export <DIR>

    For more information, try '--help'.
    ");
}

#[test]
fn unknown_profiles() {
    assert_snapshot!(say(&["render", "--profile", "prd"]), @"
    exit 2
    stderr:
    error: no profile `prd`: did you mean `prod`?
    ");
    assert_snapshot!(say(&["render", "--profile", "staging"]), @"
    exit 2
    stderr:
    error: no profile `staging`: there are `dev`, `prod`
    ");
    assert_snapshot!(say(&["render", "--profile", "./mine.yaml"]), @"
    exit 2
    stderr:
    error: read `./mine.yaml`
      because: No such file or directory (os error 2)

    hint: give the path of a file; `platctl profile list` shows the profiles that need none
    ");
    assert_snapshot!(Place::with("mine.yaml", "extends: prd\n").say(&["render", "-p", "mine.yaml"]), @"
    exit 2
    stderr:
    error: mine.yaml: `extends`
      because: no profile `prd`: did you mean `prod`?
    ");
}

/// Editors read the same from the repository: `docs/profile.schema.json`.
#[test]
fn the_schema_of_a_profile() {
    let schema = Place::new().run(&["profile", "schema"]);
    assert_eq!((schema.code, schema.stderr.as_str()), (0, ""));
    assert_eq!(schema.stdout, include_str!("../docs/profile.schema.json"));
}

/// All mistakes of a file at once, each with its line.
#[test]
fn unknown_keys_in_a_file() {
    let text = "domain: example.org\ncomponents:\n  keycloak:\n    values:\n      replica: 2\nstorageclass: fast\n";
    assert_snapshot!(Place::with("mine.yaml", text).say(&["render", "--values", "mine.yaml"]), @"
    exit 2
    stderr:
    error: mine.yaml:5: `components.keycloak.values.replica`: unknown key; did you mean `replicas`?
    mine.yaml:6: `storageclass`: unknown key; did you mean `storageClass`?

    hint: `platctl profile show NAME` prints a profile's keys; a chart's are in its `values.yaml`, which `platctl export DIR` writes
    ");
}

#[test]
fn values_of_the_wrong_kind() {
    let text =
        "timeouts: 10m\nsecrets: none\ncomponents:\n  keycloak:\n    values:\n      resources: [1]\n  loki: true\n";
    assert_snapshot!(Place::with("mine.yaml", text).say(&["render", "--values", "mine.yaml"]), @"
    exit 2
    stderr:
    error: mine.yaml:1: `timeouts`: text, but a map is expected
    mine.yaml:2: `secrets`: `none`, but `generated` or `external` is expected
    mine.yaml:6: `components.keycloak.values.resources`: a list, but a map is expected
    mine.yaml:7: `components.loki`: true or false, but a map is expected

    hint: `platctl profile show NAME` prints a profile's keys; a chart's are in its `values.yaml`, which `platctl export DIR` writes
    ");
}

#[test]
fn files_that_are_no_values() {
    assert_snapshot!(Place::with("mine.yaml", "domain: [a\n").say(&["render", "--values", "mine.yaml"]), @"
    exit 2
    stderr:
    error: mine.yaml: unclosed bracket '[' at line 1, column 9
    ");
    assert_snapshot!(Place::with("mine.yaml", "- domain\n").say(&["render", "--values", "mine.yaml"]), @"
    exit 2
    stderr:
    error: mine.yaml: the document is not a map
    ");
    assert_snapshot!(say(&["render", "--values", "mine.yaml"]), @"
    exit 2
    stderr:
    error: read `mine.yaml`
      because: No such file or directory (os error 2)

    hint: give the path of a file; `platctl profile list` shows the profiles that need none
    ");
}

#[test]
fn bad_assignments() {
    assert_snapshot!(say(&["render", "--set", "keycloak.replicas"]), @"
    exit 2
    stderr:
    error: --set keycloak.replicas: `KEY=VALUE` is expected
    ");
    assert_snapshot!(say(&["render", "--set", "keycloak.replica=2"]), @"
    exit 2
    stderr:
    error: --set keycloak.replica=2: `components.keycloak.values.replica`: unknown key; did you mean `replicas`?

    hint: `platctl profile show NAME` prints a profile's keys; a chart's are in its `values.yaml`, which `platctl export DIR` writes
    ");
    assert_snapshot!(say(&["render", "--set", "keycloak.replicas=two"]), @"
    exit 2
    stderr:
    error: --set keycloak.replicas=two: `components.keycloak.values.replicas`: text, but a number is expected

    hint: `platctl profile show NAME` prints a profile's keys; a chart's are in its `values.yaml`, which `platctl export DIR` writes
    ");
    assert_snapshot!(say(&["render", "--set", "tls.mode=none"]), @"
    exit 2
    stderr:
    error: --set tls.mode=none: `tls.mode`: `none`, but `generated` or `secret` is expected

    hint: `platctl profile show NAME` prints a profile's keys; a chart's are in its `values.yaml`, which `platctl export DIR` writes
    ");
    assert_snapshot!(say(&["render", "--set", "domain=https://example.org"]), @"
    exit 2
    stderr:
    error: profile `dev` cannot be used
      because: `domain` is `https://example.org`, but a DNS name such as platform.example.org is expected
    ");
    assert_snapshot!(say(&["render", "--set", "keycloak..replicas=2"]), @"
    exit 2
    stderr:
    error: --set keycloak..replicas=2: the key has an empty part
    ");
}

#[test]
fn bad_durations() {
    assert_snapshot!(say(&["install", "--timeout", "soon"]), @"
    exit 2
    stderr:
    error: --timeout
      because: `soon` is no duration; write it as `90s`, `10m` or `1h30m`
    ");
    assert_snapshot!(say(&["install", "--wave-timeout", "sevices=20m"]), @"
    exit 2
    stderr:
    error: --wave-timeout sevices=20m: no wave `sevices`: did you mean `services`?
    ");
    assert_snapshot!(say(&["install", "--wave-timeout", "services=20"]), @"
    exit 2
    stderr:
    error: --wave-timeout services=20
      because: `20` is no duration; write it as `90s`, `10m` or `1h30m`
    ");
    assert_snapshot!(say(&["install", "--set", "timeouts.stuck=1d"]), @"
    exit 2
    stderr:
    error: profile `dev` cannot be used
      because: `timeouts.stuck`: `1d` is no duration; write it as `90s`, `10m` or `1h30m`
    ");
}

#[test]
fn upgrades_that_cannot_be_meant() {
    assert_snapshot!(say(&["upgrade", "--accept", "istio-major"]), @"
    exit 2
    stderr:
    error: --accept istio-major: no step is refused by this code: did you mean `istio-minor`?
    ");
    assert_snapshot!(say(&["upgrade", "--at", "main"]), @"
    exit 2
    stderr:
    error: --at main: a whole commit of 40 digits is expected

    hint: `git rev-parse HEAD` in the clone prints it
    ");
    assert_snapshot!(say(&["upgrade", "--into", "clone", "--branch", "next"]), @"
    exit 2
    stderr:
    error: the argument '--into <DIR>' cannot be used with '--branch <NAME>'

    Usage: platctl upgrade --into <DIR>

    For more information, try '--help'.
    ");
}

#[test]
fn production_without_a_repository() {
    assert_snapshot!(say(&["install", "--profile", "prod"]), @"
    exit 2
    stderr:
    error: profile `prod` cannot be used
      because: `repository.url` is empty

    hint: give the Git repository that Argo CD is to follow: `--repo-url URL`, or `repository.url` in the profile
    ");
}

#[test]
fn combinations_that_cannot_work() {
    assert_snapshot!(say(&["render", "--set", "components.gitea.enabled=false"]), @"
    exit 2
    stderr:
    error: profile `dev` cannot be used
      because: `repository.mode` is `in-cluster`, but the component `gitea` is not enabled

    hint: enable it, or give a Git repository of your own: `--repo-url URL`
    ");
    assert_snapshot!(say(&["render", "--set", "components.postgres.enabled=false"]), @"
    exit 2
    stderr:
    error: component `keycloak` needs `postgres`, which the profile disables

    hint: enable `postgres`, or disable `keycloak` too: `--set components.keycloak.enabled=false`
    ");
}

#[test]
fn unknown_components() {
    assert_snapshot!(say(&["render", "keyclaok"]), @"
    exit 2
    stderr:
    error: no component `keyclaok` in this profile: did you mean `keycloak`?
    ");
    let json = say(&["render", "keyclaok", "-o", "json"]);
    assert_snapshot!(Regex::new(r#""time":"[^"]+""#).unwrap().replace(&json, r#""time":"[TIME]""#), @r#"
    exit 2
    stdout:
    {"time":"[TIME]","type":"failed","failure":{"what":"no component `keyclaok` in this profile: did you mean `keycloak`?","why":[],"hint":null}}
    "#);
}

#[test]
fn kubeconfigs() {
    assert_snapshot!(say(&["status"]), @r#"
    exit 2
    stderr:
    error: read the kubeconfig
      because: failed to read kubeconfig from '"[HOME]/.kube/config"': No such file or directory (os error 2)

    hint: give a kubeconfig with `--kubeconfig FILE` or `KUBECONFIG`, and a context of it with `--context NAME`
    "#);
    assert_snapshot!(say(&["status", "--kubeconfig", "other"]), @r#"
    exit 2
    stderr:
    error: read kubeconfig `other`
      because: failed to read kubeconfig from '"other"': No such file or directory (os error 2)

    hint: give a kubeconfig with `--kubeconfig FILE` or `KUBECONFIG`, and a context of it with `--context NAME`
    "#);
    let here = Place::with_kubeconfig(&kubeconfig("http://127.0.0.1:1"));
    assert_snapshot!(here.say(&["status", "--context", "hera"]), @"
    exit 2
    stderr:
    error: the kubeconfig has no context `hera`: did you mean `here`?

    hint: give a kubeconfig with `--kubeconfig FILE` or `KUBECONFIG`, and a context of it with `--context NAME`
    ");
    let none = kubeconfig("http://127.0.0.1:1").replace("\"current-context\":\"here\",", "");
    assert_snapshot!(Place::with_kubeconfig(&none).say(&["status"]), @"
    exit 2
    stderr:
    error: the kubeconfig has no current context: there is `here`

    hint: give a kubeconfig with `--kubeconfig FILE` or `KUBECONFIG`, and a context of it with `--context NAME`
    ");
}

#[test]
fn a_server_that_does_not_answer() {
    let here = Place::with_kubeconfig(&kubeconfig("http://127.0.0.1:1"));
    assert_snapshot!(here.say(&["install", "--yes"]), @"
    exit 3
    stderr:
    error: reach http://127.0.0.1:1 (context `here`)
      because: Connection refused (os error 111)

    hint: check the address and that the cluster is up: `kubectl cluster-info` with the same context
    ");
    // The last line of JSON says the same.
    let run = here.run(&["uninstall", "--yes", "-o", "json"]);
    let last: serde_json::Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((run.code, run.stderr.as_str()), (3, ""));
    assert_eq!(last["type"], "failed");
    assert_eq!(last["failure"]["what"], "reach http://127.0.0.1:1 (context `here`)");
}

#[test]
fn without_a_terminal_nothing_is_confirmed() {
    let cluster = EmptyCluster::start(32);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    let said = here.say(&["install"]).replace(&cluster.port.to_string(), "[PORT]");
    assert_snapshot!(Regex::new(r"\d+ objects").unwrap().replace(&said, "[N] objects"), @"
    exit 2
    stderr:
    cluster: context here, http://127.0.0.1:[PORT], Kubernetes v1.34.1, 1 node
    install: profile dev, 5 waves, [N] objects
    error: there is no terminal to ask on

    hint: say `--yes` to go on without being asked
    ");
    assert_eq!(cluster.writes(), [""; 0]);
}

#[test]
fn a_cluster_that_is_too_small_is_refused() {
    let cluster = EmptyCluster::start(1);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    let run = here.run(&["install", "--yes"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("the cluster is not ready for the platform; nothing was written"), "{}", run.stderr);
    assert_eq!(here.run(&["preflight"]).code, 3);
    assert_eq!(cluster.writes(), [""; 0]);
}

/// What `install` of the profile `dev` with these assignments records, changed by `change`.
fn inventory(set: &[&str], change: impl FnOnce(&mut Inventory)) -> String {
    let (catalog, built_in) = (embedded::catalog().unwrap(), embedded::profiles());
    let set: Vec<String> = set.iter().map(|assignment| (*assignment).to_owned()).collect();
    let layers = Layers { built_in: &built_in, base: Base::Name("dev"), values: &[], set: &set };
    let plan = platctl::plan::build(&Profile::load(&layers, &catalog).unwrap(), &catalog).unwrap();
    let mut inventory = Inventory::new(serde_json::to_value(&plan.profile).unwrap());
    for wave in &plan.waves {
        inventory.record_wave(wave);
        inventory.complete_wave(wave);
    }
    inventory.phase = Phase::HandedOver;
    change(&mut inventory);
    serde_json::to_string(&inventory).unwrap()
}

#[test]
fn steps_that_are_too_far_are_refused() {
    let record = inventory(&[], |inventory| {
        "0.0.1".clone_into(&mut inventory.version);
        for (name, version) in [("istiod", "1.28.3"), ("istio-base", "1.28.3"), ("keycloak", "25.0.6")] {
            inventory.components.insert(name.to_owned(), version.to_owned());
        }
    });
    let cluster = EmptyCluster::start_with(32, Some(record.clone()), None);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    assert_snapshot!(here.say(&["upgrade"]), @"
    exit 3
    stderr:
    upgrade: platctl 0.0.1 → 0.1.0; objects: 0 new, 0 changed, 0 removed
      istio-base 1.28.3 → 1.31.4
      istiod 1.28.3 → 1.31.4
      keycloak 25.0.6 → 26.8.1
    error: this step is not supported; nothing was written
      because: Istio 1.28.3 → 1.31.4 is too far for one step (istio-minor): Istio supports an upgrade in place over one minor version only
      because: Keycloak 25.0.6 → 26.8.1 is too far for one step (keycloak-major): its first start migrates the database, which no older version can use again, and settings may have changed

    hint: upgrade with a platctl that brings 1.29, then 1.30, restarting the workloads with sidecars each time; `platctl upgrade --accept istio-minor` takes the step all the same
    ");
    let accept = ["upgrade", "--accept", "istio-minor", "--accept", "keycloak-major", "--dry-run"];
    let accepted = here.run(&accept);
    assert!(!accepted.stderr.contains("not supported"), "{}", accepted.stderr);
    assert_eq!(cluster.writes(), [""; 0]);

    // `install` does not make the step either.
    let record = record.replace("\"handed-over\"", "\"installed\"");
    let cluster = EmptyCluster::start_with(32, Some(record), None);
    let run = Place::with_kubeconfig(&cluster.kubeconfig()).run(&["install", "--yes"]);
    assert!(run.code == 3 && run.stderr.contains("(istio-minor)"), "{}", run.stderr);
    assert_eq!(cluster.writes(), [""; 0]);
}

/// A check that blocks ends an upgrade as it ends an installation, and is left out by the same flag.
#[test]
fn an_upgrade_leaves_out_checks_too() {
    let external =
        ["repository.mode=external", "repository.url=https://git.localhost/p.git", "components.gitea.enabled=false"];
    let record = inventory(&external, |inventory| "0.0.1".clone_into(&mut inventory.version));
    let (before, commit) = (record.replace("\"handed-over\"", "\"installed\""), "0".repeat(40));
    // Before the handoff and after it, on a cluster that is too small.
    for (record, upgrade) in
        [(before, vec!["upgrade", "--dry-run"]), (record, vec!["upgrade", "--dry-run", "--at", &commit])]
    {
        let cluster = EmptyCluster::start_with(1, Some(record), None);
        let here = Place::with_kubeconfig(&cluster.kubeconfig());
        let blocked = here.run(&upgrade);
        assert!(blocked.code == 3 && blocked.stderr.contains("(capacity)"), "{}", blocked.stderr);
        let skipped = here.run(&[&upgrade[..], &["--skip", "capacity", "--skip", "repository"]].concat());
        assert_eq!(skipped.code, 0, "{}", skipped.stderr);
        for check in ["capacity", "repository"] {
            assert_eq!(
                skipped.stderr.matches(&format!("skipped: the check `{check}`\n")).count(),
                1,
                "{}",
                skipped.stderr
            );
        }
        assert_eq!(cluster.writes(), [""; 0]);
    }
    let always = say(&["upgrade", "--skip", "foreign-objects"]);
    assert!(always.starts_with("exit 2\n") && always.contains("cannot be left out"), "{always}");
}

#[test]
fn an_upgrade_is_written_into_a_clone() {
    let external =
        ["repository.mode=external", "repository.url=https://git.localhost/p.git", "components.gitea.enabled=false"];
    let record = inventory(&external, |inventory| "0.0.1".clone_into(&mut inventory.version));
    let cluster = EmptyCluster::start_with(32, Some(record), None);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    let said = |run: &str| run.replace(&cluster.port.to_string(), "[PORT]");
    assert_snapshot!(said(&here.say(&["upgrade", "--yes"])), @"
    exit 3
    stderr:
    upgrade: platctl 0.0.1 → 0.1.0; objects: 0 new, 0 changed, 0 removed
      no component changes its version
    cluster: context here, http://127.0.0.1:[PORT], Kubernetes v1.34.1, 1 node
    skipped: the check `repository`
    error: Argo CD follows https://git.localhost/p.git, which platctl does not write to; nothing was written

    hint: clone it at branch main, `platctl upgrade --into DIR`, commit and push, then `platctl upgrade --at COMMIT`
    ");
    assert_snapshot!(said(&here.say(&["upgrade", "--into", "."])), @"
    exit 3
    stderr:
    upgrade: platctl 0.0.1 → 0.1.0; objects: 0 new, 0 changed, 0 removed
      no component changes its version
    cluster: context here, http://127.0.0.1:[PORT], Kubernetes v1.34.1, 1 node
    skipped: the check `repository`
    error: write into `.`
      because: `platctl.sums` is not there, so nothing tells which files people changed; nothing was written

    hint: name a clone of the repository that Argo CD follows, or get the file back from its history (`git log -- platctl.sums`); `--overwrite` takes platctl's files instead
    ");

    // As an older platctl wrote it, with a file that the newer one no longer has.
    let export = ["export", "clone", "--repo-url", "https://git.localhost/p.git", "--set", "loki.retention=408h"];
    assert_eq!(here.run(&export).code, 0);
    let retired = "charts/loki/templates/retired.yaml";
    fs::write(here.path("clone").join(retired), "hello\n").unwrap();
    fs::write(here.path("clone/charts/loki/templates/theirs.yaml"), "# added by people\n").unwrap();
    let sums = here.path("clone/platctl.sums");
    let text = fs::read_to_string(&sums).unwrap();
    fs::write(&sums, format!("{text}ce013625030ba8dba906f756967f9e9ca394464a  {retired}\n")).unwrap();
    let values = here.path("clone/values/loki.yaml");
    let before = fs::read_to_string(&values).unwrap();
    fs::write(&values, format!("{before}# by hand\n")).unwrap();
    assert_snapshot!(said(&here.say(&["upgrade", "--into", "clone"])), @"
    exit 3
    stderr:
    upgrade: platctl 0.0.1 → 0.1.0; objects: 0 new, 0 changed, 0 removed
      no component changes its version
    cluster: context here, http://127.0.0.1:[PORT], Kubernetes v1.34.1, 1 node
    skipped: the check `repository`
    error: write into `clone`
      because: files that the upgrade changes were changed in Git too; nothing was written
      because: `values/loki.yaml`

    hint: say what was changed as the profile's own (`--set`, `--values`), then `--overwrite` takes platctl's files; in a branch (`--branch NAME`) or a clone (`--into DIR`) the difference can be looked at first
    ");
    assert!(here.path("clone").join(retired).exists(), "refused means untouched");

    fs::write(&values, before).unwrap();
    assert_snapshot!(said(&here.say(&["upgrade", "--into", "clone"])), @"
    exit 0
    stderr:
    upgrade: platctl 0.0.1 → 0.1.0; objects: 0 new, 0 changed, 0 removed
      no component changes its version
    cluster: context here, http://127.0.0.1:[PORT], Kubernetes v1.34.1, 1 node
    skipped: the check `repository`
    upgrade: done: 0 created, 0 configured, 0 unchanged, 0 deleted
      changed: 3 files in `clone`, 1 of them removed
      next: `git diff` shows it; commit and push, then `platctl upgrade --at COMMIT`
    ");
    assert!(
        !here.path("clone").join(retired).exists() && here.path("clone/charts/loki/templates/theirs.yaml").exists()
    );
    assert_eq!(here.run(&["export", "fresh", "--repo-url", "https://git.localhost/p.git"]).code, 0);
    for path in files_below(&here.path("fresh")) {
        let read = |folder: &str| fs::read(here.path(folder).join(&path)).unwrap();
        assert!(read("clone") == read("fresh"), "{}", path.display());
    }
    assert_eq!(cluster.writes(), [""; 0]);
}

#[test]
fn an_empty_cluster() {
    let cluster = EmptyCluster::start(32);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    assert_snapshot!(here.say(&["status"]), @"
    exit 1
    stderr:
    platctl has installed nothing here; `platctl install` does
    ");
    assert_snapshot!(here.say(&["uninstall"]), @"
    exit 0
    stderr:
    nothing of platctl is installed
    ");
    let preflight = Regex::new(r"\d+ (m |MiB)").unwrap().replace_all(&here.say(&["preflight"]), "[N] $1").into_owned();
    assert_snapshot!(preflight, @"
    exit 0
    stdout:
    Kubernetes v1.34.1, 1 node, 1 storage class
    the platform requests [N] m of CPU and [N] MiB of memory, sidecars not counted
    it claims 5 volumes from StorageClass `standard`, [N] MiB together; whether there is that much space no API tells
    nothing found
    ");
    let dry = here.run(&["install", "--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stderr.contains("nothing was written"), "{}", dry.stderr);
    assert_eq!(cluster.writes(), [""; 0]);
}

/// A blocking check that is left out lets the installation go on, and is said to have been.
#[test]
fn checks_that_are_left_out() {
    let cluster = EmptyCluster::start(1);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    let preflight = here.run(&["preflight", "--skip", "capacity", "--skip", "clock"]);
    assert_eq!(preflight.code, 0, "{}", preflight.stdout);
    assert!(
        preflight.stdout.contains("skipped: the check `capacity`\nskipped: the check `clock`\n"),
        "{}",
        preflight.stdout
    );
    let dry = here.run(&["install", "--dry-run", "--skip", "capacity"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stderr.contains("skipped: the check `capacity`\n"), "{}", dry.stderr);
    let document = here.run(&["preflight", "--skip", "capacity", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!(document["skipped"], serde_json::json!(["capacity"]));
    assert_snapshot!(here.say(&["install", "--yes", "--skip", "capcity"]), @"
    exit 2
    stderr:
    error: --skip capcity
      because: no check `capcity`: did you mean `capacity`?

    hint: `platctl explain` lists all of them
    ");
    assert_snapshot!(here.say(&["preflight", "--skip", "foreign-objects"]), @"
    exit 2
    stderr:
    error: --skip foreign-objects
      because: the check `foreign-objects` cannot be left out: it is all that keeps platctl from taking, and later deleting, what is not its own

    hint: `platctl explain foreign-objects` says what to do instead
    ");
    assert_eq!(cluster.writes(), [""; 0]);
}

#[test]
fn a_cluster_whose_clock_is_wrong() {
    let cluster = EmptyCluster::start_with(32, None, Some("Wed, 01 Jan 2020 00:00:00 GMT"));
    let said = Place::with_kubeconfig(&cluster.kubeconfig()).run(&["preflight"]);
    let found =
        Regex::new(r"(?m)^warns: the API server's clock is \d{4} days behind this machine's \(clock\)$").unwrap();
    assert!(said.code == 0 && found.is_match(&said.stdout), "{}", said.stdout);
}

#[test]
fn explanations() {
    assert_snapshot!(say(&["explain", "storage-class"]), @"
    exit 0
    stdout:
    storage-class (blocks): The StorageClass for the platform's volumes exists

    It looks at
      The StorageClass that the profile names, else the one annotated
      `storageclass.kubernetes.io/is-default-class`.

    Why it matters
      PostgreSQL, Loki, in `prod` Grafana and in `dev` the Git server keep data on
      volumes. A claim without a class stays pending.

    What to do
      `kubectl get storageclass` lists what there is; choose one with
      `--set storageClass=NAME`. Where there is none, install a provisioner first:
      the provider's CSI driver, or local-path-provisioner on a single machine.

    To go on without it
      `--skip storage-class`, with `install`, `upgrade` and `preflight`.
    ");
    assert_snapshot!(say(&["explain", "foreign-objects"]), @"
    exit 0
    stdout:
    foreign-objects (blocks, warns): Nothing of others has the name of one of the platform's objects

    It looks at
      Every object of the plan is read by its name. One that exists without the
      label `platctl.dev/component` is somebody else's.

    Why it matters
      platctl never changes or deletes what is not its own. An Istio or an Argo CD
      of the same names would otherwise be overwritten. A namespace can be shared:
      it is labelled, and `uninstall` leaves it.

    What to do
      Remove the other installation, its CRDs too. If platctl is to own an object,
      label it yourself:
      `kubectl label KIND NAME platctl.dev/component=COMPONENT`.

    To go on without it
      It cannot be left out: it is all that keeps platctl from taking, and later
      deleting, what is not its own.
    ");
    assert_snapshot!(say(&["explain", "storage"]), @"
    exit 2
    stderr:
    error: no check `storage`: did you mean `storage-class`?

    hint: `platctl explain` lists all of them
    ");
    assert_snapshot!(say(&["explain"]), @"
    exit 0
    stdout:
    CODE              FINDING        WHAT IT HOLDS TO BE TRUE
    api-version       blocks, warns  Kubernetes is of a version that the platform works with
    permissions       blocks         You may do all that the installation needs
    foreign-objects   blocks, warns  Nothing of others has the name of one of the platform's objects
    conflicts         warns          No second Istio, CloudNativePG or Argo CD is in the cluster, nor another mesh
    crd-versions      blocks         CRDs that exist have no objects in versions that ours do not know
    nodes             blocks         At least one node takes pods
    architecture      blocks, warns  The nodes can run the images: linux/amd64 or linux/arm64
    capacity          blocks         The nodes have room for what the platform requests
    storage-class     blocks         The StorageClass for the platform's volumes exists
    volumes           warns          The StorageClass makes volumes by itself, where their pods can use them
    load-balancer     warns          A Service of type LoadBalancer gets an address
    network-policies  warns          The cluster's network enforces NetworkPolicies
    pod-security      blocks, warns  Admission lets in the pods of the mesh
    api-server-ports  blocks         The NetworkPolicies admit the ports at which pods reach the API server
    secrets           warns          Secrets that are to be supplied from outside are there
    pull-secrets      warns          The Secrets that images are pulled with are there
    certificates      warns          The gateway's certificate and its CA do not end soon
    repository        blocks, warns  The repository that Argo CD is to follow is named rightly and prepared
    addresses         warns          What the profile names outside of the cluster answers
    clock             warns          The API server's clock and this machine's agree

    Not checked:
      - image registries: nodes pull images, by their own network, proxies,
      mirrors and credentials; whether this machine reaches a registry tells
      nothing of them, so only mirrors that a profile names are tried
      (`addresses`). `platctl images` lists the images; one that cannot be pulled
      ends its wave early, with the kubelet's own message
      - access to the Git repository: Argo CD reads it from within the cluster;
      `install` waits for it at the handoff and shows its message
      - free disk space: no API tells it for most storage; a volume that cannot be
      made shows as an event of its claim, which the failed wait shows

    `platctl explain CODE` says what a check looks at, why it matters and what to do.
    ");
    let document = Place::new().run(&["explain", "clock", "-o", "json"]).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["code"], "clock");
    assert_eq!(document["severities"], serde_json::json!(["warning"]));
}

/// One event a line, each with its time; the last says how it ended.
#[test]
fn json_lines() {
    let cluster = EmptyCluster::start(32);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    let run = here.run(&["install", "--dry-run", "--output", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let mut kinds: Vec<String> = Vec::new();
    for line in run.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["time"].as_str().unwrap().ends_with('Z'), "{line}");
        kinds.push(event["type"].as_str().unwrap().to_owned());
    }
    kinds.dedup();
    assert_eq!(kinds, ["connected", "planned", "applied", "finished"]);
}

#[test]
fn profiles() {
    assert_snapshot!(say(&["profile", "list"]), @"
    exit 0
    stdout:
    PROFILE  DESCRIPTION
    dev      Everything in one cluster, credentials and CA generated, Git server inside
    prod     High availability, Secrets supplied from outside, a Git repository of your own
    ");
    for name in ["dev", "prod"] {
        let run = Place::new().run(&["profile", "show", name]);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/{name}.yaml"));
        assert_eq!((run.code, run.stdout), (0, fs::read_to_string(file).unwrap()), "as it was written");
    }
    assert_snapshot!(say(&["profile", "show", "dve"]), @"
    exit 2
    stderr:
    error: no profile `dve`: did you mean `dev`?
    ");
}

/// Without a terminal nothing is asked, and what is missing is named.
#[test]
fn the_wizard_without_a_terminal() {
    assert_snapshot!(say(&["init"]), @r#"
    exit 2
    stderr:
    cluster not reached: read the kubeconfig: failed to read kubeconfig from
    '"[HOME]/.kube/config"': No such file or directory (os error 2); what
    is proposed is not fitted to it
    error: nothing is asked here, and there is no answer to `profile`, `domain`, `tls`, `exposure`, `storage-class`, `database-size`, `log-size`, `log-retention`, `audit-retention`, `repository`, `secrets`

    hint: give them by `--answers FILE` or `--answer KEY=ANSWER`; `--yes` takes the proposals where there are some
    "#);
    assert_snapshot!(say(&["init", "--yes", "--answer", "profile=prod"]), @r#"
    exit 2
    stderr:
    cluster not reached: read the kubeconfig: failed to read kubeconfig from
    '"[HOME]/.kube/config"': No such file or directory (os error 2); what
    is proposed is not fitted to it
    error: nothing is asked here, and there is no answer to `domain`, `repository`

    hint: give them by `--answers FILE` or `--answer KEY=ANSWER`; `--yes` takes the proposals where there are some
    "#);
    assert_snapshot!(say(&["init", "--yes", "--answer", "domian=example.org"]), @"
    exit 2
    stderr:
    error: --answer domian=example.org: no question `domian`: did you mean `domain`?
    ");
    assert_snapshot!(say(&["init", "--yes", "--answer", "domain"]), @"
    exit 2
    stderr:
    error: --answer domain: `KEY=ANSWER` is expected
    ");
    assert_snapshot!(say(&["init", "--answers", "none.yaml"]), @"
    exit 2
    stderr:
    error: read `none.yaml`
      because: No such file or directory (os error 2)

    hint: `--answers FILE` takes a YAML file with one `question: answer` a line
    ");
    assert_snapshot!(Place::with("all.yaml", "profile: dev\ndomain: a b\n").say(&["init", "--answers", "all.yaml"]), @r#"
    exit 2
    stderr:
    cluster not reached: read the kubeconfig: failed to read kubeconfig from
    '"[HOME]/.kube/config"': No such file or directory (os error 2); what
    is proposed is not fitted to it
    error: all.yaml:2: `domain`: `a b` is no DNS name such as platform.example.org
    "#);
    let here = Place::with_kubeconfig(&kubeconfig("http://127.0.0.1:1"));
    assert_snapshot!(here.say(&["init", "--yes", "--context", "hera"]), @"
    exit 2
    stderr:
    error: --context: `context`: `hera` is none of the options: did you mean `here`?
    ");
    assert_snapshot!(here.say(&["init", "--yes", "--kubeconfig", "other"]), @r#"
    exit 2
    stderr:
    error: read kubeconfig `other`
      because: failed to read kubeconfig from '"other"': No such file or directory (os error 2)

    hint: without `--kubeconfig` and `--context` it works without a cluster too
    "#);
    assert_snapshot!(here.say(&["init", "--yes", "--file", "missing/mine.yaml"]), @"
    exit 2
    stderr:
    error: `missing/mine.yaml` is a directory, or in one that is not there

    hint: name a file with `--file FILE`
    ");
    assert_eq!(files_below(here.0.path()), [Path::new(".kube/config")]);
}

#[test]
fn the_wizard_takes_its_proposals() {
    let cluster = EmptyCluster::start(32);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    let said = here.say(&["init", "--yes", "--answer", "exposure=node"]);
    let versions = Regex::new(r"(?s)  components .*  objects .*?\n").unwrap();
    let said = versions.replace(&said, "  components  [COMPONENTS]\n").into_owned();
    let said = Regex::new(r"[\d.]+(Gi)? requested").unwrap().replace_all(&said, "[N] requested").into_owned();
    assert_snapshot!(said, @"
    exit 0
    stdout:
    install:       platctl install --profile platform.yaml --context here
    without file:  platctl install --profile dev --set istio-gateway.service.type=NodePort --context here

    stderr:

    looking at here
    Seen in here
      Kubernetes  v1.34.1 on Google Cloud
      nodes       1 usable of 1
      CPU         32.0 free of 32.0
      memory      64Gi free of 64Gi
      storage     standard (default)
      addresses   LoadBalancer: Google Cloud gives Services addresses, unless that
                  is off
      there       nothing that the platform brings

    What would be installed
      answers     context here, profile dev, domain platform.localhost, tls
                  generated, exposure NodePort, storage-class cluster-default,
                  database-size 5Gi, log-size 10Gi, log-retention 31d,
                  audit-retention 90d, repository in-cluster, secrets generated
      components  [COMPONENTS]
      images      11; `platctl images` lists them
      CPU         [N] requested, sidecars not counted
      memory      [N] requested, sidecars not counted
      volumes     27Gi in all: loki 10Gi, postgres 3 x 5Gi, gitea 2Gi
      free        32.0 CPU, 64Gi memory: enough for it

    wrote `platform.yaml`
    ");
    assert_eq!(here.run(&["render", "--profile", "platform.yaml"]).code, 0);
    assert_eq!(cluster.writes(), [""; 0]);
    assert_snapshot!(here.say(&["init", "--yes"]).split("error:").last().unwrap(), @"
     `platform.yaml` is there already

    hint: `--force` writes over it, `--file FILE` writes another
    ");
    let again = here.run(&["init", "--yes", "--force", "--output", "json"]);
    let result: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((again.code, &result["file"]), (0, &"platform.yaml".into()));
    assert_eq!(result["images"].as_array().unwrap().len(), 11);
}

/// The file and the flags that the wizard gives lead to the same objects and to the same repository, once a shell has read them.
#[test]
fn the_wizard_says_the_same_by_file_and_by_flags() {
    let external =
        "repository: git@git.localhost:team/platform.git\nbranch: '1.0'\ncredentials-secret: git-credentials\n";
    let own = "log-retention: 14\ndatabase-size: 8Gi\nstorage-class: fast\nexposure: NodePort\ntls: secret\n";
    for answers in [own.to_owned(), format!("profile: prod\ndomain: example.org\n{external}")] {
        let place = Place::with("all.yaml", &answers);
        let run = place.run(&["init", "--yes", "--answers", "all.yaml", "--output", "json"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let result: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let by = |key: &str| {
            let flags = result[key].as_str().unwrap().strip_prefix("platctl install ").unwrap();
            let platctl = env!("CARGO_BIN_EXE_platctl");
            let script =
                format!("'{platctl}' render {flags} && '{platctl}' export tree {flags} && cat tree/bootstrap.yaml");
            let output = Command::new("sh").args(["-ec", &script]).current_dir(place.0.path()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(by("install") == by("installWithoutFile"), "{answers}");
    }
}

/// Every image once, whoever starts it: pods, the database's operator, the injector.
#[test]
fn images() {
    let run = Place::new().run(&["images"]);
    let without_tags = Regex::new(":[^:/\n]+\n").unwrap().replace_all(&run.stdout, "\n");
    assert_snapshot!(without_tags, @"
    docker.gitea.com/gitea
    docker.io/grafana/grafana
    docker.io/grafana/loki
    docker.io/grafana/promtail
    ghcr.io/cloudnative-pg/cloudnative-pg
    ghcr.io/cloudnative-pg/postgresql
    public.ecr.aws/docker/library/redis
    quay.io/argoproj/argocd
    quay.io/keycloak/keycloak
    registry.istio.io/release/pilot
    registry.istio.io/release/proxyv2
    ");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let mirrored = Place::new().run(&["images", "--set", "imageRegistry=mirror.example.org"]);
    let elsewhere: Vec<&str> =
        mirrored.stdout.lines().filter(|image| !image.starts_with("mirror.example.org/")).collect();
    assert_eq!(elsewhere, [""; 0], "the profile's registry is every image's");
}

/// Where the images come from and where they go to, for two tools and for scripts.
#[test]
fn images_for_a_mirror() {
    let place = Place::new();
    let copies = |args: &[&str]| {
        let run = place.run(args);
        let tags = Regex::new(r":(v?\d[\w.-]*)").unwrap();
        let text = tags.replace_all(&run.stdout, ":TAG").into_owned();
        let some = ["set", "gitea", "grafana/loki", "redis"];
        let lines = text.lines().filter(|line| some.iter().any(|name| line.contains(name)));
        format!("exit {}\n{}", run.code, lines.collect::<Vec<_>>().join("\n"))
    };
    assert_snapshot!(copies(&["images", "--format", "skopeo", "--to", "mirror.example.org/platform"]), @"
    exit 0
    set -e
    skopeo copy --all --preserve-digests docker://docker.gitea.com/gitea:TAG docker://mirror.example.org/platform/gitea:TAG
    skopeo copy --all --preserve-digests docker://docker.io/grafana/loki:TAG docker://mirror.example.org/platform/grafana/loki:TAG
    skopeo copy --all --preserve-digests docker://public.ecr.aws/docker/library/redis:TAG docker://mirror.example.org/platform/docker/library/redis:TAG
    ");
    assert_snapshot!(copies(&["images", "--format", "crane", "--registry-mirror", "docker.io=harbor.example.org/hub", "--registry-mirror", "m.example.org"]), @"
    exit 0
    set -e
    crane copy docker.io/grafana/loki:TAG harbor.example.org/hub/grafana/loki:TAG
    crane copy public.ecr.aws/docker/library/redis:TAG m.example.org/docker/library/redis:TAG
    crane copy docker.gitea.com/gitea:TAG m.example.org/gitea:TAG
    ");
    assert_snapshot!(copies(&["images", "--format", "digests"]), @r#"
    exit 0
    set -e
    digest=$(crane digest docker.gitea.com/gitea:TAG)
    echo "  docker.gitea.com/gitea:TAG: $digest"
    digest=$(crane digest docker.io/grafana/loki:TAG)
    echo "  docker.io/grafana/loki:TAG: $digest"
    digest=$(crane digest public.ecr.aws/docker/library/redis:TAG)
    echo "  public.ecr.aws/docker/library/redis:TAG: $digest"
    "#);
    let behind = place.run(&["images", "--format", "digests", "--registry-mirror", "m.example.org"]).stdout;
    assert!(
        behind.contains("crane digest m.example.org/grafana/loki:")
            && behind.contains("echo \"  docker.io/grafana/loki:")
    );
    assert_snapshot!(say(&["images", "--format", "crane"]), @"
    exit 2
    stderr:
    error: where are the images to be copied to?

    hint: add `--to REGISTRY`, or the `--registry-mirror` that `install` is to get
    ");
    assert_snapshot!(say(&["images", "--to", "mirror.example.org"]), @"
    exit 2
    stderr:
    error: --to: nothing is copied with this format

    hint: add `--format skopeo` or `--format crane`
    ");
    assert_snapshot!(say(&["images", "--format", "crane", "--to", "mirror.example.org/"]), @"
    exit 2
    stderr:
    error: --to `mirror.example.org/`: a registry is written without a `/` at its end
    ");
}

/// A shell runs what is printed, with tools that only note how they are called; what it prints is a profile's keys that pin every image.
#[test]
fn digests_come_from_the_registries() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let place = Place::with("crane", &format!("#!/bin/sh\ntest \"$1\" = digest && echo {digest}\n"));
    let platctl = env!("CARGO_BIN_EXE_platctl");
    let script = format!("chmod +x crane; '{platctl}' images --format digests | PATH=$PWD:$PATH sh > digests.yaml");
    assert!(Command::new("sh").args(["-ec", &script]).current_dir(place.0.path()).status().unwrap().success());
    // A registry that does not answer ends it: half a list would leave images unpinned.
    fs::write(place.path("crane"), "#!/bin/sh\nexit 1\n").unwrap();
    let half = script.replace("digests.yaml", "half.yaml");
    assert!(!Command::new("sh").args(["-ec", &half]).current_dir(place.0.path()).status().unwrap().success());
    let run =
        place.run(&["images", "--values", "digests.yaml", "--registry-mirror", "m.example.org", "--output", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let images: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(images.len(), 11);
    for image in &images {
        assert_eq!(image["digest"], digest.as_str());
        assert!(image["image"].as_str().unwrap().ends_with(&format!("@{digest}")), "{image}");
    }
    let loki = images.iter().find(|image| image["components"] == serde_json::json!(["loki"])).unwrap();
    let (name, mirrored) = (loki["upstream"].as_str().unwrap(), loki["image"].as_str().unwrap());
    assert_eq!(mirrored, format!("{}@{digest}", name.replace("docker.io/", "m.example.org/")));
    // Skopeo takes no tag beside a digest.
    let copy = place.run(&["images", "--values", "digests.yaml", "--format", "skopeo", "--to", "m.example.org"]).stdout;
    assert!(
        copy.contains(&format!("docker://docker.io/grafana/loki@{digest} docker://m.example.org/grafana/loki:3")),
        "{copy}"
    );
}

/// The same in what is applied and in what Argo CD is given.
#[test]
fn a_mirror_goes_to_git() {
    let place = Place::new();
    let mirror = ["--registry-mirror", "m.example.org", "--registry-mirror", "docker.io=harbor.example.org/hub"];
    assert_eq!(place.run(&[&["export", "tree"], &mirror[..]].concat()).code, 0);
    for entry in fs::read_dir(place.path("tree/values")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let expected = "  imageRegistries:\n    docker.io: harbor.example.org/hub\n  imageRegistry: m.example.org\n";
        assert!(text.contains(expected), "{text}");
    }
    let rendered = place.run(&[&["render", "loki"], &mirror[..]].concat()).stdout;
    assert!(rendered.contains("image: harbor.example.org/hub/grafana/loki:"), "{rendered}");
}

#[test]
fn mirrors_that_cannot_be() {
    assert_snapshot!(say(&["install", "--registry-mirror", "https://mirror.example.org"]), @"
    exit 2
    stderr:
    error: --registry-mirror `https://mirror.example.org`: a registry is written without a scheme such as `https://`

    hint: name the registry, and a path if the images are below one: `mirror.example.org:5000/platform`
    ");
    assert_snapshot!(say(&["render", "--registry-mirror", "docker.oi=mirror.example.org"]), @"
    exit 2
    stderr:
    error: profile `dev` cannot be used
      because: `imageRegistries`: no image comes from `docker.oi`: did you mean `docker.io`?
    ");
    assert_snapshot!(Place::with("own.yaml", "imageDigests:\n  docker.io/grafana/loki:1.0: sha256:00\n").say(&["images", "--values", "own.yaml"]), @"
    exit 2
    stderr:
    error: profile `dev` cannot be used
      because: `imageDigests`: no image `docker.io/grafana/loki:1.0`: did you mean `docker.io/grafana/loki:3.7.8`?

    hint: `platctl images --format digests` prints the commands that make the list anew
    ");
}

#[test]
fn completions() {
    let run = Place::new().run(&["completions", "bash"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(run.stdout.lines().next(), Some("_platctl() {"));
    assert!(run.stdout.contains("--no-handoff"));
    assert_snapshot!(say(&["completions", "ksh"]), @"
    exit 2
    stderr:
    error: invalid value 'ksh' for '<SHELL>'
      [possible values: bash, elvish, fish, powershell, zsh]

      tip: a similar value exists: 'zsh'

    For more information, try '--help'.
    ");
}

#[test]
fn man_pages() {
    let here = Place::new();
    assert_snapshot!(here.say(&["man", "man"]), @"
    exit 0
    stderr:
    wrote the man pages to `man`
    ");
    let mut pages: Vec<String> = files_below(&here.path("man")).iter().map(|path| name_of(path)).collect();
    pages.sort();
    // One for each command that the help lists, and for theirs.
    let help = here.run(&["--help"]).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands = commands.lines().map(|line| line.split_whitespace().next().unwrap()).filter(|name| *name != "help");
    let mut expected: Vec<String> = commands.map(|name| format!("platctl-{name}.1")).collect();
    expected.extend(
        [
            "platctl.1",
            "platctl-credentials-rotate.1",
            "platctl-profile-list.1",
            "platctl-profile-schema.1",
            "platctl-profile-show.1",
        ]
        .map(str::to_owned),
    );
    expected.sort();
    assert_eq!(pages, expected);
    let page = fs::read_to_string(here.path("man/platctl-install.1")).unwrap();
    assert!(page.contains(".TH platctl-install 1") && page.contains("no\\-handoff"), "{page}");
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn where_nothing_is_installed() {
    let cluster = EmptyCluster::start(32);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    assert_snapshot!(here.say(&["credentials"]), @"
    exit 3
    stderr:
    error: platctl has installed nothing in context `here`

    hint: `platctl install` does; `--context NAME` chooses another cluster
    ");
    for command in
        [&["credentials", "rotate", "gitea", "--yes"][..], &["open", "grafana"], &["port-forward", "loki"], &["trust"]]
    {
        let run = here.run(command);
        assert_eq!(run.code, 3, "{command:?}: {}", run.stderr);
        assert!(run.stderr.contains("platctl has installed nothing"), "{command:?}: {}", run.stderr);
    }
    assert_eq!(cluster.writes(), [""; 0]);
}

#[test]
fn a_support_bundle_of_little() {
    let cluster = EmptyCluster::start(32);
    let here = Place::with_kubeconfig(&cluster.kubeconfig());
    let said = here.say(&["support-bundle", "--out", "bundle.tar.gz"]);
    assert_snapshot!(Regex::new(r"\d+ KiB").unwrap().replace(&said, "[N] KiB"), @"
    exit 0
    stdout:
    wrote `bundle.tar.gz`: 6 files, [N] KiB

    stderr:
    gathering from 0 namespaces
    not everything could be read: problems.txt in it says what
    the values of Secrets are redacted; names, addresses and logs are in it
    look through it before you pass it on
    ");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(here.path("bundle.tar.gz")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_snapshot!(here.say(&["support-bundle", "--since", "yesterday"]), @"
    exit 2
    stderr:
    error: --since
      because: `yesterday` is no duration; write it as `90s`, `10m` or `1h30m`
    ");
    assert_eq!(cluster.writes(), [""; 0]);
}

#[test]
fn export() {
    let place = Place::new();
    let url = "https://git.localhost/platform.git";
    let run = place.run(&["export", "tree", "--profile", "prod", "--repo-url", url]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    let files = files_below(&place.path("tree"));
    let folders: BTreeSet<String> = files.iter().map(|path| outline(path)).collect();
    assert_snapshot!(folders.into_iter().collect::<Vec<_>>().join("\n"), @"
    README.md
    bootstrap.yaml
    charts/argocd/
    charts/cnpg-operator/
    charts/grafana/
    charts/istio-base/
    charts/istio-gateway/
    charts/istiod/
    charts/keycloak/
    charts/loki/
    charts/mesh-policies/
    charts/namespaces/
    charts/postgres/
    charts/promtail/
    platctl.sums
    values/argocd.yaml
    values/cnpg-operator.yaml
    values/grafana.yaml
    values/istio-base.yaml
    values/istio-gateway.yaml
    values/istiod.yaml
    values/keycloak.yaml
    values/loki.yaml
    values/mesh-policies.yaml
    values/namespaces.yaml
    values/postgres.yaml
    values/promtail.yaml
    ");
    assert!(run.stderr.starts_with(&format!("wrote {} files to `tree`", files.len())), "{}", run.stderr);
}

/// Charts by their folder, the rest by its name.
fn outline(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    match parts.as_slice() {
        [charts, name, ..] if charts == "charts" => format!("charts/{name}/"),
        _ => path.display().to_string(),
    }
}

#[test]
fn no_exported_file_holds_a_credential() {
    let place = Place::new();
    assert_eq!(place.run(&["export", "tree"]).code, 0);
    let credential = credential::pattern();
    for path in files_below(&place.path("tree")).iter().filter(|path| !path.iter().any(|part| part == "crds")) {
        let text = fs::read_to_string(place.path("tree").join(path)).unwrap();
        let found: Vec<&str> = text.lines().filter(|line| credential.is_match(line)).collect();
        assert_eq!(found, [""; 0], "{}", path.display());
    }
}

#[test]
fn export_twice_writes_the_same() {
    let place = Place::new();
    for folder in ["one", "two"] {
        assert_eq!(place.run(&["export", folder]).code, 0);
    }
    for path in files_below(&place.path("one")) {
        let read = |folder: &str| fs::read(place.path(folder).join(&path)).unwrap();
        assert!(read("one") == read("two"), "{}", path.display());
    }
}

#[test]
fn export_over_a_file() {
    assert_snapshot!(Place::with("tree", "").say(&["export", "tree"]), @"
    exit 2
    stderr:
    error: `tree` is a file

    hint: name a directory; it is made if it is not there
    ");
}

/// The paths of all files below a folder, from there.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
