//! Deduplication exchanges: like fanout, but a message that was published before goes nowhere.
//!
//! Messages are the same if their header `x-deduplication-header` is; those without it always pass.
//! What is remembered is bounded by `x-cache-size`, and in time by `x-cache-ttl`, which a message's
//! own header of that name overrides. Arguments and headers are those of the community plugin
//! `rabbitmq_message_deduplication`, and so is the fanout.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::{FieldTable, FieldValue};
use parking_lot::Mutex;

use super::invalid::InvalidArgument;
use super::{Target, Verdict, target_set::TargetSet};
use crate::broker::deduplication::DeduplicationWindow;
use crate::broker::message_header::header;
use crate::broker::value_bytes::value_bytes;

/// What a deduplication exchange is declared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CacheArguments {
    size: usize,
    ttl: Option<Duration>,
}

impl CacheArguments {
    /// Reads the arguments of a declaration.
    ///
    /// # Errors
    /// [`InvalidArgument`], in the order of the plugin's checks.
    pub(super) fn of(arguments: &FieldTable) -> Result<Self, InvalidArgument> {
        let positive = |value| number(value).filter(|number| *number > 0);
        let size = arguments.get("x-cache-size").and_then(positive);
        let size = size.ok_or(InvalidArgument::CacheSize)?;
        let ttl = match arguments.get("x-cache-ttl") {
            None => None,
            Some(value) => Some(positive(value).ok_or(InvalidArgument::CacheTtl)?),
        };
        match arguments.get("x-cache-persistence").map(|value| value.as_str()) {
            None | Some(Some("memory" | "disk")) => {}
            Some(_) => return Err(InvalidArgument::CachePersistence),
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Self { size, ttl: ttl.map(Duration::from_millis) })
    }
}

