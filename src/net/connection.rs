//! One task per client: its socket, its outbox, its deadlines, and the end of the server.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::now;
use super::link::{Incoming, Outgoing};
use crate::broker::effect::Wakeups;
use crate::protocol::connection::State;
use crate::session::{Arrival, Client, Host, Peer, Progress, Reading};

/// A client that keeps its socket full lets others in between after so many requests, or so many deliveries to each
/// consumer that waits for them.
const TURN_REQUESTS: u64 = 64;

/// And after so many bytes.
const TURN_BYTES: usize = 512 * 1024;

/// How long a client may take to close its end after the goodbye, as with RabbitMQ.
pub(super) const LINGER: Duration = Duration::from_secs(30);

/// What a client is told when the server stops.
pub(super) const SHUTDOWN_REASON: &str = "broker forced connection closure with reason 'shutdown'";

/// A client that is connected, and may be.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// Its place, which it has until its socket is closed.
    pub(super) arrival: Arc<Arrival>,
}

/// Serves one client on a plain socket until it is gone.
pub(super) async fn serve(accepted: Accepted, host: Arc<Host>, shutdown: CancellationToken) {
    let Accepted { mut stream, address, arrival } = accepted;
    // A socket that has no address any more is gone.
    let Ok(local) = stream.local_addr() else { return };
    let peer = Peer { address, local, encryption: None };
    let (reader, writer) = stream.split();
    let client = (host, Arc::clone(&arrival));
    if converse(reader, writer, peer, client, now(), &shutdown).await.is_ok() {
        linger(stream, LINGER, &shutdown).await;
    }
}

/// A client's conversation, from its first byte to its last; an error is the socket's.
pub(super) async fn converse(
    reader: impl Incoming,
    writer: impl Outgoing,
    peer: Peer,
    (host, arrival): (Arc<Host>, Arc<Arrival>),
    connected_at: Instant,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let woken = Arc::new(Notify::new());
    let wake = {
        let woken = Arc::clone(&woken);
        Box::new(move || woken.notify_one())
    };
    let address = peer.address;
    let mut client = Client::new(host, peer, wake, connected_at).arrived(arrival);
    let mut connection = ServedConnection {
        client: &mut client,
        reader,
        writer,
        input: BytesMut::new(),
        woken: &woken,
    };
    let result = connection.run(shutdown).await;
    if let Err(error) = &result {
        tracing::debug!(peer = %address, "socket: {error}");
    }
    client.disconnect(now());
    result
}

/// Lets the client read what was written last and close its end; a socket closed with unread input
/// would be reset, and the last words lost.
pub(super) async fn linger(mut stream: TcpStream, most: Duration, shutdown: &CancellationToken) {
    let drained = async {
        stream.shutdown().await?;
        let mut sink = [0_u8; 4096];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::select! {
        _ = tokio::time::timeout(most, drained) => {}
        () = shutdown.cancelled() => {}
    }
}

struct ServedConnection<'a, R, W> {
    client: &'a mut Client,
    reader: R,
    writer: W,
    input: BytesMut,
    woken: &'a Notify,
}

impl<R: Incoming, W: Outgoing> ServedConnection<'_, R, W> {
    /// Runs the conversation to its end; an error is the socket's.
    async fn run(&mut self, shutdown: &CancellationToken) -> io::Result<()> {
        let mut timer = pin!(Alarm::new());
        let mut stopping = false;
        let mut turn = Turn::default();
        let mut time = now();
        loop {
            let reading = self.resume_input(time);
            turn.wakeups.append(&mut self.client.take_wakeups());
            self.client.poll_outbox(time);
            if reading == Reading::Paused && !self.client.must_wait() {
                // What it waited for was in the outbox, and there may be nothing to write.
                continue;
            }
            if self.is_over(stopping) {
                // A client that does not read its last words keeps nobody else waiting.
                turn.wakeups.wake();
                return self.write_rest().await;
            }
            timer.as_mut().set(self.client.next_deadline());
            let progress = self.client.progress();
            let has_output = self.client.output().has_remaining();
            if !has_output {
                self.client.output().shrink();
            }
            let must_write = has_output || self.writer.holds_back();
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    time = now();
                    self.client.force_close(SHUTDOWN_REASON, time);
                }
                written = self.writer.write(self.client.output()), if must_write => {
                    written?;
                    // Reading may have to wait for a long time.
                    turn.wakeups.wake();
                    time = now();
                    self.client.sent(time);
                }
                read = read_some(&mut self.reader, &mut self.input, reading, &mut turn, progress) => {
                    let read = read?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    turn.bytes += read;
                    time = now();
                    self.client.received(time);
                }
                () = self.woken.notified() => time = now(),
                () = timer.as_mut() => {
                    time = now();
                    self.client.handle_timeout(time);
                }
            }
        }
    }

    /// Writes the last words, unless the client does not care to read them.
    async fn write_rest(&mut self) -> io::Result<()> {
        let written = async {
            while self.client.output().has_remaining() || self.writer.holds_back() {
                self.writer.write(self.client.output()).await?;
            }
            self.writer.finish().await
        };
        tokio::time::timeout(LINGER, written).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Goes on with the input as far as it may be.
    fn resume_input(&mut self, time: Instant) -> Reading {
        if self.input.is_empty() {
            return if self.client.must_wait() { Reading::Paused } else { Reading::On };
        }
        self.client.process(&mut self.input, time)
    }

    /// At the end of the server only those are waited for who were told.
    fn is_over(&self, stopping: bool) -> bool {
        match self.client.state() {
            State::Closed => true,
            State::Closing => false,
            _ => stopping,
        }
    }
}

