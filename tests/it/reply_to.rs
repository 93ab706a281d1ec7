//! Direct reply-to: requests whose replies go straight to the channel that asked.

use crate::support::{
    BasicProperties, Delivery, Method, RawClient, TestServer, ack, basic, cancel, channel,
    check_queue, consume, consume_freely, declare_ok, declare_queue, delete_queue, get, mandatory,
    short, to_queue, tx,
};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn with_reply_to(address: &str) -> BasicProperties {
    BasicProperties { reply_to: Some(short(address)), ..BasicProperties::default() }
}

fn missing(name: &str) -> String {
    format!("NOT_FOUND - no queue '{name}' in vhost '/'")
}

/// Makes channel 1 a requester, sends one request by way of `queue` and takes it, which is its delivery
/// 1; the address that it came with.
async fn requester(client: &mut RawClient, queue: &str) -> String {
    client.call(1, declare_queue(queue)).await;
    client.call(1, consume_freely(REPLY_TO, "replies")).await;
    client.publish_with(1, to_queue(queue), &with_reply_to(REPLY_TO), "request").await;
    let (_, content) = client.get(1, get(queue)).await.expect("the request");
    let address = content.properties().reply_to.expect("an address");
    address.to_str().expect("a text").to_owned()
}

/// What a reply looks like: the requester's consumer tag, the default exchange, and the address as key.
fn check_reply(reply: &Delivery, tag: u64, address: &str, text: &str) {
    let expected = basic::Deliver {
        consumer_tag: short("replies"),
        delivery_tag: tag,
        redelivered: false,
        exchange: short(""),
        routing_key: short(address),
    };
    assert_eq!(reply.method, expected);
    assert!(reply.text() == text, "{} octets", reply.text().len());
}

/// "The RPC client must consume in no-ack mode", and "only one" per channel: 406 with these texts.
#[tokio::test]
async fn what_a_requester_must_not_do_is_406() {
    let server = TestServer::start().await;
    let mut client = server.channel().await;
    let text = "PRECONDITION_FAILED - reply consumer cannot acknowledge";
    client.refused(1, consume(REPLY_TO, "c"), 406, text).await;
    client.call(1, consume_freely(REPLY_TO, "first")).await;
    let text = "PRECONDITION_FAILED - reply consumer already set";
    client.refused(1, consume_freely(REPLY_TO, "second"), 406, text).await;
    let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
    let request = to_queue("anywhere");
    client.publish_refused(1, request.clone(), &with_reply_to(REPLY_TO), 406, text).await;
    // Its own channel has to have it, not just the connection.
    client.open_channel(2).await;
    client.call(2, consume_freely(REPLY_TO, "other")).await;
    client.publish_refused(1, request, &with_reply_to(REPLY_TO), 406, text).await;
}

/// "The server can check whether the requester is still there with a passive declaration": it is as long
/// as its consumer lives, and 404 after it was cancelled or its channel closed.
#[tokio::test]
async fn an_address_lives_as_long_as_its_consumer() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let (mut client, mut responder) = (server.channel().await, server.channel().await);
    for by_cancel in [true, false] {
        let address = requester(&mut client, &queue).await;
        for declare in [check_queue(&address), declare_queue(&address)] {
            responder.send(1, declare).await;
            responder.expect(1, declare_ok(&address, 0, 1)).await;
        }
        if by_cancel {
            client.call(1, cancel("replies")).await;
        } else {
            client.call(1, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
            client.open_channel(1).await;
        }
        responder.refused(1, check_queue(&address), 404, &missing(&address)).await;
        // A reply is dropped, or returned to a responder that insists.
        responder.publish(1, to_queue(&address), "late").await;
        responder.publish(1, mandatory(to_queue(&address)), "late, and mandatory").await;
        let (returned, content) = responder.returned(1).await;
        assert_eq!((returned.reply_code, content.text()), (312, "late, and mandatory"));
        client.expect_nothing(1).await;
    }
    client.call(1, delete_queue(&queue)).await;
}

/// A channel that has the number of a requester's is not the requester.
#[tokio::test]
async fn a_channel_opened_anew_gets_no_replies_of_the_one_before() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let (mut client, mut responder) = (server.channel().await, server.channel().await);
    let old = requester(&mut client, &queue).await;
    client.call(1, channel::Close { reply_code: 200, ..channel::Close::default() }).await;
    client.open_channel(1).await;
    let new = requester(&mut client, &queue).await;
    assert_ne!(old, new);
    responder.publish(1, to_queue(&old), "to the old one").await;
    responder.publish(1, to_queue(&new), "to the new one").await;
    check_reply(&client.delivery(1).await, 2, &new, "to the new one");
    client.expect_nothing(1).await;
    client.call(1, delete_queue(&queue)).await;
}

/// Replies come in order, each with a delivery tag of its own, and are confirmed. A mandatory one is not
/// returned, as in RabbitMQ since 4.2.
#[tokio::test]
async fn replies_and_their_confirms_keep_their_order() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let (mut client, mut responder) = (server.channel().await, server.channel().await);
    let address = requester(&mut client, &queue).await;
    responder.select_confirms(1).await;
    for text in ["1", "2", "3"] {
        responder.publish(1, to_queue(&queue), "not a reply").await;
        let reply = to_queue(&address);
        let reply = server.differs(mandatory(reply.clone()), reply);
        responder.publish(1, reply, text).await;
    }
    assert_eq!(responder.confirms(1, 6).await, [true; 6]);
    for (tag, text) in [(2, "1"), (3, "2"), (4, "3")] {
        // RabbitMQ gives them all the same one.
        let tag = server.differs(tag, 2);
        check_reply(&client.delivery(1).await, tag, &address, text);
    }
    client.expect_nothing(1).await;
    client.call(1, delete_queue(&queue)).await;
}

