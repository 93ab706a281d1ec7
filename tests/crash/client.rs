//! A client that knows at any moment what it has sent, and takes the end of a broker for granted.

use std::collections::VecDeque;

use amqp_codec::method::{basic, channel, confirm, connection, queue};
use amqp_codec::{
    BasicProperties, ChannelId, FieldTable, FieldValue, Frame, Method, ProtocolHeader, ShortString,
    decode_frame, write_body, write_content_header,
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::broker::DEADLINE;

const FRAME_MAX: u32 = 131_072;

/// The broker is gone.
#[derive(Debug)]
pub(crate) struct Lost;

/// What a client gets, as long as there is a broker.
pub(crate) type Answer<T> = Result<T, Lost>;

/// A message that came.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) body: Vec<u8>,
}

/// What can come.
#[derive(Debug)]
pub(crate) enum Event {
    /// By `basic.deliver` or `basic.get-ok`.
    Delivery(Delivery),
    /// A message came back to its publisher.
    Returned,
    Confirm {
        tag: u64,
        multiple: bool,
    },
    /// Anything else.
    Method(Method),
}

/// A connection with one channel.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    input: BytesMut,
    /// Sent before the client waits for anything.
    output: BytesMut,
    /// Came while something else was waited for.
    backlog: VecDeque<Event>,
}

pub(crate) fn short(text: &str) -> ShortString {
    ShortString::truncated(text)
}

pub(crate) fn table<'a>(pairs: impl IntoIterator<Item = (&'a str, FieldValue)>) -> FieldTable {
    pairs.into_iter().map(|(name, value)| (short(name), value)).collect()
}

