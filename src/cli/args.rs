//! The command line's flags.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::EXIT_USAGE;
use super::given::Given;

/// The parsed command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "leveret",
    bin_name = "leveret",
    version,
    about = "A message broker that speaks AMQP 0-9-1 and RabbitMQ's extensions",
    after_help = "Every option is also an environment variable (LEVERET_PORT, LEVERET_FRAME_MAX, \
                  ...) and a key in the configuration file (port, frame_max, ...). Flags win over \
                  the environment, and that over the file. RABBITMQ_NODE_PORT, \
                  RABBITMQ_NODE_IP_ADDRESS and RABBITMQ_DEFAULT_USER, _PASS and _VHOST are \
                  understood, too."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Run the broker; what happens without a command, too
    Serve,
    /// Publish and consume as fast as a broker can, and measure it; see 'leveret perf --help'
    Perf,
    /// Look into a data directory while no broker runs on it; see 'leveret store --help'
    Store,
}

/// Values stay text here: they are read together with those of the file and the environment.
#[derive(Debug, Clone, clap::Args)]
struct Options {
    /// Listen on this address; may be repeated [default: every interface, IPv4 and IPv6]
    #[arg(long, global = true, value_name = "ADDR")]
    bind: Vec<String>,

    /// Listen for AMQP on this port; 0 for any free one, none for TLS only [default: 5672]
    #[arg(long, global = true, value_name = "N")]
    port: Option<String>,

    /// Listen for AMQP over TLS on this port, once there is a certificate; 0 for any free one
    /// [default: 5671]
    #[arg(long, global = true, value_name = "N")]
    tls_port: Option<String>,

    /// Serve TLS with this certificate, and those behind it up to its CA (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    tls_cert_file: Option<String>,

    /// The certificate's private key (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    tls_key_file: Option<String>,

    /// The CAs that clients' certificates have to come from (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    tls_ca_file: Option<String>,

    /// Whether to ask clients for certificates: none, peer [default: none]
    #[arg(long, global = true, value_name = "WHOM")]
    tls_verify: Option<String>,

    /// Whether to refuse clients without a certificate: true, false [default: false]
    #[arg(long, global = true, value_name = "BOOL")]
    tls_fail_if_no_peer_cert: Option<String>,

    /// Versions of TLS that clients may choose from [default: 1.2,1.3]
    #[arg(long, global = true, value_name = "LIST")]
    tls_versions: Option<String>,

    /// What of a client's certificate is its user's name: distinguished_name, common_name,
    /// subject_alternative_name [default: distinguished_name]
    #[arg(long, global = true, value_name = "WHAT")]
    tls_login_from: Option<String>,

    /// Read this configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<String>,

    /// Refuse to start if the configuration file has unknown keys
    #[arg(long, global = true)]
    strict_config: bool,

    /// Write process id and ports to this file, as JSON, once connections are accepted
    #[arg(long, global = true, value_name = "FILE")]
    ready_file: Option<String>,

    /// Log messages of this level and above: off, error, warn, info, debug, trace [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,

    /// Write the log as text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,

    /// Largest frame to offer clients, in bytes [default: 131072]
    #[arg(long, global = true, value_name = "BYTES")]
    frame_max: Option<String>,

    /// Most channels a client may open on one connection [default: 2047]
    #[arg(long, global = true, value_name = "N")]
    channel_max: Option<String>,

    /// Heartbeat interval to offer clients; 0 for none [default: 60]
    #[arg(long, global = true, value_name = "SECONDS")]
    heartbeat: Option<String>,

    /// Largest message body, such as 16MiB [default: 128MiB]
    #[arg(long, global = true, value_name = "BYTES")]
    max_message_size: Option<String>,

    /// Most clients connected at a time; 0 for no limit [default: 0]
    #[arg(long, global = true, value_name = "N")]
    max_connections: Option<String>,

    /// Memory above which publishers wait: a size such as 2GiB, a share of the machine's memory such
    /// as 40%, or 0 for no limit [default: 40%]
    #[arg(long, global = true, value_name = "BYTES")]
    memory_high_watermark: Option<String>,

    /// Keep durable state in this directory [default: $XDG_DATA_HOME/leveret or
    /// ~/.local/share/leveret, without a home /var/lib/leveret]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,

    /// What a confirm means: fsync (on disk), os (outlives the process), none (memory only, nothing is
    /// written) [default: fsync]
    #[arg(long, global = true, value_name = "LEVEL")]
    durability: Option<String>,

    /// Publishers wait while less than this is free in the data directory [default: 50MB]
    #[arg(long, global = true, value_name = "BYTES")]
    disk_free_limit: Option<String>,
}

impl Args {
    /// The configuration file that was asked for.
    pub(super) fn config_file(&self) -> Option<&str> {
        self.options.config.as_deref()
    }

    /// Whether unknown keys in the configuration file are an error.
    pub(super) fn strict_config(&self) -> bool {
        self.options.strict_config
    }

