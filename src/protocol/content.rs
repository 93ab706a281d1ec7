//! Method, header and body frames, put together to one message.

use amqp_codec::method::basic::{self, PublishRef};
use amqp_codec::{RawContentHeader, ReplyCode};
use bytes::{Bytes, BytesMut};

use super::exception::Exception;

/// Bodies up to this size are kept in one piece together with the message's names and properties;
/// larger ones stay in the pieces they came in.
pub const INLINE_BODY_MAX: u64 = 16 * 1024;

/// Body frames from this size on are worth taking as slices of the read buffer. A slice keeps its
/// whole buffer alive, so a smaller one would hold several times its own size.
pub const SLICE_MIN: usize = 32 * 1024;

/// The class of `basic`, the only one with content.
const BASIC: u16 = 60;

/// A message as the client published it.
#[derive(Debug, Default)]
pub struct Content {
    /// Exchange, routing key, raw properties and, if small, the body, one after the other.
    pub bytes: Vec<u8>,
    /// Length of the exchange's name in `bytes`.
    pub exchange_len: u8,
    /// Length of the routing key in `bytes`.
    pub routing_key_len: u8,
    /// Its publisher wants it back if no queue gets it.
    pub mandatory: bool,
    /// It is for consumers only that wait at this moment: AMQP has it, RabbitMQ does not.
    pub immediate: bool,
    /// Length of the raw properties in `bytes`.
    pub properties_len: u32,
    /// The body, if large.
    pub segments: Vec<Bytes>,
    /// Bytes in the body.
    pub body_len: u64,
}

impl Content {
    /// The name of the exchange.
    pub fn exchange(&self) -> &[u8] {
        &self.bytes[..usize::from(self.exchange_len)]
    }

    /// The routing key.
    pub fn routing_key(&self) -> &[u8] {
        &self.bytes[usize::from(self.exchange_len)..self.names_len()]
    }

    /// The raw property flags and list.
    pub fn properties(&self) -> &[u8] {
        &self.bytes[self.names_len()..self.head_len()]
    }

    /// The body, if small.
    pub fn inline_body(&self) -> &[u8] {
        &self.bytes[self.head_len()..]
    }

    /// Length of exchange and routing key in `bytes`.
    pub fn names_len(&self) -> usize {
        usize::from(self.exchange_len) + usize::from(self.routing_key_len)
    }

    fn head_len(&self) -> usize {
        self.names_len() + self.properties_len as usize
    }

    /// Names of up to 255 octets each: that is what a short string has at most.
    fn begin(&mut self, publish: PublishRef<'_>) {
        let PublishRef { exchange, routing_key, mandatory, immediate } = publish;
        self.clear();
        self.bytes.extend_from_slice(exchange);
        self.bytes.extend_from_slice(routing_key);
        (self.exchange_len, self.routing_key_len) = (exchange.len() as u8, routing_key.len() as u8);
        (self.mandatory, self.immediate) = (mandatory, immediate);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.segments.clear();
        (self.properties_len, self.body_len) = (0, 0);
    }
}

/// A frame's payload: borrowed from the read buffer, or a slice that owns its part of it.
#[derive(Debug)]
pub enum Payload<'a> {
    /// To be copied if it is to be kept.
    Borrowed(&'a [u8]),
    /// To be kept as it is.
    Owned(Bytes),
}

impl Payload<'_> {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Puts one channel's contents together, one after the other in the same place.
#[derive(Debug, Default)]
pub struct ContentAssembler {
    awaiting: Awaiting,
    content: Content,
    /// Bytes of the body that have not come.
    missing: u64,
    /// Small pieces of a large body, gathered so that a body in tiny frames costs its own size.
    gather: BytesMut,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Awaiting {
    #[default]
    Method,
    Header,
    Body,
}

impl ContentAssembler {
    /// Starts a message.
    ///
    /// # Errors
    /// 505 if another one is not complete.
    pub fn method(&mut self, publish: PublishRef<'_>) -> Result<(), Exception> {
        self.expect_method()?;
        self.content.begin(publish);
        self.awaiting = Awaiting::Header;
        Ok(())
    }

    /// Checks that a method frame may come now.
    ///
    /// # Errors
    /// 505 while a content is not complete.
    pub fn expect_method(&self) -> Result<(), Exception> {
        match self.awaiting {
            Awaiting::Method => Ok(()),
            Awaiting::Header => Err(not_a_header()),
            Awaiting::Body => Err(not_a_body()),
        }
    }

