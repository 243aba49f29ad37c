//! The wizard on a terminal: the executable behind a pseudo-terminal, driven as a person drives it. A shell around it prints the terminal's
//! settings before and after, and the exit code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/empty_cluster.rs"]
mod empty_cluster;

use std::fs;
use std::process::Command;

use empty_cluster::{EmptyCluster, kubeconfig};
use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;

/// Far more than any step takes.
const PATIENCE: u64 = 60_000;

/// A shell on a terminal of its own, in an empty directory that is the home directory too.
struct Terminal {
    home: TempDir,
    session: PtySession,
}

impl Terminal {
    /// Runs `platctl` with these arguments; `kubeconfig` is where everybody looks for it.
    fn run(kubeconfig: &str, arguments: &str, files: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join(".kube")).unwrap();
        fs::write(home.path().join(".kube/config"), kubeconfig).unwrap();
        for (name, text) in files {
            fs::write(home.path().join(name), text).unwrap();
        }
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!(
            "trap : INT; stty -g; '{}' {arguments}; echo \"exit $?\"; stty -g",
            env!("CARGO_BIN_EXE_platctl")
        ));
        shell.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path()).env("TERM", "xterm");
        shell.current_dir(home.path());
        let session = spawn_command(shell, Some(PATIENCE)).unwrap();
        Self { home, session }
    }

    /// Waits for the words; gives what came before them.
    fn sees(&mut self, words: &str) -> String {
        self.session.exp_string(words).unwrap()
    }

    fn types(&mut self, line: &str) {
        self.session.send_line(line).unwrap();
    }

    /// Waits for a question's prompt and answers it.
    fn answers(&mut self, prompt: &str, line: &str) -> String {
        let before = self.sees(prompt);
        self.types(line);
        before
    }

    /// Waits for the end. What was printed since, and the exit code.
    fn ends(&mut self) -> (String, String) {
        let said = self.sees("exit ");
        (said, self.session.read_line().unwrap())
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(name)).unwrap()
    }

    /// What lies in the directory, hidden files too, but for the kubeconfig's.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".kube");
        names.sort();
        names
    }
}

const NOWHERE: &str = "http://127.0.0.1:1";

/// From the first question to the written file: an explanation, a bad answer, the way back.
#[test]
fn the_whole_way() {
    let cluster = EmptyCluster::start(32);
    let mut terminal = Terminal::run(&cluster.kubeconfig(), "init", &[]);
    let seen = terminal.answers("profile [dev]: ", "?");
    for words in
        ["Seen in here", "v1.34.1", "1 usable of 1", "32.0 free of 32.0", "standard (default)", "on Google Cloud"]
    {
        assert!(seen.contains(words), "no `{words}` in {seen}");
    }
    let explained = terminal.answers("profile [dev]: ", "");
    assert!(explained.contains("The built-in profile that yours stands on"), "{explained}");
    terminal.answers("domain [platform.localhost]: ", "https://example.org");
    let refused = terminal.answers("domain [platform.localhost]: ", "first.example.org");
    assert!(refused.contains("not taken: `https://example.org` is a URL"), "{refused}");
    terminal.answers("tls [generated]: ", "<");
    let back = terminal.answers("domain [first.example.org]: ", "second.example.org");
    assert!(back.contains("proposed: first.example.org (as you said before)"), "{back}");
    terminal.answers("tls [generated]: ", "");
    terminal.answers("exposure [LoadBalancer]: ", "1");
    terminal.answers("storage-class [cluster-default]: ", "");
    terminal.answers("database-size [5Gi]: ", "");
    terminal.answers("log-size [10Gi]: ", "20Gi");
    terminal.answers("log-retention [31d]: ", "14");
    terminal.answers("audit-retention [90d]: ", "");
    terminal.answers("repository [in-cluster]: ", "");
    terminal.answers("secrets [generated]: ", "");
    let summary = terminal.answers("write it to [platform.yaml]: ", "mine.yaml");
    for words in ["domain second.example.org", "37Gi in all: loki 20Gi, postgres 3 x 5Gi, gitea 2Gi", "enough for it"] {
        assert!(summary.contains(words), "no `{words}` in {summary}");
    }
    let commands = terminal.answers("install now? It asks again before it writes [y/N] ", "n");
    for words in [
        "platctl install --profile mine.yaml --context here",
        "platctl install --profile dev --set domain=second.example.org --set loki.persistence.size=20Gi --set loki.retention=336h --context here",
    ] {
        assert!(commands.contains(words), "no `{words}` in {commands}");
    }
    assert_eq!(terminal.ends().1, "0");
    assert_eq!(terminal.files(), ["mine.yaml"], "nothing else is left");
    let file = terminal.file("mine.yaml");
    assert!(
        file.contains("\ndomain: second.example.org\n") && file.contains("# The hosts are auth.<domain>"),
        "{file}"
    );
    let render = Command::new(env!("CARGO_BIN_EXE_platctl"))
        .args(["render", "loki", "--profile", "mine.yaml"])
        .current_dir(terminal.home.path())
        .output()
        .unwrap();
    assert!(String::from_utf8(render.stdout).unwrap().contains("storage: 20Gi"), "{file}");
    assert_eq!(cluster.writes(), [""; 0]);
}

