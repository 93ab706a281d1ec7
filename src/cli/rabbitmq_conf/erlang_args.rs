//! `RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS`: settings of RabbitMQ's applications among arguments for Erlang, such as
//! `-rabbit disk_free_limit 2147483648`.

use super::applications::{Setting, is_application, settings_of};
use super::term::{Term, Value, term};

/// The settings in such arguments; and what is none.
pub(in crate::cli) fn application_settings(arguments: &str) -> (Vec<Setting>, Vec<String>) {
    let (mut settings, mut others) = (Vec::new(), Vec::new());
    let words = words(arguments);
    let mut rest = words.iter().map(String::as_str).peekable();
    while let Some(flag) = rest.next() {
        let Some(application) = flag.strip_prefix('-').filter(|name| is_application(name)) else {
            others.push(flag.to_owned());
            continue;
        };
        // More than one setting may stand behind an application.
        while let Some(name) = rest.next_if(|word| !word.starts_with(['-', '+'])) {
            let value = rest.next().unwrap_or_default();
            // The shell takes quotes away.
            let text = || Term { line: 1, value: Value::Text(value.to_owned()) };
            let value = term(value).unwrap_or_else(|_| text());
            settings.extend(settings_of(application, name, &value));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_applications_are_found() {
        let text = r#"+S 2:2 -rabbit disk_free_limit 2147483648 heartbeat 30
            -rabbitmq_management load_definitions "/etc/rabbitmq/definitions.json"
            -rabbit default_user '<<"joe">>' loopback_users [] log_levels [{queue,debug}] -kernel y z"#;
        let (settings, others) = application_settings(text);
        let settings: Vec<_> =
            settings.iter().filter_map(|setting| setting.entry.as_ref()).collect();
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            settings,
            [
                ("disk_free_limit.absolute", "2147483648"),
                ("heartbeat", "30"),
                ("management.load_definitions", "/etc/rabbitmq/definitions.json"),
                ("default_user", "joe"),
                ("loopback_users", "none"),
                ("log.queue.level", "debug"),
            ]
        );
        assert_eq!(others, ["+S", "2:2", "-kernel", "y", "z"]);
    }
}
