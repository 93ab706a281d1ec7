//! The real binary in a process of its own, on a data directory that outlives it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

const READY: &str = "Server startup complete";

/// For what takes some milliseconds on an idle machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A directory that is removed when the test ends.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("leveret-crash-{process}-{number}-{name}"));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where a broker keeps what it knows.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a failed test left is worth a look.
        if !std::thread::panicking() {
            let _gone_is_fine = std::fs::remove_dir_all(&self.0);
        } else {
            eprintln!("its files are left in {}", self.0.display());
        }
    }
}

/// A broker in a process of its own; killed when dropped.
#[derive(Debug)]
pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
    /// All that it prints.
    printed: JoinSet<Vec<String>>,
    before_ready: Vec<String>,
}

fn binary() -> OsString {
    std::env::var_os("LEVERET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_leveret").into())
}

fn command(data: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["serve", "--bind", "127.0.0.1", "--port", "0", "--data-dir"])
        .arg(data)
        .args(flags)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Starts a process without waiting for it, for those who kill it meanwhile.
pub(crate) fn spawn(folder: &Folder) -> Child {
    command(&folder.data(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs a broker that is to end by itself, because it can't start.
pub(crate) async fn refused(data: &Path, flags: &[&str]) -> Output {
    let output = command(data, flags).output();
    timeout(DEADLINE, output).await.expect("the command ends by itself").unwrap()
}

impl Broker {
    pub(crate) async fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[]).await
    }

    /// Starts a broker and returns as soon as it says that it is ready.
    pub(crate) async fn start_with(folder: &Folder, flags: &[&str]) -> Self {
        let ready_file = folder.path().join("ready.json");
        let mut command = command(&folder.data(), flags);
        let mut child = command.arg("--ready-file").arg(&ready_file).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut before_ready = Vec::new();
        let ready = timeout(DEADLINE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let is_ready = line == READY;
                before_ready.push(line);
                if is_ready {
                    return true;
                }
            }
            false
        });
        if !ready.await.expect("it becomes ready") {
            let output = child.wait_with_output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            panic!("it ended before it was ready: {}: {said}{before_ready:#?}", output.status);
        }
        let json = std::fs::read(&ready_file).unwrap();
        let ready: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let port = u16::try_from(ready["ports"]["amqp"].as_u64().unwrap()).unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut printed = Vec::new();
            while let Ok(Some(line)) = lines.next_line().await {
                printed.push(line);
            }
            printed
        });
        Self { child, port, printed: task, before_ready }
    }

    /// What it said before it was ready.
    pub(crate) fn said_before_ready(&self) -> &[String] {
        &self.before_ready
    }

    /// SIGKILL, now; what it had said since it was ready.
    pub(crate) async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.unwrap();
        self.printed.join_next().await.unwrap().unwrap()
    }

    /// Asks it to stop.
    pub(crate) async fn terminate(&self) {
        let process = self.child.id().unwrap();
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {process}")]).status();
        assert!(sent.await.unwrap().success());
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> (ExitStatus, Vec<String>) {
        self.terminate().await;
        let status = timeout(DEADLINE, self.child.wait()).await.expect("it stops").unwrap();
        (status, self.printed.join_next().await.unwrap().unwrap())
    }
}
