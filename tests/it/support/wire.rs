//! Bytes to be sent in one go, whatever they are.

use amqp_codec::{ChannelId, Method, write_body, write_content_header, write_heartbeat};
use bytes::{BufMut, BytesMut};

use super::{BasicProperties, basic};

/// Frames one after the other, for a single write.
#[derive(Debug, Default, Clone)]
pub(crate) struct Wire(BytesMut);

/// A frame of any type with any payload.
pub(crate) fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.put_u16(channel);
    frame.put_u32(u32::try_from(payload.len()).expect("a payload of less than 4 GiB"));
    frame.extend_from_slice(payload);
    frame.push(amqp_codec::FRAME_END);
    frame
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[must_use]
    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    #[must_use]
    pub(crate) fn method(mut self, channel: u16, method: impl Into<Method>) -> Self {
        method.into().encode(ChannelId(channel), &mut self.0);
        self
    }

    /// A content header with `properties` as they are to be on the wire: flags and list.
    #[must_use]
    pub(crate) fn header(mut self, channel: u16, body_size: u64, properties: &[u8]) -> Self {
        write_content_header(&mut self.0, ChannelId(channel), 60, body_size, properties);
        self
    }

    #[must_use]
    pub(crate) fn body(mut self, channel: u16, body: impl AsRef<[u8]>) -> Self {
        write_body(&mut self.0, ChannelId(channel), body.as_ref());
        self
    }

    #[must_use]
    pub(crate) fn heartbeat(mut self) -> Self {
        write_heartbeat(&mut self.0);
        self
    }

    /// A whole message without properties, its body in frames that everybody accepts.
    #[must_use]
    pub(crate) fn publish(
        self,
        channel: u16,
        publish: basic::Publish,
        body: impl AsRef<[u8]>,
    ) -> Self {
        self.publish_with(channel, publish, &BasicProperties::default(), body)
    }

    /// A whole message.
    #[must_use]
    pub(crate) fn publish_with(
        self,
        channel: u16,
        publish: basic::Publish,
        properties: &BasicProperties,
        body: impl AsRef<[u8]>,
    ) -> Self {
        const PIECE: usize = 4096 - amqp_codec::FRAME_OVERHEAD;
        let body = body.as_ref();
        let mut raw_properties = BytesMut::new();
        properties.encode(&mut raw_properties);
        let header =
            self.method(channel, publish).header(channel, body.len() as u64, &raw_properties);
        body.chunks(PIECE).fold(header, |wire, piece| wire.body(channel, piece))
    }
}
