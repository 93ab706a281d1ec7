//! A client attached to a vhost: the conversation on one side, the broker on the other. Still no
//! socket and no clock.

mod access;
mod admin;
mod batch;
mod channel;
mod client;
mod consume;
mod effects;
mod events;
mod facts;
mod firehose;
mod host;
mod log_lines;
mod login;
mod outbox;
mod own_messages;
mod pages;
mod peer;
mod policies;
mod publish;
mod registry;
mod remembered_routes;
mod reply_to;
mod restore;
mod rights;
mod settle;
mod source;
mod stored;
#[cfg(test)]
mod tests;
mod timers;
mod topology;
mod transaction;

pub use self::admin::{
    AdminError, Defaults, Definitions, ImportError, InvalidDefinitions, NewPassword, NewUser,
};
pub use self::client::{Client, Reading};
pub use self::host::{Host, HostSettings, RestoreError};
pub use self::outbox::Wake;
pub use self::peer::{Encryption, Peer};
pub use self::stored::{DEFINITION_PREFIXES, definition_document};
