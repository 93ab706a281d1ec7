//! What clients without a password can take of the open files that the process may have, on the real binary with
//! few of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::Value;

/// How many files the broker may open.
const FILES: usize = 256;

/// Places of each service over HTTP for one address, of so few files.
const PLACES: usize = FILES / 8 / 4;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A `leveret` process with few files.
struct Server {
    process: Child,
    folder: PathBuf,
    ports: Value,
}

impl Server {
    fn start(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("leveret-open-files-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut process = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {FILES} && exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_leveret"))
            .args(["serve", "--bind", "127.0.0.1", "--port", "0", "--log-level", "error"])
            .args(["--durability", "os", "--data-dir"])
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(folder.join("ready"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0_u8; b"Server startup complete".len()];
        process.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        let ready: Value =
            serde_json::from_slice(&std::fs::read(folder.join("ready")).unwrap()).unwrap();
        Self { process, folder, ports: ready["ports"].clone() }
    }

    fn port(&self, service: &str) -> u16 {
        u16::try_from(self.ports[service].as_u64().unwrap()).unwrap()
    }

    /// A client that says nothing.
    fn silent(&self, service: &str) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port(service))).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// The answer to a request; empty, if the connection was refused.
    fn get(&self, service: &str, path: &str) -> String {
        let mut stream = self.silent(service);
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        // Who is refused may find the connection reset.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn publisher(server: &Server) -> (Connection, Channel) {
    let uri = format!("amqp://guest:guest@127.0.0.1:{}/%2f", server.port("amqp"));
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("q".into(), durable, FieldTable::default()).await.unwrap();
    (connection, channel)
}

async fn publish(channel: &Channel, body: &[u8]) {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish("".into(), "q".into(), options, body, persistent);
    assert_eq!(confirm.await.unwrap().await.unwrap(), Confirmation::Ack(None));
}

#[test]
fn the_log_goes_on_however_many_connect() {
    // This process has both ends' worth of files to open.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let mut server = Server::start("log");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (connection, channel) = runtime.block_on(publisher(&server));
    let services = ["management", "prometheus", "amqp"];
    let silent: Vec<TcpStream> =
        services.iter().flat_map(|service| (0..FILES).map(|_| server.silent(service))).collect();
    // More than a segment, so that another one is begun.
    let body = vec![b'x'; 1 << 20];
    runtime.block_on(async {
        for _ in 0..70 {
            publish(&channel, &body).await;
        }
    });
    assert!(server.process.try_wait().unwrap().is_none(), "the broker runs");
    drop((silent, connection));
}

#[test]
fn one_address_has_its_places_over_http_and_who_waited_longest_makes_room() {
    let server = Server::start("places");
    let mut silent: Vec<TcpStream> = (0..PLACES).map(|_| server.silent("management")).collect();
    let answer = server.get("management", "/api/overview");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let is_gone = |stream: &mut TcpStream| !matches!(stream.read(&mut [0]), Ok(1..));
    assert!(is_gone(&mut silent[0]), "its place was taken");
    let last = silent.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    let open = last.read(&mut [0]).unwrap_err();
    assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock, "nobody else's was");
    let metrics = server.get("prometheus", "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
}
