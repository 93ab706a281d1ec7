//! What each key of `rabbitmq.conf` is here.

use super::known::{self, Known};
use crate::cli::given::Given;

/// What a key of RabbitMQ's is here.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum Meaning {
    /// One of leveret's keys, and its value.
    Set(&'static str, Given),
    /// A place to listen on for AMQP: an address, or every one, and a port.
    Listener { address: Option<String>, port: String },
    /// Whether a user may log in from this machine only; without a name, that nobody is so restricted.
    Loopback { user: Option<String>, only: bool },
    /// Whether the default user has a tag.
    DefaultTag { tag: String, given: bool },
    /// What the default user may configure, write or read, by place.
    DefaultPermission { place: usize, pattern: String },
    /// A version of TLS that clients may choose.
    TlsVersion(String),
    /// A part of what new vhosts are limited to.
    VHostLimit { id: String, part: VHostLimitPart },
    /// It says what is so anyway, or steers what leveret has no need for.
    NoEffect,
    /// It is about something that leveret does not have.
    Missing,
    /// The value is not what the key takes.
    Wrong(&'static str),
    /// RabbitMQ has no such key, either.
    Unknown,
}

/// A part of what new vhosts are limited to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum VHostLimitPart {
    /// Which vhosts: their names match.
    Pattern(String),
    /// Connections.
    MaxConnections(i64),
    /// Queues.
    MaxQueues(i64),
}

use Meaning::{Missing, NoEffect, Unknown, Wrong};

/// Keys that are leveret's by another name, or the same, and take the same values.
pub(super) const SAME: [(&str, &str); 49] = [
    ("listeners.ssl.default", "tls_port"),
    ("ssl_options.certfile", "tls_cert_file"),
    ("ssl_options.keyfile", "tls_key_file"),
    ("ssl_options.cacertfile", "tls_ca_file"),
    ("ssl_options.verify", "tls_verify"),
    ("ssl_options.fail_if_no_peer_cert", "tls_fail_if_no_peer_cert"),
    ("ssl_options.depth", "tls_depth"),
    ("ssl_cert_login_from", "tls_login_from"),
    ("nodename", "node_name"),
    ("cluster_name", "cluster_name"),
    ("default_user", "default_user"),
    ("default_pass", "default_pass"),
    ("default_vhost", "default_vhost"),
    ("heartbeat", "heartbeat"),
    ("frame_max", "frame_max"),
    ("channel_max", "channel_max"),
    ("max_channels_per_connection", "channel_max"),
    ("max_message_size", "max_message_size"),
    ("consumer_timeout", "consumer_timeout"),
    ("disk_free_limit.absolute", "disk_free_limit"),
    ("vm_memory_high_watermark.absolute", "memory_high_watermark"),
    ("management.tcp.port", "management_port"),
    ("management.listener.port", "management_port"),
    ("management.ssl.port", "management_tls_port"),
    ("management.http.max_body_size", "management_max_body_size"),
    ("management.tcp.ip", "management_bind"),
    ("management.listener.ip", "management_bind"),
    ("prometheus.tcp.port", "prometheus_port"),
    ("prometheus.ssl.port", "prometheus_tls_port"),
    ("management.ssl.ip", "management_tls_bind"),
    ("management.path_prefix", "management_path_prefix"),
    ("prometheus.tcp.ip", "prometheus_bind"),
    ("prometheus.ssl.ip", "prometheus_tls_bind"),
    ("prometheus.path", "prometheus_path"),
    ("prometheus.return_per_object_metrics", "prometheus_per_object"),
    ("prometheus.authentication.enabled", "prometheus_authentication"),
    ("management.ssl.certfile", "management_tls_cert_file"),
    ("management.ssl.keyfile", "management_tls_key_file"),
    ("management.ssl.cacertfile", "management_tls_ca_file"),
    ("management.ssl.verify", "management_tls_verify"),
    ("management.ssl.fail_if_no_peer_cert", "management_tls_fail_if_no_peer_cert"),
    ("prometheus.ssl.certfile", "prometheus_tls_cert_file"),
    ("prometheus.ssl.keyfile", "prometheus_tls_key_file"),
    ("prometheus.ssl.cacertfile", "prometheus_tls_ca_file"),
    ("prometheus.ssl.verify", "prometheus_tls_verify"),
    ("prometheus.ssl.fail_if_no_peer_cert", "prometheus_tls_fail_if_no_peer_cert"),
    ("load_definitions", "load_definitions"),
    ("management.load_definitions", "load_definitions"),
    ("definitions.local.path", "load_definitions"),
];

