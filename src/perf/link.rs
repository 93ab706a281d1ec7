//! A connection to the broker, most often with one channel open.
//!
//! It blocks while it is being set up and taken down, and never in between.

use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use amqp_codec::method::{channel, connection};
use amqp_codec::{
    ChannelId, FieldTable, FieldValue, FrameKind, Method, ProtocolHeader, ShortString, TooLong,
};
use bytes::{Bytes, BytesMut};
use rustix::net::RecvFlags;

use super::input::{Input, Piece};
use super::notice::check_open;
use super::secure::{Secure, refusal};
use super::stamp::STAMP_SIZE;
use super::{PerfError, Uri};

/// The channel that everything goes over.
pub(super) const CHANNEL: ChannelId = ChannelId(1);

/// The largest frame asked for: RabbitMQ's default.
const FRAME_MAX: u32 = 131_072;

/// How long a connection may take to come up, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take. A broker takes its time to bind 100,000 times, or to load a deep queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the broker.
#[derive(Debug)]
pub(super) struct Link {
    socket: Arc<TcpStream>,
    /// For `amqps`.
    secure: Option<Box<Secure>>,
    pub(super) input: Input,
    /// The largest frame, head and end included.
    pub(super) frame_max: u32,
}

impl Link {
    /// Connects, logs in, and opens the channel.
    pub(super) fn open(uri: &Uri) -> Result<Self, PerfError> {
        let mut link = Self::connect(uri)?;
        link.open_channel()?;
        Ok(link)
    }

    /// Connects and logs in.
    pub(super) fn connect(uri: &Uri) -> Result<Self, PerfError> {
        let socket = connect(uri)?;
        socket.set_nodelay(true)?;
        set_timeouts(&socket, CONNECT_TIMEOUT)?;
        let secure = uri.tls.as_ref().map(|tls| Secure::open(tls, &uri.host, &socket));
        let secure = secure.transpose()?.map(Box::new);
        set_timeouts(&socket, ANSWER_TIMEOUT)?;
        let input = Input::new(STAMP_SIZE);
        let mut link = Self { socket: Arc::new(socket), secure, input, frame_max: FRAME_MAX };
        link.write(&ProtocolHeader::AMQP_0_9_1)?;
        link.log_in(uri).map_err(|error| judged(error, &uri.host))?;
        Ok(link)
    }

    /// Opens the channel.
    pub(super) fn open_channel(&mut self) -> Result<(), PerfError> {
        self.call(CHANNEL, channel::Open {}, "channel.open-ok", |method| {
            matches!(method, Method::ChannelOpenOk(_)).then_some(())
        })
    }

    /// Closes the channel.
    pub(super) fn close_channel(&mut self) -> Result<(), PerfError> {
        let reply_text = ShortString::from_static("done");
        let close = channel::Close { reply_code: 200, reply_text, class_id: 0, method_id: 0 };
        self.call(CHANNEL, close, "channel.close-ok", |method| {
            matches!(method, Method::ChannelCloseOk(_)).then_some(())
        })
    }

    fn log_in(&mut self, uri: &Uri) -> Result<(), PerfError> {
        self.answer("connection.start", |method| {
            matches!(method, Method::ConnectionStart(_)).then_some(())
        })?;
        let response = format!("\0{}\0{}", uri.user, uri.password);
        let start_ok = connection::StartOk {
            client_properties: client_properties(),
            mechanism: ShortString::from_static("PLAIN"),
            response: Bytes::from(response),
            locale: ShortString::from_static("en_US"),
        };
        let zero = ChannelId::CONNECTION;
        let tune = self.call(zero, start_ok, "connection.tune", |method| match method {
            Method::ConnectionTune(tune) => Some(tune),
            _ => None,
        });
        let tune = tune.map_err(|error| match error {
            PerfError::Gone { .. } => PerfError::Gone { during: Some("at the login") },
            error => error,
        })?;
        if tune.frame_max != 0 {
            self.frame_max = tune.frame_max.min(FRAME_MAX);
        }
        let (channel_max, frame_max) = (tune.channel_max, self.frame_max);
        // No heartbeats: a broker that stands still is something to be measured.
        self.send(zero, connection::TuneOk { channel_max, frame_max, heartbeat: 0 })?;
        let open = connection::Open { virtual_host: short(&uri.vhost)? };
        self.call(zero, open, "connection.open-ok", |method| {
            matches!(method, Method::ConnectionOpenOk(_)).then_some(())
        })
    }

