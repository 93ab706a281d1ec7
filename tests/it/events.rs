//! The event exchange: what happens in the broker, as messages. Measured on RabbitMQ 3.10 with its plugin.
#![expect(clippy::unwrap_used, reason = "a test")]

use leveret::auth::{Permissions, TopicPermissions, UserLimits};
use leveret::broker::parameter::GlobalParameter;
use leveret::broker::vhost::VHostMetadata;
use leveret::{ApplyTo, Policy};

use crate::support::*;

/// A client that consumes events with these keys.
async fn watcher(server: &TestServer, key: &str) -> RawClient {
    let mut watcher = server.channel().await;
    watcher.call(1, declare_queue("events")).await;
    watcher.call(1, bind_queue("events", "amq.rabbitmq.event", key)).await;
    watcher.call(1, consume_freely("events", "watcher")).await;
    watcher
}

/// The next event: its key, and its headers.
async fn event(watcher: &mut RawClient) -> (String, FieldTable) {
    let delivery = watcher.delivery(1).await;
    assert_eq!(delivery.method.exchange, short("amq.rabbitmq.event"));
    let properties = delivery.content.properties();
    assert_eq!((properties.delivery_mode, delivery.content.body.len()), (Some(2), 0));
    let headers = properties.headers.unwrap();
    let Some(FieldValue::I64(milliseconds)) = headers.get("timestamp_in_ms") else {
        panic!("no time in {headers:?}")
    };
    assert_eq!(properties.timestamp, Some(milliseconds.unsigned_abs() / 1000));
    (delivery.method.routing_key.to_string(), headers)
}

async fn expect(watcher: &mut RawClient, key: &str, expected: &[(&str, &str)]) -> FieldTable {
    let (found, headers) = event(watcher).await;
    assert_eq!(found, key, "{headers:?}");
    for (name, value) in expected {
        assert_eq!(headers.get(name), Some(&FieldValue::from(*value)), "{key}: {name}");
    }
    headers
}

#[tokio::test]
async fn a_connections_life_is_told() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut watcher = watcher(&server, "#").await;
    // Its own binding is the first thing that is told.
    expect(&mut watcher, "binding.created", &[("destination_name", "events")]).await;
    expect(&mut watcher, "consumer.created", &[("consumer_tag", "watcher")]).await;

    let mut client = server.socket().await;
    let properties = table([("connection_name", FieldValue::from("mine"))]);
    let handshake = Handshake { client_properties: properties, ..Handshake::default() };
    client.shake_hands(&handshake).await;
    client.open_channel(7).await;
    client.close().await;

    let login = [("name", "guest"), ("auth_mechanism", "PLAIN"), ("peer_host", "127.0.0.1")];
    expect(&mut watcher, "user.authentication.success", &login).await;
    let created = [("user", "guest"), ("vhost", "/"), ("ssl_protocol", ""), ("type", "network")];
    let headers = expect(&mut watcher, "connection.created", &created).await;
    assert_eq!(headers.get("ssl"), Some(&FieldValue::Bool(false)));
    let headers = expect(&mut watcher, "channel.created", &[("vhost", "/")]).await;
    assert_eq!(headers.get("number"), Some(&FieldValue::I32(7)));
    expect(&mut watcher, "channel.closed", &[]).await;
    expect(&mut watcher, "connection.closed", &[]).await;
}

#[tokio::test]
async fn a_refused_login_is_told_and_its_password_is_not() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut watcher = watcher(&server, "user.authentication.failure").await;
    let mut client = server.socket().await;
    client.start().await;
    let wrong = Handshake { response: b"\0guest\0hunter2".to_vec(), ..Handshake::default() };
    client.send(0, wrong.start_ok()).await;
    let reason = [("name", "guest"), ("error", "user 'guest' - invalid credentials")];
    let headers = expect(&mut watcher, "user.authentication.failure", &reason).await;
    assert!(!format!("{headers:?}").contains("hunter2"));
}

