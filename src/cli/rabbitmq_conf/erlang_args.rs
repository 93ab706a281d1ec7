//! `RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS`: settings of RabbitMQ's applications among arguments for Erlang, such as
//! `-rabbit disk_free_limit 2147483648`.

/// Settings by the names of Erlang's applications, and keys of `rabbitmq.conf`.
const SETTINGS: [(&str, &str, &str); 15] = [
    ("rabbit", "disk_free_limit", "disk_free_limit.absolute"),
    ("rabbit", "vm_memory_high_watermark", "vm_memory_high_watermark.relative"),
    ("rabbit", "heartbeat", "heartbeat"),
    ("rabbit", "frame_max", "frame_max"),
    ("rabbit", "channel_max", "channel_max"),
    ("rabbit", "connection_max", "max_connections"),
    ("rabbit", "handshake_timeout", "handshake_timeout"),
    ("rabbit", "consumer_timeout", "consumer_timeout"),
    ("rabbit", "max_message_size", "max_message_size"),
    ("rabbit", "default_user", "default_user"),
    ("rabbit", "default_pass", "default_pass"),
    ("rabbit", "default_vhost", "default_vhost"),
    ("rabbit", "loopback_users", "loopback_users"),
    ("rabbit", "tcp_listeners", "listeners.tcp.default"),
    ("rabbitmq_management", "load_definitions", "load_definitions"),
];

/// The settings in such arguments, as keys and values of `rabbitmq.conf`; and what is none.
pub(in crate::cli) fn application_settings(
    arguments: &str,
) -> (Vec<(&'static str, String)>, Vec<String>) {
    let (mut settings, mut others) = (Vec::new(), Vec::new());
    let words = words(arguments);
    let mut rest = words.iter().map(String::as_str).peekable();
    while let Some(flag) = rest.next() {
        let application = flag.strip_prefix('-');
        let is_application =
            application.is_some_and(|name| SETTINGS.iter().any(|(known, _, _)| *known == name));
        if !is_application {
            others.push(flag.to_owned());
            continue;
        }
        // More than one setting may stand behind an application.
        while let Some(name) = rest.next_if(|word| !word.starts_with(['-', '+'])) {
            let value = rest.next().unwrap_or_default();
            let known =
                SETTINGS.iter().find(|(of, known, _)| Some(*of) == application && *known == name);
            match known {
                Some((_, _, key)) => settings.push((*key, plain(value))),
                None => others.push(format!("{flag} {name} {value}")),
            }
        }
    }
    (settings, others)
}

/// Words with spaces between them; quotes hold some together.
pub(in crate::cli) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

/// An Erlang value as `rabbitmq.conf` has it: `<<"guest">>` is `guest`, `[]` is `none`, `[5672]` is `5672`.
fn plain(value: &str) -> String {
    let value = value.trim();
    if value == "[]" {
        return "none".to_owned();
    }
    value.trim_matches(['<', '>', '[', ']', '"', '\'', '\\']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_applications_are_found() {
        let text = r#"+S 2:2 -rabbit disk_free_limit 2147483648 heartbeat 30
            -rabbitmq_management load_definitions "/etc/rabbitmq/definitions.json"
            -rabbit default_user '<<"joe">>' loopback_users [] log_levels x -kernel y z"#;
        let (settings, others) = application_settings(text);
        let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(
            settings,
            [
                ("disk_free_limit.absolute", "2147483648"),
                ("heartbeat", "30"),
                ("load_definitions", "/etc/rabbitmq/definitions.json"),
                ("default_user", "joe"),
                ("loopback_users", "none"),
            ]
        );
        assert_eq!(others, ["+S", "2:2", "-rabbit log_levels x", "-kernel", "y", "z"]);
    }
}
