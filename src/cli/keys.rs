//! Every configuration key: its name, what it takes, and where the value goes.

use std::path::PathBuf;
use std::time::Duration;

use super::given::Given;
use crate::config::{Config, LogLevel, Secret, TlsVersions};
use crate::pattern::Pattern;

/// The smallest `frame_max` that the spec allows: section 4.2.3, and RabbitMQ refuses less.
const FRAME_MAX_MIN: i64 = 4096;

/// A frame is buffered whole, so this much can be made to wait in memory by each connection.
const FRAME_MAX_MAX: i64 = 128 << 20;

/// The most that RabbitMQ allows for a message, too: a body is in memory as a whole.
const MESSAGE_SIZE_MAX: i64 = 512 << 20;

/// A lower watermark would stop every publisher for good. `40` without a unit is a slip.
const WATERMARK_MIN: i64 = 16 << 20;

/// Ten years in milliseconds, as for every other time in a queue.
const CONSUMER_TIMEOUT_MAX: i64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// A configuration that is being put together.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) watermark: Watermark,
    /// As somebody wrote it: a port, or none for `off`.
    pub(super) management_port: Option<Option<u16>>,
    pub(super) prometheus_port: Option<Option<u16>>,
    pub(super) log_level: Option<LogLevel>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            config: Config::default(),
            watermark: Watermark::Percent(40),
            management_port: None,
            prometheus_port: None,
            log_level: None,
        }
    }
}

/// How much memory is too much, before the machine has been asked how much it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watermark {
    Percent(u64),
    Bytes(u64),
}

/// One thing that can be configured.
pub(super) struct Key {
    /// As in the file. The flag has hyphens for underscores, the variable is in capitals and starts
    /// with `LEVERET_`.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// What it is unless somebody says so; empty: nothing, or what `about` says.
    pub(super) default: &'static str,
    /// What the value must be, for error texts: "port must be ..., not 'x'".
    pub(super) expects: &'static str,
    /// Puts the value into the draft; none if it is not what is expected.
    pub(super) set: fn(&mut Draft, &Given) -> Option<()>,
}

impl Key {
    /// Whether the value must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        self.name == "default_pass"
    }

    /// A value of this key as it may be shown.
    pub(super) fn shown(&self, value: &str) -> String {
        if self.is_secret() { "***".to_owned() } else { value.to_owned() }
    }

    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }
}

