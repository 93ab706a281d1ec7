//! A broker inside a program, as a test would have it: no installation, no container, no fixed port.
//!
//! Any AMQP 0-9-1 client will do; this one is lapin.
//!
//! `cargo run --example embedded`

use std::error::Error;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use leveret::Broker;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // On 127.0.0.1, on any free port: as many tests at a time as you like. Once this returns it
    // accepts clients.
    let broker = Broker::builder().start().await?;
    let uri = broker.uri();
    println!("the broker listens on {}", broker.addresses()[0]);

    // From here on the program is like any other client.
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare("greetings".into(), durable, FieldTable::default()).await?;

    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let publish =
        channel.basic_publish("".into(), "greetings".into(), options, b"hello", properties);
    // The first await sends, the second waits until the broker has the message.
    publish.await?.await?;

    let message = channel.basic_get("greetings".into(), BasicGetOptions::default()).await?;
    let message = message.ok_or("the queue is empty")?;
    println!("got: {}", String::from_utf8_lossy(&message.data));
    message.ack(BasicAckOptions::default()).await?;
    assert_eq!(message.data, b"hello");

    // Dropping the broker stops it: sockets close, and what it held is gone. `broker.stop().await`
    // does the same and waits until the clients have said goodbye.
    drop(broker);
    if Connection::connect(&uri, ConnectionProperties::default()).await.is_ok() {
        return Err("the broker is still there".into());
    }
    println!("the broker is gone");
    Ok(())
}
