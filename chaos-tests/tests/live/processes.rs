//! Real processes: each leads a process group of its own and is ended by its number, also when a test fails.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::wait_for;

/// How long a process may take to stop by itself.
const STOP_SECONDS_MAX: u64 = 20;
/// How long a killed group may take to be gone.
const GONE_SECONDS_MAX: u64 = 5;
/// Lines of a log that are shown when a test failed.
const LOG_LINES_SHOWN: usize = 25;

/// One process and whatever it starts.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it says goes to the end of `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log");
        let child = command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of this test")
    }

    /// Asks it to stop; it must do so cleanly.
    pub(crate) fn stop(mut self) {
        signal("TERM", &self.child.id().to_string());
        let status = wait_for("a process to stop", STOP_SECONDS_MAX, || self.ended());
        assert!(status.success(), "{} did not stop cleanly: {status}", self.log.display());
    }

    /// Kills it together with everything it started, as a power cut does.
    pub(crate) fn kill(mut self) {
        signal("KILL", &format!("-{}", self.child.id()));
        self.collect();
    }

    /// Freezes it and everything it started: alive, and silent.
    pub(crate) fn freeze(&self) {
        signal("STOP", &format!("-{}", self.child.id()));
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal("CONT", &format!("-{}", self.child.id()));
    }

    fn collect(&mut self) {
        let group = self.child.id();
        wait_for("a killed process to be gone", GONE_SECONDS_MAX, || self.ended());
        wait_for("its children to be gone", GONE_SECONDS_MAX, || (!has_members(group)).then_some(()));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- end of {}\n{}", self.log.display(), tail(&self.log));
        }
        if has_members(self.child.id()) {
            signal("KILL", &format!("-{}", self.child.id()));
        }
        // It was killed or has ended, so this does not wait for long.
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process, or with a leading `-` to a process group. The standard library can only kill; every
/// POSIX shell has `kill` built in.
fn signal(name: &str, target: &str) {
    let arguments = ["-c", "kill -s \"$0\" -- \"$1\"", name, target];
    let sent = Command::new("/bin/sh").args(arguments).stderr(Stdio::null()).status();
    sent.unwrap_or_else(|error| panic!("no shell to send SIG{name} with: {error}"));
}

/// Whether somebody in the process group is alive; who has ended and was not yet collected is not.
fn has_members(group: u32) -> bool {
    let processes = fs::read_dir("/proc").expect("a Linux system");
    processes.flatten().any(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // "pid (name) state ppid pgrp …"; the name may hold anything.
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let state = fields.next();
        state.is_some_and(|state| state != "Z") && fields.nth(1) == Some(&group.to_string())
    })
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
