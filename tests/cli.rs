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
use regex::Regex;
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

    Usage: platctl [OPTIONS] <COMMAND>

    Commands:
      install         Install the platform, or go on with an interrupted installation
      status          Show what is installed, whether it is ready, and why not
      uninstall       Remove the platform; data stays unless it is asked for by name
      export          Write the Git tree that Argo CD follows
      render          Print the Kubernetes objects of the platform or of some components
      diff            Show what `install` would change, field by field
      preflight       Check the cluster without changing it
      credentials     Show where to log in and as whom, or change a password
      open            Open a component's pages through a port of this machine, until Ctrl-C
      port-forward    Forward a port of this machine to a component, until Ctrl-C
      trust           Print the certificate of the platform's own CA, and how to trust it
      support-bundle  Gather what a maintainer asks for into one file, secrets redacted
      profile         List the built-in profiles or show one
      images          List the container images of the platform
      completions     Print a completion script
      version         Print the version
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

          --timeout <DURATION>
              How long the whole installation may take, such as 30m [default: the profile's]

          --wave-timeout <WAVE=DURATION>
              How long one wave may take: `services=20m`; may be repeated [default: the profile's]

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
    let expected = format!("platctl {}\n", env!("CARGO_PKG_VERSION"));
    for args in [["version"], ["--version"], ["-V"]] {
        let run = Place::new().run(&args);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, expected.as_str(), ""));
    }
}

#[test]
fn unknown_commands_and_flags() {
    assert_snapshot!(say(&["isntall"]), @"
    exit 2
    stderr:
    error: unrecognized subcommand 'isntall'

      tip: some similar subcommands exist: 'uninstall', 'install'

    Usage: platctl [OPTIONS] <COMMAND>

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
    nothing found
    ");
    let dry = here.run(&["install", "--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stderr.contains("nothing was written"), "{}", dry.stderr);
    assert_eq!(cluster.writes(), [""; 0]);
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
        ["platctl.1", "platctl-credentials-rotate.1", "platctl-profile-list.1", "platctl-profile-show.1"]
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
    let url = "https://git.example.org/platform.git";
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
