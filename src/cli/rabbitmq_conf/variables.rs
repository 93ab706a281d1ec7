//! What each variable `RABBITMQ_*` is here.

/// What a variable of RabbitMQ's is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Variable {
    /// One of leveret's keys.
    Key(&'static str),
    /// A file whose first line is the value of one of leveret's keys.
    File(&'static str),
    /// A key of `rabbitmq.conf`, and what it is here.
    Conf(&'static str, &'static str),
    /// The directory of all nodes' data.
    DataBase,
    /// What RabbitMQ's image keeps its data below; it is always set there, so a file that says more wins.
    DataHome,
    /// A level, or levels of categories with commas between them.
    LogLevel,
    /// Where the log goes: a file, or `-` for standard output.
    LogPlace,
    /// The directory of the log's file.
    LogDirectory,
    /// A share of the memory or a size.
    Watermark,
    /// Arguments for Erlang, among which may be settings.
    ErlangArguments,
    /// Where the configuration is; it was looked at before.
    Place,
    /// It has no effect, and needs none.
    NoEffect,
    /// What TLS of the management API has; here it is what AMQP's has, which this key says.
    ManagementTls(&'static str),
}

impl Variable {
    /// The key that it sets, where it is one for all values.
    pub(in crate::cli) fn key(self) -> Option<&'static str> {
        match self {
            Self::Key(key) | Self::File(key) | Self::Conf(_, key) => Some(key),
            Self::DataBase | Self::DataHome => Some("data_dir"),
            Self::LogLevel => Some("log_level"),
            Self::LogPlace => Some("log_file"),
            Self::Watermark => Some("memory_high_watermark"),
            Self::ErlangArguments
            | Self::LogDirectory
            | Self::Place
            | Self::NoEffect
            | Self::ManagementTls(_) => None,
        }
    }
}

/// All that RabbitMQ and its image know.
pub(super) const VARIABLES: [(&str, Variable); 53] = [
    ("ADVANCED_CONFIG_FILE", Variable::Place),
    ("CONFIG_FILE", Variable::Place),
    ("CONFIG_FILES", Variable::Place),
    ("CONF_ENV_FILE", Variable::NoEffect),
    ("CTL_ERL_ARGS", Variable::NoEffect),
    ("DATA_DIR", Variable::DataHome),
    ("DEFAULT_PASS", Variable::Key("default_pass")),
    ("DEFAULT_PASS_FILE", Variable::File("default_pass")),
    ("DEFAULT_USER", Variable::Key("default_user")),
    ("DEFAULT_USER_FILE", Variable::File("default_user")),
    ("DEFAULT_VHOST", Variable::Key("default_vhost")),
    ("DIST_PORT", Variable::NoEffect),
    ("ENABLED_PLUGINS", Variable::NoEffect),
    ("ENABLED_PLUGINS_FILE", Variable::NoEffect),
    ("ERLANG_COOKIE", Variable::NoEffect),
    ("FEATURE_FLAGS", Variable::NoEffect),
    ("GENERATED_CONFIG_DIR", Variable::NoEffect),
    ("HOME", Variable::NoEffect),
    ("IO_THREAD_POOL_SIZE", Variable::NoEffect),
    ("KEEP_PID_FILE_ON_EXIT", Variable::NoEffect),
    ("LOG", Variable::LogLevel),
    ("LOGS", Variable::LogPlace),
    ("LOG_BASE", Variable::LogDirectory),
    ("LOG_FF_REGISTRY", Variable::NoEffect),
    ("MANAGEMENT_SSL_CACERTFILE", Variable::ManagementTls("tls_ca_file")),
    ("MANAGEMENT_SSL_CERTFILE", Variable::ManagementTls("tls_cert_file")),
    ("MANAGEMENT_SSL_DEPTH", Variable::ManagementTls("tls_depth")),
    ("MANAGEMENT_SSL_FAIL_IF_NO_PEER_CERT", Variable::ManagementTls("tls_fail_if_no_peer_cert")),
    ("MANAGEMENT_SSL_KEYFILE", Variable::ManagementTls("tls_key_file")),
    ("MANAGEMENT_SSL_VERIFY", Variable::ManagementTls("tls_verify")),
    ("MAX_NUMBER_OF_PROCESSES", Variable::NoEffect),
    ("MNESIA_BASE", Variable::DataBase),
    ("MNESIA_DIR", Variable::Key("data_dir")),
    ("NODENAME", Variable::Key("node_name")),
    ("NODE_IP_ADDRESS", Variable::Key("bind")),
    ("NODE_PORT", Variable::Key("port")),
    ("PID_FILE", Variable::Key("pid_file")),
    ("PLUGINS_DIR", Variable::NoEffect),
    ("PRODUCT_NAME", Variable::NoEffect),
    ("PRODUCT_VERSION", Variable::NoEffect),
    ("QUORUM_DIR", Variable::NoEffect),
    ("SERVER_ADDITIONAL_ERL_ARGS", Variable::ErlangArguments),
    ("SERVER_ERL_ARGS", Variable::NoEffect),
    ("SERVER_START_ARGS", Variable::NoEffect),
    ("SSL_CACERTFILE", Variable::Conf("ssl_options.cacertfile", "tls_ca_file")),
    ("SSL_CERTFILE", Variable::Conf("ssl_options.certfile", "tls_cert_file")),
    ("SSL_DEPTH", Variable::Conf("ssl_options.depth", "tls_depth")),
    (
        "SSL_FAIL_IF_NO_PEER_CERT",
        Variable::Conf("ssl_options.fail_if_no_peer_cert", "tls_fail_if_no_peer_cert"),
    ),
    ("SSL_KEYFILE", Variable::Conf("ssl_options.keyfile", "tls_key_file")),
    ("SSL_VERIFY", Variable::Conf("ssl_options.verify", "tls_verify")),
    ("STREAM_DIR", Variable::NoEffect),
    ("USE_LONGNAME", Variable::NoEffect),
    ("VM_MEMORY_HIGH_WATERMARK", Variable::Watermark),
];

/// What a variable is here; none for those that are not RabbitMQ's, such as what Docker makes of links.
pub(in crate::cli) fn variable(name: &str) -> Option<Variable> {
    let name = name.strip_prefix("RABBITMQ_")?;
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rabbitmqs_variables_are_known_and_others_are_not() {
        assert_eq!(variable("RABBITMQ_NODE_PORT"), Some(Variable::Key("port")));
        assert_eq!(variable("RABBITMQ_ERLANG_COOKIE"), Some(Variable::NoEffect));
        assert_eq!(variable("RABBITMQ_PORT_5672_TCP"), None);
        assert_eq!(variable("NODE_PORT"), None);
    }
}
