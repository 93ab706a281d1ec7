//! Clients in memory: methods in, methods out, and a clock that stands still unless it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::method::{basic, channel, confirm, connection, queue, tx};
use amqp_codec::{
    ChannelId, ContentHeader, FieldTable, FieldValue, Frame, Method, PropertiesRef, ProtocolHeader,
    ShortString, decode_frame, encode_frame,
};
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;

use super::outbox::{Outbox, Wake};
use super::{Client, Defaults, Host, HostSettings, NewVHosts, Peer, Reading};
use crate::auth::HashingAlgorithm;
use crate::broker::definition::{Definition, QueueDefinition};
use crate::broker::effect::{DeliverySink, Effects, Wanted};
use crate::broker::memory::MemoryGauge;
use crate::broker::persist::{Persist, QueueRecord};
use crate::broker::queue::Get;
use crate::broker::queue_cell::{QueueId, QueueProperties};
use crate::broker::time::Epoch;
use crate::broker::vhost::{VHostMetadata, VHostOptions};
use crate::config::{Capacity, CertificateLogin};
use crate::protocol::connection::{Settings, State};
use crate::protocol::handshake::Limits;
use crate::store::{Confirmation, MemoryStore, Requester, Store, Unit};

/// The only clock reading in these tests: an origin to count from.
#[expect(clippy::disallowed_methods)]
pub(super) fn origin() -> Instant {
    Instant::now()
}

mod interleaved;
mod wakeups;

fn short(text: &str) -> ShortString {
    ShortString::truncated(text)
}

fn host(store: Arc<dyn Store>, outbox_bytes_max: usize, watermark: usize) -> Arc<Host> {
    started(settings(store, outbox_bytes_max, watermark))
}

fn started(settings: HostSettings) -> Arc<Host> {
    let host = Host::new(settings).expect("nothing that can't be restored");
    host.acting_by_itself()
        .make_defaults(Defaults::new("guest", "guest", "/"))
        .expect("short names");
    host
}

fn settings(store: Arc<dyn Store>, outbox_bytes_max: usize, watermark: usize) -> HostSettings {
    HostSettings {
        connection: Settings {
            limits: Limits { channel_max: 2047, frame_max: 131_072, heartbeat: 60 },
            body_max: 16 * 1024 * 1024,
            anonymous: false,
            external: false,
            handshake_timeout: Duration::from_secs(10),
            cluster_name: "test".to_owned(),
            durability: "none",
        },
        loopback_users: vec!["guest".to_owned()],
        anonymous_user: String::new(),
        certificate_login: CertificateLogin::default(),
        capacity: Capacity::default(),
        new_vhosts: NewVHosts::default(),
        password_hashing: HashingAlgorithm::default(),
        descriptors_max: 0,
        node_name: "rabbit@test".to_owned(),
        outbox_bytes_max,
        store,
        vhost_options: VHostOptions {
            memory: Arc::new(MemoryGauge::new(watermark)),
            ..VHostOptions::new(Epoch::new(origin(), 0))
        },
        definitions: Vec::new(),
        now: origin(),
        seed: Some(1),
    }
}

pub(super) fn plain_host() -> Arc<Host> {
    host(Arc::new(MemoryStore), 1 << 20, 0)
}

/// One client with channel 1 open.
struct TestClient {
    client: Client,
    input: BytesMut,
    now: Instant,
}

impl TestClient {
    fn connect(host: &Arc<Host>) -> Self {
        Self::connect_with_heartbeat(host, 0)
    }

    fn connect_with_heartbeat(host: &Arc<Host>, heartbeat: u16) -> Self {
        Self::connect_woken_by(host, heartbeat, Box::new(|| {}))
    }

