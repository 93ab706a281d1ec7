//! Settings of RabbitMQ's applications, as its files of Erlang's terms have them, as keys of `rabbitmq.conf`.

use super::term::{Malformed, Term, Value, file};

/// Applications, and what the keys of `rabbitmq.conf` begin with that are about them. Of others there is nothing
/// to be known here: they are Erlang's own.
const APPLICATIONS: [(&str, &str); 21] = [
    ("rabbit", ""),
    ("rabbitmq_management", "management."),
    ("rabbitmq_management_agent", "management_agent."),
    ("rabbitmq_prometheus", "prometheus."),
    ("rabbitmq_event_exchange", "event_exchange."),
    ("rabbitmq_amqp1_0", "amqp1_0."),
    ("rabbitmq_mqtt", "mqtt."),
    ("rabbitmq_stomp", "stomp."),
    ("rabbitmq_stream", "stream."),
    ("rabbitmq_web_mqtt", "web_mqtt."),
    ("rabbitmq_web_stomp", "web_stomp."),
    ("rabbitmq_federation", "federation."),
    ("rabbitmq_shovel", "shovel."),
    ("rabbitmq_auth_backend_cache", "auth_cache."),
    ("rabbitmq_auth_backend_http", "auth_http."),
    ("rabbitmq_auth_backend_ldap", "auth_ldap."),
    ("rabbitmq_auth_backend_oauth2", "auth_oauth2."),
    ("rabbitmq_trust_store", "trust_store."),
    ("rabbitmq_aws", "aws."),
    ("ra", "ra."),
    ("osiris", "osiris."),
];

/// What leveret has no need for, whatever its value.
const PASSED_OVER: [&str; 6] = [
    "tcp_listen_options",
    "cluster_nodes",
    "cluster_partition_handling",
    "management.sample_retention_policies",
    "default_consumer_prefetch",
    "halt_on_upgrade_failure",
];

/// Keys that have other names in `rabbitmq.conf`: what they begin with, and what they begin with there.
const RENAMED: [(&str, &str); 13] = [
    ("tcp_listeners.", "listeners.tcp."),
    ("ssl_listeners.", "listeners.ssl."),
    ("disk_free_limit.mem_relative", "disk_free_limit.relative"),
    ("log_root", "log.dir"),
    ("log.categories.", "log."),
    ("log.file.file", "log.file"),
    ("log.file.size", "log.file.rotation.size"),
    ("log.file.date", "log.file.rotation.date"),
    ("log.file.count", "log.file.rotation.count"),
    ("management.tcp_config.", "management.tcp."),
    ("management.ssl_config.", "management.ssl."),
    ("prometheus.tcp_config.", "prometheus.tcp."),
    ("prometheus.ssl_config.", "prometheus.ssl."),
];

/// A setting of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Setting {
    pub(in crate::cli) line: usize,
    /// Where it is among the terms: `rabbit.tcp_listeners`.
    pub(in crate::cli) path: String,
    /// Key and value of `rabbitmq.conf`; none for a term that stands for nothing there.
    pub(in crate::cli) entry: Option<(String, String)>,
}

/// The settings of a file of Erlang's terms.
///
/// # Errors
/// [`Malformed`], for what is no list of applications, each with a list of its settings.
pub(in crate::cli) fn settings_of_file(text: &str) -> Result<Vec<Setting>, Malformed> {
    let all = file(text)?;
    let wrong = |term: &Term| {
        let reason = "this has to be a list of applications: [{rabbit, [{heartbeat, 60}]}]";
        Malformed { line: term.line, reason }
    };
    let Value::List(applications) = &all.value else { return Err(wrong(&all)) };
    let mut settings = Vec::new();
    for application in applications {
        let (name, of_it) = pair(application).ok_or_else(|| wrong(application))?;
        let Value::List(of_it) = &of_it.value else { return Err(wrong(of_it)) };
        for setting in of_it {
            let (key, value) = pair(setting).ok_or_else(|| wrong(setting))?;
            settings.extend(settings_of(name, key, value));
        }
    }
    Ok(settings)
}

/// Whether an application has settings that are known here.
pub(super) fn is_application(name: &str) -> bool {
    APPLICATIONS.iter().any(|(known, _)| *known == name)
}

