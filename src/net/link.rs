//! A socket's two directions, plain or encrypted, as a connection's task needs them.
//!
//! Generic rather than boxed: with a plain socket there is nothing between the task and the system.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, tcp};
use tokio_rustls::server::TlsStream;

/// Bytes asked of the socket at a time, when it has that many: a thousand small messages a call.
const READ_BYTES: usize = 64 * 1024;

/// With less room than this a read buffer is made larger.
const READ_BYTES_MIN: usize = 4 * 1024;

/// What comes in.
pub(super) trait Incoming {
    /// Reads what is there, once something is; 0 is the end. The buffer of a connection that has nothing to
    /// read is given back: ten thousand idle ones cost no buffers. Nothing is lost if the caller does not
    /// wait for it.
    /// `waits` is called each time there was nothing.
    async fn read(&mut self, input: &mut BytesMut, waits: impl FnMut()) -> io::Result<usize>;

    /// Waits for the client to go, though what it wrote before is not read: one whose input is left alone
    /// for want of memory would otherwise keep all that it holds, that memory most of all. What its system
    /// could not send yet comes before its end, and hides it.
    async fn hang_up(&self) -> io::Result<()>;
}

/// What goes out.
pub(super) trait Outgoing {
    /// Writes some of `output`. Nothing is lost or written twice if the caller does not wait for it.
    async fn write(&mut self, output: &mut impl Buf) -> io::Result<()>;

    /// Whether something that was taken from an output is not written yet: [`Outgoing::write`] is to be
    /// called even if there is nothing to add.
    fn holds_back(&self) -> bool;

    /// Says that nothing follows.
    async fn finish(&mut self) -> io::Result<()>;
}

fn make_room(input: &mut BytesMut) {
    if input.capacity() - input.len() < READ_BYTES_MIN {
        input.reserve(READ_BYTES);
    }
}

fn give_back_if_empty(input: &mut BytesMut) {
    if input.is_empty() {
        *input = BytesMut::new();
    }
}

// --- plain ---

impl Incoming for tcp::ReadHalf<'_> {
    /// A read that leaves room in the buffer tells that there is no more: the system is not asked again. Nor is a
    /// buffer made before there is something.
    async fn read(&mut self, input: &mut BytesMut, mut waits: impl FnMut()) -> io::Result<usize> {
        poll_fn(|context| {
            let read = match self.as_ref().poll_read_ready(context) {
                Poll::Ready(Ok(())) => {
                    make_room(input);
                    pin!(self.read_buf(input)).poll(context)
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            };
            if read.is_pending() {
                give_back_if_empty(input);
                waits();
            }
            read
        })
        .await
    }

    async fn hang_up(&self) -> io::Result<()> {
        hang_up(self.as_ref()).await
    }
}

impl Outgoing for tcp::WriteHalf<'_> {
    async fn write(&mut self, output: &mut impl Buf) -> io::Result<()> {
        match self.write_buf(output).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(()),
        }
    }

    fn holds_back(&self) -> bool {
        false
    }

    /// The socket's owner says so, and lets the client read to the end.
    async fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
async fn hang_up(stream: &TcpStream) -> io::Result<()> {
    // Readable it is all the time; urgent data, which nobody sends, it is not.
    let ready = stream.ready(tokio::io::Interest::PRIORITY).await?;
    if !ready.is_read_closed() {
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Other systems tell only with the next read, once there is one.
#[cfg(not(target_os = "linux"))]
async fn hang_up(_stream: &TcpStream) -> io::Result<()> {
    std::future::pending().await
}

// --- encrypted ---

/// A socket that TLS uses while others look at whether it is still open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Borrowed<'a>(pub(super) &'a TcpStream);

impl AsyncRead for Borrowed<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Borrowed<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The socket's owner lets the client read to the end first.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A client's encrypted words.
pub(super) struct TlsIncoming<'a> {
    stream: ReadHalf<TlsStream<Borrowed<'a>>>,
    socket: &'a TcpStream,
}

/// Words to a client that are to be encrypted.
pub(super) struct TlsOutgoing<'a> {
    stream: WriteHalf<TlsStream<Borrowed<'a>>>,
    /// Something was encrypted, and perhaps not all of it written.
    unflushed: bool,
}

/// The two directions of a TLS connection over a socket.
pub(super) fn split<'a>(
    stream: TlsStream<Borrowed<'a>>,
    socket: &'a TcpStream,
) -> (TlsIncoming<'a>, TlsOutgoing<'a>) {
    let (reader, writer) = tokio::io::split(stream);
    // Session tickets may be waiting.
    (TlsIncoming { stream: reader, socket }, TlsOutgoing { stream: writer, unflushed: true })
}

impl Incoming for TlsIncoming<'_> {
    /// A TLS record holds 16 KiB at most; as many are read as there are, up to what a plain socket is asked
    /// for.
    async fn read(&mut self, input: &mut BytesMut, mut waits: impl FnMut()) -> io::Result<usize> {
        poll_fn(|context| {
            let mut read = 0;
            while read < READ_BYTES {
                make_room(input);
                match pin!(self.stream.read_buf(input)).poll(context) {
                    Poll::Ready(Ok(more)) if more > 0 => read += more,
                    // What it is will be said again.
                    _ if read > 0 => break,
                    Poll::Ready(result) => return Poll::Ready(result),
                    Poll::Pending => {
                        give_back_if_empty(input);
                        waits();
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(read))
        })
        .await
    }

    async fn hang_up(&self) -> io::Result<()> {
        hang_up(self.socket).await
    }
}

impl Outgoing for TlsOutgoing<'_> {
    /// What was encrypted before goes out first, so never more than rustls' own buffer waits.
    async fn write(&mut self, output: &mut impl Buf) -> io::Result<()> {
        if !self.unflushed {
            self.stream.write_buf(output).await?;
            // From here on the caller may give up waiting.
            self.unflushed = true;
        }
        self.stream.flush().await?;
        self.unflushed = false;
        Ok(())
    }

    fn holds_back(&self) -> bool {
        self.unflushed
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}