    /// Takes a header frame; whether the content is complete without a body.
    ///
    /// # Errors
    /// 505 if no method came before it or its class is not the method's; 406 if the body is larger
    /// than `body_max`; a decoding error for malformed properties.
    pub fn header(&mut self, payload: &[u8], body_max: u64) -> Result<bool, Exception> {
        match std::mem::take(&mut self.awaiting) {
            Awaiting::Header => {}
            Awaiting::Method => return Err(not_a_method()),
            Awaiting::Body => return Err(not_a_body()),
        }
        let header = RawContentHeader::parse(payload).map_err(|_| not_a_header())?;
        if header.class_id != BASIC {
            return Err(unexpected(format!(
                "expected content header for class {BASIC}, got one for class {} instead",
                header.class_id
            )));
        }
        if header.body_size > body_max {
            let size = header.body_size;
            let text = format!("message size {size} is larger than configured max size {body_max}");
            return Err(Exception::new(ReplyCode::PreconditionFailed, text).blame(publish_ids()));
        }
        self.content.bytes.extend_from_slice(header.properties);
        self.content.properties_len = u32::try_from(header.properties.len()).unwrap_or(u32::MAX);
        self.content.body_len = header.body_size;
        self.missing = header.body_size;
        if self.missing > 0 {
            self.awaiting = Awaiting::Body;
        }
        Ok(self.missing == 0)
    }

    /// Takes a body frame; whether the content is complete with it.
    ///
    /// # Errors
    /// 505 if no header came before it, or if it is longer than what is missing.
    pub fn body(&mut self, payload: Payload<'_>) -> Result<bool, Exception> {
        match self.awaiting {
            Awaiting::Body => {}
            Awaiting::Header => return Err(not_a_header()),
            Awaiting::Method => return Err(not_a_method()),
        }
        let len = payload.as_slice().len() as u64;
        if len > self.missing {
            return Err(unexpected(format!(
                "content body is longer than its header says: {} bytes too many",
                len - self.missing
            )));
        }
        self.missing -= len;
        self.append(payload);
        if self.missing == 0 {
            self.flush();
            self.awaiting = Awaiting::Method;
        }
        Ok(self.missing == 0)
    }

    /// The content that is complete.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The content is published: its memory is used for the next one, unless it is large.
    pub fn recycle(&mut self) {
        const KEEP: usize = 4 * 1024;
        self.content.clear();
        if self.content.bytes.capacity() > KEEP {
            self.content.bytes = Vec::new();
        }
        if self.content.segments.capacity() > 0 {
            self.content.segments = Vec::new();
        }
    }

    /// Bytes of an incomplete message held here: names, properties, and what has come of the body.
    pub fn held(&self) -> usize {
        let Self { awaiting, content, missing, .. } = self;
        if *awaiting != Awaiting::Body {
            return 0;
        }
        if content.body_len <= INLINE_BODY_MAX {
            return content.bytes.len();
        }
        let received = usize::try_from(content.body_len - missing).unwrap_or(usize::MAX);
        content.bytes.len().saturating_add(received)
    }

    fn append(&mut self, payload: Payload<'_>) {
        if self.content.body_len <= INLINE_BODY_MAX {
            self.content.bytes.extend_from_slice(payload.as_slice());
            return;
        }
        match payload {
            Payload::Owned(slice) => {
                self.flush();
                self.content.segments.push(slice);
            }
            Payload::Borrowed(bytes) => {
                self.gather.extend_from_slice(bytes);
                if self.gather.len() >= SLICE_MIN {
                    self.flush();
                }
            }
        }
    }

    fn flush(&mut self) {
        if !self.gather.is_empty() {
            self.content.segments.push(self.gather.split().freeze());
        }
    }
}

fn publish_ids() -> (u16, u16) {
    (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID)
}

fn unexpected(text: String) -> Exception {
    Exception::new(ReplyCode::UnexpectedFrame, text).blame(publish_ids())
}

fn not_a_header() -> Exception {
    unexpected(format!(
        "expected content header for class {BASIC}, got non content header frame instead"
    ))
}

fn not_a_body() -> Exception {
    unexpected("expected content body, got non content body frame instead".to_owned())
}

/// 505: content where none was announced.
pub(super) fn not_a_method() -> Exception {
    let text = "expected method frame, got non method frame instead";
    Exception::new(ReplyCode::UnexpectedFrame, text)
}

#[cfg(test)]
mod tests;
