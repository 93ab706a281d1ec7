//! Paths of the management API, whose segments may hold anything: the default vhost is `/`.

use std::fmt::{self, Write};

/// A path below `/api`, with a query if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct ApiPath {
    text: String,
    segments: Vec<String>,
}

/// Collections whose objects have names, and what each is a collection of. Those of vhosts have the vhost before
/// the name.
const COLLECTIONS: [(&str, &str, bool); 12] = [
    ("queues", "queue", true),
    ("exchanges", "exchange", true),
    ("policies", "policy", true),
    ("operator-policies", "operator policy", true),
    ("vhosts", "vhost", false),
    ("vhost-limits", "vhost", false),
    ("users", "user", false),
    ("user-limits", "user", false),
    ("connections", "connection", false),
    ("channels", "channel", false),
    ("global-parameters", "global parameter", false),
    ("nodes", "node", false),
];

impl ApiPath {
    /// `["queues", "/", "a b"]` is `/api/queues/%2F/a%20b`.
    pub(in crate::cli) fn of(segments: &[&str]) -> Self {
        let mut text = String::from("/api");
        for segment in segments {
            text.push('/');
            encode(segment, &mut text);
        }
        Self { text, segments: segments.iter().map(|&segment| segment.to_owned()).collect() }
    }

    /// What is not there if a broker knows nothing under this path, or nothing to make it in: "no queue 'q' in
    /// vhost '/'". The API itself says only that.
    pub(super) fn missing(&self, makes: bool) -> Option<String> {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        match segments[..] {
            ["bindings", vhost, "e", source, to, destination, ..] => {
                let kind = if to == "q" { "queue" } else { "exchange" };
                Some(format!(
                    "no exchange '{source}' or no {kind} '{destination}' in vhost '{vhost}'"
                ))
            }
            ["permissions" | "topic-permissions", vhost, user, ..] => Some(match makes {
                true => format!("no vhost '{vhost}' or no user '{user}'"),
                false => format!("nothing that user '{user}' may do in vhost '{vhost}'"),
            }),
            ["health", "checks", ref check @ ..] => Some(format!("no check '{}'", check.join("/"))),
            ["parameters", component, vhost, name] if !makes => {
                Some(format!("no parameter '{name}' of '{component}' in vhost '{vhost}'"))
            }
            [collection, name, ref rest @ ..] => {
                let (_, kind, is_of_vhost) =
                    *COLLECTIONS.iter().find(|(found, _, _)| *found == collection)?;
                Some(match rest.first().filter(|_| is_of_vhost) {
                    Some(object) if !makes => format!("no {kind} '{object}' in vhost '{name}'"),
                    _ if is_of_vhost => format!("no vhost '{name}'"),
                    _ => format!("no {kind} '{name}'"),
                })
            }
            _ => None,
        }
    }

    /// The same path with one parameter more.
    #[must_use]
    pub(in crate::cli) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.text.contains('?') { '&' } else { '?' });
        encode(name, &mut self.text);
        self.text.push('=');
        encode(value, &mut self.text);
        self
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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

    #[test]
    fn what_is_missing_has_a_name() {
        for (segments, makes, expected) in [
            (&["queues", "/", "q", "contents"][..], false, Some("no queue 'q' in vhost '/'")),
            (&["queues", "/"], false, Some("no vhost '/'")),
            (&["exchanges", "v", "e"], true, Some("no vhost 'v'")),
            (&["users", "joe"], false, Some("no user 'joe'")),
            (&["connections", "c"], false, Some("no connection 'c'")),
            (
                &["bindings", "v", "e", "s", "q", "d"],
                true,
                Some("no exchange 's' or no queue 'd' in vhost 'v'"),
            ),
            (&["permissions", "v", "joe"], true, Some("no vhost 'v' or no user 'joe'")),
            (&["vhost-limits", "v"], false, Some("no vhost 'v'")),
            (&["user-limits", "joe", "max-channels"], true, Some("no user 'joe'")),
            (&["health", "checks", "nope", "1"], false, Some("no check 'nope/1'")),
            (&["overview"], false, None),
        ] {
            assert_eq!(ApiPath::of(segments).missing(makes).as_deref(), expected, "{segments:?}");
        }
    }
}
