//! The output of a command: all of it into a log, the last line of it onto the screen.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// Splits output into lines. What a carriage return overwrites (progress bars) is shown and not kept.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A full line.
    Line(String),
    /// Something that will be overwritten.
    Passing(String),
}

impl Lines {
    /// Takes bytes in, gives what is complete.
    pub fn push(&mut self, bytes: &[u8], mut to: impl FnMut(Piece)) {
        for &byte in bytes {
            match byte {
                b'\n' => to(Piece::Line(self.take())),
                b'\r' => {
                    let text = self.take();
                    if !text.trim().is_empty() {
                        to(Piece::Passing(text));
                    }
                }
                _ => self.pending.push(byte),
            }
        }
    }

    /// What came without an end of line.
    pub fn finish(&mut self) -> Option<Piece> {
        (!self.pending.is_empty()).then(|| Piece::Line(self.take()))
    }

    fn take(&mut self) -> String {
        let text = without_escapes(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
        text
    }
}

/// Copies all of `from` into `log`, telling `show` each piece.
pub fn copy(mut from: impl Read, mut log: impl Write, mut show: impl FnMut(&str)) {
    let mut lines = Lines::default();
    let mut buffer = [0; 8192];
    let mut handle = |piece| match piece {
        Piece::Line(line) => {
            // A full disk must not stop the command: its exit code still tells.
            let _ = writeln!(log, "{line}");
            show(&line);
        }
        Piece::Passing(text) => show(&text),
    };
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => lines.push(&buffer[..length], &mut handle),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if let Some(piece) = lines.finish() {
        handle(piece);
    }
}

/// The last `count` lines of a log.
pub fn tail(log: &Path, count: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// `text` without terminal escape sequences.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('[') => {
                characters.by_ref().find(|c| ('@'..='~').contains(c));
            }
            // A choice of character set names it with one more.
            Some('(' | ')') => {
                characters.next();
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(text: &str) -> (String, Vec<String>) {
        let mut log = Vec::new();
        let mut shown = Vec::new();
        copy(text.as_bytes(), &mut log, |piece| {
            shown.push(piece.to_owned())
        });
        (String::from_utf8(log).expect("text"), shown)
    }

    #[test]
    fn progress_bars_are_shown_but_not_kept() {
        let (log, shown) = log_of("Compiling a\n 1/9 [=>  ]\r 2/9 [==> ]\r\x1b[KFinished\nend");
        assert_eq!(log, "Compiling a\nFinished\nend\n");
        assert_eq!(
            shown,
            [
                "Compiling a",
                " 1/9 [=>  ]",
                " 2/9 [==> ]",
                "Finished",
                "end"
            ]
        );
    }

    #[test]
    fn colours_are_removed() {
        assert_eq!(without_escapes("\x1b[1;31merror\x1b[0m: no"), "error: no");
        assert_eq!(without_escapes("+a\x1b(B\x1b[m"), "+a");
        assert_eq!(without_escapes("cut \x1b["), "cut ");
    }

    #[test]
    fn the_tail_of_a_short_log_is_all_of_it() {
        let folder = tempfile::tempdir().expect("scratch folder");
        let log = folder.path().join("log");
        std::fs::write(&log, "a\nb\nc\n").expect("writable");
        assert_eq!(tail(&log, 2), "b\nc");
        assert_eq!(tail(&log, 20), "a\nb\nc");
        assert_eq!(tail(&folder.path().join("none"), 2), "");
    }
}
