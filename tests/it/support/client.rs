//! A client that says what a test tells it to, right or wrong.

use std::net::SocketAddr;
use std::time::Duration;

use amqp_codec::{ChannelId, FrameKind, RawContentHeader, split_frame};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{
    BasicProperties, FieldValue, Method, Wire, ack_multiple, basic, channel, check_exchange,
    check_queue, confirm, connection, delete_queue, exchange, get, queue,
};

/// How long anything may take. Under a virtual clock this must be longer than what is waited for, and
/// on a real one long enough for a machine with better things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker that takes nothing in for this long has stopped reading. It may as well be slow: tests
/// that ask are none the wiser then, but do not fail.
const STALL: Duration = Duration::from_secs(1);

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct RawClient {
    writer: OwnedWriteHalf,
    pub(crate) reader: Reader,
}

/// The direction that frames come in.
#[derive(Debug)]
pub(crate) struct Reader {
    half: OwnedReadHalf,
    input: BytesMut,
}

/// What can come in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Received {
    Method(u16, Method),
    /// Channel, size of the body, raw properties.
    Header(u16, u64, Bytes),
    Body(u16, Bytes),
    Heartbeat,
    /// The end: closed or reset.
    End,
}

/// A message's properties and body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content {
    /// Flags and list as they came.
    pub(crate) raw_properties: Bytes,
    pub(crate) body: Vec<u8>,
}

impl Content {
    pub(crate) fn properties(&self) -> BasicProperties {
        BasicProperties::decode(&self.raw_properties).expect("well-formed properties")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    /// A header's value, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<FieldValue> {
        self.properties().headers?.get(name).cloned()
    }
}

/// A message for a consumer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) method: basic::Deliver,
    pub(crate) content: Content,
}

impl Delivery {
    pub(crate) fn tag(&self) -> u64 {
        self.method.delivery_tag
    }

    pub(crate) fn text(&self) -> &str {
        self.content.text()
    }

    /// What most tests are about: who got what, and whether for the first time.
    pub(crate) fn summary(&self) -> (&str, &str, bool) {
        let consumer = self.method.consumer_tag.to_str().expect("a tag that a test chose");
        (consumer, self.text(), self.method.redelivered)
    }
}

impl Reader {
    /// The next frame, heartbeats included, or the end.
    pub(crate) async fn receive_any(&mut self) -> Received {
        let received = tokio::time::timeout(PATIENCE, self.read_frame()).await;
        received.expect("the broker answers in time")
    }

    /// The next frame but for heartbeats.
    pub(crate) async fn receive(&mut self) -> Received {
        loop {
            let received = self.receive_any().await;
            if received != Received::Heartbeat {
                return received;
            }
        }
    }