#[tokio::test]
async fn topology_is_told_with_what_goes_along() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut watcher = watcher(&server, "*.*").await;
    for key in ["binding.created", "consumer.created"] {
        expect(&mut watcher, key, &[]).await;
    }
    let mut client = server.channel().await;
    for key in ["connection.created", "channel.created"] {
        expect(&mut watcher, key, &[]).await;
    }
    client.call(1, declare_queue_with("q", [("x-max-length", FieldValue::I32(5))])).await;
    let headers = expect(&mut watcher, "queue.created", &[("name", "q"), ("vhost", "/")]).await;
    let arguments = table([("x-max-length", FieldValue::I32(5))]);
    assert_eq!(headers.get("arguments"), Some(&FieldValue::Table(arguments)));
    // What is there already is not made again.
    client.call(1, declare_queue_with("q", [("x-max-length", FieldValue::I32(5))])).await;

    client.call(1, declare_exchange("x", "topic")).await;
    expect(&mut watcher, "exchange.created", &[("name", "x"), ("type", "topic")]).await;
    client.call(1, bind_queue("q", "x", "k")).await;
    let binding = [
        ("source_name", "x"),
        ("source_kind", "exchange"),
        ("destination_name", "q"),
        ("destination_kind", "queue"),
        ("routing_key", "k"),
    ];
    expect(&mut watcher, "binding.created", &binding).await;
    client.call(1, consume("q", "c")).await;
    expect(&mut watcher, "consumer.created", &[("consumer_tag", "c"), ("queue", "q")]).await;
    client.call(1, cancel("c")).await;
    expect(&mut watcher, "consumer.deleted", &[("consumer_tag", "c"), ("queue", "q")]).await;
    client.call(1, delete_queue("q")).await;
    expect(&mut watcher, "binding.deleted", &binding).await;
    expect(&mut watcher, "queue.deleted", &[("name", "q"), ("vhost", "/")]).await;
    client.call(1, delete_exchange("x")).await;
    expect(&mut watcher, "exchange.deleted", &[("name", "x")]).await;
}

/// Goal: what goes with its connection is told as well.
#[tokio::test]
async fn what_goes_with_a_connection_is_told() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    let exclusive = queue::Declare { exclusive: true, ..declare_queue("mine") };
    client.call(1, exclusive).await;
    client.call(1, consume("mine", "c")).await;
    let mut watcher = watcher(&server, "*.deleted").await;
    client.close().await;
    expect(&mut watcher, "consumer.deleted", &[("consumer_tag", "c")]).await;
    expect(&mut watcher, "queue.deleted", &[("name", "mine")]).await;
}

#[tokio::test]
async fn administration_is_told() {
    let Some(server) = TestServer::leveret().await else { return };
    let broker = server.broker().unwrap();
    let mut watcher = watcher(&server, "vhost.*").await;
    watcher.call(1, bind_queue("events", "amq.rabbitmq.event", "policy.*")).await;
    broker.host().acting_by_itself().put_vhost("v", VHostMetadata::default()).unwrap();
    expect(&mut watcher, "vhost.created", &[("name", "v")]).await;
    let policy = Policy::new("p", "^q", [("max-length", 5)]).unwrap();
    broker.set_policy("v", policy.with_apply_to(ApplyTo::Queues)).unwrap();
    expect(&mut watcher, "policy.set", &[("name", "p"), ("vhost", "v")]).await;
    broker.delete_policy("v", "p").unwrap();
    expect(&mut watcher, "policy.cleared", &[("name", "p"), ("vhost", "v")]).await;
    broker.host().acting_by_itself().delete_vhost("v", leveret::net::now()).unwrap();
    expect(&mut watcher, "vhost.deleted", &[("name", "v")]).await;
}

