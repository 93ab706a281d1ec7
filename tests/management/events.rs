//! The event exchange: the headers that RabbitMQ 3.10 has in each event, with its plugin, and who did what.

use std::collections::BTreeSet;

use futures_lite::StreamExt;
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, ExchangeBindOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, ExchangeUnbindOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use leveret::Broker;

use crate::support::{Api, broker, run};

/// What RabbitMQ 3.10.8 has in the headers of each event, `timestamp_in_ms` and `user_who_performed_action` apart.
const HEADERS: &[(&str, &str)] = &[
    (
        "binding.created",
        "source_name source_kind destination_name destination_kind routing_key vhost arguments",
    ),
    (
        "binding.deleted",
        "source_name source_kind destination_name destination_kind routing_key vhost arguments",
    ),
    ("user.created", "name"),
    ("user.tags.set", "name tags"),
    ("user.password.changed", "name"),
    ("user.deleted", "name"),
    ("permission.created", "user vhost configure write read"),
    ("permission.deleted", "user vhost"),
    ("topic.permission.created", "user vhost exchange write read"),
    ("topic.permission.deleted", "user vhost"),
    ("user.limits.set", "name username max-connections"),
    ("user.limits.cleared", "name username"),
    ("exchange.created", "name vhost type durable auto_delete internal arguments policy"),
    ("exchange.deleted", "name vhost"),
    ("vhost.created", "name description tags default_queue_type metadata tracing cluster_state"),
    ("vhost.updated", "name description tags default_queue_type metadata tracing cluster_state"),
    ("vhost.deleted", "name"),
    ("vhost.down", "name node"),
    ("vhost.limits.set", "name max-queues"),
    ("vhost.limits.cleared", "name"),
    ("parameter.set", "component name value"),
    ("parameter.cleared", "component name vhost"),
    ("queue.created", "name vhost durable auto_delete exclusive owner_pid arguments"),
    ("queue.deleted", "name vhost"),
    ("policy.set", "name vhost pattern apply-to priority definition"),
    ("policy.cleared", "name vhost"),
    ("operator.policy.cleared", "name vhost"),
    (
        "user.authentication.success",
        "auth_mechanism connection_name connection_type host name peer_host peer_port protocol ssl",
    ),
    (
        "user.authentication.failure",
        "auth_mechanism connection_name connection_type host name peer_host peer_port protocol ssl \
         error",
    ),
    (
        "connection.created",
        "auth_mechanism channel_max client_properties connected_at frame_max host name node \
         peer_cert_issuer peer_cert_subject peer_cert_validity peer_host peer_port pid port protocol \
         ssl ssl_cipher ssl_hash ssl_key_exchange ssl_protocol timeout type user \
         user_provided_name vhost",
    ),
    ("connection.closed", "client_properties name node pid user_provided_name"),
    ("channel.created", "connection name number pid user vhost"),
    ("channel.closed", "pid"),
    (
        "consumer.created",
        "ack_required arguments channel consumer_tag exclusive prefetch_count queue vhost",
    ),
    ("consumer.deleted", "channel consumer_tag queue vhost"),
];

/// Those that nobody did: RabbitMQ has no user in them.
const BY_NOBODY: &[&str] =
    &["user.authentication.success", "user.authentication.failure", "connection.closed"];

/// Those that the broker does by itself, by what is in their headers.
const BY_ITSELF: &[(&str, &str, &str)] = &[
    ("vhost.down", "name", "events"),
    // It goes with its queue.
    ("binding.deleted", "destination_name", "by-http"),
    ("queue.deleted", "name", "exclusive"),
    ("queue.deleted", "name", "auto-delete"),
];

struct Event {
    key: String,
    headers: FieldTable,
}

impl Event {
    fn text(&self, name: &str) -> Option<String> {
        match self.headers.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        }
    }
}

