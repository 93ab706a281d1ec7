//! AMQP 0-9-1 on the wire, with RabbitMQ's extensions.
//!
//! Bytes in, values out, and back. No I/O, no clock, no opinion on what a method means: servers,
//! clients, proxies and tests can all use it.
//!
//! ```text
//! frame      0      1         3             7                size+7    size+8
//!            +------+---------+-------------+  +-----------+  +-----+
//!            | type | channel |    size     |  |  payload  |  | CE  |
//!            +------+---------+-------------+  +-----------+  +-----+
//!             octet    short       long         size octets   octet
//!
//! payload    method     class-id short, method-id short, arguments      ([`Method`])
//!            header     class-id short, weight short (0), body-size longlong,
//!                       property flags short..., property list          ([`ContentHeader`])
//!            body       opaque
//!            heartbeat  empty
//! ```
//!
//! There are two ways in, and two ways out.
//!
//! * **Comfortable:** [`decode_frame`] turns a read buffer into [`Frame`]s with everything
//!   decoded; [`encode_frame`] is its inverse.
//! * **Fast:** [`split_frame`] finds a frame in the read buffer; [`method_ids`],
//!   [`RawContentHeader`] and [`PropertiesRef`] look at as much of it as is needed, without
//!   allocating; [`write_deliver`] and its neighbours write frames from borrowed parts.
//!
//! ```
//! use amqp_codec::method::basic;
//! use amqp_codec::{ChannelId, Frame, ShortString, decode_frame, encode_frame};
//! use bytes::BytesMut;
//!
//! let publish = basic::Publish {
//!     exchange: ShortString::from_static("logs"),
//!     routing_key: ShortString::from_static("kern.critical"),
//!     ..basic::Publish::default()
//! };
//! let frame = Frame::Method(ChannelId(1), publish.into());
//! let mut buffer = BytesMut::new();
//! encode_frame(&frame, &mut buffer);
//!
//! let cut_off = buffer.split_off(20); // as a socket may
//! assert_eq!(decode_frame(&mut buffer, 131_072)?, None);
//! buffer.unsplit(cut_off);
//! assert_eq!(decode_frame(&mut buffer, 131_072)?, Some(frame));
//! # Ok::<(), amqp_codec::DecodeError>(())
//! ```
//!
//! Limits, all there because the peer chooses the bytes: a frame is refused by its head if it is
//! larger than was negotiated, nothing is allocated by a length before that many bytes are seen
//! to be there, tables nest at most [`NESTING_MAX`] deep and hold at most [`TABLE_VALUES_MAX`]
//! values.

mod content_header;
mod encode;
mod error;
mod field_table;
mod field_value;
mod frame;
pub mod method;
mod primitive;
mod properties;
mod protocol_header;
mod raw_table;
mod reply_code;
#[cfg(test)]
mod strategy;
mod types;

pub use content_header::{ContentHeader, RawContentHeader};
pub use encode::{
    body_frame_head, body_part_max, write_ack, write_body, write_content, write_content_header,
    write_deliver, write_heartbeat, write_nack,
};
pub use error::DecodeError;
pub use field_table::{FieldTable, NESTING_MAX, TABLE_VALUES_MAX};
pub use field_value::FieldValue;
pub use frame::{
    FRAME_END, FRAME_HEAD_SIZE, FRAME_MIN_SIZE, FRAME_OVERHEAD, Frame, FrameHead, FrameKind,
    RawFrame, decode_frame, encode_frame, peek_frame_head, split_frame,
};
pub use method::{Method, method_ids};
pub use properties::{BasicProperties, PropertiesRef};
pub use protocol_header::ProtocolHeader;
pub use raw_table::{RawEntries, RawTable, RawValue};
pub use reply_code::{ReplyCode, Severity};
pub use types::{ChannelId, ShortString, TooLong};
