//! One client's conversation, without a socket: frames in, requests out, and back.
//!
//! Nothing here knows what a queue is. [`connection::Connection`] is fed frames and the time, hands
//! out [`request::Request`]s, and writes into an [`output::Output`]. What a channel has to remember
//! about deliveries and confirms are plain ledgers ([`unacked`], [`confirm`]).

pub mod confirm;
pub mod connection;
pub mod content;
pub mod exception;
pub mod handshake;
pub mod heartbeat;
pub mod output;
pub mod request;
pub mod unacked;
