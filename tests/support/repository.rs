//! A Git repository of one's own, which platctl does not write to: made and filled by the tests, served by `git daemon`.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::lab::eventually;

/// A bare repository and its server, which ends with it.
pub(crate) struct Repository {
    root: PathBuf,
    pub(crate) url: String,
    server: Child,
}

impl Repository {
    pub(crate) fn serve(root: PathBuf, address: &str, port: u16) -> Self {
        let bare = root.join("platform.git");
        std::fs::create_dir(&root).unwrap();
        git(&root, &["init", "--quiet", "--bare", "--initial-branch=main", bare.to_str().unwrap()]);
        // Itself, and not by way of `git`, which would leave it behind when killed.
        let programs = git(&root, &["--exec-path"]);
        let server = Command::new(Path::new(programs.trim()).join("git-daemon"))
            .args([&format!("--listen={address}"), &format!("--port={port}"), "--export-all", "--reuseaddr"])
            .arg(format!("--base-path={}", root.display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the Git server", || TcpStream::connect((address, port)).map_err(|error| error.to_string()));
        Self { root, url: format!("git://{address}:{port}/platform.git"), server }
    }

    /// Makes the branch hold what is in the directory; the commit's name.
    pub(crate) fn push(&self, directory: &Path) -> String {
        if !directory.join(".git").exists() {
            git(directory, &["init", "--quiet", "--initial-branch=main"]);
        }
        commit(directory);
        git(directory, &["push", "--quiet", self.root.join("platform.git").to_str().unwrap(), "main"]);
        git(directory, &["rev-parse", "HEAD"]).trim().to_owned()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Commits all that there is in a working directory.
pub(crate) fn commit(directory: &Path) {
    git(directory, &["add", "--all"]);
    let author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    git(directory, &[&author[..], &["commit", "--quiet", "-m", "Change"]].concat());
}

pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
