//! What a connection leaves in the log: a line for each event, in RabbitMQ's words.
//!
//! What a client says of itself is anybody's text, so control characters are escaped: a line stays a line.
//! RabbitMQ numbers connections by their Erlang processes; here it is the connection's own number.

use std::fmt::Write as _;
use std::time::Instant;

use amqp_codec::{FieldTable, FieldValue, Method, ProtocolHeader, ReplyCode};

use super::client::Client;
use super::one_line::OneLine;
use crate::protocol::connection::{Failure, State};
use crate::protocol::exception::{ErlangBinary, Scope};

/// How a TLS client begins: with a record of the handshake.
const TLS_HANDSHAKE: u8 = 22;

/// What a client said of itself, and what the log says of it already.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    /// What it wants to be called.
    pub(super) name: Option<Box<str>>,
    /// The library it uses, with its version.
    product: Option<Box<str>>,
    told: Told,
}

/// How much of a connection's life is in the log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing, as it has said nothing yet: who only looks whether a port is open leaves no line.
    #[default]
    Nothing,
    /// That it is there.
    Accepted,
    /// What will end it.
    Failed,
    /// Its end.
    Closed,
}

impl Introduction {
    fn read(&mut self, properties: &FieldTable) {
        let text = |name: &str| match properties.get(name) {
            Some(FieldValue::LongString(text)) => {
                Some(OneLine(String::from_utf8_lossy(text)).to_string())
            }
            _ => None,
        };
        self.name = text("connection_name").filter(|name| !name.is_empty()).map(Into::into);
        let version = text("version").unwrap_or_default();
        let product = text("product").map(|product| format!("{product} {version}"));
        self.product = product.map(|product| product.trim_end().into());
    }
}

impl Client {
    /// The first bytes are there, or some of them.
    pub(super) fn log_first_bytes(&mut self, input: &[u8]) {
        if input.is_empty() {
            return;
        }
        if self.introduction.told == Told::Nothing {
            self.introduction.told = Told::Accepted;
            tracing::info!(
                connection = self.id.0,
                peer = %self.peer.address,
                tls = self.peer.encryption.as_ref().map(|tls| tls.protocol),
                "accepting AMQP connection {} ({})", self.pid(), self.peer.name()
            );
        }
        match ProtocolHeader::parse(input) {
            Some(ProtocolHeader::Amqp10 { .. } | ProtocolHeader::Other(_)) => {}
            _ => return,
        }
        self.introduction.told = Told::Closed;
        let header = ErlangBinary(&input[..input.len().min(ProtocolHeader::LEN)]);
        tracing::error!(
            connection = self.id.0,
            peer = %self.peer.address,
            "closing AMQP connection {} ({}): {{bad_header,{header}}}{}",
            self.pid(), self.peer.name(), spoken(input)
        );
    }

    /// It said who it is.
    pub(super) fn log_introduction(&mut self, properties: &FieldTable) {
        self.introduction.read(properties);
        let Some(name) = &self.introduction.name else { return };
        tracing::info!(
            connection = self.id.0,
            "connection {} ({}) has a client-provided name: {name}",
            self.pid(),
            self.peer.name()
        );
    }

    /// It got in.
    pub(super) fn log_opened(&self) {
        let Some(session) = &self.session else { return };
        let (user, vhost) = (&self.user, session.vhost.name());
        tracing::info!(
            connection = self.id.0,
            peer = %self.peer.address,
            user,
            vhost = %vhost,
            product = self.introduction.product.as_deref(),
            "connection {} ({}): user '{}' authenticated and granted access to vhost '{}'",
            self.pid(), self.named(), OneLine(user), OneLine(vhost)
        );
    }

    /// Its login is not good. Neither passwords nor their hashes are ever part of the reason.
    pub(super) fn log_refused(&mut self, mechanism: &str, user: &str, reason: &str, now: Instant) {
        self.introduction.told = Told::Failed;
        let Some(line) = self.host.refused_login_line(now) else { return };
        tracing::error!(
            connection = self.id.0,
            peer = %self.peer.address,
            user,
            "Error on AMQP connection {} ({}, state: starting): {mechanism} login refused: \
             user '{}'{reason}{line}",
            self.pid(), self.peer.name(), OneLine(user)
        );
    }

