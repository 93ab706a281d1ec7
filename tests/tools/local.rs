//! Who runs the broker is let in without a password, and nobody else is.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Broker, TestDir};

#[test]
fn commands_on_its_machine_find_the_broker_and_are_let_in() {
    let variables = [("LEVERET_DEFAULT_USER", "joe"), ("LEVERET_DEFAULT_PASS", "not guest")];
    let mut broker = Broker::with(&variables, &["--durability", "os"], false);
    // Neither guest nor joe: the port and the token are in the data directory.
    assert!(broker.ok("rabbitmqctl -q list_users").contains("joe\t[administrator]\n"));
    broker.ok("leveret queue declare q");
    broker.ok("leveret publish -k q hello");
    assert_eq!(broker.ok("leveret get q --payload-only"), "hello\n");
    broker.ok("rabbitmqctl add_vhost other");
    broker.ok("leveret queue declare there -V other");

    let token = broker.dir().path().join("data/leveret.token");
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    broker.ok("rabbitmqctl shutdown");
    assert_eq!(broker.ended(), Some(0));
    assert!(!token.exists(), "it goes with the broker");
}

#[test]
fn another_token_and_no_password_are_refused() {
    let broker = Broker::start_with_data();
    let file = broker.dir().path().join("data/leveret.token");
    let text = std::fs::read_to_string(&file).unwrap();
    let url = broker.url();
    let wrong = format!(r#"{{"url":"{url}","token":"{}"}}"#, "0".repeat(64));
    std::fs::write(&file, wrong).unwrap();
    assert_eq!(broker.fails("leveret queue list").0, 77);
    std::fs::write(&file, text).unwrap();
    broker.ok("leveret queue list");
    // Somebody who says who he is, is who he says.
    assert_eq!(broker.fails("leveret queue list -u nobody -p x").0, 77);
}

/// Goal: a broker whose management API is on one of this machine's other addresses only lets its administrator in as
/// well. Where the machine has no other address there is nothing to try.
#[test]
fn the_machine_is_the_machine_by_any_of_its_addresses() {
    let Some(address) = own_address() else { return };
    let variables = [("LEVERET_MANAGEMENT_BIND", address.as_str())];
    let broker = Broker::with(&variables, &["--durability", "os"], false);
    assert!(broker.ok("rabbitmqctl -q list_users").contains("guest\t[administrator]\n"));
}

#[test]
fn who_is_refused_over_http_is_in_the_log_on_one_line() {
    let dir = TestDir::new();
    let log = dir.file("log");
    let flags = ["--durability", "none"];
    let broker = Broker::with(&[("LEVERET_LOG_FILE", &log)], &flags, true);
    let evil = "eve\u{1b}[31m\u{2028}x";
    let (code, _) = broker.fails(&format!("leveret queue list --user '{evil}' --password secret"));
    assert_eq!(code, 77);
    let log = std::fs::read_to_string(log).unwrap();
    let line = log.lines().find(|line| line.contains("HTTP access denied")).unwrap();
    let said = r"HTTP access denied: user 'eve\u{1b}[31m\u{2028}x' - invalid credentials peer=";
    assert!(line.contains(said), "{line}");
    assert!(!log.contains("secret"), "{log}");
}

/// The address by which this machine would reach others; nothing is sent.
fn own_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}