/// Every key, in the order of `examples/leveret.toml`.
pub(super) static KEYS: &[Key] = &[
    Key {
        name: "bind",
        about: "Where to listen for AMQP. Without any: every interface, IPv4 and IPv6.",
        default: "",
        expects: "a list of IP addresses such as 127.0.0.1 or [::1]",
        set: |draft, given| put(&mut draft.config.bind, given.addresses()),
    },
    Key {
        name: "port",
        about: "The TCP port for AMQP, or none for TLS only. The ports of HTTP are any free ones, too, where it is 0 and they are not said.",
        default: "5672",
        expects: "a port number from 0 (any free one) to 65535, or none",
        set: |draft, given| {
            draft.config.plain_listener = given.text().as_deref() != Some("none");
            if !draft.config.plain_listener {
                return Some(());
            }
            put(&mut draft.config.port, given.integer(0..=65_535))
        },
    },
    Key {
        name: "tls_cert_file",
        about: "The certificate for TLS, and those behind it up to its CA (PEM). With it AMQP is served over TLS as well; SIGHUP has changed files read again.",
        default: "",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.tls.options.cert_file, file(given).map(Some)),
    },
    Key {
        name: "tls_key_file",
        about: "The certificate's private key (PEM), not encrypted.",
        default: "",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.tls.options.key_file, file(given).map(Some)),
    },
    Key {
        name: "tls_port",
        about: "The TCP port for AMQP over TLS.",
        default: "5671",
        expects: "a port number from 0 (any free one) to 65535",
        set: |draft, given| put(&mut draft.config.tls.port, given.integer(0..=65_535)),
    },
    Key {
        name: "tls_verify",
        about: "Whether clients are asked for certificates.",
        default: "none",
        expects: "none or peer",
        set: |draft, given| put(&mut draft.config.tls.options.verify, given.word()),
    },
    Key {
        name: "tls_ca_file",
        about: "The CAs that clients' certificates have to come from (PEM).",
        default: "",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.tls.options.ca_file, file(given).map(Some)),
    },
    Key {
        name: "tls_fail_if_no_peer_cert",
        about: "Whether clients without a certificate are refused.",
        default: "false",
        expects: "true or false",
        set: |draft, given| put(&mut draft.config.tls.options.fail_if_no_peer_cert, given.truth()),
    },
    Key {
        name: "tls_versions",
        about: "Versions of TLS that clients may choose from.",
        default: "1.2, 1.3",
        expects: "a list of 1.2 and 1.3",
        set: |draft, given| {
            let names = given.list()?;
            let versions = TlsVersions::from_names(names.iter().map(String::as_str)).ok();
            put(&mut draft.config.tls.options.versions, versions)
        },
    },
    Key {
        name: "tls_depth",
        about: "How many certificates there may be between a client's and its CA. Without it: as many as can be verified.",
        default: "",
        expects: "a number from 0 to 255",
        set: |draft, given| {
            put(&mut draft.config.tls.options.depth, given.integer(0..=255).map(Some))
        },
    },
    Key {
        name: "tls_login_from",
        about: "What of a client's certificate is its user's name (SASL mechanism EXTERNAL).",
        default: "distinguished_name",
        expects: "distinguished_name, common_name or subject_alternative_name",
        set: |draft, given| put(&mut draft.config.tls.login_from, given.word()),
    },
    Key {
        name: "management_port",
        about: "The TCP port of the management HTTP API.",
        default: "15672",
        expects: "a port number from 0 (any free one) to 65535, or off",
        set: |draft, given| put(&mut draft.management_port, optional_port(given).map(Some)),
    },
    Key {
        name: "management_tls_port",
        about: "The TCP port of the management HTTP API over HTTPS, with the certificate of `tls_cert_file`.",
        default: "off",
        expects: "a port number from 0 (any free one) to 65535, or off",
        set: |draft, given| put(&mut draft.config.management_tls_port, optional_port(given)),
    },
    Key {
        name: "prometheus_port",
        about: "The TCP port of the metrics for Prometheus.",
        default: "15692",
        expects: "a port number from 0 (any free one) to 65535, or off",
        set: |draft, given| put(&mut draft.prometheus_port, optional_port(given).map(Some)),
    },
    Key {
        name: "prometheus_tls_port",
        about: "The TCP port of the metrics for Prometheus over HTTPS, with the certificate of `tls_cert_file`.",
        default: "off",
        expects: "a port number from 0 (any free one) to 65535, or off",
        set: |draft, given| put(&mut draft.config.prometheus_tls_port, optional_port(given)),
    },
    Key {
        name: "management_max_body_size",
        about: "The largest body of a request to the management HTTP API that publishes or imports \
                definitions. Others may have 1 MiB.",
        default: "32MiB",
        expects: "a size from 1048576 to 1073741824 bytes, such as 32MiB",
        set: |draft, given| {
            put(&mut draft.config.management_max_body_size, given.bytes(1 << 20..=1 << 30))
        },
    },
    Key {
        name: "management_bind",
        about: "Where to listen for HTTP. Without any: where it listens for AMQP.",
        default: "",
        expects: "a list of IP addresses such as 127.0.0.1 or [::1]",
        set: |draft, given| put(&mut draft.config.management_bind, given.addresses()),
    },
    Key {
        name: "node_name",
        about: "What RabbitMQ's tools and the management API call this broker. Without it: `rabbit@` and the name of this machine, as RabbitMQ.",
        default: "",
        expects: "a name such as rabbit@host",
        set: |draft, given| {
            let name = given.text().filter(|name| name.split('@').all(|part| !part.is_empty()));
            put(&mut draft.config.node_name, name)
        },
    },
    Key {
        name: "cluster_name",
        about: "What it calls the cluster that it is all of. Without it: as the node.",
        default: "",
        expects: "a name",
        set: |draft, given| put(&mut draft.config.cluster_name, name(given)),
    },
    Key {
        name: "ready_file",
        about: "A file to write once connections are accepted: JSON with the process id and every port.",
        default: "",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.ready_file, file(given).map(Some)),
    },
    Key {
        name: "pid_file",
        about: "A file to write the process id to.",
        default: "",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.pid_file, file(given).map(Some)),
    },
    Key {
        name: "frame_max",
        about: "The largest frame, in bytes. A client may ask for less.",
        default: "131072",
        expects: "a number of bytes from 4096 to 134217728",
        set: |draft, given| {
            put(&mut draft.config.frame_max, given.bytes(FRAME_MAX_MIN..=FRAME_MAX_MAX))
        },
    },
    Key {
        name: "channel_max",
        about: "Channels that may be open at a time on one connection.",
        default: "2047",
        expects: "a number from 1 to 65535",
        set: |draft, given| put(&mut draft.config.channel_max, given.integer(1..=65_535)),
    },
    Key {
        name: "heartbeat",
        about: "Seconds between heartbeats. A client may ask for another interval.",
        default: "60",
        expects: "a number of seconds from 0 (none) to 65535",
        set: |draft, given| put(&mut draft.config.heartbeat_seconds, given.integer(0..=65_535)),
    },
    Key {
        name: "handshake_timeout",
        about: "Seconds that a client may take to log in.",
        default: "10",
        expects: "a number of seconds from 1 to 3600",
        set: |draft, given| {
            let timeout = given.integer(1..=3600).map(Duration::from_secs);
            put(&mut draft.config.handshake_timeout, timeout)
        },
    },
    Key {
        name: "max_message_size",
        about: "The largest message. Sizes may have a unit: KiB, MiB, GiB, or kB, MB, GB.",
        default: "128MiB",
        expects: "a size from 1 to 536870912 bytes, such as 16MiB",
        set: |draft, given| {
            put(&mut draft.config.max_message_size, given.bytes(1..=MESSAGE_SIZE_MAX))
        },
    },
    Key {
        name: "max_connections",
        about: "Clients that may be connected at a time. Those that have not logged in are not counted.",
        default: "0",
        expects: "a number, or 0 for no limit",
        set: |draft, given| put(&mut draft.config.capacity.connections, count(given)),
    },
    Key {
        name: "max_connections_per_address",
        about: "Clients that may be connected at a time from one address. Of version 6 a network of 64 bits counts as one. Those that are one too many are not told: their connection is closed.",
        default: "0",
        expects: "a number, or 0 for no limit",
        set: |draft, given| put(&mut draft.config.capacity.connections_per_address, count(given)),
    },
    Key {
        name: "max_unauthenticated_per_address",
        about: "Those among them that have not logged in. `handshake_timeout` says how long each may take.",
        default: "1024",
        expects: "a number, or 0 for no limit",
        set: |draft, given| {
            put(&mut draft.config.capacity.unauthenticated_per_address, count(given))
        },
    },
    Key {
        name: "limit_loopback",
        about: "Whether these two count clients on this machine as well.",
        default: "false",
        expects: "true or false",
        set: |draft, given| put(&mut draft.config.capacity.limit_loopback, given.truth()),
    },
    Key {
        name: "max_channels",
        about: "Channels that may be open at a time on all connections.",
        default: "0",
        expects: "a number, or 0 for no limit",
        set: |draft, given| put(&mut draft.config.capacity.channels, count(given)),
    },
    Key {
        name: "max_consumers_per_channel",
        about: "Consumers that one channel may have.",
        default: "0",
        expects: "a number, or 0 for no limit",
        set: |draft, given| put(&mut draft.config.capacity.consumers_per_channel, count(given)),
    },
    Key {
        name: "max_vhosts",
        about: "Vhosts that there may be.",
        default: "0",
        expects: "a number, or 0 for no limit",
        set: |draft, given| put(&mut draft.config.capacity.vhosts, count(given)),
    },
    Key {
        name: "max_queues",
        about: "Queues that there may be in all vhosts together. A vhost may have a limit of its own.",
        default: "0",
        expects: "a number, or 0 for no limit",
        set: |draft, given| put(&mut draft.config.capacity.queues, count(given)),
    },
    Key {
        name: "max_exchanges",
        about: "Exchanges that there may be in all vhosts together, the predeclared ones included.",
        default: "0",
        expects: "a number, or 0 for no limit",
        set: |draft, given| put(&mut draft.config.capacity.exchanges, count(given)),
    },
    Key {
        name: "memory_high_watermark",
        about: "Memory in use above which publishers have to wait: of what the machine or its control group has.",
        default: "40%",
        expects: "a size of at least 16MiB, a share of the machine's memory such as 40%, \
                  or 0 for no limit",
        set: |draft, given| put(&mut draft.watermark, watermark(given)),
    },
    Key {
        name: "consumer_outbox_bytes",
        about: "Deliveries that may wait for a consumer's socket. While so much waits, the consumer gets no more.",
        default: "1MiB",
        expects: "a size from 4KiB to 1GiB",
        set: |draft, given| {
            put(&mut draft.config.consumer_outbox_bytes, given.bytes(4 << 10..=1 << 30))
        },
    },
    Key {
        name: "data_dir",
        about: "Where durable state lies. Without it: `leveret` in the directory that RabbitMQ's image names in `RABBITMQ_DATA_DIR`, or `$XDG_DATA_HOME/leveret` or `~/.local/share/leveret`, and for a user without a home `/var/lib/leveret`. One broker at a time.",
        default: "",
        expects: "a directory",
        set: |draft, given| {
            let dir = given.text().filter(|dir| !dir.is_empty()).map(PathBuf::from);
            put(&mut draft.config.data_dir, dir.map(Some))
        },
    },
    Key {
        name: "durability",
        about: "What a confirm means. `fsync`: what was published is on the disk, and outlives a loss of power. `os`: the system has it, and it outlives the process. `none`: nothing outlives the process, and nothing is written.",
        default: "fsync",
        expects: "fsync, os or none",
        set: |draft, given| put(&mut draft.config.durability, given.word()),
    },
    Key {
        name: "disk_free_limit",
        about: "Publishers wait while less than this is free in the data directory.",
        default: "50MB",
        expects: "a number of bytes, such as 50MB",
        set: |draft, given| {
            let bytes = given.bytes(0..=i64::MAX).map(i64::cast_unsigned);
            put(&mut draft.config.disk_free_limit, bytes)
        },
    },
    Key {
        name: "consumer_timeout",
        about: "How long a consumer may hold a delivery before it answers, in milliseconds.",
        default: "1800000",
        expects: "a number of milliseconds, or 0 for no limit",
        set: |draft, given| {
            put(&mut draft.config.consumer_timeout_ms, given.integer(0..=CONSUMER_TIMEOUT_MAX))
        },
    },
    Key {
        name: "consumer_timeout_action",
        about: "What happens then: `requeue` (the message goes to somebody else), `close-channel` (as RabbitMQ 3 does) or `cancel` (the consumer, as RabbitMQ 4.3 does). Queues and consumers can say otherwise.",
        default: "requeue",
        expects: "requeue, close-channel or cancel",
        set: |draft, given| put(&mut draft.config.consumer_timeout_action, given.word()),
    },
    Key {
        name: "default_queue_type",
        about: "The type of durable queues that are declared without one.",
        default: "classic",
        expects: "classic or quorum",
        set: |draft, given| put(&mut draft.config.default_queue_type, given.word()),
    },
    Key {
        name: "default_user",
        about: "The user that an empty broker starts with; an administrator.",
        default: "guest",
        expects: "a name",
        set: |draft, given| put(&mut draft.config.default_user, name(given)),
    },
    Key {
        name: "default_pass",
        about: "That user's password.",
        default: "guest",
        expects: "a password",
        set: |draft, given| put(&mut draft.config.default_pass, given.text().map(Secret::new)),
    },
    Key {
        name: "default_user_tags",
        about: "That user's tags.",
        default: "administrator",
        expects: "a list of tags, or none",
        set: |draft, given| put(&mut draft.config.default_user_tags, given.list()),
    },
    Key {
        name: "default_permissions",
        about: "What that user may configure, write and read.",
        default: ".*, .*, .*",
        expects: "a list of three regular expressions",
        set: |draft, given| {
            let patterns = given.list()?.try_into().ok();
            let are_patterns = |patterns: &[String; 3]| {
                patterns.iter().all(|pattern| Pattern::new(pattern).is_ok())
            };
            put(&mut draft.config.default_permissions, patterns.filter(are_patterns))
        },
    },
    Key {
        name: "default_vhost",
        about: "The vhost that an empty broker starts with.",
        default: "/",
        expects: "a name",
        set: |draft, given| put(&mut draft.config.default_vhost, name(given)),
    },
    Key {
        name: "load_definitions",
        about: "Definitions (users, vhosts, permissions, queues and so on) of RabbitMQ's form, which are put in \
                force at every start before anybody can connect. Users among them take the place of the \
                default user in an empty broker, and vhosts that of the default vhost. Of a directory, all files `*.json` together.",
        default: "",
        expects: "the name of a file or a directory",
        set: |draft, given| put(&mut draft.config.load_definitions, file(given).map(Some)),
    },
    Key {
        name: "queues",
        about: "Durable queues that are declared in the default vhost at every start, before anybody can connect; after \
                `load_definitions`. A queue that is there stays as it is.",
        default: "",
        expects: "a list of names of 1 to 255 bytes that do not begin with 'amq.'",
        set: |draft, given| put(&mut draft.config.queues, queue_names(given)),
    },
    Key {
        name: "load_definitions_if_changed",
        about: "Whether definitions are left out that are the same as at the last start, so that what was changed since stays.",
        default: "false",
        expects: "true or false",
        set: |draft, given| put(&mut draft.config.load_definitions_if_changed, given.truth()),
    },
    Key {
        name: "password_hashing",
        about: "How new passwords are hashed. What was hashed otherwise stays good.",
        default: "sha256",
        expects: "sha256 or sha512",
        set: |draft, given| put(&mut draft.config.password_hashing, given.word()),
    },
    Key {
        name: "loopback_users",
        about: "Users who may log in from this machine only.",
        default: "guest",
        expects: "a list of names, or none",
        set: |draft, given| put(&mut draft.config.loopback_users, given.list()),
    },
    Key {
        name: "allow_anonymous",
        about: "Whether clients may log in without a name (SASL mechanism ANONYMOUS), as the default user.",
        default: "false",
        expects: "true or false",
        set: |draft, given| put(&mut draft.config.allow_anonymous, given.truth()),
    },
    Key {
        name: "log_level",
        about: "The least important messages to log, of categories without a level of their own. Without it: the level of the output that takes most.",
        default: "info",
        expects: "off, error, warn, info, debug or trace",
        set: |draft, given| put(&mut draft.log_level, given.word().map(Some)),
    },
    Key {
        name: "log_format",
        about: "How they are written to standard output: lines for people, or JSON objects for machines.",
        default: "text",
        expects: "text or json",
        set: |draft, given| put(&mut draft.config.log_format, given.word()),
    },
    Key {
        name: "log_categories",
        about: "Levels of their own for what is about a connection, a channel or a queue.",
        default: "",
        expects: "a list such as connection=warn of the categories connection, channel and queue, or none",
        set: |draft, given| {
            let level = |item: &String| {
                let (category, level) = item.split_once('=')?;
                Some((category.trim().parse().ok()?, level.trim().parse().ok()?))
            };
            let levels = given.list()?.iter().map(level).collect();
            put(&mut draft.config.log.categories, levels)
        },
    },
    Key {
        name: "log_console",
        about: "Whether the log is on standard output.",
        default: "true",
        expects: "true or false",
        set: |draft, given| put(&mut draft.config.log.console, given.truth()),
    },
    Key {
        name: "log_console_level",
        about: "The least important messages there, whatever their category. Without it: what their category says.",
        default: "",
        expects: "off, error, warn, info, debug or trace",
        set: |draft, given| put(&mut draft.config.log.console_level, given.word().map(Some)),
    },
    Key {
        name: "log_file",
        about: "A file that the log is in as well. SIGHUP has it opened anew, for who moves it away.",
        default: "",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.log.file, file(given).map(Some)),
    },
    Key {
        name: "log_file_level",
        about: "The least important messages there, whatever their category. Without it: what their category says.",
        default: "",
        expects: "off, error, warn, info, debug or trace",
        set: |draft, given| put(&mut draft.config.log.file_level, given.word().map(Some)),
    },
    Key {
        name: "log_file_format",
        about: "How messages are written there.",
        default: "text",
        expects: "text or json",
        set: |draft, given| put(&mut draft.config.log.file_format, given.word()),
    },
    Key {
        name: "log_file_max_size",
        about: "How large it may become before it is put aside, with a number behind its name, and a new one is begun.",
        default: "0",
        expects: "a number of bytes, such as 10MB, or 0 for no limit",
        set: |draft, given| {
            let bytes = given.bytes(0..=i64::MAX).map(i64::cast_unsigned);
            put(&mut draft.config.log.file_max_size, bytes)
        },
    },
    Key {
        name: "log_file_rotation",
        about: "When else that is done (UTC).",
        default: "never",
        expects: "never, hourly, daily, weekly or monthly, or a time as newsyslog has it: $H0, $D23, $W0D3, $M1D0",
        set: |draft, given| put(&mut draft.config.log.file_rotation, given.word()),
    },
    Key {
        name: "log_file_keep",
        about: "How many of those put aside are kept.",
        default: "5",
        expects: "a number from 0 to 1000",
        set: |draft, given| put(&mut draft.config.log.file_keep, given.integer(0..=1000)),
    },
];

