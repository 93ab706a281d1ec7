//! The real broker in a process of its own, where its memory can be measured.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Handshake, RawClient};

/// A running `leveret`. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct BrokerProcess {
    child: Child,
    address: SocketAddr,
    ready_file: PathBuf,
}

impl BrokerProcess {
    /// Starts it on a free port, with `flags` beside.
    pub(crate) fn start(flags: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let ready_file = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("ready-{}-{number}.json", std::process::id()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_leveret"))
            .args(["--bind", "127.0.0.1", "--port", "0", "--log-level", "off", "--ready-file"])
            .arg(&ready_file)
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the broker's binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let ready = BufReader::new(stdout).lines().map_while(Result::ok);
        let ready = ready.into_iter().find(|line| line.contains("Server startup complete"));
        assert!(ready.is_some(), "the broker starts");
        let ready = std::fs::read(&ready_file).expect("the broker writes its ready file");
        let ready: serde_json::Value = serde_json::from_slice(&ready).expect("it is JSON");
        let port = ready["ports"]["amqp"].as_u64().and_then(|port| u16::try_from(port).ok());
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("it has a port")));
        Self { child, address, ready_file }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client whose channel 1 is open.
    pub(crate) async fn channel(&self) -> RawClient {
        let mut client = RawClient::connect(self.address).await;
        client.shake_hands(&Handshake::default()).await;
        client.open_channel(1).await;
        client
    }

    /// Bytes of physical memory in use; `None` where the system does not tell.
    pub(crate) fn resident(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: usize = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024)
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.ready_file);
    }
}
