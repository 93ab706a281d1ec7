//! A terminal that a command fills again and again, until a key ends it.

use std::io::{self, IsTerminal, Stdin, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Goes to the first line.
const HOME: &[u8] = b"\x1b[H";
/// Clears what is left of a line, and what is below.
const CLEAR_LINE: &[u8] = b"\x1b[K";
const CLEAR_BELOW: &[u8] = b"\x1b[J";

/// What Ctrl-C and Ctrl-D are as keys.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// What became of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Waited {
    /// It is time to look again.
    Look,
    /// Whoever watches has seen enough.
    Quit,
}

/// A terminal whose keys are read one by one and not shown. It is as it was when this is dropped.
pub(in crate::cli) struct Screen {
    stdin: Stdin,
    before: Termios,
}

impl Screen {
    /// The terminal that standard input and output are, if they are one.
    pub(in crate::cli) fn open() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut now = before.clone();
        // Ctrl-C is a key, too: a signal would leave the terminal as it is now.
        now.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcsetattr(&stdin, OptionalActions::Now, &now).ok()?;
        Some(Self { stdin, before })
    }

    /// Shows as much of a text as there is room for.
    pub(in crate::cli) fn show(&self, out: &mut dyn Write, text: &str) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout());
        let (rows, columns) = size.map_or((24, 80), |size| (size.ws_row, size.ws_col));
        out.write_all(&frame(text, usize::from(rows), usize::from(columns)))?;
        out.flush()
    }

    /// Waits for a key or for the time to look again.
    pub(in crate::cli) fn wait(&self, time: Duration) -> io::Result<Waited> {
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(&self.stdin, PollFlags::IN)];
        match poll(&mut fds, Some(&time)) {
            // The size of the window has changed.
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Waited::Look),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut keys = [0; 64];
        let read = rustix::io::read(&self.stdin, &mut keys)?;
        // Nobody is there to press one any more.
        let ends = |key: &u8| matches!(*key, b'q' | b'Q' | CTRL_C | CTRL_D);
        let quits = read == 0 || keys[..read].iter().any(ends);
        Ok(if quits { Waited::Quit } else { Waited::Look })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _gone_is_fine = tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }
}

/// What fills a terminal of this size: each line is written over the one that was there, so that nothing flickers.
fn frame(text: &str, rows: usize, columns: usize) -> Vec<u8> {
    let mut frame = HOME.to_vec();
    // On the last line stands what comes after.
    for line in text.lines().take(rows.max(2) - 1) {
        frame.extend(line.chars().take(columns).collect::<String>().as_bytes());
        frame.extend(CLEAR_LINE);
        frame.extend(b"\r\n");
    }
    frame.extend(CLEAR_BELOW);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_no_larger_than_the_terminal() {
        let shown =
            |rows, columns| String::from_utf8(frame("abc\nöäü\nxyz\n", rows, columns)).unwrap();
        assert_eq!(shown(3, 2), "\x1b[Hab\x1b[K\r\nöä\x1b[K\r\n\x1b[J");
        assert_eq!(shown(0, 0), "\x1b[H\x1b[K\r\n\x1b[J");
    }
}