/// How much a client did since others were let in between, or since it had nothing more to read.
#[derive(Debug, Default)]
struct Turn {
    bytes: usize,
    /// How far the client was when it began.
    from: Progress,
    /// Whom it gave something. They look at it when it ends: where many share what it publishes, each of them has
    /// more to write at a time.
    wakeups: Wakeups,
}

impl Turn {
    /// Ends the turn, and begins another one. Nobody waits for what it did from here on.
    fn begin(&mut self, from: Progress) {
        self.wakeups.wake();
        (self.bytes, self.from) = (0, from);
    }

    /// Where many consumers share what a client publishes, each of them is woken, and written to, for few
    /// messages; so they get to their turns when there are more.
    fn is_over(&self, now: Progress) -> bool {
        let (requests, deliveries) = (
            now.requests - self.from.requests,
            now.deliveries.saturating_sub(self.from.deliveries),
        );
        let enough = TURN_REQUESTS * now.receivers.max(1);
        let is_long = requests >= enough || (requests >= TURN_REQUESTS && deliveries >= enough);
        self.bytes >= TURN_BYTES || is_long
    }
}

/// Reads what is there, or waits for the client to go if nothing is to be read.
///
/// A client that keeps its socket full is made to let others in between: the consumer that its
/// messages woke waits on this very thread.
async fn read_some(
    reader: &mut impl Incoming,
    input: &mut BytesMut,
    reading: Reading,
    turn: &mut Turn,
    progress: Progress,
) -> io::Result<usize> {
    if reading == Reading::Paused {
        turn.begin(progress);
        reader.hang_up().await?;
        return Ok(0);
    }
    if turn.is_over(progress) {
        turn.begin(progress);
        tokio::task::yield_now().await;
    }
    reader.read(input, || turn.begin(progress)).await
}

/// A timer that is moved rarely: deadlines mostly move away, so it is set again only when it fires
/// or when a nearer one turns up.
struct Alarm {
    sleep: Option<std::pin::Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Alarm {
    fn new() -> Self {
        Self { sleep: None, at: None }
    }

    fn set(mut self: std::pin::Pin<&mut Self>, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            self.sleep = None;
            self.at = None;
            return;
        };
        if self.at.is_some_and(|at| at <= deadline) {
            return;
        }
        self.at = Some(deadline);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(deadline.into()),
            None => self.sleep = Some(Box::pin(sleep_until(deadline.into()))),
        }
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        let Some(sleep) = &mut self.sleep else { return std::task::Poll::Pending };
        let fired = sleep.as_mut().poll(context);
        if fired.is_ready() {
            self.at = None;
        }
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_over(requests: u64, deliveries: u64, receivers: u64) -> bool {
        let from = Progress { requests: 1000, deliveries: 5000, receivers: 7 };
        let mut turn = Turn::default();
        turn.begin(from);
        let (requests, deliveries) = (from.requests + requests, from.deliveries + deliveries);
        turn.is_over(Progress { requests, deliveries, receivers })
    }

    #[test]
    fn a_turn_is_long_where_many_share_what_is_published() {
        assert!(!is_over(63, 63, 1));
        assert!(is_over(64, 64, 1), "one consumer gets all");
        assert!(is_over(64, 0, 0), "nobody gets any");
        assert!(!is_over(800, 800, 100), "eight messages for each");
        assert!(is_over(6400, 6400, 100));
        assert!(is_over(6400, 10, 100), "they have no credit");
        assert!(is_over(64, 6400, 100), "each gets all");
    }

    #[test]
    fn a_session_that_ended_has_delivered_nothing() {
        let mut turn = Turn::default();
        turn.begin(Progress { requests: 1, deliveries: 5000, receivers: 1 });
        assert!(!turn.is_over(Progress { requests: 2, ..Progress::default() }));
    }
}
