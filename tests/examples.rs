//! Every program in `examples/` runs, ends by itself, and says what it should.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use leveret::Broker;
use tokio::process::Command;

/// Longer than the examples give themselves: they should report what hangs.
const DEADLINE: Duration = Duration::from_secs(60);

struct Example {
    name: &'static str,
    /// Lines of its output. In any order: tasks of an example run at the same time.
    prints: &'static [&'static str],
    /// How many lines it prints.
    lines: usize,
}

const EXAMPLES: [Example; 5] = [
    Example {
        name: "work_queue",
        prints: &["producer: 12 jobs confirmed", "all 12 jobs are done"],
        lines: 14,
    },
    Example {
        name: "pubsub",
        prints: &[
            "published: the kettle is on",
            "subscriber 1: the kettle is on",
            "subscriber 2: tea is ready",
            "subscriber 3: the pot is empty",
        ],
        lines: 3 + 3 + 9,
    },
    Example {
        name: "topic_routing",
        prints: &[
            "kernel.*: kernel.error, kernel.info",
            "*.info: cron.info, kernel.info",
            "*.error.#: kernel.error, cron.error.disk",
            "#: kernel.error, cron.info, kernel.info, cron.error.disk",
        ],
        lines: 4,
    },
    Example {
        name: "rpc",
        prints: &["server: 3?", "client: 3 squared is 9", "client: 5 squared is 25"],
        lines: 10,
    },
    Example { name: "embedded", prints: &["got: hello", "the broker is gone"], lines: 3 },
];

#[tokio::test]
async fn work_queue() {
    check("work_queue").await;
}

#[tokio::test]
async fn pubsub() {
    check("pubsub").await;
}

#[tokio::test]
async fn topic_routing() {
    check("topic_routing").await;
}

#[tokio::test]
async fn rpc() {
    check("rpc").await;
}

#[tokio::test]
async fn embedded() {
    check("embedded").await;
}

#[test]
fn every_example_is_covered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let programs = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let found: BTreeSet<String> =
        programs.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let covered: BTreeSet<String> =
        EXAMPLES.iter().map(|example| example.name.to_owned()).collect();
    assert_eq!(found, covered, "examples/*.rs, and those with a test here");
}

#[tokio::test]
async fn an_example_without_a_broker_fails_and_says_so() {
    let broker = Broker::builder().start().await.unwrap();
    let uri = broker.uri();
    broker.stop().await;
    let output = run("pubsub", &uri).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("refused"), "{text}");
}

async fn check(name: &str) {
    let example = EXAMPLES.iter().find(|example| example.name == name).expect("one of EXAMPLES");
    let broker = Broker::builder().start().await.unwrap();
    let output = run(name, &broker.uri()).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{printed}{errors}", output.status);
    for line in example.prints {
        assert!(printed.lines().any(|printed| printed == *line), "no line {line:?} in\n{printed}");
    }
    assert_eq!(printed.lines().count(), example.lines, "{printed}");
    assert_eq!(errors, "");
}

async fn run(name: &str, uri: &str) -> Output {
    let mut command = Command::new(program(name));
    command.arg(uri).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(DEADLINE, command.output())
        .await
        .expect("the example ends by itself")
        .expect("cargo has built the example")
}

/// Cargo puts tests in `target/PROFILE/deps` and examples in `target/PROFILE/examples`.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE");
    let program =
        profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.exists(), "no {}: cargo build --examples", program.display());
    program
}
