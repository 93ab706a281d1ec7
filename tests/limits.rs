//! Resource bounds, on the real binary: what clients can cost it, and whom else they cost anything.
//!
//! Memory is the process's resident set, as the system sees it. Sockets block, with deadlines: a test
//! that waits longer has failed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amqp_codec::method::{basic, channel, connection, queue};
use amqp_codec::{
    ChannelId, FieldTable, FieldValue, Frame, Method, ProtocolHeader, ShortString, decode_frame,
    write_body, write_content_header,
};
use bytes::{Bytes, BytesMut};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A write that makes no progress for this long is held back by the broker.
const HELD_BACK: Duration = Duration::from_secs(2);

const MIB: u64 = 1024 * 1024;

/// A `leveret` process of the test's own.
struct Server {
    process: Child,
    port: u16,
    ready_file: PathBuf,
}

impl Server {
    fn start(name: &str, flags: &[&str]) -> Self {
        let ready_file =
            std::env::temp_dir().join(format!("leveret-limits-{}-{name}", std::process::id()));
        let mut process = Command::new(env!("CARGO_BIN_EXE_leveret"))
            .args(["serve", "--bind", "127.0.0.1", "--port", "0", "--log-level", "error"])
            .args(["--durability", "none"])
            .arg("--ready-file")
            .arg(&ready_file)
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0_u8; b"Server startup complete".len()];
        process.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        let ready: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&ready_file).unwrap()).unwrap();
        let port = u16::try_from(ready["ports"]["amqp"].as_u64().unwrap()).unwrap();
        Self { process, port, ready_file }
    }

    /// Bytes of memory that the process occupies.
    fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.port, 0);
        client.handshake_done();
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.ready_file);
    }
}