/// What a key with its value is here. `memory` is what this machine has, for shares of it.
pub(in crate::cli) fn meaning(key: &str, value: &str, memory: Option<u64>) -> Meaning {
    let text = || Given::Text(value.to_owned());
    if let Some((_, ours)) = SAME.iter().find(|(theirs, _)| *theirs == key) {
        return Meaning::Set(ours, text());
    }
    match key {
        "listeners.tcp" if value == "none" => return Meaning::Set("port", text()),
        "listeners.ssl" if value == "none" => return NoEffect,
        "max_connections" | "connection_max" => return limit("max_connections", value),
        "channel_max_per_node" => return limit("max_channels", value),
        "consumer_max_per_channel" => return limit("max_consumers_per_channel", value),
        "vhost_max" => return limit("max_vhosts", value),
        "cluster_queue_limit" => return limit("max_queues", value),
        "cluster_exchange_limit" => return limit("max_exchanges", value),
        "default_queue_type" => return queue_type(value),
        "handshake_timeout" => return milliseconds(value),
        "anonymous_login_user" => {
            return if value == "none" {
                Meaning::Set("allow_anonymous", Given::Bool(false))
            } else {
                Missing
            };
        }
        "anonymous_login_pass" => return NoEffect,
        "loopback_users" if value == "none" => {
            return Meaning::Loopback { user: None, only: false };
        }
        "vm_memory_high_watermark.relative" => return watermark_share(value),
        "disk_free_limit.relative" => return disk_share(value, memory),
        "definitions.import_backend" if matches!(value, "local_filesystem" | "local") => {
            return NoEffect;
        }
        "definitions.skip_if_unchanged" => return NoEffect,
        "password_hashing_module" if value == "rabbit_password_hashing_sha256" => return NoEffect,
        "proxy_protocol" if value == "false" => return NoEffect,
        _ => {}
    }
    if let Some(listener) = key.strip_prefix("listeners.tcp.") {
        return listener_at(listener, value);
    }
    if let Some(listener) = key.strip_prefix("listeners.ssl.") {
        return encrypted_listener(listener, value);
    }
    if let Some(user) = key.strip_prefix("loopback_users.") {
        return match value {
            "true" => Meaning::Loopback { user: Some(user.to_owned()), only: true },
            "false" => Meaning::Loopback { user: Some(user.to_owned()), only: false },
            _ => Wrong("true or false"),
        };
    }
    let together = of_several(key, value);
    together.unwrap_or_else(|| of_group(key, value))
}