    fn connect_woken_by(host: &Arc<Host>, heartbeat: u16, wake: Wake) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer = Peer { address, local: address, encryption: None };
        let now = origin();
        let client = Client::new(Arc::clone(host), peer, wake, now);
        let mut connected = Self { client, input: BytesMut::new(), now };
        connected.input.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
        let capabilities: FieldTable = ["consumer_cancel_notify", "connection.blocked"]
            .into_iter()
            .map(|name| (short(name), FieldValue::Bool(true)))
            .collect();
        let capabilities = FieldValue::Table(capabilities);
        connected.write(
            0,
            connection::StartOk {
                client_properties: [(short("capabilities"), capabilities)].into_iter().collect(),
                mechanism: short("PLAIN"),
                response: Bytes::from_static(b"\0guest\0guest"),
                locale: short("en_US"),
            },
        );
        connected.write(0, connection::TuneOk { channel_max: 100, frame_max: 131_072, heartbeat });
        connected.write(0, connection::Open { virtual_host: short("/") });
        connected.write(1, channel::Open {});
        connected.process();
        connected.read();
        assert_eq!(connected.client.state(), State::Running);
        connected
    }

    /// Writes a method that the broker does not read yet.
    fn write(&mut self, channel: u16, method: impl Into<Method>) {
        let frame = Frame::Method(ChannelId(channel), method.into());
        encode_frame(&frame, &mut self.input);
    }

    fn process(&mut self) -> Reading {
        self.client.process(&mut self.input, self.now)
    }

    /// Writes a method, lets the broker act on it, and reads everything.
    fn call(&mut self, channel: u16, method: impl Into<Method>) -> Vec<String> {
        self.write(channel, method);
        self.process();
        self.read()
    }

    fn declare(&mut self, name: &str) {
        self.call(
            1,
            queue::Declare {
                queue: short(name),
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                no_wait: false,
                arguments: FieldTable::default(),
            },
        );
    }

    /// Writes a publish on channel 1 to any exchange.
    fn write_to(
        &mut self,
        exchange: &str,
        key: &str,
        properties: amqp_codec::BasicProperties,
        body: &[u8],
    ) {
        let (exchange, routing_key) = (short(exchange), short(key));
        self.write(1, basic::Publish { exchange, routing_key, ..basic::Publish::default() });
        let header = ContentHeader { class_id: 60, body_size: body.len() as u64, properties };
        encode_frame(&Frame::Header(ChannelId(1), Box::new(header)), &mut self.input);
        encode_frame(&Frame::Body(ChannelId(1), Bytes::copy_from_slice(body)), &mut self.input);
    }

    fn write_publish(&mut self, channel: u16, queue: &str, body: &[u8], mandatory: bool) {
        let (exchange, routing_key) = (short(""), short(queue));
        self.write(channel, basic::Publish { exchange, routing_key, mandatory, immediate: false });
        let id = ChannelId(channel);
        let properties =
            amqp_codec::BasicProperties { delivery_mode: Some(2), ..Default::default() };
        let header = ContentHeader { class_id: 60, body_size: body.len() as u64, properties };
        encode_frame(&Frame::Header(id, Box::new(header)), &mut self.input);
        for piece in body.chunks(100_000) {
            encode_frame(&Frame::Body(id, Bytes::copy_from_slice(piece)), &mut self.input);
        }
    }

    fn publish(&mut self, channel: u16, queue: &str, body: &[u8]) -> Vec<String> {
        self.write_publish(channel, queue, body, false);
        self.process();
        self.read()
    }

    fn consume(&mut self, queue: &str, tag: &str) -> Vec<String> {
        self.call(1, consume(queue, tag))
    }

    /// Reads everything there is: one word for each method, bodies in quotes.
    fn read(&mut self) -> Vec<String> {
        self.client.poll_outbox(self.now);
        let mut told = Vec::new();
        while self.client.output().has_remaining() {
            let output = self.client.output();
            let mut bytes = BytesMut::from(&output.copy_to_bytes(output.remaining())[..]);
            while let Some(frame) = decode_frame(&mut bytes, 0).expect("well-formed frames") {
                told.extend(describe(&frame));
            }
            self.client.poll_outbox(self.now);
        }
        told
    }

    /// What `amq.rabbitmq.reply-to` becomes in this client's requests, which go to `requests`.
    fn reply_address(&mut self, host: &Host) -> String {
        let reply_to = Some(short("amq.rabbitmq.reply-to"));
        let properties = amqp_codec::BasicProperties { reply_to, ..Default::default() };
        let publish =
            basic::Publish { routing_key: short("requests"), ..basic::Publish::default() };
        self.write(1, publish);
        let header = ContentHeader { class_id: 60, body_size: 0, properties };
        encode_frame(&Frame::Header(ChannelId(1), Box::new(header)), &mut self.input);
        self.process();
        let queue = host.vhost(&short("/")).unwrap().queue(&short("requests")).unwrap();
        let sink: Arc<dyn DeliverySink> = Arc::new(Outbox::new(Box::new(|| {})));
        let got = queue.state.lock().get(true, &sink, self.now, &mut Effects::default());
        let Get::Message(got) = got else { panic!("it is there") };
        let properties = PropertiesRef::parse(got.entry.message.properties()).unwrap();
        String::from_utf8_lossy(properties.reply_to.unwrap()).into_owned()
    }

    fn counts(&self, host: &Host, queue: &str) -> (usize, usize) {
        let vhost = host.vhost(&short("/")).unwrap();
        let counts = vhost.queue(&short(queue)).unwrap().state.lock().counts();
        (counts.ready, counts.unacked)
    }
}

