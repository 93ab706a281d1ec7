//! What every test needs: a broker, a client that can send anything, and short names for methods.

mod client;
mod handshake;
mod methods;
pub(crate) mod pki;
mod server;
mod wire;

pub(crate) use amqp_codec::method::{
    access, basic, channel, confirm, connection, exchange, queue, tx,
};
pub(crate) use amqp_codec::{BasicProperties, FieldTable, FieldValue, Method, ShortString};

pub(crate) use self::client::{Content, Delivery, RawClient, Received};
pub(crate) use self::handshake::{Handshake, capabilities};
pub(crate) use self::methods::*;
pub(crate) use self::server::TestServer;
pub(crate) use self::wire::{Wire, raw_frame};
