//! The exact commands that compose files, CI jobs and container platforms run to know that the broker is there.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use crate::support::Broker;

#[test]
fn health_commands_succeed_while_the_broker_runs() {
    let broker = Broker::start_with_data();
    let node = "rabbit@test";
    for (line, output) in [
        ("rabbitmq-diagnostics -q ping", "Ping succeeded\n".to_owned()),
        (
            "rabbitmq-diagnostics ping",
            format!(
                "Will ping {node}. This only checks if the OS process is running and registered with epmd. \
                 Timeout: 60000 ms.\nPing succeeded\n"
            ),
        ),
        (
            "rabbitmq-diagnostics -q check_running",
            format!("RabbitMQ on node {node} is fully booted and running\n"),
        ),
        (
            "rabbitmq-diagnostics -q check_local_alarms",
            format!("Node {node} reported no local alarms\n"),
        ),
        (
            "rabbitmq-diagnostics check_virtual_hosts",
            format!(
                "Checking if all vhosts are running on node {node} ...\nNode {node} reported all vhosts as \
                 running\n"
            ),
        ),
        ("rabbitmqctl await_startup", String::new()),
        ("rabbitmqctl await_startup --timeout 60", String::new()),
    ] {
        assert_eq!(broker.ok(line), output, "{line}");
    }
    assert!(broker.ok("rabbitmqctl node_health_check").ends_with("\nHealth check passed\n"));
    let ports = broker.ok("rabbitmq-diagnostics check_port_connectivity");
    assert!(
        ports.starts_with(
            "Testing TCP connections to all active listeners on node rabbit@test ...\n"
        )
    );
    assert!(ports.contains(&broker.amqp.to_string()), "{ports}");
    assert_eq!(broker.ok("rabbitmq-diagnostics -q -s check_port_connectivity"), "");
    let port = broker.amqp;
    assert_eq!(
        broker.ok(&format!("rabbitmq-diagnostics -q check_port_listener {port}")),
        format!("A listener for port {port} is running on node {node}.\n")
    );
    broker.ok("rabbitmq-diagnostics -q check_protocol_listener amqp");
    for line in ["rabbitmqctl status", "rabbitmq-diagnostics -q status"] {
        let status = broker.ok(line);
        assert!(status.contains(&format!("\nOS PID: {}\n", broker.pid())), "{status}");
        assert!(status.contains("\nAlarms\n\n(none)\n"), "{status}");
    }
    let pid = broker.pid();
    let waited = broker.ok(&format!("rabbitmqctl wait --pid {pid} --timeout 60"));
    assert!(
        waited.ends_with("Applications 'rabbit_and_plugins' are running on node 'rabbit@test'\n")
    );
}

/// Goal: in a container the broker is process 1, and is waited for and stopped as that. Where nobody may make a
/// namespace of process ids, that is said.
#[test]
fn process_1_is_waited_for_and_stopped() {
    let namespace = ["--pid", "--fork", "--mount-proc"];
    let may = Command::new("unshare").args(namespace).arg("true").output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        let _ =
            writeln!(std::io::stderr(), "skipped: namespaces of processes are not allowed here");
        return;
    }
    // Its directory has the tools.
    let dir = Broker::start();
    let dir = dir.dir();
    let script =
        "(rabbitmqctl wait --pid 1 --timeout 60; echo code $?; rabbitmqctl shutdown) > said 2>&1 &
                  exec leveret --port 0 --bind 127.0.0.1 --durability os";
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", dir.path().display());
    let ended = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", script])
        .current_dir(dir.path())
        .env_clear()
        .envs([("PATH", path), ("LEVERET_DATA_DIR", dir.file("data of process 1"))])
        .output()
        .unwrap();
    let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
    assert!(said.contains("while OS process '1' is running\n"), "{said}");
    assert!(said.contains("\ncode 0\n") && said.contains("running at PID 1\n"), "{said}");
    assert_eq!(ended.status.code(), Some(0), "{said}");
}