/// A number that is not negative, written as an integer or as its digits.
fn number(value: &FieldValue) -> Option<u64> {
    match value {
        FieldValue::LongString(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        FieldValue::Timestamp(_) => None,
        other => u64::try_from(other.as_integer()?).ok(),
    }
}

/// The bindings of a deduplication exchange, and what it has seen.
#[derive(Debug)]
pub struct DeduplicationMatcher<T> {
    targets: TargetSet<T>,
    ttl: Option<Duration>,
    /// Publishers share the exchange; each holds this for one look. Nothing else is locked within.
    window: Arc<Mutex<DeduplicationWindow>>,
}

impl<T: Target> DeduplicationMatcher<T> {
    /// An exchange without bindings that has seen nothing.
    pub(super) fn new(arguments: CacheArguments) -> Self {
        let window = Arc::new(Mutex::new(DeduplicationWindow::new(arguments.size)));
        Self { targets: TargetSet::Empty, ttl: arguments.ttl, window }
    }

    /// Adds a binding; false if it was there.
    pub fn insert(&mut self, target: T) -> bool {
        self.targets.insert(target)
    }

    /// Removes a binding; false if there was none.
    pub fn remove(&mut self, target: T) -> bool {
        self.targets.remove(target)
    }

    /// Calls `visit` with every target, unless the message is a duplicate; if it is not, the next
    /// one with its key will be.
    ///
    /// An exchange without bindings notes nothing: its messages are lost or returned, and sending
    /// them again must be possible.
    pub fn matches(&self, properties: &[u8], now: Instant, visit: &mut impl FnMut(T)) -> Verdict {
        if self.targets.is_empty() {
            return Verdict::Matched;
        }
        if let Some(key) = header(properties, "x-deduplication-header") {
            let own = header(properties, "x-cache-ttl").as_ref().and_then(number);
            let ttl = own.map(Duration::from_millis).or(self.ttl);
            if !self.window.lock().insert(&value_bytes(&key), ttl, now) {
                return Verdict::Duplicate;
            }
        }
        self.targets.visit(visit);
        Verdict::Matched
    }

    /// What was seen, for a store to keep and to restore.
    pub fn window(&self) -> &Arc<Mutex<DeduplicationWindow>> {
        &self.window
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, origin, properties};
    use super::*;

    type Args = [(&'static str, FieldValue)];

    fn refusal(args: &Args) -> Option<InvalidArgument> {
        CacheArguments::of(&arguments(args)).err()
    }

    #[test]
    fn arguments_are_those_of_the_plugin() {
        assert_eq!(refusal(&[]), Some(InvalidArgument::CacheSize));
        for wrong in [0_i32.into(), (-1_i32).into(), "ten".into(), "0".into(), true.into()] {
            assert_eq!(refusal(&[("x-cache-size", wrong)]), Some(InvalidArgument::CacheSize));
        }
        for right in [1_i8.into(), 1_i64.into(), FieldValue::from("10")] {
            assert_eq!(refusal(&[("x-cache-size", right)]), None);
        }
        let with = |name, value| refusal(&[("x-cache-size", 1_i32.into()), (name, value)]);
        assert_eq!(with("x-cache-ttl", 0_i32.into()), Some(InvalidArgument::CacheTtl));
        assert_eq!(with("x-cache-ttl", "1000".into()), None);
        let unknown = with("x-cache-persistence", "tape".into());
        assert_eq!(unknown, Some(InvalidArgument::CachePersistence));
        assert_eq!(with("x-cache-persistence", "disk".into()), None);
    }

    fn exchange(args: &Args) -> DeduplicationMatcher<u32> {
        let mut matcher = DeduplicationMatcher::new(CacheArguments::of(&arguments(args)).unwrap());
        assert!(matcher.insert(1) && matcher.insert(2) && !matcher.insert(2));
        matcher
    }

    /// Whether a message with these headers reaches the bindings: all of them, or none.
    fn passes(matcher: &DeduplicationMatcher<u32>, headers: &Args, now: Instant) -> bool {
        let mut targets = Vec::new();
        let verdict = matcher.matches(&properties(headers), now, &mut |id| targets.push(id));
        targets.sort_unstable();
        let expected: &[u32] = if verdict == Verdict::Matched { &[1, 2] } else { &[] };
        assert_eq!(targets, expected);
        verdict == Verdict::Matched
    }

    #[test]
    fn a_duplicate_goes_nowhere_and_what_has_no_key_always_passes() {
        let now = origin();
        let matcher = exchange(&[("x-cache-size", 10_i32.into())]);
        let key = |value: FieldValue| [("x-deduplication-header", value)];
        assert!(passes(&matcher, &key("a".into()), now));
        assert!(!passes(&matcher, &key("a".into()), now));
        assert!(passes(&matcher, &key("b".into()), now));
        assert!(passes(&matcher, &key(1_i32.into()), now));
        assert!(!passes(&matcher, &key(1_i64.into()), now), "widths do not matter");
        assert!(passes(&matcher, &key("1".into()), now), "a text is no number");
        assert!(passes(&matcher, &[], now) && passes(&matcher, &[], now));
    }

    #[test]
    fn a_messages_own_time_goes_before_the_exchanges() {
        let now = origin();
        let arguments = [("x-cache-size", 10_i32.into()), ("x-cache-ttl", 1_000_i32.into())];
        let matcher = exchange(&arguments);
        let own = [("x-deduplication-header", "own".into()), ("x-cache-ttl", 5_000_i32.into())];
        let default = [("x-deduplication-header", "default".into())];
        let odd = [("x-deduplication-header", "odd".into()), ("x-cache-ttl", (-1_i32).into())];
        for headers in [own.as_slice(), &default, &odd] {
            assert!(passes(&matcher, headers, now));
            assert!(!passes(&matcher, headers, now + Duration::from_millis(999)));
        }
        let later = now + Duration::from_secs(1);
        assert!(passes(&matcher, &default, later) && passes(&matcher, &odd, later));
        assert!(!passes(&matcher, &own, later));
        assert!(passes(&matcher, &own, now + Duration::from_secs(5)));
    }

    #[test]
    fn what_nobody_was_bound_for_may_come_again() {
        let now = origin();
        let mut matcher = exchange(&[("x-cache-size", 10_i32.into())]);
        assert!(matcher.remove(1) && matcher.remove(2) && !matcher.remove(2));
        let raw = properties(&[("x-deduplication-header", "a".into())]);
        assert_eq!(matcher.matches(&raw, now, &mut |_| unreachable!()), Verdict::Matched);
        matcher.insert(1);
        matcher.insert(2);
        assert!(passes(&matcher, &[("x-deduplication-header", "a".into())], now));
    }
}