impl Client {
    /// Connects, and opens the channel.
    pub(crate) async fn connect(port: u16) -> Answer<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|_| Lost)?;
        stream.set_nodelay(true).map_err(|_| Lost)?;
        let (input, output, backlog) = Default::default();
        let mut client = Self { stream, input, output, backlog };
        client.output.extend_from_slice(&ProtocolHeader::AMQP_0_9_1[..]);
        let start_ok = connection::StartOk {
            client_properties: FieldTable::default(),
            mechanism: short("PLAIN"),
            response: Bytes::from_static(b"\0guest\0guest"),
            locale: short("en_US"),
        };
        let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: FRAME_MAX, heartbeat: 0 };
        client.put_on(0, start_ok);
        client.put_on(0, tune_ok);
        client.put_on(0, connection::Open { virtual_host: short("/") });
        client.put(channel::Open::default());
        while !matches!(client.next().await?, Event::Method(Method::ChannelOpenOk(_))) {}
        Ok(client)
    }

    /// The same, with confirms.
    pub(crate) async fn publisher(port: u16) -> Answer<Self> {
        let mut client = Self::connect(port).await?;
        client.call(confirm::Select { no_wait: false }).await?;
        Ok(client)
    }

    /// The same, with a consumer that acknowledges.
    pub(crate) async fn consumer(port: u16, queue: &str, prefetch: u16) -> Answer<Self> {
        let mut client = Self::connect(port).await?;
        client.consume(queue, prefetch).await?;
        Ok(client)
    }

    pub(crate) async fn consume(&mut self, queue: &str, prefetch: u16) -> Answer<()> {
        let qos = basic::Qos { prefetch_count: prefetch, ..Default::default() };
        self.call(qos).await?;
        let consumer_tag = short(queue);
        let consume = basic::Consume { queue: short(queue), consumer_tag, ..Default::default() };
        self.call(consume).await?;
        Ok(())
    }

    /// Ends what [`Client::consume`] began, and takes all that was delivered before.
    pub(crate) async fn cancel(&mut self, queue: &str) -> Answer<Vec<Delivery>> {
        let consumer_tag = short(queue);
        self.call(basic::Cancel { consumer_tag, no_wait: false }).await?;
        let delivery = |event| match event {
            Event::Delivery(delivery) => delivery,
            other => panic!("a delivery was due, not {other:?}"),
        };
        Ok(self.backlog.drain(..).map(delivery).collect())
    }

    fn put_on(&mut self, channel: u16, method: impl Into<Method>) {
        method.into().encode(ChannelId(channel), &mut self.output);
    }

    /// To be sent before anything is waited for.
    pub(crate) fn put(&mut self, method: impl Into<Method>) {
        self.put_on(1, method);
    }

    pub(crate) fn ack(&mut self, delivery_tag: u64, multiple: bool) {
        self.put(basic::Ack { delivery_tag, multiple });
    }

    pub(crate) fn publish(
        &mut self,
        publish: basic::Publish,
        properties: &BasicProperties,
        body: &[u8],
    ) {
        self.put(publish);
        let size = body.len() as u64;
        write_content_header(&mut self.output, ChannelId(1), 60, size, &properties.to_vec());
        for piece in body.chunks(FRAME_MAX as usize - 8) {
            write_body(&mut self.output, ChannelId(1), piece);
        }
    }

    pub(crate) async fn flush(&mut self) -> Answer<()> {
        let sent = timeout(DEADLINE, self.stream.write_all(&self.output)).await;
        let sent = sent.expect("the broker takes in what it is sent");
        self.output.clear();
        sent.map_err(|_| Lost)
    }

    /// Sends a method, and gives back the answer: of confirms and deliveries that come first, nothing
    /// is lost.
    pub(crate) async fn call(&mut self, method: impl Into<Method>) -> Answer<Method> {
        self.put(method);
        let mut before = VecDeque::new();
        loop {
            match self.read().await? {
                Event::Method(answer) => {
                    self.backlog.append(&mut before);
                    return Ok(answer);
                }
                event => before.push_back(event),
            }
        }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Answer<Event> {
        match self.backlog.pop_front() {
            Some(event) => Ok(event),
            None => self.read().await,
        }
    }

    /// The next delivery.
    pub(crate) async fn delivery(&mut self) -> Answer<Delivery> {
        match self.next().await? {
            Event::Delivery(delivery) => Ok(delivery),
            other => panic!("a delivery was due, not {other:?}"),
        }
    }

    /// How many messages are ready in a queue; `None` if it is not there.
    pub(crate) async fn ready(&mut self, queue: &str) -> Answer<Option<u32>> {
        let passive = queue::Declare { queue: short(queue), passive: true, ..Default::default() };
        match self.call(passive).await? {
            Method::QueueDeclareOk(ok) => Ok(Some(ok.message_count)),
            Method::ChannelClose(close) if close.reply_code == 404 => {
                self.reopen().await?;
                Ok(None)
            }
            other => panic!("queue {queue}: {other:?}"),
        }
    }

    /// Opens the channel again that the broker closed.
    pub(crate) async fn reopen(&mut self) -> Answer<()> {
        self.put(channel::CloseOk {});
        self.call(channel::Open::default()).await?;
        Ok(())
    }

    /// Gives back what is not acknowledged, and returns when the queues have it.
    pub(crate) async fn close_channel(mut self) -> Answer<()> {
        let close = channel::Close { reply_code: 200, ..Default::default() };
        let answer = self.call(close).await?;
        assert!(matches!(answer, Method::ChannelCloseOk(_)), "{answer:?}");
        Ok(())
    }

    async fn read(&mut self) -> Answer<Event> {
        loop {
            let method = match self.frame().await? {
                Frame::Method(ChannelId(_), method) => method,
                Frame::Heartbeat(_) => continue,
                other => panic!("a method was due, not {other:?}"),
            };
            return Ok(match method {
                Method::BasicDeliver(deliver) => {
                    self.message(deliver.delivery_tag, deliver.redelivered).await?
                }
                Method::BasicGetOk(got) => self.message(got.delivery_tag, got.redelivered).await?,
                Method::BasicReturn(_) => {
                    self.body().await?;
                    Event::Returned
                }
                Method::BasicAck(basic::Ack { delivery_tag, multiple }) => {
                    Event::Confirm { tag: delivery_tag, multiple }
                }
                // A broker that is asked to stop says so.
                Method::ConnectionClose(close) if close.reply_code == 320 => {
                    self.put_on(0, connection::CloseOk {});
                    self.flush().await?;
                    return Err(Lost);
                }
                Method::ConnectionStart(_) | Method::ConnectionTune(_) => continue,
                method => Event::Method(method),
            });
        }
    }

    async fn message(&mut self, tag: u64, redelivered: bool) -> Answer<Event> {
        let body = self.body().await?;
        Ok(Event::Delivery(Delivery { tag, redelivered, body }))
    }

    async fn body(&mut self) -> Answer<Vec<u8>> {
        let Frame::Header(_, header) = self.frame().await? else { panic!("a header was due") };
        let size = usize::try_from(header.body_size).unwrap();
        let mut body = Vec::with_capacity(size);
        while body.len() < size {
            let Frame::Body(_, piece) = self.frame().await? else { panic!("a body was due") };
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn frame(&mut self) -> Answer<Frame> {
        loop {
            if let Some(frame) = decode_frame(&mut self.input, FRAME_MAX).unwrap() {
                return Ok(frame);
            }
            if !self.output.is_empty() {
                self.flush().await?;
            }
            let read = timeout(DEADLINE, self.stream.read_buf(&mut self.input)).await;
            match read.expect("the broker answers, or ends") {
                Ok(0) | Err(_) => return Err(Lost),
                Ok(_) => {}
            }
        }
    }
}
