//! The commands that talk to a running broker, each against one: `leveret`'s own, and RabbitMQ's tools by their
//! names. With `LEVERET_BIN` set it is that binary.

#![expect(clippy::unwrap_used, reason = "a test")]

mod admin;
mod health;
mod local;
mod rabbitmqadmin;
mod rabbitmqctl;
mod support;
