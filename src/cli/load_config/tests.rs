//! Which source wins, and how each mistake is reported.

use std::path::PathBuf;
use std::time::Duration;

use super::super::args::parse_args;
use super::super::keys::KEYS;
use super::super::{EXIT_CONFIG, EXIT_USAGE};
use super::*;
use crate::config::{
    Capacity, CertificateLogin, ConsumerTimeoutAction, DefaultQueueType, Durability, LogCategory,
    LogConfig, LogFormat, LogLevel, LogRotation, PasswordHashing, Secret, TlsConfig, TlsOptions,
    TlsVerify, TlsVersions, WebConfig,
};

/// A configuration file of this test's own, removed when it ends.
struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("leveret-config-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _gone_is_fine = fs::remove_file(&self.0);
    }
}

fn load(
    flags: &[&str],
    environment: &[(&str, &str)],
) -> Result<(Config, Vec<Warning>), ConfigError> {
    let line = ["leveret"].iter().chain(flags).map(OsString::from);
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
    load_config(&parse_args(line).unwrap(), environment)
}

fn config(flags: &[&str], environment: &[(&str, &str)]) -> Config {
    let (config, warnings) = load(flags, environment).unwrap();
    assert_eq!(warnings, []);
    config
}

/// The text of an error, and the exit code it leads to.
fn error(flags: &[&str], environment: &[(&str, &str)]) -> (String, u8) {
    let error = load(flags, environment).unwrap_err();
    (error.to_string(), error.exit_code())
}

fn file_error(name: &str, text: &str) -> String {
    let file = TestFile::new(name, text);
    let (error, exit_code) = error(&["--config", file.path()], &[]);
    assert_eq!(exit_code, EXIT_CONFIG);
    error.replace(file.path(), "FILE")
}

#[test]
fn without_any_wish_there_are_the_defaults_and_two_fifths_of_the_memory() {
    let environment = [("PATH", "/bin"), ("RABBITMQ_ERLANG_COOKIE", "x"), ("HOME", "/home/a")];
    let config = config(&[], &environment);
    let memory_high_watermark_bytes = memory::available().unwrap() / 100 * 40;
    let data_dir = Some("/home/a/.local/share/leveret".into());
    assert_eq!(config, Config { memory_high_watermark_bytes, data_dir, ..Config::default() });
}

#[test]
fn durable_state_lies_where_the_system_wants_data_unless_it_is_told_otherwise() {
    let dir = |flags: &[&str], environment: &[(&str, &str)]| {
        config(flags, environment).data_dir.unwrap().display().to_string()
    };
    let home = ("HOME", "/home/a");
    assert_eq!(dir(&[], &[home, ("XDG_DATA_HOME", "/data")]), "/data/leveret");
    assert_eq!(dir(&[], &[]), "/var/lib/leveret");
    assert_eq!(dir(&["--data-dir", "here"], &[home, ("LEVERET_DATA_DIR", "there")]), "here");
}

#[test]
fn flags_win_over_environment_and_that_over_file_and_that_over_defaults() {
    let file = TestFile::new("order", "port = 1\nframe_max = 8192\nheartbeat = 5\nchannel_max = 7");
    let config = config(
        &["--config", file.path(), "--port", "3"],
        &[("LEVERET_PORT", "2"), ("LEVERET_HEARTBEAT", "6")],
    );
    assert_eq!((config.port, config.heartbeat_seconds), (3, 6));
    assert_eq!((config.frame_max, config.channel_max), (8192, 7));
    assert_eq!(config.max_message_size, Config::default().max_message_size);
}

#[test]
fn arguments_may_stand_in_a_variable_and_those_of_the_command_line_win() {
    let file = TestFile::new("arguments", "frame_max = 8192\nheartbeat = 5\nchannel_max = 7");
    let arguments =
        format!("--config {} --heartbeat 6 --data-dir '/my data' --port 2", file.path());
    let environment = [("LEVERET_ARGS", &*arguments), ("LEVERET_HEARTBEAT", "8")];
    let config_of = config(&["--port", "3"], &environment);
    assert_eq!((config_of.port, config_of.heartbeat_seconds), (3, 6));
    assert_eq!((config_of.frame_max, config_of.channel_max), (8192, 7));
    assert_eq!(config_of.data_dir, Some("/my data".into()));
    // Tools look for the broker where it has its data.
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    assert_eq!(data_dir(&Environment::of(environment)), Path::new("/my data"));
    assert_eq!(config(&[], &[("LEVERET_ARGS", " ")]).port, 5672);
    for (arguments, expected) in [
        (
            "--prot 1",
            "LEVERET_ARGS: unexpected argument '--prot' found; see 'leveret serve --help'",
        ),
        ("serve", "LEVERET_ARGS: unexpected argument 'serve' found; see 'leveret serve --help'"),
        (
            "--heartbeat no",
            "LEVERET_ARGS: --heartbeat must be a number of seconds from 0 (none) to 65535, not 'no'",
        ),
    ] {
        let expected = (expected.to_owned(), EXIT_CONFIG);
        assert_eq!(error(&[], &[("LEVERET_ARGS", arguments)]), expected);
    }
}

