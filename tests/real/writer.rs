//! Rows that `PostgreSQL` has confirmed, and whether it still has them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::database::{query, replicas};
use crate::lab::{PATIENCE, bin, eventually};
use crate::platform::Platform;

/// Fails unless the primary has all of these rows and each of the others has what the primary has. The table goes.
pub(crate) fn nothing_is_lost(platform: &Platform, primary: &str, table: &str, acknowledged: &[u64]) {
    let stored = query(platform, primary, "postgres", &format!("SELECT n FROM {table}")).unwrap();
    let stored: BTreeSet<u64> = stored.lines().map(|line| line.parse().unwrap()).collect();
    let missing: Vec<_> = acknowledged.iter().filter(|n| !stored.contains(n)).collect();
    assert!(missing.is_empty(), "{} acknowledged rows are lost, from {:?}", missing.len(), missing.first());
    for replica in replicas(primary) {
        let count = format!("SELECT count(*) FROM {table}");
        eventually("the replicas to have the same rows", || {
            let found = query(platform, &replica, "postgres", &count)?;
            if found == stored.len().to_string() {
                Ok(())
            } else {
                Err(format!("{replica} has {found} of {}", stored.len()))
            }
        });
    }
    query(platform, primary, "postgres", &format!("DROP TABLE {table}")).unwrap();
}

/// An empty table for such rows.
pub(crate) fn empty_table(platform: &Platform, primary: &str, table: &str) {
    let make = format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (n bigint)");
    query(platform, primary, "postgres", &make).unwrap();
}

/// Writes rows one by one until its instance is gone, and tells of each once `PostgreSQL` has confirmed its commit.
pub(crate) struct Writer {
    psql: Child,
    acknowledged: Receiver<u64>,
}

impl Writer {
    /// The rows are numbers from `first` on.
    pub(crate) fn start(platform: &Platform, instance: &str, table: &str, first: u64) -> Self {
        let mut psql = Command::new(bin().join("kubectl"));
        psql.arg("--kubeconfig").arg(platform.lab.directory().join("direct.kubeconfig"));
        psql.args([
            "exec",
            "-i",
            "-n",
            "iam-system",
            instance,
            "-c",
            "postgres",
            "--",
            "psql",
            "-XAtq",
            "-d",
            "postgres",
        ]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = psql.stdin.take().unwrap();
        let statement = format!("INSERT INTO {table} VALUES");
        // Until nobody reads it any more.
        std::thread::spawn(move || (first..).try_for_each(|n| writeln!(input, "{statement} ({n}) RETURNING n;")));
        let output = BufReader::new(psql.stdout.take().unwrap());
        let (sender, acknowledged) = channel();
        std::thread::spawn(move || {
            // What is cut off at the end is the beginning of a number that was confirmed before.
            let confirmed = output.lines().map_while(Result::ok).map_while(|line| line.parse().ok());
            confirmed.map_while(|n| sender.send(n).ok()).for_each(drop);
        });
        Self { psql, acknowledged }
    }

    pub(crate) fn wait_for(&self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.acknowledged.recv_timeout(PATIENCE).unwrap()).collect()
    }

    /// What was confirmed and not asked for yet.
    pub(crate) fn so_far(&self) -> Vec<u64> {
        self.acknowledged.try_iter().collect()
    }

    /// Ends it: a connection may be dead without a word. All that was confirmed since.
    pub(crate) fn stop(mut self) -> Vec<u64> {
        self.psql.kill().unwrap();
        self.acknowledged.iter().collect()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
