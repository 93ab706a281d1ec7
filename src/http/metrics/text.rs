//! The text format of Prometheus.

use std::fmt::Write;

/// What a number is: one that only grows, or one that is as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// What a scrape is answered with.
#[derive(Debug)]
pub(super) struct Exposition {
    prefix: &'static str,
    text: String,
}

impl Exposition {
    /// Nothing yet; the names of metrics begin with `prefix`.
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, text: String::new() }
    }

    /// The head of a metric, which its samples follow.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let prefix = self.prefix;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        put(&mut self.text, format_args!("# TYPE {prefix}{name} {kind}\n"));
        put(&mut self.text, format_args!("# HELP {prefix}{name} {help}\n"));
        Family { name, exposition: self }
    }

    /// A metric with one sample.
    pub(super) fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: u64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// Adds what was written under other names.
    pub(super) fn append(&mut self, other: &Self) {
        self.text.push_str(&other.text);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// A metric that is being written.
#[derive(Debug)]
pub(super) struct Family<'a> {
    name: &'static str,
    exposition: &'a mut Exposition,
}

impl Family<'_> {
    /// A sample with its labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: u64) -> &mut Self {
        self.start(labels);
        put(&mut self.exposition.text, format_args!(" {value}\n"));
        self
    }

    /// A sample that is no whole number.
    pub(super) fn fraction(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.start(labels);
        put(&mut self.exposition.text, format_args!(" {value}\n"));
        self
    }

    fn start(&mut self, labels: &[(&str, &str)]) {
        let text = &mut self.exposition.text;
        text.push_str(self.exposition.prefix);
        text.push_str(self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            escape(value, text);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A String takes whatever there is memory for.
    let _ = text.write_fmt(what);
}

fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_and_what_would_end_them_is_escaped() {
        let mut exposition = Exposition::new("rabbitmq_");
        let mut family = exposition.family("queue_messages", Kind::Gauge, "Queue depth");
        family.sample(&[("vhost", "/"), ("queue", "a\"b\\c\nd")], 7);
        exposition.single("connections", Kind::Gauge, "Connections", 1);
        let expected = "# TYPE rabbitmq_queue_messages gauge\n\
             # HELP rabbitmq_queue_messages Queue depth\n\
             rabbitmq_queue_messages{vhost=\"/\",queue=\"a\\\"b\\\\c\\nd\"} 7\n\
             # TYPE rabbitmq_connections gauge\n\
             # HELP rabbitmq_connections Connections\n\
             rabbitmq_connections 1\n";
        assert_eq!(exposition.into_text(), expected);
    }
}
