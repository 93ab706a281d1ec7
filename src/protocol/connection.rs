//! A connection's state machine: handshake, channels, close handshakes, heartbeats.
//!
//! Calls come in this order, again and again: [`Connection::next_request`] until it has no more,
//! [`Connection::output`] for the answers, [`Connection::handle_timeout`] at
//! [`Connection::next_deadline`]. Errors come back as a [`Failure`]; its scope says whether
//! [`Connection::close_channel`] or [`Connection::close`] is next.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use amqp_codec::method::{basic, channel, connection};
use amqp_codec::{
    ChannelId, DecodeError, FRAME_OVERHEAD, FieldTable, FieldValue, FrameKind, Method,
    ProtocolHeader, RawFrame, ReplyCode, ShortString, method_ids, peek_frame_head, split_frame,
    write_heartbeat,
};
use bytes::{Buf, BytesMut};
use rustc_hash::FxBuildHasher;

use super::content::{Content, ContentAssembler, Payload, SLICE_MIN, not_a_method};
use super::exception::{ErlangBinary, Exception, ids};
use super::handshake::{self, HANDSHAKE_FRAME_MAX, Limits, LoginError};
use super::heartbeat::{Due, Heartbeat};
use super::output::Output;
use super::request::Request;

/// How long the broker waits for `connection.close-ok`, as RabbitMQ does.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a refused client is kept waiting, so that guessing passwords takes time.
pub const REFUSAL_DELAY: Duration = Duration::from_secs(3);

/// The buffer never grows by more than this for a frame that was only announced.
const RESERVE_MAX: usize = 256 * 1024;

/// Room behind a frame that is awaited, for the beginning of the next. That is copied where the frame stays
/// where it was read; so it is little.
const READ_AHEAD: usize = 4 * 1024;

/// `connection.close-ok` as a frame: what a client says last.
const CLOSE_OK_FRAME: &[u8] = b"\x01\0\0\0\0\0\x04\0\x0a\0\x33\xce";

/// What a connection is told when it is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The limits to propose.
    pub limits: Limits,
    /// Bytes in the largest body accepted.
    pub body_max: u64,
    /// Whether `ANONYMOUS` is offered.
    pub anonymous: bool,
    /// Whether `EXTERNAL` is offered: to a client that showed a certificate.
    pub external: bool,
    /// How long the handshake may take.
    pub handshake_timeout: Duration,
    /// The name in the server properties.
    pub cluster_name: String,
    /// What a confirm means, as the server properties tell it: `fsync`, `os` or `none`.
    pub durability: &'static str,
}

/// Something went wrong on a channel (or, for channel 0, on the connection).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub channel: ChannelId,
    /// What.
    pub exception: Exception,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was received yet.
    AwaitingHeader,
    /// `connection.start` was sent.
    AwaitingStartOk,
    /// `connection.tune` was sent.
    AwaitingTuneOk,
    /// The limits hold; the client is to name a vhost.
    AwaitingOpen,
    /// Open.
    Running,
    /// `connection.close` was sent; everything but its answer is dropped.
    Closing,
    /// The client was refused without a word; the socket stays open until the deadline.
    Refused,
    /// Over: what is in the output is to be written, and the socket to be closed.
    Closed,
}

/// What the client says it can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCapabilities {
    /// It wants to be told when its consumers are cancelled.
    pub consumer_cancel_notify: bool,
    /// It understands `connection.blocked`.
    pub connection_blocked: bool,
    /// It wants `connection.close` when its login is refused.
    pub authentication_failure_close: bool,
}

impl ClientCapabilities {
    /// Reads the table `capabilities` of the client's properties.
    pub fn read(client_properties: &FieldTable) -> Self {
        let has = |name: &str| match client_properties.get("capabilities") {
            Some(FieldValue::Table(table)) => table.get(name) == Some(&FieldValue::Bool(true)),
            _ => false,
        };
        Self {
            consumer_cancel_notify: has("consumer_cancel_notify"),
            connection_blocked: has("connection.blocked"),
            authentication_failure_close: has("authentication_failure_close"),
        }
    }
}

