//! The state machine on bytes: what goes in, what comes out, who is closed.

use amqp_codec::method::{queue, tx};
use amqp_codec::{ContentHeader, Frame, decode_frame, encode_frame};

use super::*;

/// The only clock reading in these tests: an origin to count from.
#[expect(clippy::disallowed_methods)]
fn origin() -> Instant {
    Instant::now()
}

struct Peer {
    connection: Connection,
    now: Instant,
    input: BytesMut,
}

fn short(text: &str) -> ShortString {
    ShortString::truncated(text)
}

impl Peer {
    fn new() -> Self {
        let now = origin();
        let settings = Settings {
            limits: Limits { channel_max: 2, frame_max: 8192, heartbeat: 10 },
            body_max: 1000,
            anonymous: false,
            external: false,
            handshake_timeout: Duration::from_secs(10),
            cluster_name: "test".to_owned(),
            durability: "none",
        };
        Self { connection: Connection::new(settings, now), now, input: BytesMut::new() }
    }

    /// A connection with channel 1 open.
    fn open() -> Self {
        let mut peer = Self::new();
        peer.input.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
        peer.write(0, start_ok(&[]));
        assert!(matches!(peer.next(), Ok(Some(Request::Login(_)))));
        peer.connection.login_accepted();
        let tune_ok = connection::TuneOk { channel_max: 2, frame_max: 4096, heartbeat: 10 };
        peer.write(0, tune_ok);
        peer.write(0, connection::Open { virtual_host: short("/") });
        assert!(matches!(peer.next(), Ok(Some(Request::OpenVHost(_)))));
        peer.connection.opened();
        peer.write(1, channel::Open {});
        assert!(matches!(peer.next(), Ok(Some(Request::OpenChannel(ChannelId(1))))));
        peer.read();
        peer
    }

    fn write(&mut self, channel: u16, method: impl Into<Method>) {
        self.frame(&Frame::Method(ChannelId(channel), method.into()));
    }

    fn frame(&mut self, frame: &Frame) {
        encode_frame(frame, &mut self.input);
    }

    fn header(&mut self, channel: u16, body_size: u64) {
        let properties = amqp_codec::BasicProperties::default();
        let header = ContentHeader { class_id: 60, body_size, properties };
        self.frame(&Frame::Header(ChannelId(channel), Box::new(header)));
    }

    fn body(&mut self, channel: u16, body: &'static [u8]) {
        self.frame(&Frame::Body(ChannelId(channel), bytes::Bytes::from_static(body)));
    }

    fn publish(&mut self, channel: u16) {
        let (exchange, routing_key) = (short(""), short("q"));
        let (mandatory, immediate) = (false, false);
        self.write(channel, basic::Publish { exchange, routing_key, mandatory, immediate });
    }

    fn next(&mut self) -> Result<Option<Request>, Failure> {
        let mut request = None;
        self.connection.next_request(&mut self.input, &mut request, self.now)?;
        Ok(request)
    }

    /// The exception that what was written leads to: code, blamed method, text.
    fn exception(&mut self) -> (u16, (u16, u16), String) {
        let exception = self.next().expect_err("an exception").exception;
        (exception.code.code(), (exception.class_id, exception.method_id), exception.text)
    }

    fn read(&mut self) -> Vec<&'static str> {
        let output = self.connection.output();
        let mut bytes = BytesMut::from(&output.copy_to_bytes(output.remaining())[..]);
        let mut names = Vec::new();
        while let Some(frame) = decode_frame(&mut bytes, 0).expect("well-formed frames") {
            names.push(match frame {
                Frame::Method(_, method) => method.name(),
                Frame::Heartbeat(_) => "heartbeat",
                _ => "content",
            });
        }
        names
    }
}

fn start_ok(capabilities: &[&str]) -> connection::StartOk {
    let capabilities: FieldTable =
        capabilities.iter().map(|name| (short(name), FieldValue::Bool(true))).collect();
    let capabilities = (short("capabilities"), FieldValue::Table(capabilities));
    connection::StartOk {
        client_properties: [capabilities].into_iter().collect(),
        mechanism: short("PLAIN"),
        response: bytes::Bytes::from_static(b"\0guest\0guest"),
        locale: short("en_US"),
    }
}

fn close() -> connection::Close {
    connection::Close { reply_code: 200, reply_text: short(""), class_id: 0, method_id: 0 }
}

fn close_channel() -> channel::Close {
    channel::Close { reply_code: 200, reply_text: short(""), class_id: 0, method_id: 0 }
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut whole = Peer::open();
    whole.publish(1);
    whole.header(1, 3);
    whole.body(1, b"abc");
    let bytes = whole.input.split();
    for (index, byte) in bytes.iter().enumerate() {
        whole.input.extend_from_slice(&[*byte]);
        let request = whole.next().expect("nothing is wrong");
        let last = index + 1 == bytes.len();
        assert_eq!(matches!(request, Some(Request::Publish(..))), last);
    }
}