/// The properties and a body of several frames arrive as they were sent.
#[tokio::test]
async fn a_reply_arrives_as_it_was_sent() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let (mut client, mut responder) = (server.channel().await, server.channel().await);
    let address = requester(&mut client, &queue).await;
    let properties = BasicProperties {
        correlation_id: Some(short("42")),
        content_type: Some(short("text/plain")),
        ..BasicProperties::default()
    };
    let body = "x".repeat(300_000);
    responder.publish_with(1, to_queue(&address), &properties, &body).await;
    let reply = client.delivery(1).await;
    check_reply(&reply, 2, &address, &body);
    assert_eq!(reply.content.properties(), properties);
    client.call(1, delete_queue(&queue)).await;
    assert!(server.memory_used().is_none_or(|used| used == 0));
}

/// A reply is no message of a queue: nobody can acknowledge one.
#[tokio::test]
async fn a_reply_cannot_be_acknowledged() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let (mut client, mut responder) = (server.channel().await, server.channel().await);
    let address = requester(&mut client, &queue).await;
    responder.publish(1, to_queue(&address), "reply").await;
    check_reply(&client.delivery(1).await, 2, &address, "reply");
    client.refused(1, ack(2), 406, "PRECONDITION_FAILED - unknown delivery tag 2").await;
    client.call(1, delete_queue(&queue)).await;
}

/// A reply does not wait for the responder's commit, and a rollback does not take it back.
#[tokio::test]
async fn a_reply_is_no_part_of_a_transaction() {
    let Some(server) = TestServer::leveret().await else { return };
    let (mut client, mut responder) = (server.channel().await, server.channel().await);
    let address = requester(&mut client, "q").await;
    responder.call(1, tx::Select {}).await;
    responder.publish(1, to_queue(&address), "reply").await;
    check_reply(&client.delivery(1).await, 2, &address, "reply");
    responder.call(1, tx::Rollback {}).await;
    client.expect_nothing(1).await;
}

/// An address that nobody was given leads nowhere, however it looks. RabbitMQ 3.10 closes the connection
/// with 541 for some of these.
#[tokio::test]
async fn a_made_up_address_leads_nowhere() {
    let Some(server) = TestServer::leveret().await else { return };
    let mut client = server.channel().await;
    let long = format!("{REPLY_TO}.{}", "x".repeat(190));
    let odd = format!("{REPLY_TO}.\u{0}\u{7f}..*#");
    for address in
        ["amq.rabbitmq.reply-to.", "amq.rabbitmq.reply-to.g1h2AA5yZXBseUA.x", &long, &odd]
    {
        client.publish(1, to_queue(address), "lost").await;
        client.publish(1, mandatory(to_queue(address)), "returned").await;
        let (returned, _) = client.returned(1).await;
        assert_eq!((returned.reply_code, returned.routing_key), (312, short(address)));
        client.refused(1, check_queue(address), 404, &missing(address)).await;
    }
}

/// Nobody can bind, delete, purge or consume what is not a queue.
#[tokio::test]
async fn an_address_is_no_queue() {
    let server = TestServer::start().await;
    let queue = server.name("q");
    let mut client = server.channel().await;
    let address = requester(&mut client, &queue).await;
    client.open_channel(2).await;
    let bind = crate::support::bind_queue(&address, "amq.direct", "k");
    client.refused(2, bind, 404, &missing(&address)).await;
    client.refused(2, consume_freely(&address, "thief"), 404, &missing(&address)).await;
    client.refused(2, get(&address), 404, &missing(&address)).await;
    client.refused(2, crate::support::purge_queue(&address), 404, &missing(&address)).await;
    client.call(2, delete_queue(&address)).await;
    client.publish(2, to_queue(&address), "reply").await;
    check_reply(&client.delivery(1).await, 2, &address, "reply");
    client.call(1, delete_queue(&queue)).await;
}

/// A requester that reads nothing loses replies rather than the broker its memory; what it lost it is
/// not told, and it can go on.
#[tokio::test]
async fn a_requester_that_does_not_read_is_bounded() {
    const REPLIES: usize = 400;
    let configure = |config: &mut leveret::config::Config| config.consumer_outbox_bytes = 100_000;
    let Some(server) = TestServer::configured(configure).await else { return };
    let (mut client, mut responder) = (server.channel().await, server.channel().await);
    let address = requester(&mut client, "q").await;
    responder.select_confirms(1).await;
    let body = "x".repeat(100_000);
    for _ in 0..REPLIES {
        responder.publish(1, to_queue(&address), &body).await;
    }
    assert_eq!(responder.confirms(1, REPLIES).await, [true; REPLIES]);
    let (mut replies, mut before) = (0, None);
    while before != Some(replies) {
        before = Some(replies);
        client.send(1, check_queue("q")).await;
        while let Method::BasicDeliver(_) = client.receive_method(1).await {
            client.receive_content(1).await;
            replies += 1;
        }
    }
    assert!((1..REPLIES).contains(&replies), "{replies} replies");
    responder.publish(1, to_queue(&address), "last").await;
    assert_eq!(client.delivery(1).await.text(), "last");
}
