//! The processes of the country: each in a process group of its own, ended by number, also when the demo is
//! interrupted or panics.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a process may take to stop by itself.
const STOP_WAIT: Duration = Duration::from_secs(15);
/// The same when nobody wants to know the result any more.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a killed group may take to be gone.
const GONE_WAIT: Duration = Duration::from_secs(5);
/// Pause between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of a log that are shown when something went wrong.
const LOG_LINES_SHOWN: usize = 12;

struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn number(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => sleep(LOOK_EVERY),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

/// All processes that run now. Dropping it ends them.
#[derive(Default)]
pub(super) struct Household {
    processes: Vec<Process>,
}

impl Household {
    /// Starts a program; what it says goes to its log.
    pub(super) fn start(&mut self, name: &str, program: &Path, arguments: &[&str], log: &Path) -> Result<()> {
        let attempted = || format!("failed to start {name}: `{}`", program.display());
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("failed to open the log `{}`", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            // Logs are read by people in files.
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone().with_context(attempted)?)
            .stderr(file)
            // A group of its own: Ctrl-C reaches the demo only, which then ends everybody in order, and a relay is
            // killed together with its NATS server.
            .process_group(0)
            .spawn()
            .with_context(attempted)?;
        self.processes.push(Process { name: name.to_owned(), child, log: log.to_owned() });
        Ok(())
    }

    /// Fails when a process has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        for process in &mut self.processes {
            if let Ok(Some(status)) = process.child.try_wait() {
                bail!(
                    "{} ended by itself ({status}); its log ends with\n{}",
                    process.name,
                    tail(&process.log)
                );
            }
        }
        Ok(())
    }

    /// Asks a process to stop and waits until it has; a stop that is not clean is an error.
    pub(super) fn stop(&mut self, name: &str) -> Result<()> {
        let mut process = self.take(name)?;
        send("TERM", &process.number().to_string());
        finish(&mut process)
    }

    /// Asks all processes to stop whose names begin so, and waits until they have.
    pub(super) fn stop_all(&mut self, prefix: &str) -> Result<usize> {
        let (mut stopping, staying): (Vec<_>, Vec<_>) = std::mem::take(&mut self.processes)
            .into_iter()
            .partition(|process| process.name.starts_with(prefix));
        self.processes = staying;
        for process in &stopping {
            send("TERM", &process.number().to_string());
        }
        let mut first_error = Ok(());
        for process in &mut stopping {
            first_error = first_error.and(finish(process));
        }
        first_error.map(|()| stopping.len())
    }

    /// Kills a process and its children, as a power cut does, and waits until all of them are gone.
    pub(super) fn kill(&mut self, name: &str) -> Result<()> {
        let mut process = self.take(name)?;
        let group = process.number();
        send("KILL", &format!("-{group}"));
        process.wait(GONE_WAIT).with_context(|| format!("{name} survived a kill"))?;
        let deadline = Instant::now() + GONE_WAIT;
        while group_has_members(group) {
            if Instant::now() > deadline {
                bail!("children of {name} (process group {group}) survived a kill");
            }
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// The ends of the logs of the processes that run now.
    pub(super) fn last_words(&self) -> String {
        let mut text = String::new();
        for process in &self.processes {
            let tail = tail(&process.log);
            if tail.contains("ERROR") || tail.contains("WARN") {
                text += &format!("{} ({}):\n{tail}\n", process.name, process.log.display());
            }
        }
        text
    }

    fn take(&mut self, name: &str) -> Result<Process> {
        let position = self.processes.iter().position(|process| process.name == name);
        Ok(self.processes.remove(position.with_context(|| format!("{name} does not run"))?))
    }
}

fn finish(process: &mut Process) -> Result<()> {
    let name = &process.name.clone();
    let group = process.number();
    match process.wait(STOP_WAIT) {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{name} did not stop cleanly ({status}):\n{}", tail(&process.log)),
        None => {
            send("KILL", &format!("-{group}"));
            process.wait(GONE_WAIT);
            bail!(
                "{name} did not stop within {} s and was killed:\n{}",
                STOP_WAIT.as_secs(),
                tail(&process.log)
            )
        }
    }
}

impl Drop for Household {
    fn drop(&mut self) {
        for process in &self.processes {
            send("TERM", &process.number().to_string());
        }
        let deadline = Instant::now() + FAREWELL;
        for process in &mut self.processes {
            let left = deadline.saturating_duration_since(Instant::now());
            if process.wait(left).is_none() {
                send("KILL", &format!("-{}", process.number()));
                process.wait(GONE_WAIT);
            }
        }
    }
}

/// Sends a signal to a process, or with a leading `-` to a process group. The standard library can only kill; every
/// POSIX shell has `kill` built in.
fn send(signal: &str, target: &str) {
    let sent = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$0\" -- \"$1\"", signal, target])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(error) = sent {
        tracing::warn!(signal, target, %error, "a signal could not be sent");
    }
}

/// Whether somebody in the process group is alive; a process that ended and was not yet collected is not.
fn group_has_members(group: u32) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.flatten().any(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // "pid (name) state ppid pgrp …"; the name may hold anything.
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let state = fields.next();
        state.is_some_and(|state| state != "Z") && fields.nth(1) == Some(&group.to_string())
    })
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..]
        .iter()
        .map(|line| format!("      {line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(household: &mut Household, name: &str, script: &str, folder: &Path) {
        household.start(name, Path::new("/bin/sh"), &["-c", script], &folder.join(name)).expect("started");
    }

    #[test]
    fn kill_reaches_the_children_of_a_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut household = Household::default();
        shell(&mut household, "relay", "/bin/sleep 300 & echo started; wait", folder.path());
        let group = household.processes[0].number();
        while tail(&folder.path().join("relay")).is_empty() {
            sleep(LOOK_EVERY);
        }
        household.kill("relay").expect("killed");
        assert!(!group_has_members(group));
    }

    #[test]
    fn process_that_ends_by_itself_is_noticed_with_its_last_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut household = Household::default();
        shell(&mut household, "node", "echo 'the disk is gone'; exit 3", folder.path());
        household.processes[0].wait(STOP_WAIT).expect("ended");
        let error = household.check().expect_err("noticed").to_string();
        assert!(error.contains("the disk is gone") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn dropping_the_household_ends_everybody() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut household = Household::default();
        shell(&mut household, "a", "exec /bin/sleep 300", folder.path());
        let group = household.processes[0].number();
        assert!(group_has_members(group));
        drop(household);
        assert!(!group_has_members(group));
    }
}