#[test]
fn another_protocol_is_told_the_right_one() {
    let mut peer = Peer::new();
    peer.input.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert!(matches!(peer.next(), Ok(None)));
    assert_eq!(peer.connection.state(), State::Closed);
    assert_eq!(peer.connection.output().chunk(), ProtocolHeader::AMQP_0_9_1);
}

/// As measured on RabbitMQ 3.10: before the limits hold nobody is told why.
#[test]
fn a_mistake_before_tune_is_met_with_silence() {
    let mut peer = Peer::new();
    peer.input.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
    peer.write(0, connection::Open { virtual_host: short("/") });
    let failure = peer.next().expect_err("too early");
    peer.read();
    peer.connection.close(&failure.exception, peer.now);
    assert_eq!((peer.connection.state(), peer.read()), (State::Refused, vec![]));
    assert_eq!(peer.connection.next_deadline(), Some(peer.now + REFUSAL_DELAY));
    let after = peer.now + REFUSAL_DELAY;
    assert_eq!(peer.connection.handle_timeout(after), Some(Expired::Close));
    assert_eq!(peer.connection.state(), State::Closed);
}

#[test]
fn a_refused_login_is_told_only_to_those_who_understand() {
    for (capabilities, told) in
        [(&["authentication_failure_close"][..], vec!["connection.close"]), (&[][..], vec![])]
    {
        let mut peer = Peer::new();
        peer.input.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
        peer.write(0, start_ok(capabilities));
        assert!(matches!(peer.next(), Ok(Some(Request::Login(_)))));
        peer.read();
        peer.connection.login_refused("PLAIN", peer.now);
        assert_eq!(peer.read(), told);
        assert_eq!(peer.connection.next_deadline(), Some(peer.now + REFUSAL_DELAY));
    }
}

#[test]
fn the_handshake_has_to_end_in_time() {
    let mut peer = Peer::new();
    let deadline = peer.now + Duration::from_secs(10);
    assert_eq!(peer.connection.next_deadline(), Some(deadline));
    assert_eq!(peer.connection.handle_timeout(deadline), Some(Expired::Handshake));
}

#[test]
fn contents_of_several_channels_may_be_interleaved() {
    let mut peer = Peer::open();
    peer.write(2, channel::Open {});
    assert!(matches!(peer.next(), Ok(Some(Request::OpenChannel(ChannelId(2))))));
    for channel in [1, 2] {
        peer.publish(channel);
    }
    peer.header(2, 4);
    peer.header(1, 2);
    peer.body(2, b"22");
    peer.body(1, b"11");
    peer.body(2, b"22");
    for (channel, body) in [(1, "11"), (2, "2222")] {
        let Ok(Some(Request::Publish(on))) = peer.next() else { panic!("a publish") };
        assert_eq!(on, ChannelId(channel));
        let (content, _) = peer.connection.publishing(on).expect("it is there");
        assert_eq!(content.inline_body(), body.as_bytes());
        peer.connection.published(on);
    }
    assert_eq!(peer.connection.held(), 0);
}

/// What happens, how, and the exception: code, blamed method, text.
type Case = (&'static str, fn(&mut Peer), (u16, (u16, u16), &'static str));

/// As measured on RabbitMQ 3.10.
#[test]
fn mistakes_are_blamed_on_their_method() {
    let cases: [Case; 8] = [
        (
            "a method on a channel that is not open",
            |peer: &mut Peer| peer.write(2, tx::Select {}),
            (504, (90, 10), "expected 'channel.open'"),
        ),
        (
            "closing a channel that is not open",
            |peer: &mut Peer| peer.write(2, close_channel()),
            (504, (20, 40), "expected 'channel.open'"),
        ),
        (
            "a header on a channel that is not open",
            |peer: &mut Peer| peer.header(2, 0),
            (505, (0, 0), "expected method frame, got non method frame instead"),
        ),
        (
            "a second open",
            |peer: &mut Peer| peer.write(1, channel::Open {}),
            (504, (20, 10), "second 'channel.open' seen"),
        ),
        (
            "a channel's method on the connection",
            |peer: &mut Peer| peer.write(0, tx::Select {}),
            (504, (90, 10), "unexpected method in connection state running"),
        ),
        (
            "a body on the connection",
            |peer: &mut Peer| peer.body(0, b"abc"),
            (505, (0, 0), "type 3, all octets = <<\"abc\">>"),
        ),
        (
            "a heartbeat on a channel",
            |peer: &mut Peer| peer.frame(&Frame::Heartbeat(ChannelId(1))),
            (505, (0, 0), "type 8, all octets = <<>>"),
        ),
        (
            "a method instead of a header",
            |peer: &mut Peer| {
                peer.publish(1);
                peer.write(1, tx::Select {});
            },
            (
                505,
                (60, 40),
                "expected content header for class 60, got non content header frame instead",
            ),
        ),
    ];
    for (what, write, expected) in cases {
        let mut peer = Peer::open();
        write(&mut peer);
        let (code, ids, text) = peer.exception();
        assert_eq!((code, ids, text.as_str()), expected, "{what}");
    }
}

