//! `install.sh` under each shell that is here, installing from a release in a folder. No network, no compiled platctl: the archive holds a
//! script that answers `version`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

const HOST: &str = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };

/// A release in a folder, and an empty folder to install to.
struct Release {
    folder: TempDir,
}

impl Release {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let release = Self { folder };
        fs::create_dir(release.path("release")).unwrap();
        release.pack("#!/bin/sh\necho \"platctl 0.1.0\"\n");
        release.sum("SHA256SUMS", |hash, name| format!("{hash}  {name}\n"));
        release
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn archive() -> String {
        format!("platctl-{HOST}-unknown-linux-musl.tar.gz")
    }

    fn pack(&self, executable: &str) {
        let source = self.path("platctl");
        fs::write(&source, executable).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
        let archive = self.path("release").join(Self::archive());
        let packed =
            Command::new("tar").arg("-czf").arg(archive).arg("-C").arg(self.folder.path()).arg("platctl").status();
        assert!(packed.unwrap().success());
    }

    /// Writes the list of checksums, its one line made by `line`.
    fn sum(&self, file: &str, line: impl Fn(&str, &str) -> String) {
        let content = fs::read(self.path("release").join(Self::archive())).unwrap();
        let mut hash = String::new();
        for byte in Sha256::digest(content) {
            hash += &format!("{byte:02x}");
        }
        fs::write(self.path("release").join(file), line(&hash, &Self::archive())).unwrap();
    }

    fn bin(&self) -> PathBuf {
        self.path("bin")
    }

    /// Installs from the release to `bin`, with more arguments.
    fn install(&self, shell: &str, more: &[&str]) -> Run {
        let (from, bin) = (self.path("release"), self.bin());
        let mut arguments = vec!["--from", from.to_str().unwrap(), "--bin-dir", bin.to_str().unwrap()];
        arguments.extend(more);
        let temporary = TempDir::new().unwrap();
        let run = run(script(shell).args(arguments).env("TMPDIR", temporary.path()));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "files are left in TMPDIR");
        run
    }

    /// What is in `bin`, to see that a failure leaves nothing behind.
    fn installed(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.bin()) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Fails with the exit code; the message and a hint are there.
    fn refuses(&self, code: i32, message: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.contains(&format!("error: {message}")), "{message:?} is not in: {}", self.stderr);
        assert!(self.stderr.contains("\nhint: "), "{}", self.stderr);
        assert_eq!(self.stdout, "");
    }
}

fn script(shell: &str) -> Command {
    let mut command = Command::new(shell);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("install.sh"));
    command
}

fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

/// This process's PATH with one more folder in front.
fn path_with(first: &Path) -> OsString {
    let mut path = first.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    path
}

/// Does it under each shell that is installed; `sh` always is.
fn each_shell(test: impl Fn(&str, &Release)) {
    let is_here = |shell: &&&str| Command::new(shell).args(["-c", ":"]).status().is_ok();
    for shell in ["sh", "dash", "bash", "ksh"].iter().filter(is_here) {
        test(shell, &Release::new());
    }
}

#[test]
fn installs_an_executable_that_runs() {
    each_shell(|shell, release| {
        let run = release.install(shell, &["--version", "v0.1.0"]);
        assert_eq!(run.code, 0, "{shell}: {}", run.stderr);
        assert!(run.stderr.contains("installed: platctl 0.1.0 in "), "{}", run.stderr);
        assert!(run.stderr.contains("is not in PATH"), "{}", run.stderr);
        let version = Command::new(release.bin().join("platctl")).arg("version").output().unwrap();
        assert_eq!(version.stdout, b"platctl 0.1.0\n");
        assert_eq!(release.installed(), ["platctl"]);
    });
}