/// The wizard's offer is `install` itself, with its own last question.
#[test]
fn install_is_offered() {
    let cluster = EmptyCluster::start(32);
    let mut terminal = Terminal::run(&cluster.kubeconfig(), "init --answers all.yaml", &[("all.yaml", ALL)]);
    terminal.answers("write it to [platform.yaml]: ", "");
    terminal.answers("It asks again before it writes [y/N] ", "y");
    terminal.answers("waves into context here", "n");
    let (said, code) = terminal.ends();
    assert!(said.contains("not confirmed, nothing was written"), "{said}");
    assert_eq!(code, "1");
    assert_eq!(cluster.writes(), [""; 0]);
}

const ALL: &str = "profile: dev\ndomain: example.org\ntls: generated\nexposure: NodePort\nstorage-class: cluster-default\n\
    database-size: 5Gi\nlog-size: 10Gi\nlog-retention: 31d\naudit-retention: 90d\nrepository: in-cluster\nsecrets: generated\n";

/// Ctrl-C, at a question and in the middle of an answer: the terminal is as before, nothing is left behind.
#[test]
fn ctrl_c_leaves_no_trace() {
    for typed in ["", "half an ans"] {
        let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "init", &[]);
        let before = terminal.session.read_line().unwrap();
        terminal.answers("profile [dev]: ", "");
        let mut said = terminal.sees("domain [platform.localhost]: ");
        terminal.session.send(typed).unwrap();
        terminal.session.flush().unwrap();
        terminal.session.send_control('c').unwrap();
        let (last, code) = terminal.ends();
        let after = terminal.session.read_line().unwrap();
        said += &last;
        assert!(last.contains("interrupted; nothing was written"), "{last}");
        assert_eq!(code, "130");
        assert_eq!(before, after, "the terminal's settings");
        assert_eq!(
            said.matches("\u{1b}[?25l").count(),
            said.matches("\u{1b}[?25h").count(),
            "the cursor is shown again"
        );
        assert_eq!(terminal.files(), [""; 0]);
    }
}

#[test]
fn ctrl_c_after_the_file_was_written_says_so() {
    let cluster = EmptyCluster::start(32);
    let mut terminal = Terminal::run(&cluster.kubeconfig(), "init --answers all.yaml", &[("all.yaml", ALL)]);
    terminal.answers("write it to [platform.yaml]: ", "");
    terminal.sees("It asks again before it writes [y/N] ");
    terminal.session.send_control('c').unwrap();
    let (said, code) = terminal.ends();
    assert!(said.contains("interrupted; `platform.yaml` is written, nothing is installed"), "{said}");
    assert_eq!((code.as_str(), terminal.files()), ("130", vec!["all.yaml".to_owned(), "platform.yaml".to_owned()]));
}