    async fn read_frame(&mut self) -> Received {
        loop {
            let split = split_frame(&self.input, 0).expect("the broker sends well-formed frames");
            if let Some((frame, len)) = split {
                let ChannelId(channel) = frame.channel;
                let received = match frame.kind {
                    FrameKind::Method => {
                        let method = Method::decode(frame.payload).expect("a known method");
                        Received::Method(channel, method)
                    }
                    FrameKind::Header => {
                        let header = RawContentHeader::parse(frame.payload).expect("a header");
                        let properties = Bytes::copy_from_slice(header.properties);
                        Received::Header(channel, header.body_size, properties)
                    }
                    FrameKind::Body => {
                        Received::Body(channel, Bytes::copy_from_slice(frame.payload))
                    }
                    FrameKind::Heartbeat => Received::Heartbeat,
                };
                self.input.advance(len);
                return received;
            }
            // Both are the end; which of them it is depends on what lay unread.
            if self.half.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                assert!(self.input.is_empty(), "the stream ends inside a frame: {:?}", self.input);
                return Received::End;
            }
        }
    }
}

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the broker accepts");
        stream.set_nodelay(true).expect("a socket has the option");
        let (half, writer) = stream.into_split();
        Self { writer, reader: Reader { half, input: BytesMut::new() } }
    }

    // What is sent.

    /// To a broker that may have closed the socket.
    pub(crate) async fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes).await
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("the broker still listens");
    }

    /// Ends this direction.
    pub(crate) async fn shut_down(&mut self) {
        self.writer.shutdown().await.expect("the socket is open");
    }

    /// Writes as much as the broker takes in; how much that was. It may end within a frame.
    pub(crate) async fn flood(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            let write = self.writer.write(&bytes[written..]);
            let Ok(count) = tokio::time::timeout(STALL, write).await else { break };
            written += count.expect("the broker still listens");
        }
        written
    }

    /// Both directions, for use at the same time.
    pub(crate) fn split(&mut self) -> (&mut OwnedWriteHalf, &mut Reader) {
        (&mut self.writer, &mut self.reader)
    }

    pub(crate) async fn send_wire(&mut self, wire: &Wire) {
        self.send_bytes(wire.bytes()).await;
    }

    pub(crate) async fn send(&mut self, channel: u16, method: impl Into<Method>) {
        self.send_wire(&Wire::new().method(channel, method)).await;
    }

    /// Sends a message without properties.
    pub(crate) async fn publish(
        &mut self,
        channel: u16,
        publish: basic::Publish,
        body: impl AsRef<[u8]>,
    ) {
        self.send_wire(&Wire::new().publish(channel, publish, body)).await;
    }

    pub(crate) async fn publish_with(
        &mut self,
        channel: u16,
        publish: basic::Publish,
        properties: &BasicProperties,
        body: impl AsRef<[u8]>,
    ) {
        self.send_wire(&Wire::new().publish_with(channel, publish, properties, body)).await;
    }

    // What comes back.

    /// The next frame, heartbeats included, or the end.
    pub(crate) async fn receive_any(&mut self) -> Received {
        self.reader.receive_any().await
    }

    /// The next frame but for heartbeats.
    pub(crate) async fn receive(&mut self) -> Received {
        self.reader.receive().await
    }

    /// Bytes up to the end, for what is no AMQP.
    pub(crate) async fn receive_rest(&mut self) -> Vec<u8> {
        let Reader { half, input } = &mut self.reader;
        let mut rest = input.split().to_vec();
        let read = tokio::time::timeout(PATIENCE, half.read_to_end(&mut rest)).await;
        let _ = read.expect("the broker closes in time");
        rest
    }

    pub(crate) async fn receive_method(&mut self, channel: u16) -> Method {
        match self.receive().await {
            Received::Method(from, method) if from == channel => method,
            other => panic!("expected a method on channel {channel}, got {other:?}"),
        }
    }

    #[track_caller]
    fn check(received: &Received, expected: &Received) {
        assert_eq!(received, expected);
    }

    pub(crate) async fn expect(&mut self, channel: u16, method: impl Into<Method>) {
        let received = self.receive().await;
        Self::check(&received, &Received::Method(channel, method.into()));
    }

    /// Sends a method and gives back the answer, which is not a close.
    pub(crate) async fn call(&mut self, channel: u16, method: impl Into<Method>) -> Method {
        let method = method.into();
        let name = method.name();
        self.send(channel, method).await;
        match self.receive_method(channel).await {
            Method::ChannelClose(close) => panic!("{name} closed the channel: {close:?}"),
            Method::BasicDeliver(delivery) => panic!("before the answer to {name}: {delivery:?}"),
            answer => answer,
        }
    }

    pub(crate) async fn open_channel(&mut self, channel: u16) {
        self.send(channel, channel::Open {}).await;
        self.expect(channel, channel::OpenOk {}).await;
    }

    /// The rest of a message whose method has been received.
    pub(crate) async fn receive_content(&mut self, channel: u16) -> Content {
        let (size, raw_properties) = match self.receive().await {
            Received::Header(from, size, properties) if from == channel => (size, properties),
            other => panic!("expected a content header on channel {channel}, got {other:?}"),
        };
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            match self.receive().await {
                Received::Body(from, piece) if from == channel => body.extend_from_slice(&piece),
                other => panic!("expected a body on channel {channel}, got {other:?}"),
            }
        }
        assert_eq!(body.len() as u64, size, "the body has the announced size");
        Content { raw_properties, body }
    }

    pub(crate) async fn delivery(&mut self, channel: u16) -> Delivery {
        match self.receive_method(channel).await {
            Method::BasicDeliver(method) => {
                Delivery { method, content: self.receive_content(channel).await }
            }
            other => panic!("expected basic.deliver, got {other:?}"),
        }
    }

    pub(crate) async fn deliveries(&mut self, channel: u16, count: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::with_capacity(count);
        for _ in 0..count {
            deliveries.push(self.delivery(channel).await);
        }
        deliveries
    }

    /// The bodies of the next deliveries, whoever of the channel's consumers they are for.
    pub(crate) async fn texts(&mut self, channel: u16, count: usize) -> Vec<String> {
        let deliveries = self.deliveries(channel, count).await;
        deliveries.iter().map(|delivery| delivery.text().to_owned()).collect()
    }

    pub(crate) async fn returned(&mut self, channel: u16) -> (basic::Return, Content) {
        match self.receive_method(channel).await {
            Method::BasicReturn(method) => (method, self.receive_content(channel).await),
            other => panic!("expected basic.return, got {other:?}"),
        }
    }

    /// Has a channel's publishes confirmed from now on.
    pub(crate) async fn select_confirms(&mut self, channel: u16) {
        self.send(channel, confirm::Select { no_wait: false }).await;
        self.expect(channel, confirm::SelectOk {}).await;
    }

    /// The outcomes of a channel's first `count` publishes, none of them told before, in the order of
    /// their numbers: `true` where it was acknowledged. Fails if one is told twice.
    pub(crate) async fn confirms(&mut self, channel: u16, count: usize) -> Vec<bool> {
        let mut outcomes = vec![None; count];
        while outcomes.contains(&None) {
            let (tag, multiple, acked) = match self.receive_method(channel).await {
                Method::BasicAck(basic::Ack { delivery_tag, multiple }) => {
                    (delivery_tag, multiple, true)
                }
                Method::BasicNack(basic::Nack { delivery_tag, multiple, .. }) => {
                    (delivery_tag, multiple, false)
                }
                other => panic!("expected a confirm, got {other:?}"),
            };
            let last = usize::try_from(tag).expect("a small number");
            assert!((1..=count).contains(&last), "there was no publish {tag}");
            if multiple {
                let untold = outcomes[..last].iter_mut().filter(|it| it.is_none());
                untold.for_each(|outcome| *outcome = Some(acked));
            } else {
                assert_eq!(outcomes[last - 1].replace(acked), None, "publish {tag} is told twice");
            }
        }
        outcomes.into_iter().flatten().collect()
    }

    /// `basic.get`, and its message if there is one.
    pub(crate) async fn get(
        &mut self,
        channel: u16,
        get: basic::Get,
    ) -> Option<(basic::GetOk, Content)> {
        match self.call(channel, get).await {
            Method::BasicGetOk(method) => Some((method, self.receive_content(channel).await)),
            Method::BasicGetEmpty(_) => None,
            other => panic!("expected an answer to basic.get, got {other:?}"),
        }
    }

    /// Empties a queue; the bodies in order.
    pub(crate) async fn drain(&mut self, channel: u16, queue: impl AsRef<str>) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some((_, content)) = self.get(channel, get(&queue)).await {
            texts.push(content.text().to_owned());
        }
        texts
    }

    /// Deletes a queue, with whatever else comes in meanwhile: what other channels are told of it.
    pub(crate) async fn delete(&mut self, channel: u16, queue: impl AsRef<str>) {
        self.send(channel, delete_queue(queue)).await;
        while !matches!(self.receive().await, Received::Method(_, Method::QueueDeleteOk(_))) {}
    }

    /// How many messages are ready in a queue, and how many consumers it has.
    pub(crate) async fn counts(&mut self, channel: u16, queue: impl AsRef<str>) -> (u32, u32) {
        match self.call(channel, check_queue(queue)).await {
            Method::QueueDeclareOk(queue::DeclareOk { message_count, consumer_count, .. }) => {
                (message_count, consumer_count)
            }
            other => panic!("expected queue.declare-ok, got {other:?}"),
        }
    }

    // Nothing, and the end.

    /// Asks for something that is answered at once: whatever was due before has come before. Fails
    /// if anything has.
    pub(crate) async fn expect_nothing(&mut self, channel: u16) {
        self.send(channel, check_exchange("amq.direct")).await;
        self.expect(channel, exchange::DeclareOk {}).await;
    }

    pub(crate) async fn expect_end(&mut self) {
        let received = self.receive().await;
        Self::check(&received, &Received::End);
    }

    /// Reads away whatever comes, up to the end.
    pub(crate) async fn skip_to_end(&mut self) {
        while self.receive_any().await != Received::End {}
    }

    pub(crate) async fn expect_channel_close(
        &mut self,
        channel: u16,
        reply_code: u16,
        text: &str,
        (class_id, method_id): (u16, u16),
    ) {
        let reply_text = amqp_codec::ShortString::truncated(text);
        self.expect(channel, channel::Close { reply_code, reply_text, class_id, method_id }).await;
    }

    /// Expects `connection.close`, answers it, and sees the socket closed.
    pub(crate) async fn expect_connection_close(
        &mut self,
        reply_code: u16,
        text: &str,
        (class_id, method_id): (u16, u16),
    ) {
        let reply_text = amqp_codec::ShortString::truncated(text);
        self.expect(0, connection::Close { reply_code, reply_text, class_id, method_id }).await;
        self.send(0, connection::CloseOk {}).await;
        self.expect_end().await;
    }

    /// Sends a method that closes the channel and is blamed for it; opens the channel again.
    pub(crate) async fn refused(
        &mut self,
        channel: u16,
        method: impl Into<Method>,
        reply_code: u16,
        text: &str,
    ) {
        let method = method.into();
        let ids = (method.class_id(), method.method_id());
        self.send(channel, method).await;
        self.expect_channel_close(channel, reply_code, text, ids).await;
        self.send(channel, channel::CloseOk {}).await;
        self.open_channel(channel).await;
    }

    /// The same for a message.
    pub(crate) async fn publish_refused(
        &mut self,
        channel: u16,
        publish: basic::Publish,
        properties: &BasicProperties,
        reply_code: u16,
        text: &str,
    ) {
        self.publish_with(channel, publish, properties, "refused").await;
        self.expect_channel_close(channel, reply_code, text, (60, 40)).await;
        self.send(channel, channel::CloseOk {}).await;
        self.open_channel(channel).await;
    }

    /// Sends a method that closes the connection and is blamed for it.
    pub(crate) async fn fatal(
        mut self,
        channel: u16,
        method: impl Into<Method>,
        reply_code: u16,
        text: &str,
    ) {
        let method = method.into();
        let ids = (method.class_id(), method.method_id());
        self.send(channel, method).await;
        self.expect_connection_close(reply_code, text, ids).await;
    }

    /// Acknowledges everything that the channel holds.
    pub(crate) async fn ack_all(&mut self, channel: u16) {
        self.send(channel, ack_multiple(0)).await;
    }

    /// Closes the connection as one should.
    pub(crate) async fn close(mut self) {
        let close = connection::Close {
            reply_code: 200,
            reply_text: super::short("bye"),
            class_id: 0,
            method_id: 0,
        };
        self.send(0, close).await;
        let close_ok = Received::Method(0, connection::CloseOk {}.into());
        while self.receive().await != close_ok {}
    }
}
