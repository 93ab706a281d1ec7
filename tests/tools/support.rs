//! A broker in a process of its own, and commands that are run to their end.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// What RabbitMQ's tools are called.
const TOOLS: [&str; 6] = [
    "leveret",
    "rabbitmqctl",
    "rabbitmq-diagnostics",
    "rabbitmq-queues",
    "rabbitmq-plugins",
    "rabbitmqadmin",
];

/// A directory of its own, removed when dropped.
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("leveret-tools-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _gone_is_fine = fs::remove_dir_all(&self.0);
    }
}

/// A broker with a management API, and links to the binary by the tools' names. Killed when dropped.
pub(crate) struct Broker {
    child: Child,
    dir: TestDir,
    pub(crate) amqp: u16,
    pub(crate) http: u16,
    /// Whether commands are told user and password, as a client elsewhere has to be.
    tells_login: bool,
}

impl Broker {
    /// In memory, for commands that say who they are.
    pub(crate) fn start() -> Self {
        Self::with(&[], &["--durability", "none"], true)
    }

    /// With a data directory, for commands that find their own way in.
    pub(crate) fn start_with_data() -> Self {
        Self::with(&[], &["--durability", "os"], false)
    }

    pub(crate) fn with(variables: &[(&str, &str)], flags: &[&str], tells_login: bool) -> Self {
        let dir = TestDir::new();
        for tool in TOOLS {
            symlink(binary(), dir.path().join(tool)).unwrap();
        }
        let ready = dir.file("ready.json");
        let ports = ["--port", "0", "--bind", "127.0.0.1", "--ready-file", &ready];
        let mut child = Command::new(dir.path().join("leveret"))
            .args(ports)
            .args(flags)
            .env_clear()
            .env("LEVERET_DATA_DIR", dir.path().join("data"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = lines.any(|line| line.unwrap() == "Server startup complete");
        assert!(is_ready, "the broker ended before it was ready");
        // It goes on logging.
        std::thread::spawn(move || lines.for_each(drop));
        let ready: Value = serde_json::from_slice(&fs::read(ready).unwrap()).unwrap();
        let port = |name: &str| u16::try_from(ready["ports"][name].as_u64().unwrap()).unwrap();
        let (amqp, http) = (port("amqp"), port("management"));
        Self { child, dir, amqp, http, tells_login }
    }

    pub(crate) fn dir(&self) -> &TestDir {
        &self.dir
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// Runs a line such as `rabbitmqctl list_queues`; single quotes hold words together.
    pub(crate) fn run(&self, line: &str) -> Ended {
        self.run_with(line, "", &[])
    }

    pub(crate) fn run_with(&self, line: &str, input: &str, variables: &[(&str, &str)]) -> Ended {
        let words = words(line);
        let mut command = Command::new(self.dir.path().join(&words[0]));
        command.args(&words[1..]).current_dir(self.dir.path()).env_clear();
        command.env("LEVERET_DATA_DIR", self.dir.path().join("data"));
        command.env("RABBITMQ_NODENAME", "rabbit@test");
        if self.tells_login {
            command.env("LEVERET_URL", self.url());
        }
        command.envs(variables.iter().copied());
        Ended::of(command, input)
    }

    /// Runs a line as the check of a container does, in a shell that finds the tools; RabbitMQ's ports in it
    /// become those of this broker.
    pub(crate) fn shell(&self, line: &str) -> Ended {
        let line = line.replace("15672", &self.http.to_string());
        let line = line.replace("5672", &self.amqp.to_string());
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.dir.path().display());
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(self.dir.path()).env_clear();
        command.env("PATH", path).env("LEVERET_DATA_DIR", self.dir.path().join("data"));
        command.env("RABBITMQ_NODENAME", "rabbit@test");
        Ended::of(command, "")
    }

    /// What a line prints that succeeds without a word on standard error.
    pub(crate) fn ok(&self, line: &str) -> String {
        let Ended { code, stdout, stderr } = self.run(line);
        assert_eq!((code, &*stderr), (0, ""), "{line}: {stdout}");
        stdout
    }

    /// Exit code and standard error of a line that fails.
    pub(crate) fn fails(&self, line: &str) -> (i32, String) {
        let Ended { code, stderr, .. } = self.run(line);
        assert_ne!(code, 0, "{line} succeeded");
        (code, stderr)
    }

    /// What `leveret ... --format json` prints.
    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} --format json"))).unwrap()
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _gone_is_fine = self.child.kill();
        let _gone_is_fine = self.child.wait();
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(mut command: Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who does not read it has closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = child.wait().unwrap().code().expect("it was not killed");
        Self { code, stdout, stderr: errors.join().unwrap() }
    }
}

/// Words with spaces between them; single quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

pub(crate) fn binary() -> OsString {
    std::env::var_os("LEVERET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_leveret").into())
}
