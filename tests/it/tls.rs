//! AMQP over TLS: versions, certificates on both sides, logins with a certificate, new files.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::sync::Arc;

use leveret::config::{CertificateLogin, Config, TlsVersions};
use rcgen::DnType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::support::pki::{Identity, Pki};
use crate::support::*;

/// A broker with a certificate of this CA, which asks clients for one of it, too.
async fn broker(pki: &Pki, configure: impl FnOnce(&mut Config)) -> Option<TestServer> {
    TestServer::configured(|config| {
        config.tls.port = 0;
        config.tls.options = pki.options();
        configure(config);
    })
    .await
}

fn tls_address(server: &TestServer) -> SocketAddr {
    server.broker().expect("leveret").tls_addresses()[0]
}

/// How a client makes TLS connections.
struct Dialler {
    ca: CertificateDer<'static>,
    versions: Vec<&'static SupportedProtocolVersion>,
    identity: Option<Identity>,
}

type Secured = tokio_rustls::client::TlsStream<TcpStream>;

impl Dialler {
    fn new(pki: &Pki) -> Self {
        Self { ca: pki.ca(), versions: vec![&TLS13, &TLS12], identity: None }
    }

    fn with(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    fn only(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..self }
    }

    async fn dial(&self, address: SocketAddr) -> std::io::Result<Secured> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    /// A client whose words go through TLS.
    async fn client(&self, server: &TestServer) -> RawClient {
        let mut secured = self.dial(tls_address(server)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = RawClient::connect(listener.local_addr().unwrap()).await;
        let (mut plain, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            // It ends with either end.
            let _ = tokio::io::copy_bidirectional(&mut plain, &mut secured).await;
        });
        client
    }
}

/// The subject of the certificate that the server shows.
async fn server_subject(dialler: &Dialler, server: &TestServer) -> String {
    let secured = dialler.dial(tls_address(server)).await.unwrap();
    let chain = secured.get_ref().1.peer_certificates().unwrap();
    leveret::auth::Certificate::from_der(&chain[0]).unwrap().subject
}

/// Logs in with a certificate: the answer to `connection.start-ok`.
async fn external_login(client: &mut RawClient) -> Method {
    let start = client.start().await;
    assert_eq!(&start.mechanisms[..], b"PLAIN AMQPLAIN EXTERNAL");
    let handshake = Handshake { mechanism: "EXTERNAL", response: vec![], ..Handshake::default() };
    client.send(0, handshake.start_ok()).await;
    client.receive_method(0).await
}

#[tokio::test]
async fn both_versions_of_tls_carry_messages_of_all_sizes() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    for version in [&TLS12, &TLS13] {
        let mut client = Dialler::new(&pki).only(version).client(&server).await;
        client.shake_hands(&Handshake::default()).await;
        client.open_channel(1).await;
        client.call(1, declare_queue("q")).await;
        for size in [0, 1, 20_000, 3_000_000] {
            let body = "x".repeat(size);
            client.publish(1, to_queue("q"), &body).await;
            let (_, content) = client.get(1, get("q")).await.unwrap();
            assert!(content.text() == body, "{size} bytes: {} came back", content.body.len());
        }
        client.close().await;
    }
}

#[tokio::test]
async fn a_version_that_is_not_allowed_is_refused() {
    let pki = Pki::new();
    let only_13 = |config: &mut Config| config.tls.options.versions = TlsVersions::Only13;
    let Some(server) = broker(&pki, only_13).await else { return };
    let refused = Dialler::new(&pki).only(&TLS12).dial(tls_address(&server)).await.unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    Dialler::new(&pki).only(&TLS13).dial(tls_address(&server)).await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_not_needed_unless_it_is_asked_for() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    let mut client = Dialler::new(&pki).client(&server).await;
    assert_eq!(&client.start().await.mechanisms[..], b"PLAIN AMQPLAIN");

    let strict = |config: &mut Config| config.tls.options.fail_if_no_peer_cert = true;
    let Some(server) = broker(&pki, strict).await else { return };
    // With TLS 1.3 a client has finished its half when it is refused; it reads of it afterwards.
    let mut refused = Dialler::new(&pki).dial(tls_address(&server)).await.unwrap();
    let error = refused.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let (pki, other) = (Pki::new(), Pki::new());
    let Some(server) = broker(&pki, |_| {}).await else { return };
    let stranger = other.sign(&[(DnType::CommonName, "guest")]);
    let mut refused = Dialler::new(&pki).with(stranger).dial(tls_address(&server)).await.unwrap();
    let error = refused.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("UnknownCA"), "{error}");
}

