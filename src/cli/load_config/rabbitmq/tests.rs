//! RabbitMQ's files and variables, and which of them wins.

use std::path::PathBuf;

use super::super::{Loading, load_config};
use super::*;
use crate::cli::args::parse_args;
use crate::config::{
    DefaultOperatorPolicy, DefaultQueueType, DefaultVHostLimits, DefaultVHostUser, LogCategory,
    LogConfig, LogFormat, LogLevel, LogRotation, Secret, TlsVersions,
};

/// A directory of this test's own, removed when it ends.
struct TestDir(PathBuf);

impl TestDir {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("leveret-conf-{}-{name}", std::process::id()));
        for (name, text) in files {
            let file = root.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(root)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _gone_is_fine = fs::remove_dir_all(&self.0);
    }
}

fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<(Config, Vec<String>), ConfigError> {
    let line = ["leveret"].iter().chain(flags).map(std::ffi::OsString::from);
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let (config, warnings) = load_config(&parse_args(line).unwrap(), variables)?;
    Ok((config, warnings.iter().map(ToString::to_string).collect()))
}

/// What a container of RabbitMQ's may have been given.
const CONF: &str = "\
# comment
listeners.tcp.1 = 127.0.0.1:5680
listeners.tcp.2 = ::1:5680
default_user = joe
default_pass = s3cret
default_vhost = app
loopback_users.guest = false
heartbeat = 30
handshake_timeout = 5000
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 1GB
default_queue_type = quorum
log.console = true
log.console.level = debug
management.tcp.port = 15680
collect_statistics_interval = 10000
";

#[test]
fn a_rabbitmq_conf_is_understood() {
    let dir = TestDir::new("all", &[("rabbitmq.conf", CONF)]);
    for (flags, variables) in [
        (vec!["--config", "FILE"], vec![]),
        (vec![], vec![("RABBITMQ_CONFIG_FILE", "FILE")]),
        (vec![], vec![("LEVERET_CONFIG", "FILE")]),
    ] {
        let file = dir.file("rabbitmq.conf");
        let named = |text| if text == "FILE" { &*file } else { text };
        let flags: Vec<&str> = flags.into_iter().map(named).collect();
        let variables: Vec<_> =
            variables.into_iter().map(|(name, value)| (name, named(value))).collect();
        let (config, warnings) = load(&flags, &variables).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let addresses = ["127.0.0.1", "::1"].map(|address| address.parse().unwrap());
        assert_eq!((config.port, &config.bind[..]), (5680, &addresses[..]));
        assert_eq!(config.default_user, "joe");
        assert_eq!(config.default_pass, Secret::new("s3cret"));
        assert_eq!((&*config.default_vhost, config.heartbeat_seconds), ("app", 30));
        assert_eq!(config.loopback_users, Vec::<String>::new());
        assert_eq!(config.handshake_timeout.as_secs(), 5);
        assert_eq!(config.memory_high_watermark_bytes, 1_000_000_000);
        assert_eq!(config.disk_free_limit, 1_000_000_000);
        assert_eq!(config.default_queue_type, DefaultQueueType::Quorum);
        assert_eq!((config.log_level, config.management_port), (LogLevel::Debug, Some(15_680)));
    }
}

#[test]
fn conf_d_wins_over_the_main_file_leverets_file_over_both_and_variables_over_all() {
    let dir = TestDir::new(
        "order",
        &[
            ("rabbitmq.conf", "heartbeat = 1\nframe_max = 5000\nchannel_max = 1\n"),
            ("conf.d/10.conf", "heartbeat = 2\nframe_max = 6000\n"),
            ("conf.d/20.conf", "heartbeat = 3\n"),
            ("leveret.toml", "channel_max = 4\n"),
        ],
    );
    let (main, more, own) = (dir.file("rabbitmq"), dir.file("conf.d"), dir.file("leveret.toml"));
    let variables = [
        ("RABBITMQ_CONFIG_FILE", &*main),
        ("RABBITMQ_CONFIG_FILES", &*more),
        ("LEVERET_CONFIG", &*own),
        ("LEVERET_FRAME_MAX", "7000"),
    ];
    let (config, _) = load(&[], &variables).unwrap();
    assert_eq!((config.heartbeat_seconds, config.channel_max, config.frame_max), (3, 4, 7000));
}

