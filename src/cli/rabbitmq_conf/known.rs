//! All keys of `rabbitmq.conf`, and what each is here.

/// The table: one key a line.
const KEYS: &str = include_str!("keys.txt");

/// What a key is here, as far as it does not depend on its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It does something.
    Acted,
    /// It has no effect, and needs none.
    NoEffect,
    /// It is about something that leveret does not have; and what to do instead.
    Missing(&'static str),
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The key; words that begin with `$` stand for any, and a `*` at the end for one or more words.
    pub(super) pattern: &'static str,
    pub(super) known: Known,
    /// A value that the key takes, for the tests.
    #[cfg(test)]
    pub(super) sample: &'static str,
}

/// All of them.
pub(super) fn entries() -> impl Iterator<Item = Entry> {
    KEYS.lines().filter_map(|line| {
        let (known, rest) = line.split_once(' ')?;
        let (rest, instead) = rest.split_once(" ; ").unwrap_or((rest, ""));
        let known = match known {
            "acted" => Known::Acted,
            "none" => Known::NoEffect,
            "missing" => Known::Missing(instead),
            _ => return None,
        };
        let (pattern, _sample) = rest.split_once(" = ").unwrap_or((rest, ""));
        Some(Entry {
            pattern,
            known,
            #[cfg(test)]
            sample: _sample,
        })
    })
}

/// What a key is; none for those that RabbitMQ does not know, either. A key that is written out counts before
/// one that stands for many.
pub(super) fn find(key: &str) -> Option<Known> {
    let found = entries().find(|entry| entry.pattern == key);
    found.or_else(|| entries().find(|entry| stands_for(entry.pattern, key))).map(|it| it.known)
}

/// Whether a pattern stands for a key.
fn stands_for(pattern: &str, key: &str) -> bool {
    let (mut of_pattern, mut of_key) = (pattern.split('.'), words(key).into_iter());
    loop {
        match (of_pattern.next(), of_key.next()) {
            (None, None) => return true,
            (Some(word), Some(part)) => match word.strip_suffix('*') {
                Some(beginning) => {
                    return part.len() > beginning.len() && part.starts_with(beginning);
                }
                None if word == part || (word.starts_with('$') && !part.is_empty()) => {}
                None => return false,
            },
            _ => return false,
        }
    }
}

/// The words of a key: a dot behind a backslash is part of one.
pub(super) fn words(key: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    for (at, _) in key.match_indices('.') {
        if !key[..at].ends_with('\\') {
            words.push(&key[start..at]);
            start = at + 1;
        }
    }
    words.push(&key[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_for_one_and_a_star_for_the_rest() {
        let missing = |instead| Some(Known::Missing(instead));
        let amqp = missing("clients have to speak AMQP 0-9-1");
        for (key, known) in [
            ("loopback_users.joe", Some(Known::Acted)),
            ("loopback_users.joe\\.doe", Some(Known::Acted)),
            ("loopback_users.joe.doe", None),
            ("loopback_users.", None),
            ("mqtt.listeners.tcp.default", amqp),
            ("mqtt", None),
            ("management.tcp.port", Some(Known::Acted)),
            ("management.tcp.idle_timeout", Some(Known::NoEffect)),
            ("management.ssl.port", Some(Known::Acted)),
            ("prometheus.path", missing("the metrics are at /metrics")),
            ("quorum_cluster_size", Some(Known::NoEffect)),
            ("frobnicate", None),
        ] {
            assert_eq!(find(key), known, "{key}");
        }
    }
}