/// One channel, as far as the conversation goes.
#[derive(Debug)]
enum Channel {
    Open(ContentAssembler),
    /// `channel.close` was sent; everything but its answer is dropped.
    Closing,
}

/// One client's conversation.
#[derive(Debug)]
pub struct Connection {
    settings: Settings,
    state: State,
    limits: Limits,
    channels: HashMap<ChannelId, Channel, FxBuildHasher>,
    /// Bytes of incomplete bodies, on all channels.
    held: usize,
    output: Output,
    heartbeat: Heartbeat,
    /// When the handshake or the close has taken too long.
    deadline: Option<Instant>,
    capabilities: ClientCapabilities,
    /// Requests that came so far.
    requests: u64,
}

impl Connection {
    /// A connection that was accepted now.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            state: State::AwaitingHeader,
            limits: Limits { channel_max: 0, frame_max: HANDSHAKE_FRAME_MAX, heartbeat: 0 },
            channels: HashMap::default(),
            held: 0,
            output: Output::new(HANDSHAKE_FRAME_MAX),
            heartbeat: Heartbeat::new(0, now),
            deadline: Some(now + settings.handshake_timeout),
            capabilities: ClientCapabilities::default(),
            requests: 0,
            settings,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// What the client can do.
    pub fn capabilities(&self) -> ClientCapabilities {
        self.capabilities
    }

    /// The limits that were negotiated.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What is to be written.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// The traffic watch, for whoever reads and writes the socket.
    pub fn heartbeat(&mut self) -> &mut Heartbeat {
        &mut self.heartbeat
    }

    /// Bytes of incomplete bodies, on all channels.
    pub fn held(&self) -> usize {
        self.held
    }

    /// A channel is gone, and with it the body that it was in the middle of.
    fn forget(&mut self, channel: Option<Channel>) {
        if let Some(Channel::Open(assembler)) = channel {
            self.held -= assembler.held();
        }
    }

    /// Reads frames off `input` until one makes a request; `None` once more bytes are needed.
    ///
    /// It is written where the caller has it: moved from function to function it would be read in other pieces
    /// than it was written in, and wait each time until these have reached the cache.
    ///
    /// # Errors
    /// [`Failure`], for [`Connection::close_channel`] or [`Connection::close`].
    pub fn next_request(
        &mut self,
        input: &mut BytesMut,
        request: &mut Option<Request>,
        now: Instant,
    ) -> Result<(), Failure> {
        *request = None;
        if self.state == State::AwaitingHeader && !self.protocol_header(input) {
            return Ok(());
        }
        while !matches!(self.state, State::Closed | State::Refused) {
            if !self.take_frame(input, request, now)? {
                return Ok(());
            }
            if request.is_some() {
                self.requests += 1;
                return Ok(());
            }
        }
        input.clear();
        Ok(())
    }

    /// Reads the protocol header; `false` while there is nothing more to do with the input.
    fn protocol_header(&mut self, input: &mut BytesMut) -> bool {
        match ProtocolHeader::parse(input) {
            None => false,
            Some(
                header
                @ (ProtocolHeader::Amqp091 | ProtocolHeader::Amqp09 | ProtocolHeader::Amqp08),
            ) => {
                input.advance(ProtocolHeader::AMQP_0_9_1.len());
                let Settings { cluster_name, durability, .. } = &self.settings;
                let mechanisms = handshake::mechanisms(&self.settings);
                let start = handshake::start(header, &mechanisms, cluster_name, durability);
                self.output.method(ChannelId::CONNECTION, start);
                self.state = State::AwaitingStartOk;
                true
            }
            Some(_) => {
                self.output.buffer().extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
                input.clear();
                self.state = State::Closed;
                false
            }
        }
    }

