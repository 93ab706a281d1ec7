//! The keys of a definition: what each takes, and what it can be set for.

use amqp_codec::FieldValue;

use super::error::PolicyError;
use super::target::QueueKind;
use super::term::term;

/// A key that a definition may have.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    accepts: Accepts,
    /// RabbitMQ's words for everything else; `{}` is the value.
    refusal: &'static str,
    queues: Queues,
    /// Operator policies may set it too.
    pub(super) operator: bool,
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy)]
enum Accepts {
    /// Any text that fits a short string.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A number in this range, ends included.
    Integer(i64, i64),
    /// A number greater than 0 and a unit: `7D`.
    Age,
    /// Whatever it is: another key says what it has to be.
    Anything,
}
use Accepts::{Age, Anything, Integer, OneOf, Text};

/// The types of queues that have a key. A policy with a key that a queue's type has not is not for that
/// queue at all: that is RabbitMQ's rule, and its way of letting one pattern serve several types.
#[derive(Debug, Clone, Copy)]
struct Queues {
    classic: bool,
    quorum: bool,
    stream: bool,
}

const ALL: Queues = Queues { classic: true, quorum: true, stream: true };
const NOT_STREAMS: Queues = Queues { stream: false, ..ALL };
const CLASSIC: Queues = Queues { quorum: false, ..NOT_STREAMS };
const QUORUM: Queues = Queues { classic: false, ..NOT_STREAMS };
const STREAMS: Queues = Queues { classic: false, quorum: false, stream: true };

const COUNT: Accepts = Integer(0, i64::MAX);
/// RabbitMQ's bound for the size of a segment.
const SEGMENT_BYTES_MAX: i64 = 3_000_000_000;
const LEADER_LOCATORS: &[&str] = &["balanced", "client-local", "least-leaders", "random"];
const MASTER_LOCATORS: &[&str] = &["client-local", "min-masters", "random"];
const RETRIES: &[&str] = &["all", "disabled", "failed", "returned"];
/// A key of our own.
const TIMEOUT_ACTIONS: &[&str] = &["cancel", "close-channel", "requeue"];
const PROMOTIONS: &[&str] = &["always", "when-synced"];

const fn key(name: &'static str, accepts: Accepts, refusal: &'static str, queues: Queues) -> Key {
    Key { name, accepts, refusal, queues, operator: false }
}

/// The same, for operator policies too.
const fn limit(name: &'static str, accepts: Accepts, refusal: &'static str, queues: Queues) -> Key {
    Key { operator: true, ..key(name, accepts, refusal, queues) }
}

