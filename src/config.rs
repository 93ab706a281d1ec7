//! What an operator can choose. Plain values, passed by constructor; `cli` fills them in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use self::capacity::Capacity;
pub use self::log::{LogCategory, LogConfig, LogRotation};
pub use self::tls::{CertificateLogin, TlsConfig, TlsOptions, TlsVerify, TlsVersions};
pub use self::vhost_defaults::{DefaultOperatorPolicy, DefaultVHostLimits, DefaultVHostUser};

mod capacity;
mod log;
mod tls;
mod vhost_defaults;

/// Everything that can be configured, with RabbitMQ's defaults where it has them.
///
/// Each field is set by a key in the configuration file, an environment variable and, for most, a
/// flag, all of the same name: `frame_max`, `LEVERET_FRAME_MAX`, `--frame-max`.
/// `examples/leveret.toml` describes them for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Addresses to listen on. Empty: every interface, IPv4 and IPv6.
    pub bind: Vec<IpAddr>,
    /// The TCP port for AMQP. 0: any free one.
    pub port: u16,
    /// Whether there is a port for AMQP without TLS at all.
    pub plain_listener: bool,
    /// TLS.
    pub tls: TlsConfig,
    /// The TCP port of the management HTTP API. 0: any free one; none: there is no API.
    pub management_port: Option<u16>,
    /// The TCP port of the same API over HTTPS, with the certificate of [`Config::tls`]. 0: any free one.
    pub management_tls_port: Option<u16>,
    /// The TCP port of the metrics for Prometheus. 0: any free one; none: there are no metrics.
    pub prometheus_port: Option<u16>,
    /// The TCP port of the same metrics over HTTPS, with the certificate of [`Config::tls`]. 0: any free one.
    pub prometheus_tls_port: Option<u16>,
    /// The largest body of a request to the management HTTP API, in bytes. Most requests may bring much less.
    pub management_max_body_size: usize,
    /// Addresses to listen on for management and metrics. Empty: the same as for AMQP.
    pub management_bind: Vec<IpAddr>,
    /// The largest frame offered to clients, in bytes, its 8 bytes of overhead included.
    pub frame_max: u32,
    /// How many channels a client may have open on one connection.
    pub channel_max: u16,
    /// The heartbeat interval offered to clients, in seconds. 0: none.
    pub heartbeat_seconds: u16,
    /// How long a client may take from TCP accept to `connection.open`.
    pub handshake_timeout: Duration,
    /// The largest message body, in bytes.
    pub max_message_size: u64,
    /// How many there may be of what clients make, and of clients.
    pub capacity: Capacity,
    /// The node's name, as RabbitMQ's tools and its API show it: `rabbit@host`. Empty: with the name of this
    /// machine.
    pub node_name: String,
    /// The user that an empty broker starts with.
    pub default_user: String,
    /// That user's password.
    pub default_pass: Secret,
    /// That user's tags.
    pub default_user_tags: Vec<String>,
    /// What that user may configure, write and read, as regular expressions.
    pub default_permissions: [String; 3],
    /// The vhost that an empty broker starts with.
    pub default_vhost: String,
    /// What new vhosts are limited to: the first of these whose pattern matches, by name. There is no key for it but
    /// RabbitMQ's.
    pub vhost_limits: BTreeMap<String, DefaultVHostLimits>,
    /// Users for whom new vhosts are open, by name. There is no key for it but RabbitMQ's.
    pub vhost_users: BTreeMap<String, DefaultVHostUser>,
    /// Operator policies that new vhosts have, by name. There is no key for it but RabbitMQ's.
    pub vhost_operator_policies: BTreeMap<String, DefaultOperatorPolicy>,
    /// What the broker calls the cluster that it is all of. Empty: as the node.
    pub cluster_name: String,
    /// A file of definitions that are put in force before anybody can connect.
    pub load_definitions: Option<PathBuf>,
    /// Durable queues that are declared in the default vhost before anybody can connect, unless they are there.
    pub queues: Vec<String>,
    /// Whether that is left out where they are the same as at the last start.
    pub load_definitions_if_changed: bool,
    /// How new passwords are hashed.
    pub password_hashing: PasswordHashing,
    /// Users who may log in from this machine only.
    pub loopback_users: Vec<String>,
    /// Whether clients may log in without a name, as the default user (SASL mechanism ANONYMOUS).
    pub allow_anonymous: bool,
    /// Memory in use, in bytes, above which publishers have to wait. 0: no limit. `cli` makes it
    /// 40 % of the machine's memory, which is more than plain data can know.
    pub memory_high_watermark_bytes: u64,
    /// Where durable state lies. `cli` finds a place if there is none.
    pub data_dir: Option<PathBuf>,
    /// What a publisher's confirm means.
    pub durability: Durability,
    /// Free bytes in `data_dir` below which publishers have to wait.
    pub disk_free_limit: u64,
    /// Bytes of deliveries that may wait for a consumer's socket; until they drain the consumer gets
    /// no more.
    pub consumer_outbox_bytes: usize,
    /// How long a consumer may hold a delivery unacknowledged, in milliseconds. 0: for ever.
    pub consumer_timeout_ms: u64,
    /// What happens then, unless the queue or the consumer says otherwise.
    pub consumer_timeout_action: ConsumerTimeoutAction,
    /// The type of durable queues that are declared without one.
    pub default_queue_type: DefaultQueueType,
    /// The least important messages to log.
    pub log_level: LogLevel,
    /// How log messages are written to standard output.
    pub log_format: LogFormat,
    /// Where else they go, and which of them.
    pub log: LogConfig,
    /// A file to write once the broker accepts connections: JSON with its process id and ports.
    pub ready_file: Option<PathBuf>,
    /// A file to write the process id to.
    pub pid_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            port: 5672,
            plain_listener: true,
            tls: TlsConfig::default(),
            management_port: Some(15672),
            management_tls_port: None,
            prometheus_port: Some(15692),
            prometheus_tls_port: None,
            management_max_body_size: 32 * 1024 * 1024,
            management_bind: Vec::new(),
            frame_max: 128 * 1024,
            channel_max: 2047,
            heartbeat_seconds: 60,
            handshake_timeout: Duration::from_secs(10),
            max_message_size: 128 * 1024 * 1024,
            capacity: Capacity::default(),
            node_name: String::new(),
            default_user: "guest".to_owned(),
            default_pass: Secret::new("guest"),
            default_user_tags: vec!["administrator".to_owned()],
            default_permissions: [".*"; 3].map(str::to_owned),
            default_vhost: "/".to_owned(),
            vhost_limits: BTreeMap::new(),
            vhost_users: BTreeMap::new(),
            vhost_operator_policies: BTreeMap::new(),
            cluster_name: String::new(),
            load_definitions: None,
            queues: Vec::new(),
            load_definitions_if_changed: false,
            password_hashing: PasswordHashing::Sha256,
            loopback_users: vec!["guest".to_owned()],
            allow_anonymous: false,
            memory_high_watermark_bytes: 0,
            data_dir: None,
            durability: Durability::Fsync,
            disk_free_limit: 50_000_000,
            // Some milliseconds of a fast network, so that a consumer never waits for the broker;
            // and small enough that a thousand consumers who stop reading cost a GiB.
            consumer_outbox_bytes: 1024 * 1024,
            consumer_timeout_ms: 30 * 60 * 1000,
            consumer_timeout_action: ConsumerTimeoutAction::Requeue,
            default_queue_type: DefaultQueueType::Classic,
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            log: LogConfig::default(),
            ready_file: None,
            pid_file: None,
        }
    }
}