    /// Sends a method and waits for its answer. What it asks for is told by name if something else comes.
    pub(super) fn call<T>(
        &mut self,
        channel: ChannelId,
        method: impl Into<Method>,
        expected: &'static str,
        take: impl FnOnce(Method) -> Option<T>,
    ) -> Result<T, PerfError> {
        self.send(channel, method)?;
        self.answer(expected, take)
    }

    /// Sends a method that is not answered.
    pub(super) fn send(
        &mut self,
        channel: ChannelId,
        method: impl Into<Method>,
    ) -> Result<(), PerfError> {
        let mut frame = BytesMut::new();
        method.into().encode(channel, &mut frame);
        Ok(self.write(&frame)?)
    }

    /// Writes all of it; only while the socket blocks.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.secure {
            None => (&*self.socket).write_all(bytes),
            Some(secure) => secure.write_all(&self.socket, bytes),
        }
    }

    /// Waits for a method.
    fn answer<T>(
        &mut self,
        expected: &'static str,
        take: impl FnOnce(Method) -> Option<T>,
    ) -> Result<T, PerfError> {
        let method = self.next_method(expected)?;
        check_open(&method)?;
        let got = method.name();
        take(method).ok_or_else(|| PerfError::Unexpected { expected, got: got.to_owned() })
    }

    /// Waits for the next method. What else comes is passed over.
    pub(super) fn next_method(&mut self, expected: &'static str) -> Result<Method, PerfError> {
        loop {
            while let Some(piece) = self.input.next(self.frame_max)? {
                if let Piece::Frame(frame) = piece
                    && frame.kind == FrameKind::Method
                {
                    return Ok(Method::decode(frame.payload)?);
                }
            }
            match self.fill() {
                Ok(0) => return Err(PerfError::Gone { during: None }),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    let got = format!("nothing in {} s", ANSWER_TIMEOUT.as_secs());
                    return Err(PerfError::Unexpected { expected, got });
                }
                Err(error) => return Err(ended(error)),
            }
        }
    }

    /// From here on nothing waits: what can't be done at once is left.
    pub(super) fn go(&self) -> Result<(), PerfError> {
        Ok(self.socket.set_nonblocking(true)?)
    }

    /// The socket, to wait for it.
    pub(super) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// Reads what there is; `false` if nothing was.
    pub(super) fn read(&mut self) -> Result<bool, PerfError> {
        match self.read_some() {
            Ok(0) => Err(PerfError::Gone { during: None }),
            Ok(_) => Ok(true),
            Err(error) if is_timeout(&error) => Ok(false),
            Err(error) => Err(ended(error)),
        }
    }

    /// Takes what there is.
    fn fill(&mut self) -> io::Result<usize> {
        match &mut self.secure {
            None => self.input.fill(&*self.socket),
            Some(secure) => self.input.fill(secure.reader(&self.socket)),
        }
    }

    /// Takes what there is. Where a large body goes on that nobody looks at, the system does not even copy it, but for
    /// TLS, where it has to be decrypted.
    fn read_some(&mut self) -> io::Result<usize> {
        if self.secure.is_some() {
            return self.fill();
        }
        let Some(room) = self.input.discardable() else { return self.fill() };
        let (_, len) = rustix::net::recv(&*self.socket, room, RecvFlags::TRUNC)?;
        self.input.discarded(len);
        Ok(len)
    }

    /// Writes what fits, and says how much that was.
    pub(super) fn write_some(&mut self, bytes: &[u8]) -> Result<usize, PerfError> {
        let written = match &mut self.secure {
            None => (&*self.socket).write(bytes),
            Some(secure) => secure.write_some(&self.socket, bytes),
        };
        match written {
            Ok(written) => Ok(written),
            Err(error) if is_timeout(&error) => Ok(0),
            Err(error) => Err(ended(error)),
        }
    }

    /// Whether there is something to read for which the socket will not be ready.
    pub(super) fn has_unread(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.has_unread())
    }

    /// Whether there is something to be flushed once the socket takes more.
    pub(super) fn has_unflushed(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.has_unwritten())
    }

    /// Hands the socket what was written before, as far as it takes it.
    pub(super) fn flush(&mut self) -> Result<(), PerfError> {
        let Some(secure) = &mut self.secure else { return Ok(()) };
        match secure.flush(&self.socket) {
            Err(error) if !is_timeout(&error) => Err(ended(error)),
            _ => Ok(()),
        }
    }

    /// Says goodbye after what is left to write, and waits until the broker has taken all of it in. It may be
    /// in no state for that, which is no failure of the run.
    pub(super) fn close(&mut self, last_words: &[u8]) {
        let _ = self.try_close(last_words);
    }

    /// Says goodbye as [`close`](Self::close) does, where it is part of what is measured.
    pub(super) fn try_close(&mut self, last_words: &[u8]) -> Result<(), PerfError> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(CLOSE_TIMEOUT))?;
        self.socket.set_write_timeout(Some(CLOSE_TIMEOUT))?;
        self.write(last_words)?;
        let reply_text = ShortString::from_static("done");
        let close = connection::Close { reply_code: 200, reply_text, class_id: 0, method_id: 0 };
        self.send(ChannelId::CONNECTION, close)?;
        while !matches!(self.next_method("connection.close-ok")?, Method::ConnectionCloseOk(_)) {}
        Ok(())
    }
}

