//! TLS between a connection and its socket.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, ClientConnection};

use super::PerfError;

/// How the broker is known to be the one that is meant, and what is shown to it.
#[derive(Clone, Default)]
pub struct Tls(Option<Arc<ClientConfig>>);

impl Tls {
    /// As this says.
    pub(crate) fn with(config: Arc<ClientConfig>) -> Self {
        Self(Some(config))
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// What rustls says, if it was what failed.
pub(super) fn refusal(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A connection's session. The socket stays with the connection, which waits for it.
#[derive(Debug)]
pub(super) struct Secure(ClientConnection);

impl Secure {
    /// Shakes hands over a socket that blocks.
    pub(super) fn open(
        Tls(config): &Tls,
        host: &str,
        mut socket: &TcpStream,
    ) -> Result<Self, PerfError> {
        let Some(config) = config else {
            let missing = "nobody said which certificates are trusted";
            return Err(PerfError::Plan(missing.to_owned()));
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| PerfError::Plan(format!("'{host}' is no name that a certificate has")))?;
        let refused = |source: io::Error| {
            let is_silent = matches!(source.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            let source = if is_silent { io::Error::other("there was no answer") } else { source };
            PerfError::Tls { host: host.to_owned(), source }
        };
        let session = ClientConnection::new(Arc::clone(config), name);
        let mut session = session.map_err(|error| refused(io::Error::other(error)))?;
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(refused)?;
        }
        Ok(Self(session))
    }

    /// What comes out of the socket, decrypted.
    pub(super) fn reader<'a>(&'a mut self, socket: &'a TcpStream) -> impl Read + use<'a> {
        Decrypted { session: &mut self.0, socket }
    }

    /// Whether there is something to read that the socket no longer has.
    pub(super) fn has_unread(&self) -> bool {
        !self.0.wants_read()
    }

    /// Whether there is something to write that the socket does not have yet.
    pub(super) fn has_unwritten(&self) -> bool {
        self.0.wants_write()
    }

    /// Hands the socket all that it does not have yet.
    pub(super) fn flush(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of it; only while the socket blocks.
    pub(super) fn write_all(&mut self, socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        self.flush(socket)?;
        while !bytes.is_empty() {
            let taken = self.0.writer().write(bytes)?;
            bytes = &bytes[taken..];
            self.flush(socket)?;
        }
        Ok(())
    }

    /// Takes what fits, once the socket has all that was taken before.
    pub(super) fn write_some(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(socket)?;
        let taken = self.0.writer().write(bytes)?;
        match self.flush(socket) {
            // It is encrypted and not lost: whoever waits for the socket flushes it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(taken),
            flushed => flushed.map(|()| taken),
        }
    }
}

/// Reads through a session.
struct Decrypted<'a> {
    session: &'a mut ClientConnection,
    socket: &'a TcpStream,
}

impl Read for Decrypted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.session.read_tls(&mut self.socket)?;
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}