/// A client on a blocking socket, with channel 1 open.
struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    /// Connects, and sends the whole handshake in one go.
    fn connect(port: u16, heartbeat: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(HELD_BACK)).unwrap();
        let mut client = Self { stream, input: BytesMut::new() };
        let blocked = FieldTable::from_iter([(short("connection.blocked"), true.into())]);
        let capabilities = (short("capabilities"), FieldValue::Table(blocked));
        let mut out = BytesMut::from(&ProtocolHeader::AMQP_0_9_1[..]);
        let start_ok = connection::StartOk {
            client_properties: FieldTable::from_iter([capabilities]),
            mechanism: short("PLAIN"),
            response: Bytes::from_static(b"\0guest\0guest"),
            locale: short("en_US"),
        };
        let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat };
        put(&mut out, 0, start_ok);
        put(&mut out, 0, tune_ok);
        put(&mut out, 0, connection::Open { virtual_host: short("/") });
        put(&mut out, 1, channel::Open::default());
        client.send(&out);
        client
    }

    fn handshake_done(&mut self) {
        self.until(|method| matches!(method, Method::ChannelOpenOk(_)));
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn call(&mut self, method: impl Into<Method>) {
        let mut out = BytesMut::new();
        put(&mut out, 1, method);
        self.send(&out);
    }

    /// Reads on to the method that is wanted.
    fn until(&mut self, wanted: impl Fn(&Method) -> bool) {
        loop {
            if let Frame::Method(_, method) = self.frame()
                && wanted(&method)
            {
                return;
            }
        }
    }

    fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = decode_frame(&mut self.input, 131_072).unwrap() {
                return frame;
            }
            let mut buffer = [0_u8; 64 * 1024];
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the broker closed the connection");
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    fn declare(&mut self, name: &str) {
        self.call(queue::Declare { queue: short(name), ..Default::default() });
        self.until(|method| matches!(method, Method::QueueDeclareOk(_)));
    }

    fn consume(&mut self, name: &str, no_ack: bool) {
        self.call(basic::Consume { queue: short(name), no_ack, ..Default::default() });
        self.until(|method| matches!(method, Method::BasicConsumeOk(_)));
    }

    /// The bytes of the next delivery's body.
    fn delivery(&mut self) -> (basic::Deliver, usize) {
        let deliver = loop {
            if let Frame::Method(_, Method::BasicDeliver(deliver)) = self.frame() {
                break deliver;
            }
        };
        let Frame::Header(_, header) = self.frame() else { panic!("a header was due") };
        let size = usize::try_from(header.body_size).unwrap();
        let mut got = 0;
        while got < size {
            let Frame::Body(_, body) = self.frame() else { panic!("a body was due") };
            got += body.len();
        }
        (deliver, got)
    }

    /// Writes `chunk` again and again, until the broker no longer takes it in or `max` bytes are
    /// sent; how many were.
    fn flood(&mut self, chunk: &[u8], max: u64) -> u64 {
        let mut sent = 0;
        while sent < max {
            match self.stream.write(&chunk[usize::try_from(sent).unwrap() % chunk.len()..]) {
                Ok(count) => sent += count as u64,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        sent
    }

    /// Shows that the broker serves this client: a message goes through.
    fn round_trip(&mut self, queue: &str) {
        self.declare(queue);
        self.consume(queue, true);
        self.send(&message(queue, 10));
        assert_eq!(self.delivery().1, 10);
    }
}

fn short(text: &str) -> ShortString {
    ShortString::truncated(text)
}

fn put(out: &mut BytesMut, channel: u16, method: impl Into<Method>) {
    method.into().encode(ChannelId(channel), out);
}

/// A whole publish to a queue.
fn message(queue: &str, size: usize) -> BytesMut {
    let mut out = BytesMut::new();
    put(&mut out, 1, basic::Publish { routing_key: short(queue), ..Default::default() });
    write_content_header(&mut out, ChannelId(1), 60, size as u64, &[0, 0]);
    write_body(&mut out, ChannelId(1), &vec![b'x'; size]);
    out
}

/// `connection.blocked` above the watermark, `connection.unblocked` below it.
#[test]
fn a_publisher_that_nobody_consumes_from_is_blocked_until_somebody_does() {
    let server = Server::start("blocked", &["--memory-high-watermark", "32MiB"]);
    let mut publisher = server.client();
    publisher.declare("full");
    let sent = publisher.flood(&message("full", 1024).repeat(64), 512 * MIB);
    assert!(sent < 256 * MIB, "the broker took in {} MiB", sent / MIB);
    publisher.until(|method| {
        matches!(method, Method::ConnectionBlocked(blocked) if blocked.reason == "low on memory")
    });
    let resident = server.resident();
    assert!(resident < 128 * MIB, "{} MiB resident", resident / MIB);

    // Nobody else waits, and the first who consumes sets the publisher free.
    let mut consumer = server.client();
    consumer.consume("full", true);
    let drained = std::thread::spawn(move || {
        for _ in 0..30_000 {
            consumer.delivery();
        }
    });
    publisher.until(|method| matches!(method, Method::ConnectionUnblocked(_)));
    drained.join().unwrap();
}

#[test]
fn a_consumer_that_never_reads_costs_its_turn_and_no_memory() {
    const MESSAGES: usize = 60_000;
    let server = Server::start("never-reads", &[]);
    let mut deaf = server.client();
    deaf.declare("shared");
    deaf.consume("shared", true);
    let mut listening = server.client();
    listening.consume("shared", true);
    let mut publisher = server.client();
    let published = std::thread::spawn(move || {
        let batch = message("shared", 1024).repeat(100);
        for _ in 0..MESSAGES / 100 {
            publisher.send(&batch);
        }
        publisher
    });
    // The deaf one gets what fits in its outbox and in the sockets' buffers.
    for _ in 0..MESSAGES * 3 / 4 {
        listening.delivery();
    }
    let resident = server.resident();
    assert!(resident < 128 * MIB, "{} MiB resident", resident / MIB);
    drop(published.join().unwrap());
}

#[test]
fn ten_thousand_idle_connections_are_cheap_and_slow_nobody_down() {
    const CONNECTIONS: usize = 10_000;
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    if limit < CONNECTIONS as u64 + 100 {
        println!("skipped: 10,000 connections: only {limit} open files are allowed");
        return;
    }
    let server = Server::start("idle", &[]);
    let mut busy = server.client();
    busy.round_trip("before");
    let before = server.resident();
    let idle: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
    let each = (server.resident() - before) / CONNECTIONS as u64;
    println!("an idle connection with a channel: {each} bytes");
    assert!(each < 24 * 1024, "{each} bytes a connection");
    let mut busy = server.client();
    busy.round_trip("after");
    drop(idle);
}

/// One message in a thousand stays, so that the memory of no thread has a free end.
#[test]
fn the_memory_of_messages_that_have_left_is_given_back_by_an_idle_broker() {
    let server = Server::start("idle", &[]);
    let mut client = server.client();
    client.declare("stays");
    client.declare("leaves");
    let mut chunk = message("leaves", 16).repeat(1000);
    chunk.extend_from_slice(&message("stays", 16));
    for _ in 0..600 {
        client.send(&chunk);
    }
    client.declare("stays");
    let full = server.resident();
    assert!(full > 64 * MIB, "{} MiB resident", full / MIB);

    client.call(queue::Purge { queue: short("leaves"), ..Default::default() });
    client.until(|method| matches!(method, Method::QueuePurgeOk(_)));
    // Nobody tells it: the system's figure is all there is to look at, for two minutes at most.
    let given_back = (0..2400).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        server.resident() < full / 3
    });
    assert!(given_back, "{} MiB resident, of {}", server.resident() / MIB, full / MIB);
    client.round_trip("other");
}