/// What one setting of an application comes to.
pub(super) fn settings_of(application: &str, key: &str, value: &Term) -> Vec<Setting> {
    let Some((_, prefix)) = APPLICATIONS.iter().find(|(known, _)| *known == application) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if !PASSED_OVER.contains(&&*format!("{prefix}{key}")) {
        flatten(&format!("{prefix}{key}"), value, &mut found);
    }
    let setting = |(line, key, value): (usize, String, Option<String>)| {
        let path = format!("{application}.{}", key.strip_prefix(prefix).unwrap_or(&key));
        Setting { line, path, entry: value.map(|value| renamed(key, value)) }
    };
    found.into_iter().map(setting).collect()
}

/// A line, a key with dots, and its value if it can have one there.
type Flat = (usize, String, Option<String>);

/// Settings within settings have keys with dots, and items of lists have numbers.
fn flatten(key: &str, term: &Term, found: &mut Vec<Flat>) {
    if let Some(value) = plain(term) {
        found.push((term.line, key.to_owned(), Some(value)));
        return;
    }
    if let Some((name, value)) = pair(term) {
        flatten(&format!("{key}.{name}"), value, found);
        return;
    }
    let Value::List(items) = &term.value else {
        found.push((term.line, key.to_owned(), None));
        return;
    };
    // Who names some names all of them.
    if matches!(key, "loopback_users" | "tcp_listeners" | "ssl_listeners") && items.is_empty()
        || key == "loopback_users"
    {
        found.push((term.line, key.to_owned(), Some("none".to_owned())));
    }
    for (item, number) in items.iter().zip(1..) {
        match (key, plain(item)) {
            ("loopback_users" | "default_user_tags", Some(name)) => {
                let name = name.replace('.', "\\.");
                found.push((item.line, format!("{key}.{name}"), Some("true".to_owned())));
            }
            ("default_permissions", Some(pattern)) => {
                let kind = ["configure", "write", "read"].get(number - 1).unwrap_or(&"more");
                found.push((item.line, format!("{key}.{kind}"), Some(pattern)));
            }
            (_, Some(value)) => found.push((item.line, format!("{key}.{number}"), Some(value))),
            (_, None) => match (pair(item), address(item)) {
                (Some((name, value)), _) => flatten(&format!("{key}.{name}"), value, found),
                (None, address) => found.push((item.line, format!("{key}.{number}"), address)),
            },
        }
    }
}

/// The key as `rabbitmq.conf` has it.
fn renamed(key: String, value: String) -> (String, String) {
    let renamed = RENAMED.iter().find_map(|(theirs, ours)| {
        let rest = key.strip_prefix(theirs)?;
        Some(format!("{ours}{rest}"))
    });
    let key = renamed.unwrap_or(key);
    let key = match key.as_str() {
        "tcp_listeners" => "listeners.tcp".to_owned(),
        "ssl_listeners" => "listeners.ssl".to_owned(),
        "vm_memory_high_watermark" => "vm_memory_high_watermark.relative".to_owned(),
        "disk_free_limit" => "disk_free_limit.absolute".to_owned(),
        _ => key.replace(".ssl.ssl_opts.", ".ssl."),
    };
    if let Some(category) = key.strip_prefix("log_levels.") {
        return (format!("log.{category}.level"), value);
    }
    match key.strip_suffix(".enabled").filter(|key| key.starts_with("log.")) {
        Some(output) => (output.to_owned(), value),
        None => (key, value),
    }
}

/// A value as `rabbitmq.conf` has it.
fn plain(term: &Term) -> Option<String> {
    match &term.value {
        Value::Atom(text) | Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::List(_) | Value::Tuple(_) => None,
    }
}

/// `{name, Value}`.
fn pair(term: &Term) -> Option<(&str, &Term)> {
    match &term.value {
        Value::Tuple(parts) => match &parts[..] {
            [Term { value: Value::Atom(name), .. }, value] => Some((name, value)),
            _ => None,
        },
        _ => None,
    }
}

