//! A work queue: jobs are spread over workers, and none is lost.
//!
//! The producer waits until the broker has confirmed every job. Each worker takes one job at a time
//! and acknowledges it when it is done; the job of a worker that dies goes to another.
//!
//! `cargo run --example work_queue [amqp://user:password@host:port/vhost]`

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const QUEUE: &str = "example.jobs";
const JOBS: u32 = 12;
const WORKERS: u32 = 3;

/// Tells the broker to keep a message when it restarts.
const PERSISTENT: u8 = 2;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let uri = std::env::args().nth(1);
    let uri = uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f");
    tokio::time::timeout(Duration::from_secs(30), run(uri)).await?
}

async fn run(uri: &str) -> Outcome {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    // Durable: the queue, too, outlives a restart.
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;

    // One connection serves many channels; each worker has its own, with its own prefetch.
    let (done, mut finished) = mpsc::unbounded_channel();
    let mut workers = JoinSet::new();
    for number in 1..=WORKERS {
        workers.spawn(work(number, connection.create_channel().await?, done.clone()));
    }
    drop(done);

    produce(&channel).await?;

    let mut left: BTreeSet<String> = (1..=JOBS).map(job).collect();
    while !left.is_empty() {
        // None: every worker has given up; the first to fail says why.
        let Some(job) = finished.recv().await else {
            return workers.join_next().await.ok_or("no workers")??;
        };
        left.remove(&job);
    }
    println!("all {JOBS} jobs are done");

    // Deleting the queue ends its consumers, and so the workers.
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    connection.close(200, "bye".into()).await?;
    Ok(())
}

fn job(number: u32) -> String {
    format!("job {number}")
}

async fn produce(channel: &Channel) -> Outcome {
    // From here on the broker confirms each message on this channel.
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = Vec::new();
    for number in 1..=JOBS {
        // The default exchange, "", routes to the queue that the routing key names. Mandatory: a
        // message that fits no queue comes back instead of vanishing.
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let body = job(number);
        let publish =
            channel.basic_publish("".into(), QUEUE.into(), options, body.as_bytes(), properties);
        confirms.push(publish.await?);
    }
    // Waiting for all at the end is much faster than waiting for each.
    for confirm in confirms {
        let confirmation = confirm.await?;
        if !confirmation.is_ack() || confirmation.take_message().is_some() {
            return Err("the broker did not take a job".into());
        }
    }
    println!("producer: {JOBS} jobs confirmed");
    Ok(())
}

async fn work(number: u32, channel: Channel, done: mpsc::UnboundedSender<String>) -> Outcome {
    // At most one unacknowledged job here: a slow worker does not hoard what others could do.
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut jobs = channel
        .basic_consume(
            QUEUE.into(),
            format!("worker-{number}").into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    while let Some(delivery) = jobs.next().await {
        let delivery = delivery?;
        let job = String::from_utf8(delivery.data.clone())?;
        println!("worker {number}: {job}");
        // Stands for the work.
        tokio::time::sleep(Duration::from_millis(10)).await;
        delivery.ack(BasicAckOptions::default()).await?;
        done.send(job)?;
    }
    // The queue is gone, and with it this consumer.
    channel.close(200, "bye".into()).await?;
    Ok(())
}