fn consume(queue: &str, tag: &str) -> basic::Consume {
    basic::Consume {
        queue: short(queue),
        consumer_tag: short(tag),
        no_local: false,
        no_ack: false,
        exclusive: false,
        no_wait: false,
        arguments: FieldTable::default(),
    }
}

fn describe(frame: &Frame) -> Option<String> {
    Some(match frame {
        Frame::Method(ChannelId(on), method) => match method {
            Method::BasicDeliver(deliver) => {
                let again = if deliver.redelivered { " again" } else { "" };
                format!("{on} deliver {}{again}", deliver.delivery_tag)
            }
            Method::BasicAck(ack) => {
                let multiple = if ack.multiple { " and before" } else { "" };
                format!("{on} ack {}{multiple}", ack.delivery_tag)
            }
            Method::BasicNack(nack) => format!("{on} nack {}", nack.delivery_tag),
            Method::ChannelClose(close) => format!("{on} close {}", close.reply_code),
            Method::ConnectionClose(close) => format!("{on} close {}", close.reply_code),
            method => format!("{on} {}", method.name()),
        },
        Frame::Body(_, body) if body.len() < 100 => {
            format!("'{}'", String::from_utf8_lossy(body))
        }
        Frame::Body(_, body) => format!("{} bytes", body.len()),
        Frame::Header(..) => return None,
        Frame::Heartbeat(_) => "heartbeat".to_owned(),
    })
}

/// Confirms nothing until it is told to.
#[derive(Default)]
struct SlowStore(Mutex<Vec<Box<dyn Confirmation>>>);

impl SlowStore {
    fn confirm_all(&self) {
        let waiting = std::mem::take(&mut *self.0.lock());
        waiting.into_iter().for_each(Confirmation::durable);
    }
}

impl std::fmt::Debug for SlowStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlowStore")
    }
}

impl Persist for SlowStore {
    fn record(&self, _queue: QueueId, records: &mut Vec<QueueRecord>) {
        records.clear();
    }

    fn remove_queue(&self, _queue: QueueId) {}

    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) {}

    fn remove(&self, _key: Vec<u8>) {}

    fn keeps_messages(&self) -> bool {
        true
    }
}

impl Store for SlowStore {
    fn unit(&self) -> Unit<'_> {
        Unit::NONE
    }

    fn nested_unit(&self) -> Unit<'_> {
        Unit::NONE
    }

    fn fetch(&self, _queue: QueueId, _wanted: Wanted, _requester: Box<dyn Requester>) {
        unreachable!("no queue is deep");
    }

    fn is_congested(&self) -> bool {
        false
    }

    fn is_disk_low(&self) -> bool {
        false
    }

    fn when_durable(&self, confirmation: Box<dyn Confirmation>) {
        self.0.lock().push(confirmation);
    }
}

fn ack(delivery_tag: u64, multiple: bool) -> basic::Ack {
    basic::Ack { delivery_tag, multiple }
}