    /// The configuration keys that were given as flags.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Given)> {
        let options = &self.options;
        let bind = (!options.bind.is_empty()).then(|| ("bind", Given::List(options.bind.clone())));
        let singles = [
            ("port", &options.port),
            ("tls_port", &options.tls_port),
            ("tls_cert_file", &options.tls_cert_file),
            ("tls_key_file", &options.tls_key_file),
            ("tls_ca_file", &options.tls_ca_file),
            ("tls_verify", &options.tls_verify),
            ("tls_fail_if_no_peer_cert", &options.tls_fail_if_no_peer_cert),
            ("tls_versions", &options.tls_versions),
            ("tls_login_from", &options.tls_login_from),
            ("ready_file", &options.ready_file),
            ("log_level", &options.log_level),
            ("log_format", &options.log_format),
            ("frame_max", &options.frame_max),
            ("channel_max", &options.channel_max),
            ("heartbeat", &options.heartbeat),
            ("max_message_size", &options.max_message_size),
            ("max_connections", &options.max_connections),
            ("memory_high_watermark", &options.memory_high_watermark),
            ("data_dir", &options.data_dir),
            ("durability", &options.durability),
            ("disk_free_limit", &options.disk_free_limit),
        ];
        let given = |(key, text): (_, &Option<String>)| Some((key, Given::Text(text.clone()?)));
        bind.into_iter().chain(singles.into_iter().filter_map(given))
    }
}

/// Why there is nothing to run: help was asked for, or the command line makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Text that was asked for: help, or the version.
    Answer(String),
    /// What is wrong, in one line.
    Usage(String),
}

impl Stop {
    /// Of what clap says, the first line, and what it announces; and where there is `help`.
    pub(super) fn of(error: &clap::Error, help: &str) -> Self {
        let text = error.render().to_string();
        if !error.use_stderr() {
            return Self::Answer(text);
        }
        let mut lines = text.lines();
        let problem = lines.next().unwrap_or("wrong arguments");
        let problem = problem.strip_prefix("error: ").unwrap_or(problem);
        let more = if problem.ends_with(':') { lines.next().map(str::trim) } else { None };
        let more = more.map(|more| format!(" {more}")).unwrap_or_default();
        Self::Usage(format!("{problem}{more}; see '{help}'"))
    }

    /// Prints the text where it belongs.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Answer(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Self::Usage(line) => {
                eprintln!("leveret: {line}");
                ExitCode::from(EXIT_USAGE)
            }
        }
    }
}

/// Reads the command line; its first item is the program's name.
///
/// # Errors
/// [`Stop`] if there is nothing to run.
pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Args, Stop> {
    let args = Args::try_parse_from(args).map_err(|error| Stop::of(&error, "leveret --help"))?;
    let of_its_own = match args.command {
        Some(Command::Perf) => Some("perf"),
        Some(Command::Store) => Some("store"),
        _ => None,
    };
    if let Some(command) = of_its_own {
        let line = format!(
            "'{command}' has options of its own, and comes first; see 'leveret {command} --help'"
        );
        return Err(Stop::Usage(line));
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(line: &str) -> Result<Args, Stop> {
        parse_args(line.split_whitespace().map(OsString::from))
    }

    fn given(line: &str) -> Vec<(&'static str, Given)> {
        parse(line).unwrap().given().collect()
    }

    #[test]
    fn flags_may_stand_before_and_after_serve() {
        let text = |text: &str| Given::Text(text.to_owned());
        let expected = [("port", text("1")), ("log_level", text("debug"))];
        for line in [
            "leveret --port 1 --log-level debug",
            "leveret serve --port 1 --log-level debug",
            "leveret --port 1 serve --log-level=debug",
        ] {
            assert_eq!(given(line), expected, "{line}");
        }
    }

    #[test]
    fn bind_may_be_repeated() {
        let both = Given::List(vec!["127.0.0.1".to_owned(), "::1".to_owned()]);
        assert_eq!(given("leveret --bind 127.0.0.1 --bind ::1"), [("bind", both)]);
    }

    #[test]
    fn an_unknown_flag_is_one_line_that_names_it() {
        assert_eq!(
            parse("leveret --prot 1").unwrap_err(),
            Stop::Usage("unexpected argument '--prot' found; see 'leveret --help'".to_owned())
        );
        assert_eq!(
            parse("leveret run").unwrap_err(),
            Stop::Usage("unrecognized subcommand 'run'; see 'leveret --help'".to_owned())
        );
        assert_eq!(
            parse("leveret --port").unwrap_err(),
            Stop::Usage(
                "a value is required for '--port <N>' but none was supplied; see 'leveret --help'"
                    .to_owned()
            )
        );
    }

    #[test]
    fn version_and_help_are_answers() {
        let version = Stop::Answer(format!("leveret {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(parse("leveret --version").unwrap_err(), version);
        assert!(matches!(parse("leveret --help").unwrap_err(), Stop::Answer(_)));
    }

    #[test]
    fn help_tells_the_true_defaults() {
        let Stop::Answer(help) = parse("leveret --help").unwrap_err() else { panic!("no help") };
        let Config { port, frame_max, channel_max, heartbeat_seconds, .. } = Config::default();
        for number in [u32::from(port), frame_max, channel_max.into(), heartbeat_seconds.into()] {
            assert!(help.contains(&format!("[default: {number}]")), "{number}\n{help}");
        }
    }
}
