//! Messages whose content follows from their number.

use amqp_codec::ShortString;
use bytes::Bytes;

use super::model::MessageNumber;
use crate::broker::message::{Message, MessageExtras, MessageParts};
use crate::broker::time::Timestamp;

/// What is told apart of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    exchange: String,
    routing_key: String,
    properties: Vec<u8>,
    body: Vec<u8>,
    persistent: bool,
    priority: u8,
    extras: MessageExtras,
}

impl Content {
    /// Most are small; some have a frame and a segment of their own.
    fn numbered(number: MessageNumber) -> Self {
        let length = match number % 97 {
            7 => 20_000,
            n if n % 16 == 3 => 1500,
            n => n as usize * 3,
        };
        let word = number.wrapping_mul(0x0101_0101_0101_0111).to_le_bytes();
        let mut body = word.repeat(length / word.len() + 1);
        body.truncate(length);
        let mut extras = MessageExtras::default();
        if number % 5 == 1 {
            extras.time_to_live = Some(number);
        }
        if number % 7 == 2 {
            extras.due = Some(Timestamp(number));
            extras.copies = vec![ShortString::from_static("copy")];
        }
        Self {
            exchange: format!("exchange-{}", number % 3),
            routing_key: format!("key-{number}"),
            properties: number.to_be_bytes().to_vec(),
            body,
            persistent: !number.is_multiple_of(11),
            priority: (number % 10) as u8,
            extras,
        }
    }

    /// The message, which is to enter so many queues.
    fn message(&self, queues: u32) -> Message {
        let Self { exchange, routing_key, properties, body, .. } = self;
        let mut bytes = [exchange.as_bytes(), routing_key.as_bytes(), properties].concat();
        let is_large = body.len() > 1000;
        let (one, other) = body.split_at(body.len() / 3);
        let segments = [Bytes::copy_from_slice(one), Bytes::copy_from_slice(other)];
        if !is_large {
            bytes.extend_from_slice(body);
        }
        let has_extras = self.extras != MessageExtras::default();
        let message = Message::new(MessageParts {
            exchange_len: exchange.len() as u8,
            routing_key_len: routing_key.len() as u8,
            properties_len: properties.len() as u32,
            bytes: &bytes,
            segments: if is_large { &segments } else { &[] },
            persistent: self.persistent,
            priority: self.priority,
            extras: has_extras.then(|| Box::new(self.extras.clone())),
        });
        message.enter(queues);
        message
    }

    fn of(message: &Message) -> Self {
        let mut body = message.inline_body().to_vec();
        message.body_segments().iter().for_each(|segment| body.extend_from_slice(segment));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            exchange: text(message.exchange()),
            routing_key: text(message.routing_key()),
            properties: message.properties().to_vec(),
            body,
            persistent: message.is_persistent(),
            priority: message.priority(),
            extras: message.extras().clone(),
        }
    }
}

/// The message of this number, which is to enter so many queues.
pub(in super::super) fn message(number: MessageNumber, queues: u32) -> Message {
    Content::numbered(number).message(queues)
}

/// The number of a message, which is as it was written.
pub(super) fn number_of(message: &Message) -> MessageNumber {
    let number = message.properties().try_into().map(u64::from_be_bytes).expect("its number");
    assert_eq!(Content::of(message), Content::numbered(number));
    number
}
