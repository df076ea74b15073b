//! Reading PDF files in a process of its own.
//!
//! A PDF can be made to take any amount of memory or time, or to break a parser, and none of lopdf's options bounds that. So
//! the station starts its own program anew (`tram-node judge-pdf`), gives it the bytes on standard input, and reads a report
//! from standard output. The child gives up what it does not need before it reads the first byte; whatever becomes of it,
//! the station goes on and the file is undetermined.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use schema::time::Millis;
use serde::{Deserialize, Serialize};

use super::judge::verdicts;
use super::trust::PdfTrust;
use super::{FILE_BYTES_MAX, PdfError, PdfReport};

/// The hidden command of this program that is the child.
pub const CHILD_COMMAND: &str = "judge-pdf";
/// Address space of the child, in bytes: a file of [`FILE_BYTES_MAX`] that is what it seems, read twice, takes half of it.
pub const CHILD_MEMORY_BYTES_MAX: u64 = 768 * 1024 * 1024;
/// Processor time of the child, in seconds.
pub const CHILD_SECONDS_MAX: u64 = 15;
/// Largest report, in bytes.
pub const REPORT_BYTES_MAX: u64 = 1024 * 1024;
/// Files that the child may have open.
const CHILD_FILES_MAX: u64 = 32;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Report(PdfReport),
    Refused(PdfError),
}

/// This program, whatever its file is called by now: an update puts another one in its place.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts children.
#[derive(Clone, Debug)]
pub struct Checker {
    program: PathBuf,
    trust: Option<PathBuf>,
}

/// Ends with whoever waits for it.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It has ended already, as a rule; then there is nothing to end, and its state is taken.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Checker {
    /// Children are `program`, this one; they believe the roots of the folder `trust`.
    pub const fn new(program: PathBuf, trust: Option<PathBuf>) -> Self {
        Self { program, trust }
    }

    /// Judges the file that `file` gives, which has `length` bytes. Blocks for at most the processor time of a child, and for
    /// as long as `file` takes.
    ///
    /// # Errors
    /// When the file cannot be read to its end; what cannot be judged is in the answer.
    pub fn check(
        &self,
        file: &mut dyn Read,
        length: u64,
        at: Millis,
    ) -> io::Result<Result<PdfReport, PdfError>> {
        if length > FILE_BYTES_MAX as u64 {
            return Ok(Err(PdfError::TooLarge));
        }
        let mut command = Command::new(&self.program);
        command.arg(CHILD_COMMAND).arg("--at").arg(at.0.to_string());
        if let Some(trust) = &self.trust {
            command.arg("--trust").arg(trust);
        }
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => Reaped(child),
            Err(error) => {
                tracing::error!(program = %self.program.display(), %error, "the reader of PDF files cannot be started");
                return Ok(Err(PdfError::NoReader));
            }
        };
        let (Some(mut stdin), Some(stdout)) = (child.0.stdin.take(), child.0.stdout.take()) else {
            return Ok(Err(PdfError::NoReader));
        };
        // The child reads everything before it says anything, so neither waits for the other.
        let mut piece = vec![0; 64 * 1024];
        loop {
            let count = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if stdin.write_all(&piece[..count]).is_err() {
                // It has seen enough, or is no more; how it ended tells which.
                break;
            }
        }
        drop(stdin);
        let mut said = Vec::new();
        stdout.take(REPORT_BYTES_MAX).read_to_end(&mut said)?;
        let status = child.0.wait()?;
        if !status.success() {
            tracing::warn!(%status, "the reader of PDF files did not get to its end");
            return Ok(Err(PdfError::TooCostly));
        }
        Ok(match serde_json::from_slice(&said) {
            Ok(Said::Report(report)) => Ok(report),
            Ok(Said::Refused(error)) => Err(error),
            Err(_) => Err(PdfError::NoReader),
        })
    }
}

/// What the child does: limits itself, reads the file from standard input, writes the report to standard output.
///
/// # Errors
/// When the limits cannot be set, or standard input or output fails.
pub fn serve(trust: Option<&Path>, at: Millis) -> io::Result<()> {
    limit()?;
    let mut bytes = Vec::new();
    io::stdin().lock().take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    let trust = match trust.map(PdfTrust::read) {
        None => PdfTrust::none(),
        Some(Ok(trust)) => trust,
        Some(Err(error)) => PdfTrust { refused: vec![crate::words::with_causes(&error)], ..PdfTrust::none() },
    };
    let said = match verdicts(&bytes, &trust, at) {
        Ok(report) => Said::Report(report),
        Err(error) => Said::Refused(error),
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &said)?;
    stdout.flush()
}

/// Whatever the file does, the child takes no more than this; and it leaves no picture of its memory, which holds the file.
fn limit() -> io::Result<()> {
    for (resource, most) in [
        (Resource::As, CHILD_MEMORY_BYTES_MAX),
        (Resource::Cpu, CHILD_SECONDS_MAX),
        (Resource::Nofile, CHILD_FILES_MAX),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}