#[test]
fn a_client_that_asks_and_never_reads_is_no_longer_heard() {
    let server = Server::start("asks", &[]);
    let mut client = server.client();
    client.declare("asked");
    let mut ask = BytesMut::new();
    put(&mut ask, 1, queue::Declare { queue: short("asked"), ..Default::default() });
    let sent = client.flood(&ask.repeat(1000), 512 * MIB);
    assert!(sent < 256 * MIB, "the broker took in {} MiB", sent / MIB);
    let resident = server.resident();
    assert!(resident < 64 * MIB, "{} MiB resident", resident / MIB);
    server.client().round_trip("other");
}

#[test]
fn unread_returns_of_mandatory_messages_are_bounded() {
    let server = Server::start("returns", &[]);
    let mut client = server.client();
    let mut unroutable = BytesMut::new();
    let publish =
        basic::Publish { routing_key: short("nowhere"), mandatory: true, ..Default::default() };
    put(&mut unroutable, 1, publish);
    write_content_header(&mut unroutable, ChannelId(1), 60, 60_000, &[0, 0]);
    write_body(&mut unroutable, ChannelId(1), &[b'x'; 60_000]);
    let sent = client.flood(&unroutable, 512 * MIB);
    assert!(sent < 256 * MIB, "the broker took in {} MiB", sent / MIB);
    let resident = server.resident();
    assert!(resident < 64 * MIB, "{} MiB resident", resident / MIB);
}

#[test]
fn a_body_that_is_only_announced_costs_nothing() {
    let server = Server::start("announced", &[]);
    let mut client = server.client();
    let mut out = BytesMut::new();
    for number in 2..1000 {
        put(&mut out, number, channel::Open::default());
        put(&mut out, number, basic::Publish::default());
        write_content_header(&mut out, ChannelId(number), 60, 128 * MIB, &[0, 0]);
    }
    client.send(&out);
    client.round_trip("meanwhile");
    let resident = server.resident();
    assert!(resident < 64 * MIB, "{} MiB resident", resident / MIB);
}

#[test]
fn a_body_in_a_million_tiny_frames_arrives_whole_and_costs_its_own_size() {
    const FRAMES: usize = 1_000_000;
    let server = Server::start("tiny", &[]);
    let mut client = server.client();
    client.declare("tiny");
    client.consume("tiny", true);
    let mut out = BytesMut::new();
    put(&mut out, 1, basic::Publish { routing_key: short("tiny"), ..Default::default() });
    write_content_header(&mut out, ChannelId(1), 60, FRAMES as u64, &[0, 0]);
    for _ in 0..FRAMES {
        write_body(&mut out, ChannelId(1), b"x");
    }
    client.send(&out);
    assert_eq!(client.delivery().1, FRAMES);
    let resident = server.resident();
    assert!(resident < 64 * MIB, "{} MiB resident", resident / MIB);
}

/// A client that vanishes without a FIN looks like this from the broker's side: nothing more comes.
#[test]
fn what_a_silent_client_held_is_delivered_to_others_when_its_heartbeats_are_missed() {
    let server = Server::start("silent", &[]);
    let mut silent = Client::connect(server.port, 1);
    silent.handshake_done();
    silent.declare("left");
    silent.consume("left", false);
    silent.send(&message("left", 5));
    assert!(!silent.delivery().0.redelivered);
    let mut heir = server.client();
    heir.consume("left", true);
    let (deliver, size) = heir.delivery();
    assert_eq!((deliver.redelivered, size), (true, 5));
}
