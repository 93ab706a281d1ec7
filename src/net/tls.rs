//! AMQP over TLS: the handshake, and what it tells of the client.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::clock::now;
use super::connection::{Accepted, LINGER, converse, linger};
use super::link::{Borrowed, split};
use crate::auth::Certificate;
use crate::session::{Encryption, Host, Peer};
use crate::tls::{ServerTls, failure};

/// What every TLS record of a handshake begins with.
const HANDSHAKE_RECORD: u8 = 22;

/// The alert "unexpected message", in the clear: what RabbitMQ says to those who do not speak TLS.
const UNEXPECTED_MESSAGE: [u8; 7] = [21, 3, 1, 0, 2, 2, 10];

/// How long a refused client may take to read why.
const REFUSED_LINGER: Duration = Duration::from_secs(3);

/// What a TLS listener needs to know.
#[derive(Debug, Clone)]
pub struct TlsListener {
    /// The port; 0 is any free one.
    pub port: u16,
    /// Certificate, key and rules.
    pub tls: ServerTls,
    /// How long a client may take from connecting to its AMQP connection; the TLS handshake is part of it.
    pub handshake_timeout: Duration,
}

/// Why a client got no further than the handshake.
enum Refusal {
    /// It had nothing to say, and went. So do those who look whether the port is open.
    Silent,
    /// It does not speak TLS, but perhaps something else; this is how it began.
    NoTls(Vec<u8>),
    /// They did not come to terms.
    Failed(io::Error),
    TimedOut,
}

/// Serves one client on the TLS port until it is gone.
pub(super) async fn serve(
    accepted: Accepted,
    listener: TlsListener,
    host: Arc<Host>,
    shutdown: CancellationToken,
) {
    let connected_at = now();
    let Accepted { stream, address, arrival } = accepted;
    // A socket that has no address any more is gone.
    let Ok(local) = stream.local_addr() else { return };
    let deadline = (connected_at + listener.handshake_timeout).into();
    let secured = tokio::select! {
        secured = timeout_at(deadline, secure(&stream, &listener.tls)) => secured,
        () = shutdown.cancelled() => return,
    };
    let secured = match secured.unwrap_or(Err(Refusal::TimedOut)) {
        Ok(secured) => secured,
        Err(refusal) => return refuse(stream, address, local, refusal, &shutdown).await,
    };
    let encryption = Some(Arc::new(encryption(secured.get_ref().1)));
    let peer = Peer { address, local, encryption };
    let (reader, writer) = split(secured, &stream);
    let client = (host, Arc::clone(&arrival));
    if converse(reader, writer, peer, client, connected_at, &shutdown).await.is_ok() {
        linger(stream, LINGER, &shutdown).await;
    }
}

async fn secure<'a>(
    stream: &'a TcpStream,
    tls: &ServerTls,
) -> Result<TlsStream<Borrowed<'a>>, Refusal> {
    let mut first = [0_u8; 8];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(Refusal::Silent),
        Ok(_) if first[0] == HANDSHAKE_RECORD => {}
        Ok(count) => return Err(Refusal::NoTls(first[..count].to_vec())),
    }
    tls.acceptor().accept(Borrowed(stream)).await.map_err(Refusal::Failed)
}

async fn refuse(
    mut stream: TcpStream,
    address: SocketAddr,
    local: SocketAddr,
    refusal: Refusal,
    shutdown: &CancellationToken,
) {
    let peer = Peer { address, local, encryption: None }.name();
    match refusal {
        Refusal::Silent => return tracing::debug!("{peer}: closed before its TLS handshake"),
        Refusal::TimedOut => {
            return tracing::warn!("closing connection ({peer}): TLS handshake timeout");
        }
        Refusal::NoTls(first) => {
            let spoken = spoken(&first);
            tracing::warn!("closing connection ({peer}): {spoken} on the port for AMQP over TLS");
            // It may be gone already.
            let _ = stream.write_all(&UNEXPECTED_MESSAGE).await;
        }
        Refusal::Failed(error) => {
            let why = failure(&error);
            tracing::warn!("closing connection ({peer}): TLS handshake failed: {why}");
        }
    }
    linger(stream, REFUSED_LINGER, shutdown).await;
}

fn spoken(first: &[u8]) -> &'static str {
    match first {
        [b'A', b'M', b'Q', b'P', ..] => {
            "the client speaks AMQP without TLS; let it use amqps://, or the port for plain AMQP, not"
        }
        [b'G', b'E', b'T', b' ', ..]
        | [b'H', b'E', b'A', b'D', ..]
        | [b'P', b'O', b'S', b'T', ..] => "the client speaks HTTP",
        _ => "the client does not speak TLS",
    }
}

/// What was negotiated, in RabbitMQ's words.
fn encryption(connection: &ServerConnection) -> Encryption {
    let is_13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let (key_exchange, cipher) = suite.map_or(("", ""), words);
    let shown = connection.peer_certificates().and_then(|chain| chain.first());
    Encryption {
        protocol: if is_13 { "tlsv1.3" } else { "tlsv1.2" },
        key_exchange,
        cipher,
        hash: "aead",
        certificate: shown.and_then(|der| Certificate::from_der(der).ok()),
    }
}

/// The key exchange and the cipher in a suite.
fn words(suite: CipherSuite) -> (&'static str, &'static str) {
    const AES_128: &str = "aes_128_gcm";
    const AES_256: &str = "aes_256_gcm";
    const CHACHA: &str = "chacha20_poly1305";
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("any", AES_128),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("any", AES_256),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("any", CHACHA),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => ("ecdhe_ecdsa", AES_128),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => ("ecdhe_ecdsa", AES_256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ("ecdhe_ecdsa", CHACHA),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ecdhe_rsa", AES_128),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ecdhe_rsa", AES_256),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => ("ecdhe_rsa", CHACHA),
        _ => ("", ""),
    }
}
