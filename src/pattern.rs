//! An unanchored regular expression on names: of policies, and of permissions.

use regex::bytes::{Regex, RegexBuilder};

/// What one compiled pattern may take up. Patterns are a few dozen characters; this is what
/// keeps `(a{1000}){1000}` from taking the memory for a million of them.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A regular expression that a name has to match somewhere.
///
/// RabbitMQ's are PCRE. These match in linear time whatever the pattern, which costs back-references and
/// look-around; but for one: `^(?!amq\.)` and the like, at the beginning, is how one leaves names out.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    matched: Regex,
    /// What must not match, from `^(?!...)`.
    left_out: Vec<Regex>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`InvalidPattern`] where it is no regular expression, or one that compiles to more than 1 MiB.
    pub fn new(source: &str) -> Result<Self, InvalidPattern> {
        let (left_out, rest) = split_exclusions(source);
        let left_out: Result<Vec<Regex>, InvalidPattern> =
            left_out.iter().map(|inner| compile(&format!("^(?:{inner})"))).collect();
        let left_out = left_out?;
        let matched = match left_out.is_empty() {
            true => compile(source)?,
            false => compile(&format!("^(?:{rest})"))?,
        };
        Ok(Self { source: source.to_owned(), matched, left_out })
    }

    /// Whether it matches somewhere in a name. Cost: linear in the name's length.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.matched.is_match(name) && !self.left_out.iter().any(|regex| regex.is_match(name))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(pub String);

fn compile(pattern: &str) -> Result<Regex, InvalidPattern> {
    // Names are octets; a dot is one of them, as in RabbitMQ.
    let builder = &mut RegexBuilder::new(pattern);
    let regex = builder.unicode(false).size_limit(COMPILED_BYTES_MAX).build();
    regex.map_err(|error| InvalidPattern(reason(&error)))
}

/// The last line says what is wrong; those before it draw where.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Takes the look-aheads off the beginning of `^(?!one)(?!two)rest`. A rest with alternatives is left
/// alone: the look-ahead would be part of the first of them only.
fn split_exclusions(source: &str) -> (Vec<&str>, &str) {
    let mut left_out = Vec::new();
    let Some(mut rest) = source.strip_prefix('^') else { return (left_out, source) };
    while let Some(group) = rest.strip_prefix("(?!") {
        let Some(end) = end_of_group(group) else { return (Vec::new(), source) };
        left_out.push(&group[..end]);
        rest = &group[end + 1..];
    }
    if has_alternatives(rest) { (Vec::new(), source) } else { (left_out, rest) }
}

/// Where the parenthesis closes that was opened before this text.
fn end_of_group(text: &str) -> Option<usize> {
    outside_classes(text).find(|&(_, byte, depth)| byte == b')' && depth == 0).map(|(at, ..)| at)
}

fn has_alternatives(text: &str) -> bool {
    outside_classes(text).any(|(_, byte, depth)| byte == b'|' && depth == 0)
}

/// What has a meaning in a pattern: octets that are neither escaped nor in `[...]`, with the number of
/// parentheses that are open there (those around the text not counted).
fn outside_classes(text: &str) -> impl Iterator<Item = (usize, u8, usize)> + '_ {
    let (mut escaped, mut class, mut depth) = (false, None, 0_usize);
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        if std::mem::take(&mut escaped) {
            return None;
        }
        match (byte, class) {
            (b'\\', _) => escaped = true,
            (b'[', None) => class = Some(at),
            // A bracket that comes first is a member: `[]a]`, `[^]a]`.
            (b']', Some(start)) if !matches!(&text[start..at], "[" | "[^") => class = None,
            (_, Some(_)) => {}
            (b'(', None) => depth += 1,
            (b')', None) => {
                let found = (at, byte, depth);
                depth = depth.saturating_sub(1);
                return Some(found);
            }
            (_, None) => return Some((at, byte, depth)),
        }
        None
    })
}
