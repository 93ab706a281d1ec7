//! A peer's text in the log.

use std::fmt::{self, Display, Write};

/// A text that came from outside, as the log has it: what would end its line, or steer a terminal, is
/// escaped.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneLine<T>(pub(super) T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if last.is_control() => {
                    write!(self.0, "{}{}", &part[..at], last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_line_and_the_rest_stays_as_it_is() {
        let shown = |text: &str| OneLine(text).to_string();
        assert_eq!(shown("it's Grüße \\ 'q'"), "it's Grüße \\ 'q'");
        assert_eq!(shown("a\nb\r\n\u{1b}[31mc\u{85}"), "a\\nb\\r\\n\\u{1b}[31mc\\u{85}");
        assert_eq!(shown(""), "");
    }
}
