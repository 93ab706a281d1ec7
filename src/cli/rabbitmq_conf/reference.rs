//! What is understood of RabbitMQ's configuration, as Markdown.

use std::fmt::Write;

use super::known::{Known, entries};
use super::meaning::SAME;
use super::variables::{VARIABLES, Variable};

const FILES: &str = "\
## RabbitMQ's files

`rabbitmq.conf` and `conf.d/*.conf` are read from `/etc/rabbitmq` where leveret is called `rabbitmq-server`, as in
its container; and by any name from where `RABBITMQ_CONFIG_FILE` and `RABBITMQ_CONFIG_FILES` say, or `--config` with
a name that ends with `.conf`. `advanced.config`, and files whose names end with `.config`, are read as Erlang's terms:
`[{rabbit, [{heartbeat, 30}]}].` A setting there is that of `rabbitmq.conf` with the same name, or with the one that
it has there (`tcp_listeners` is `listeners.tcp`, `{log, [{file, [{size, 10}]}]}` is `log.file.rotation.size`), and wins
over it. Those of Erlang's own applications, such as `kernel`, have no effect.
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
| `default_policies.operator.NAME.*` | an operator policy that a new vhost begins with whose name matches `vhost_pattern`; for queues that match `queue_pattern` |
| `default_users.NAME.*` | a user for whom a new vhost is open whose name matches `vhost_pattern`; password and tags are for one who was not there before |
| `password_hashing_module` | `password_hashing`; MD5 is reported |
| `management.ssl.*`, `management.listener.ssl_opts.*`, `prometheus.ssl.*` | nothing by itself: HTTPS has what `ssl_options` says; what differs is reported |
| `management.listener.ssl = true` | `management.listener.port` is `management_tls_port` |
| `log.default.level` | `log_level` |
| `log.console.level`, `log.file.level` | `log_console_level`, `log_file_level` |
| `log.connection.level`, `log.channel.level`, `log.queue.level` | `log_categories`; nothing is logged of other categories |
| `log.console.formatter`, `log.file.formatter` | `log_format`, `log_file_format` |
| `log.file`, `log.dir` | `log_file`, in `/var/log/rabbitmq` without another directory |
| `log.file.rotation.size`, `.date`, `.count` | `log_file_max_size`, `log_file_rotation`, `log_file_keep` |
| `log.console` | `log_console`, where there is a file; otherwise the log stays on standard output |
";

/// The tables of keys and variables.
pub(in crate::cli) fn reference() -> String {
    let mut text = FILES.to_owned();
    for (theirs, ours) in SAME {
        writeln!(text, "| `{theirs}` | `{ours}` |").expect("a String");
    }
    text.push_str(MORE);
    let mut none: Vec<String> = entries()
        .filter(|entry| entry.known == Known::NoEffect)
        .map(|entry| format!("`{}`", entry.pattern))
        .collect();
    none.sort();
    write!(
        text,
        "\nNo effect, and no report, for they steer what leveret does by itself or has no need for: {}.\n\n\
         Passed over with a warning that says what to do instead:\n\n| in `rabbitmq.conf` | instead |\n|---|---|\n",
        none.join(", ")
    )
    .expect("a String");
    let mut missing: Vec<(&str, Vec<String>)> = Vec::new();
    for entry in entries() {
        let Known::Missing(instead) = entry.known else { continue };
        let pattern = format!("`{}`", entry.pattern);
        match missing.iter_mut().find(|(known, _)| *known == instead) {
            Some((_, patterns)) => patterns.push(pattern),
            None => missing.push((instead, vec![pattern])),
        }
    }
    for (instead, patterns) in missing {
        writeln!(text, "| {} | {instead} |", patterns.join(", ")).expect("a String");
    }
    text.push_str(
        "\nReported as unknown, and refused with `--strict-config`: everything else, as RabbitMQ refuses it.\n\n",
    );
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
            Variable::LogLevel => {
                "`log_level`, and `log_categories`: `debug`, or `connection.debug,default.info`; `+json` is \
                 `log_format`"
                    .to_owned()
            }
            Variable::LogPlace => {
                "`log_file`; with `-` the log is on standard output only, as it is anyway".to_owned()
            }
            Variable::LogDirectory => "where `log_file` is that has no path".to_owned(),
            Variable::Watermark => {
                "`memory_high_watermark`: a share such as 0.4, or a size".to_owned()
            }
            Variable::ErlangArguments => {
                "settings such as `-rabbit disk_free_limit 50000000` in it".to_owned()
            }
            Variable::Place => "where a file is".to_owned(),
            Variable::NoEffect => "no effect".to_owned(),
            Variable::ManagementTls("tls_cert_file") => {
                "`management_tls_port` is 15671, where it is the certificate of `tls_cert_file`; another one is \
                 reported"
                    .to_owned()
            }
            Variable::ManagementTls(key) => {
                format!("nothing by itself: HTTPS has what `{key}` says; what differs is reported")
            }
        };
        writeln!(text, "| `RABBITMQ_{name}` | {here} |").expect("a String");
    }
    text
}