#[test]
fn one_channel_more_than_agreed_closes_the_connection() {
    let mut peer = Peer::open();
    peer.write(2000, channel::Open {});
    assert!(peer.next().is_ok(), "it is a count, not a number");
    peer.write(3, channel::Open {});
    let text = "number of channels opened (2) has reached the negotiated channel_max (2)";
    let (code, _, told) = peer.exception();
    assert_eq!((code, told.as_str()), (530, text));
}

/// As measured on RabbitMQ 3.10.
#[test]
fn a_channel_that_closes_drops_everything_but_the_handshake() {
    let mut peer = Peer::open();
    let exception = Exception::new(ReplyCode::NotFound, "no");
    peer.connection.close_channel(ChannelId(1), &exception);
    assert_eq!(peer.read(), ["channel.close"]);
    peer.publish(1);
    peer.header(1, 3);
    peer.body(1, b"abc");
    peer.write(1, tx::Select {});
    peer.write(1, close_channel());
    assert!(matches!(peer.next(), Ok(None)));
    assert_eq!(peer.read(), ["channel.close-ok"]);
    peer.write(1, channel::CloseOk {});
    peer.write(1, channel::Open {});
    assert!(matches!(peer.next(), Ok(Some(Request::OpenChannel(_)))));
    peer.connection.close_channel(ChannelId(1), &exception);
    peer.write(1, channel::Open {});
    assert_eq!(peer.exception().2, "second 'channel.open' seen");
}

/// As measured on RabbitMQ 3.10.
#[test]
fn a_connection_that_closes_drops_everything_but_the_handshake() {
    let mut peer = Peer::open();
    peer.connection.close(&Exception::new(ReplyCode::NotAllowed, "no"), peer.now);
    peer.connection.close(&Exception::new(ReplyCode::NotAllowed, "no"), peer.now);
    assert_eq!(peer.read(), ["connection.close"], "once");
    peer.publish(1);
    peer.write(7, queue::Purge { queue: short("q"), no_wait: false });
    peer.write(0, close());
    assert!(matches!(peer.next(), Ok(None)));
    assert_eq!(peer.read(), ["connection.close-ok"]);
    assert_eq!(peer.connection.state(), State::Closing);
    peer.write(0, connection::CloseOk {});
    assert!(matches!(peer.next(), Ok(None)));
    assert_eq!((peer.connection.state(), peer.connection.next_deadline()), (State::Closed, None));
}

#[test]
fn a_close_that_nobody_answers_ends() {
    let mut peer = Peer::open();
    peer.connection.close(&Exception::new(ReplyCode::NotAllowed, "no"), peer.now);
    peer.read();
    let deadline = peer.now + CLOSE_TIMEOUT;
    peer.connection.heartbeat().received(deadline);
    assert_eq!(peer.connection.handle_timeout(deadline), Some(Expired::Close));
}

#[test]
fn what_was_sent_before_goodbye_counts_and_what_comes_after_does_not() {
    let mut peer = Peer::open();
    peer.publish(1);
    peer.header(1, 0);
    peer.write(0, close());
    peer.publish(1);
    assert!(matches!(peer.next(), Ok(Some(Request::Publish(..)))));
    assert!(matches!(peer.next(), Ok(Some(Request::Close))));
    assert!(matches!(peer.next(), Ok(None)));
    assert!(peer.input.is_empty());
    assert_eq!(peer.read(), ["connection.close-ok"]);
}

#[test]
fn heartbeats_go_out_and_a_silent_client_is_dropped() {
    let mut peer = Peer::open();
    let at = |seconds| peer.now + Duration::from_secs(seconds);
    let (half, dead) = (at(5), at(30));
    assert_eq!(peer.connection.next_deadline(), Some(half));
    assert_eq!(peer.connection.handle_timeout(half), None);
    assert_eq!(peer.read(), ["heartbeat"]);
    assert_eq!(peer.connection.handle_timeout(dead), Some(Expired::Heartbeat));
    assert_eq!((peer.connection.state(), peer.connection.next_deadline()), (State::Closed, None));
}

#[test]
fn frames_obey_the_size_that_was_agreed() {
    let mut peer = Peer::open();
    encode_frame(&Frame::Body(ChannelId(1), vec![0; 5000].into()), &mut peer.input);
    let (code, _, text) = peer.exception();
    assert_eq!(code, 501, "{text}");
    assert!(peer.input.is_empty(), "it is not read again");
}
