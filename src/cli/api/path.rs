//! Paths of the management API, whose segments may hold anything: the default vhost is `/`.

use std::fmt::{self, Write};

/// A path below `/api`, with a query if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct ApiPath(String);

impl ApiPath {
    /// `["queues", "/", "a b"]` is `/api/queues/%2F/a%20b`.
    pub(in crate::cli) fn of(segments: &[&str]) -> Self {
        let mut path = String::from("/api");
        for segment in segments {
            path.push('/');
            encode(segment, &mut path);
        }
        Self(path)
    }

    /// The same path with one parameter more.
    #[must_use]
    pub(in crate::cli) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        encode(name, &mut self.0);
        self.0.push('=');
        encode(value, &mut self.0);
        self
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_may_hold_anything() {
        let path = ApiPath::of(&["queues", "/", "ä b?", ""]);
        assert_eq!(path.to_string(), "/api/queues/%2F/%C3%A4%20b%3F/");
        let path = ApiPath::of(&["queues"]).with("if-empty", "true").with("name", "a&b");
        assert_eq!(path.to_string(), "/api/queues?if-empty=true&name=a%26b");
    }
}
