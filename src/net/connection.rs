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
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::now;
use crate::protocol::connection::State;
use crate::session::{Client, Host, Peer, Reading};

/// Bytes asked of the socket at a time, when it has that many: a thousand small messages a call.
const READ_BYTES: usize = 64 * 1024;

/// With less room than this a read buffer is made larger.
const READ_BYTES_MIN: usize = 4 * 1024;

/// A client that keeps its socket full lets others in between after so many requests.
const TURN_REQUESTS: u64 = 64;

/// And after so many bytes.
const TURN_BYTES: usize = 512 * 1024;

/// How long a client may take to close its end after the goodbye, as with RabbitMQ.
const LINGER: Duration = Duration::from_secs(30);

/// What a client is told when the server stops.
pub(super) const SHUTDOWN_REASON: &str = "broker forced connection closure with reason 'shutdown'";

/// Serves one client until it is gone.
pub(super) async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    host: Arc<Host>,
    shutdown: CancellationToken,
) {
    let woken = Arc::new(Notify::new());
    let wake = {
        let woken = Arc::clone(&woken);
        Box::new(move || woken.notify_one())
    };
    // A socket that has no address any more is gone.
    let Ok(local) = stream.local_addr() else { return };
    let mut client = Client::new(host, Peer { address, local }, wake, now());
    let (reader, writer) = stream.split();
    let mut connection = ServedConnection {
        client: &mut client,
        reader,
        writer,
        input: BytesMut::new(),
        woken: &woken,
    };
    let result = connection.run(&shutdown).await;
    if let Err(error) = &result {
        tracing::debug!(peer = %address, "socket: {error}");
    }
    client.disconnect(now());
    drop(client);
    if result.is_ok() {
        linger(stream, &shutdown).await;
    }
}

/// Lets the client read what was written last and close its end; a socket closed with unread input
/// would be reset, and the last words lost.
async fn linger(mut stream: TcpStream, shutdown: &CancellationToken) {
    let drained = async {
        stream.shutdown().await?;
        let mut sink = [0_u8; 4096];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::select! {
        _ = tokio::time::timeout(LINGER, drained) => {}
        () = shutdown.cancelled() => {}
    }
}

struct ServedConnection<'a> {
    client: &'a mut Client,
    reader: ReadHalf<'a>,
    writer: WriteHalf<'a>,
    input: BytesMut,
    woken: &'a Notify,
}

impl ServedConnection<'_> {
    /// Runs the conversation to its end; an error is the socket's.
    async fn run(&mut self, shutdown: &CancellationToken) -> io::Result<()> {
        let mut timer = pin!(Alarm::new());
        let mut stopping = false;
        let mut turn = Turn::default();
        let mut time = now();
        loop {
            let reading = self.resume_input(time);
            self.client.poll_outbox(time);
            if reading == Reading::Paused && !self.client.must_wait() {
                // What it waited for was in the outbox, and there may be nothing to write.
                continue;
            }
            if self.is_over(stopping) {
                return self.write_rest().await;
            }
            timer.as_mut().set(self.client.next_deadline());
            let requests = self.client.requests();
            let has_output = self.client.output().has_remaining();
            if !has_output {
                self.client.output().shrink();
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    time = now();
                    self.client.force_close(SHUTDOWN_REASON, time);
                }
                written = self.writer.write_buf(self.client.output()), if has_output => {
                    if written? == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    time = now();
                    self.client.sent(time);
                }
                read = read_some(&mut self.reader, &mut self.input, reading, &mut turn, requests) => {
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
        let written = self.writer.write_all_buf(self.client.output());
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
    /// Requests of the client when it began.
    first_request: u64,
}

impl Turn {
    fn begin(&mut self, requests: u64) {
        (self.bytes, self.first_request) = (0, requests);
    }

    fn is_over(&self, requests: u64) -> bool {
        self.bytes >= TURN_BYTES || requests - self.first_request >= TURN_REQUESTS
    }
}

/// Reads what is there. The buffer of a connection that has nothing to read is given back: ten
/// thousand idle ones cost no buffers.
///
/// A client that keeps its socket full is made to let others in between: the consumer that its
/// messages woke waits on this very thread.
async fn read_some(
    reader: &mut ReadHalf<'_>,
    input: &mut BytesMut,
    reading: Reading,
    turn: &mut Turn,
    requests: u64,
) -> io::Result<usize> {
    if reading == Reading::Paused {
        hang_up(reader).await?;
        return Ok(0);
    }
    if turn.is_over(requests) {
        turn.begin(requests);
        tokio::task::yield_now().await;
    }
    loop {
        if input.capacity() - input.len() < READ_BYTES_MIN {
            input.reserve(READ_BYTES);
        }
        match reader.try_read_buf(input) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        if input.is_empty() {
            *input = BytesMut::new();
        }
        turn.begin(requests);
        reader.readable().await?;
    }
}

/// Waits for the client to go, though what it wrote before is not read: one whose input is left alone
/// for want of memory would otherwise keep all that it holds, that memory most of all. What its system
/// could not send yet comes before its end, and hides it.
#[cfg(target_os = "linux")]
async fn hang_up(reader: &ReadHalf<'_>) -> io::Result<()> {
    // Readable it is all the time; urgent data, which nobody sends, it is not.
    let ready = reader.ready(tokio::io::Interest::PRIORITY).await?;
    if !ready.is_read_closed() {
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Other systems tell only with the next read, once there is one.
#[cfg(not(target_os = "linux"))]
async fn hang_up(_reader: &ReadHalf<'_>) -> io::Result<()> {
    std::future::pending().await
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