#[test]
fn queues_to_declare_have_names_that_a_client_may_declare() {
    assert_eq!(config(&[], &[("LEVERET_QUEUES", "a, b c,d")]).queues, ["a", "b c", "d"]);
    let long = "q".repeat(256);
    for names in ["a,,b", "amq.q", &long] {
        let expected = format!(
            "LEVERET_QUEUES must be a list of names of 1 to 255 bytes that do not begin with 'amq.', not '{names}'"
        );
        assert_eq!(error(&[], &[("LEVERET_QUEUES", names)]), (expected, EXIT_CONFIG));
    }
}

#[test]
fn rabbitmqs_variables_are_understood_and_ours_win() {
    let rabbitmq = [
        ("RABBITMQ_NODE_PORT", "5673"),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"),
        ("RABBITMQ_DEFAULT_USER", "joe"),
        ("RABBITMQ_DEFAULT_PASS", "secret"),
        ("RABBITMQ_DEFAULT_VHOST", "test"),
    ];
    let config_of = config(&[], &rabbitmq);
    assert_eq!(config_of.port, 5673);
    assert_eq!(config_of.bind, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(config_of.default_user, "joe");
    assert_eq!(config_of.default_pass, Secret::new("secret"));
    assert_eq!(config_of.default_vhost, "test");

    let ours = [rabbitmq.as_slice(), &[("LEVERET_PORT", "1"), ("LEVERET_DEFAULT_USER", "ann")]];
    let (config_of, warnings) = load(&[], &ours.concat()).unwrap();
    assert_eq!((config_of.port, &config_of.default_user[..]), (1, "ann"));
    let passed_over = |variable: &str, by: &str| Warning::Overridden {
        variable: variable.to_owned(),
        by: by.to_owned(),
    };
    assert_eq!(
        warnings,
        [
            passed_over("RABBITMQ_DEFAULT_USER", "LEVERET_DEFAULT_USER"),
            passed_over("RABBITMQ_NODE_PORT", "LEVERET_PORT"),
        ]
    );
    assert!(config(&[], &[("RABBITMQ_NODE_IP_ADDRESS", "auto")]).bind.is_empty());
}

#[test]
fn who_takes_any_port_for_amqp_gets_any_for_the_rest_unless_he_says_so() {
    let ports = |config: Config| (config.management_port, config.prometheus_port);
    assert_eq!(ports(config(&[], &[])), (Some(15_672), Some(15_692)));
    assert_eq!(ports(config(&["--port", "0"], &[])), (Some(0), Some(0)));
    let args = ["--port", "0", "--http-port", "off", "--metrics-port", "7"];
    assert_eq!(ports(config(&args, &[])), (None, Some(7)));
}

fn own_tls(name: &str) -> TlsOptions {
    TlsOptions {
        cert_file: Some(format!("/tls/{name}.pem").into()),
        key_file: Some(format!("/tls/{name}.key").into()),
        ca_file: Some(format!("/tls/{name}-ca.pem").into()),
        verify: TlsVerify::Peer,
        fail_if_no_peer_cert: true,
        ..TlsOptions::default()
    }
}

#[test]
fn every_key_can_be_set_by_file_and_by_environment() {
    let file = TestFile::new(
        "every",
        r#"
        bind = ["127.0.0.1", "::1"]
        port = 0
        tls_cert_file = "/tls/cert.pem"
        tls_key_file = "/tls/key.pem"
        tls_port = 0
        tls_verify = "peer"
        tls_ca_file = "/tls/ca.pem"
        tls_fail_if_no_peer_cert = true
        tls_versions = ["1.3"]
        tls_depth = 2
        tls_login_from = "common_name"
        management_port = 1
        management_tls_port = 2
        prometheus_port = "off"
        prometheus_tls_port = 0
        management_max_body_size = "2MiB"
        management_bind = "localhost"
        management_path_prefix = "/mq/"
        management_tls_bind = "127.0.0.2"
        management_tls_cert_file = "/tls/m.pem"
        management_tls_key_file = "/tls/m.key"
        management_tls_ca_file = "/tls/m-ca.pem"
        management_tls_verify = "peer"
        management_tls_fail_if_no_peer_cert = true
        prometheus_bind = "127.0.0.3"
        prometheus_tls_bind = "127.0.0.4"
        prometheus_tls_cert_file = "/tls/p.pem"
        prometheus_tls_key_file = "/tls/p.key"
        prometheus_tls_ca_file = "/tls/p-ca.pem"
        prometheus_tls_verify = "peer"
        prometheus_tls_fail_if_no_peer_cert = true
        prometheus_path = "/numbers"
        prometheus_per_object = true
        prometheus_authentication = true
        node_name = "leveret@here"
        cluster_name = "c"
        ready_file = "/run/ready.json"
        pid_file = "/run/pid"
        frame_max = 4096
        channel_max = 10
        heartbeat = 0
        handshake_timeout = 3
        max_message_size = "1MiB"
        max_connections = 5
        max_connections_per_address = 6
        max_unauthenticated_per_address = 7
        limit_loopback = true
        max_channels = 8
        max_consumers_per_channel = 9
        max_vhosts = 10
        max_queues = 11
        max_exchanges = 12
        memory_high_watermark = "1GiB"
        consumer_outbox_bytes = 65536
        data_dir = "/data"
        durability = "os"
        disk_free_limit = "2GB"
        consumer_timeout = 5000
        consumer_timeout_action = "cancel"
        default_queue_type = "quorum"
        default_user = "u"
        default_pass = "p"
        default_user_tags = ["monitoring"]
        default_permissions = ["a", "b", "c"]
        default_vhost = "v"
        load_definitions = "/etc/definitions.json"
        queues = ["a", "b"]
        load_definitions_if_changed = true
        password_hashing = "sha512"
        loopback_users = []
        allow_anonymous = true
        log_level = "debug"
        log_format = "json"
        log_categories = ["connection=warn", "queue=off"]
        log_console = false
        log_console_level = "error"
        log_file = "/log"
        log_file_level = "trace"
        log_file_format = "json"
        log_file_max_size = "1MiB"
        log_file_rotation = "$W1D2"
        log_file_keep = 3
        "#,
    );
    let from_file = config(&["--config", file.path()], &[]);
    let expected = Config {
        bind: ["127.0.0.1", "::1"].map(|address| address.parse().unwrap()).to_vec(),
        port: 0,
        plain_listener: true,
        tls: TlsConfig {
            port: 0,
            options: TlsOptions {
                cert_file: Some("/tls/cert.pem".into()),
                key_file: Some("/tls/key.pem".into()),
                ca_file: Some("/tls/ca.pem".into()),
                verify: TlsVerify::Peer,
                fail_if_no_peer_cert: true,
                versions: TlsVersions::Only13,
                depth: Some(2),
            },
            login_from: CertificateLogin::CommonName,
        },
        management_port: Some(1),
        management_tls_port: Some(2),
        prometheus_port: None,
        prometheus_tls_port: Some(0),
        management_max_body_size: 2 << 20,
        management_bind: vec!["127.0.0.1", "::1"]
            .into_iter()
            .map(|it| it.parse().unwrap())
            .collect(),
        web: WebConfig {
            management_path_prefix: "/mq".to_owned(),
            management_tls_bind: vec!["127.0.0.2".parse().unwrap()],
            management_tls: own_tls("m"),
            prometheus_bind: vec!["127.0.0.3".parse().unwrap()],
            prometheus_tls_bind: vec!["127.0.0.4".parse().unwrap()],
            prometheus_tls: own_tls("p"),
            prometheus_path: "/numbers".to_owned(),
            prometheus_per_object: true,
            prometheus_authentication: true,
            for_commands: false,
        },
        ready_file: Some("/run/ready.json".into()),
        pid_file: Some("/run/pid".into()),
        frame_max: 4096,
        channel_max: 10,
        heartbeat_seconds: 0,
        handshake_timeout: Duration::from_secs(3),
        max_message_size: 1 << 20,
        capacity: Capacity {
            connections: 5,
            connections_per_address: 6,
            unauthenticated_per_address: 7,
            limit_loopback: true,
            channels: 8,
            consumers_per_channel: 9,
            vhosts: 10,
            queues: 11,
            exchanges: 12,
        },
        node_name: "leveret@here".to_owned(),
        cluster_name: "c".to_owned(),
        memory_high_watermark_bytes: 1 << 30,
        consumer_outbox_bytes: 65_536,
        data_dir: Some("/data".into()),
        durability: Durability::Os,
        disk_free_limit: 2_000_000_000,
        consumer_timeout_ms: 5000,
        consumer_timeout_action: ConsumerTimeoutAction::Cancel,
        default_queue_type: DefaultQueueType::Quorum,
        default_user: "u".to_owned(),
        default_pass: Secret::new("p"),
        default_user_tags: vec!["monitoring".to_owned()],
        default_permissions: ["a", "b", "c"].map(str::to_owned),
        default_vhost: "v".to_owned(),
        vhost_limits: BTreeMap::new(),
        vhost_users: BTreeMap::new(),
        vhost_operator_policies: BTreeMap::new(),
        load_definitions: Some("/etc/definitions.json".into()),
        queues: ["a", "b"].map(str::to_owned).to_vec(),
        load_definitions_if_changed: true,
        password_hashing: PasswordHashing::Sha512,
        loopback_users: Vec::new(),
        allow_anonymous: true,
        log_level: LogLevel::Debug,
        log_format: LogFormat::Json,
        log: LogConfig {
            console: false,
            console_level: Some(LogLevel::Error),
            categories: vec![
                (LogCategory::Connection, LogLevel::Warn),
                (LogCategory::Queue, LogLevel::Off),
            ],
            file: Some("/log".into()),
            file_level: Some(LogLevel::Trace),
            file_format: LogFormat::Json,
            file_max_size: 1 << 20,
            file_rotation: LogRotation::Weekly(1, 2),
            file_keep: 3,
        },
    };
    assert_eq!(from_file, expected);

    let values = [
        "127.0.0.1,::1",
        "0",
        "/tls/cert.pem",
        "/tls/key.pem",
        "0",
        "peer",
        "/tls/ca.pem",
        "true",
        "tlsv1.3",
        "2",
        "common_name",
        "1",
        "2",
        "off",
        "0",
        "2MiB",
        "localhost",
        "/mq/",
        "127.0.0.2",
        "/tls/m.pem",
        "/tls/m.key",
        "/tls/m-ca.pem",
        "peer",
        "true",
        "127.0.0.3",
        "127.0.0.4",
        "/tls/p.pem",
        "/tls/p.key",
        "/tls/p-ca.pem",
        "peer",
        "true",
        "/numbers",
        "true",
        "true",
        "leveret@here",
        "c",
        "/run/ready.json",
        "/run/pid",
        "4096",
        "10",
        "0",
        "3",
        "1MiB",
        "5",
        "6",
        "7",
        "true",
        "8",
        "9",
        "10",
        "11",
        "12",
        "1GiB",
        "64KiB",
        "/data",
        "os",
        "2GB",
        "5000",
        "cancel",
        "quorum",
        "u",
        "p",
        "monitoring",
        "a,b,c",
        "v",
        "/etc/definitions.json",
        "a, b",
        "true",
        "sha512",
        "none",
        "true",
        "debug",
        "json",
        "connection=warn,queue=off",
        "false",
        "error",
        "/log",
        "trace",
        "json",
        "1MiB",
        "$W1D2",
        "3",
    ];
    let variables: Vec<String> = KEYS.iter().map(|key| variable_of(key.name)).collect();
    let environment: Vec<_> = variables.iter().map(String::as_str).zip(values).collect();
    assert_eq!(config(&[], &environment), expected);
}

/// Goal: the page of all keys tells the true defaults.
#[test]
fn the_defaults_that_keys_tell_are_the_defaults() {
    let expected = config(&[], &[]);
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let variable = variable_of(key.name);
        assert_eq!(config(&[], &[(&variable, key.default)]), expected, "{}", key.name);
    }
}