/// Text that must not show in logs: its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What a publisher's confirm means, and what outlives the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Persistent messages and definitions are on the disk: they outlive a loss of power.
    Fsync,
    /// The system has them: they outlive the process.
    Os,
    /// Nothing outlives the process, and nothing is written.
    None,
}

impl Durability {
    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
            Self::None => "none",
        }
    }
}

impl FromStr for Durability {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "fsync" => Ok(Self::Fsync),
            "os" => Ok(Self::Os),
            "none" => Ok(Self::None),
            _ => Err(UnknownWord),
        }
    }
}

/// What happens when a consumer holds a delivery for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerTimeoutAction {
    /// The message goes back to its queue, and the channel stays.
    Requeue,
    /// The channel is closed, as in RabbitMQ 3.
    CloseChannel,
    /// The consumer is cancelled, as in RabbitMQ 4.3.
    Cancel,
}

/// How new passwords are hashed. What was hashed otherwise stays good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordHashing {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The type of queues that are declared without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultQueueType {
    /// Classic.
    Classic,
    /// Quorum, where a queue is durable and neither exclusive nor auto-delete.
    Quorum,
}

/// How important a log message must be to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// The broker cannot do what it should.
    Error,
    /// An operator should look at this.
    Warn,
    /// Starts, stops, clients that come and go.
    Info,
    /// What clients do, and why they are refused.
    Debug,
    /// Every frame.
    Trace,
}

impl LogLevel {
    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How log messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line a message, for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// A word that stands for nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

impl FromStr for LogLevel {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "off" | "none" => Ok(Self::Off),
            "error" => Ok(Self::Error),
            // RabbitMQ's longer word, too.
            "warn" | "warning" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for ConsumerTimeoutAction {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "requeue" => Ok(Self::Requeue),
            "close-channel" => Ok(Self::CloseChannel),
            "cancel" => Ok(Self::Cancel),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for DefaultQueueType {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "classic" => Ok(Self::Classic),
            "quorum" => Ok(Self::Quorum),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for PasswordHashing {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_when_a_config_is_logged() {
        let config = Config { default_pass: Secret::new("hunter2"), ..Config::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.default_pass.expose(), "hunter2");
    }
}
