//! What is in force for a queue: its arguments and policies, read once and typed.

use amqp_codec::{FieldValue, ShortString};

use super::effective::Sources;
use super::policy::QueueKind;

/// Deliveries of a quorum queue's message after which it is given up, as in RabbitMQ since 4.0.
const QUORUM_DELIVERY_LIMIT: u32 = 20;

/// How long the first retry waits where only `x-delayed-retry-type` is given, in milliseconds.
const RETRY_MIN_MS: u64 = 1000;

/// How long later retries wait at most where no maximum is given, in milliseconds.
const RETRY_MAX_MS: u64 = 5 * 60 * 1000;

/// What a broker decides for queues that say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDefaults {
    /// How long a consumer may hold a delivery, in milliseconds; `None` is for ever.
    pub consumer_timeout: Option<u64>,
    /// What happens then.
    pub timeout_action: TimeoutAction,
}

/// What is in force for a queue. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSettings {
    /// Its type.
    pub kind: QueueKind,
    /// How long a message lives in it.
    pub message_ttl: Option<u64>,
    /// How long the queue lives unused.
    pub expires: Option<u64>,
    /// Ready messages it holds at most.
    pub max_length: Option<u64>,
    /// Bytes of bodies of ready messages it holds at most.
    pub max_length_bytes: Option<u64>,
    /// What happens above these.
    pub overflow: Overflow,
    /// Where messages go that it gives up.
    pub dead_letter: Option<DeadLetterTarget>,
    /// Times a message may come back before it is given up.
    pub delivery_limit: Option<u32>,
    /// How long a consumer may hold a delivery.
    pub consumer_timeout: Option<u64>,
    /// What happens then.
    pub timeout_action: TimeoutAction,
    /// The highest priority; `None` for a queue without priorities.
    pub max_priority: Option<u8>,
    /// One consumer at a time.
    pub single_active_consumer: bool,
    /// How rejected messages wait before they are delivered again.
    pub retry: Option<DelayedRetry>,
    /// What messages that must not overtake each other have in common.
    pub group: Option<MessageGroup>,
    /// Whether messages with a known `x-deduplication-header` are dropped.
    pub deduplication: Option<QueueDeduplication>,
}

/// What happens to messages above the queue's limits: `x-overflow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest go.
    #[default]
    DropHead,
    /// New ones are refused.
    RejectPublish,
    /// New ones are refused, and dead-lettered.
    RejectPublishDeadLetter,
}

/// Where a queue's dead letters go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterTarget {
    /// `x-dead-letter-exchange`.
    pub exchange: ShortString,
    /// `x-dead-letter-routing-key`; `None` keeps the message's own keys.
    pub routing_key: Option<ShortString>,
    /// `x-dead-letter-strategy: at-least-once`: a message leaves only once another queue has it.
    pub at_least_once: bool,
}

/// What happens when a consumer holds a delivery for too long: `x-consumer-timeout-action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeoutAction {
    /// The message goes back to the queue, and the channel stays.
    #[default]
    Requeue,
    /// The channel is closed with a 406, as in RabbitMQ 3.
    CloseChannel,
    /// The consumer is cancelled, as in RabbitMQ 4.3.
    Cancel,
}

/// Which returned messages wait before they are delivered again: `x-delayed-retry-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryKind {
    /// All that clients give back.
    All,
    /// Those given back with `basic.reject`, or by a channel that closed: their processing failed.
    Failed,
    /// Those given back with `basic.nack` or `basic.recover`.
    Returned,
}

/// Retry with backoff: a message waits `min` times the number of times it came back, `max` at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayedRetry {
    /// Which messages wait.
    pub kind: RetryKind,
    /// `x-delayed-retry-min`.
    pub min: u64,
    /// `x-delayed-retry-max`.
    pub max: u64,
}

impl DelayedRetry {
    /// How long a message waits that came back `returns` times.
    pub fn delay(&self, returns: u32) -> u64 {
        self.min.saturating_mul(u64::from(returns)).min(self.max)
    }
}

/// What the messages of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageGroup {
    /// The value of this header: `x-message-group-header`.
    Header(ShortString),
    /// The value of this property: `x-message-group-property`.
    Property(GroupProperty),
}

/// Properties that can name a message's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProperty {
    /// `message-id`.
    MessageId,
    /// `correlation-id`.
    CorrelationId,
    /// `reply-to`.
    ReplyTo,
    /// `type`.
    Type,
    /// `user-id`.
    UserId,
    /// `app-id`.
    AppId,
}

/// How a queue recognises duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueDeduplication {
    /// As long as the first one has not left the queue.
    WhileQueued,
    /// For so many milliseconds after the first one came.
    Window(u64),
}

