//! Listens, accepts, and stops.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::serve;
use super::{listener, timers};
use crate::session::Host;

/// How long clients are given to take in the goodbye when the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// How long accepting rests when the system has no more file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {source}; choose another with --bind or {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
        /// The flag that chooses the port.
        flag: &'static str,
    },
}

/// Listens on every address. With port 0 all of them share one free port. Needs a tokio runtime.
///
/// # Errors
/// [`ServerError::Listen`], which names the flag that chooses the port.
pub fn listen(
    addresses: &[IpAddr],
    port: u16,
    flag: &'static str,
) -> Result<Vec<TcpListener>, ServerError> {
    listener::bind_all(addresses, port).map_err(|(address, source)| ServerError::Listen {
        address,
        source,
        flag,
    })
}

/// A broker's AMQP listeners and the tasks behind them.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Listens on every address and starts to accept. With port 0 all of them share one free port.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError::Listen`], and nothing listens.
    pub fn start(addresses: &[IpAddr], port: u16, host: &Arc<Host>) -> Result<Self, ServerError> {
        let listeners = listen(addresses, port, "--port")?;
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(timers::drive(Arc::clone(host), shutdown.clone()));
        let mut bound = Vec::with_capacity(listeners.len());
        for listener in listeners {
            bound.extend(listener.local_addr());
            let acceptor = Acceptor {
                listener,
                host: Arc::clone(host),
                shutdown: shutdown.clone(),
                tasks: tasks.clone(),
            };
            tasks.spawn(acceptor.run());
        }
        Ok(Self { addresses: bound, shutdown, tasks })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What ends it at once, from any thread: clients are told (320), and nobody waits for them.
    pub fn end(&self) -> impl Fn() + Send + Sync + 'static + use<> {
        let shutdown = self.shutdown.clone();
        move || shutdown.cancel()
    }

    /// Stops accepting, tells every client (320), and waits until they are gone, for a few seconds
    /// at most.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                clients = self.tasks.len(),
                "clients did not take in the goodbye in time"
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

struct Acceptor {
    listener: TcpListener,
    host: Arc<Host>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self) {
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    listener::prepare(&stream);
                    let (host, shutdown) = (Arc::clone(&self.host), self.shutdown.clone());
                    self.tasks.spawn(serve(stream, address, host, shutdown));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }
}
