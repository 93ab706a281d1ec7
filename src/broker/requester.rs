//! Who asks for something to be declared, bound or deleted.

use super::queue_cell::ConnectionId;

/// The user that events name where nobody asked: the broker acts by itself.
pub const INTERNAL_USER: &str = "rmq-internal";

/// Who asks for a change: the connection decides what is its own, the user is named in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requester<'a> {
    /// The connection.
    pub connection: ConnectionId,
    /// The user.
    pub user: &'a str,
}

/// What the broker does on a connection's behalf without having been asked.
impl From<ConnectionId> for Requester<'static> {
    fn from(connection: ConnectionId) -> Self {
        Self { connection, user: INTERNAL_USER }
    }
}
