//! Questions and answers over a broker.
//!
//! Each question names the queue for its answer (`reply_to`) and carries an id of the client's
//! choice (`correlation_id`), which the server copies into the answer.
//!
//! `cargo run --example rpc [amqp://user:password@host:port/vhost]`

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, Consumer};
use tokio::task::JoinSet;

const QUESTIONS: &str = "example.squares";

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
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(QUESTIONS.into(), durable, FieldTable::default()).await?;
    let questions = channel
        .basic_consume(
            QUESTIONS.into(),
            "server".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut server = JoinSet::new();
    server.spawn(serve(channel.clone(), questions));

    ask(&connection).await?;

    // Deleting the queue ends the server's subscription, and so the server.
    channel.queue_delete(QUESTIONS.into(), QueueDeleteOptions::default()).await?;
    while let Some(served) = server.join_next().await {
        served??;
    }
    connection.close(200, "bye".into()).await?;
    Ok(())
}

/// The client: asks for five squares at a time, and tells the answers apart by their ids.
async fn ask(connection: &Connection) -> Result<(), Failure> {
    let channel = connection.create_channel().await?;
    let answers = channel
        .queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default())
        .await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies = channel
        .basic_consume(answers.name().clone(), "".into(), no_ack, FieldTable::default())
        .await?;

    let mut asked = BTreeMap::new();
    for number in 1..=5_u64 {
        let id = format!("question-{number}");
        let properties = BasicProperties::default()
            .with_reply_to(answers.name().clone())
            .with_correlation_id(id.as_str().into());
        let (options, body) = (BasicPublishOptions::default(), number.to_string());
        channel
            .basic_publish("".into(), QUESTIONS.into(), options, body.as_bytes(), properties)
            .await?;
        asked.insert(id, number);
    }

    while !asked.is_empty() {
        let reply = replies.next().await.ok_or("the subscription ended")??;
        let id = reply.properties.correlation_id().as_ref().ok_or("an answer without an id")?;
        let number = asked.remove(id.as_str()).ok_or("an answer to no question")?;
        let square: u64 = String::from_utf8(reply.data)?.parse()?;
        println!("client: {number} squared is {square}");
        if square != number * number {
            return Err("that is wrong".into());
        }
    }
    channel.close(200, "bye".into()).await?;
    Ok(())
}

/// The server: answers each question in the queue that it names.
async fn serve(channel: lapin::Channel, mut questions: Consumer) -> Result<(), Failure> {
    while let Some(question) = questions.next().await {
        let question = question?;
        let number: u64 = std::str::from_utf8(&question.data)?.parse()?;
        println!("server: {number}?");
        let (Some(reply_to), Some(id)) =
            (question.properties.reply_to(), question.properties.correlation_id())
        else {
            return Err("a question without reply_to or correlation_id".into());
        };
        let properties = BasicProperties::default().with_correlation_id(id.clone());
        let (options, body) = (BasicPublishOptions::default(), (number * number).to_string());
        channel
            .basic_publish("".into(), reply_to.clone(), options, body.as_bytes(), properties)
            .await?;
        // Only now: if the server dies before, another one gets the question.
        question.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}