fn close() -> channel::Close {
    channel::Close { reply_code: 200, reply_text: short(""), class_id: 0, method_id: 0 }
}

#[test]
fn vhosts_that_were_written_down_are_there_again() {
    let old = ShortString::from_static("old");
    let properties = QueueProperties { durable: true, ..QueueProperties::default() };
    let queue = QueueDefinition { name: short("q"), id: QueueId(3), properties };
    let [vhost, queue] = [Definition::VHost(VHostMetadata::default()), Definition::Queue(queue)]
        .map(|definition| (definition.key(&old), definition.value(&old)));
    let bad = (queue.0.clone(), b"{}".to_vec());
    let with =
        |definitions| HostSettings { definitions, ..settings(Arc::new(MemoryStore), 1 << 20, 0) };
    let host = started(with(vec![queue, vhost]));
    assert_eq!(host.vhost(&old).unwrap().queue(&short("q")).unwrap().id, QueueId(3));
    assert!(host.vhost(&ShortString::from_static("/")).is_none(), "there is one already");
    assert!(Host::new(with(vec![bad])).is_err());
}

#[test]
fn confirms_of_one_read_are_coalesced_channel_by_channel() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    client.declare("a");
    client.declare("b");
    client.call(2, channel::Open {});
    for channel in [1, 2] {
        client.call(channel, confirm::Select { no_wait: false });
    }
    for (channel, queue) in [(1, "a"), (1, "b"), (2, "a"), (1, "a"), (2, "missing"), (1, "b")] {
        client.write_publish(channel, queue, b"m", false);
    }
    client.process();
    assert_eq!(client.read(), ["1 ack 4 and before", "2 ack 2 and before"]);
    assert_eq!((client.counts(&host, "a"), client.counts(&host, "b")), ((3, 0), (2, 0)));
}

#[test]
fn an_unroutable_message_comes_back_before_its_confirm() {
    let mut client = TestClient::connect(&plain_host());
    client.call(1, confirm::Select { no_wait: false });
    client.write_publish(1, "missing", b"m", true);
    client.process();
    assert_eq!(client.read(), ["1 basic.return", "'m'", "1 ack 1"]);
}

/// A channel is closed while its confirms wait for the store, and opened again under the same
/// number: they are not the new one's.
#[test]
fn confirms_do_not_reach_the_next_channel_of_the_same_number() {
    let store = Arc::new(SlowStore::default());
    let host = host(Arc::<SlowStore>::clone(&store), 1 << 20, 0);
    let mut client = TestClient::connect(&host);
    client.declare("q");
    store.confirm_all();
    assert_eq!(client.read(), ["1 queue.declare-ok"], "once it lasts");
    client.call(1, confirm::Select { no_wait: false });
    client.publish(1, "q", b"old");
    client.call(1, close());
    client.call(1, channel::Open {});
    client.call(1, confirm::Select { no_wait: false });
    let held_back = std::mem::take(&mut *store.0.lock());
    assert_eq!(client.publish(1, "q", b"new"), [""; 0]);
    held_back.into_iter().for_each(Confirmation::durable);
    assert_eq!(client.read(), [""; 0]);
    store.confirm_all();
    assert_eq!(client.read(), ["1 ack 1"]);
}

/// RabbitMQ answers basic.recover before it delivers anew; what crossed the request comes before the
/// answer, or the client would hold tags that the broker has forgotten.
#[test]
fn nothing_that_recover_takes_back_comes_after_its_answer() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    client.declare("q");
    client.consume("q", "c");
    let mut publisher = TestClient::connect(&host);
    publisher.publish(1, "q", b"m");
    client.write(1, basic::Recover { requeue: true });
    client.process();
    let told = client.read();
    assert_eq!(told, ["1 deliver 1", "'m'", "1 basic.recover-ok", "1 deliver 2 again", "'m'"]);
    assert_eq!(client.call(1, ack(2, false)), [""; 0]);
    assert_eq!(client.counts(&host, "q"), (0, 0));
}