/// Goal: lines that say something together become one value, with where the first of them is.
#[test]
fn lines_that_belong_together_are_one_value() {
    let text = "ssl_options.versions.1 = tlsv1.3\nssl_options.versions.2 = tlsv1.1\n\
                ssl_options.depth = 0\nlisteners.ssl.1 = :::5699\n\
                default_user_tags.monitoring = true\ndefault_user_tags.administrator = false\n\
                default_permissions.read = ^a\ncluster_name = mine\n\
                default_limits.vhosts.1.pattern = ^dev\ndefault_limits.vhosts.1.max_queues = 5\n\
                default_limits.vhosts.2.max_connections = -1\n";
    let dir = TestDir::new("together", &[("rabbitmq.conf", text)]);
    let file = dir.file("rabbitmq.conf");
    let (config, warnings) = load(&[], &[("RABBITMQ_CONFIG_FILE", &*file)]).unwrap();
    assert_eq!(config.tls.options.versions, TlsVersions::Only13);
    assert_eq!((config.tls.options.depth, config.tls.port), (Some(0), 5699));
    assert_eq!(config.default_user_tags, ["monitoring"]);
    assert_eq!(config.default_permissions, [".*", ".*", "^a"]);
    assert_eq!(config.cluster_name, "mine");
    let limits = |pattern: &str, max_connections, max_queues| DefaultVHostLimits {
        pattern: pattern.to_owned(),
        max_connections,
        max_queues,
    };
    let expected = [("1", limits("^dev", None, Some(5))), ("2", limits("", Some(-1), None))];
    assert_eq!(config.vhost_limits, expected.map(|(id, limits)| (id.to_owned(), limits)).into());
    let missing = "no version before TLS 1.2 is spoken: let clients use 1.2 or 1.3";
    assert_eq!(warnings, [format!("{file}:2: ssl_options.versions.2 is passed over: {missing}")]);
    for (line, expected) in [
        ("default_limits.vhosts.1.pattern = [", "must be a regular expression, not '['"),
        ("default_limits.vhosts.1.max_queues = x", "must be a number, not 'x'"),
        ("default_permissions.read = [", "must be a list of three regular expressions, not "),
        ("default_user_tags.a = maybe", "must be true or false, not 'maybe'"),
    ] {
        fs::write(&file, line).unwrap();
        let error = load(&[], &[("RABBITMQ_CONFIG_FILE", &*file)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_not_understood_is_told_and_strictness_refuses_what_nobody_knows() {
    let erlang = "[{rabbit, [{heartbeat, 7},\n{frobnicate, {1, 2}},\n\
                  {ssl_options, [{password, \"x\"}]}]}].";
    let text = "mqtt.allow_anonymous = true\nfrobnicate = 1\nlisteners.tcp.1 = 1\n\
                listeners.tcp.2 = 2\n";
    let dir = TestDir::new("odd", &[("rabbitmq.conf", text), ("advanced.config", erlang)]);
    let (file, erlang) = (dir.file("rabbitmq.conf"), dir.file("advanced.config"));
    let variables = [("RABBITMQ_CONFIG_FILE", &*file), ("RABBITMQ_ADVANCED_CONFIG_FILE", &*erlang)];
    let (config, warnings) = load(&[], &variables).unwrap();
    assert_eq!((config.port, config.heartbeat_seconds), (1, 7));
    assert_eq!(
        warnings,
        [
            format!(
                "{file}:1: mqtt.allow_anonymous is passed over: clients have to speak AMQP 0-9-1"
            ),
            format!("{file}:2: frobnicate is not a key that leveret knows"),
            format!(
                "{file}:4: listeners.tcp.2 names a second port; leveret listens on one for AMQP, it is \
                 passed over"
            ),
            format!("{erlang}:2: rabbit.frobnicate is not a key that leveret knows"),
            format!(
                "{erlang}:3: rabbit.ssl_options.password is passed over: a private key with a passphrase can't be read: write it anew with 'openssl pkey -in FILE -out NEWFILE'"
            ),
        ]
    );
    let error = load(&["--strict-config"], &variables).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{file}:2: frobnicate is not a key")), "{error}");
}

/// Goal: users, operator policies and limits of new vhosts are gathered by name, and `config show` can tell where
/// each was written, but no password.
#[test]
fn what_new_vhosts_begin_with_is_gathered_by_name() {
    let text = "default_users.joe\\.doe.password = s3cret\ndefault_users.joe\\.doe.tags = monitoring, ours\n\
                default_users.joe\\.doe.vhost_pattern = ^dev\ndefault_users.joe\\.doe.write = ^w\n\
                default_policies.operator.bounded.vhost_pattern = ^dev\n\
                default_policies.operator.bounded.queue_pattern = ^q\n\
                default_policies.operator.bounded.apply_to = queues\n\
                default_policies.operator.bounded.expires = 1h\n\
                default_policies.operator.bounded.max_length_bytes = 1MB\n\
                default_policies.operator.bounded.delivery_limit = 5\n";
    let dir = TestDir::new("new-vhosts", &[("rabbitmq.conf", text)]);
    let file = dir.file("rabbitmq.conf");
    let (config, warnings) = load(&["--config", &file], &[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let user = DefaultVHostUser {
        vhost_pattern: "^dev".to_owned(),
        password: Some(Secret::new("s3cret")),
        tags: vec!["monitoring".to_owned(), "ours".to_owned()],
        write: "^w".to_owned(),
        ..DefaultVHostUser::default()
    };
    assert_eq!(config.vhost_users, [("joe.doe".to_owned(), user)].into());
    let limits = [("expires", 3_600_000), ("max-length-bytes", 1_000_000), ("delivery-limit", 5)];
    let policy = DefaultOperatorPolicy {
        vhost_pattern: "^dev".to_owned(),
        queue_pattern: "^q".to_owned(),
        apply_to: "queues".to_owned(),
        definition: limits.map(|(key, limit)| (key.to_owned(), limit)).into(),
    };
    assert_eq!(config.vhost_operator_policies, [("bounded".to_owned(), policy)].into());
    let args = parse_args(["leveret", "--config", &file].map(Into::into)).unwrap();
    let loading = Loading::of(&args, &Environment::default()).unwrap();
    let shown: Vec<_> = loading
        .settings_of_rabbitmq()
        .map(|(key, setting)| format!("{key} {} {}", setting.given.plain(), setting.origin.place()))
        .collect();
    assert!(shown.contains(&format!("default_users.joe\\.doe.password *** {file}:1")), "{shown:?}");
    assert_eq!(shown.len(), 10);
    for (line, expected) in [
        ("default_users.joe.read = [", "must be a regular expression, not '['"),
        (
            "default_policies.operator.a.expires = soon",
            "must be a time such as 1h, or milliseconds",
        ),
        ("default_policies.operator.a.max_length = x", "must be a number, not 'x'"),
    ] {
        fs::write(&file, line).unwrap();
        let error = load(&["--config", &file], &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Goal: RabbitMQ's keys and variables about the log say where it goes, and how much of it, as in RabbitMQ.
#[test]
fn where_the_log_goes_is_understood() {
    let dir = TestDir::new("log", &[("rabbitmq.conf", "")]);
    let file = dir.file("rabbitmq.conf");
    let load = |text: &str, variables: &[(&str, &str)]| {
        fs::write(&file, text).unwrap();
        load(&["--config", &file], variables).unwrap()
    };
    let (config, warnings) = load(
        "log.console = false\nlog.file = rabbit.log\nlog.file.level = debug\n\
         log.file.formatter = json\nlog.file.rotation.size = 1000\nlog.file.rotation.count = 3\n\
         log.file.rotation.date = $D0\nlog.connection.level = warning\nlog.queue.level = none\n\
         log.federation.level = debug\nlog.channel.file = x\nlog.syslog = true\n",
        &[],
    );
    let expected = LogConfig {
        console: false,
        console_level: None,
        categories: vec![
            (LogCategory::Connection, LogLevel::Warn),
            (LogCategory::Queue, LogLevel::Off),
        ],
        file: Some("/var/log/rabbitmq/rabbit.log".into()),
        file_level: Some(LogLevel::Debug),
        file_format: LogFormat::Json,
        file_max_size: 1000,
        file_rotation: LogRotation::Daily(0),
        file_keep: 3,
    };
    assert_eq!((config.log, config.log_level), (expected, LogLevel::Debug));
    assert!(
        warnings[0].contains("log.channel.file is passed over: all categories are in one file")
    );
    assert!(
        warnings[1].contains("log.syslog is passed over: the log is on standard output: systemd")
    );
    assert_eq!(warnings.len(), 2);
    // Nobody means no log at all.
    let (config, _) = load("log.console = false\n", &[]);
    assert!(config.log.console);
    // What a category may say, an output may not want.
    let (config, _) = load("log.console.level = debug\nlog.default.level = warning\n", &[]);
    assert_eq!(
        (config.log.console_level, config.log_level),
        (Some(LogLevel::Debug), LogLevel::Warn)
    );
    let (config, warnings) = load(
        "log.file = /else/where\n",
        &[
            ("RABBITMQ_LOG_BASE", "/logs"),
            ("RABBITMQ_LOGS", "here.log"),
            ("RABBITMQ_LOG", "connection.debug,queue=error,warning,+json,+color,ra.debug"),
        ],
    );
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.log.file, Some("/logs/here.log".into()));
    let levels =
        [(LogCategory::Connection, LogLevel::Debug), (LogCategory::Queue, LogLevel::Error)];
    assert_eq!((&config.log.categories[..], config.log_level), (&levels[..], LogLevel::Warn));
    assert_eq!(config.log_format, LogFormat::Json);
    let (config, warnings) = load("", &[("RABBITMQ_LOGS", "-")]);
    assert_eq!((config.log, warnings), (LogConfig::default(), vec![]));
    // One source may say the file, and the next where it is, or that there is none.
    let file = "log.console = false\nlog.file = a.log\n";
    let (config, _) = load(file, &[("RABBITMQ_LOG_BASE", "/logs")]);
    assert_eq!((config.log.console, config.log.file), (false, Some("/logs/a.log".into())));
    let (config, _) = load("log.dir = /logs\n", &[("RABBITMQ_LOGS", "b.log")]);
    assert_eq!(config.log.file, Some("/logs/b.log".into()));
    let (config, _) = load("log.console = false\n", &[("RABBITMQ_LOGS", "/b.log")]);
    assert_eq!((config.log.console, config.log.file), (false, Some("/b.log".into())));
    let (config, _) = load(file, &[("RABBITMQ_LOGS", "-")]);
    assert_eq!(config.log, LogConfig::default());
    // What one output does not want the other has.
    let (config, _) = load("log.console.level = error\nlog.file = /x\n", &[]);
    assert_eq!(config.log_level, LogLevel::Info);
    let (config, _) = load("log.console.level = error\n", &[]);
    assert_eq!(config.log_level, LogLevel::Error);
    let (_, warnings) = load("", &[("RABBITMQ_CONFIG_FILE", "/nowhere/rabbitmq")]);
    let missing =
        "RABBITMQ_CONFIG_FILE: there is no file /nowhere/rabbitmq; its settings are not in force";
    assert_eq!(warnings, [missing]);
    let (_, warnings) = load("", &[("RABBITMQ_LOGS", "-stderr")]);
    assert!(warnings[0].starts_with("RABBITMQ_LOGS is passed over: "), "{warnings:?}");
}

#[test]
fn shares_are_of_the_memory_that_a_file_says_there_is() {
    let text = "total_memory_available_override_value = 1GB\nvm_memory_high_watermark.relative = 0.5\n\
                disk_free_limit.relative = 1.5\n";
    let dir = TestDir::new("memory", &[("rabbitmq.conf", text)]);
    let (config, _) = load(&["--config", &dir.file("rabbitmq.conf")], &[]).unwrap();
    assert_eq!(config.memory_high_watermark_bytes, 500_000_000);
    assert_eq!(config.disk_free_limit, 1_500_000_000);
}

/// Goal: HTTPS that is to have what AMQP has is no reason to warn, and what differs is.
#[test]
fn https_has_what_ssl_options_say() {
    let same = "management.ssl.certfile = /c.pem\nssl_options.certfile = /c.pem\n\
                management.ssl.port = 15671\nprometheus.ssl.verify = verify_none\n\
                ssl_options.verify = verify_none\n";
    let old = "management.listener.port = 15673\nmanagement.listener.ssl = true\n\
               management.listener.ssl_opts.keyfile = /k.pem\n";
    let no_port = "management.listener.ssl = true\n";
    let files = [("same.conf", same), ("old.conf", old), ("no_port.conf", no_port)];
    let dir = TestDir::new("https", &files);
    let (config, warnings) = load(&["--config", &dir.file("same.conf")], &[]).unwrap();
    assert_eq!((config.management_tls_port, warnings), (Some(15_671), vec![]));
    let (config, warnings) = load(&["--config", &dir.file("old.conf")], &[]).unwrap();
    assert_eq!((config.management_tls_port, config.management_port), (Some(15_673), None));
    assert!(
        warnings[0].contains("ssl_opts.keyfile is passed over: it is not what"),
        "{warnings:?}"
    );
    // Who asks for TLS has no passwords in clear text, whatever the port.
    let (config, _) = load(&["--config", &dir.file("no_port.conf")], &[]).unwrap();
    assert_eq!((config.management_tls_port, config.management_port), (Some(15_671), None));
}

#[test]
fn what_is_read_later_may_listen_everywhere() {
    let files = [
        ("rabbitmq.conf", "listeners.tcp.1 = 127.0.0.1:5672\n"),
        ("advanced.config", "[{rabbit, [{tcp_listeners, [5672]}]}].\n"),
    ];
    let dir = TestDir::new("everywhere", &files);
    let (conf, erlang) = (dir.file("rabbitmq.conf"), dir.file("advanced.config"));
    let variables = [("RABBITMQ_CONFIG_FILE", &*conf), ("RABBITMQ_ADVANCED_CONFIG_FILE", &*erlang)];
    let (config, warnings) = load(&[], &variables).unwrap();
    assert_eq!((config.bind, config.port, warnings), (vec![], 5672, vec![]));
}

/// Goal: a file as Testcontainers and older guides have it is understood, wins over `rabbitmq.conf`, and `config show`
/// tells where it says what.
#[test]
fn files_of_erlangs_terms_are_understood() {
    let erlang = "[\n {rabbit, [{tcp_listeners, [{\"127.0.0.1\", 5680}]}, {default_user, <<\"joe\">>},\n\
                  {loopback_users, []}, {default_user_tags, [monitoring, administrator]},\n\
                  {heartbeat, 30}, {vm_memory_high_watermark, {absolute, \"1GB\"}}]},\n\
                  {rabbitmq_management, [{load_definitions, \"/d.json\"}, {rates_mode, basic}]}].\n";
    let dir = TestDir::new(
        "erlang",
        &[("custom.config", erlang), ("rabbitmq.conf", "heartbeat = 5\nlisteners.tcp.1 = 5681\n")],
    );
    let (erlang, conf) = (dir.file("custom.config"), dir.file("rabbitmq.conf"));
    // Without its ending, too.
    let short = dir.file("custom");
    for variables in [
        &[("RABBITMQ_CONFIG_FILE", &*erlang)][..],
        &[("RABBITMQ_CONFIG_FILE", &*short)],
        &[("LEVERET_CONFIG", &*erlang)],
        &[("RABBITMQ_CONFIG_FILE", &*conf), ("RABBITMQ_ADVANCED_CONFIG_FILE", &*erlang)],
    ] {
        let (config, warnings) = load(&[], variables).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let address = "127.0.0.1".parse().unwrap();
        assert_eq!((config.port, &config.bind[..]), (5680, &[address][..]), "{variables:?}");
        assert_eq!((&*config.default_user, config.heartbeat_seconds), ("joe", 30));
        assert_eq!(config.loopback_users, Vec::<String>::new());
        assert_eq!(config.default_user_tags, ["monitoring", "administrator"]);
        assert_eq!(config.memory_high_watermark_bytes, 1_000_000_000);
        assert_eq!(config.load_definitions, Some("/d.json".into()));
    }
    let args = parse_args(["leveret", "--config", &erlang].map(Into::into)).unwrap();
    let loading = Loading::of(&args, &Environment::default()).unwrap();
    let origin = &loading.setting("heartbeat").unwrap().origin;
    assert_eq!(origin.to_string(), format!("{erlang}:4: rabbit.heartbeat"));
    for (text, expected) in [
        ("[{rabbit, [{heartbeat, 60}]}]", "FILE:1: a dot is missing behind the term"),
        ("[\n{rabbit, [{frame_max, 1}]}].", "FILE:2: rabbit.frame_max must be a number of bytes"),
    ] {
        fs::write(&erlang, text).unwrap();
        let error = load(&["--config", &erlang], &[]).unwrap_err();
        assert!(error.to_string().starts_with(&expected.replace("FILE", &erlang)), "{error}");
        assert_eq!(error.exit_code(), crate::cli::EXIT_CONFIG);
    }
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, expected) in [
        ("heartbeat", "FILE:1: this is not 'key = value'"),
        (
            "\nlisteners.tcp.default = http",
            "FILE:2: listeners.tcp.default must be a port, or an address and a port such as \
             127.0.0.1:5672, not 'http'",
        ),
        (
            "frame_max = 1",
            "FILE:1: frame_max must be a number of bytes from 4096 to 134217728, not '1'",
        ),
        (
            "loopback_users.guest = no",
            "FILE:1: loopback_users.guest must be true or false, not 'no'",
        ),
    ] {
        let dir = TestDir::new("mistakes", &[("rabbitmq.conf", text)]);
        let file = dir.file("rabbitmq.conf");
        let error = load(&["--config", &file], &[]).unwrap_err();
        assert_eq!(error.to_string(), expected.replace("FILE", &file));
        assert_eq!(error.exit_code(), crate::cli::EXIT_CONFIG);
    }
}

#[test]
fn more_of_rabbitmqs_variables_are_understood() {
    let dir = TestDir::new("files", &[("pass", "from a file\n")]);
    let pass = dir.file("pass");
    let variables = [
        ("RABBITMQ_DEFAULT_PASS_FILE", &*pass),
        ("RABBITMQ_MNESIA_BASE", "/var/lib/rabbitmq/mnesia"),
        ("RABBITMQ_VM_MEMORY_HIGH_WATERMARK", "512MiB"),
        ("RABBITMQ_LOG", "connection.error,debug"),
        ("RABBITMQ_PID_FILE", "/run/pid"),
        ("RABBITMQ_ERLANG_COOKIE", "x"),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-rabbit disk_free_limit 2147483648 -rabbit loopback_users [] +P 1",
        ),
    ];
    let (config, warnings) = load(&[], &variables).unwrap();
    assert_eq!(config.default_pass, Secret::new("from a file"));
    assert_eq!(config.data_dir, Some("/var/lib/rabbitmq/mnesia/leveret".into()));
    assert_eq!(config.memory_high_watermark_bytes, 512 << 20);
    assert_eq!((config.log_level, config.pid_file), (LogLevel::Debug, Some("/run/pid".into())));
    assert_eq!((config.disk_free_limit, config.loopback_users), (1 << 31, Vec::new()));
    assert_eq!(
        warnings,
        ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: +P 1 is passed over: there is no Erlang here"]
    );
    // leveret's own win.
    let ours =
        [&variables[..], &[("LEVERET_DATA_DIR", "/d"), ("LEVERET_LOG_LEVEL", "warn")]].concat();
    let (config, warnings) = load(&[], &ours).unwrap();
    assert_eq!((config.data_dir, config.log_level), (Some("/d".into()), LogLevel::Warn));
    let said = |line: &str| warnings.iter().any(|warning| warning == line);
    assert!(said("RABBITMQ_LOG is passed over: LEVERET_LOG_LEVEL is set, too, and wins"));
    assert!(said("RABBITMQ_MNESIA_BASE is passed over: LEVERET_DATA_DIR is set, too, and wins"));
}

/// Goal: the broker writes where a container's volume is, and its tools look there.
#[test]
fn rabbitmqs_variables_say_where_data_are() {
    let image = ("RABBITMQ_DATA_DIR", "/var/lib/rabbitmq");
    let (base, dir) = (("RABBITMQ_MNESIA_BASE", "/base"), ("RABBITMQ_MNESIA_DIR", "/dir"));
    let (ours, home) = (("LEVERET_DATA_DIR", "/ours"), ("HOME", "/home"));
    for (variables, place) in [
        (vec![home], "/home/.local/share/leveret"),
        (vec![home, image], "/var/lib/rabbitmq/leveret"),
        (vec![home, image, base], "/base/leveret"),
        (vec![home, image, dir], "/dir"),
        (vec![home, image, base, dir], "/dir"),
        (vec![home, image, base, dir, ours], "/ours"),
    ] {
        let (config, _) = load(&[], &variables).unwrap();
        assert_eq!(config.data_dir, Some(place.into()), "{variables:?}");
        let environment = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let found = super::super::data_dir(&Environment::of(environment));
        assert_eq!(found, PathBuf::from(place), "{variables:?}");
    }
    // A file of leveret's means it more than what every container has.
    let folder = TestDir::new("data-dir", &[("leveret.toml", "data_dir = \"/file\"\n")]);
    let file = folder.file("leveret.toml");
    let (config, warnings) = load(&["--config", &file], &[image]).unwrap();
    assert_eq!((config.data_dir, warnings), (Some("/file".into()), vec![]));
    let (config, warnings) = load(&[], &[image, ours]).unwrap();
    assert_eq!((config.data_dir, warnings), (Some("/ours".into()), vec![]));
}

#[test]
fn rabbitmqs_variables_for_tls_are_its_keys() {
    let variables = [
        ("RABBITMQ_SSL_CACERTFILE", "/ca.pem"),
        ("RABBITMQ_SSL_CERTFILE", "/cert.pem"),
        ("RABBITMQ_SSL_KEYFILE", "/key.pem"),
        ("RABBITMQ_SSL_DEPTH", "2"),
        ("RABBITMQ_SSL_FAIL_IF_NO_PEER_CERT", "true"),
        ("RABBITMQ_SSL_VERIFY", "verify_peer"),
    ];
    let (config, warnings) = load(&[], &variables).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let options = &config.tls.options;
    assert_eq!(options.ca_file, Some("/ca.pem".into()));
    assert_eq!(options.cert_file, Some("/cert.pem".into()));
    assert_eq!(options.key_file, Some("/key.pem".into()));
    assert_eq!((options.depth, options.fail_if_no_peer_cert), (Some(2), true));
    assert_eq!(options.verify, crate::config::TlsVerify::Peer);
    assert_eq!(config.management_tls_port, None);
    // The management API has the same certificate, and says what it can't have.
    let management = [
        ("RABBITMQ_MANAGEMENT_SSL_CERTFILE", "/cert.pem"),
        ("RABBITMQ_MANAGEMENT_SSL_KEYFILE", "/key.pem"),
        ("RABBITMQ_MANAGEMENT_SSL_CACERTFILE", "/other.pem"),
    ];
    let (config, warnings) = load(&[], &[&variables[..], &management].concat()).unwrap();
    assert_eq!(config.management_tls_port, Some(15_671));
    assert_eq!(
        warnings,
        [
            "RABBITMQ_MANAGEMENT_SSL_CACERTFILE is passed over: it is not what ssl_options says, and \
             HTTPS has the same certificate and rules as AMQP"
        ]
    );
    let (config, warnings) = load(&[], &management[..1]).unwrap();
    assert_eq!((config.management_tls_port, warnings.len()), (None, 1));
    let wrong = load(&[], &[("RABBITMQ_SSL_VERIFY", "maybe")]).unwrap_err().to_string();
    assert!(wrong.starts_with("RABBITMQ_SSL_VERIFY must be "), "{wrong}");
}

#[test]
fn where_a_value_was_written_is_remembered() {
    let dir = TestDir::new("origin", &[("rabbitmq.conf", "heartbeat = 1\ndefault_pass = x\n")]);
    let file = dir.file("rabbitmq.conf");
    let args = parse_args(["leveret", "--config", &file, "--port", "1"].map(Into::into)).unwrap();
    let environment = Environment::of([("LEVERET_FRAME_MAX".into(), "5000".into())]);
    let loading = Loading::of(&args, &environment).unwrap();
    let place = |key: &str| loading.setting(key).map(|setting| setting.origin.place());
    assert_eq!(place("heartbeat"), Some(format!("{file}:1")));
    assert_eq!(place("frame_max"), Some("LEVERET_FRAME_MAX".to_owned()));
    assert_eq!(place("port"), Some("--port".to_owned()));
    assert_eq!(place("channel_max"), None);
}
