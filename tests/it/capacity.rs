//! How many there may be: of clients from one address, and of what clients make.

use std::time::Duration;

use leveret::broker::vhost::VHostMetadata;
use leveret::config::DefaultVHostLimits;

use crate::support::{
    Handshake, Method, RawClient, TestServer, basic, channel, connection, consume,
    declare_exchange, declare_queue, delete_queue, queue,
};

/// Connects until it is let in, as whoever was there before is gone only when its socket is closed.
async fn let_in(server: &TestServer) -> RawClient {
    let trying = async {
        loop {
            if let Some(client) = try_once(server).await {
                return client;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), trying).await.expect("there is room again")
}

/// A client that was let in; none, if its socket was closed without a word.
async fn try_once(server: &TestServer) -> Option<RawClient> {
    let mut client = server.socket().await;
    // It may be closed before this arrives.
    client.try_send_bytes(b"AMQP\0\0\x09\x01").await.ok()?;
    match client.receive_any().await {
        crate::support::Received::End => None,
        _ => Some(client),
    }
}

/// Goal: one address has so many connections; who is one too many is not served, and takes nobody's place.
#[tokio::test]
async fn an_address_has_so_many_connections() {
    let configure = |config: &mut leveret::config::Config| {
        config.capacity.connections_per_address = 2;
        config.capacity.limit_loopback = true;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let (first, mut second) = (server.channel().await, server.channel().await);
    for _ in 0..3 {
        assert!(try_once(&server).await.is_none());
    }
    second.expect_nothing(1).await;
    let refused: Vec<_> = server.broker().unwrap().host().arrivals().refused().collect();
    assert_eq!(refused, [("address", 3), ("address_not_logged_in", 0), ("descriptors", 0)]);
    drop(first);
    drop(let_in(&server).await);
}

/// Goal: who connects and says nothing keeps others out no longer than a login may take, and keeps nobody out who has
/// logged in.
#[tokio::test]
async fn those_who_have_not_logged_in_are_limited_and_cut_off() {
    let configure = |config: &mut leveret::config::Config| {
        config.capacity.unauthenticated_per_address = 1;
        config.capacity.limit_loopback = true;
        config.handshake_timeout = Duration::from_secs(1);
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let mut member = server.channel().await;
    let mut silent = server.socket().await;
    // A byte now and then is no login.
    silent.send_bytes(b"AM").await;
    assert!(try_once(&server).await.is_none());
    member.expect_nothing(1).await;
    silent.skip_to_end().await;
    drop(silent);
    let _next = let_in(&server).await;
    let refused: Vec<_> = server.broker().unwrap().host().arrivals().refused().collect();
    assert!(refused[1].1 > 0, "{refused:?}");
}

/// Goal: this machine is not limited unless it is to be.
#[tokio::test]
async fn this_machine_may_have_any_number() {
    let configure =
        |config: &mut leveret::config::Config| config.capacity.connections_per_address = 1;
    let Some(server) = TestServer::configured(configure).await else { return };
    let _clients = [server.channel().await, server.channel().await];
}

/// Goal: those who connect and never log in do not use up what the broker has for clients; one client too many is told.
#[tokio::test]
async fn only_those_who_have_logged_in_are_counted() {
    let configure = |config: &mut leveret::config::Config| config.capacity.connections = 1;
    let Some(server) = TestServer::configured(configure).await else { return };
    let _silent = [server.socket().await, server.socket().await];
    let _member = server.channel().await;
    let mut second = server.socket().await;
    let handshake = Handshake::default();
    let connection::Tune { channel_max, frame_max, .. } = second.log_in(&handshake).await;
    second.send(0, connection::TuneOk { channel_max, frame_max, heartbeat: 0 }).await;
    second.send(0, handshake.open()).await;
    let text = "NOT_ALLOWED - connection refused: node connection limit (1) is reached";
    second.expect_connection_close(530, text, (10, 40)).await;
}

#[tokio::test]
async fn the_number_of_channels_and_of_consumers_is_a_setting() {
    let configure = |config: &mut leveret::config::Config| {
        config.capacity.channels = 2;
        config.capacity.consumers_per_channel = 1;
        config.node_name = "rabbit@here".to_owned();
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let (mut first, mut second) = (server.channel().await, server.channel().await);
    second.send(2, channel::Open {}).await;
    let text = "NOT_ALLOWED - number of channels opened on node 'rabbit@here' has reached the \
                maximum allowed limit of (2)";
    second.expect_connection_close(530, text, (20, 10)).await;
    drop(second);

    first.call(1, declare_queue("q")).await;
    let Method::BasicConsumeOk(ok) = first.call(1, consume("q", "")).await else {
        panic!("no consumer")
    };
    first.call(1, basic::Cancel { consumer_tag: ok.consumer_tag, no_wait: false }).await;
    first.call(1, consume("q", "")).await;
    first.send(1, consume("q", "")).await;
    let text = "NOT_ALLOWED - reached maximum (1) of consumers per channel";
    first.expect_connection_close(530, text, (60, 20)).await;
}

#[tokio::test]
async fn the_number_of_queues_and_exchanges_of_all_vhosts_is_a_setting() {
    let configure = |config: &mut leveret::config::Config| {
        config.capacity.queues = 2;
        config.capacity.exchanges = 20;
        config.capacity.vhosts = 2;
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let host = server.broker().unwrap().host();
    host.acting_by_itself().put_vhost("v", VHostMetadata::default()).unwrap();
    let refused =
        host.acting_by_itself().put_vhost("w", VHostMetadata::default()).unwrap_err().to_string();
    assert_eq!(refused, "cannot create vhost 'w': vhost limit of 2 is reached");
    server.broker().unwrap().set_permissions("guest", "v", [".*", ".*", ".*"]).unwrap();

    let mut here = server.channel().await;
    let mut there = server.connect_with(&Handshake { vhost: "v", ..Handshake::default() }).await;
    there.open_channel(1).await;
    here.call(1, declare_queue("a")).await;
    there.call(1, declare_queue("b")).await;
    here.call(1, declare_queue("a")).await;
    let text =
        "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in cluster (2) is reached";
    here.refused(1, declare_queue("c"), 406, text).await;
    there.call(1, delete_queue("b")).await;
    here.call(1, queue::Declare { exclusive: true, ..declare_queue("c") }).await;
    there.refused(1, declare_queue("b"), 406, &text.replace("'c'", "'b'")).await;

    // Thirteen are there from the start.
    for number in 0..7 {
        there.call(1, declare_exchange(format!("x.{number}"), "direct")).await;
    }
    there.call(1, declare_exchange("x.1", "direct")).await;
    let text = "PRECONDITION_FAILED - cannot declare exchange 'x.7' in vhost 'v': exchange limit of 20 \
                is reached";
    there.refused(1, declare_exchange("x.7", "direct"), 406, text).await;
    // With the vhost all of them go.
    assert!(server.broker().unwrap().delete_vhost("v").unwrap());
    for number in 0..13 {
        here.call(1, declare_exchange(format!("y.{number}"), "direct")).await;
    }
    here.refused(
        1,
        declare_exchange("y.13", "direct"),
        406,
        &text.replace("x.7' in vhost 'v'", "y.13' in vhost '/'"),
    )
    .await;
}

/// Goal: a vhost begins with the limits that the configuration has for names like its own.
#[tokio::test]
async fn new_vhosts_begin_with_the_limits_for_their_names() {
    let configure = |config: &mut leveret::config::Config| {
        for (id, pattern, max_queues) in [("1", "^dev", Some(1)), ("2", "", None)] {
            let pattern = pattern.to_owned();
            let limits = DefaultVHostLimits { pattern, max_connections: Some(7), max_queues };
            config.vhost_limits.insert(id.to_owned(), limits);
        }
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let host = server.broker().unwrap().host();
    host.acting_by_itself().put_vhost("dev.a", VHostMetadata::default()).unwrap();
    let limits = |name| host.existing_vhost(name).unwrap().limits();
    assert_eq!((limits("dev.a").max_connections, limits("dev.a").max_queues), (Some(7), Some(1)));
    assert_eq!((limits("/").max_connections, limits("/").max_queues), (Some(7), None));
}

/// Goal: the user that an empty broker begins with is what the configuration says, and no more.
#[tokio::test]
async fn the_default_user_may_do_what_is_configured() {
    let configure = |config: &mut leveret::config::Config| {
        config.default_user_tags = vec!["monitoring".to_owned()];
        config.default_permissions = ["^mine", "", ".*"].map(str::to_owned);
    };
    let Some(server) = TestServer::configured(configure).await else { return };
    let mut client = server.channel().await;
    client.call(1, declare_queue("mine")).await;
    let text =
        "ACCESS_REFUSED - configure access to queue 'yours' in vhost '/' refused for user 'guest'";
    client.refused(1, declare_queue("yours"), 403, text).await;
    let user = server.broker().unwrap().host().user("guest").unwrap();
    assert!(user.tags.contains("monitoring") && !user.tags.contains("administrator"));
}
