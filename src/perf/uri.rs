//! Where a broker is and how to log in there.

use std::str::FromStr;

use super::{PerfError, Tls};

/// An AMQP URI: `amqp://user:password@host:port/vhost`, all but the scheme optional; `amqps` for TLS.
///
/// ```
/// use leveret::perf::Uri;
///
/// let uri: Uri = "amqp://app:s%40crit@broker.example:5673/orders".parse()?;
/// assert_eq!((uri.host.as_str(), uri.port, uri.vhost.as_str()), ("broker.example", 5673, "orders"));
/// assert_eq!(uri.password, "s@crit");
/// # Ok::<(), leveret::perf::PerfError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    /// A name or an address.
    pub host: String,
    /// The AMQP port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The password.
    pub password: String,
    /// The virtual host.
    pub vhost: String,
    /// TLS, for `amqps`. Whose certificates are trusted a URI does not say: `leveret perf` takes that from its options,
    /// and a run without is refused.
    pub tls: Option<Tls>,
}

impl std::fmt::Debug for Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password stays out of logs.
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}@{}:{}/{}", self.user, self.host, self.port, self.vhost)
    }
}

impl FromStr for Uri {
    type Err = PerfError;

    fn from_str(uri: &str) -> Result<Self, PerfError> {
        let wrong = |why| PerfError::Uri { uri: without_login(uri), why };
        let (scheme, rest) = uri.split_once("://").ok_or(wrong("there is no scheme"))?;
        let (tls, usual_port) = match scheme {
            "amqp" => (None, 5672),
            "amqps" => (Some(Tls::default()), 5671),
            _ => return Err(wrong("the scheme is neither amqp nor amqps")),
        };
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let (authority, vhost) = match rest.split_once('/') {
            Some((authority, vhost)) => (authority, Some(vhost)),
            None => (rest, None),
        };
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (login, place),
            None => ("guest:guest", authority),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) =
            split_port(place, usual_port).ok_or(wrong("the port is not a number"))?;
        let decode = |text| percent_decoded(text).ok_or(wrong("a %-escape is malformed"));
        Ok(Self {
            host: if host.is_empty() { "localhost".to_owned() } else { decode(host)? },
            port,
            user: decode(user)?,
            password: decode(password)?,
            vhost: vhost.map_or_else(|| Ok("/".to_owned()), decode)?,
            tls,
        })
    }
}

/// A URI without the name and password that somebody wrote into it: errors end in the logs of CI jobs.
pub(crate) fn without_login(uri: &str) -> String {
    let Some((before, place)) = uri.rsplit_once('@') else { return uri.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            format!("{scheme}://***@{place}")
        }
        _ => format!("***@{place}"),
    }
}

fn split_port(place: &str, usual: u16) -> Option<(&str, u16)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None => port.is_empty().then_some((host, usual)),
        };
    }
    match place.rsplit_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((place, usual)),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let [high, low, after @ ..] = rest else { return None };
        bytes.push(digit(*high)? * 16 + digit(*low)?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> (String, u16, String, String, String) {
        let Uri { host, port, user, password, vhost, tls: _ } = uri.parse().unwrap();
        (host, port, user, password, vhost)
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        let owned = |(host, port, user, password, vhost): (&str, u16, &str, &str, &str)| {
            (host.to_owned(), port, user.to_owned(), password.to_owned(), vhost.to_owned())
        };
        for (uri, expected) in [
            ("amqp://", ("localhost", 5672, "guest", "guest", "/")),
            ("amqp://a:b@h/%2f", ("h", 5672, "a", "b", "/")),
            ("amqp://a@h:1/", ("h", 1, "a", "", "")),
            ("amqp://[::1]:7/v?heartbeat=1", ("::1", 7, "guest", "guest", "v")),
            ("amqp://[::1]", ("::1", 5672, "guest", "guest", "/")),
            ("amqps://[::1]", ("::1", 5671, "guest", "guest", "/")),
            ("amqps://h:1", ("h", 1, "guest", "guest", "/")),
        ] {
            assert_eq!(parts(uri), owned(expected), "{uri}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong_and_keep_the_password() {
        let text = |uri: &str| uri.parse::<Uri>().unwrap_err().to_string();
        assert!(text("localhost").ends_with("there is no scheme"));
        assert!(text("http://h").ends_with("the scheme is neither amqp nor amqps"));
        assert!(text("amqp://h:x").ends_with("the port is not a number"));
        assert!(text("amqp://u%zz:p@h").ends_with("a %-escape is malformed"));
        assert!(!text("amqp://u:secret@h:x").contains("secret"));
    }
}