#[test]
fn the_file_may_be_named_by_the_environment_and_the_flag_wins() {
    let (one, two) = (TestFile::new("one", "port = 1"), TestFile::new("two", "port = 2"));
    let environment = [("LEVERET_CONFIG", one.path())];
    assert_eq!(config(&[], &environment).port, 1);
    assert_eq!(config(&["--config", two.path()], &environment).port, 2);
}

#[test]
fn a_wrong_value_is_named_with_its_origin_and_what_is_expected() {
    let port = "must be a port number from 0 (any free one) to 65535, or none, not";
    assert_eq!(error(&["--port", "70000"], &[]), (format!("--port {port} '70000'"), EXIT_USAGE));
    assert_eq!(
        error(&[], &[("LEVERET_PORT", "http")]),
        (format!("LEVERET_PORT {port} 'http'"), EXIT_CONFIG)
    );
    assert_eq!(
        error(&[], &[("RABBITMQ_NODE_PORT", "-1")]),
        (format!("RABBITMQ_NODE_PORT {port} '-1'"), EXIT_CONFIG)
    );
    assert_eq!(file_error("port", "\nport = 70000"), format!("FILE:2: port {port} 70000"));
    assert_eq!(
        error(&["--bind", "::1", "--bind", "example.org"], &[]).0,
        "--bind must be a list of IP addresses such as 127.0.0.1 or [::1], not '::1, example.org'"
    );
    assert_eq!(
        error(&["--log-format", "xml"], &[]).0,
        "--log-format must be text or json, not 'xml'"
    );
    assert_eq!(
        file_error("list", "loopback_users = [1]"),
        "FILE:1: loopback_users must be a list of names, or none, \
         not 'a list that is not all text'"
    );
}

