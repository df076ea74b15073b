//! Asks for a passphrase at the terminal, without showing it.
//!
//! While it asks, the terminal neither echoes nor makes lines nor turns Ctrl-C into a signal: a process that is
//! ended by a signal would leave a terminal behind that shows nothing. Ctrl-C is seen as a character instead.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::passphrase::PASSPHRASE_BYTES_MAX;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Asks; `None` when standard input or standard error is no terminal, so that nobody could see the question or
/// answer it.
///
/// # Errors
/// Of kind `Interrupted` when the person gave up (Ctrl-C, or Ctrl-D on an empty line); otherwise what the terminal
/// said.
pub(super) fn ask(prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let (input, mut output) = (io::stdin(), io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        return Ok(None);
    }
    let quiet = Quiet::make()?;
    write!(output, "{prompt}")?;
    output.flush()?;
    let typed = read_line(|byte| Ok(rustix::io::read(&input, std::slice::from_mut(byte))?));
    drop(quiet);
    writeln!(output)?;
    typed.map(Some)
}

/// Reads up to the end of the line, with the corrections that people are used to.
fn read_line(mut next: impl FnMut(&mut u8) -> io::Result<usize>) -> io::Result<Zeroizing<Vec<u8>>> {
    let given_up = || io::Error::from(io::ErrorKind::Interrupted);
    // One byte more than is accepted, so that too long is seen as that; never grown, so that nothing is left behind.
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX + 1));
    loop {
        let mut byte = 0;
        match next(&mut byte) {
            Ok(0) => return Err(given_up()),
            Ok(_) => {}
            // A signal that ended nothing; Ctrl-C arrives as a byte.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match byte {
            b'\n' | b'\r' => return Ok(line),
            CTRL_C => return Err(given_up()),
            CTRL_D if line.is_empty() => return Err(given_up()),
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => {
                // A letter of several bytes goes as a whole.
                while line.pop().is_some_and(|gone| gone & 0xc0 == 0x80) {}
            }
            byte if line.len() <= PASSPHRASE_BYTES_MAX => line.push(byte),
            _ => {}
        }
    }
}

/// The terminal is quiet as long as this lives.
struct Quiet {
    before: Termios,
}

impl Quiet {
    fn make() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(
            LocalModes::ECHO
                | LocalModes::ECHONL
                | LocalModes::ICANON
                | LocalModes::ISIG
                | LocalModes::IEXTEN,
        );
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question was not meant for it.
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing better is left to do when it fails.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut keys = keys.iter();
        read_line(|byte| {
            Ok(keys.next().map_or(0, |key| {
                *byte = *key;
                1
            }))
        })
    }

    #[test]
    fn corrections_are_those_that_people_are_used_to() {
        let line = |keys: &str| typed(keys.as_bytes()).expect("a line");
        assert_eq!(line("mật khẩu\n").as_slice(), "mật khẩu".as_bytes());
        assert_eq!(line("mậ\u{7f}ật\r").as_slice(), "mật".as_bytes(), "half a letter was left");
        assert_eq!(line("\u{7f}\u{8}a\n").as_slice(), b"a");
        assert_eq!(line("wrong\u{15}right\n").as_slice(), b"right");
    }

    #[test]
    fn giving_up_is_not_an_empty_passphrase() {
        for keys in [&b"abc\x03"[..], b"\x04", b"", b"abc"] {
            let error = typed(keys).expect_err("given up");
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{keys:?}");
        }
    }

    #[test]
    fn endless_line_takes_no_more_memory_than_a_passphrase() {
        let mut keys = vec![b'x'; 100_000];
        keys.push(b'\n');
        let line = typed(&keys).expect("a line");
        assert_eq!((line.len(), line.capacity()), (PASSPHRASE_BYTES_MAX + 1, PASSPHRASE_BYTES_MAX + 1));
    }
}
