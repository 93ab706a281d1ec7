//! Every configuration key: its name, what it takes, and where the value goes.

use std::path::PathBuf;
use std::time::Duration;

use super::given::Given;
use crate::config::{Config, Secret, TlsVersions};

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
}

impl Default for Draft {
    fn default() -> Self {
        Self { config: Config::default(), watermark: Watermark::Percent(40) }
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
    /// What the value must be, for error texts: "port must be ..., not 'x'".
    pub(super) expects: &'static str,
    /// Puts the value into the draft; none if it is not what is expected.
    pub(super) set: fn(&mut Draft, &Given) -> Option<()>,
}

impl Key {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }
}

/// Every key, in the order of `examples/leveret.toml`.
pub(super) static KEYS: &[Key] = &[
    Key {
        name: "bind",
        expects: "a list of IP addresses such as 127.0.0.1 or [::1]",
        set: |draft, given| put(&mut draft.config.bind, given.addresses()),
    },
    Key {
        name: "port",
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
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.tls.options.cert_file, file(given)),
    },
    Key {
        name: "tls_key_file",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.tls.options.key_file, file(given)),
    },
    Key {
        name: "tls_port",
        expects: "a port number from 0 (any free one) to 65535",
        set: |draft, given| put(&mut draft.config.tls.port, given.integer(0..=65_535)),
    },
    Key {
        name: "tls_verify",
        expects: "none or peer",
        set: |draft, given| put(&mut draft.config.tls.options.verify, given.word()),
    },
    Key {
        name: "tls_ca_file",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.tls.options.ca_file, file(given)),
    },
    Key {
        name: "tls_fail_if_no_peer_cert",
        expects: "true or false",
        set: |draft, given| put(&mut draft.config.tls.options.fail_if_no_peer_cert, given.truth()),
    },
    Key {
        name: "tls_versions",
        expects: "a list of 1.2 and 1.3",
        set: |draft, given| {
            let names = given.list()?;
            let versions = TlsVersions::from_names(names.iter().map(String::as_str)).ok();
            put(&mut draft.config.tls.options.versions, versions)
        },
    },
    Key {
        name: "tls_login_from",
        expects: "distinguished_name, common_name or subject_alternative_name",
        set: |draft, given| put(&mut draft.config.tls.login_from, given.word()),
    },
    Key {
        name: "ready_file",
        expects: "the name of a file",
        set: |draft, given| put(&mut draft.config.ready_file, file(given)),
    },
    Key {
        name: "frame_max",
        expects: "a number of bytes from 4096 to 134217728",
        set: |draft, given| {
            put(&mut draft.config.frame_max, given.bytes(FRAME_MAX_MIN..=FRAME_MAX_MAX))
        },
    },
    Key {
        name: "channel_max",
        expects: "a number from 1 to 65535",
        set: |draft, given| put(&mut draft.config.channel_max, given.integer(1..=65_535)),
    },
    Key {
        name: "heartbeat",
        expects: "a number of seconds from 0 (none) to 65535",
        set: |draft, given| put(&mut draft.config.heartbeat_seconds, given.integer(0..=65_535)),
    },
    Key {
        name: "handshake_timeout",
        expects: "a number of seconds from 1 to 3600",
        set: |draft, given| {
            let timeout = given.integer(1..=3600).map(Duration::from_secs);
            put(&mut draft.config.handshake_timeout, timeout)
        },
    },
    Key {
        name: "max_message_size",
        expects: "a size from 1 to 536870912 bytes, such as 16MiB",
        set: |draft, given| {
            put(&mut draft.config.max_message_size, given.bytes(1..=MESSAGE_SIZE_MAX))
        },
    },
    Key {
        name: "max_connections",
        expects: "a number, or 0 for no limit",
        set: |draft, given| {
            put(&mut draft.config.max_connections, given.integer(0..=i64::from(u32::MAX)))
        },
    },
    Key {
        name: "memory_high_watermark",
        expects: "a size of at least 16MiB, a share of the machine's memory such as 40%, \
                  or 0 for no limit",
        set: |draft, given| put(&mut draft.watermark, watermark(given)),
    },
    Key {
        name: "consumer_outbox_bytes",
        expects: "a size from 4KiB to 1GiB",
        set: |draft, given| {
            put(&mut draft.config.consumer_outbox_bytes, given.bytes(4 << 10..=1 << 30))
        },
    },
    Key {
        name: "data_dir",
        expects: "a directory",
        set: |draft, given| {
            let dir = given.text().filter(|dir| !dir.is_empty()).map(PathBuf::from);
            put(&mut draft.config.data_dir, dir.map(Some))
        },
    },
    Key {
        name: "durability",
        expects: "fsync, os or none",
        set: |draft, given| put(&mut draft.config.durability, given.word()),
    },
    Key {
        name: "disk_free_limit",
        expects: "a number of bytes, such as 50MB",
        set: |draft, given| {
            let bytes = given.bytes(0..=i64::MAX).map(i64::cast_unsigned);
            put(&mut draft.config.disk_free_limit, bytes)
        },
    },
    Key {
        name: "consumer_timeout",
        expects: "a number of milliseconds, or 0 for no limit",
        set: |draft, given| {
            put(&mut draft.config.consumer_timeout_ms, given.integer(0..=CONSUMER_TIMEOUT_MAX))
        },
    },
    Key {
        name: "consumer_timeout_action",
        expects: "requeue, close-channel or cancel",
        set: |draft, given| put(&mut draft.config.consumer_timeout_action, given.word()),
    },
    Key {
        name: "default_queue_type",
        expects: "classic or quorum",
        set: |draft, given| put(&mut draft.config.default_queue_type, given.word()),
    },
    Key {
        name: "default_user",
        expects: "a name",
        set: |draft, given| put(&mut draft.config.default_user, name(given)),
    },
    Key {
        name: "default_pass",
        expects: "a password",
        set: |draft, given| put(&mut draft.config.default_pass, given.text().map(Secret::new)),
    },
    Key {
        name: "default_vhost",
        expects: "a name",
        set: |draft, given| put(&mut draft.config.default_vhost, name(given)),
    },
    Key {
        name: "loopback_users",
        expects: "a list of names, or none",
        set: |draft, given| put(&mut draft.config.loopback_users, given.list()),
    },
    Key {
        name: "allow_anonymous",
        expects: "true or false",
        set: |draft, given| put(&mut draft.config.allow_anonymous, given.truth()),
    },
    Key {
        name: "log_level",
        expects: "off, error, warn, info, debug or trace",
        set: |draft, given| put(&mut draft.config.log_level, given.word()),
    },
    Key {
        name: "log_format",
        expects: "text or json",
        set: |draft, given| put(&mut draft.config.log_format, given.word()),
    },
];

fn put<T>(slot: &mut T, value: Option<T>) -> Option<()> {
    *slot = value?;
    Some(())
}

fn file(given: &Given) -> Option<Option<PathBuf>> {
    given.text().filter(|name| !name.is_empty()).map(|name| Some(PathBuf::from(name)))
}

/// A name as AMQP can carry it: a short string.
fn name(given: &Given) -> Option<String> {
    given.text().filter(|name| (1..=255).contains(&name.len()))
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
