//! `status` and `cluster_status`.

use serde_json::{Value, json};

use super::call::Call;
use super::diagnostics::{Listener, all_listeners, node_alarms, this_node};
use super::failure::Failure;
use super::formatter::Formatter;
use crate::cli::api::ApiPath;
use crate::cli::output::field;

/// Bytes in a unit, rounded as RabbitMQ does: `0.05 gb`.
pub(super) fn in_unit(bytes: u64, unit: &str) -> String {
    let divisor = match unit {
        "bytes" => return format!("{bytes} bytes"),
        "kb" => 1e3,
        "mb" => 1e6,
        "tb" => 1e12,
        _ => 1e9,
    };
    let rounded = (bytes as f64 / divisor * 1e4).round() / 1e4;
    format!("{rounded:?} {}", if divisor == 1e9 { "gb" } else { unit })
}

/// All that the report says, from several answers of the API.
struct Report {
    overview: Value,
    node: Value,
    vhosts: usize,
    listeners: Vec<Listener>,
}

impl Report {
    fn ask(call: &Call<'_>) -> Result<Self, Failure> {
        Ok(Self {
            overview: call.api.get(&ApiPath::of(&["overview"]))?,
            node: this_node(call)?,
            vhosts: call.api.list(&ApiPath::of(&["vhosts"]))?.len(),
            listeners: all_listeners(call)?,
        })
    }

