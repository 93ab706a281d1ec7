//! Method, header and body frames, put together to one message.

use amqp_codec::method::basic;
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

/// A complete message as the client published it.
#[derive(Debug)]
pub struct Content {
    /// The method in front of it.
    pub publish: basic::Publish,
    /// Length of the raw properties in `bytes`.
    pub properties_len: u32,
    /// Exchange, routing key, raw properties and, if small, the body, one after the other.
    pub bytes: Vec<u8>,
    /// The body, if large.
    pub segments: Vec<Bytes>,
    /// Bytes in the body.
    pub body_len: u64,
}

impl Content {
    /// The raw property flags and list.
    pub fn properties(&self) -> &[u8] {
        let start =
            self.publish.exchange.as_bytes().len() + self.publish.routing_key.as_bytes().len();
        &self.bytes[start..start + self.properties_len as usize]
    }

    /// What of the body is not in segments.
    pub fn inline_body(&self) -> &[u8] {
        let names =
            self.publish.exchange.as_bytes().len() + self.publish.routing_key.as_bytes().len();
        &self.bytes[names + self.properties_len as usize..]
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

/// Puts one channel's contents together.
#[derive(Debug, Default)]
pub struct ContentAssembler {
    awaiting: Awaiting,
    /// A buffer that was used before and is to be used again.
    spare: Vec<u8>,
}

#[derive(Debug, Default)]
enum Awaiting {
    #[default]
    Method,
    Header(Box<basic::Publish>),
    Body(Box<Partial>),
}

#[derive(Debug)]
struct Partial {
    content: Content,
    missing: u64,
    /// Small pieces of a large body, gathered so that a body in tiny frames costs its own size.
    gather: BytesMut,
}

impl ContentAssembler {
    /// Starts a message.
    ///
    /// # Errors
    /// 505 if another one is not complete.
    pub fn method(&mut self, publish: basic::Publish) -> Result<(), Exception> {
        self.expect_method()?;
        self.awaiting = Awaiting::Header(Box::new(publish));
        Ok(())
    }

    /// Checks that a method frame may come now.
    ///
    /// # Errors
    /// 505 while a content is not complete.
    pub fn expect_method(&self) -> Result<(), Exception> {
        match self.awaiting {
            Awaiting::Method => Ok(()),
            Awaiting::Header(_) => Err(not_a_header()),
            Awaiting::Body(_) => Err(not_a_body()),
        }
    }

    /// Takes a header frame; the whole content if it has no body.
    ///
    /// # Errors
    /// 505 if no method came before it or its class is not the method's; 406 if the body is larger
    /// than `body_max`; a decoding error for malformed properties.
    pub fn header(&mut self, payload: &[u8], body_max: u64) -> Result<Option<Content>, Exception> {
        let publish = match std::mem::take(&mut self.awaiting) {
            Awaiting::Header(publish) => *publish,
            Awaiting::Method => return Err(not_a_method()),
            Awaiting::Body(_) => return Err(not_a_body()),
        };
        let header = RawContentHeader::parse(payload).map_err(|_| not_a_header())?;
        if header.class_id != BASIC {
            return Err(unexpected(format!(
                "expected content header for class {BASIC}, got one for class {} instead",
                header.class_id
            )));
        }
        if header.body_size > body_max {
            return Err(Exception::new(
                ReplyCode::PreconditionFailed,
                format!(
                    "message size {} is larger than configured max size {body_max}",
                    header.body_size
                ),
            )
            .blame(publish_ids()));
        }
        let content = self.begin(publish, header);
        if content.body_len == 0 {
            return Ok(Some(content));
        }
        let missing = content.body_len;
        self.awaiting =
            Awaiting::Body(Box::new(Partial { content, missing, gather: BytesMut::new() }));
        Ok(None)
    }

    /// Takes a body frame; the whole content if it was the last.
    ///
    /// # Errors
    /// 505 if no header came before it, or if it is longer than what is missing.
    pub fn body(&mut self, payload: Payload<'_>) -> Result<Option<Content>, Exception> {
        let Awaiting::Body(partial) = &mut self.awaiting else {
            return Err(match self.awaiting {
                Awaiting::Header(_) => not_a_header(),
                _ => not_a_method(),
            });
        };
        let len = payload.as_slice().len() as u64;
        if len > partial.missing {
            return Err(unexpected(format!(
                "content body is longer than its header says: {} bytes too many",
                len - partial.missing
            )));
        }
        partial.missing -= len;
        partial.append(payload);
        if partial.missing > 0 {
            return Ok(None);
        }
        let Awaiting::Body(partial) = std::mem::take(&mut self.awaiting) else { return Ok(None) };
        Ok(Some(partial.finish()))
    }

    /// Bytes of an incomplete message held here: names, properties, and what has come of the body.
    pub fn held(&self) -> usize {
        match &self.awaiting {
            Awaiting::Body(partial) => partial.held(),
            _ => 0,
        }
    }

    /// Takes back a content's buffer once the message is stored.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        const KEEP: usize = 4 * 1024;
        if bytes.capacity() <= KEEP {
            bytes.clear();
            self.spare = bytes;
        }
    }

    fn begin(&mut self, publish: basic::Publish, header: RawContentHeader<'_>) -> Content {
        let mut bytes = std::mem::take(&mut self.spare);
        for part in [publish.exchange.as_bytes(), publish.routing_key.as_bytes(), header.properties]
        {
            bytes.extend_from_slice(part);
        }
        Content {
            publish,
            properties_len: u32::try_from(header.properties.len()).unwrap_or(u32::MAX),
            bytes,
            segments: Vec::new(),
            body_len: header.body_size,
        }
    }
}

impl Partial {
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

    fn held(&self) -> usize {
        let Self { content, missing, .. } = self;
        if content.body_len <= INLINE_BODY_MAX {
            return content.bytes.len();
        }
        let received = usize::try_from(content.body_len - missing).unwrap_or(usize::MAX);
        content.bytes.len().saturating_add(received)
    }

    fn flush(&mut self) {
        if !self.gather.is_empty() {
            self.content.segments.push(self.gather.split().freeze());
        }
    }

    fn finish(mut self) -> Content {
        self.flush();
        self.content
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