#[test]
fn replaces_an_older_one() {
    each_shell(|shell, release| {
        fs::create_dir(release.bin()).unwrap();
        fs::write(release.bin().join("platctl"), "old").unwrap();
        let run = release.install(shell, &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(fs::read_to_string(release.bin().join("platctl")).unwrap().contains("platctl 0.1.0"));
    });
}

#[test]
fn a_prefix_has_its_executables_in_bin() {
    each_shell(|shell, release| {
        let from = format!("--from=file://{}", release.path("release").display());
        let path = path_with(&release.bin());
        let run = run(script(shell).arg(from).arg("--prefix").arg(release.folder.path()).env("PATH", path));
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(release.installed(), ["platctl"]);
        assert!(run.stderr.ends_with("next: platctl --help\n"), "{}", run.stderr);
    });
}

#[test]
fn reads_the_binary_mark_of_a_checksum_file() {
    each_shell(|shell, release| {
        release.sum("SHA256SUMS", |hash, name| format!("{} *{name}\n", hash.to_uppercase()));
        assert_eq!(release.install(shell, &[]).code, 0);
    });
}

#[test]
fn refuses_what_does_not_match_its_checksum() {
    each_shell(|shell, release| {
        release.pack("#!/bin/sh\necho something else\n");
        let run = release.install(shell, &[]);
        run.refuses(1, &format!("{} has the SHA-256 ", Release::archive()));
        assert!(run.stderr.contains("nothing was installed"));
        assert!(release.installed().is_empty());
    });
}

#[test]
fn refuses_what_no_checksum_is_known_of() {
    each_shell(|shell, release| {
        release.sum("SHA256SUMS", |hash, name| format!("{hash}  other-{name}\n"));
        let run = release.install(shell, &[]);
        run.refuses(1, &format!("{}/SHA256SUMS has no line for ", release.path("release").display()));
        fs::remove_file(release.path("release/SHA256SUMS")).unwrap();
        release.install(shell, &[]).refuses(1, "there is no file ");
        assert!(release.installed().is_empty());
    });
}

#[test]
fn says_which_file_is_missing() {
    each_shell(|shell, release| {
        let archive = release.path("release").join(Release::archive());
        fs::remove_file(&archive).unwrap();
        release.install(shell, &[]).refuses(1, &format!("there is no file {}", archive.display()));
        assert!(release.installed().is_empty());
    });
}

#[test]
fn refuses_an_archive_without_platctl() {
    each_shell(|shell, release| {
        fs::write(release.path("release").join(Release::archive()), "not an archive").unwrap();
        release.sum("SHA256SUMS", |hash, name| format!("{hash}  {name}\n"));
        release.install(shell, &[]).refuses(1, &format!("{} does not hold `platctl`", Release::archive()));
    });
}

#[test]
fn leaves_the_old_one_when_the_new_one_does_not_run() {
    each_shell(|shell, release| {
        assert_eq!(release.install(shell, &[]).code, 0);
        release.pack("#!/bin/sh\nexit 1\n");
        release.sum("SHA256SUMS", |hash, name| format!("{hash}  {name}\n"));
        release.install(shell, &[]).refuses(1, "the executable does not run on this machine");
        assert!(fs::read_to_string(release.bin().join("platctl")).unwrap().contains("platctl 0.1.0"));
        assert_eq!(release.installed(), ["platctl"]);
    });
}

#[test]
fn knows_two_architectures() {
    each_shell(|shell, release| {
        release.install(shell, &["--arch", "riscv64"]).refuses(1, "there is no platctl for the architecture `riscv64`");
        let other = if HOST == "x86_64" { "arm64" } else { "amd64" };
        release.install(shell, &["--arch", other]).refuses(1, "there is no");
        // Another machine's executable is installed without being started.
        let foreign = Release::archive().replace(HOST, if HOST == "x86_64" { "aarch64" } else { "x86_64" });
        release.pack("not for this machine");
        release.sum("SHA256SUMS", |hash, _| format!("{hash}  {foreign}\n"));
        fs::rename(release.path("release").join(Release::archive()), release.path("release").join(&foreign)).unwrap();
        assert_eq!(release.install(shell, &["--arch", other]).code, 0);
    });
}

#[test]
fn knows_one_operating_system() {
    each_shell(|shell, release| {
        fs::create_dir(release.path("tools")).unwrap();
        fs::write(release.path("tools/uname"), "#!/bin/sh\necho Darwin\n").unwrap();
        fs::set_permissions(release.path("tools/uname"), fs::Permissions::from_mode(0o755)).unwrap();
        run(script(shell).env("PATH", path_with(&release.path("tools"))))
            .refuses(1, "there is no platctl for Darwin, only for Linux");
    });
}

#[test]
fn says_where_it_may_not_write() {
    each_shell(|shell, release| {
        // Not even root can make a folder under a file, or a file in this one.
        let under_a_file = release.path("platctl").join("bin");
        let refused = release.install(shell, &["--bin-dir", under_a_file.to_str().unwrap()]);
        refused.refuses(1, &format!("the folder {} could not be made", under_a_file.display()));
        release.install(shell, &["--bin-dir", "/proc"]).refuses(1, "/proc could not be written to");
    });
}

#[test]
fn misuse_is_told_apart() {
    each_shell(|shell, release| {
        release.install(shell, &["--frm", "x"]).refuses(2, "unknown argument `--frm`");
        release.install(shell, &["--version"]).refuses(2, "`--version` needs a value");
        release.install(shell, &["--version", "../../x"]).refuses(2, "`../../x` is not a version");
        let help = run(script(shell).arg("--help"));
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        assert!(help.stdout.contains("usage: install.sh"));
    });
}

#[test]
fn half_a_script_does_nothing() {
    each_shell(|shell, release| {
        let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("install.sh")).unwrap();
        let (from, bin) = (release.path("release"), release.bin());
        let cut = script.len() - "    exit\n}\n".len();
        for length in [cut, cut - 3, cut / 2] {
            let half = release.path("half.sh");
            fs::write(&half, &script[..length]).unwrap();
            run(Command::new(shell).arg(half).arg("--from").arg(&from).arg("--bin-dir").arg(&bin));
            assert!(release.installed().is_empty());
        }
    });
}
