//! Listens, accepts, and stops.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::now;
use super::connection::{Accepted, serve};
use super::tls::{self, TlsListener};
use super::{listener, timers};
use crate::auth::Origin;
use crate::session::{Host, Refusals, is_of_client};

/// How long clients are given to take in the goodbye when the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// How long accepting rests when the system has no more file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {source}; {}", advice(source, flag))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
        /// The flag that chooses the port.
        flag: &'static str,
    },
}

impl ServerError {
    /// Whether the process has too few descriptors.
    #[must_use]
    pub fn is_for_want_of_files(&self) -> bool {
        let Self::Listen { source, .. } = self;
        is_for_want_of_files(source)
    }
}

fn is_for_want_of_files(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

/// What to do about a socket that can't listen.
fn advice(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        _ if is_for_want_of_files(error) => {
            "let more files be open, with 'ulimit -n 1024' or LimitNOFILE".to_owned()
        }
        io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 are not for everybody: choose another with {flag}, or give the program \
             CAP_NET_BIND_SERVICE"
        ),
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has it: choose another with --bind".to_owned()
        }
        _ => format!("choose another with --bind or {flag}"),
    }
}

/// Where to listen.
#[derive(Debug)]
pub struct Listeners<'a> {
    /// The addresses, each with both ports.
    pub addresses: &'a [IpAddr],
    /// The port for AMQP; none, if there is to be TLS only. 0: all addresses share one free port.
    pub port: Option<u16>,
    /// AMQP over TLS.
    pub tls: Option<TlsListener>,
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
    tls_addresses: Vec<SocketAddr>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    log: Arc<Refusals>,
    accepting: watch::Sender<bool>,
}

impl Server {
    /// Listens on every address and starts to accept. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError::Listen`], and nothing listens.
    pub fn start(listeners: Listeners<'_>, host: &Arc<Host>) -> Result<Self, ServerError> {
        let Listeners { addresses, port, tls } = listeners;
        let plain = port.map_or(Ok(Vec::new()), |port| listen(addresses, port, "--port"))?;
        let encrypted = match &tls {
            Some(listener) => listen(addresses, listener.port, "--tls-port")?,
            None => Vec::new(),
        };
        let mut server = Self {
            addresses: local_addresses(&plain),
            tls_addresses: local_addresses(&encrypted),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            log: Arc::default(),
            accepting: watch::Sender::new(true),
        };
        server.tasks.spawn(timers::drive(Arc::clone(host), server.shutdown.clone()));
        plain.into_iter().for_each(|listener| server.accept(listener, None, host));
        encrypted.into_iter().for_each(|listener| server.accept(listener, tls.clone(), host));
        Ok(server)
    }

    fn accept(&mut self, listener: TcpListener, tls: Option<TlsListener>, host: &Arc<Host>) {
        let (shutdown, tasks) = (self.shutdown.clone(), self.tasks.clone());
        let (host, log) = (Arc::clone(host), Arc::clone(&self.log));
        let accepting = self.accepting.subscribe();
        let acceptor = Acceptor { tls, host, shutdown, tasks, log, accepting };
        self.tasks.spawn(acceptor.run(listener));
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for TLS.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// What ends it at once, from any thread: clients are told (320), and nobody waits for them.
    pub fn end(&self) -> impl Fn() + Send + Sync + 'static + use<> {
        let shutdown = self.shutdown.clone();
        move || shutdown.cancel()
    }

    /// What closes its listeners, with `false`, and opens them again; connections stay as they are.
    pub fn accepting(&self) -> impl Fn(bool) + Send + Sync + 'static + use<> {
        let accepting = self.accepting.clone();
        move |accept| {
            accepting.send_replace(accept);
        }
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

fn local_addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

struct Acceptor {
    tls: Option<TlsListener>,
    host: Arc<Host>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    log: Arc<Refusals>,
    accepting: watch::Receiver<bool>,
}

impl Acceptor {
    async fn run(mut self, mut listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => return,
                // Its sender goes when the server does, which ends this anyway.
                Ok(_) = self.accepting.wait_for(|accepting| !accepting) => None,
                accepted = listener.accept() => Some(accepted),
            };
            let Some(accepted) = accepted else {
                let Some(opened) = self.rest(listener).await else { return };
                listener = opened;
                continue;
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address),
                Err(error) if is_of_client(&error) => {
                    tracing::debug!("a connection was gone before it was accepted: {error}");
                }
                Err(error) => {
                    if let Some(line) = self.log.failed.take(now()) {
                        tracing::warn!("cannot accept a connection: {error}{line}");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Closes the listener until it is to be open again; none at the end of the server.
    async fn rest(&mut self, listener: TcpListener) -> Option<TcpListener> {
        let address = listener.local_addr().ok()?;
        drop(listener);
        tracing::info!("stopped listening on {address}, until an administrator resumes it");
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                resumed = self.accepting.wait_for(|accepting| *accepting) => drop(resumed.ok()?),
            }
            match listener::bind(address) {
                Ok(listener) => {
                    tracing::info!("listening on {address} again");
                    return Some(listener);
                }
                Err(error) => {
                    if let Some(line) = self.log.failed.take(now()) {
                        tracing::error!("cannot listen on {address} again: {error}{line}");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Serves a client, unless there are too many already. It is not told: what it costs ends here.
    fn admit(&self, stream: TcpStream, address: SocketAddr) {
        let arrival = match self.host.arrivals().admit(address.ip()) {
            Ok(arrival) => Arc::new(arrival),
            Err(refused) => {
                if let Some(line) = self.log.refused.take(now()) {
                    let origin = Origin::from(address.ip());
                    tracing::warn!(peer = %address, "refused a connection from {origin}: {refused}{line}");
                }
                return;
            }
        };
        listener::prepare_accepted(&stream);
        let accepted = Accepted { stream, address, arrival };
        let (host, shutdown) = (Arc::clone(&self.host), self.shutdown.clone());
        match self.tls.clone() {
            None => self.tasks.spawn(serve(accepted, host, shutdown)),
            Some(listener) => self.tasks.spawn(tls::serve(accepted, listener, host, shutdown)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_about_a_port_depends_on_what_is_wrong() {
        for (errno, expected) in [
            (Errno::ADDRINUSE, "choose another with --bind or --port"),
            (
                Errno::ACCESS,
                "ports below 1024 are not for everybody: choose another with --port, or",
            ),
            (
                Errno::ADDRNOTAVAIL,
                "no interface of this machine has it: choose another with --bind",
            ),
            (Errno::MFILE, "let more files be open, with 'ulimit -n 1024' or LimitNOFILE"),
        ] {
            let advice = advice(&errno.into(), "--port");
            assert!(advice.starts_with(expected), "{advice}");
        }
    }
}