/// Keys that say something together with others.
fn of_several(key: &str, value: &str) -> Option<Meaning> {
    let value = || value.to_owned();
    if let Some(tag) = key.strip_prefix("default_user_tags.") {
        return Some(match value().as_str() {
            "true" => Meaning::DefaultTag { tag: tag.to_owned(), given: true },
            "false" => Meaning::DefaultTag { tag: tag.to_owned(), given: false },
            _ => Wrong("true or false"),
        });
    }
    if let Some(kind) = key.strip_prefix("default_permissions.") {
        let place = ["configure", "write", "read"].iter().position(|known| *known == kind)?;
        return Some(Meaning::DefaultPermission { place, pattern: value() });
    }
    if key.starts_with("ssl_options.versions.") {
        return Some(match value().as_str() {
            version @ ("tlsv1.2" | "tlsv1.3") => Meaning::TlsVersion(version.to_owned()),
            "tlsv1" | "tlsv1.1" | "sslv3" => Missing,
            _ => Wrong("a version such as tlsv1.2 or tlsv1.3"),
        });
    }
    let (id, what) = key.strip_prefix("default_limits.vhosts.")?.rsplit_once('.')?;
    let limit = || value().parse::<i64>().ok();
    let part = match what {
        "pattern" => VHostLimitPart::Pattern(value()),
        "max_connections" => match limit() {
            Some(limit) => VHostLimitPart::MaxConnections(limit),
            None => return Some(Wrong("a number")),
        },
        "max_queues" => match limit() {
            Some(limit) => VHostLimitPart::MaxQueues(limit),
            None => return Some(Wrong("a number")),
        },
        _ => return None,
    };
    Some(Meaning::VHostLimit { id: id.to_owned(), part })
}

/// Keys of which only the beginning counts, and which may say what is so anyway.
fn of_group(key: &str, value: &str) -> Meaning {
    if let Some(meaning) = key.strip_prefix("log.").and_then(|rest| log(rest, value)) {
        return meaning;
    }
    if key.starts_with("auth_backends.")
        && matches!(value, "internal" | "rabbit_auth_backend_internal")
    {
        return NoEffect;
    }
    if key.starts_with("auth_mechanisms.") {
        let is_there =
            matches!(value, "PLAIN" | "AMQPLAIN" | "ANONYMOUS" | "EXTERNAL" | "RABBIT-CR-DEMO");
        return if is_there { NoEffect } else { Missing };
    }
    match known::find(key) {
        Some(Known::NoEffect) => NoEffect,
        // Of what is acted upon, this value is not.
        Some(Known::Acted | Known::Missing) => Missing,
        None => Unknown,
    }
}

/// A limit, of which RabbitMQ's word for none is another.
fn limit(ours: &'static str, value: &str) -> Meaning {
    let value = if value == "infinity" { "0" } else { value };
    Meaning::Set(ours, Given::Text(value.to_owned()))
}

fn queue_type(value: &str) -> Meaning {
    let name = value.strip_prefix("rabbit_").unwrap_or(value).trim_end_matches("_queue");
    match name {
        "stream" => Missing,
        name => Meaning::Set("default_queue_type", Given::Text(name.to_owned())),
    }
}

/// RabbitMQ counts milliseconds where leveret counts seconds.
fn milliseconds(value: &str) -> Meaning {
    match value.parse::<i64>() {
        Ok(milliseconds @ 1..) => {
            let seconds = (milliseconds - 1) / 1000 + 1;
            Meaning::Set("handshake_timeout", Given::Integer(seconds))
        }
        _ => Wrong("a number of milliseconds"),
    }
}

fn share(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|share| share.is_finite() && *share > 0.0)
}

fn watermark_share(value: &str) -> Meaning {
    match share(value) {
        Some(share) => {
            let percent = (share * 100.0).round().clamp(1.0, 100.0);
            Meaning::Set("memory_high_watermark", Given::Text(format!("{percent}%")))
        }
        None => Wrong("a share of the memory such as 0.4"),
    }
}

fn disk_share(value: &str, memory: Option<u64>) -> Meaning {
    match (share(value), memory) {
        (Some(share), Some(memory)) => {
            let bytes = (memory as f64 * share) as i64;
            Meaning::Set("disk_free_limit", Given::Integer(bytes))
        }
        (Some(_), None) => Missing,
        (None, _) => Wrong("a share of the memory such as 1.5"),
    }
}

