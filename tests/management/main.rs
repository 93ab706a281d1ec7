//! The management HTTP API and the metrics, black box: statuses and bodies in RabbitMQ's words, what
//! clients over AMQP are seen to do, RabbitMQ's own client library, and what a client of HTTP can't do.

#![expect(clippy::unwrap_used, reason = "a test")]

mod access;
mod bounds;
mod clients;
mod events;
mod library;
mod messages;
mod metrics;
mod objects;
mod openapi;
mod rights;
mod support;
