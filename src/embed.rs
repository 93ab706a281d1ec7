//! A broker inside another program, a test most of all.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use amqp_codec::ShortString;

use crate::auth::{User, Users};
use crate::net::{Server, ServerError};
use crate::protocol::connection::Settings;
use crate::protocol::handshake::Limits;
use crate::session::{Host, HostSettings};
use crate::store::MemoryStore;

/// A running broker. Dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    server: Server,
    host: Arc<Host>,
}

/// Configures a [`Broker`].
#[derive(Debug, Clone)]
pub struct BrokerBuilder {
    addresses: Vec<IpAddr>,
    port: u16,
}

impl Broker {
    /// Configures a broker: on this machine only, on any free port.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder { addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], port: 0 }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    /// The URI for clients.
    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address())
    }

    /// What its clients share.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Stops it: clients are told (320) and given a moment to take it in.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl BrokerBuilder {
    /// The port; 0 is any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn start(self) -> Result<Broker, ServerError> {
        let mut users = Users::default();
        users.add("guest", User { password: "guest".to_owned(), loopback_only: true });
        let host = Host::new(HostSettings {
            connection: Settings {
                limits: Limits { channel_max: 2047, frame_max: 131_072, heartbeat: 60 },
                body_max: 128 * 1024 * 1024,
                anonymous: false,
                handshake_timeout: Duration::from_secs(10),
                cluster_name: "leveret@localhost".to_owned(),
            },
            users,
            vhosts: vec![ShortString::truncated("/")],
            memory_high_watermark: 4 << 30,
            outbox_bytes_max: 1 << 20,
            store: Arc::new(MemoryStore),
            seed: None,
        });
        let server = Server::start(&self.addresses, self.port, &host)?;
        Ok(Broker { server, host })
    }
}
