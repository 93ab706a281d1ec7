//! The handshake: `connection.start`, SASL, `connection.tune`.

use amqp_codec::method::connection;
use amqp_codec::{FieldTable, FieldValue, ProtocolHeader, ReplyCode, ShortString};
use bytes::Bytes;

use super::connection::Settings;
use super::exception::Exception;
use super::request::{Login, Mechanism};

/// RabbitMQ's version whose behaviour is the default; clients switch on it.
pub const RABBITMQ_VERSION: &str = "3.13.7";

/// What RabbitMQ's clients look for, all true.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// The limits that the broker proposes in `connection.tune`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Channels open at a time; 0 is unlimited.
    pub channel_max: u16,
    /// Bytes in a frame, its eight bytes of envelope included; 0 is unlimited.
    pub frame_max: u32,
    /// Seconds between heartbeats; 0 is off.
    pub heartbeat: u16,
}

/// The frame size that holds until another one is negotiated: large tokens come in `start-ok`.
pub const HANDSHAKE_FRAME_MAX: u32 = 8192;

/// No client may ask for frames smaller than this.
const FRAME_MIN: u32 = 4096;

/// The mechanisms that are offered to a client, in the order in which they were added: clients look for
/// their own.
pub fn mechanisms(settings: &Settings) -> Vec<Mechanism> {
    let mut mechanisms = vec![Mechanism::Plain, Mechanism::AmqPlain];
    mechanisms.extend(settings.anonymous.then_some(Mechanism::Anonymous));
    mechanisms.extend(settings.external.then_some(Mechanism::External));
    mechanisms
}

/// `connection.start`, in the version that the client asked for; what follows is 0-9-1 in any case.
pub fn start(
    header: ProtocolHeader,
    mechanisms: &[Mechanism],
    cluster_name: &str,
    durability: &str,
) -> connection::Start {
    let (version_major, version_minor) = match header {
        ProtocolHeader::Amqp08 => (8, 0),
        _ => (0, 9),
    };
    let mechanisms: Vec<&str> = mechanisms.iter().map(|mechanism| mechanism.name()).collect();
    connection::Start {
        version_major,
        version_minor,
        server_properties: server_properties(cluster_name, durability),
        mechanisms: Bytes::from(mechanisms.join(" ")),
        locales: Bytes::from_static(b"en_US"),
    }
}

/// RabbitMQ's keys, because clients read them, and leveret's own name and version behind.
fn server_properties(cluster_name: &str, durability: &str) -> FieldTable {
    let text = |value: &str| FieldValue::LongString(Bytes::copy_from_slice(value.as_bytes()));
    let capabilities = CAPABILITIES
        .into_iter()
        .map(|name| (ShortString::truncated(name), FieldValue::Bool(true)))
        .collect();
    [
        ("capabilities", FieldValue::Table(capabilities)),
        ("cluster_name", text(cluster_name)),
        ("copyright", text("Copyright (c) 2026 The leveret developers")),
        ("information", text("Licensed under Apache-2.0 OR MIT")),
        ("platform", text("Rust")),
        ("product", text("RabbitMQ")),
        ("version", text(RABBITMQ_VERSION)),
        ("leveret", text("leveret")),
        ("leveret_version", text(env!("CARGO_PKG_VERSION"))),
        ("leveret_durability", text(durability)),
    ]
    .into_iter()
    .map(|(name, value)| (ShortString::truncated(name), value))
    .collect()
}

/// Why a login could not even be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The client chose a mechanism that was not offered.
    #[error("unknown authentication mechanism '{0}'")]
    UnknownMechanism(String),
    /// The response is not what the mechanism prescribes.
    #[error("response for {0} is malformed")]
    Malformed(&'static str),
}

