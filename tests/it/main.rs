//! Black-box tests: a broker on one end of a socket, bytes on the other.
//!
//! Each module is a feature, each test one behaviour. What is expected was measured on RabbitMQ
//! 3.10.8; where leveret does otherwise on purpose, the test says so. With `LEVERET_TEST_BROKER` set
//! to `host:port` the same tests run against the broker that listens there.
#![expect(clippy::disallowed_methods, reason = "tests wait for real sockets, and spawn clients")]

mod support;

mod access;
mod ack;
mod binding;
mod capacity;
mod channel;
mod close;
mod consume;
mod consumer_timeout;
mod copies;
mod dead_letter;
mod deduplication;
mod delay;
mod events;
mod exchange;
mod exchange_types;
mod firehose;
mod framing;
mod groups;
mod handshake;
mod heartbeat;
mod limits;
mod notifications;
mod policy;
mod priorities;
mod publish;
mod queue;
mod queue_limits;
mod queue_policy;
mod queue_types;
mod redelivery;
mod reply_to;
mod routing;
mod tls;
mod transaction;
mod ttl;