/// A port, or none for `off`.
fn optional_port(given: &Given) -> Option<Option<u16>> {
    if given.text().is_some_and(|text| text == "off") {
        return Some(None);
    }
    given.integer(0..=65_535).map(Some)
}

fn put<T>(slot: &mut T, value: Option<T>) -> Option<()> {
    *slot = value?;
    Some(())
}

fn file(given: &Given) -> Option<PathBuf> {
    given.text().filter(|name| !name.is_empty()).map(PathBuf::from)
}

fn count(given: &Given) -> Option<usize> {
    given.integer(0..=i64::from(u32::MAX))
}

/// A name as AMQP can carry it: a short string.
fn name(given: &Given) -> Option<String> {
    given.text().filter(|name| (1..=255).contains(&name.len()))
}

/// Names that a client may declare queues under. RabbitMQ keeps those that begin with `amq.` for itself.
fn queue_names(given: &Given) -> Option<Vec<String>> {
    let can_be = |name: &String| (1..=255).contains(&name.len()) && !name.starts_with("amq.");
    given.list().filter(|names| names.iter().all(can_be))
}

fn watermark(given: &Given) -> Option<Watermark> {
    if let Given::Text(text) = given
        && let Some(percent) = text.strip_suffix('%')
    {
        let percent = percent.trim_end().parse().ok();
        return percent.filter(|percent| (1..=100).contains(percent)).map(Watermark::Percent);
    }
    let bytes = given.bytes(0..=i64::MAX);
    bytes
        .filter(|bytes| *bytes == 0 || *bytes >= WATERMARK_MIN.cast_unsigned())
        .map(Watermark::Bytes)
}
