//! What a small message costs: in a queue alone, and from a publisher's bytes to the consumer's
//! acknowledgement through two clients in memory.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::method::{basic, channel, confirm, connection, queue};
use amqp_codec::{
    BasicProperties, ChannelId, ContentHeader, FieldTable, Frame, Method, ProtocolHeader,
    ShortString, encode_frame, write_ack,
};
use bytes::{Buf, Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leveret::auth::HashingAlgorithm;
use leveret::broker::credit::{ChannelCredit, OutboxBound};
use leveret::broker::effect::{Delivery, DeliverySink, Effects, Subscription};
use leveret::broker::message::{Message, MessageParts};
use leveret::broker::queue::{ConsumerOptions, Holder, Prefetch, Queue, QueueOptions};
use leveret::broker::queue_settings::QueueSettings;
use leveret::broker::time::Epoch;
use leveret::broker::vhost::VHostOptions;
use leveret::config::{Capacity, CertificateLogin};
use leveret::protocol::connection::{Settings, State};
use leveret::protocol::handshake::Limits;
use leveret::session::{Client, Defaults, Host, HostSettings, NewVHosts, Peer};
use leveret::store::MemoryStore;
use parking_lot::Mutex;

/// Messages of one read, as many as a busy publisher's 64 KiB hold about.
const BATCH: usize = 256;

#[derive(Debug, Default)]
struct Sink(Mutex<Vec<Delivery>>);

impl DeliverySink for Sink {
    fn deliver(&self, deliveries: &mut Vec<Delivery>) -> bool {
        self.0.lock().append(deliveries);
        false
    }

    fn wake(&self) {}

    fn cancelled(&self, _subscription: Subscription) {}

    fn taken_back(&self, _subscription: Subscription, _numbers: Vec<u64>) {}

    fn timed_out(&self, _subscription: Subscription, _timeout: u64, _dropped: bool) {}

    fn try_again(&self) {}
}

fn message() -> Message {
    let bytes = [0; 64];
    let message = Message::new(MessageParts {
        exchange_len: 8,
        routing_key_len: 8,
        properties_len: 2,
        bytes: &bytes,
        segments: &[],
        persistent: false,
        priority: 0,
        extras: None,
    });
    message.enter(1);
    message
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no clock of its own")]
fn now() -> Instant {
    Instant::now()
}

fn through_a_queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(BATCH as u64));
    let now = now();
    let sink = Arc::new(Sink::default());
    let bound = Arc::new(OutboxBound::new(1 << 20));
    let options = QueueOptions::new(false, QueueSettings::plain(), Epoch::new(now, 0));
    let mut queue = Queue::new(options, now);
    let mut effects = Effects::default();
    let options = ConsumerOptions {
        subscription: Subscription { channel: ChannelId(1), slot: 0 },
        sink: Arc::<Sink>::clone(&sink),
        outbox_bound: Arc::clone(&bound),
        channel_credit: Arc::new(ChannelCredit::default()),
        no_ack: false,
        exclusive: false,
        prefetch: Prefetch::Unlimited,
        priority: 0,
        timeout: None,
        timeout_action: None,
    };
    let added = queue.add_consumer(options, now, &mut effects);
    let holder = Holder::Consumer(added.expect("the queue is new"));
    let mut numbers: Vec<u64> = Vec::new();
    group.bench_function("enqueue, deliver, ack", |bencher| {
        bencher.iter_batched_ref(
            || -> Vec<Message> { (0..BATCH).map(|_| message()).collect() },
            |messages| {
                queue.enqueue(messages.iter(), now, &mut effects);
                for delivery in sink.0.lock().drain(..) {
                    bound.remove(delivery.message.memory());
                    numbers.push(delivery.number);
                }
                queue.acknowledge(holder, numbers.drain(..), now, &mut effects);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn short(text: &str) -> ShortString {
    ShortString::truncated(text)
}

fn host() -> Arc<Host> {
    let host = Host::new(HostSettings {
        connection: Settings {
            limits: Limits { channel_max: 2047, frame_max: 131_072, heartbeat: 60 },
            body_max: 1 << 20,
            anonymous: false,
            external: false,
            handshake_timeout: Duration::from_secs(10),
            cluster_name: "bench".to_owned(),
            durability: "none",
        },
        loopback_users: vec!["guest".to_owned()],
        anonymous_user: String::new(),
        certificate_login: CertificateLogin::default(),
        capacity: Capacity::default(),
        new_vhosts: NewVHosts::default(),
        password_hashing: HashingAlgorithm::default(),
        descriptors_max: 0,
        node_name: "rabbit@bench".to_owned(),
        outbox_bytes_max: 1 << 20,
        store: Arc::new(MemoryStore),
        vhost_options: VHostOptions::new(Epoch::new(now(), 0)),
        definitions: Vec::new(),
        now: now(),
        seed: Some(1),
    })
    .expect("nothing to restore");
    host.acting_by_itself()
        .make_defaults(Defaults::new("guest", "guest", "/"))
        .expect("short names");
    host
}

/// A client with channel 1 open.
struct InMemory {
    client: Client,
    now: Instant,
}

impl InMemory {
    fn connect(host: &Arc<Host>, now: Instant) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer = Peer { address, local: address, encryption: None };
        let client = Client::new(Arc::clone(host), peer, Box::new(|| {}), now);
        let mut connected = Self { client, now };
        let mut input = BytesMut::from(&ProtocolHeader::AMQP_0_9_1[..]);
        let start_ok = connection::StartOk {
            client_properties: FieldTable::default(),
            mechanism: short("PLAIN"),
            response: Bytes::from_static(b"\0guest\0guest"),
            locale: short("en_US"),
        };
        write(&mut input, 0, start_ok);
        let tune_ok = connection::TuneOk { channel_max: 100, frame_max: 131_072, heartbeat: 0 };
        write(&mut input, 0, tune_ok);
        write(&mut input, 0, connection::Open { virtual_host: short("/") });
        write(&mut input, 1, channel::Open {});
        connected.process(&mut input);
        assert_eq!(connected.client.state(), State::Running);
        connected
    }

    fn process(&mut self, input: &mut BytesMut) {
        self.client.process(input, self.now);
        assert!(input.is_empty());
    }

    /// Takes all output, as a socket with room does; how many bytes there were.
    fn read(&mut self) -> usize {
        self.client.poll_outbox(self.now);
        let mut read = 0;
        loop {
            let count = self.client.output().remaining();
            if count == 0 {
                return read;
            }
            self.client.output().advance(count);
            read += count;
            self.client.poll_outbox(self.now);
        }
    }

    fn call(&mut self, method: impl Into<Method>) {
        let mut input = BytesMut::new();
        write(&mut input, 1, method);
        self.process(&mut input);
        self.read();
    }
}

fn write(input: &mut BytesMut, channel: u16, method: impl Into<Method>) {
    encode_frame(&Frame::Method(ChannelId(channel), method.into()), input);
}

fn publishes() -> BytesMut {
    let mut bytes = BytesMut::new();
    for _ in 0..BATCH {
        let (exchange, routing_key) = (short(""), short("bench"));
        let (mandatory, immediate) = (false, false);
        write(&mut bytes, 1, basic::Publish { exchange, routing_key, mandatory, immediate });
        let properties = BasicProperties { delivery_mode: Some(1), ..BasicProperties::default() };
        let header = ContentHeader { class_id: 60, body_size: 16, properties };
        encode_frame(&Frame::Header(ChannelId(1), Box::new(header)), &mut bytes);
        encode_frame(&Frame::Body(ChannelId(1), Bytes::from_static(&[7; 16])), &mut bytes);
    }
    bytes
}

/// Publish bytes in, deliver bytes out, ack bytes in: all that a message costs but the sockets.
fn end_to_end(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two clients");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, confirms, ack_each) in [
        ("publish, deliver, ack multiple", false, false),
        ("publish, deliver, ack each", false, true),
        ("publish, confirm, deliver, ack each", true, true),
    ] {
        let host = host();
        let now = now();
        let mut publisher = InMemory::connect(&host, now);
        let mut consumer = InMemory::connect(&host, now);
        publisher.call(queue::Declare {
            queue: short("bench"),
            passive: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: FieldTable::default(),
        });
        if confirms {
            publisher.call(confirm::Select { no_wait: false });
        }
        consumer.call(basic::Consume {
            queue: short("bench"),
            consumer_tag: short("c"),
            no_local: false,
            no_ack: false,
            exclusive: false,
            no_wait: false,
            arguments: FieldTable::default(),
        });
        let mut tag = 0;
        let published = publishes();
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || {
                    let mut acks = BytesMut::new();
                    (published.clone(), std::mem::take(&mut acks))
                },
                |(input, acks)| {
                    publisher.process(input);
                    assert!(consumer.read() > 0);
                    if ack_each {
                        for next in tag + 1..=tag + BATCH as u64 {
                            write_ack(acks, ChannelId(1), next, false);
                        }
                    } else {
                        write_ack(acks, ChannelId(1), tag + BATCH as u64, true);
                    }
                    tag += BATCH as u64;
                    consumer.process(acks);
                    publisher.read();
                },
                BatchSize::PerIteration,
            );
        });
        assert_eq!(host.memory_used(), 0, "everything is acknowledged");
    }
    group.finish();
}

criterion_group!(benches, through_a_queue, end_to_end);
criterion_main!(benches);
