//! The broker under test.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use leveret::Broker;
use leveret::config::Config;

use super::{Handshake, RawClient};

/// Names the broker to test instead of one that is started here.
const OTHER_BROKER: &str = "LEVERET_TEST_BROKER";

/// A broker with nobody else's clients. Dropped, it stops.
#[derive(Debug)]
pub(crate) struct TestServer {
    address: SocketAddr,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Here(Box<Broker>),
    /// Somebody else's, shared with other tests: names in it get this suffix.
    Elsewhere(String),
}

impl TestServer {
    /// A broker with its defaults, on a free port; or the one that the environment names.
    pub(crate) async fn start() -> Self {
        match Self::elsewhere() {
            Some(elsewhere) => elsewhere,
            None => Self::start_here(|_| {}).await,
        }
    }

    /// A broker with other settings than the defaults. `None` where the environment names a broker:
    /// that one can't be configured from here.
    pub(crate) async fn configured(configure: impl FnOnce(&mut Config)) -> Option<Self> {
        if Self::elsewhere().is_some() {
            return None;
        }
        Some(Self::start_here(configure).await)
    }

    /// A broker with its defaults, for what only leveret can do; `None` where the environment names
    /// another.
    pub(crate) async fn leveret() -> Option<Self> {
        Self::configured(|_| {}).await
    }

    async fn start_here(configure: impl FnOnce(&mut Config)) -> Self {
        let broker = Broker::builder().configure(configure).start().await;
        let broker = broker.expect("a free port on this machine");
        Self { address: broker.addresses()[0], running: Running::Here(Box::new(broker)) }
    }

    fn elsewhere() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let address = std::env::var(OTHER_BROKER).ok()?;
        let address = address.parse().expect("an address and a port, such as 127.0.0.1:5672");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let suffix = format!(".{}.{number}", std::process::id());
        Some(Self { address, running: Running::Elsewhere(suffix) })
    }

    /// Whether this is leveret, so that what it does on purpose unlike RabbitMQ can be asserted.
    pub(crate) fn is_leveret(&self) -> bool {
        matches!(self.running, Running::Here(_))
    }

    /// One of two values: where leveret differs from RabbitMQ on purpose.
    pub(crate) fn differs<T>(&self, leveret: T, rabbitmq: T) -> T {
        if self.is_leveret() { leveret } else { rabbitmq }
    }

    /// A name that no other test uses.
    pub(crate) fn name(&self, name: &str) -> String {
        match &self.running {
            Running::Elsewhere(suffix) => format!("{name}{suffix}"),
            Running::Here(_) => name.to_owned(),
        }
    }

    /// A client that has sent nothing yet.
    pub(crate) async fn socket(&self) -> RawClient {
        RawClient::connect(self.address).await
    }

    /// A client with an open connection, and no channel.
    pub(crate) async fn connect(&self) -> RawClient {
        self.connect_with(&Handshake::default()).await
    }

    /// The same, after a handshake of its own.
    pub(crate) async fn connect_with(&self, handshake: &Handshake) -> RawClient {
        let mut client = self.socket().await;
        client.shake_hands(handshake).await;
        client
    }

    /// A client whose channel 1 is open.
    pub(crate) async fn channel(&self) -> RawClient {
        let mut client = self.connect().await;
        client.open_channel(1).await;
        client
    }

    /// Makes time virtual where the broker is leveret, which shares the test's clock: it passes as
    /// soon as everybody waits.
    pub(crate) fn virtual_time(&self) {
        if self.is_leveret() {
            tokio::time::pause();
        }
    }

    /// Bytes of message memory in use; `None` for a broker that can't be asked.
    pub(crate) fn memory_used(&self) -> Option<usize> {
        self.broker().map(|broker| broker.host().memory_used())
    }

    /// The broker, for what no client can ask for; `None` where it is somebody else's.
    pub(crate) fn broker(&self) -> Option<&Broker> {
        match &self.running {
            Running::Here(broker) => Some(broker),
            Running::Elsewhere(_) => None,
        }
    }

    /// Stops the broker as a signal would. Somebody else's broker is left alone.
    pub(crate) async fn stop(self) {
        if let Running::Here(broker) = self.running {
            broker.stop().await;
        }
    }
}