fn connect(uri: &Uri) -> Result<TcpStream, PerfError> {
    let refused = |source| {
        let address = format!("{}:{}", uri.host, uri.port);
        PerfError::Connect { address, source }
    };
    let addresses = (uri.host.as_str(), uri.port).to_socket_addrs().map_err(refused)?;
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(refused(last))
}

fn set_timeouts(socket: &TcpStream, timeout: Duration) -> io::Result<()> {
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))
}

/// What ends a session in its first moments is what the broker thinks of the client's certificate: with TLS 1.3 it looks
/// at that after the client has done with the handshake.
fn judged(error: PerfError, host: &str) -> PerfError {
    match error {
        PerfError::Io(source) if refusal(&source).is_some() => {
            PerfError::Tls { host: host.to_owned(), source }
        }
        error => error,
    }
}

/// A socket that ends in the middle is one that the broker closed.
fn ended(error: io::Error) -> PerfError {
    match error.kind() {
        ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted
        | ErrorKind::UnexpectedEof => PerfError::Gone { during: None },
        _ => PerfError::Io(error),
    }
}

/// Of a socket that does not block, or of one with a timeout.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn client_properties() -> FieldTable {
    let capabilities: FieldTable =
        ["publisher_confirms", "connection.blocked", "authentication_failure_close"]
            .map(|name| (ShortString::from_static(name), FieldValue::Bool(true)))
            .into_iter()
            .chain([(ShortString::from_static("consumer_cancel_notify"), FieldValue::Bool(true))])
            .collect();
    let text = |text| FieldValue::LongString(Bytes::from_static(text));
    [
        (ShortString::from_static("product"), text(b"leveret perf")),
        (ShortString::from_static("capabilities"), FieldValue::Table(capabilities)),
    ]
    .into_iter()
    .collect()
}

/// A name for the wire.
pub(super) fn short(name: &str) -> Result<ShortString, PerfError> {
    ShortString::new(name)
        .map_err(|TooLong { len }| PerfError::Plan(format!("a name has {len} bytes; 255 fit")))
}
