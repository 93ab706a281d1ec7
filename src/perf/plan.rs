//! What a run is to do.

use std::time::Duration;

use amqp_codec::{FieldTable, FieldValue, ShortString};
use bytes::Bytes;

use super::mark::MARK_END;
use super::{PerfError, Uri};

/// What a run is to do. [`Plan::default`] is one publisher and one consumer without end.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The broker.
    pub uri: Uri,
    /// Connections that publish.
    pub producers: usize,
    /// Connections that consume.
    pub consumers: usize,
    /// Bytes of a body; from 12 on there is a stamp in it and latency is measured.
    pub size: usize,
    /// The most publishes of one producer that wait for confirms; nothing: no confirms.
    pub confirm_window: Option<usize>,
    /// Deliveries that one acknowledgement settles.
    pub ack_every: u64,
    /// Consume without acknowledgements.
    pub auto_ack: bool,
    /// Unacknowledged deliveries that a consumer may have; 0 for no limit.
    pub prefetch: u16,
    /// Publishes a second of one producer.
    pub rate: Option<u64>,
    /// Publishes of one producer in all.
    pub publish_count: Option<u64>,
    /// Deliveries of one consumer in all.
    pub consume_count: Option<u64>,
    /// How long to run.
    pub duration: Option<Duration>,
    /// How long nothing may happen before a run of a certain number of messages is given up.
    pub idle_timeout: Duration,
    /// Publish persistent messages, to durable queues.
    pub persistent: bool,
    /// Have messages that reach no queue come back.
    pub mandatory: bool,
    /// The queues.
    pub queues: Queues,
    /// The exchange that is published to; nothing: the default one.
    pub exchange: Option<Exchange>,
    /// The routing key; nothing: a queue's name.
    pub routing_key: Option<String>,
    /// Bindings of the exchange, to its queues in turn. Messages match one each, and all of them in turn.
    /// Nothing: a binding for each queue.
    pub bindings: Option<u32>,
    /// Have messages priorities from 0 to one less than this, in turn, and the queues as many.
    pub priorities: Option<u8>,
    /// Look at every message that arrives: whether one is missing, damaged, there twice or out of order.
    pub verify: bool,
    /// Exchanges, queues and bindings are there; declare none.
    pub predeclared: bool,
    /// Publish everything first, and consume it then.
    pub drain: bool,
    /// Threads that connections are spread over.
    pub threads: usize,
    /// Processes whose use of processor, memory and disk to report.
    pub pids: Vec<u32>,
}

/// The queues of a run.
#[derive(Debug, Clone)]
pub struct Queues {
    /// Their names; nothing: `generated` queues of the run's own, deleted at its end.
    pub names: Vec<String>,
    /// How many queues to make where none is named.
    pub generated: usize,
    /// Arguments to declare them with.
    pub arguments: FieldTable,
    /// Declare them to go with their last consumer.
    pub auto_delete: bool,
}

/// The exchange of a run.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Its name; nothing: one of the run's own, deleted at its end.
    pub name: Option<String>,
    /// Such as `direct`.
    pub kind: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            uri: Uri {
                host: "localhost".to_owned(),
                port: 5672,
                user: "guest".to_owned(),
                password: "guest".to_owned(),
                vhost: "/".to_owned(),
                tls: None,
            },
            producers: 1,
            consumers: 1,
            size: 12,
            confirm_window: None,
            ack_every: 1,
            auto_ack: false,
            prefetch: 0,
            rate: None,
            publish_count: None,
            consume_count: None,
            duration: None,
            idle_timeout: Duration::from_secs(30),
            persistent: false,
            mandatory: false,
            queues: Queues {
                names: Vec::new(),
                generated: 1,
                arguments: FieldTable::new(),
                auto_delete: false,
            },
            exchange: None,
            routing_key: None,
            bindings: None,
            priorities: None,
            verify: false,
            predeclared: false,
            drain: false,
            threads: 1,
            pids: Vec::new(),
        }
    }
}

