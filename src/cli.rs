//! The command line as clap types: flags, help texts, defaults. No logic, no imports of the crate. The only place that reads the environment.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// From an empty Kubernetes cluster to a running, secured, GitOps-owned platform
#[derive(Debug, Parser)]
#[command(name = "platctl", version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Global {
    /// The kubeconfig file [default: KUBECONFIG, then ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// How results and progress are written
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Auto, help_heading = "Output")]
    pub output: Output,
    /// Say more: every object, every retry
    #[arg(short, long, global = true, help_heading = "Output")]
    pub verbose: bool,
    /// Set by CI systems: plain lines instead of bars
    #[arg(long, env = "CI", hide = true, global = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub ci: bool,
    /// Set by GitHub Actions: waves as groups, warnings and failures as annotations
    #[arg(long, env = "GITHUB_ACTIONS", hide = true, global = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub github_actions: bool,
    /// Set by terminals: one that is `dumb` gets plain lines
    #[arg(long, env = "TERM", hide = true, global = true)]
    pub term: Option<String>,
    /// No colours
    #[arg(long, env = "NO_COLOR", global = true, help_heading = "Output", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_color: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// Plain lines
    Text,
    /// JSON on stdout: one event a line while working, one document for results
    Json,
    /// YAML on stdout for results
    Yaml,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask what is wanted, write a profile for it, and offer to install
    #[command(after_help = QUESTIONS)]
    Init(Init),
    /// Install the platform, or go on with an interrupted installation
    Install(Install),
    /// Bring an installation to the versions of this platctl
    Upgrade(Upgrade),
    /// Show what is installed, whether it is ready, and why not
    Status(Status),
    /// Remove the platform; data stays unless it is asked for by name
    Uninstall(Uninstall),
    /// Write the Git tree that Argo CD follows
    Export(Export),
    /// Print the Kubernetes objects of the platform or of some components
    Render(Render),
    /// Show what `install` would change, field by field
    Diff(Diff),
    /// Check the cluster without changing it
    Preflight(Preflight),
    /// Explain a check of `preflight`, or list all of them
    Explain(Explain),
    /// Show where to log in and as whom, or change a password
    Credentials(Credentials),
    /// Open a component's pages through a port of this machine, until Ctrl-C
    Open(Open),
    /// Forward a port of this machine to a component, until Ctrl-C
    PortForward(PortForward),
    /// Print the certificate of the platform's own CA, and how to trust it
    Trust(Trust),
    /// Gather what a maintainer asks for into one file, secrets redacted
    SupportBundle(SupportBundle),
    /// List the built-in profiles or show one
    Profile(ProfileCommand),
    /// List the container images of the platform
    Images(Images),
    /// Print a completion script
    Completions(Completions),
    /// Write the man pages
    #[command(hide = true)]
    Man(Man),
    /// Print the version, and how this executable was built
    Version,
}

/// What is to be installed and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Choice {
    /// A built-in profile (dev, prod) or a file
    #[arg(short, long, value_name = "NAME|FILE", default_value = "dev", help_heading = "Profile")]
    pub profile: String,
    /// A file with keys of the profile that override it; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Profile")]
    pub values: Vec<PathBuf>,
    /// One key: `domain=example.org`, or a chart's value: `keycloak.replicas=2`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Profile")]
    pub set: Vec<String>,
    /// The Git repository that Argo CD follows, instead of one in the cluster
    #[arg(long, value_name = "URL", help_heading = "Profile")]
    pub repo_url: Option<String>,
    /// Pull the images from here: `mirror.example.org/team` for all, `docker.io=mirror.example.org/hub` for one registry's; may be repeated
    #[arg(long, value_name = "[REGISTRY=]HOST[/PATH]", help_heading = "Profile")]
    pub registry_mirror: Vec<String>,
}

/// The keys of `--answer` and of `--answers FILE`.
const QUESTIONS: &str = "Questions: context, profile, domain, tls, tls-secret, exposure, api-server-ports, storage-class, database-size, log-size, \
log-retention, audit-retention, repository, branch, credentials-secret, secrets. On a terminal `?` explains each.";

#[derive(Debug, Args)]
pub struct Init {
    /// The profile file to write
    #[arg(short, long, value_name = "FILE", default_value = "platform.yaml")]
    pub file: PathBuf,
    /// Answers from a YAML file, one `question: answer` a line; what it answers is not asked
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// One answer: `domain=example.org`; may be repeated
    #[arg(short, long, value_name = "KEY=ANSWER")]
    pub answer: Vec<String>,
    /// Do not ask: take what is proposed for everything that is not answered
    #[arg(short, long)]
    pub yes: bool,
    /// Write over the file if it is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Install {
    #[command(flatten)]
    pub choice: Choice,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Render and check everything, say what would be done, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Stop before Argo CD takes over
    #[arg(long)]
    pub no_handoff: bool,
    /// Have the nodes pull the images of the later waves while the first ones wait
    #[arg(long)]
    pub prepull: bool,
    /// How long the whole installation may take, such as 30m [default: the profile's]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// How long one wave may take: `services=20m`; may be repeated [default: the profile's]
    #[arg(long, value_name = "WAVE=DURATION")]
    pub wave_timeout: Vec<String>,
    #[command(flatten)]
    pub skip: Skip,
}

