//! Policies that come and go while clients are connected. No client can set one, so these tests need a
//! broker of their own.

use leveret::{ApplyTo, Broker, Policy};

use crate::support::{
    RawClient, TestServer, bind_queue, declare_exchange, declare_queue, exchange, mandatory, table,
    to_exchange,
};

fn alternate(pattern: &str, exchange: &str) -> Policy {
    Policy::new("alternate", pattern, [("alternate-exchange", exchange)]).expect("a good policy")
}

/// Exchanges `one` and `two`, each with a queue of its name that takes everything.
async fn client_with_two_queues(server: &TestServer) -> RawClient {
    let mut client = server.channel().await;
    for name in ["one", "two"] {
        client.call(1, declare_exchange(name, "fanout")).await;
        client.call(1, declare_queue(name)).await;
        client.call(1, bind_queue(name, name, "")).await;
    }
    client
}

/// Publishes three times with one key, so that the route is one that the channel remembers; how many
/// copies `one` and `two` got.
async fn published(client: &mut RawClient, exchange: &str) -> (usize, usize) {
    for _ in 0..3 {
        client.publish(1, to_exchange(exchange, "key"), "x").await;
    }
    (client.drain(1, "one").await.len(), client.drain(1, "two").await.len())
}

fn set(broker: &Broker, policy: Policy) {
    broker.set_policy("/", policy).expect("the default vhost");
}

#[tokio::test]
async fn an_alternate_exchange_comes_and_goes_with_its_policy() {
    let server = TestServer::start().await;
    let Some(broker) = server.broker() else { return };
    let mut client = client_with_two_queues(&server).await;
    client.call(1, declare_exchange("orders.eu", "direct")).await;
    assert_eq!(published(&mut client, "orders.eu").await, (0, 0));

    set(broker, alternate("^orders\\.", "one"));
    assert_eq!(published(&mut client, "orders.eu").await, (3, 0));
    client.call(1, declare_exchange("orders.us", "direct")).await;
    assert_eq!(published(&mut client, "orders.us").await, (3, 0));

    set(broker, alternate("^orders\\.", "two"));
    assert_eq!(published(&mut client, "orders.eu").await, (0, 3));
    set(broker, alternate("^orders\\.us$", "two"));
    assert_eq!(published(&mut client, "orders.eu").await, (0, 0));
    assert_eq!(published(&mut client, "orders.us").await, (0, 3));

    assert_eq!(broker.delete_policy("/", "alternate"), Ok(true));
    assert_eq!(published(&mut client, "orders.us").await, (0, 0));
    assert_eq!(broker.delete_policy("/", "alternate"), Ok(false));
}

/// What a policy's alternate exchange takes is routed, and so not returned to a publisher that insists.
#[tokio::test]
async fn what_the_alternate_exchange_takes_is_not_returned() {
    let server = TestServer::start().await;
    let Some(broker) = server.broker() else { return };
    let mut client = client_with_two_queues(&server).await;
    let insist = || mandatory(to_exchange("amq.direct", "key"));
    client.publish(1, insist(), "lost").await;
    assert_eq!(client.returned(1).await.0.reply_code, 312);
    set(broker, alternate("^amq\\.direct$", "one"));
    client.publish(1, insist(), "kept").await;
    assert_eq!(client.drain(1, "one").await, ["kept"]);
    assert_eq!(broker.delete_policy("/", "alternate"), Ok(true));
    client.publish(1, insist(), "lost again").await;
    assert_eq!(client.returned(1).await.0.reply_code, 312);
}

#[tokio::test]
async fn the_argument_wins_and_redeclaring_compares_arguments_only() {
    let server = TestServer::start().await;
    let Some(broker) = server.broker() else { return };
    let mut client = client_with_two_queues(&server).await;
    set(broker, alternate("", "one").with_apply_to(ApplyTo::Exchanges));
    let arguments = table([("alternate-exchange", "two".into())]);
    let own = exchange::Declare { arguments, ..declare_exchange("own", "direct") };
    client.call(1, own.clone()).await;
    client.call(1, declare_exchange("plain", "direct")).await;
    assert_eq!(published(&mut client, "own").await, (0, 3));
    assert_eq!(published(&mut client, "plain").await, (3, 0));
    client.call(1, own).await;
    client.call(1, declare_exchange("plain", "direct")).await;
}

#[tokio::test]
async fn policies_belong_to_a_vhost_that_exists() {
    let server = TestServer::start().await;
    let Some(broker) = server.broker() else { return };
    let refused = broker.set_policy("nope", alternate("", "x")).expect_err("no such vhost");
    assert_eq!(refused.to_string(), "Virtual host 'nope' does not exist");
    assert!(broker.policies("nope").is_err());
    set(broker, alternate("", "x"));
    let policies = broker.policies("/").expect("the default vhost");
    assert_eq!(policies.iter().map(|policy| policy.name()).collect::<Vec<_>>(), ["alternate"]);
    assert!(broker.operator_policies("/").expect("the default vhost").is_empty());
}