async fn connect(broker: &Broker, user: &str) -> Connection {
    let named = ConnectionProperties::default().with_connection_name("events".into());
    let uri = broker.uri().replace("guest:guest", &format!("{user}:{user}"));
    Connection::connect(&uri, named).await.unwrap()
}

async fn listen(channel: &Channel) -> Consumer {
    let (none, declare) = (FieldTable::default(), QueueDeclareOptions::default());
    channel.queue_declare("told".into(), declare, none.clone()).await.unwrap();
    let options = QueueBindOptions::default();
    let (told, events) = ("told".into(), "amq.rabbitmq.event".into());
    channel.queue_bind(told, events, "#".into(), options, none.clone()).await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume("told".into(), "".into(), options, none).await.unwrap()
}

async fn administer(api: &Api) {
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    let policy = r#"{"pattern":"^x","definition":{"max-length":5}}"#;
    for (method, path, body) in [
        ("PUT", "users/eve", r#"{"password":"eve","tags":"management"}"#),
        ("PUT", "users/eve", r#"{"password":"eve","tags":""}"#),
        ("PUT", "permissions/%2F/eve", all),
        ("DELETE", "permissions/%2F/eve", ""),
        ("PUT", "topic-permissions/%2F/eve", r#"{"exchange":"amq.topic","write":"","read":""}"#),
        ("DELETE", "topic-permissions/%2F/eve", ""),
        ("PUT", "user-limits/eve/max-connections", r#"{"value":5}"#),
        ("DELETE", "user-limits/eve/max-connections", ""),
        ("DELETE", "users/eve", ""),
        ("PUT", "vhosts/events", r#"{"description":"d","tags":"a"}"#),
        ("PUT", "vhosts/events", r#"{"description":"e","tags":"a"}"#),
        ("PUT", "vhost-limits/events/max-queues", r#"{"value":5}"#),
        ("DELETE", "vhost-limits/events/max-queues", ""),
        ("PUT", "queues/events/q", "{}"),
        ("DELETE", "vhosts/events", ""),
        ("PUT", "policies/%2F/p", policy),
        ("DELETE", "policies/%2F/p", ""),
        ("PUT", "operator-policies/%2F/p", policy),
        ("DELETE", "operator-policies/%2F/p", ""),
        ("PUT", "global-parameters/g", r#"{"value":1}"#),
        ("PUT", "exchanges/%2F/by-http", r#"{"type":"fanout"}"#),
        ("PUT", "queues/%2F/by-http", "{}"),
        ("POST", "bindings/%2F/e/by-http/q/by-http", "{}"),
        ("DELETE", "queues/%2F/by-http", ""),
        ("DELETE", "exchanges/%2F/by-http", ""),
        (
            "POST",
            "definitions",
            r#"{"queues":[{"name":"imported","vhost":"/","durable":true,
            "auto_delete":false,"arguments":{}}]}"#,
        ),
    ] {
        let answer = api.request(method, &format!("/api/{path}"), body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
    }
}

async fn work(connection: &Connection) {
    let channel = connection.create_channel().await.unwrap();
    let none = FieldTable::default();
    for (name, exclusive, auto_delete) in
        [("exclusive", true, false), ("auto-delete", false, true), ("by-amqp", false, false)]
    {
        let declare = QueueDeclareOptions { exclusive, auto_delete, ..Default::default() };
        channel.queue_declare(name.into(), declare, none.clone()).await.unwrap();
    }
    for name in ["x", "y"] {
        let declare = ExchangeDeclareOptions::default();
        let kind = ExchangeKind::Direct;
        channel.exchange_declare(name.into(), kind, declare, none.clone()).await.unwrap();
    }
    let (x, y, k) = (|| "x".into(), || "y".into(), || "k".into());
    let bind = ExchangeBindOptions::default();
    channel.exchange_bind(x(), y(), k(), bind, none.clone()).await.unwrap();
    let unbind = ExchangeUnbindOptions::default();
    channel.exchange_unbind(x(), y(), k(), unbind, none.clone()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume("auto-delete".into(), "c".into(), options, none).await.unwrap();
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    channel.queue_delete("by-amqp".into(), QueueDeleteOptions::default()).await.unwrap();
    channel.exchange_delete(x(), ExchangeDeleteOptions::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

/// All that happened, up to the queue that was declared last.
async fn told(consumer: &mut Consumer) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        let delivery = consumer.next().await.unwrap().unwrap();
        let headers = delivery.properties.headers().clone().unwrap();
        let event = Event { key: delivery.routing_key.to_string(), headers };
        if event.text("name").as_deref() == Some("the-end") {
            return told;
        }
        told.push(event);
    }
}

#[test]
fn events_have_the_headers_that_rabbitmq_has_and_say_who_did_it() {
    run(async {
        let broker = broker().await;
        broker.put_user("bob", "bob", &["administrator"]).unwrap();
        broker.set_permissions("bob", "/", [".*", ".*", ".*"]).unwrap();
        let listener = Connection::connect(&broker.uri(), Default::default()).await.unwrap();
        let channel = listener.create_channel().await.unwrap();
        let mut consumer = listen(&channel).await;
        let api = Api::of(&broker).login("bob", "bob");
        administer(&api).await;
        work(&connect(&broker, "bob").await).await;
        let wrong = broker.uri().replace("guest:guest", "bob:wrong");
        Connection::connect(&wrong, Default::default()).await.unwrap_err();
        // Those that a connection leaves behind are told once it is gone.
        while api.get("/api/queues/%2F/exclusive").await.status != 404 {}
        api.put("/api/queues/%2F/the-end", "{}").await;
        let told = told(&mut consumer).await;

        for &(key, expected) in HEADERS {
            let of_key: Vec<&Event> = told.iter().filter(|event| event.key == key).collect();
            assert!(!of_key.is_empty(), "{key} is told");
            let expected: BTreeSet<&str> = expected.split_whitespace().collect();
            let has = |name: &str| of_key.iter().any(|event| event.headers.contains_key(name));
            let missing: Vec<_> = expected.iter().filter(|name| !has(name)).collect();
            assert!(missing.is_empty(), "{key}: {missing:?}");
            assert!(of_key.iter().all(|it| it.headers.contains_key("timestamp_in_ms")), "{key}");
        }
        let by_itself = |event: &Event| {
            BY_ITSELF.iter().any(|&(key, header, value)| {
                event.key == key && event.text(header).as_deref() == Some(value)
            })
        };
        for event in &told {
            let of_listener = event.headers.inner().values().any(|value| match value {
                AMQPValue::LongString(text) => matches!(&*text.to_string(), "told" | "guest"),
                _ => false,
            });
            let expected = match &*event.key {
                key if BY_NOBODY.contains(&key) => None,
                _ if by_itself(event) => Some("rmq-internal"),
                _ if of_listener => Some("guest"),
                _ => Some("bob"),
            };
            let found = event.text("user_who_performed_action");
            assert_eq!(found.as_deref(), expected, "{}: {:?}", event.key, event.headers);
        }
    });
}

/// Goal: the log is not the only one that is told what an import did otherwise.
#[test]
fn who_imports_definitions_is_told_what_is_not_as_they_have_it() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/q", r#"{"durable":true}"#).await;
        let queue = |durable: bool| {
            format!(
                r#"{{"queues":[{{"name":"q","vhost":"/","durable":{durable},"auto_delete":false,
                   "arguments":{{}}}}]}}"#
            )
        };
        let fine = api.post("/api/definitions", &queue(true)).await;
        assert_eq!((fine.status, fine.header("Warning")), (204, None));
        let otherwise = api.post("/api/definitions", &queue(false)).await;
        assert_eq!(otherwise.status, 204);
        let warning = otherwise.header("Warning").unwrap();
        assert!(warning.starts_with("299 leveret \"queue 'q' stays as it is: "), "{warning}");
    });
}