/// `listeners.tcp.default = 5672`, `listeners.tcp.1 = 127.0.0.1:5672` or `:::5672`.
fn listener_at(listener: &str, value: &str) -> Meaning {
    let is_number = listener.parse::<u32>().is_ok();
    if listener != "default" && listener != "local" && !is_number {
        return Unknown;
    }
    let (address, port) = match value.rsplit_once(':') {
        Some((address, port)) => (Some(address), port),
        None => (None, value),
    };
    if port.parse::<u16>().is_err() {
        return Wrong("a port, or an address and a port such as 127.0.0.1:5672");
    }
    let address = address.map(|address| address.trim_matches(['[', ']']).to_owned());
    Meaning::Listener { address, port: port.to_owned() }
}

/// A place for AMQP over TLS: a port, on all addresses that there are. There is one port.
fn encrypted_listener(listener: &str, value: &str) -> Meaning {
    if listener.parse::<u32>().is_err() {
        return Unknown;
    }
    let everywhere = ["0.0.0.0:", "[::]:", ":::"];
    let port = everywhere.iter().find_map(|address| value.strip_prefix(address)).unwrap_or(value);
    match port.parse::<u16>() {
        Ok(port) => Meaning::Set("tls_port", Given::Integer(port.into())),
        Err(_) => Missing,
    }
}

