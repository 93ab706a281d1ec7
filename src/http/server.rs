//! Listens for HTTP, within limits: what a client may send, how long it may take, how many there may be.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Place;
use super::caller::From;
use super::rates;
use super::router::{local, management, metrics};
use super::site::Site;
use super::tls::secure;
use crate::auth::Origin;
use crate::session::{Refusals, is_of_client};
use crate::tls::ServerTls;

/// How long a client may take to send the head of a request, or to begin another one; and for its TLS
/// handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may read nothing of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long requests may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(2);

/// How long accepting rests when the system has no more file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What is served on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The management API.
    Management,
    /// The metrics.
    Metrics,
    /// The management API for who runs the broker, where clients from elsewhere need a certificate: nobody else gets an
    /// answer, not even of its health.
    Local,
}

/// A socket, and what is served on it.
#[derive(Debug)]
pub struct Endpoint {
    /// The socket.
    pub listener: TcpListener,
    /// What is served.
    pub service: Service,
    /// Over TLS, if there is one.
    pub tls: Option<ServerTls>,
}

impl Endpoint {
    /// What RabbitMQ calls it in its lists of listeners.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match (self.service, &self.tls) {
            (Service::Management, None) => "http",
            (Service::Management, Some(_)) => "https",
            (Service::Metrics, None) => "http/prometheus",
            (Service::Metrics, Some(_)) => "https/prometheus",
            (Service::Local, _) => "local",
        }
    }
}

/// The listeners of the management API and of the metrics, and the tasks behind them.
#[derive(Debug)]
pub struct Server {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Serves on these sockets. Needs a tokio runtime.
    pub fn start(site: &Arc<Site>, endpoints: Vec<Endpoint>) -> Self {
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (log, routers) = (Arc::new(Refusals::default()), Arc::new(Routers::default()));
        let is_watched = endpoints.iter().any(|endpoint| endpoint.service != Service::Local);
        for endpoint in endpoints {
            let (site, log) = (Arc::clone(site), Arc::clone(&log));
            let (shutdown, of_clients) = (shutdown.clone(), tasks.clone());
            let routers = Arc::clone(&routers);
            let acceptor = Acceptor { endpoint, site, routers, log, shutdown, tasks: of_clients };
            tasks.spawn(acceptor.run());
        }
        // Commands alone are no reason to look at every queue every few seconds: their rates are averages.
        if is_watched {
            let (sampler, shutdown) = (rates::sample(Arc::clone(site)), shutdown.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = sampler => {}
                }
            });
        }
        Self { shutdown, tasks }
    }

    /// Stops accepting, and lets requests end that are being answered, for a moment at most.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        // Who is not done by then is cut off.
        let _ = tokio::time::timeout(DRAIN, self.tasks.wait()).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What leads requests to handlers, for all sockets of a service. A broker that nobody asks this way pays for none
/// of it: it is a megabyte and a half.
#[derive(Debug, Default)]
struct Routers {
    management: OnceLock<Router>,
    metrics: OnceLock<Router>,
    local: OnceLock<Router>,
}

impl Routers {
    fn get(&self, service: Service, site: &Arc<Site>) -> &Router {
        match service {
            Service::Management => self.management.get_or_init(|| management(Arc::clone(site))),
            Service::Metrics => self.metrics.get_or_init(|| metrics(Arc::clone(site))),
            Service::Local => self.local.get_or_init(|| local(Arc::clone(site))),
        }
    }
}

struct Acceptor {
    endpoint: Endpoint,
    site: Arc<Site>,
    routers: Arc<Routers>,
    log: Arc<Refusals>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self) {
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => return,
                accepted = self.endpoint.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // A socket that has no address any more is gone.
                    let Ok(local) = stream.local_addr() else { continue };
                    let from = From { peer, local };
                    if let Some(place) = self.admit(from) {
                        let router = self.routers.get(self.endpoint.service, &self.site);
                        self.serve(stream, Client::new(from, router, &self.shutdown), place);
                    }
                }
                Err(error) if is_of_client(&error) => {
                    tracing::debug!("HTTP: a connection was gone before it was accepted: {error}");
                }
                Err(error) => {
                    if let Some(line) = self.log.failed.take(self.site.now()) {
                        tracing::warn!("HTTP: cannot accept a connection: {error}{line}");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// A place for a client, unless there are too many already. It is not told: what it costs ends here.
    fn admit(&self, from: From) -> Option<Place> {
        let admitted = self.site.admission(self.endpoint.service).admit(from);
        let refused = match admitted {
            Ok(place) => return Some(place),
            Err(refused) => refused,
        };
        if let Some(line) = self.log.refused.take(self.site.now()) {
            let (origin, protocol) = (Origin::from(from.peer.ip()), self.endpoint.protocol());
            let peer = from.peer;
            tracing::warn!(%peer, "{protocol}: refused a connection from {origin}: {refused}{line}");
        }
        None
    }

    fn serve(&self, stream: TcpStream, client: Client, place: Place) {
        match self.endpoint.tls.clone() {
            None => self.tasks.spawn(client.serve_plain(stream, place)),
            Some(tls) => self.tasks.spawn(client.serve_tls(stream, tls, place)),
        };
    }
}

/// One that is connected.
struct Client {
    from: From,
    router: Router,
    shutdown: CancellationToken,
}

impl Client {
    fn new(from: From, router: &Router, shutdown: &CancellationToken) -> Self {
        Self { from, router: router.clone(), shutdown: shutdown.clone() }
    }

    /// Serves it until it is gone; its place is given back then.
    async fn serve_plain(self, stream: TcpStream, place: Place) {
        // It costs a little latency where it can't be set.
        let _ = stream.set_nodelay(true);
        self.serve(stream, &Arc::new(place)).await;
    }

    /// The same over TLS.
    async fn serve_tls(self, stream: TcpStream, tls: ServerTls, place: Place) {
        let place = Arc::new(place);
        let _ = stream.set_nodelay(true);
        let peer = self.from.peer;
        let secured = tokio::select! {
            secured = tokio::time::timeout(HEAD_TIMEOUT, secure(stream, peer, &tls)) => secured,
            () = self.shutdown.cancelled() => return,
            () = place.lost() => return,
        };
        match secured {
            Ok(Some(secured)) => self.serve(secured, &place).await,
            Ok(None) => {}
            Err(_) => tracing::debug!("HTTPS: TLS handshake with {peer} timed out"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin, place: &Arc<Place>) {
        let Self { from, router, shutdown } = self;
        let router = TowerToHyperService::new(router);
        let of_requests = Arc::clone(place);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(from);
            of_requests.is_asked();
            let (answered, place) = (router.call(request), Arc::clone(&of_requests));
            async move {
                let answer = answered.await;
                place.has_answered();
                answer
            }
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = false;
        loop {
            tokio::select! {
                served = connection.as_mut() => {
                    if let Err(error) = served {
                        tracing::debug!("HTTP: {error}");
                    }
                    return;
                }
                () = place.lost() => {
                    tracing::debug!(peer = %from.peer, "HTTP: an idle connection makes room");
                    return;
                }
                () = shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
