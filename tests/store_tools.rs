//! `leveret store` on directories that a broker left. With `LEVERET_BIN` set it is that binary.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use leveret::Broker;
use leveret::config::{Config, Durability};
use serde_json::{Value, json};

/// A directory of its own, removed when dropped.
struct DataDir(PathBuf);

impl DataDir {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("leveret-store-tools-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn log(&self) -> PathBuf {
        self.0.join("log").read_dir().unwrap().next().unwrap().unwrap().path()
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn start(dir: &DataDir) -> Broker {
    let change = |config: &mut Config| {
        config.data_dir = Some(dir.path().to_owned());
        config.durability = Durability::Os;
        config.disk_free_limit = 0;
    };
    Broker::builder().configure(change).start().await.unwrap()
}

async fn channel(broker: &Broker) -> (Connection, Channel) {
    let connection =
        Connection::connect(&broker.uri(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8]) {
    let mut headers = FieldTable::default();
    headers.insert("n".into(), AMQPValue::LongLongInt(7));
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    assert!(published.await.unwrap().await.unwrap().is_ack());
}

/// What a broker leaves behind: an exchange, a queue bound to it with three messages, an empty one.
async fn broker_was_here() -> DataDir {
    let dir = DataDir::new();
    let broker = start(&dir).await;
    let (connection, channel) = channel(&broker).await;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let topic = ExchangeKind::Topic;
    channel.exchange_declare("events".into(), topic, durable, FieldTable::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1000));
    channel.queue_declare("orders".into(), durable, arguments).await.unwrap();
    channel.queue_declare("idle".into(), durable, FieldTable::default()).await.unwrap();
    let (queue, exchange, key) = ("orders".into(), "events".into(), "order.#".into());
    let none = FieldTable::default();
    channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), none).await.unwrap();
    for body in [&b"first"[..], b"\xFF\x00", b"third"] {
        publish(&channel, "events", "order.new", body).await;
    }
    connection.close(200, "done".into()).await.unwrap();
    broker.stop().await;
    dir
}

fn leveret(arguments: &[&str]) -> Output {
    let binary = std::env::var_os("LEVERET_BIN");
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_leveret").into());
    Command::new(binary).arg("store").args(arguments).output().unwrap()
}