#[test]
fn out_of_range_values_are_refused() {
    for (flag, value) in [
        ("--frame-max", "4095"),
        ("--frame-max", "1GiB"),
        ("--channel-max", "0"),
        ("--heartbeat", "65536"),
        ("--max-message-size", "513MiB"),
        ("--max-connections", "-1"),
        ("--memory-high-watermark", "40"),
        ("--memory-high-watermark", "101%"),
        ("--memory-high-watermark", "0%"),
        ("--log-level", "loud"),
        ("--ready-file", ""),
    ] {
        let flag_and_value = format!("{flag}={value}");
        let (text, exit_code) = error(&[&flag_and_value], &[]);
        assert!(text.starts_with(&format!("{flag} must be ")), "{text}");
        assert_eq!(exit_code, EXIT_USAGE);
    }
    let too_long = "x".repeat(256);
    assert!(load(&[], &[("LEVERET_DEFAULT_VHOST", &too_long)]).is_err());
}

#[test]
fn a_wrong_password_is_not_repeated() {
    let text = file_error("pass", "default_pass = 12345");
    assert_eq!(text, "FILE:1: default_pass must be a password, not this");
}

#[test]
fn a_share_of_memory_becomes_bytes() {
    let mut loading = Loading::default();
    let share = Given::Text("25 %".to_owned());
    loading.set("memory_high_watermark", &share, || Origin::Flag("x")).unwrap();
    let (config, warnings) = loading.finish(Some(8 << 30), &Environment::of([]));
    assert_eq!((config.memory_high_watermark_bytes, warnings), ((8 << 30) / 100 * 25, vec![]));
}