/// The keys and headers that RabbitMQ 3.10 has for the same changes, but who made them.
#[tokio::test]
async fn users_limits_and_parameters_are_told() {
    let Some(server) = TestServer::leveret().await else { return };
    let broker = server.broker().unwrap();
    let host = broker.host();
    let now = leveret::net::now();
    let mut watcher = watcher(&server, "user.*.#").await;
    for key in ["topic.#", "permission.*", "parameter.*", "vhost.limits.*", "operator.#"] {
        watcher.call(1, bind_queue("events", "amq.rabbitmq.event", key)).await;
    }
    broker.put_user("eve", "secret", &["monitoring"]).unwrap();
    expect(&mut watcher, "user.created", &[("name", "eve")]).await;
    let tags = expect(&mut watcher, "user.tags.set", &[("name", "eve")]).await;
    let monitoring = FieldValue::Array(vec![FieldValue::from("monitoring")]);
    assert_eq!(tags.get("tags"), Some(&monitoring));
    let limits = |channels| UserLimits { max_channels: channels, max_connections: None };
    host.acting_by_itself().set_user_limits("eve", limits(Some(5))).unwrap();
    let set = expect(&mut watcher, "user.limits.set", &[("username", "eve")]).await;
    assert_eq!(set.get("max-channels"), Some(&FieldValue::I64(5)));
    host.acting_by_itself().set_user_limits("eve", limits(None)).unwrap();
    expect(&mut watcher, "user.limits.cleared", &[("name", "limits")]).await;
    let rights = Permissions::new("^c", "^w", "^r").unwrap();
    host.acting_by_itself().set_permissions("eve", "/", rights).unwrap();
    let rights = [("configure", "^c"), ("write", "^w"), ("read", "^r"), ("vhost", "/")];
    expect(&mut watcher, "permission.created", &rights).await;
    let topics = TopicPermissions::new("^w".to_owned(), "^r".to_owned()).unwrap();
    host.acting_by_itself().set_topic_permissions("eve", "/", "amq.topic", topics).unwrap();
    let topics = [("exchange", "amq.topic"), ("write", "^w"), ("read", "^r"), ("user", "eve")];
    expect(&mut watcher, "topic.permission.created", &topics).await;
    host.acting_by_itself().clear_topic_permissions("eve", "/", None);
    expect(&mut watcher, "topic.permission.deleted", &[("user", "eve")]).await;
    host.acting_by_itself().set_vhost_limit("/", "max-queues", Some(&100.into())).unwrap();
    let limits = [("component", "vhost-limits"), ("name", "limits"), ("vhost", "/")];
    expect(&mut watcher, "parameter.set", &limits).await;
    let set = expect(&mut watcher, "vhost.limits.set", &[("name", "limits")]).await;
    assert_eq!(set.get("max-queues"), Some(&FieldValue::I64(100)));
    let vhost = host.existing_vhost("/").unwrap();
    let policy = Policy::new("p", "^q", [("max-length", 5)]).unwrap();
    host.acting_by_itself().set_operator_policy(&vhost, policy, now).unwrap();
    let set = [("component", "operator_policy"), ("name", "p"), ("vhost", "/")];
    expect(&mut watcher, "parameter.set", &set).await;
    host.acting_by_itself().delete_operator_policy(&vhost, "p", now);
    expect(&mut watcher, "parameter.cleared", &set).await;
    expect(&mut watcher, "operator.policy.cleared", &[("name", "p")]).await;
    let name = "g".to_owned();
    host.acting_by_itself().put_global_parameter(GlobalParameter { name, value: "v".into() });
    let set = [("component", "global"), ("name", "g"), ("value", "v")];
    expect(&mut watcher, "parameter.set", &set).await;
}

/// Goal: nothing is kept for whoever comes later.
#[tokio::test]
async fn while_nobody_listens_nothing_is_noted() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    client.call(1, declare_queue("before")).await;
    let mut watcher = watcher(&server, "queue.*").await;
    client.call(1, declare_queue("after")).await;
    expect(&mut watcher, "queue.created", &[("name", "after")]).await;
    watcher.call(1, unbind_queue("events", "amq.rabbitmq.event", "queue.*")).await;
    client.call(1, declare_queue("unheard")).await;
    watcher.call(1, bind_queue("events", "amq.rabbitmq.event", "queue.*")).await;
    client.call(1, declare_queue("heard")).await;
    expect(&mut watcher, "queue.created", &[("name", "heard")]).await;
}