    /// Takes a frame, and notes what it makes; `false` while there is none.
    fn take_frame(
        &mut self,
        input: &mut BytesMut,
        request: &mut Option<Request>,
        now: Instant,
    ) -> Result<bool, Failure> {
        let frame_max = self.limits.frame_max;
        let split = match split_frame(input, frame_max) {
            Ok(split) => split,
            Err(error) => {
                let last_word = input.ends_with(CLOSE_OK_FRAME);
                // Where the next frame begins is anybody's guess.
                input.clear();
                return self.out_of_step(error, last_word);
            }
        };
        let Some((RawFrame { kind, channel, payload }, frame_len)) = split else {
            if let Ok(Some(head)) = peek_frame_head(input, frame_max) {
                let missing = head.frame_len().saturating_sub(input.len());
                input.reserve(missing.min(RESERVE_MAX) + READ_AHEAD);
            }
            return Ok(false);
        };
        let taken = if kind == FrameKind::Body && payload.len() >= SLICE_MIN {
            let frame = input.split_to(frame_len).freeze();
            let payload = frame.slice(const { FRAME_OVERHEAD - 1 }..frame_len - 1);
            self.frame(kind, channel, Payload::Owned(payload), request, now)
        } else {
            let taken = self.frame(kind, channel, Payload::Borrowed(payload), request, now);
            input.advance(frame_len);
            taken
        };
        match taken {
            Ok(()) => Ok(true),
            Err(exception) => Err(Failure { channel, exception }),
        }
    }

    /// The input can't be cut into frames. While closing that ends nothing: the only frame that
    /// counts then is the client's last.
    fn out_of_step(&mut self, error: DecodeError, last_word: bool) -> Result<bool, Failure> {
        if self.state != State::Closing {
            return Err(Failure { channel: ChannelId::CONNECTION, exception: error.into() });
        }
        if last_word {
            self.closed();
        }
        Ok(false)
    }

    fn frame(
        &mut self,
        kind: FrameKind,
        channel: ChannelId,
        payload: Payload<'_>,
        request: &mut Option<Request>,
        now: Instant,
    ) -> Result<(), Exception> {
        if self.state == State::Closing {
            self.frame_while_closing(kind, channel, payload.as_slice());
            return Ok(());
        }
        match kind {
            FrameKind::Heartbeat if channel == ChannelId::CONNECTION => Ok(()),
            FrameKind::Method if channel == ChannelId::CONNECTION => {
                let method = decode_method(payload.as_slice())?;
                let blamed = ids(&method);
                let made = self.connection_method(method, now);
                *request = made.map_err(|exception| exception.blame(blamed))?;
                Ok(())
            }
            _ if kind == FrameKind::Heartbeat
                || channel == ChannelId::CONNECTION
                || self.state != State::Running =>
            {
                Err(unexpected_frame(kind, payload.as_slice()))
            }
            FrameKind::Heartbeat => Ok(()),
            FrameKind::Method => self.channel_method(channel, payload.as_slice(), request),
            FrameKind::Header | FrameKind::Body => {
                if self.content_frame(kind, channel, payload)? {
                    *request = Some(Request::Publish(channel));
                }
                Ok(())
            }
        }
    }

    /// Only the close handshake goes on.
    fn frame_while_closing(&mut self, kind: FrameKind, channel: ChannelId, payload: &[u8]) {
        if kind != FrameKind::Method || channel != ChannelId::CONNECTION {
            return;
        }
        match Method::decode(payload) {
            Ok(Method::ConnectionClose(_)) => {
                self.output.method(ChannelId::CONNECTION, connection::CloseOk {});
            }
            Ok(Method::ConnectionCloseOk(_)) => self.closed(),
            _ => {}
        }
    }

