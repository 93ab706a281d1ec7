//! A broker with everything on, and a client of HTTP that hides nothing.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leveret::Broker;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// For what takes some milliseconds on an idle machine. Nothing here waits for longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a test, on threads enough for broker and clients to get on at the same time.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, test).await.expect("the test ends in time")
    })
}

/// A broker with management and metrics.
pub(crate) async fn broker() -> Broker {
    Broker::builder().management_port(0).prometheus_port(0).start().await.unwrap()
}

/// A user of the API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    user: String,
    password: String,
}

/// What a request was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body, which is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?} is JSON"))
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Api {
    /// The administrator of a broker.
    pub(crate) fn of(broker: &Broker) -> Self {
        let address = broker.management_addresses()[0];
        Self { address, user: "guest".to_owned(), password: "guest".to_owned() }
    }

    /// Prometheus.
    pub(crate) fn metrics_of(broker: &Broker) -> Self {
        Self { address: broker.prometheus_addresses()[0], ..Self::of(broker) }
    }

    /// The same with another name and password.
    pub(crate) fn login(&self, user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.request("PUT", path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.request("POST", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, "").await
    }

    /// The JSON that is at a path.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, "", body).await
    }

    /// With more headers, each with its line end.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let token = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {token}\r\n\
             Content-Length: {}\r\n{headers}Connection: close\r\n\r\n{body}",
            body.len()
        );
        self.raw(request.as_bytes()).await
    }

    /// Octets as they are.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        // A broker that refuses what it sees may hang up before it has seen all of it.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Where another client finds it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/api", self.address)
    }
}
