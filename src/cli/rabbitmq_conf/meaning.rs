//! What each key of `rabbitmq.conf` is here.

use super::known::{self, Known};
use super::log::{LogPart, log};
use super::vhosts::{OfNewVHosts, of_new_vhosts};
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
    /// Something that new vhosts begin with.
    OfNewVHosts(OfNewVHosts),
    /// Something about the log.
    Log(LogPart),
    /// HTTPS has what AMQP has; it says the same if this key of leveret's has this value.
    Https(&'static str),
    /// Whether HTTP of the management API is to be HTTPS.
    ManagementTls(bool),
    /// It says what is so anyway, or steers what leveret has no need for.
    NoEffect,
    /// It is about something that leveret does not have; and what to do instead.
    Missing(&'static str),
    /// The value is not what the key takes.
    Wrong(&'static str),
    /// RabbitMQ has no such key, either.
    Unknown,
}

use Meaning::{Missing, NoEffect, Unknown, Wrong};

/// Keys that are leveret's by another name, or the same, and take the same values.
pub(super) const SAME: [(&str, &str); 33] = [
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
    ("load_definitions", "load_definitions"),
    ("management.load_definitions", "load_definitions"),
    ("definitions.local.path", "load_definitions"),
    ("definitions.skip_if_unchanged", "load_definitions_if_changed"),
];

/// What a key with its value is here. `memory` is what this machine has, for shares of it.
pub(in crate::cli) fn meaning(key: &str, value: &str, memory: Option<u64>) -> Meaning {
    let text = || Given::Text(value.to_owned());
    if let Some((_, ours)) = SAME.iter().find(|(theirs, _)| *theirs == key) {
        return Meaning::Set(ours, text());
    }
    match key {
        "listeners.tcp" if value == "none" => Meaning::Set("port", text()),
        "listeners.ssl" if value == "none" => NoEffect,
        "max_connections" | "connection_max" => limit("max_connections", value),
        "channel_max_per_node" => limit("max_channels", value),
        "consumer_max_per_channel" => limit("max_consumers_per_channel", value),
        "vhost_max" => limit("max_vhosts", value),
        "cluster_queue_limit" => limit("max_queues", value),
        "cluster_exchange_limit" => limit("max_exchanges", value),
        "default_queue_type" => queue_type(value),
        "handshake_timeout" => milliseconds(value),
        "anonymous_login_user" if value == "none" => {
            Meaning::Set("allow_anonymous", Given::Bool(false))
        }
        "anonymous_login_user" => Missing(
            "set allow_anonymous in leveret's own file, or LEVERET_ALLOW_ANONYMOUS; who has no name is the \
             default user then",
        ),
        "loopback_users" if value == "none" => Meaning::Loopback { user: None, only: false },
        "vm_memory_high_watermark.relative" => watermark_share(value),
        "disk_free_limit.relative" => disk_share(value, memory),
        "definitions.import_backend" => match value {
            "local_filesystem" | "local" => NoEffect,
            _ => Missing("fetch the file before the start, and name it in load_definitions"),
        },
        "password_hashing_module" => hashing(value),
        "proxy_protocol" if value == "false" => NoEffect,
        "management.listener.ssl" => truth(value).map_or(Wrong(TRUTH), Meaning::ManagementTls),
        "log.level" => Unknown,
        _ => of_group(key, value),
    }
}

const TRUTH: &str = "true or false";

fn truth(value: &str) -> Option<bool> {
    value.parse().ok()
}

/// Keys of which only the beginning says what they are.
fn of_group(key: &str, value: &str) -> Meaning {
    if let Some(listener) = key.strip_prefix("listeners.tcp.") {
        return listener_at(listener, value);
    }
    if let Some(listener) = key.strip_prefix("listeners.ssl.") {
        return encrypted_listener(listener, value);
    }
    if let Some(user) = key.strip_prefix("loopback_users.") {
        let restricted = |only| Meaning::Loopback { user: Some(user.replace("\\.", ".")), only };
        return truth(value).map_or(Wrong(TRUTH), restricted);
    }
    let together = of_several(key, value).or_else(|| of_new_vhosts(key, value));
    together.unwrap_or_else(|| of_choice(key, value))
}

/// Keys that say something together with others.
fn of_several(key: &str, value: &str) -> Option<Meaning> {
    let value = || value.to_owned();
    if let Some(tag) = key.strip_prefix("default_user_tags.") {
        let tagged = |given| Meaning::DefaultTag { tag: tag.to_owned(), given };
        return Some(truth(&value()).map_or(Wrong(TRUTH), tagged));
    }
    if let Some(kind) = key.strip_prefix("default_permissions.") {
        let place = ["configure", "write", "read"].iter().position(|known| *known == kind)?;
        return Some(Meaning::DefaultPermission { place, pattern: value() });
    }
    if key.starts_with("ssl_options.versions.") {
        return Some(match value().as_str() {
            version @ ("tlsv1.2" | "tlsv1.3") => Meaning::TlsVersion(version.to_owned()),
            "tlsv1" | "tlsv1.1" | "sslv3" => {
                Missing("no version before TLS 1.2 is spoken: let clients use 1.2 or 1.3")
            }
            _ => Wrong("a version such as tlsv1.2 or tlsv1.3"),
        });
    }
    let of_https = ["management.ssl.", "management.listener.ssl_opts.", "prometheus.ssl."];
    let option = of_https.iter().find_map(|prefix| key.strip_prefix(prefix))?;
    let key = format!("ssl_options.{option}");
    let (_, ours) = SAME.iter().find(|(theirs, _)| *theirs == key)?;
    Some(Meaning::Https(ours))
}

/// Keys that choose among what there is, and may choose what is so anyway.
fn of_choice(key: &str, value: &str) -> Meaning {
    if let Some(meaning) = key.strip_prefix("log.").and_then(|rest| log(rest, value)) {
        return meaning;
    }
    if key.starts_with("auth_backends.") {
        return match value {
            "internal" | "rabbit_auth_backend_internal" => NoEffect,
            _ => Missing(
                "users and permissions are the broker's own: give them by load_definitions, the API or the \
                 command line",
            ),
        };
    }
    if key.starts_with("auth_mechanisms.") {
        return match value {
            "PLAIN" | "AMQPLAIN" | "ANONYMOUS" | "EXTERNAL" | "RABBIT-CR-DEMO" => NoEffect,
            _ => {
                Missing("there are PLAIN and AMQPLAIN, and EXTERNAL for clients with certificates")
            }
        };
    }
    match known::find(key) {
        Some(Known::NoEffect) => NoEffect,
        Some(Known::Missing(instead)) => Missing(instead),
        // Of what is acted upon, this value is not.
        Some(Known::Acted) => Missing("it can't be so here; leave the key out"),
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
        "stream" => Missing("there are no streams: choose quorum, whose queues are as durable"),
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
        (Some(_), None) => {
            Missing("set disk_free_limit.absolute: how much memory there is, is unknown")
        }
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
        Err(_) => Missing(
            "TLS is on the addresses of listeners.tcp: give a port, or bind in leveret's own file",
        ),
    }
}

/// How passwords are hashed from now on. What was hashed otherwise stays good.
fn hashing(module: &str) -> Meaning {
    let name = module.strip_prefix("rabbit_password_hashing_").unwrap_or(module);
    match name {
        "sha256" | "sha512" => Meaning::Set("password_hashing", Given::Text(name.to_owned())),
        _ => Missing(
            "new passwords are hashed with SHA-256 or SHA-512; hashes of MD5 can be imported",
        ),
    }
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
            ("log.console.level", "warning", set("log_console_level", "warning")),
            ("log.default.level", "notice", set("log_level", "info")),
            ("log.file.level", "critical", set("log_file_level", "error")),
            ("log.file.rotation.date", "$D0", set("log_file_rotation", "$D0")),
            ("log.file.rotation.date", "", set("log_file_rotation", "never")),
            ("log.file.formatter", "plaintext", set("log_file_format", "text")),
            ("log.console.formatter", "json", set("log_format", "json")),
            ("management.tcp.port", "15673", set("management_port", "15673")),
            ("management.ssl.port", "15671", set("management_tls_port", "15671")),
            ("management.ssl.certfile", "/cert.pem", Meaning::Https("tls_cert_file")),
            (
                "password_hashing_module",
                "rabbit_password_hashing_sha512",
                set("password_hashing", "sha512"),
            ),
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
                    assert!(!matches!(found, Missing(_) | Unknown | Wrong(_)), "{key}: {found:?}");
                }
                Known::NoEffect => assert_eq!(found, NoEffect, "{key}"),
                Known::Missing(instead) => {
                    assert_ne!(instead, "", "{key} has no text that says what to do");
                    assert_eq!(found, Missing(instead), "{key}");
                }
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
        for (key, value) in [
            ("log.federation.level", "debug"),
            ("log.syslog", "false"),
            ("auth_backends.1", "internal"),
            ("auth_mechanisms.1", "PLAIN"),
            ("collect_statistics_interval", "5000"),
            ("cluster_formation.node_cleanup.interval", "30"),
            ("listeners.ssl", "none"),
            ("ssl_options.dhfile", "/dh"),
            ("ssl_options.honor_cipher_order", "true"),
            ("definitions.import_backend", "local_filesystem"),
            ("default_policies.operator.p.classic_queues.ha_mode", "all"),
        ] {
            assert_eq!(meaning(key, value, None), NoEffect, "{key} {value}");
        }
        for (key, value) in [
            ("auth_backends.1", "ldap"),
            ("cluster_formation.peer_discovery_backend", "k8s"),
            ("auth_backends.1.authn", "ldap"),
            ("auth_mechanisms.1", "RABBIT-KERBEROS"),
            ("definitions.import_backend", "https"),
            ("ssl_options.versions.1", "tlsv1.1"),
            ("ssl_options.password", "secret"),
            ("ssl_options.ciphers.1", "ECDHE-RSA-AES256-GCM-SHA384"),
            ("mqtt.allow_anonymous", "true"),
            ("log.syslog", "true"),
            ("log.exchange", "true"),
            ("log.console.stdio", "stderr"),
            ("management.ssl.password", "x"),
            ("anonymous_login_user", "guest"),
            ("default_queue_type", "stream"),
            ("password_hashing_module", "rabbit_password_hashing_md5"),
            ("proxy_protocol", "true"),
        ] {
            assert!(matches!(meaning(key, value, None), Missing(_)), "{key} {value}");
        }
        for key in ["management.frobnicate", "frobnicate", "default_users.joe.x", "log.level"] {
            assert_eq!(meaning(key, "1", None), Unknown, "{key}");
        }
        assert_eq!(meaning("loopback_users.guest", "maybe", None), Wrong("true or false"));
        let loopback =
            |user: Option<&str>, only| Meaning::Loopback { user: user.map(str::to_owned), only };
        assert_eq!(meaning("loopback_users.guest", "false", None), loopback(Some("guest"), false));
        assert_eq!(meaning("loopback_users", "none", None), loopback(None, false));
        // A dot behind a backslash is part of a name.
        assert_eq!(meaning("loopback_users.a\\.b", "true", None), loopback(Some("a.b"), true));
    }
}