    fn text(&self, name: &str) -> String {
        match field(&self.node, name) {
            Value::Array(items) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n * ")
            }
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    fn number(&self, name: &str) -> u64 {
        field(&self.node, name).as_u64().unwrap_or(0)
    }

    fn of_overview(&self, name: &str) -> String {
        match field(&self.overview, name) {
            Value::String(text) => text.clone(),
            Value::Null => "0".to_owned(),
            other => other.to_string(),
        }
    }

    fn plugins(&self) -> Vec<String> {
        let plugins = field(&self.node, "enabled_plugins").as_array().cloned().unwrap_or_default();
        plugins.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn sections(&self, unit: &str) -> Vec<(&'static str, Vec<String>)> {
        let bullets = |names: Vec<String>| names.into_iter().map(|name| format!(" * {name}"));
        let list = |name: &str| match self.text(name).as_str() {
            "" => vec!["(none)".to_owned()],
            text => vec![format!(" * {text}")],
        };
        let alarms = node_alarms(&self.node);
        let size = |name: &str| in_unit(self.number(name), unit);
        vec![
            ("Runtime", self.runtime()),
            (
                "Plugins",
                ["Enabled plugins:".to_owned(), String::new()]
                    .into_iter()
                    .chain(bullets(self.plugins()))
                    .collect(),
            ),
            ("Data directory", vec![format!("Node data directory: {}", self.text("db_dir"))]),
            ("Config files", list("config_files")),
            ("Log file(s)", list("log_files")),
            ("Alarms", if alarms.is_empty() { vec!["(none)".to_owned()] } else { alarms }),
            (
                "Memory",
                vec![
                    format!("Total memory used: {}", size("mem_used")),
                    format!("Memory high watermark setting: {}", size("mem_limit")),
                ],
            ),
            (
                "File Descriptors",
                vec![
                    format!(
                        "Total: {}, limit: {}",
                        self.number("fd_used"),
                        self.number("fd_total")
                    ),
                    format!(
                        "Sockets: {}, limit: {}",
                        self.number("sockets_used"),
                        self.number("sockets_total")
                    ),
                ],
            ),
            (
                "Free Disk Space",
                vec![
                    format!("Low free disk space watermark: {}", size("disk_free_limit")),
                    format!("Free disk space: {}", size("disk_free")),
                ],
            ),
            (
                "Totals",
                vec![
                    format!("Connection count: {}", self.of_overview("object_totals.connections")),
                    format!("Queue count: {}", self.of_overview("object_totals.queues")),
                    format!("Virtual host count: {}", self.vhosts),
                ],
            ),
            ("Listeners", self.listeners.iter().map(listener).collect()),
        ]
    }

    fn runtime(&self) -> Vec<String> {
        let product = self.of_overview("product_name");
        let mut lines = vec![
            format!("OS PID: {}", self.text("os_pid")),
            "OS: Linux".to_owned(),
            format!("Uptime (seconds): {}", self.number("uptime") / 1000),
            "Is under maintenance?: false".to_owned(),
            format!("RabbitMQ version: {}", self.of_overview("rabbitmq_version")),
            format!("Node name: {}", self.text("name")),
        ];
        if product != "0" && product != "RabbitMQ" {
            let version = self.of_overview("product_version");
            lines.insert(4, format!("Product: {product}, version: {version}"));
        }
        lines
    }

    fn json(&self) -> Value {
        let listeners: Vec<Value> = self
            .listeners
            .iter()
            .map(|listener| {
                json!({
                    "interface": listener.interface(),
                    "node": self.text("name"),
                    "port": listener.port,
                    "protocol": listener.protocol,
                    "purpose": listener.purpose(),
                })
            })
            .collect();
        json!({
            "active_plugins": self.plugins(),
            "alarms": node_alarms(&self.node),
            "config_files": field(&self.node, "config_files"),
            "data_directory": self.text("db_dir"),
            "disk_free": self.number("disk_free"),
            "disk_free_limit": self.number("disk_free_limit"),
            "file_descriptors": {
                "sockets_limit": self.number("sockets_total"),
                "sockets_used": self.number("sockets_used"),
                "total_limit": self.number("fd_total"),
                "total_used": self.number("fd_used"),
            },
            "is_under_maintenance": false,
            "listeners": listeners,
            "log_files": field(&self.node, "log_files"),
            "memory": { "strategy": "rss", "total": { "rss": self.number("mem_used") } },
            "os": "Linux",
            "pid": self.text("os_pid").parse::<u64>().unwrap_or(0),
            "product_name": field(&self.overview, "product_name"),
            "product_version": field(&self.overview, "product_version"),
            "rabbitmq_version": field(&self.overview, "rabbitmq_version"),
            "totals": {
                "connection_count": field(&self.overview, "object_totals.connections"),
                "queue_count": field(&self.overview, "object_totals.queues"),
                "virtual_host_count": self.vhosts,
            },
            "uptime": self.number("uptime") / 1000,
            "vm_memory_high_watermark_limit": self.number("mem_limit"),
        })
    }
}

fn listener(listener: &Listener) -> String {
    let (interface, purpose) = (listener.interface(), listener.purpose());
    let Listener { port, protocol, .. } = listener;
    format!("Interface: {interface}, port: {port}, protocol: {protocol}, purpose: {purpose}")
}

pub(super) fn status(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Status of node {node} ..."))?;
    let report = Report::ask(call)?;
    if call.formatter == Formatter::Json {
        return call.line(&report.json().to_string());
    }
    let unit = call.option("unit").unwrap_or("gb").to_ascii_lowercase();
    print(call, &report.sections(&unit))
}

fn print(call: &mut Call<'_>, sections: &[(&str, Vec<String>)]) -> Result<(), Failure> {
    for (number, (title, lines)) in sections.iter().enumerate() {
        let before = if number > 0 { "\n" } else { "" };
        call.line(&format!("{before}{title}\n"))?;
        lines.iter().try_for_each(|line| call.line(line))?;
    }
    Ok(())
}

pub(super) fn cluster_status(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Cluster status of node {node} ..."))?;
    let report = Report::ask(call)?;
    let name = report.text("name");
    let cluster = report.of_overview("cluster_name");
    let version = report.of_overview("rabbitmq_version");
    let flags = call.api.list(&ApiPath::of(&["feature-flags"]))?;
    if call.formatter == Formatter::Json {
        let object = json!({
            "alarms": node_alarms(&report.node),
            "cluster_name": cluster,
            "disk_nodes": [name],
            "ram_nodes": [],
            "running_nodes": [name],
            "partitions": {},
            "listeners": { name.clone(): report.json()["listeners"] },
            "versions": { name: { "rabbitmq_version": version } },
        });
        return call.line(&object.to_string());
    }
    let alarms = node_alarms(&report.node);
    let none = || vec!["(none)".to_owned()];
    let listeners =
        report.listeners.iter().map(|one| format!("Node: {name}, i{}", &listener(one)[1..]));
    let flag = |flag: &Value| {
        let text = |name| field(flag, name).as_str().unwrap_or_default().to_owned();
        format!("Flag: {}, state: {}", text("name"), text("state"))
    };
    let sections = [
        ("Basics", vec![format!("Cluster name: {cluster}")]),
        ("Disk Nodes", vec![name.clone()]),
        ("Running Nodes", vec![name.clone()]),
        ("Versions", vec![format!("{name}: RabbitMQ {version}")]),
        ("Maintenance status", vec![format!("Node: {name}, status: not under maintenance")]),
        ("Alarms", if alarms.is_empty() { none() } else { alarms }),
        ("Network Partitions", none()),
        ("Listeners", listeners.collect()),
        ("Feature flags", flags.iter().map(flag).collect()),
    ];
    print(call, &sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_rabbitmq_does() {
        for (bytes, unit, text) in [
            (50_000_000, "gb", "0.05 gb"),
            (0, "gb", "0.0 gb"),
            (135_500_000, "gb", "0.1355 gb"),
            (1_234_567, "mb", "1.2346 mb"),
            (7, "bytes", "7 bytes"),
        ] {
            assert_eq!(in_unit(bytes, unit), text);
        }
    }
}
