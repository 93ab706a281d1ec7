//! The pattern of a policy: an unanchored regular expression on names.

use regex::bytes::{Regex, RegexBuilder};

/// What one compiled pattern may take up. Patterns of policies are a few dozen characters; this is what
/// keeps `(a{1000}){1000}` from taking the memory for a million of them.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A regular expression that a name has to match somewhere.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Where it is no regular expression, or one that compiles to more than 1 MiB.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(source)
            // Names are octets; a dot is one of them, as in RabbitMQ.
            .unicode(false)
            .size_limit(COMPILED_BYTES_MAX)
            .build()?;
        Ok(Self { source: source.to_owned(), regex })
    }

    /// Whether it matches somewhere in a name. Cost: linear in the name's length.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.regex.is_match(name)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }
}