/// Reads `connection.start-ok`.
///
/// # Errors
/// [`LoginError`], for an unknown mechanism or a malformed response.
pub fn login(start_ok: connection::StartOk, offered: &[Mechanism]) -> Result<Login, LoginError> {
    let response = &start_ok.response;
    let (mechanism, user, password) = match start_ok.mechanism.as_bytes() {
        b"PLAIN" => {
            let (user, password) = plain(response).ok_or(LoginError::Malformed("PLAIN"))?;
            (Mechanism::Plain, user, password)
        }
        b"AMQPLAIN" => {
            let (user, password) = amqplain(response).ok_or(LoginError::Malformed("AMQPLAIN"))?;
            (Mechanism::AmqPlain, user, password)
        }
        b"ANONYMOUS" if offered.contains(&Mechanism::Anonymous) => {
            (Mechanism::Anonymous, String::new(), Vec::new())
        }
        // What a client says beside its certificate is not heard, as by RabbitMQ.
        b"EXTERNAL" if offered.contains(&Mechanism::External) => {
            (Mechanism::External, String::new(), Vec::new())
        }
        other => {
            let name = String::from_utf8_lossy(other).into_owned();
            return Err(LoginError::UnknownMechanism(name));
        }
    };
    Ok(Login { mechanism, user, password, client_properties: start_ok.client_properties })
}

/// `NUL user NUL password`. Like RabbitMQ it lets nobody log in as one user to act as another, so
/// nothing may stand in front; and RFC 4616 has no NUL inside the parts.
fn plain(response: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut parts = response.split(|&byte| byte == 0);
    let (nobody, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    if !nobody.is_empty() || parts.next().is_some() {
        return None;
    }
    Some((String::from_utf8_lossy(user).into_owned(), password.to_vec()))
}

/// A field table without its length in front.
fn amqplain(response: &[u8]) -> Option<(String, Vec<u8>)> {
    let table = FieldTable::decode_entries(response).ok()?;
    let text = |name: &str| match table.get(name) {
        Some(FieldValue::LongString(value)) => Some(value.clone()),
        _ => None,
    };
    let (user, password) = (text("LOGIN")?, text("PASSWORD")?);
    Some((String::from_utf8_lossy(&user).into_owned(), password.to_vec()))
}

/// `connection.tune`, with the broker's limits.
pub fn tune(limits: Limits) -> connection::Tune {
    connection::Tune {
        channel_max: limits.channel_max,
        frame_max: limits.frame_max,
        heartbeat: limits.heartbeat,
    }
}

/// The limits that hold after `connection.tune-ok`. A client may lower a limit; 0 asks for none, which
/// only a broker without one grants. For heartbeats any answer is taken: 0 turns them off.
///
/// # Errors
/// 530, for a limit above the broker's or a frame size below the minimum.
pub fn negotiate(offer: Limits, answer: &connection::TuneOk) -> Result<Limits, Exception> {
    let channel_max = u32::from(answer.channel_max);
    let channel_max = negotiate_limit("channel_max", u32::from(offer.channel_max), channel_max)?;
    let frame_max = negotiate_limit("frame_max", offer.frame_max, answer.frame_max)?;
    if frame_max != 0 && frame_max < FRAME_MIN {
        return Err(not_allowed(format!(
            "negotiated frame_max = {frame_max} is lower than the minimum allowed value ({FRAME_MIN})"
        )));
    }
    let channel_max = u16::try_from(channel_max).unwrap_or(u16::MAX);
    Ok(Limits { channel_max, frame_max, heartbeat: answer.heartbeat })
}

fn negotiate_limit(name: &str, offer: u32, answer: u32) -> Result<u32, Exception> {
    if offer == 0 || (answer != 0 && answer <= offer) {
        return Ok(answer);
    }
    let shown = if answer == 0 { "0 (no limit)".to_owned() } else { answer.to_string() };
    Err(not_allowed(format!(
        "negotiated {name} = {shown} is higher than the maximum allowed value ({offer})"
    )))
}

fn not_allowed(text: String) -> Exception {
    Exception::new(ReplyCode::NotAllowed, text)
}

#[cfg(test)]
mod tests;