    fn connection_method(
        &mut self,
        method: Method,
        now: Instant,
    ) -> Result<Option<Request>, Exception> {
        match (self.state, method) {
            (_, Method::ConnectionClose(_)) => {
                self.output.method(ChannelId::CONNECTION, connection::CloseOk {});
                self.closed();
                Ok(Some(Request::Close))
            }
            (State::AwaitingStartOk, Method::ConnectionStartOk(start_ok)) => {
                self.capabilities = ClientCapabilities::read(&start_ok.client_properties);
                match handshake::login(start_ok, &handshake::mechanisms(&self.settings)) {
                    Ok(login) => Ok(Some(Request::Login(Box::new(login)))),
                    Err(error) => Err(login_exception(&error)),
                }
            }
            (State::AwaitingTuneOk, Method::ConnectionTuneOk(answer)) => {
                self.limits = handshake::negotiate(self.settings.limits, &answer)?;
                self.output.set_frame_max(self.limits.frame_max);
                self.heartbeat = Heartbeat::new(self.limits.heartbeat, now);
                self.state = State::AwaitingOpen;
                Ok(None)
            }
            (State::AwaitingOpen, Method::ConnectionOpen(open)) => {
                Ok(Some(Request::OpenVHost(open.virtual_host)))
            }
            (State::Running, Method::ConnectionUpdateSecret(update)) => {
                Ok(Some(Request::UpdateSecret(update.new_secret)))
            }
            // Some clients say these back to the broker and expect nothing.
            (State::Running, Method::ConnectionBlocked(_) | Method::ConnectionUnblocked(_)) => {
                Ok(None)
            }
            _ => Err(self.unexpected_method()),
        }
    }

    fn unexpected_method(&self) -> Exception {
        let state = match self.state {
            State::AwaitingHeader => "handshake",
            State::AwaitingStartOk => "starting",
            State::AwaitingTuneOk => "tuning",
            State::AwaitingOpen => "opening",
            State::Running => "running",
            State::Closing | State::Refused => "closing",
            State::Closed => "closed",
        };
        let text = format!("unexpected method in connection state {state}");
        Exception::new(ReplyCode::ChannelError, text)
    }

    fn channel_method(
        &mut self,
        id: ChannelId,
        payload: &[u8],
        request: &mut Option<Request>,
    ) -> Result<(), Exception> {
        const OPEN: (u16, u16) = (channel::Open::CLASS_ID, channel::Open::METHOD_ID);
        const CLOSE: (u16, u16) = (channel::Close::CLASS_ID, channel::Close::METHOD_ID);
        const CLOSE_OK: (u16, u16) = (channel::CloseOk::CLASS_ID, channel::CloseOk::METHOD_ID);
        const ACK: (u16, u16) = (basic::Ack::CLASS_ID, basic::Ack::METHOD_ID);
        const PUBLISH: (u16, u16) = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);

