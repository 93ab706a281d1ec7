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

/// Whether a character ends lines, steers a terminal or turns the direction of what stands behind it, so that a
/// line would be read as something that it is not.
pub(crate) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(misleads) {
            match part.char_indices().next_back() {
                Some((at, last)) if misleads(last) => {
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
        assert_eq!(shown("a\u{2028}b\u{202e}c👩\u{200d}💻"), "a\\u{2028}b\\u{202e}c👩\u{200d}💻");
        assert_eq!(shown(""), "");
    }
}
