//! Topics: each subscriber gets the messages whose routing key fits its pattern.
//!
//! A routing key is a list of words with dots between them. In a pattern `*` stands for exactly one
//! word, and `#` for any number of them, none included.
//!
//! `cargo run --example topic_routing [amqp://user:password@host:port/vhost]`

use std::error::Error;
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, Consumer, ExchangeKind};

const EXCHANGE: &str = "example.logs";

/// What is published, in this order.
const KEYS: [&str; 4] = ["kernel.error", "cron.info", "kernel.info", "cron.error.disk"];

/// Patterns, and the keys that each one should get.
const SUBSCRIPTIONS: [(&str, &[&str]); 4] = [
    ("kernel.*", &["kernel.error", "kernel.info"]),
    ("*.info", &["cron.info", "kernel.info"]),
    ("*.error.#", &["kernel.error", "cron.error.disk"]),
    ("#", &KEYS),
];

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let uri = std::env::args().nth(1);
    let uri = uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f");
    tokio::time::timeout(Duration::from_secs(30), run(uri)).await?
}

async fn run(uri: &str) -> Result<(), Failure> {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let (topic, options) = (ExchangeKind::Topic, ExchangeDeclareOptions::default());
    channel.exchange_declare(EXCHANGE.into(), topic, options, FieldTable::default()).await?;

    let mut subscribers = Vec::new();
    for (pattern, expected) in SUBSCRIPTIONS {
        subscribers.push((pattern, expected, subscribe(&connection, pattern).await?));
    }

    for key in KEYS {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let body = format!("something about {key}");
        channel
            .basic_publish(EXCHANGE.into(), key.into(), options, body.as_bytes(), properties)
            .await?;
    }

    for (pattern, expected, subscriber) in &mut subscribers {
        let mut keys = Vec::new();
        while keys.len() < expected.len() {
            let delivery = subscriber.next().await.ok_or("the subscription ended")??;
            keys.push(delivery.routing_key.to_string());
        }
        println!("{pattern}: {}", keys.join(", "));
        if keys != *expected {
            return Err(format!("expected {}", expected.join(", ")).into());
        }
    }

    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await?;
    connection.close(200, "bye".into()).await?;
    Ok(())
}

/// A queue with the messages that fit a pattern, for as long as the connection lives.
async fn subscribe(connection: &Connection, pattern: &str) -> Result<Consumer, Failure> {
    let channel = connection.create_channel().await?;
    let queue = channel
        .queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default())
        .await?;
    let name = queue.name();
    // A queue may be bound with any number of patterns; it still gets each message once.
    channel
        .queue_bind(
            name.clone(),
            EXCHANGE.into(),
            pattern.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    Ok(channel.basic_consume(name.clone(), "".into(), options, FieldTable::default()).await?)
}
