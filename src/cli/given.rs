//! A value as somebody wrote it: in a file, the environment, or a flag.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A value as somebody wrote it. The methods read it as what a key needs, or give none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    Text(String),
    Integer(i64),
    Bool(bool),
    List(Vec<String>),
    /// Something that no key takes.
    Other(String),
}

impl Given {
    pub(super) fn integer<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        let number = match self {
            Self::Integer(number) => *number,
            Self::Text(text) => text.parse().ok()?,
            _ => return None,
        };
        T::try_from(number).ok().filter(|_| range.contains(&number))
    }

    /// A number of bytes, plain or with a unit as RabbitMQ has them.
    pub(super) fn bytes<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        match self {
            Self::Text(text) => Self::Integer(parse_bytes(text)?).integer(range),
            _ => self.integer(range),
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// One of a few words.
    pub(super) fn word<T: FromStr>(&self) -> Option<T> {
        self.text()?.parse().ok()
    }

    /// A list, or a text with commas. `none` is the empty list.
    pub(super) fn list(&self) -> Option<Vec<String>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Text(text) if text == "none" => Some(Vec::new()),
            Self::Text(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            _ => None,
        }
    }

    pub(super) fn addresses(&self) -> Option<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        for item in self.list()? {
            // Both are found behind this name, in either order.
            if item == "localhost" {
                addresses.push(IpAddr::from(Ipv4Addr::LOCALHOST));
                addresses.push(IpAddr::from(Ipv6Addr::LOCALHOST));
                continue;
            }
            let bare = item.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            addresses.push(bare.unwrap_or(&item).parse().ok()?);
        }
        Some(addresses)
    }
}

impl Given {
    /// The value without quotes.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Text(text) | Self::Other(text) => text.clone(),
            Self::List(items) => items.join(", "),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Other(text) => write!(f, "'{text}'"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::List(items) => write!(f, "'{}'", items.join(", ")),
        }
    }
}

/// Units as in <https://www.rabbitmq.com/docs/memory#memsup-usage>: `k`, `kiB` and so on are powers
/// of 1024, `kB` and so on of 1000.
fn parse_bytes(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: i64 = match unit.trim_start() {
        "" | "B" => 1,
        "k" | "K" | "kiB" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024_or_1000() {
        for (text, bytes) in [
            ("4096", Some(4096)),
            ("128MiB", Some(128 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("1G", Some(1 << 30)),
            ("1GB", Some(1_000_000_000)),
            ("10kB", Some(10_000)),
            ("1.5GB", None),
            ("-1", None),
            ("MiB", None),
            ("9999999999999TB", None),
            ("", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn addresses_may_be_bracketed_or_localhost() {
        let given = Given::Text("[::], 10.0.0.1,localhost".to_owned());
        let expected = ["::", "10.0.0.1", "127.0.0.1", "::1"].map(|a| a.parse::<IpAddr>().unwrap());
        assert_eq!(given.addresses().unwrap(), expected);
        assert_eq!(Given::Text("example.org".to_owned()).addresses(), None);
        assert_eq!(Given::List(Vec::new()).addresses(), Some(Vec::new()));
    }
}