impl QueueSettings {
    /// Reads what is in force. The arguments were checked when the queue was declared, policies when
    /// they were set.
    pub fn new(sources: &Sources<'_>, defaults: &QueueDefaults) -> Self {
        let kind = QueueKind::of(sources.arguments);
        let action = sources.text("x-consumer-timeout-action", "consumer-timeout-action");
        let max_priority = sources.arguments.get("x-max-priority").and_then(FieldValue::as_integer);
        let single = sources.arguments.get("x-single-active-consumer");
        Self {
            kind,
            message_ttl: sources.integer("x-message-ttl", "message-ttl"),
            expires: sources.integer("x-expires", "expires"),
            max_length: sources.integer("x-max-length", "max-length"),
            max_length_bytes: sources.integer("x-max-length-bytes", "max-length-bytes"),
            overflow: overflow(sources),
            dead_letter: dead_letter(sources),
            delivery_limit: delivery_limit(sources, kind),
            consumer_timeout: consumer_timeout(sources, defaults),
            timeout_action: action
                .and_then(TimeoutAction::parse)
                .unwrap_or(defaults.timeout_action),
            max_priority: max_priority
                .and_then(|max| u8::try_from(max).ok())
                .filter(|&max| max > 0),
            single_active_consumer: single.and_then(FieldValue::as_bool) == Some(true),
            retry: retry(sources),
            group: MessageGroup::of(sources),
            deduplication: deduplication(sources),
        }
    }

    /// The settings of a queue that nothing is said about.
    pub fn plain() -> Self {
        let arguments = amqp_codec::FieldTable::default();
        Self::new(&Sources::arguments_only(&arguments), &QueueDefaults::default())
    }

    /// Whether new messages are refused when the queue is full.
    pub fn refuses(&self) -> bool {
        self.overflow != Overflow::DropHead && self.is_limited()
    }

    /// Whether the oldest messages go when the queue is full.
    pub fn drops_head(&self) -> bool {
        self.overflow == Overflow::DropHead && self.is_limited()
    }

    fn is_limited(&self) -> bool {
        self.max_length.is_some() || self.max_length_bytes.is_some()
    }

    /// Whether so many messages, with bodies of so many bytes together, are more than it may hold.
    pub fn is_exceeded_by(&self, messages: u64, bytes: u64) -> bool {
        self.max_length.is_some_and(|max| messages > max)
            || self.max_length_bytes.is_some_and(|max| bytes > max)
    }
}

impl TimeoutAction {
    /// The action of this name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        match name {
            b"requeue" => Some(Self::Requeue),
            b"close-channel" => Some(Self::CloseChannel),
            b"cancel" => Some(Self::Cancel),
            _ => None,
        }
    }
}

impl GroupProperty {
    /// The property of this name, written with `-` or `_`.
    pub fn parse(name: &[u8]) -> Option<Self> {
        match name {
            b"message-id" | b"message_id" => Some(Self::MessageId),
            b"correlation-id" | b"correlation_id" => Some(Self::CorrelationId),
            b"reply-to" | b"reply_to" => Some(Self::ReplyTo),
            b"type" => Some(Self::Type),
            b"user-id" | b"user_id" => Some(Self::UserId),
            b"app-id" | b"app_id" => Some(Self::AppId),
            _ => None,
        }
    }
}

impl MessageGroup {
    fn of(sources: &Sources<'_>) -> Option<Self> {
        let text = |name| match sources.arguments.get(name) {
            Some(FieldValue::LongString(text)) => Some(text),
            _ => None,
        };
        if let Some(header) = text("x-message-group-header") {
            return ShortString::new(header).ok().map(Self::Header);
        }
        text("x-message-group-property")
            .and_then(|name| GroupProperty::parse(name))
            .map(Self::Property)
    }
}

impl RetryKind {
    /// The kind of this name; `None` for `disabled`, and for what is none.
    pub fn parse(name: &[u8]) -> Option<Self> {
        match name {
            b"all" => Some(Self::All),
            b"failed" => Some(Self::Failed),
            b"returned" => Some(Self::Returned),
            _ => None,
        }
    }
}

fn overflow(sources: &Sources<'_>) -> Overflow {
    match sources.text("x-overflow", "overflow") {
        Some(b"reject-publish") => Overflow::RejectPublish,
        Some(b"reject-publish-dlx") => Overflow::RejectPublishDeadLetter,
        _ => Overflow::DropHead,
    }
}

fn dead_letter(sources: &Sources<'_>) -> Option<DeadLetterTarget> {
    let exchange = sources.text("x-dead-letter-exchange", "dead-letter-exchange")?;
    let routing_key = sources.text("x-dead-letter-routing-key", "dead-letter-routing-key");
    let strategy = sources.text("x-dead-letter-strategy", "dead-letter-strategy");
    Some(DeadLetterTarget {
        exchange: ShortString::new(exchange).ok()?,
        routing_key: routing_key.and_then(|key| ShortString::new(key).ok()),
        // As in RabbitMQ: a queue that drops its head can't promise to keep what it gives up.
        at_least_once: strategy == Some(b"at-least-once")
            && overflow(sources) == Overflow::RejectPublish,
    })
}

