//! How long a client has for its TLS handshake.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::config::TlsOptions;
use crate::http::admission::Admission;

/// A server's TLS; its files are read, and gone.
fn server_tls() -> ServerTls {
    let name = format!("leveret-https-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.join("server.pem"), folder.join("server.key"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let options = TlsOptions {
        cert_file: Some(cert_file),
        key_file: Some(key_file),
        ..TlsOptions::default()
    };
    // In the year 2026.
    let tls = ServerTls::load(options, Duration::from_secs(1_780_000_000)).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    tls
}

fn served_client(from: From, router: Router) -> Client {
    Client { from, router, shutdown: CancellationToken::new() }
}

/// Goal: who does not get on with it gives his place to others, whatever he began with.
#[tokio::test(start_paused = true)]
async fn a_handshake_has_the_time_of_a_head() {
    let tls = server_tls();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let room = Admission::new(0);
    for beginning in [&b""[..], b"\x16\x03\x01", b"GET /never-ending"] {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(beginning).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        let (stream, peer) = accepted;
        let from = From { peer, local: peer };
        let place = room.admit(from).unwrap();
        // Nobody takes it meanwhile.
        place.is_asked();
        room.admit(from).expect_err("there is one place");
        let mut served =
            pin!(served_client(from, Router::new()).serve_tls(stream, tls.clone(), place));
        let (almost, rest) = (HEAD_TIMEOUT - Duration::from_secs(1), Duration::from_secs(2));
        timeout(almost, served.as_mut()).await.expect_err("it has this time");
        timeout(rest, served).await.expect("and no more");
        drop(room.admit(from).expect("his place is another's"));
        let mut said = Vec::new();
        // A reset is an end as well.
        let _ = client.read_to_end(&mut said).await;
        assert_eq!(said.starts_with(b"HTTP/1.1 400 "), beginning.starts_with(b"GET"));
    }
}

/// Goal: a client that asks and reads nothing gives its place to others.
#[tokio::test(start_paused = true)]
async fn who_reads_no_answers_is_let_go() {
    let answer = || async { "x".repeat(4096) };
    let router = Router::new().route("/", axum::routing::get(answer));
    // What a system would take in for it.
    let (mut client, stream) = tokio::io::duplex(1024);
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let from = From { peer: here, local: here };
    let place = Arc::new(Admission::new(0).admit(from).unwrap());
    let mut served = pin!(served_client(from, router).serve(stream, &place));
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (almost, rest) = (WRITE_TIMEOUT - Duration::from_secs(1), Duration::from_secs(2));
    timeout(almost, served.as_mut()).await.expect_err("it has this time");
    timeout(rest, served).await.expect("and no more");
}
