//! Who may do what: RabbitMQ's order of questions, codes and texts.
//!
//! RabbitMQ 3.10 leaves the first word of a refusal out (`access to queue ...`); later ones have it.

use leveret::Broker;

use crate::support::*;

/// What a user may configure, write and read in `/`.
type Rights = [&'static str; 3];

const NONE: Rights = ["", "", ""];

/// A broker with `q`, `x` (a topic exchange), `d` (a direct one) and `int` (an internal one), and the user
/// `u`. Tests that make users are about leveret alone.
async fn broker() -> Option<TestServer> {
    let server = TestServer::leveret().await?;
    admin(&server).put_user("u", "pw", &[]).expect("a name");
    let mut guest = server.channel().await;
    guest.call(1, declare_queue("q")).await;
    guest.call(1, declare_exchange("x", "topic")).await;
    guest.call(1, declare_exchange("d", "direct")).await;
    let internal = exchange::Declare { internal: true, ..declare_exchange("int", "direct") };
    guest.call(1, internal).await;
    Some(server)
}

fn admin(server: &TestServer) -> &Broker {
    server.broker().expect("only leveret is asked here")
}

fn allow(server: &TestServer, rights: Rights) {
    admin(server).set_permissions("u", "/", rights).expect("the user is there");
}

fn as_user(name: &str, password: &str) -> Handshake {
    let mut response = vec![0];
    response.extend_from_slice(name.as_bytes());
    response.push(0);
    response.extend_from_slice(password.as_bytes());
    Handshake { response, ..Handshake::default() }
}

fn to_vhost(vhost: &'static str) -> Handshake {
    Handshake { vhost, ..as_user("u", "pw") }
}

/// What comes of `connection.open` after everything before it went well.
async fn open_outcome(server: &TestServer, vhost: &'static str) -> String {
    let handshake = to_vhost(vhost);
    let mut client = server.socket().await;
    let connection::Tune { channel_max, frame_max, .. } = client.log_in(&handshake).await;
    client.send(0, connection::TuneOk { channel_max, frame_max, heartbeat: 0 }).await;
    client.send(0, handshake.open()).await;
    told(client.receive().await)
}

async fn user_channel(server: &TestServer) -> RawClient {
    let mut client = server.connect_with(&as_user("u", "pw")).await;
    client.open_channel(1).await;
    client
}

/// What comes of one method on a fresh connection: `ok`, or code and text of the close.
async fn outcome(server: &TestServer, method: Method) -> String {
    let mut client = user_channel(server).await;
    client.send(1, method).await;
    told(client.receive().await)
}

/// What comes of a publish: `ok` if nothing does.
async fn publish_outcome(server: &TestServer, publish: basic::Publish, from: &str) -> String {
    let mut client = user_channel(server).await;
    let properties = BasicProperties {
        user_id: (!from.is_empty()).then(|| short(from)),
        ..BasicProperties::default()
    };
    client.publish_with(1, publish, &properties, "m").await;
    client.send(1, check_exchange("amq.direct")).await;
    told(client.receive().await)
}

fn told(received: Received) -> String {
    match received {
        Received::Method(_, Method::ChannelClose(close)) => {
            format!("{} {}", close.reply_code, close.reply_text)
        }
        Received::Method(_, Method::ConnectionClose(close)) => {
            format!("connection {} {}", close.reply_code, close.reply_text)
        }
        Received::Method(..) => "ok".to_owned(),
        other => panic!("expected a method, got {other:?}"),
    }
}

fn refused(permission: &str, what: &str) -> String {
    format!("403 ACCESS_REFUSED - {permission} access to {what} in vhost '/' refused for user 'u'")
}

/// One request, what it takes, and what is said where that is missing.
struct Case {
    request: Method,
    /// The rights that are just enough; the test takes each of them away in turn.
    enough: Rights,
    /// What is said where there are none at all.
    without: String,
}

fn case(
    request: impl Into<Method>,
    enough: Rights,
    permission: &'static str,
    what: &'static str,
) -> Case {
    Case { request: request.into(), enough, without: refused(permission, what) }
}

fn cases() -> Vec<Case> {
    let dead_letters = declare_queue_with("new", [("x-dead-letter-exchange", "d".into())]);
    let to_default = declare_queue_with("newer", [("x-dead-letter-exchange", "".into())]);
    let alternate = exchange::Declare {
        arguments: table([("alternate-exchange", "d".into())]),
        ..declare_exchange("new", "direct")
    };
    let server_named = queue::Declare { exclusive: true, ..declare_queue("") };
    vec![
        case(declare_queue("q"), ["^q$", "", ""], "configure", "queue 'q'"),
        case(declare_queue("fresh"), ["^fresh$", "", ""], "configure", "queue 'fresh'"),
        Case {
            request: server_named.into(),
            enough: ["^amq\\.gen-.*", "", ""],
            without: String::new(),
        },
        case(dead_letters, ["^new$", "^d$", "^new$"], "configure", "queue 'new'"),
        case(to_default, ["^newer$", "^amq.default$", "^newer$"], "configure", "queue 'newer'"),
        case(delete_queue("missing"), ["^missing$", "", ""], "configure", "queue 'missing'"),
        case(purge_queue("q"), ["", "", "^q$"], "read", "queue 'q'"),
        case(get("q"), ["", "", "^q$"], "read", "queue 'q'"),
        case(consume("q", "c"), ["", "", "^q$"], "read", "queue 'q'"),
        case(bind_queue("q", "x", "k"), ["", "^q$", "^x$"], "write", "queue 'q'"),
        case(unbind_queue("q", "x", "k"), ["", "^q$", "^x$"], "write", "queue 'q'"),
        case(bind_exchange("d", "x", "k"), ["", "^d$", "^x$"], "write", "exchange 'd'"),
        case(unbind_exchange("d", "x", "k"), ["", "^d$", "^x$"], "write", "exchange 'd'"),
        case(declare_exchange("d", "direct"), ["^d$", "", ""], "configure", "exchange 'd'"),
        case(alternate, ["^new$", "^d$", "^new$"], "configure", "exchange 'new'"),
        case(delete_exchange("missing"), ["^missing$", "", ""], "configure", "exchange 'missing'"),
    ]
}

#[tokio::test]
async fn every_request_takes_just_these_rights() {
    let Some(server) = broker().await else { return };
    for Case { request, enough, without } in cases() {
        allow(&server, NONE);
        let told = outcome(&server, request.clone()).await;
        if without.is_empty() {
            assert!(told.starts_with("403 ACCESS_REFUSED - configure access to queue 'amq.gen-"));
        } else {
            assert_eq!(told, without, "{request:?}");
        }
        let names = ["configure", "write", "read"];
        for index in (0..3).filter(|index| !enough[*index].is_empty()) {
            let mut less = enough;
            less[index] = "";
            allow(&server, less);
            let told = outcome(&server, request.clone()).await;
            let begins = format!("403 ACCESS_REFUSED - {} access to ", names[index]);
            assert!(told.starts_with(&begins), "{request:?}: {told}");
        }
        allow(&server, enough);
        assert_eq!(outcome(&server, request.clone()).await, "ok", "{request:?}");
    }
}

/// Which question comes first tells what a client learns: of names that it may not use, nothing.
#[tokio::test]
async fn the_questions_have_rabbitmqs_order() {
    let Some(server) = broker().await else { return };
    allow(&server, NONE);
    let x = "exchange 'x'";
    for (request, told) in [
        (Method::from(check_queue("q")), "ok".to_owned()),
        (check_exchange("x").into(), "ok".to_owned()),
        (
            declare_queue("amq.foo").into(),
            "403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'".to_owned(),
        ),
        (
            declare_exchange("amq.foo", "topic").into(),
            refused("configure", "exchange 'amq.foo'"),
        ),
        (
            declare_exchange("new", "bad").into(),
            "connection 503 COMMAND_INVALID - unknown exchange type 'bad'".to_owned(),
        ),
        (
            delete_exchange("amq.direct").into(),
            "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"
                .to_owned(),
        ),
        (get("missing").into(), refused("read", "queue 'missing'")),
        (bind_queue("q", "", "k").into(), refused("write", "queue 'q'")),
    ] {
        assert_eq!(outcome(&server, request.clone()).await, told, "{request:?}");
    }
    for (exchange, what) in [
        ("", "exchange 'amq.default'"),
        ("x", x),
        ("int", "exchange 'int'"),
        ("missing", "exchange 'missing'"),
    ] {
        let told = publish_outcome(&server, to_exchange(exchange, "q"), "bob").await;
        assert_eq!(told, refused("write", what), "{exchange}");
    }
    allow(&server, ["", ".*", ""]);
    for (exchange, told) in [
        ("missing", "404 NOT_FOUND - no exchange 'missing' in vhost '/'"),
        ("int", "403 ACCESS_REFUSED - cannot publish to internal exchange 'int' in vhost '/'"),
        (
            "x",
            "406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'u'",
        ),
    ] {
        assert_eq!(publish_outcome(&server, to_exchange(exchange, "q"), "bob").await, told);
    }
}

#[tokio::test]
async fn routing_keys_decide_on_topic_exchanges_that_have_topic_permissions() {
    let Some(server) = broker().await else { return };
    allow(&server, [".*", ".*", ".*"]);
    for exchange in ["x", "d"] {
        let patterns = ["^{username}\\.", "^{vhost}-r"];
        admin(&server).set_topic_permissions("u", "/", exchange, patterns).expect("the user");
    }
    let topic = |permission: &str, key: &str| {
        refused(permission, &format!("topic '{key}' in exchange 'x'"))
    };
    for (exchange, key, told) in [
        ("x", "u.k", "ok".to_owned()),
        ("x", "z.k", topic("write", "z.k")),
        ("x", "uzk", topic("write", "uzk")),
        ("d", "z.k", "ok".to_owned()),
        ("amq.topic", "z.k", "ok".to_owned()),
    ] {
        assert_eq!(publish_outcome(&server, to_exchange(exchange, key), "").await, told);
    }
    assert_eq!(outcome(&server, bind_queue("q", "x", "/-r.*").into()).await, "ok");
    // Unbinding asks the same, and so do bindings between exchanges.
    for request in [
        Method::from(bind_queue("q", "x", "k")),
        unbind_queue("q", "x", "k").into(),
        bind_exchange("d", "x", "k").into(),
        unbind_exchange("d", "x", "k").into(),
    ] {
        assert_eq!(outcome(&server, request.clone()).await, topic("read", "k"), "{request:?}");
    }
}

/// A publish with more than one key needs all of them: RabbitMQ looks at the first alone, so that `CC` goes
/// round its topic permissions.
#[tokio::test]
async fn copies_go_round_no_topic_permission() {
    let Some(server) = broker().await else { return };
    allow(&server, [".*", ".*", ".*"]);
    admin(&server).set_topic_permissions("u", "/", "x", ["^u", ""]).expect("the user");
    let mut client = user_channel(&server).await;
    let properties = with_headers([("CC", texts(["z"]))]);
    client.publish_with(1, to_exchange("x", "u"), &properties, "m").await;
    assert_eq!(told(client.receive().await), refused("write", "topic 'z' in exchange 'x'"));
}

#[tokio::test]
async fn an_impersonator_publishes_in_the_name_of_others() {
    let Some(server) = broker().await else { return };
    allow(&server, ["", ".*", ""]);
    admin(&server).put_user("u", "pw", &["impersonator"]).expect("a name");
    assert_eq!(publish_outcome(&server, to_exchange("x", "k"), "bob").await, "ok");
}

/// RabbitMQ's channels remember what they were allowed, until they have been idle for a while. Here what is
/// taken away is gone with the next request, on the same channel, with the same exchange and key.
#[tokio::test]
async fn what_is_taken_away_is_gone_at_once() {
    let Some(server) = broker().await else { return };
    allow(&server, ["", ".*", ""]);
    let mut client = user_channel(&server).await;
    client.publish(1, to_exchange("x", "k"), "m").await;
    client.expect_nothing(1).await;
    assert!(admin(&server).clear_permissions("u", "/"));
    client.publish(1, to_exchange("x", "k"), "m").await;
    assert_eq!(told(client.receive().await), refused("write", "exchange 'x'"));
}

#[tokio::test]
async fn a_vhost_is_open_to_those_who_have_permissions_there() {
    let Some(server) = broker().await else { return };
    assert_eq!(
        open_outcome(&server, "/").await,
        "connection 530 NOT_ALLOWED - access to vhost '/' refused for user 'u'"
    );
    assert_eq!(
        open_outcome(&server, "nope").await,
        "connection 530 NOT_ALLOWED - vhost nope not found"
    );
    allow(&server, NONE);
    assert_eq!(open_outcome(&server, "/").await, "ok");
}

#[tokio::test]
async fn who_is_deleted_is_sent_away() {
    let Some(server) = broker().await else { return };
    allow(&server, NONE);
    let mut client = user_channel(&server).await;
    assert!(admin(&server).delete_user("u") && !admin(&server).delete_user("u"));
    let text = "connection 320 CONNECTION_FORCED - user 'u' is deleted";
    assert_eq!(told(client.receive().await), text);
    admin(&server).put_user("u", "pw", &[]).expect("a name");
    let text = "connection 530 NOT_ALLOWED - access to vhost '/' refused for user 'u'";
    assert_eq!(open_outcome(&server, "/").await, text, "nobody comes back with permissions");
}

#[tokio::test]
async fn a_vhost_that_is_deleted_takes_everything_along() {
    let Some(server) = broker().await else { return };
    let broker = admin(&server);
    for _ in 0..2 {
        broker.put_vhost("v").expect("a name");
        broker.set_permissions("u", "v", [".*"; 3]).expect("both are there");
        let mut client = server.connect_with(&to_vhost("v")).await;
        client.open_channel(1).await;
        client.send(1, check_queue("q")).await;
        let missing = "404 NOT_FOUND - no queue 'q' in vhost 'v'";
        assert_eq!(told(client.receive().await), missing, "it begins empty");
        client.open_channel(2).await;
        client.call(2, declare_queue("q")).await;
        client.call(2, bind_queue("q", "amq.topic", "#")).await;
        client.publish(2, to_exchange("amq.topic", "k"), "m").await;
        client.send(2, consume("q", "c")).await;
        assert!(broker.delete_vhost("v").expect("it is not protected"));
        let closed = loop {
            match client.receive().await {
                received @ Received::Method(0, _) => break told(received),
                Received::End => panic!("closed without a word"),
                _ => {}
            }
        };
        assert_eq!(closed, "connection 320 CONNECTION_FORCED - vhost 'v' is deleted");
    }
    assert!(!broker.delete_vhost("v").expect("it is not there"));
    assert_eq!(broker.host().memory_used(), 0);
}

#[tokio::test]
async fn limits_of_vhosts_are_kept() {
    let Some(server) = broker().await else { return };
    allow(&server, [".*"; 3]);
    let host = admin(&server).host();
    let limit = |key: &str, value: i64| {
        host.acting_by_itself().set_vhost_limit("/", key, Some(&value.into())).expect("a limit");
    };
    limit("max-queues", 2);
    assert_eq!(outcome(&server, declare_queue("second").into()).await, "ok");
    let text = "406 PRECONDITION_FAILED - cannot declare queue 'third': queue limit in vhost '/' \
                (2) is reached";
    assert_eq!(outcome(&server, declare_queue("third").into()).await, text);
    assert_eq!(outcome(&server, declare_queue("second").into()).await, "ok", "it is there");
    limit("max-queues", -1);
    assert_eq!(outcome(&server, declare_queue("third").into()).await, "ok");

    limit("max-connections", 0);
    let text = "connection 530 NOT_ALLOWED - access to vhost '/' refused for user 'u': connection \
                limit (0) is reached";
    assert_eq!(open_outcome(&server, "/").await, text);
}

#[tokio::test]
async fn limits_of_users_are_kept() {
    let Some(server) = broker().await else { return };
    allow(&server, [".*"; 3]);
    let host = admin(&server).host();
    let limit = |key: &str, value: i64| {
        host.acting_by_itself().set_user_limit("u", key, Some(&value.into())).expect("a limit");
    };
    limit("max-connections", 1);
    limit("max-channels", 2);
    let mut client = user_channel(&server).await;
    let text = "connection 530 NOT_ALLOWED - connection refused for user 'u': user connection limit \
                (1) is reached";
    assert_eq!(open_outcome(&server, "/").await, text);

    client.open_channel(2).await;
    client.send(2, channel::Close { reply_code: 200, ..Default::default() }).await;
    client.expect(2, channel::CloseOk {}).await;
    client.open_channel(3).await;
    client.send(4, channel::Open {}).await;
    let text = "connection 530 NOT_ALLOWED - number of channels opened for user 'u' has reached the \
                maximum allowed user limit of (2)";
    assert_eq!(told(client.receive().await), text);
}