/// A negative argument means no limit; so does the default of a classic queue.
fn delivery_limit(sources: &Sources<'_>, kind: QueueKind) -> Option<u32> {
    let given = |value: Option<u64>| value.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    if let Some(limit) = given(sources.integer("x-delivery-limit", "delivery-limit")) {
        return Some(limit);
    }
    let said = sources.strongest_first("x-delivery-limit", "delivery-limit").next().is_some();
    (kind == QueueKind::Quorum && !said).then_some(QUORUM_DELIVERY_LIMIT)
}

/// The smallest that is given. 0 is for ever, and never smaller than a limit.
fn consumer_timeout(sources: &Sources<'_>, defaults: &QueueDefaults) -> Option<u64> {
    let given = sources.strongest_first("x-consumer-timeout", "consumer-timeout");
    let given = given.filter_map(FieldValue::as_integer).filter_map(|it| u64::try_from(it).ok());
    let for_ever = |timeout: u64| if timeout == 0 { u64::MAX } else { timeout };
    let smallest = given.map(for_ever).min().or(defaults.consumer_timeout.map(for_ever));
    smallest.filter(|&timeout| timeout != u64::MAX)
}

fn retry(sources: &Sources<'_>) -> Option<DelayedRetry> {
    let kind = sources.text("x-delayed-retry-type", "delayed-retry-type")?;
    let kind = RetryKind::parse(kind)?;
    let min = sources.integer("x-delayed-retry-min", "delayed-retry-min").unwrap_or(RETRY_MIN_MS);
    let max = sources.integer("x-delayed-retry-max", "delayed-retry-max");
    Some(DelayedRetry { kind, min, max: max.unwrap_or_else(|| RETRY_MAX_MS.max(min)) })
}

fn deduplication(sources: &Sources<'_>) -> Option<QueueDeduplication> {
    let wanted = sources.arguments.get("x-message-deduplication").and_then(FieldValue::as_bool);
    if wanted != Some(true) {
        return None;
    }
    let window = sources.arguments.get("x-deduplication-window").and_then(FieldValue::as_integer);
    let window = window.and_then(|window| u64::try_from(window).ok());
    Some(window.map_or(QueueDeduplication::WhileQueued, QueueDeduplication::Window))
}

#[cfg(test)]
mod tests {
    use amqp_codec::FieldTable;

    use super::*;

    fn settings(arguments: &[(&'static str, FieldValue)]) -> QueueSettings {
        let name = |name: &'static str| ShortString::from_static(name);
        let table: FieldTable =
            arguments.iter().map(|(key, value)| (name(key), value.clone())).collect();
        let defaults = QueueDefaults { consumer_timeout: Some(5), ..QueueDefaults::default() };
        QueueSettings::new(&Sources::arguments_only(&table), &defaults)
    }

    fn text(text: &'static str) -> FieldValue {
        FieldValue::LongString(text.as_bytes().into())
    }

    #[test]
    fn a_quorum_queue_gives_up_after_twenty_returns_unless_told_otherwise() {
        let quorum = || ("x-queue-type", text("quorum"));
        let limit = |value| ("x-delivery-limit", FieldValue::I64(value));
        assert_eq!(settings(&[quorum()]).delivery_limit, Some(20));
        assert_eq!(settings(&[quorum(), limit(3)]).delivery_limit, Some(3));
        assert_eq!(settings(&[quorum(), limit(-1)]).delivery_limit, None);
        assert_eq!(settings(&[]).delivery_limit, None);
        assert_eq!(settings(&[limit(0)]).delivery_limit, Some(0));
    }

    #[test]
    fn a_retry_waits_longer_each_time_up_to_the_maximum() {
        let number = FieldValue::I64;
        let retry = settings(&[
            ("x-delayed-retry-type", text("all")),
            ("x-delayed-retry-min", number(100)),
            ("x-delayed-retry-max", number(250)),
        ]);
        let retry = retry.retry.expect("it is asked for");
        assert_eq!([1, 2, 3].map(|returns| retry.delay(returns)), [100, 200, 250]);
        assert_eq!(settings(&[("x-delayed-retry-type", text("disabled"))]).retry, None);
    }

    #[test]
    fn dead_letters_are_kept_until_they_arrive_only_where_new_messages_can_be_refused() {
        let exchange = || ("x-dead-letter-exchange", text("dlx"));
        let strategy = || ("x-dead-letter-strategy", text("at-least-once"));
        let keeps = |settings: QueueSettings| settings.dead_letter.map(|it| it.at_least_once);
        assert_eq!(keeps(settings(&[exchange(), strategy()])), Some(false));
        let refuse = || ("x-overflow", text("reject-publish"));
        assert_eq!(keeps(settings(&[exchange(), strategy(), refuse()])), Some(true));
        assert_eq!(keeps(settings(&[strategy(), refuse()])), None);
    }

    #[test]
    fn the_brokers_consumer_timeout_holds_unless_the_queue_says_otherwise() {
        let timeout = |value| ("x-consumer-timeout", FieldValue::I64(value));
        assert_eq!(settings(&[]).consumer_timeout, Some(5));
        assert_eq!(settings(&[timeout(9)]).consumer_timeout, Some(9));
        assert_eq!(settings(&[timeout(0)]).consumer_timeout, None, "0 is for ever");
    }
}