#[test]
fn unknown_memory_is_a_warning_and_no_limit() {
    let (config, warnings) = Loading::default().finish(None, &Environment::of([]));
    assert_eq!((config.memory_high_watermark_bytes, warnings), (0, vec![Warning::MemoryUnknown]));
}

#[test]
fn an_unreadable_file_is_named_with_the_reason() {
    assert_eq!(
        error(&["--config", "/nowhere/leveret.toml"], &[]),
        (
            "cannot read the configuration file /nowhere/leveret.toml: \
             No such file or directory (os error 2)"
                .to_owned(),
            EXIT_CONFIG
        )
    );
}

#[test]
fn a_malformed_file_is_one_line_with_the_place() {
    let text = file_error("malformed", "port = 1\nframe_max 4096\n");
    assert!(text.starts_with("FILE:2: this is not TOML: "), "{text}");
    assert!(!text.contains('\n'), "{text}");
    let text = file_error("twice", "port = 1\nport = 2\n");
    assert!(text.starts_with("FILE:2: this is not TOML: duplicate key"), "{text}");
}

#[test]
fn unknown_keys_are_warnings_unless_the_operator_is_strict() {
    let file = TestFile::new("unknown", "port = 1\nprot = 2\n[listeners]\ntcp = 3\n");
    let (config, warnings) = load(&["--config", file.path()], &[]).unwrap();
    assert_eq!(config.port, 1);
    let texts: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    let unknown = |line: &str| format!("{}:{line} is not a key that leveret knows", file.path());
    assert_eq!(texts, [unknown("2: prot"), unknown("3: listeners")]);

    let refusal = format!("{}; remove it, or start without --strict-config", unknown("2: prot"));
    let strict = error(&["--strict-config", "--config", file.path()], &[]);
    assert_eq!(strict, (refusal.clone(), EXIT_CONFIG));
    let by_environment = [("LEVERET_STRICT_CONFIG", "true"), ("LEVERET_CONFIG", file.path())];
    assert_eq!(error(&[], &by_environment), (refusal, EXIT_CONFIG));
}