#[test]
fn rollback_restores_delivery_tags_and_drops_publishes() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    client.declare("q");
    for body in ["a", "b", "c"] {
        client.publish(1, "q", body.as_bytes());
    }
    client.consume("q", "c");
    client.call(1, tx::Select {});
    client.call(1, ack(1, false));
    client.call(1, ack(3, true));
    client.publish(1, "q", b"never");
    assert_eq!(client.counts(&host, "q"), (0, 3), "nothing counts before the commit");
    assert_eq!(client.call(1, tx::Rollback {}), ["1 tx.rollback-ok"]);
    client.call(1, ack(2, false));
    client.call(1, ack(3, true));
    assert_eq!(client.call(1, tx::Commit {}), ["1 tx.commit-ok"]);
    assert_eq!(client.counts(&host, "q"), (0, 0));
    assert_eq!(host.memory_used(), 0);
}

#[test]
fn a_tag_acknowledged_twice_in_a_transaction_closes_the_channel_and_requeues() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    client.declare("q");
    client.publish(1, "q", b"m");
    client.consume("q", "c");
    client.call(1, tx::Select {});
    client.call(1, ack(1, false));
    assert_eq!(client.call(1, ack(1, false)), ["1 close 406"]);
    assert_eq!(client.counts(&host, "q"), (1, 0));
}

#[test]
fn what_a_transaction_publishes_enters_at_the_commit_and_comes_back_before_its_answer() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    client.declare("q");
    client.call(1, tx::Select {});
    client.publish(1, "q", b"m");
    client.write_publish(1, "missing", b"r", true);
    client.process();
    assert_eq!(client.read(), [""; 0]);
    assert_eq!(client.counts(&host, "q"), (0, 0));
    assert_eq!(client.call(1, tx::Commit {}), ["1 basic.return", "'r'", "1 tx.commit-ok"]);
    assert_eq!(client.counts(&host, "q"), (1, 0));
}

/// A frame that can't be read used to be read again and again, for ever.
#[test]
fn garbage_closes_the_connection_once_and_the_close_handshake_goes_on() {
    let mut client = TestClient::connect(&plain_host());
    client.input.extend_from_slice(b"garbage, and a lot of it");
    client.process();
    assert_eq!(client.read(), ["0 close 501"]);
    client.input.extend_from_slice(b"more garbage");
    client.process();
    assert_eq!(client.read(), [""; 0]);
    client.call(0, connection::CloseOk {});
    assert_eq!(client.client.state(), State::Closed);
}

/// Goal: the client is never blamed for silence while it is the broker that does not listen.
#[test]
fn a_slow_reader_lives_on_while_its_input_waits() {
    let host = plain_host();
    let mut client = TestClient::connect_with_heartbeat(&host, 10);
    client.declare("q");
    client.consume("q", "c");
    TestClient::connect(&host).publish(1, "q", &vec![0; 2 * 1024 * 1024]);
    client.client.poll_outbox(client.now);
    for _ in 0..10 {
        assert!(client.client.must_wait(), "the input is not read");
        client.now += Duration::from_secs(8);
        client.client.output().advance(1000);
        client.client.sent(client.now);
        client.client.handle_timeout(client.now);
        assert_eq!(client.client.state(), State::Running);
    }
    client.now += Duration::from_secs(30);
    client.client.handle_timeout(client.now);
    assert_eq!(client.client.state(), State::Closed, "it does not read either");
}

#[test]
fn a_publisher_waits_while_memory_is_short_and_goes_on_when_it_is_free() {
    let host = host(Arc::new(MemoryStore), 1 << 20, 10_000);
    let mut publisher = TestClient::connect(&host);
    publisher.declare("q");
    let mut consumer = TestClient::connect(&host);
    assert_eq!(publisher.publish(1, "q", &[0; 12_000]), ["0 connection.blocked"]);
    publisher.write_publish(1, "q", b"later", false);
    assert_eq!(publisher.process(), Reading::Paused);
    consumer.consume("q", "c");
    consumer.call(1, ack(1, false));
    assert_eq!(publisher.read(), ["0 connection.unblocked"]);
    assert_eq!(publisher.process(), Reading::On);
    assert_eq!(consumer.read(), ["1 deliver 2", "'later'"]);
}

