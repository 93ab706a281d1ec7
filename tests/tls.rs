//! TLS as an administrator meets it: what the command says at its start, in its log, and to SIGHUP. With
//! `LEVERET_BIN` set these tests run that binary instead of cargo's.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rcgen::DnType;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines,
};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use self::pki::{Identity, Pki};

#[path = "it/support/pki.rs"]
#[expect(dead_code, reason = "the wire tests need more of it")]
mod pki;

/// For what takes some milliseconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A broker of this test's own; it is killed when dropped.
struct Running {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    ports: serde_json::Value,
}

fn command(arguments: &[&str]) -> Command {
    let cargos = || OsString::from(env!("CARGO_BIN_EXE_leveret"));
    let mut command = Command::new(std::env::var_os("LEVERET_BIN").unwrap_or_else(cargos));
    command.args(["--bind", "127.0.0.1"]).args(arguments);
    if !arguments.iter().any(|argument| argument.starts_with("--durability")) {
        command.args(["--durability", "none"]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The flags for TLS with a test's files.
fn flags(pki: &Pki) -> [String; 3] {
    let path = |name| pki.file(name).display().to_string();
    [
        "--tls-port=0".to_owned(),
        format!("--tls-cert-file={}", path("server.pem")),
        format!("--tls-key-file={}", path("server.key")),
    ]
}

impl Running {
    async fn start(pki: &Pki, arguments: &[&str]) -> Self {
        let ready_file = pki.file("ready.json");
        let ready_flag = format!("--ready-file={}", ready_file.display());
        let flags = flags(pki);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let arguments = [arguments, &flags, &[&ready_flag]].concat();
        let mut child = command(&arguments).spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut running = Self { child, log, ports: serde_json::Value::Null };
        running.expect("Server startup complete").await;
        running.ports = ports(&ready_file);
        running
    }

    /// The next line of the log that contains this.
    async fn expect(&mut self, part: &str) -> String {
        let found = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                if line.contains(part) {
                    return line;
                }
            }
            panic!("the log ended before '{part}'")
        };
        let found = timeout(DEADLINE, found).await;
        found.unwrap_or_else(|_| panic!("there is no line with '{part}'"))
    }

    fn address(&self, port: &str) -> SocketAddr {
        let port = u16::try_from(self.ports[port].as_u64().unwrap()).unwrap();
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
    }
}

/// Asks for HTTPS besides.
const HTTPS: [&str; 3] = ["--port=0", "--management-tls-port=0", "--prometheus-tls-port=0"];

/// What a path is answered with, over whatever the stream is.
async fn http(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    // "guest:guest".
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The subject of the certificate that is shown on a port.
async fn shown(pki: &Pki, address: SocketAddr) -> String {
    let secured = dial(pki, address).await.unwrap();
    let chain = secured.get_ref().1.peer_certificates().unwrap();
    leveret::auth::Certificate::from_der(&chain[0]).unwrap().subject
}

fn ports(ready_file: &Path) -> serde_json::Value {
    let ready = std::fs::read_to_string(ready_file).unwrap();
    serde_json::from_str::<serde_json::Value>(&ready).unwrap()["ports"].clone()
}

async fn dial(pki: &Pki, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

#[tokio::test]
async fn the_tls_port_is_announced_as_scripts_wait_for_it() {
    let pki = Pki::new();
    let ready_file = pki.file("ready.json").display().to_string();
    let flags = flags(&pki);
    let [port, cert, key] = flags.each_ref().map(String::as_str);
    let arguments = [port, cert, key, "--port=none", "--ready-file", &ready_file];
    let mut child = command(&arguments).spawn().unwrap();
    let log = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut running = Running { child, log, ports: serde_json::Value::Null };
    let line = running.expect("started T").await;
    assert!(line.contains("started TLS (SSL) listener on 127.0.0.1:"), "{line}");
    running.expect("Server startup complete").await;
    running.ports = ports(Path::new(&ready_file));
    assert!(running.ports.get("amqp").is_none(), "{}", running.ports);
    let mut client = dial(&pki, running.address("amqps")).await.unwrap();
    client.write_all(b"AMQP\0\0\x09\x01").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), 1, "a method frame");
}

#[tokio::test]
async fn files_that_do_not_do_are_one_clear_line_and_code_78() {
    let pki = Pki::new();
    let [_, cert, key] = flags(&pki);
    let nowhere = format!("--tls-cert-file={}", pki.file("nowhere").display());
    let wrong = format!("--tls-key-file={}", pki.file("ca.pem").display());
    for (arguments, expected) in [
        (&[&nowhere[..], &key][..], "cannot read tls_cert_file "),
        (&[&cert[..]], "tls_cert_file is set, and tls_key_file is not"),
        (&[&cert, &wrong], "has no private key"),
        (&[&cert, &key, "--tls-verify=peer"], "tls_ca_file must name the CAs"),
        (&["--port=none"], "there is nothing to listen on"),
        (&["--management-tls-port=0"], "management_tls_port is set, and without tls_cert_file"),
        (&["--prometheus-tls-port=0"], "prometheus_tls_port is set, and without tls_cert_file"),
    ] {
        let output = command(arguments).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.starts_with("leveret: ") && said.contains(expected), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn sighup_has_the_files_read_again() {
    let pki = Pki::new();
    let mut broker = Running::start(&pki, &HTTPS).await;
    pki.renew_server("Second");
    broker.signal("HUP");
    let line = broker.expect("TLS files").await;
    assert!(line.contains("were read again") && line.contains("O=Second"), "{line}");
    for port in ["amqps", "management_tls", "prometheus_tls"] {
        let subject = shown(&pki, broker.address(port)).await;
        assert_eq!(subject, "CN=localhost,O=Second", "{port}");
    }

    std::fs::remove_file(pki.file("server.key")).unwrap();
    broker.signal("HUP");
    let line = broker.expect("TLS files").await;
    assert!(line.contains("ERROR") && line.contains("cannot read tls_key_file"), "{line}");
    assert!(line.contains("the TLS files read before stay in force"), "{line}");
    dial(&pki, broker.address("amqps")).await.unwrap();
}

/// Goal: whoever confuses the ports finds the answer in the log.
#[tokio::test]
async fn the_wrong_port_is_told_in_the_log() {
    let pki = Pki::new();
    let mut broker = Running::start(&pki, &["--port=0"]).await;
    for (words, expected) in [
        (&b"AMQP\0\0\x09\x01"[..], "speaks AMQP without TLS; let it use amqps://"),
        (b"GET / HTTP/1.1\r\n\r\n", "speaks HTTP on the port for AMQP over TLS"),
    ] {
        let mut client = TcpStream::connect(broker.address("amqps")).await.unwrap();
        client.write_all(words).await.unwrap();
        let line = broker.expect("closing connection").await;
        assert!(line.contains("WARN") && line.contains(expected), "{line}");
    }

    // The other way round.
    let error = dial(&pki, broker.address("amqp")).await.unwrap_err();
    assert!(error.to_string().contains("corrupt message"), "{error}");
    let line = broker.expect("bad_header").await;
    assert!(line.contains("ERROR") && line.contains("{bad_header,<<22,3,1,"), "{line}");
    assert!(line.contains("speaks TLS on the port for plain AMQP"), "{line}");
}

#[tokio::test]
async fn a_client_that_does_not_know_the_ca_is_told_of_in_the_log() {
    let (pki, other) = (Pki::new(), Pki::new());
    let mut broker = Running::start(&pki, &["--port=0"]).await;
    dial(&other, broker.address("amqps")).await.unwrap_err();
    let line = broker.expect("TLS handshake failed").await;
    assert!(line.contains("does not accept the server's certificate (UnknownCA)"), "{line}");
}

#[tokio::test]
async fn management_and_metrics_are_served_over_https() {
    let pki = Pki::new();
    let ready_file = pki.file("ready.json");
    let flags = flags(&pki);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let ready_flag = format!("--ready-file={}", ready_file.display());
    let mut child = command(&[&HTTPS, &flags[..], &[&ready_flag]].concat()).spawn().unwrap();
    let log = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut broker = Running { child, log, ports: serde_json::Value::Null };
    broker.expect("Management plugin: HTTPS listener started on port ").await;
    broker.expect("Prometheus metrics: HTTPS listener started on port ").await;
    broker.expect("Server startup complete").await;
    broker.ports = ports(&ready_file);

    let management = dial(&pki, broker.address("management_tls")).await.unwrap();
    let answer = http(management, "/api/overview").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for protocol in ["http", "https", "http/prometheus", "https/prometheus"] {
        assert!(answer.contains(&format!("\"protocol\":\"{protocol}\"")), "{protocol}: {answer}");
    }
    let metrics = dial(&pki, broker.address("prometheus_tls")).await.unwrap();
    let answer = http(metrics, "/metrics").await;
    assert!(answer.contains("\nrabbitmq_identity_info{"), "{answer}");
    // And without TLS on the ports that have none.
    let plain = TcpStream::connect(broker.address("management")).await.unwrap();
    assert!(http(plain, "/api/whoami").await.contains("\"name\":\"guest\""));
}

/// Goal: management and metrics have certificates and rules of their own, and paths, as rabbitmq.conf says.
#[tokio::test]
async fn management_and_metrics_have_what_their_own_keys_say() {
    let pki = Pki::new();
    let path = |name: &str| pki.file(name).display().to_string();
    let mut text = String::new();
    for service in ["management", "prometheus"] {
        let name = [(DnType::OrganizationName, service), (DnType::CommonName, "localhost")];
        let Identity { certificate, key } = pki.sign(&name);
        let (pem, private) = (format!("{service}.pem"), format!("{service}.key"));
        std::fs::write(pki.file(&pem), certificate).unwrap();
        std::fs::write(pki.file(&private), key).unwrap();
        for (key, value) in [
            ("ssl.port", "0"),
            ("ssl.ip", "127.0.0.1"),
            ("ssl.certfile", &path(&pem)),
            ("ssl.keyfile", &path(&private)),
        ] {
            text += &format!("{service}.{key} = {value}\n");
        }
    }
    text += "management.path_prefix = /mq\nmanagement.tcp.port = 0\nprometheus.tcp.port = 0\n";
    text += "prometheus.tcp.ip = 127.0.0.2\nprometheus.path = /numbers\n";
    text += "prometheus.ssl.verify = verify_peer\nprometheus.ssl.fail_if_no_peer_cert = true\n";
    text += &format!("prometheus.ssl.cacertfile = {}\n", path("ca.pem"));
    std::fs::write(pki.file("rabbitmq.conf"), text).unwrap();
    let config = format!("--config={}", path("rabbitmq.conf"));
    let broker = Running::start(&pki, &["--port=0", &config]).await;

    let management = broker.address("management_tls");
    assert_eq!(shown(&pki, management).await, "CN=localhost,O=management");
    assert_eq!(shown(&pki, broker.address("amqps")).await, "CN=localhost,O=First");
    let answer = http(dial(&pki, management).await.unwrap(), "/mq/api/whoami").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = http(dial(&pki, management).await.unwrap(), "/api/whoami").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");

    // Without a certificate of his own nobody sees the metrics over TLS.
    if let Ok(mut refused) = dial(&pki, broker.address("prometheus_tls")).await {
        let mut answer = String::new();
        let _ = refused.write_all(b"GET /numbers HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let _ = refused.read_to_string(&mut answer).await;
        assert_eq!(answer, "");
    }
    let metrics = (Ipv4Addr::new(127, 0, 0, 2), broker.address("prometheus").port());
    let answer = http(TcpStream::connect(metrics).await.unwrap(), "/numbers").await;
    assert!(answer.contains("\nrabbitmq_identity_info{"), "{answer}");
    let expired = "/mq/api/health/checks/certificate-expiration/9000/years";
    let answer = http(dial(&pki, management).await.unwrap(), expired).await;
    for file in ["management.pem", "prometheus.pem", "server.pem"] {
        assert!(answer.contains(file), "{file}: {answer}");
    }
}

/// Goal: who watches certificates hears in time that they expire, and only who logs in where they are.
#[tokio::test]
async fn a_certificate_that_expires_soon_fails_its_health_check() {
    let pki = Pki::new();
    let broker = Running::start(&pki, &["--management-port=0"]).await;
    let address = broker.address("management");
    let check = |within: &'static str| async move {
        let path = format!("/api/health/checks/certificate-expiration/{within}");
        http(TcpStream::connect(address).await.unwrap(), &path).await
    };
    assert!(check("1/weeks").await.starts_with("HTTP/1.1 200 "));
    let expired = check("9000/years").await;
    assert!(expired.starts_with("HTTP/1.1 503 "), "{expired}");
    let (_, body) = expired.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["reason"], "Certificates expiring");
    assert_eq!(body["expired"][0]["protocol"], "amqp/ssl");
    assert_eq!(body["expired"][0]["port"], broker.address("amqps").port());
    assert!(body["expired"][0]["certfile"].is_string(), "{body}");
    assert!(body["expired"][0]["certfile_expires_on"][0].is_string(), "{body}");
    let mut anybody = TcpStream::connect(address).await.unwrap();
    let path = "/api/health/checks/certificate-expiration/9000/years";
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    anybody.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    anybody.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.contains("Certificates expiring") && !answer.contains("certfile\":\"/"),
        "{answer}"
    );
    assert!(!answer.contains("certfile\":"), "{answer}");
}

/// Puts a certificate and its key there whose time is over, as `NAME.pem` and `NAME.key`.
fn put_expired(pki: &Pki, name: &str) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(pki.file(&format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(pki.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// Goal: what no client would accept is told at the start, whoever it is for, and not by the first client.
#[tokio::test]
async fn nothing_starts_with_a_certificate_whose_time_is_over() {
    let pki = Pki::new();
    put_expired(&pki, "old");
    let path = |name: &str| pki.file(name).display().to_string();
    let files = [("certfile", "old.pem"), ("keyfile", "old.key")];
    for (service, port) in [
        ("ssl_options", "listeners.ssl.default = 0"),
        ("management.ssl", "management.ssl.port = 0"),
        ("prometheus.ssl", "prometheus.ssl.port = 0"),
    ] {
        let of_service = files.map(|(key, file)| format!("{service}.{key} = {}\n", path(file)));
        std::fs::write(pki.file("rabbitmq.conf"), format!("{port}\n{}", of_service.concat()))
            .unwrap();
        let config = format!("--config={}", path("rabbitmq.conf"));
        let output = command(&["--port=0", &config]).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{service}: {said}");
        assert!(said.contains("old.pem expired at 2020-01-01"), "{service}: {said}");
        assert_eq!(said.lines().count(), 1, "{service}: {said}");
    }
}

/// Goal: who puts an old certificate in the place of a good one reads of it, and clients go on as before; the health
/// check is of what they are shown.
#[tokio::test]
async fn a_certificate_whose_time_is_over_takes_no_good_ones_place() {
    let pki = Pki::new();
    let arguments = [&HTTPS[..], &["--management-port=0"]].concat();
    let mut broker = Running::start(&pki, &arguments).await;
    put_expired(&pki, "server");
    broker.signal("HUP");
    let line = broker.expect("TLS files").await;
    assert!(line.contains("ERROR") && line.contains("server.pem expired at 2020-01-01"), "{line}");
    assert!(line.contains("the TLS files read before stay in force"), "{line}");
    for port in ["amqps", "management_tls", "prometheus_tls"] {
        let subject = shown(&pki, broker.address(port)).await;
        assert_eq!(subject, "CN=localhost,O=First", "{port}");
    }
    let check = "/api/health/checks/certificate-expiration/1/weeks";
    let plain = TcpStream::connect(broker.address("management")).await.unwrap();
    let answer = http(plain, check).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = http(dial(&pki, broker.address("management_tls")).await.unwrap(), check).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Goal: who forgets the s in https is told so, where he looks.
#[tokio::test]
async fn plain_http_on_the_port_for_https_is_answered_with_the_reason() {
    let pki = Pki::new();
    let mut broker = Running::start(&pki, &HTTPS).await;
    let plain = TcpStream::connect(broker.address("management_tls")).await.unwrap();
    let answer = http(plain, "/api/overview").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("begin the address with https://"), "{answer}");
    let line = broker.expect("does not speak TLS").await;
    assert!(line.contains("WARN") && line.contains("HTTPS: 127.0.0.1:"), "{line}");

    let other = Pki::new();
    dial(&other, broker.address("management_tls")).await.unwrap_err();
    let line = broker.expect("HTTPS: TLS handshake with ").await;
    assert!(line.contains("does not accept the server's certificate (UnknownCA)"), "{line}");
}

#[tokio::test]
async fn without_a_port_for_https_there_is_none() {
    let pki = Pki::new();
    let broker = Running::start(&pki, &["--port=0"]).await;
    assert!(broker.ports.get("management").is_some());
    assert!(broker.ports.get("management_tls").is_none());
    assert!(broker.ports.get("prometheus_tls").is_none());
}

/// A command about the broker behind this URL: its exit code, and what it prints.
async fn ask(arguments: &[&str]) -> (i32, String) {
    let cargos = || OsString::from(env!("CARGO_BIN_EXE_leveret"));
    let mut command = Command::new(std::env::var_os("LEVERET_BIN").unwrap_or_else(cargos));
    command.args(arguments).env("LEVERET_USER", "guest").env("LEVERET_PASSWORD", "guest");
    let output = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn commands_about_a_broker_speak_https() {
    let pki = Pki::new();
    let broker = Running::start(&pki, &HTTPS).await;
    let port = broker.address("management_tls").port();
    let url = format!("https://localhost:{port}");
    let ca = pki.file("ca.pem").display().to_string();

    let status = ["status", "--url", &url];
    let (code, text) = ask(&[&status[..], &["--tls-ca-cert-file", &ca]].concat()).await;
    assert_eq!(code, 0, "{text}");
    // Nobody else vouches for it.
    let (code, text) = ask(&[&status[..], &["--tls-ca-cert-file", "/etc/hostname"]].concat()).await;
    assert_eq!((code, text.contains("it holds no certificate")), (64, true), "{text}");
    let other = Pki::new();
    let others = other.file("ca.pem").display().to_string();
    let (code, text) = ask(&[&status[..], &["--tls-ca-cert-file", &others]].concat()).await;
    assert_eq!((code, text.contains("--tls-ca-cert-file")), (76, true), "{text}");
    // It needs no CA where it is named itself.
    let own = pki.file("server.pem").display().to_string();
    let (code, text) = ask(&[&status[..], &["--tls-ca-cert-file", &own]].concat()).await;
    assert_eq!(code, 0, "{text}");
    // By a name that the certificate has not.
    let other = format!("https://127.0.0.1:{port}");
    let (code, text) = ask(&["status", "--url", &other, "--tls-ca-cert-file", &ca]).await;
    assert_eq!((code, text.contains("for other names")), (76, true), "{text}");
    let (code, text) = ask(&[&status[..], &["--insecure"]].concat()).await;
    assert_eq!(code, 0, "{text}");
    // A port without TLS.
    let plain = format!("https://localhost:{}", broker.address("management").port());
    let (code, text) = ask(&["status", "--url", &plain, "--insecure"]).await;
    assert_eq!((code, text.contains("does not speak TLS")), (76, true), "{text}");
}

/// Goal: the load generator measures what TLS costs, large messages and all of its scenarios included.
#[tokio::test]
async fn the_load_generator_speaks_tls() {
    let pki = Pki::new();
    let broker = Running::start(&pki, &["--port=0"]).await;
    let uri = format!("amqps://localhost:{}", broker.address("amqps").port());
    let ca = pki.file("ca.pem").display().to_string();
    let trusted = ["--uri", &uri, "--tls-ca-cert-file", &ca];
    let perf = |arguments: &'static [&'static str]| [&["perf"], arguments, &trusted].concat();

    for arguments in [
        &["-x", "2", "-y", "2", "-C", "2000", "-s", "32", "-c", "100", "--verify"][..],
        // Larger than what a session holds, so that both sides wait for each other.
        &["-C", "20", "-s", "3000000", "--verify"],
        &["--drain", "-C", "5000", "-s", "100", "-A", "10"],
        &["churn", "connections", "--count", "5"],
        &["idle", "connections", "--count", "5", "--rest", "0"],
    ] {
        let (code, text) = ask(&perf(arguments)).await;
        assert_eq!(code, 0, "{arguments:?}: {text}");
    }
    let once = ["perf", "-C", "1", "-D", "1", "--uri", &uri];
    let (code, text) = ask(&[&once[..], &["--insecure"]].concat()).await;
    assert_eq!(code, 0, "{text}");

    let other = Pki::new();
    let others = other.file("ca.pem").display().to_string();
    let (code, text) = ask(&[&once[..], &["--tls-ca-cert-file", &others]].concat()).await;
    assert_eq!((code, text.contains("name its CA with --tls-ca-cert-file")), (1, true), "{text}");
    let (code, text) = ask(&[&once[..], &["--tls-ca-cert-file", "/nowhere"]].concat()).await;
    assert_eq!((code, text.contains("cannot read /nowhere")), (64, true), "{text}");
    let address = format!("amqps://{}", broker.address("amqps"));
    let (code, text) = ask(&["perf", "-C", "1", "-h", &address, "--tls-ca-cert-file", &ca]).await;
    assert_eq!((code, text.contains("use a name of the certificate")), (1, true), "{text}");
    let plain = format!("amqps://{}", broker.address("amqp"));
    let (code, text) = ask(&["perf", "-C", "1", "-h", &plain, "--insecure"]).await;
    assert_eq!((code, text.contains("is it the port for TLS?")), (1, true), "{text}");
}

/// Goal: where there is HTTPS only, commands on the broker's machine are let in without a word, and trust its certificate
/// alone, the one it shows now.
#[tokio::test]
async fn commands_on_its_machine_trust_the_certificate_of_the_token_file() {
    let pki = Pki::new();
    let data = pki.file("data");
    let data_dir = format!("--data-dir={}", data.display());
    let arguments = [
        "--durability=os",
        "--management-port=off",
        "--management-tls-port=0",
        "--port=0",
        &data_dir,
    ];
    let mut broker = Running::start(&pki, &arguments).await;
    let ask = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        command.arg("status").env_clear().env("LEVERET_DATA_DIR", &data);
        let output = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (code, text) = ask().await;
    assert_eq!(code, 0, "{text}");
    let file = data.join("leveret.token");
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(before.contains("https://127.0.0.1:"), "{before}");

    pki.renew_server("Second");
    broker.signal("HUP");
    broker.expect("the TLS files were read again").await;
    let renewed = async {
        while std::fs::read_to_string(&file).unwrap() == before {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, renewed).await.unwrap();
    let (code, text) = ask().await;
    assert_eq!(code, 0, "{text}");
    // Somebody else's certificate.
    std::fs::write(&file, before).unwrap();
    let (code, text) = ask().await;
    assert_eq!((code, text.contains("not that of this machine's broker")), (76, true), "{text}");
}

/// Goal: where nobody gets in without a certificate, commands on the broker's machine need none, the health check of the
/// image among them; and it is for nobody else.
#[tokio::test]
async fn commands_on_its_machine_need_no_certificate() {
    let pki = Pki::new();
    let data = pki.file("data");
    let (data_dir, ca) = (
        format!("--data-dir={}", data.display()),
        format!("--tls-ca-file={}", pki.file("ca.pem").display()),
    );
    let arguments = [
        "--durability=os",
        "--management-port=off",
        "--management-tls-port=0",
        "--port=0",
        "--tls-verify=peer",
        "--tls-fail-if-no-peer-cert=true",
        &ca,
        &data_dir,
    ];
    let broker = Running::start(&pki, &arguments).await;
    let ask = async |program: &str, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        command.arg0(program).args(words).env_clear().env("LEVERET_DATA_DIR", &data);
        let output = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (code, text) = ask("rabbitmq-diagnostics", &["-q", "ping"]).await;
    assert_eq!((code, &*text), (0, "Ping succeeded\n"));
    let (code, text) = ask("leveret", &["queue", "declare", "q"]).await;
    assert_eq!((code, &*text), (0, ""));
    // It is none of the broker's ports.
    assert!(broker.ports.get("management").is_none(), "{}", broker.ports);
    let (_, listeners) = ask("rabbitmq-diagnostics", &["-q", "listeners"]).await;
    let file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("leveret.token")).unwrap()).unwrap();
    let url = file["url"].as_str().unwrap();
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    assert!(address.ip().is_loopback(), "{address}");
    assert!(!listeners.contains(&address.port().to_string()), "{listeners}");
    // A name and a password are no token, and without it nobody learns how it is.
    for path in ["/api/overview", "/api/health/checks/alarms", "/api/index.html"] {
        let answer = http(TcpStream::connect(address).await.unwrap(), path).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{path}: {answer}");
    }
    let by_https = format!("https://localhost:{}", broker.address("management_tls").port());
    let (code, text) = ask("leveret", &["status", "--insecure", "--url", &by_https]).await;
    assert_eq!(code, 76, "{text}");
}

/// Puts a certificate there that nobody signed but its own key, as `openssl req -x509` makes them: a CA's.
fn self_sign_server(pki: &Pki) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(pki.file("server.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(pki.file("server.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_named_is_trusted_for_its_names() {
    let pki = Pki::new();
    self_sign_server(&pki);
    let broker = Running::start(&pki, &HTTPS).await;
    let port = broker.address("management_tls").port();
    let (by_name, by_number) =
        (format!("https://localhost:{port}"), format!("https://127.0.0.1:{port}"));
    let own = pki.file("server.pem").display().to_string();
    let (code, text) = ask(&["status", "--url", &by_name, "--tls-ca-cert-file", &own]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = ask(&["status", "--url", &by_number, "--tls-ca-cert-file", &own]).await;
    assert_eq!((code, text.contains("for other names")), (76, true), "{text}");
    let ca = pki.file("ca.pem").display().to_string();
    let (code, text) = ask(&["status", "--url", &by_name, "--tls-ca-cert-file", &ca]).await;
    assert_eq!((code, text.contains("name that very certificate")), (76, true), "{text}");
}

#[tokio::test]
async fn commands_show_a_certificate_where_the_broker_asks_for_one() {
    let pki = Pki::new();
    let ca = pki.file("ca.pem").display().to_string();
    let ca_flag = format!("--tls-ca-file={ca}");
    let asking = ["--tls-verify=peer", "--tls-fail-if-no-peer-cert=true", &ca_flag];
    let broker = Running::start(&pki, &[&HTTPS[..], &asking].concat()).await;
    let url = format!("https://localhost:{}", broker.address("management_tls").port());
    let without = ["status", "--url", &url, "--tls-ca-cert-file", &ca];
    let (code, text) = ask(&without).await;
    assert_eq!((code, text.contains("--tls-cert-file")), (76, true), "{text}");
    let (cert, key) = (pki.file("client.pem"), pki.file("client.key"));
    let identity = pki.sign(&[(DnType::CommonName, "admin")]);
    std::fs::write(&cert, identity.certificate).unwrap();
    std::fs::write(&key, identity.key).unwrap();
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let with = [&without[..], &["--tls-cert-file", &cert, "--tls-key-file", &key]].concat();
    let (code, text) = ask(&with).await;
    assert_eq!(code, 0, "{text}");
}