/// Every key, in order of their names: RabbitMQ checks them in this order, so that of two mistakes it is
/// the same one that is named.
#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("alternate-exchange", Text, "{} is not a valid alternate exchange name", ALL),
    key("consumer-disconnected-timeout", COUNT, "{} is not a valid consumer disconnected timeout", QUORUM),
    key("consumer-timeout", COUNT, "{} is not a valid consumer timeout", ALL),
    key("consumer-timeout-action", OneOf(TIMEOUT_ACTIONS), "{} is not a valid consumer timeout action", NOT_STREAMS),
    key("dead-letter-exchange", Text, "{} is not a valid dead letter exchange name", NOT_STREAMS),
    key("dead-letter-routing-key", Text, "{} is not a valid dead letter routing key", NOT_STREAMS),
    key("dead-letter-strategy", OneOf(&["at-least-once", "at-most-once"]), "{} is not a valid dead letter strategy", QUORUM),
    key("delayed-retry-max", COUNT, "{} is not a valid delayed retry maximum", NOT_STREAMS),
    key("delayed-retry-min", COUNT, "{} is not a valid delayed retry minimum", NOT_STREAMS),
    key("delayed-retry-type", OneOf(RETRIES), "{} is not a valid delayed retry type", NOT_STREAMS),
    // -1 is "no limit" from RabbitMQ 4.0 on, where there is a default to be lifted.
    limit("delivery-limit", Integer(-1, i64::MAX), "{} is not a valid delivery limit", NOT_STREAMS),
    limit("expires", Integer(1, i64::MAX), "{} is not a valid queue expiry", NOT_STREAMS),
    key("federation-upstream", Text, "{} is not a valid federation upstream name", ALL),
    key("federation-upstream-pattern", Text, "{} is not a valid federation upstream pattern name", ALL),
    key("federation-upstream-set", Text, "{} is not a valid federation upstream set name", ALL),
    key("ha-mode", OneOf(&["all", "exactly", "nodes"]), "{} is not a valid ha-mode value", CLASSIC),
    key("ha-params", Anything, "", CLASSIC),
    key("ha-promote-on-failure", OneOf(PROMOTIONS), "ha-promote-on-failure must be \"always\" or \"when-synced\", got {}", CLASSIC),
    key("ha-promote-on-shutdown", OneOf(PROMOTIONS), "ha-promote-on-shutdown must be \"always\" or \"when-synced\", got {}", CLASSIC),
    key("ha-sync-batch-size", Integer(1, i64::MAX), "ha-sync-batch-size takes an integer greater than 0, {} given", CLASSIC),
    key("ha-sync-mode", OneOf(&["automatic", "manual"]), "ha-sync-mode must be \"manual\" or \"automatic\", got {}", CLASSIC),
    key("initial-cluster-size", COUNT, "{} is not a valid cluster size", STREAMS),
    key("max-age", Age, "{} is not a valid max age", STREAMS),
    limit("max-in-memory-bytes", COUNT, "{} is not a valid maximum memory in bytes", NOT_STREAMS),
    limit("max-in-memory-length", COUNT, "{} is not a valid maximum memory in bytes", NOT_STREAMS),
    limit("max-length", COUNT, "{} is not a valid maximum length", NOT_STREAMS),
    limit("max-length-bytes", COUNT, "{} is not a valid maximum length in bytes", ALL),
    limit("message-ttl", COUNT, "{} is not a valid message TTL", NOT_STREAMS),
    limit("overflow", OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]), "{} is not a valid overflow value", NOT_STREAMS),
    key("queue-leader-locator", OneOf(LEADER_LOCATORS), "{} is not a valid queue leader locator value", ALL),
    key("queue-master-locator", OneOf(MASTER_LOCATORS), "{} invalid queue-master-locator value", CLASSIC),
    key("queue-mode", OneOf(&["default", "lazy"]), "{} is not a valid queue-mode value", CLASSIC),
    limit("queue-version", Integer(1, 2), "{} is not a valid queue-version value", ALL),
    key("shards-per-node", COUNT, "shards-per-node should be greater than 0, actually was {}", ALL),
    key("stream-filter-size-bytes", Integer(16, 255), "{} is not a valid filter size. Valid range is 16-255", STREAMS),
    key("stream-max-segment-size-bytes", Integer(0, SEGMENT_BYTES_MAX), "{} is not a valid segment size", STREAMS),
];

/// What has no counterpart here: whoever sets these expects another broker's plugin.
pub(super) const NOT_ACTED_ON: &[&str] = &[
    "consumer-disconnected-timeout",
    "federation-upstream",
    "federation-upstream-pattern",
    "federation-upstream-set",
    "shards-per-node",
];

impl Key {
    /// The key of this name, if there is one.
    pub(super) fn find(name: &[u8]) -> Option<&'static Self> {
        let found = KEYS.binary_search_by(|key| key.name.as_bytes().cmp(name));
        found.ok().map(|index| &KEYS[index])
    }

    /// Checks a value's type and range.
    ///
    /// # Errors
    /// [`PolicyError::InvalidValue`], with RabbitMQ's text.
    pub(super) fn check(&self, value: &FieldValue) -> Result<(), PolicyError> {
        let fine = match self.accepts {
            Text => matches!(value, FieldValue::LongString(text) if text.len() <= 255),
            OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Integer(min, max) => value.as_integer().is_some_and(|n| (min..=max).contains(&n)),
            Age => value.as_str().is_some_and(is_age),
            Anything => true,
        };
        if fine {
            return Ok(());
        }
        Err(PolicyError::InvalidValue(self.refusal.replacen("{}", &term(value), 1)))
    }

    /// Whether queues of this type have it.
    pub(super) fn is_for(&self, kind: QueueKind) -> bool {
        match kind {
            QueueKind::Classic => self.queues.classic,
            QueueKind::Quorum => self.queues.quorum,
            QueueKind::Stream => self.queues.stream,
        }
    }
}

/// `1Y`, `30D`, `12h`: a number greater than 0 and one of RabbitMQ's units.
fn is_age(text: &str) -> bool {
    let Some(number) = text.strip_suffix(['Y', 'M', 'D', 'h', 'm', 's']) else { return false };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && number.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_so_that_they_are_found() {
        assert!(KEYS.is_sorted_by(|one, other| one.name < other.name));
        for key in KEYS {
            assert_eq!(Key::find(key.name.as_bytes()).map(|found| found.name), Some(key.name));
        }
        assert!(NOT_ACTED_ON.iter().all(|name| Key::find(name.as_bytes()).is_some()));
    }
}
