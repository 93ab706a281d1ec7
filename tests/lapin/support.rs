//! Short words for what most tests do.

use std::future::Future;
use std::time::Duration;

use futures_lite::{Stream, StreamExt};
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind,
    Event, Queue,
};
use leveret::Broker;

/// For what takes some milliseconds on an idle machine. Nothing here waits for longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a test, on threads enough for broker and client to get on at the same time.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, test).await.expect("the test ends in time")
    })
}

pub(crate) async fn broker() -> Broker {
    Broker::builder().start().await.unwrap()
}

pub(crate) async fn connect(broker: &Broker) -> Connection {
    connect_to(&broker.uri()).await.unwrap()
}

pub(crate) async fn connect_to(uri: &str) -> lapin::Result<Connection> {
    Connection::connect(uri, ConnectionProperties::default()).await
}

/// A broker, a client, and a channel. They end when dropped, so a test keeps all three.
pub(crate) async fn client() -> (Broker, Connection, Channel) {
    let broker = broker().await;
    let connection = connect(&broker).await;
    let channel = connection.create_channel().await.unwrap();
    (broker, connection, channel)
}

pub(crate) async fn declare(channel: &Channel, queue: &str) -> Queue {
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap()
}

/// Looks at a queue without changing it.
pub(crate) async fn passive(channel: &Channel, queue: &str) -> lapin::Result<Queue> {
    let options = QueueDeclareOptions::default().passive();
    channel.queue_declare(queue.into(), options, FieldTable::default()).await
}

/// Binds a queue to an exchange with a routing key.
pub(crate) async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), options, arguments)
        .await
        .unwrap();
}

pub(crate) async fn confirm_select(channel: &Channel) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
}

/// Publishes, and waits for the confirm if the channel asks for them.
pub(crate) async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
) -> lapin::Result<Confirmation> {
    publish_with(channel, exchange, key, body, BasicProperties::default()).await
}

pub(crate) async fn publish_with(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?.await
}

/// Publishes one message for each number, with that number as its body, to a queue.
pub(crate) async fn publish_numbers(
    channel: &Channel,
    queue: &str,
    numbers: impl IntoIterator<Item = u32>,
) {
    for number in numbers {
        publish(channel, "", queue, number.to_string().as_bytes()).await.unwrap();
    }
}

/// Takes one message out of a queue, to be acknowledged.
pub(crate) async fn get(channel: &Channel, queue: &str) -> Option<BasicGetMessage> {
    channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()
}

/// Empties a queue.
pub(crate) async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    let no_ack = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get(queue.into(), no_ack).await.unwrap() {
        bodies.push(text(&message));
    }
    bodies
}

/// Consumes with a tag of the broker's choice; deliveries are to be acknowledged.
pub(crate) async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.unwrap()
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    consumer.next().await.expect("the consumer goes on").unwrap()
}

pub(crate) async fn next_n(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(count);
    for _ in 0..count {
        deliveries.push(next(consumer).await);
    }
    deliveries
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).unwrap()
}

pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}

/// The numbers of [`publish_numbers`].
pub(crate) fn numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// The reply code and text of a refusal.
pub(crate) fn reply(error: &lapin::Error) -> (u16, String) {
    match error.kind() {
        ErrorKind::ProtocolError(error) => (error.get_id(), error.get_message().to_string()),
        other => panic!("the broker has not said why: {other:?}"),
    }
}

/// The refusal itself, of whatever did not succeed.
pub(crate) fn refusal<T: std::fmt::Debug>(result: lapin::Result<T>) -> (u16, String) {
    reply(&result.unwrap_err())
}

/// Waits until the connection fails, and says how.
pub(crate) async fn failure(mut events: impl Stream<Item = Event> + Unpin) -> (u16, String) {
    loop {
        if let Event::Error(error) = events.next().await.expect("the connection fails") {
            return reply(&error);
        }
    }
}

/// Waits until no queue has this name.
pub(crate) async fn gone(connection: &Connection, queue: &str) {
    // Each round is a question and an answer; the deadline is the test's.
    loop {
        let channel = connection.create_channel().await.unwrap();
        if let Err(error) = passive(&channel, queue).await {
            assert_eq!(reply(&error).0, 404);
            return;
        }
        channel.close(200, "bye".into()).await.unwrap();
    }
}