        let blamed = ids_in(payload)?;
        match (self.channels.get_mut(&id), blamed) {
            (Some(Channel::Open(assembler)), PUBLISH) => {
                let publish = basic::PublishRef::decode(&payload[4..]);
                assembler.method(publish.map_err(|_| cannot_decode(payload))?)
            }
            (Some(Channel::Open(assembler)), ACK) => {
                assembler.expect_method()?;
                let ack = basic::Ack::decode(&payload[4..]).map_err(|_| cannot_decode(payload))?;
                *request = Some(Request::Ack(id, ack));
                Ok(())
            }
            (Some(Channel::Open(assembler)), _) => {
                assembler.expect_method()?;
                *request = self.open_channel_method(id, decode_method(payload)?)?;
                Ok(())
            }
            (Some(Channel::Closing), CLOSE) => {
                self.output.method(id, channel::CloseOk {});
                Ok(())
            }
            (Some(Channel::Closing), CLOSE_OK) => {
                self.channels.remove(&id);
                Ok(())
            }
            (Some(Channel::Closing), OPEN) => {
                Err(channel_error("second 'channel.open' seen").blame(blamed))
            }
            (Some(Channel::Closing), _) => Ok(()),
            (None, OPEN) => {
                self.open_channel(id).map_err(|exception| exception.blame(blamed))?;
                *request = Some(Request::OpenChannel(id));
                Ok(())
            }
            (None, _) => Err(channel_error("expected 'channel.open'").blame(blamed)),
        }
    }

    fn open_channel_method(
        &mut self,
        id: ChannelId,
        method: Method,
    ) -> Result<Option<Request>, Exception> {
        let blamed = ids(&method);
        match method {
            Method::ChannelOpen(_) => {
                Err(channel_error("second 'channel.open' seen").blame(blamed))
            }
            Method::ChannelClose(_) => Ok(Some(Request::CloseChannel(id))),
            Method::ChannelFlow(flow) if flow.active => {
                self.output.method(id, channel::FlowOk { active: true });
                Ok(None)
            }
            Method::ChannelFlow(_) => {
                Err(Exception::new(ReplyCode::NotImplemented, "active=false").blame(blamed))
            }
            method => Ok(Some(Request::Method(id, Box::new(method)))),
        }
    }

    fn open_channel(&mut self, id: ChannelId) -> Result<(), Exception> {
        let max = usize::from(self.limits.channel_max);
        if max != 0 && self.channels.len() >= max {
            let text = format!(
                "number of channels opened ({max}) has reached the negotiated channel_max ({max})"
            );
            return Err(Exception::new(ReplyCode::NotAllowed, text));
        }
        self.channels.insert(id, Channel::Open(ContentAssembler::default()));
        Ok(())
    }

    /// Whether a message is complete with it.
    fn content_frame(
        &mut self,
        kind: FrameKind,
        id: ChannelId,
        payload: Payload<'_>,
    ) -> Result<bool, Exception> {
        let assembler = match self.channels.get_mut(&id) {
            Some(Channel::Open(assembler)) => assembler,
            Some(Channel::Closing) => return Ok(false),
            None => return Err(not_a_method()),
        };
        let before = assembler.held();
        let is_complete = match kind {
            FrameKind::Header => assembler.header(payload.as_slice(), self.settings.body_max),
            _ => assembler.body(payload),
        };
        self.held = self.held + assembler.held() - before;
        is_complete
    }

    /// Requests that came so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The message of a [`Request::Publish`], and where answers to it go.
    pub fn publishing(&mut self, id: ChannelId) -> Option<(&Content, &mut Output)> {
        match self.channels.get(&id) {
            Some(Channel::Open(assembler)) => Some((assembler.content(), &mut self.output)),
            _ => None,
        }
    }

    /// A message was taken: its place is free for the next one.
    pub fn published(&mut self, id: ChannelId) {
        if let Some(Channel::Open(assembler)) = self.channels.get_mut(&id) {
            assembler.recycle();
        }
    }

    /// The login is good: on to the limits.
    pub fn login_accepted(&mut self) {
        self.output.method(ChannelId::CONNECTION, handshake::tune(self.settings.limits));
        self.state = State::AwaitingTuneOk;
    }

    /// The login is not good. A client that can take it is told; any other one's socket closes
    /// without a word, after a while.
    pub fn login_refused(&mut self, mechanism: &str, now: Instant) {
        if self.capabilities.authentication_failure_close {
            let text = format!(
                "Login was refused using authentication mechanism {mechanism}. For details see the \
                 broker logfile."
            );
            self.close(&Exception::new(ReplyCode::AccessRefused, text), now);
        } else {
            self.refuse(now + REFUSAL_DELAY);
        }
    }

    /// The vhost is there, and open.
    pub fn opened(&mut self) {
        self.output.method(ChannelId::CONNECTION, connection::OpenOk {});
        self.state = State::Running;
        self.deadline = None;
    }

    /// The session has a channel of this number: the client is told.
    pub fn channel_opened(&mut self, id: ChannelId) {
        self.output.method(id, channel::OpenOk {});
    }

    /// The session has given back all that a channel held: the client is told.
    pub fn channel_closed(&mut self, id: ChannelId) {
        let gone = self.channels.remove(&id);
        self.forget(gone);
        self.output.method(id, channel::CloseOk {});
    }

    /// Closes a channel because of an exception.
    pub fn close_channel(&mut self, id: ChannelId, exception: &Exception) {
        let reply_text = exception.reply_text();
        self.output.method(
            id,
            channel::Close {
                reply_code: exception.code.code(),
                reply_text,
                class_id: exception.class_id,
                method_id: exception.method_id,
            },
        );
        let before = self.channels.insert(id, Channel::Closing);
        self.forget(before);
    }

    /// Closes the connection: with the close handshake once the limits hold, without a word and
    /// after a while before that. A refused login is the exception that RabbitMQ makes.
    pub fn close(&mut self, exception: &Exception, now: Instant) {
        let wait = match self.state {
            State::AwaitingOpen | State::Running => CLOSE_TIMEOUT,
            State::AwaitingStartOk if exception.code == ReplyCode::AccessRefused => REFUSAL_DELAY,
            State::AwaitingHeader | State::AwaitingStartOk | State::AwaitingTuneOk => {
                return self.refuse(now + REFUSAL_DELAY);
            }
            State::Closing | State::Refused | State::Closed => return,
        };
        self.output.method(
            ChannelId::CONNECTION,
            connection::Close {
                reply_code: exception.code.code(),
                reply_text: exception.reply_text(),
                class_id: exception.class_id,
                method_id: exception.method_id,
            },
        );
        self.channels.clear();
        self.held = 0;
        self.state = State::Closing;
        self.deadline = Some(now + wait);
    }

    /// When [`Connection::handle_timeout`] is to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        match (self.deadline, self.heartbeat.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does what is due: a heartbeat, or the end of a connection that took too long or fell silent.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Expired> {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            let expired = match self.state {
                State::Closing | State::Refused => Expired::Close,
                _ => Expired::Handshake,
            };
            self.closed();
            return Some(expired);
        }
        match self.heartbeat.due(now) {
            Due::Nothing => None,
            Due::Send => {
                write_heartbeat(self.output.buffer());
                self.heartbeat.sent(now);
                None
            }
            Due::Dead => {
                self.closed();
                Some(Expired::Heartbeat)
            }
        }
    }

    /// `connection.blocked`, if the client understands it.
    pub fn blocked(&mut self, reason: &str) {
        if self.capabilities.connection_blocked {
            let reason = ShortString::truncated(reason);
            self.output.method(ChannelId::CONNECTION, connection::Blocked { reason });
        }
    }

    /// `connection.unblocked`, if the client understands it.
    pub fn unblocked(&mut self) {
        if self.capabilities.connection_blocked {
            self.output.method(ChannelId::CONNECTION, connection::Unblocked {});
        }
    }

    fn refuse(&mut self, until: Instant) {
        self.state = State::Refused;
        self.deadline = Some(until);
    }

    fn closed(&mut self) {
        self.channels.clear();
        self.held = 0;
        self.state = State::Closed;
        self.deadline = None;
        self.heartbeat = Heartbeat::new(0, self.heartbeat.last_received());
    }
}