/// Levels of any output and category are the level; where it goes is standard output.
fn log(rest: &str, value: &str) -> Option<Meaning> {
    Some(match rest {
        "console.level" | "default.level" | "level" => {
            let level =
                if matches!(value, "critical" | "alert" | "emergency") { "error" } else { value };
            let level = if value == "notice" { "info" } else { level };
            Meaning::Set("log_level", Given::Text(level.to_owned()))
        }
        "console.formatter" if value == "json" => {
            Meaning::Set("log_format", Given::Text("json".to_owned()))
        }
        "console.formatter" => NoEffect,
        "syslog" | "exchange" | "journald" if value == "false" => NoEffect,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::known::Entry;
    use super::*;

    fn set(key: &'static str, value: &str) -> Meaning {
        Meaning::Set(key, Given::Text(value.to_owned()))
    }

    #[test]
    fn keys_become_leverets() {
        for (key, value, expected) in [
            ("default_user", "joe", set("default_user", "joe")),
            ("vm_memory_high_watermark.relative", "0.6", set("memory_high_watermark", "60%")),
            ("vm_memory_high_watermark.absolute", "2GB", set("memory_high_watermark", "2GB")),
            ("disk_free_limit.absolute", "50MB", set("disk_free_limit", "50MB")),
            (
                "disk_free_limit.relative",
                "1.5",
                Meaning::Set("disk_free_limit", Given::Integer(1500)),
            ),
            ("handshake_timeout", "10001", Meaning::Set("handshake_timeout", Given::Integer(11))),
            ("max_connections", "infinity", set("max_connections", "0")),
            ("channel_max_per_node", "500", set("max_channels", "500")),
            ("consumer_max_per_channel", "100", set("max_consumers_per_channel", "100")),
            ("cluster_queue_limit", "infinity", set("max_queues", "0")),
            ("default_queue_type", "quorum", set("default_queue_type", "quorum")),
            ("log.console.level", "warning", set("log_level", "warning")),
            ("log.console.formatter", "json", set("log_format", "json")),
            ("management.tcp.port", "15673", set("management_port", "15673")),
            ("management.ssl.port", "15671", set("management_tls_port", "15671")),
            ("management.ssl.certfile", "/cert.pem", set("management_tls_cert_file", "/cert.pem")),
            ("management.path_prefix", "/mq", set("management_path_prefix", "/mq")),
            ("management.ssl.password", "x", Missing),
            ("prometheus.tcp.ip", "::1", set("prometheus_bind", "::1")),
            ("prometheus.tcp.port", "15693", set("prometheus_port", "15693")),
            ("prometheus.ssl.port", "15691", set("prometheus_tls_port", "15691")),
            ("load_definitions", "/d.json", set("load_definitions", "/d.json")),
        ] {
            assert_eq!(meaning(key, value, Some(1000)), expected, "{key}");
        }
    }

    /// Goal: every key of RabbitMQ's is known to do something, to need to do nothing, or to be missing. A key that
    /// another version adds is a line of `keys.txt`.
    #[test]
    fn each_key_is_what_the_table_says() {
        let mut patterns = std::collections::BTreeSet::new();
        for Entry { pattern, known, sample } in known::entries() {
            assert!(patterns.insert(pattern), "{pattern} is there twice");
            let words = pattern.split('.').map(|word| match word.strip_prefix('$') {
                Some("tag") => "administrator",
                Some(_) => "1",
                None => word.trim_end_matches('*'),
            });
            let key = words.collect::<Vec<_>>().join(".");
            let key = if pattern.ends_with('*') { format!("{key}x") } else { key };
            let found = meaning(&key, sample, Some(1 << 30));
            match known {
                // These say what is so anyway.
                Known::Acted if found == NoEffect => {}
                Known::Acted => {
                    assert!(!matches!(found, Missing | Unknown | Wrong(_)), "{key}: {found:?}");
                }
                Known::NoEffect => assert_eq!(found, NoEffect, "{key}"),
                Known::Missing => assert_eq!(found, Missing, "{key}"),
            }
        }
        for (theirs, _) in SAME {
            assert_eq!(known::find(theirs), Some(Known::Acted), "{theirs}");
        }
    }

    #[test]
    fn listeners_have_addresses_and_ports() {
        let listener = |address: Option<&str>, port: &str| Meaning::Listener {
            address: address.map(str::to_owned),
            port: port.to_owned(),
        };
        for (key, value, expected) in [
            ("listeners.tcp.default", "5672", listener(None, "5672")),
            ("listeners.tcp.1", "127.0.0.1:5673", listener(Some("127.0.0.1"), "5673")),
            ("listeners.tcp.2", ":::5672", listener(Some("::"), "5672")),
            ("listeners.tcp.3", "[::1]:5672", listener(Some("::1"), "5672")),
            ("listeners.tcp", "none", Meaning::Set("port", Given::Text("none".to_owned()))),
            ("listeners.ssl.default", "1", Meaning::Set("tls_port", Given::Text("1".to_owned()))),
            ("listeners.tcp.other", "1", Unknown),
        ] {
            assert_eq!(meaning(key, value, None), expected, "{key} {value}");
        }
        assert!(matches!(meaning("listeners.tcp.1", "x", None), Wrong(_)));
    }

    #[test]
    fn the_rest_has_no_effect_or_is_missing_or_nobodys() {
        for (key, value, expected) in [
            ("log.console", "true", NoEffect),
            ("log.file", "rabbit.log", NoEffect),
            ("log.file.level", "debug", NoEffect),
            ("auth_backends.1", "internal", NoEffect),
            ("auth_backends.1", "ldap", Missing),
            ("auth_mechanisms.1", "PLAIN", NoEffect),
            ("collect_statistics_interval", "5000", NoEffect),
            ("cluster_formation.peer_discovery_backend", "k8s", NoEffect),
            ("listeners.ssl", "none", NoEffect),
            ("ssl_options.dhfile", "/dh", Missing),
            ("ssl_options.versions.1", "tlsv1.1", Missing),
            ("management.frobnicate", "1", Unknown),
            ("mqtt.allow_anonymous", "true", Missing),
            ("loopback_users.guest", "maybe", Wrong("true or false")),
            ("frobnicate", "1", Unknown),
        ] {
            assert_eq!(meaning(key, value, None), expected, "{key} {value}");
        }
        let loopback =
            |user: Option<&str>, only| Meaning::Loopback { user: user.map(str::to_owned), only };
        assert_eq!(meaning("loopback_users.guest", "false", None), loopback(Some("guest"), false));
        assert_eq!(meaning("loopback_users", "none", None), loopback(None, false));
    }
}