#[derive(Debug, Args)]
pub struct Upgrade {
    /// A built-in profile (dev, prod) or a file [default: the profile as it was recorded]
    #[arg(short, long, value_name = "NAME|FILE", help_heading = "Profile")]
    pub profile: Option<String>,
    /// A file with keys of the profile that override it; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Profile")]
    pub values: Vec<PathBuf>,
    /// One key: `domain=example.org`, or a chart's value: `keycloak.replicas=2`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Profile")]
    pub set: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Check and compare everything, say what would be done, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Commit to a new branch, for you to merge, and not to the one that Argo CD follows
    #[arg(long, value_name = "NAME", conflicts_with_all = ["into", "at"], help_heading = "After the handoff")]
    pub branch: Option<String>,
    /// Write the new tree into this clone of the repository, for you to commit and push
    #[arg(long, value_name = "DIR", conflicts_with = "at", help_heading = "After the handoff")]
    pub into: Option<PathBuf>,
    /// The new tree is pushed, with this commit: watch Argo CD reach it, then record it
    #[arg(long, value_name = "COMMIT", help_heading = "After the handoff")]
    pub at: Option<String>,
    /// Replace files that people changed in Git too
    #[arg(long, help_heading = "After the handoff")]
    pub overwrite: bool,
    /// Take a step that is refused by this code; may be repeated
    #[arg(long, value_name = "CODE")]
    pub accept: Vec<String>,
    #[command(flatten)]
    pub skip: Skip,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Show again whenever something changes, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct Uninstall {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Remove the data too: databases, logs, repositories
    #[arg(long)]
    pub delete_data: bool,
    /// Say what would be removed and what stays, remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long objects of one kind may take to go before what holds them is named
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub timeout: String,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The directory, made if it is not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub choice: Choice,
}

#[derive(Debug, Args)]
pub struct Render {
    /// Components, all without
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
    #[command(flatten)]
    pub choice: Choice,
}

#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    pub choice: Choice,
}

#[derive(Debug, Args)]
pub struct Preflight {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub skip: Skip,
}

/// Which checks of the cluster are left out.
#[derive(Debug, Default, Args)]
pub struct Skip {
    /// Leave out a check; may be repeated, `platctl explain` lists the codes
    #[arg(long, value_name = "CODE")]
    pub skip: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The check, all of them without
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

#[derive(Debug, Args)]
pub struct ProfileCommand {
    #[command(subcommand)]
    pub action: ProfileAction,
}

#[derive(Debug, Subcommand)]
pub enum ProfileAction {
    /// List the built-in profiles
    List,
    /// Show a profile with all that overrides it, as it would be used
    Show {
        #[arg(value_name = "NAME|FILE", default_value = "dev")]
        name: String,
    },
    /// Print the JSON Schema of a profile file, for editors
    Schema,
}

#[derive(Debug, Args)]
pub struct Images {
    #[command(flatten)]
    pub choice: Choice,
    /// What to print
    #[arg(long, value_enum, default_value_t = ImageFormat::List)]
    pub format: ImageFormat,
    /// Where to copy the images to, written as for `--registry-mirror`, which is the default
    #[arg(long, value_name = "[REGISTRY=]HOST[/PATH]")]
    pub to: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImageFormat {
    /// One image a line, as the nodes pull it
    List,
    /// A shell script of `skopeo copy` that fills a mirror
    Skopeo,
    /// A shell script of `crane copy` that fills a mirror
    Crane,
    /// A shell script that asks the registries for the digests and prints them as `imageDigests`, for `--values`
    Digests,
}

#[derive(Debug, Args)]
pub struct Completions {
    pub shell: Shell,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Credentials {
    #[command(subcommand)]
    pub action: Option<CredentialsAction>,
    /// A component, all that have a login without
    #[arg(value_name = "COMPONENT")]
    pub component: Option<String>,
    /// Show the passwords
    #[arg(long)]
    pub show: bool,
}

#[derive(Debug, Subcommand)]
pub enum CredentialsAction {
    /// Give a component's administrator a new password, or the gateway a new certificate
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub struct Rotate {
    /// Whose: argocd or gitea, or istio-gateway for its certificate; the others say how it is done by hand
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Show the new password
    #[arg(long)]
    pub show: bool,
}

#[derive(Debug, Args)]
pub struct Open {
    /// What to open: grafana, keycloak, argocd or gitea
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// The port of this machine [default: 443 or else 8443; the Git server's own]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Open the browser too
    #[arg(long)]
    pub browser: bool,
}

#[derive(Debug, Args)]
pub struct PortForward {
    /// What to lead to, such as loki or postgres
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// The port of this machine; 0 is any free one [default: the component's own, or a free one]
    #[arg(value_name = "LOCAL_PORT")]
    pub local_port: Option<u16>,
}

#[derive(Debug, Args)]
pub struct Trust {
    /// Write the certificate to a file instead
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SupportBundle {
    /// The file [default: platctl-support-TIME.tar.gz]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How far back the logs go, such as 30m
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub since: String,
}

#[derive(Debug, Args)]
pub struct Man {
    /// The directory, made if it is not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
