//! How many there may be of what clients make.

/// How many may be connected, and how many of each thing there may be in all vhosts together. 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Clients connected at a time. Who has not logged in is not counted.
    pub connections: usize,
    /// Clients connected at a time from one address, or one network of version 6.
    pub connections_per_address: usize,
    /// Those among them that have not logged in.
    pub unauthenticated_per_address: usize,
    /// Whether this machine is an address like others for these limits.
    pub limit_loopback: bool,
    /// Channels on all connections together.
    pub channels: usize,
    /// Consumers on one channel.
    pub consumers_per_channel: usize,
    /// Vhosts.
    pub vhosts: usize,
    /// Queues.
    pub queues: usize,
    /// Exchanges, the predeclared ones included.
    pub exchanges: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            connections: 0,
            connections_per_address: 0,
            // A fleet behind one address reconnects at once after a restart; who is turned away tries again. And
            // what so many strangers cost is some 30 MB, with TLS.
            unauthenticated_per_address: 1024,
            limit_loopback: false,
            channels: 0,
            consumers_per_channel: 0,
            vhosts: 0,
            queues: 0,
            exchanges: 0,
        }
    }
}