#[tokio::test]
async fn a_certificate_is_a_login() {
    let pki = Pki::new();
    let name = [(DnType::OrganizationName, "Example"), (DnType::CommonName, "alice")];
    for (login_from, user) in [
        (CertificateLogin::DistinguishedName, "CN=alice,O=Example"),
        (CertificateLogin::CommonName, "alice"),
        (CertificateLogin::SubjectAlternativeName, "alice"),
    ] {
        let configure = |config: &mut Config| {
            config.tls.login_from = login_from;
            config.default_user = user.to_owned();
        };
        let Some(server) = broker(&pki, configure).await else { return };
        let alice = Dialler::new(&pki).with(pki.sign(&name));
        let mut client = alice.client(&server).await;
        let Method::ConnectionTune(tune) = external_login(&mut client).await else {
            panic!("{user} did not get in")
        };
        let connection::Tune { channel_max, frame_max, .. } = tune;
        let tune_ok = connection::TuneOk { channel_max, frame_max, heartbeat: 0 };
        client.send(0, tune_ok).await;
        client.send(0, Handshake::default().open()).await;
        assert!(matches!(client.receive_method(0).await, Method::ConnectionOpenOk(_)), "{user}");
        client.open_channel(1).await;

        let bob = Dialler::new(&pki).with(pki.sign(&[(DnType::CommonName, "bob")]));
        let Method::ConnectionClose(close) = external_login(&mut bob.client(&server).await).await
        else {
            panic!("bob got in")
        };
        assert_eq!(
            (close.reply_code, close.reply_text.to_str().unwrap()),
            (
                403,
                "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. For \
                 details see the broker logfile."
            )
        );
    }
}

#[tokio::test]
async fn a_certificate_without_the_name_that_is_asked_for_is_no_login() {
    let pki = Pki::new();
    let common_name = |config: &mut Config| config.tls.login_from = CertificateLogin::CommonName;
    let Some(server) = broker(&pki, common_name).await else { return };
    let nameless = pki.sign(&[(DnType::OrganizationName, "Example")]);
    let mut client = Dialler::new(&pki).with(nameless).client(&server).await;
    let answer = external_login(&mut client).await;
    assert!(
        matches!(&answer, Method::ConnectionClose(close) if close.reply_code == 403),
        "{answer:?}"
    );
}

/// Goal: who has no certificate can't be somebody by saying so, on either port.
#[tokio::test]
async fn without_a_certificate_external_is_unknown() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    let external =
        Handshake { mechanism: "EXTERNAL", response: b"guest".to_vec(), ..Handshake::default() };
    for mut client in [server.socket().await, Dialler::new(&pki).client(&server).await] {
        assert_eq!(&client.start().await.mechanisms[..], b"PLAIN AMQPLAIN");
        client.send(0, external.start_ok()).await;
        client.skip_to_end().await;
    }
}

/// Goal: new files hold for new connections, old connections live on, and a bad file changes nothing.
#[tokio::test]
async fn files_are_read_again_while_connections_are_open() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    let dialler = Dialler::new(&pki);
    let mut old = dialler.client(&server).await;
    old.shake_hands(&Handshake::default()).await;
    assert_eq!(server_subject(&dialler, &server).await, "CN=localhost,O=First");

    pki.renew_server("Second");
    let broker = server.broker().unwrap();
    let certificate = broker.reload_tls().unwrap().unwrap();
    assert_eq!(certificate.subject, "CN=localhost,O=Second");
    assert_eq!(server_subject(&dialler, &server).await, "CN=localhost,O=Second");

    std::fs::write(pki.file("server.pem"), "nonsense").unwrap();
    let error = broker.reload_tls().unwrap_err().to_string();
    assert!(error.contains("server.pem has no certificate"), "{error}");
    assert_eq!(server_subject(&dialler, &server).await, "CN=localhost,O=Second");

    old.open_channel(1).await;
    old.close().await;
}

#[tokio::test]
async fn who_does_not_speak_tls_gets_an_alert_and_nobody_else_waits() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    // One that never says anything does not keep others out.
    let _silent = TcpStream::connect(tls_address(&server)).await.unwrap();
    for words in [&b"AMQP\0\0\x09\x01"[..], b"GET / HTTP/1.1\r\n\r\n", b"?"] {
        let mut client = TcpStream::connect(tls_address(&server)).await.unwrap();
        client.write_all(words).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        // As measured on RabbitMQ 3.10: fatal, unexpected message.
        assert_eq!(answer, [21, 3, 1, 0, 2, 2, 10]);
    }
}

/// Goal: who begins a handshake and does not go on is gone when its time is up.
#[tokio::test]
async fn an_endless_handshake_ends() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    let mut client = TcpStream::connect(tls_address(&server)).await.unwrap();
    client.write_all(&[22, 3, 1]).await.unwrap();
    server.virtual_time();
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

/// Goal: the TLS handshake and the AMQP handshake have one time limit together.
#[tokio::test]
async fn a_secured_client_that_does_not_log_in_is_dropped() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    let mut client = Dialler::new(&pki).client(&server).await;
    client.start().await;
    server.virtual_time();
    client.skip_to_end().await;
}

#[tokio::test]
async fn a_stopping_broker_says_goodbye_and_closes_properly() {
    let pki = Pki::new();
    let Some(server) = broker(&pki, |_| {}).await else { return };
    let mut client = Dialler::new(&pki).client(&server).await;
    client.shake_hands(&Handshake::default()).await;
    let stopped = tokio::spawn(server.stop());
    client
        .expect_connection_close(
            320,
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
            (0, 0),
        )
        .await;
    client.send(0, connection::CloseOk {}).await;
    client.expect_end().await;
    stopped.await.unwrap();
}