impl Plan {
    /// Refuses what could never end, or measure anything.
    pub(super) fn check(&self) -> Result<(), PerfError> {
        let wrong = |text: &str| Err(PerfError::Plan(text.to_owned()));
        if self.producers + self.consumers == 0 {
            return wrong("there is nothing to do with no producers and no consumers");
        }
        if self.drain && (self.producers == 0 || self.consumers == 0) {
            return wrong("a drain needs producers and consumers");
        }
        if self.drain && (self.publish_count.is_none() || self.consume_count.is_some()) {
            return wrong("a drain needs --pmessages, and consumes exactly what was published");
        }
        if self.predeclared && self.queues.names.is_empty() && self.consumers > 0 {
            return wrong("name the predeclared queues with --queue");
        }
        if self.verify {
            self.check_verify()?;
        }
        let stalls = !self.auto_ack
            && self.prefetch > 0
            && self.ack_every > self.prefetch.into()
            && self.consumers > 0;
        if stalls {
            return wrong(
                "a consumer with a --qos below --multi-ack-every would never acknowledge",
            );
        }
        Ok(())
    }
}

impl Plan {
    /// Every message has to say which it is, and has to arrive.
    fn check_verify(&self) -> Result<(), PerfError> {
        let wrong = |text: String| Err(PerfError::Plan(text));
        if self.size < MARK_END {
            return wrong(format!("--verify needs a --size of {MARK_END} bytes at least"));
        }
        if self.producers == 0 || self.consumers == 0 || self.consume_count.is_some() {
            return wrong(
                "--verify needs producers, and consumers that take everything: no --cmessages"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The arguments to declare queues with.
    pub(super) fn queue_arguments(&self) -> FieldTable {
        let mut arguments = self.queues.arguments.clone();
        if let Some(priorities) = self.priorities
            && !arguments.contains("x-max-priority")
        {
            let name = ShortString::from_static("x-max-priority");
            arguments.push(name, FieldValue::I64(priorities.into()));
        }
        arguments
    }
}

/// Reads queue arguments: `x-max-length=10,x-queue-mode=lazy`. Numbers and truth values are told by their
/// looks.
///
/// # Errors
/// [`PerfError::Plan`] for what is no list of `name=value`.
pub fn parse_arguments(text: &str) -> Result<FieldTable, PerfError> {
    let mut table = FieldTable::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let Some((name, value)) = item.split_once('=') else {
            return Err(PerfError::Plan(format!("'{item}' is not of the form name=value")));
        };
        let name = ShortString::new(name.trim())
            .map_err(|error| PerfError::Plan(format!("the argument '{item}': {error}")))?;
        table.push(name, argument(value.trim()));
    }
    Ok(table)
}

fn argument(text: &str) -> FieldValue {
    if let Ok(number) = text.parse() {
        return FieldValue::I64(number);
    }
    match text {
        "true" => FieldValue::Bool(true),
        "false" => FieldValue::Bool(false),
        text => FieldValue::LongString(Bytes::copy_from_slice(text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_types() {
        let table = parse_arguments("x-max-length=10, x-queue-type=quorum,flag=true").unwrap();
        assert_eq!(table.get("x-max-length"), Some(&FieldValue::I64(10)));
        assert_eq!(table.get("x-queue-type").and_then(FieldValue::as_str), Some("quorum"));
        assert_eq!(table.get("flag"), Some(&FieldValue::Bool(true)));
        assert!(parse_arguments("x").is_err());
        assert!(parse_arguments("").unwrap().is_empty());
    }

    #[test]
    fn plans_that_would_never_end_are_refused() {
        assert!(Plan::default().check().is_ok());
        for plan in [
            Plan { producers: 0, consumers: 0, ..Plan::default() },
            Plan { drain: true, ..Plan::default() },
            Plan { ack_every: 10, prefetch: 5, ..Plan::default() },
            Plan { predeclared: true, ..Plan::default() },
            Plan { verify: true, ..Plan::default() },
            Plan { verify: true, size: 32, consume_count: Some(1), ..Plan::default() },
        ] {
            assert!(plan.check().is_err(), "{plan:?}");
        }
    }
}
