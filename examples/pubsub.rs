//! Publish and subscribe: every subscriber gets every message.
//!
//! A fanout exchange copies each message to all queues bound to it. Each subscriber has a queue of
//! its own, which the broker names and deletes when the subscriber's connection ends.
//!
//! `cargo run --example pubsub [amqp://user:password@host:port/vhost]`

use std::error::Error;
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, Consumer, ExchangeKind};

const EXCHANGE: &str = "example.news";
const NEWS: [&str; 3] = ["the kettle is on", "tea is ready", "the pot is empty"];
const SUBSCRIBERS: usize = 3;

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
    let (fanout, options) = (ExchangeKind::Fanout, ExchangeDeclareOptions::default());
    channel.exchange_declare(EXCHANGE.into(), fanout, options, FieldTable::default()).await?;

    // An exchange keeps nothing: who subscribes later has missed what was published before.
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(subscribe(&connection).await?);
    }

    for news in NEWS {
        // A fanout exchange does not look at the routing key.
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish(EXCHANGE.into(), "".into(), options, news.as_bytes(), properties)
            .await?;
        println!("published: {news}");
    }

    for (number, subscriber) in (1..).zip(&mut subscribers) {
        for expected in NEWS {
            let delivery = subscriber.next().await.ok_or("the subscription ended")??;
            let news = String::from_utf8(delivery.data)?;
            println!("subscriber {number}: {news}");
            if news != expected {
                return Err(format!("expected {expected:?}").into());
            }
        }
    }

    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await?;
    // The subscribers' queues are exclusive to this connection and end with it.
    connection.close(200, "bye".into()).await?;
    Ok(())
}

async fn subscribe(connection: &Connection) -> Result<Consumer, Failure> {
    let channel = connection.create_channel().await?;
    // The empty name asks the broker for one.
    let queue = channel
        .queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default())
        .await?;
    println!("subscribed with {}", queue.name());
    let name = queue.name();
    channel
        .queue_bind(
            name.clone(),
            EXCHANGE.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    // No acknowledgements: news that a dying subscriber missed is of no use to anybody.
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    Ok(channel.basic_consume(name.clone(), "".into(), options, FieldTable::default()).await?)
}