/// A message that comes back because its holder is gone comes back once: nobody of the same client is
/// delivered it on the way.
#[test]
fn consumers_that_go_together_are_not_delivered_each_others_messages() {
    let host = plain_host();
    for whole_connection in [false, true] {
        let mut client = TestClient::connect(&host);
        client.declare("q");
        for tag in ["a", "b", "c"] {
            client.consume("q", tag);
        }
        let mut publisher = TestClient::connect(&host);
        for body in [b"1", b"2", b"3", b"4"] {
            publisher.publish(1, "q", body);
        }
        assert_eq!(client.counts(&host, "q"), (0, 4));
        if whole_connection {
            client.client.disconnect(client.now);
        } else {
            client.call(1, channel::Close::default());
        }
        let queue = host.vhost(&short("/")).unwrap().queue(&short("q")).unwrap();
        let state = queue.state.lock();
        assert_eq!((state.counts().ready, state.counts().unacked), (4, 0));
        assert_eq!((state.totals().delivered, state.totals().redelivered), (4, 0));
        drop(state);
        publisher.call(1, queue::Delete { queue: short("q"), ..queue::Delete::default() });
    }
}

#[test]
fn credit_of_a_delivery_that_was_taken_back_goes_to_the_channels_other_consumers() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    client.declare("slow");
    client.declare("other");
    client.call(1, basic::Qos { prefetch_size: 0, prefetch_count: 1, global: true });
    let timeout = (short("x-consumer-timeout"), FieldValue::I64(1000));
    let arguments = [timeout].into_iter().collect();
    client.call(1, basic::Consume { arguments, ..consume("slow", "slow") });
    client.consume("other", "other");
    client.publish(1, "slow", b"a");
    assert_eq!(client.publish(1, "other", b"b"), [""; 0], "the channel's credit is used up");
    client.now += Duration::from_millis(1000);
    host.handle_timeouts(client.now);
    let delivered = client.read();
    assert_eq!(delivered.iter().filter(|it| it.contains("deliver")).count(), 1, "{delivered:?}");
}

/// A commit of which a full queue refuses a part does not pass for a success.
#[test]
fn a_commit_that_a_full_queue_refuses_closes_the_channel() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    let full = [
        (short("x-max-length"), FieldValue::I32(1)),
        (short("x-overflow"), FieldValue::LongString("reject-publish".into())),
    ];
    let declare = queue::Declare {
        queue: short("full"),
        arguments: full.into_iter().collect(),
        ..queue::Declare::default()
    };
    client.call(1, declare);
    client.call(1, tx::Select {});
    client.publish(1, "full", b"1");
    client.publish(1, "full", b"2");
    assert_eq!(client.call(1, tx::Commit {}), ["1 close 406"]);
    assert_eq!(client.counts(&host, "full"), (1, 0));
}

/// A reply belongs to the consumer that it was sent to: another one that takes its place on the channel
/// does not get it, and is not charged for it.
#[test]
fn a_reply_is_for_the_consumer_it_was_sent_to() {
    let host = plain_host();
    let mut client = TestClient::connect(&host);
    client.declare("requests");
    let replies = || basic::Consume { no_ack: true, ..consume("amq.rabbitmq.reply-to", "r") };
    let leave = || basic::Cancel { consumer_tag: short("r"), no_wait: true };
    let mut server = TestClient::connect(&host);
    for _ in 0..3 {
        client.call(1, replies());
        let address = client.reply_address(&host);
        server.publish(1, &address, b"late");
        // The reply waits while the client leaves and comes back.
        client.write(1, leave());
        client.write(1, replies());
        client.process();
        let own = client.reply_address(&host);
        assert_ne!(own, address);
        server.publish(1, &own, b"its own");
        let read = client.read();
        let last = read.iter().rev().take(2).collect::<Vec<_>>();
        assert_eq!(last[0], "'its own'", "{read:?}");
        client.call(1, leave());
    }
}