#[test]
fn an_unknown_variable_of_ours_is_a_warning_and_an_empty_one_nothing() {
    let (_, warnings) = load(&[], &[("LEVERET_PROT", "1"), ("LEVERET_PORT", "")]).unwrap();
    assert_eq!(warnings, [Warning::UnknownVariable("LEVERET_PROT".to_owned())]);
}

/// Regression guard: a Kubernetes service named "leveret" must not stop a broker in its namespace.
#[test]
fn the_port_without_tls_can_be_closed() {
    assert!(!config(&["--port", "none"], &[]).plain_listener);
    let reopened = config(&["--port", "1"], &[("LEVERET_PORT", "none")]);
    assert_eq!((reopened.plain_listener, reopened.port), (true, 1));
}

#[test]
fn variables_that_kubernetes_makes_for_a_service_are_passed_over() {
    let links = [
        ("LEVERET_PORT", "tcp://10.96.0.5:5672"),
        ("LEVERET_PORT_5672_TCP_ADDR", "10.96.0.5"),
        ("LEVERET_SERVICE_HOST", "10.96.0.5"),
        ("LEVERET_SERVICE_PORT", "5672"),
    ];
    assert_eq!(config(&[], &links).port, 5672);
}

/// Goal: what the example says are the defaults are the defaults, and it leaves no key out.
#[test]
fn the_example_with_its_comments_removed_is_the_defaults() {
    let example = include_str!("../../../examples/leveret.toml");
    let setting = |line: &str| Some(line.strip_prefix("# ")?.split_once(" = ")?.0.to_owned());
    let named: Vec<String> =
        example.lines().filter_map(setting).filter(|name| !name.contains(' ')).collect();
    assert_eq!(named, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    let is_setting = |line: &&str| setting(line).is_some_and(|name| named.contains(&name));
    let uncommented: String =
        example.lines().filter(is_setting).map(|line| format!("{}\n", &line[2..])).collect();

    let [as_it_is, file] =
        [TestFile::new("example", example), TestFile::new("example-on", &uncommented)];
    assert_eq!(config(&["--config", as_it_is.path()], &[]), config(&[], &[]));
    let mut expected = Config {
        ready_file: Some("/run/leveret/ready.json".into()),
        pid_file: Some("/run/leveret/pid".into()),
        node_name: "rabbit@host".to_owned(),
        cluster_name: "rabbit@host".to_owned(),
        load_definitions: Some("/etc/leveret/definitions.json".into()),
        queues: ["orders", "invoices"].map(str::to_owned).to_vec(),
        ..config(&[], &[])
    };
    expected.log = LogConfig {
        console_level: Some(LogLevel::Info),
        categories: vec![(LogCategory::Connection, LogLevel::Warn)],
        file: Some("/var/log/leveret.log".into()),
        file_level: Some(LogLevel::Info),
        ..LogConfig::default()
    };
    let tls = &mut expected.tls.options;
    tls.cert_file = Some("/etc/leveret/server.pem".into());
    tls.key_file = Some("/etc/leveret/server.key".into());
    tls.ca_file = Some("/etc/leveret/ca.pem".into());
    tls.depth = Some(10);
    for (tls, name) in [
        (&mut expected.web.management_tls, "management"),
        (&mut expected.web.prometheus_tls, "metrics"),
    ] {
        tls.cert_file = Some(format!("/etc/leveret/{name}.pem").into());
        tls.key_file = Some(format!("/etc/leveret/{name}.key").into());
        tls.ca_file = Some("/etc/leveret/clients-ca.pem".into());
    }
    assert_eq!(config(&["--config", file.path()], &[]), expected);
}
