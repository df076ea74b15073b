//! What the audience sees: numbered acts, one line per fact, elapsed time. Plain text unless standard output is a
//! terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// The stage: everything printed goes through it.
pub(super) struct Stage {
    started: Instant,
    act: u32,
    is_terminal: bool,
    transient: bool,
}

impl Stage {
    pub(super) fn open() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self { started: Instant::now(), act: 0, is_terminal, transient: false }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Begins the next act.
    pub(super) fn act(&mut self, title: &str) {
        self.act += 1;
        let heading = format!("{}  {title}", self.act);
        self.put(&if self.is_terminal {
            format!("\n\x1b[1m{heading}\x1b[0m")
        } else {
            format!("\n{heading}")
        });
    }

    /// One fact.
    pub(super) fn fact(&mut self, text: &str) {
        let seconds = self.elapsed().as_secs_f64();
        self.put(&format!("   {seconds:5.1} s  {text}"));
    }

    /// What is being waited for; gone again with the next line, and never printed into a file.
    pub(super) fn waiting(&mut self, text: &str) {
        if self.is_terminal {
            self.transient = true;
            let seconds = self.elapsed().as_secs_f64();
            // A closed terminal is noticed by the next fact.
            let _ = write!(std::io::stdout(), "\r\x1b[K   {seconds:5.1} s  … {text}");
            let _ = std::io::stdout().flush();
        }
    }

    /// Lines as they are.
    pub(super) fn text(&mut self, text: &str) {
        self.put(text);
    }

    fn put(&mut self, line: &str) {
        let clear = if std::mem::take(&mut self.transient) { "\r\x1b[K" } else { "" };
        // Nobody may be reading any more (`| head`): the country is still to be shut down properly.
        let _ = writeln!(std::io::stdout(), "{clear}{line}");
        let _ = std::io::stdout().flush();
    }
}