    /// An exception closes a channel, or the connection.
    pub(super) fn log_failure(&mut self, failure: &Failure) {
        let exception = &failure.exception;
        let method = Method::name_of(exception.class_id, exception.method_id).unwrap_or("none");
        let code = exception.code.name().to_ascii_lowercase();
        let (text, channel) = (OneLine(&exception.text), failure.channel.0);
        if exception.scope(failure.channel) != Scope::Connection {
            tracing::error!(
                target: "leveret::channel",
                connection = self.id.0,
                channel,
                "Channel error on connection {} ({}{}), channel {channel}: operation {method} \
                 caused a channel exception {code}: {text}",
                self.pid(),
                self.peer.name(),
                self.place()
            );
            return;
        }
        self.introduction.told = Told::Failed;
        let (name, place, state) = (self.peer.name(), self.place(), state_name(self.state()));
        let on = format!("Error on AMQP connection {} ({name}{place}, state: {state})", self.pid());
        let connection = self.id.0;
        if self.session.is_none() {
            tracing::error!(connection, "{on}: {text}");
        } else if exception.code == ReplyCode::ConnectionForced {
            // Somebody's wish, and nobody's mistake.
            tracing::warn!(
                connection,
                "{on}, channel {channel}: operation {method} caused a connection exception {code}: \
                 \"{text}\""
            );
        } else {
            tracing::error!(
                connection,
                channel,
                "{on}, channel {channel}: operation {method} caused a connection exception {code}: \
                 \"{text}\""
            );
        }
    }

    /// It said goodbye.
    pub(super) fn log_closed(&mut self) {
        self.introduction.told = Told::Closed;
        tracing::info!(
            connection = self.id.0,
            peer = %self.peer.address,
            "closing AMQP connection {} ({}{})", self.pid(), self.named(), self.place()
        );
    }

    /// It took too long.
    pub(super) fn log_timeout(&mut self, reason: &str) {
        self.introduction.told = Told::Closed;
        tracing::error!(
            connection = self.id.0,
            peer = %self.peer.address,
            "closing AMQP connection {} ({}): {reason}", self.pid(), self.named()
        );
    }

    /// Whether it has sent anything at all.
    pub(super) fn has_spoken(&self) -> bool {
        self.introduction.told != Told::Nothing
    }

    /// Its socket is gone.
    pub(super) fn log_disconnected(&mut self) {
        match self.introduction.told {
            Told::Nothing | Told::Closed => {}
            Told::Failed => self.log_closed(),
            Told::Accepted => {
                self.introduction.told = Told::Closed;
                tracing::warn!(
                    connection = self.id.0,
                    peer = %self.peer.address,
                    "closing AMQP connection {} ({}{}): client unexpectedly closed TCP connection",
                    self.pid(), self.named(), self.place()
                );
            }
        }
    }

    /// Its number, as RabbitMQ would write it.
    pub(super) fn pid(&self) -> String {
        self.id.pid()
    }

    /// Addresses, and what it wants to be called.
    fn named(&self) -> String {
        let mut named = self.peer.name();
        if let Some(name) = &self.introduction.name {
            // Writing to a string cannot fail.
            let _ = write!(named, " - {name}");
        }
        named
    }

    /// `, vhost: '/', user: 'guest'`, as far as they are known.
    fn place(&self) -> String {
        let mut place = String::new();
        // Writing to a string cannot fail.
        if let Some(session) = &self.session {
            let _ = write!(place, ", vhost: '{}'", OneLine(session.vhost.name()));
        }
        if !self.user.is_empty() {
            let _ = write!(place, ", user: '{}'", OneLine(&self.user));
        }
        place
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::AwaitingHeader => "handshake",
        State::AwaitingStartOk => "starting",
        State::AwaitingTuneOk => "tuning",
        State::AwaitingOpen => "opening",
        State::Running => "running",
        State::Closing | State::Refused => "closing",
        State::Closed => "closed",
    }
}

/// What a client seems to speak that does not speak AMQP 0-9-1, and what to do about it.
fn spoken(input: &[u8]) -> &'static str {
    match input {
        [TLS_HANDSHAKE, ..] => {
            "; the client speaks TLS on the port for plain AMQP: let it use the port for TLS, or amqp://"
        }
        [b'A', b'M', b'Q', b'P', _, 1, 0, 0, ..] => {
            "; the client speaks AMQP 1.0, and this is a broker for AMQP 0-9-1"
        }
        [b'G', b'E', b'T', b' ', ..]
        | [b'P', b'O', b'S', b'T', ..]
        | [b'H', b'E', b'A', b'D', ..] => "; the client speaks HTTP on the port for AMQP",
        _ => "",
    }
}