/// `{"127.0.0.1", 5672}`.
fn address(term: &Term) -> Option<String> {
    match &term.value {
        Value::Tuple(parts) => match &parts[..] {
            [Term { value: Value::Text(host), .. }, Term { value: Value::Integer(port), .. }] => {
                Some(format!("{host}:{port}"))
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what people mount as `rabbitmq.config` and `advanced.config` comes to keys of `rabbitmq.conf`.
    #[test]
    fn settings_become_keys_of_rabbitmq_conf() {
        let text = r#"
%% -*- mode: erlang -*-
[{rabbit, [
   {tcp_listeners, [5672, {"::1", 5673}]}, {ssl_listeners, [5671]},
   {default_user, <<"joe">>}, {default_user_tags, [administrator]},
   {default_permissions, [<<"a">>, <<"b">>, <<"c">>]},
   {loopback_users, [<<"guest">>, "a.b"]},
   {vm_memory_high_watermark, 0.6}, {disk_free_limit, {mem_relative, 1.0}},
   {ssl_options, [{certfile, "/c.pem"}, {verify, verify_peer}, {versions, ['tlsv1.2']}]},
   {auth_mechanisms, ['PLAIN']}, {tcp_listen_options, [binary, {packet, raw}]},
   {log, [{file, [{file, "x.log"}, {level, debug}, {size, 10}]}, {console, [{enabled, true}]},
          {categories, [{connection, [{level, error}]}]}]},
   {log_levels, [{channel, warning}]},
   {frobnicate, {1, 2}}
 ]},
 {kernel, [{inet_dist_listen_min, 1}]},
 {rabbitmq_management, [{load_definitions, "/d.json"}, {listener, [{port, 15672}, {ssl, false}]},
   {ssl_config, [{port, 15671}, {ssl_opts, [{keyfile, "/k.pem"}]}]}]},
 {rabbitmq_mqtt, [{allow_anonymous, true}]}
]."#;
        let settings = settings_of_file(text).unwrap();
        let entries: Vec<String> = settings
            .iter()
            .filter_map(|setting| setting.entry.as_ref())
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        assert_eq!(
            entries,
            [
                "listeners.tcp.1 = 5672",
                "listeners.tcp.2 = ::1:5673",
                "listeners.ssl.1 = 5671",
                "default_user = joe",
                "default_user_tags.administrator = true",
                "default_permissions.configure = a",
                "default_permissions.write = b",
                "default_permissions.read = c",
                "loopback_users = none",
                "loopback_users.guest = true",
                "loopback_users.a\\.b = true",
                "vm_memory_high_watermark.relative = 0.6",
                "disk_free_limit.relative = 1",
                "ssl_options.certfile = /c.pem",
                "ssl_options.verify = verify_peer",
                "ssl_options.versions.1 = tlsv1.2",
                "auth_mechanisms.1 = PLAIN",
                "log.file = x.log",
                "log.file.level = debug",
                "log.file.rotation.size = 10",
                "log.console = true",
                "log.connection.level = error",
                "log.channel.level = warning",
                "management.load_definitions = /d.json",
                "management.listener.port = 15672",
                "management.listener.ssl = false",
                "management.ssl.port = 15671",
                "management.ssl.keyfile = /k.pem",
                "mqtt.allow_anonymous = true",
            ]
        );
        let odd: Vec<_> = settings.iter().filter(|setting| setting.entry.is_none()).collect();
        assert_eq!((odd[0].line, &*odd[0].path, odd.len()), (14, "rabbit.frobnicate", 1));
        assert_eq!(settings[17].path, "rabbit.log.file.file");
    }

    #[test]
    fn empty_lists_say_that_there_is_nothing() {
        let text = "[{rabbit, [{tcp_listeners, []}, {ssl_listeners, []}, {loopback_users, []}, {auth_backends, []}]}].";
        let settings = settings_of_file(text).unwrap();
        let entries: Vec<_> = settings.into_iter().filter_map(|setting| setting.entry).collect();
        let none = |key: &str| (key.to_owned(), "none".to_owned());
        assert_eq!(entries, [none("listeners.tcp"), none("listeners.ssl"), none("loopback_users")]);
    }

    #[test]
    fn what_is_no_list_of_applications_is_told_by_its_line() {
        for (text, line) in
            [("rabbit.", 1), ("[{rabbit, 1}].", 1), ("[\nrabbit].", 2), ("[{rabbit,\n[x]}].", 2)]
        {
            let reason = "this has to be a list of applications: [{rabbit, [{heartbeat, 60}]}]";
            assert_eq!(settings_of_file(text), Err(Malformed { line, reason }), "{text}");
        }
    }
}