fn check(dir: &DataDir) -> (Option<i32>, Value) {
    let output = leveret(&["check", dir.path().to_str().unwrap(), "--format", "json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), report)
}

fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn flip(path: &Path, what: &[u8]) -> usize {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(what.len()).position(|window| window == what).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    at
}

#[tokio::test]
async fn check_says_what_is_there() {
    let dir = broker_was_here().await;
    let (code, report) = check(&dir);
    assert_eq!((code, &report["problems"]), (Some(0), &json!([])), "{report:#}");
    let of = |name: &str| {
        let queues = report["queues"].as_array().unwrap();
        queues.iter().find(|queue| queue["name"] == name).unwrap().clone()
    };
    let orders = of("orders");
    assert_eq!((&orders["messages_ready"], &orders["message_bytes"]), (&json!(3), &json!(12)));
    assert_eq!((&orders["type"], &orders["next_position"]), (&json!("classic"), &json!(3)));
    assert_eq!(of("idle")["messages_ready"], json!(0));
    assert_eq!((&report["torn"], &report["log"]["messages"]), (&Value::Null, &json!(3)));
    let output = leveret(&["check", dir.path().to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("\nno problems\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("/      orders  classic ")), "{text}");
}

#[tokio::test]
async fn a_bad_byte_has_a_file_and_an_offset() {
    let dir = broker_was_here().await;
    flip(&dir.log(), b"first");
    let output = leveret(&["check", dir.path().to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let place = format!("{} is damaged at byte ", dir.log().display());
    let named = text.lines().filter(|line| line.starts_with("problem: ") && line.contains(&place));
    assert_eq!(named.count(), 2, "the frame and the message: {text}");
    // What is sound is exported all the same.
    let output = leveret(&["export", dir.path().to_str().unwrap(), "--messages"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&place));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
}

#[tokio::test]
async fn directories_that_cannot_be_used_have_codes_of_their_own() {
    let dir = DataDir::new();
    let path = dir.path().to_str().unwrap();
    let refused = |code: i32, what: &str| {
        for command in ["check", "export", "rebuild"] {
            let output = leveret(&[command, path]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
            assert!(said.contains(what) && said.lines().count() == 1, "{command}: {said}");
        }
    };
    refused(66, "cannot open");
    fs::create_dir(path).unwrap();
    refused(66, "not a leveret data directory");
    let marker = dir.path().join("leveret.store");
    fs::write(&marker, "leveret data directory, format 99\n").unwrap();
    refused(66, "newer");
    fs::remove_file(marker).unwrap();
    let broker = start(&dir).await;
    refused(75, "in use by another broker");
    broker.stop().await;
    assert_eq!(leveret(&["check", path]).status.code(), Some(0));
    assert_eq!(leveret(&["mend", path]).status.code(), Some(64));
}

#[tokio::test]
async fn export_has_definitions_and_messages_as_rabbitmq_names_them() {
    let dir = broker_was_here().await;
    let path = dir.path().to_str().unwrap();
    let all = lines(&leveret(&["export", path]));
    let of = |kind: &str| all.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert!(of("vhost").contains(&&json!({ "kind": "vhost", "name": "/" })));
    let queue = of("queue").into_iter().find(|queue| queue["name"] == "orders").unwrap();
    assert_eq!((&queue["vhost"], &queue["durable"]), (&json!("/"), &json!(true)));
    assert_eq!(queue["arguments"]["x-max-length"], json!(1000));
    assert!(queue["arguments_amqp"].is_string(), "an integer of 32 bits is none of JSON's");
    let expected = json!({
        "kind": "binding", "vhost": "/", "source": "events", "destination": "orders",
        "destination_type": "queue", "routing_key": "order.#", "arguments": {}
    });
    assert!(of("binding").contains(&&expected), "{all:#?}");
    let mut messages = of("message").into_iter().cloned().collect::<Vec<_>>();
    let queue_id = messages[0].as_object_mut().unwrap().remove("queue_id");
    assert!(queue_id.is_some_and(|id| id.is_number()));
    let first = json!({
        "kind": "message", "vhost": "/", "queue": "orders", "position": 0, "state": "ready",
        "exchange": "events", "routing_key": "order.new", "redelivered": false, "delivery_count": 0,
        "properties": { "delivery_mode": 2, "headers": { "n": 7 } },
        "payload_bytes": 5, "payload_encoding": "string", "payload": "first"
    });
    assert_eq!(messages[0], first);
    let second = (&messages[1]["payload"], &messages[1]["payload_encoding"]);
    assert_eq!(second, (&json!("/wA="), &json!("base64")));
    let only = lines(&leveret(&["export", path, "--queue", "orders", "--vhost", "/"]));
    assert_eq!(only.len(), 3);
    assert!(lines(&leveret(&["export", path, "--queue", "idle"])).is_empty());
    let definitions = lines(&leveret(&["export", path, "--definitions"]));
    assert_eq!(definitions.len() + 3, all.len());
    assert_eq!(leveret(&["export", path, "--queue", "none"]).status.code(), Some(1));
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_it_quietly() {
    let dir = broker_was_here().await;
    let binary = std::env::var_os("LEVERET_BIN");
    let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_leveret").into());
    let mut command = Command::new(binary);
    command.args(["store", "export"]).arg(dir.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}

#[tokio::test]
async fn a_damaged_index_is_rebuilt_and_everything_is_back() {
    let dir = broker_was_here().await;
    let path = dir.path().to_str().unwrap();
    let before = lines(&leveret(&["export", path]));
    let snapshot: Value =
        serde_json::from_slice(&fs::read(dir.path().join("definitions.json")).unwrap()).unwrap();
    assert_eq!(snapshot["queues"].as_array().unwrap().len(), 2);
    assert_eq!(leveret(&["rebuild", path]).status.code(), Some(1), "it is sound");
    fs::write(dir.path().join("index/conf"), b"something else").unwrap();
    let (code, report) = check(&dir);
    let problem = report["problems"][0].as_str().unwrap();
    assert_eq!(code, Some(1));
    assert!(problem.contains("leveret store rebuild"), "{problem}");
    let output = leveret(&["rebuild", path]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("index.damaged-1") && said.contains("with 3 messages"), "{said}");
    assert_eq!(lines(&leveret(&["export", path])), before);
    let broker = start(&dir).await;
    let (_connection, channel) = channel(&broker).await;
    let message = channel.basic_get("orders".into(), BasicGetOptions { no_ack: true }).await;
    assert_eq!(message.unwrap().unwrap().delivery.data, b"first");
    assert_eq!(broker.queue_counts("/", "orders").unwrap().ready, 2);
    broker.stop().await;
}
