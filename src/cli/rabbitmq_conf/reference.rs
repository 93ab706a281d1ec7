//! What is understood of RabbitMQ's configuration, as Markdown.

use std::fmt::Write;

use super::known::{Known, entries};
use super::meaning::SAME;
use super::variables::{VARIABLES, Variable};

const FILES: &str = "\
## RabbitMQ's files

`rabbitmq.conf` and `conf.d/*.conf` are read from `/etc/rabbitmq` where leveret is called `rabbitmq-server`, as in
its container; and by any name from where `RABBITMQ_CONFIG_FILE` and `RABBITMQ_CONFIG_FILES` say, or `--config` with
a name that ends with `.conf`. `advanced.config` and other files in Erlang's terms are reported and not read.
`enabled_plugins` is read and written by `rabbitmq-plugins` only: what leveret has of RabbitMQ's plugins is always on.

| in `rabbitmq.conf` | here |
|---|---|
";

const MORE: &str = "\
| `listeners.tcp.default`, `listeners.tcp.N` | `port` and `bind`; there is one port |
| `handshake_timeout` | `handshake_timeout`, in milliseconds |
| `max_connections`, `connection_max`, `channel_max_per_node`, `consumer_max_per_channel`, `vhost_max`, `cluster_queue_limit`, `cluster_exchange_limit` | `max_connections`, `max_channels`, `max_consumers_per_channel`, `max_vhosts`, `max_queues`, `max_exchanges`; `infinity` is 0 |
| `vm_memory_high_watermark.relative` | `memory_high_watermark` in per cent |
| `disk_free_limit.relative` | `disk_free_limit`, for the memory of this machine |
| `default_queue_type` | `default_queue_type` |
| `loopback_users.NAME`, `loopback_users` | `loopback_users` |
| `anonymous_login_user = none` | `allow_anonymous = false` |
| `listeners.ssl.N` | `tls_port` |
| `ssl_options.versions.N` | `tls_versions`; those before 1.2 are reported |
| `default_user_tags.TAG`, `default_permissions.*` | `default_user_tags`, `default_permissions` |
| `default_limits.vhosts.ID.*` | the limits that a new vhost begins with whose name matches `pattern`; of several the first by ID |
| `log.console.level`, `log.default.level` | `log_level` |
| `log.console.formatter = json` | `log_format = json` |
";

/// The tables of keys and variables.
pub(in crate::cli) fn reference() -> String {
    let mut text = FILES.to_owned();
    for (theirs, ours) in SAME {
        writeln!(text, "| `{theirs}` | `{ours}` |").expect("a String");
    }
    text.push_str(MORE);
    let list = |known: Known| {
        let mut keys: Vec<String> = entries()
            .filter(|entry| entry.known == known)
            .map(|entry| format!("`{}`", entry.pattern))
            .collect();
        keys.sort();
        keys.join(", ")
    };
    write!(
        text,
        "\nNo effect, and no report, for they steer what leveret does by itself or has no need for: {}.\n\n\
         Reported as missing, for leveret does not have it: {}.\n\n\
         Reported as unknown, and refused with `--strict-config`: everything else, as RabbitMQ refuses it.\n\n",
        list(Known::NoEffect),
        list(Known::Missing)
    )
    .expect("a String");
    text.push_str("## RabbitMQ's variables\n\n| variable | here |\n|---|---|\n");
    for (name, variable) in VARIABLES {
        let here = match variable {
            Variable::Key(key) => format!("`{key}`"),
            Variable::File(key) => format!("`{key}`, the first line of this file"),
            Variable::Conf(_, key) => format!("`{key}`"),
            Variable::DataHome => {
                "`data_dir`, a directory `leveret` in it, where nothing else says one".to_owned()
            }
            Variable::DataBase => "`data_dir`, a directory `leveret` in it".to_owned(),
            Variable::LogLevel => "`log_level`, where it names one for all categories".to_owned(),
            Variable::Watermark => {
                "`memory_high_watermark`: a share such as 0.4, or a size".to_owned()
            }
            Variable::ErlangArguments => {
                "settings such as `-rabbit disk_free_limit 50000000` in it".to_owned()
            }
            Variable::Place => "where a file is".to_owned(),
            Variable::NoEffect => "no effect".to_owned(),
            Variable::ManagementTls(key) => format!(
                "`management_tls_port` is 15671, with the certificate of `tls_cert_file`; \
                 what differs from `{key}` is reported"
            ),
        };
        writeln!(text, "| `RABBITMQ_{name}` | {here} |").expect("a String");
    }
    text
}