/// What ended a connection without the client's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// The handshake took too long.
    Handshake,
    /// The client did not answer `connection.close`, or a refusal has lasted long enough.
    Close,
    /// The client fell silent.
    Heartbeat,
}

/// RabbitMQ's 501 for arguments that are not what their method has.
fn decode_method(payload: &[u8]) -> Result<Method, Exception> {
    ids_in(payload)?;
    Method::decode(payload).map_err(|error| match error {
        DecodeError::UnknownMethod { .. } => error.into(),
        _ => cannot_decode(payload),
    })
}

/// RabbitMQ's 501 for a method frame too short to name a method.
fn ids_in(payload: &[u8]) -> Result<(u16, u16), Exception> {
    method_ids(payload).map_err(|_| {
        let text = format!("type 1, all octets = {}: unknown_frame", ErlangBinary(payload));
        Exception::new(ReplyCode::FrameError, text)
    })
}

fn cannot_decode(payload: &[u8]) -> Exception {
    let (ids, arguments) = payload.split_at(payload.len().min(4));
    let text = format!("cannot decode {}", ErlangBinary(arguments));
    let blamed = method_ids(ids).unwrap_or_default();
    Exception::new(ReplyCode::FrameError, text).blame(blamed)
}

fn unexpected_frame(kind: FrameKind, payload: &[u8]) -> Exception {
    let text = format!("type {}, all octets = {}", kind.code(), ErlangBinary(payload));
    Exception::new(ReplyCode::UnexpectedFrame, text)
}

fn channel_error(text: &str) -> Exception {
    Exception::new(ReplyCode::ChannelError, text)
}

fn login_exception(error: &LoginError) -> Exception {
    let code = match error {
        LoginError::UnknownMechanism(_) => ReplyCode::CommandInvalid,
        LoginError::Malformed(_) => ReplyCode::SyntaxError,
    };
    Exception::new(code, error.to_string())
}

#[cfg(test)]
mod tests;