/// Goal: what is in compose files, workflows and pod definitions, as it is there.
#[test]
fn checks_of_containers_succeed_while_the_broker_runs_and_fail_once_it_is_gone() {
    let broker = Broker::start_with_data();
    let wait = format!("rabbitmqctl wait --pid {} --timeout 60", broker.pid());
    let checks = [
        "rabbitmq-diagnostics -q ping",
        "rabbitmq-diagnostics ping",
        "rabbitmq-diagnostics check_port_connectivity",
        "rabbitmq-diagnostics -q check_port_connectivity",
        "rabbitmq-diagnostics -q check_running",
        "rabbitmq-diagnostics -q check_local_alarms",
        "rabbitmq-diagnostics -q check_running && rabbitmq-diagnostics -q check_local_alarms",
        "rabbitmq-diagnostics -q status",
        "rabbitmqctl status",
        "rabbitmqctl node_health_check",
        "rabbitmqctl await_startup --timeout 5",
        &wait,
        "rabbitmqctl list_queues",
        "curl -sf -u guest:guest http://localhost:15672/api/health/checks/alarms",
        "curl -sf -u guest:guest http://localhost:15672/api/aliveness-test/%2F",
        "curl -sf http://localhost:15672/api/health/checks/ready-to-serve-clients",
        "bash -c '</dev/tcp/127.0.0.1/5672'",
    ];
    for check in checks {
        let ended = broker.shell(check);
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{check}: {ended:?}");
    }
    broker.ok("rabbitmqctl shutdown");
    for check in checks {
        let ended = broker.shell(check);
        assert_ne!(ended.code, 0, "{check}: {ended:?}");
    }
}

#[test]
fn health_commands_fail_with_69_once_it_is_gone() {
    let broker = Broker::start_with_data();
    broker.ok("rabbitmqctl shutdown");
    for line in [
        "rabbitmq-diagnostics -q ping",
        "rabbitmq-diagnostics -q check_running",
        "rabbitmq-diagnostics -q check_local_alarms",
        "rabbitmq-diagnostics check_port_connectivity",
        "rabbitmq-diagnostics -q status",
        "rabbitmqctl status",
        "rabbitmqctl list_queues",
        "rabbitmqctl await_startup --timeout 0",
        "rabbitmqctl wait --pid 2000000000 --timeout 5",
        "leveret health",
    ] {
        // Not one that a developer's machine has on its usual port.
        let variables = [("LEVERET_URL", "http://127.0.0.1:1")];
        let ended = broker.run_with(line, "", &variables);
        assert_eq!(ended.code, 69, "{line}: {ended:?}");
        assert_ne!(ended.stderr, "", "{line}");
    }
}

#[test]
fn a_check_that_fails_says_why() {
    // A limit that no disk has: an alarm.
    let flags = ["--durability", "os", "--disk-free-limit", "1000000TB"];
    let broker = Broker::with(&[], &flags, false);
    // The disk is looked at when something is written, and from time to time.
    broker.ok("leveret queue declare q");
    broker.ok("leveret publish -k q --persistent x");
    let end = leveret::net::now() + Duration::from_secs(60);
    while broker.run("leveret health").code == 0 {
        assert!(leveret::net::now() < end, "there is no alarm");
    }
    let (code, text) = broker.fails("rabbitmq-diagnostics -q check_local_alarms");
    assert_eq!(
        (code, text.starts_with("Error:\nNode rabbit@test reported alarms: ")),
        (69, true),
        "{text}"
    );
    assert_eq!(broker.fails("leveret health").0, 69);
    // It runs all the same.
    broker.ok("rabbitmq-diagnostics -q ping");
    broker.ok("rabbitmq-diagnostics -q check_running");
    let (code, text) = broker.fails("rabbitmq-diagnostics -q check_port_listener 1");
    assert_eq!(
        (code, text.starts_with("No listener for port 1 is active on node rabbit@test.")),
        (69, true)
    );
}

#[test]
fn a_command_takes_milliseconds() {
    let broker = Broker::start_with_data();
    // The best of some: other programs take their share of the machine.
    let best = (0..20).map(|_| {
        let start = leveret::net::now();
        broker.ok("rabbitmq-diagnostics -q ping");
        start.elapsed()
    });
    let best = best.min().unwrap();
    assert!(best.as_millis() < 500, "{best:?}");
}
