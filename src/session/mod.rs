//! A client attached to a vhost: the conversation on one side, the broker on the other. Still no
//! socket and no clock.

mod channel;
mod client;
mod consume;
mod host;
mod outbox;
mod publish;
mod registry;
mod settle;
mod source;
#[cfg(test)]
mod tests;
mod topology;

pub use self::client::{Client, Peer, Reading};
pub use self::host::{Host, HostSettings};
pub use self::outbox::Wake;
