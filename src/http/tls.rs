//! HTTPS: the handshake, and what is said to those who speak plain HTTP.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::tls::{ServerTls, failure};

/// What every TLS record of a handshake begins with.
const HANDSHAKE_RECORD: u8 = 22;

/// What a client of plain HTTP is told: browsers and curl show it to their users.
const NO_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS: begin the address with https://\n";

/// Makes a TLS connection of a socket. Who does not come to terms is gone afterwards, and told of in the log.
pub(super) async fn secure(
    stream: TcpStream,
    address: SocketAddr,
    tls: &ServerTls,
) -> Option<TlsStream<TcpStream>> {
    let mut first = [0_u8];
    match stream.peek(&mut first).await {
        // It had nothing to say; so do those who look whether the port is open.
        Ok(0) | Err(_) => return None,
        Ok(_) if first[0] == HANDSHAKE_RECORD => {}
        Ok(_) => {
            tracing::warn!("HTTPS: {address} does not speak TLS; let it use https://");
            explain(stream).await;
            return None;
        }
    }
    match tls.acceptor().accept(stream).await {
        Ok(secured) => Some(secured),
        Err(error) => {
            tracing::warn!("HTTPS: TLS handshake with {address} failed: {}", failure(&error));
            None
        }
    }
}

/// Tells a client to use HTTPS. A socket that is closed with something unread takes the answer back, so the
/// request is read to its end, or to that of the client's patience or the caller's.
async fn explain(mut stream: TcpStream) {
    let told = stream.write_all(NO_TLS).await.is_ok() && stream.shutdown().await.is_ok();
    let mut unread = [0_u8; 4096];
    while told && matches!(stream.read(&mut unread).await, Ok(count) if count > 0) {}
}