#[test]
fn the_end_of_the_input_ends_it() {
    let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "init", &[]);
    terminal.sees("profile [dev]: ");
    terminal.session.send_control('d').unwrap();
    let (said, code) = terminal.ends();
    assert!(said.contains("the input ended; nothing was written"), "{said}");
    assert_eq!(code, "1");
}

/// A cluster that is not there is said, and installing into it is not offered.
#[test]
fn without_a_cluster_it_goes_on() {
    let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "init --answers all.yaml", &[("all.yaml", ALL)]);
    let said = terminal.answers("write it to [platform.yaml]: ", "");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let caveat = "cluster not reached: reach http://127.0.0.1:1 (context `here`): Connection refused (os error 111); what is \
                  proposed is not fitted to it";
    assert!(said.contains(caveat), "{said}");
    let (said, code) = terminal.ends();
    assert!(said.contains("wrote `platform.yaml`") && !said.contains("install now?"), "{said}");
    assert_eq!(code, "0");
}

#[test]
fn a_file_that_is_there_is_not_overwritten_unasked() {
    let files = [("all.yaml", ALL), ("platform.yaml", "mine")];
    let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "init --answers all.yaml", &files);
    terminal.answers("write it to [platform.yaml]: ", "");
    terminal.answers("write over it? [y/N] ", "n");
    terminal.answers("write it to [platform.yaml]: ", "missing/other.yaml");
    terminal.answers("write it to [platform.yaml]: ", "other.yaml");
    terminal.ends();
    assert_eq!(terminal.file("platform.yaml"), "mine");
    assert_eq!(terminal.files(), ["all.yaml", "other.yaml", "platform.yaml"]);
    let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "init --answers all.yaml", &files);
    terminal.answers("write it to [platform.yaml]: ", "");
    terminal.answers("write over it? [y/N] ", "y");
    terminal.ends();
    assert!(terminal.file("platform.yaml").contains("domain: example.org"));
}

/// From the summary, too, there is a way back.
#[test]
fn back_from_the_summary() {
    let script = ALL.replace("secrets: generated\n", "");
    let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "init --answers all.yaml", &[("all.yaml", &script)]);
    terminal.answers("secrets [generated]: ", "");
    terminal.answers("write it to [platform.yaml]: ", "<");
    terminal.answers("secrets [generated]: ", "external");
    terminal.answers("write it to [platform.yaml]: ", "");
    terminal.ends();
    assert!(terminal.file("platform.yaml").contains("\nsecrets: external\n"));
}

/// `platctl` alone is for those who begin; whoever has a profile sees the help.
#[test]
fn without_arguments() {
    let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "", &[]);
    terminal.sees("profile [dev]: ");
    terminal.session.send_control('c').unwrap();
    assert_eq!(terminal.ends().1, "130");
    let mut terminal = Terminal::run(&kubeconfig(NOWHERE), "", &[("platform.yaml", "extends: dev\n")]);
    let (said, code) = terminal.ends();
    assert!(said.contains("Usage: platctl") && said.contains("platctl install --profile platform.yaml"), "{said}");
    assert_eq!(code, "2");
}

#[test]
fn colours_are_left_out_on_request() {
    for (arguments, is_colourful) in [("init", true), ("init --no-color", false)] {
        let mut terminal = Terminal::run(&kubeconfig(NOWHERE), arguments, &[]);
        let said = terminal.sees("profile [dev]: ");
        assert_eq!(said.contains('\u{1b}'), is_colourful, "{said:?}");
        // The first line is the shell's.
        assert!(said.lines().skip(1).all(|line| line.chars().count() <= 80), "{said}");
        terminal.session.send_control('c').unwrap();
        terminal.ends();
    }
}
