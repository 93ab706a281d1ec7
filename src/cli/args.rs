//! The command line's flags.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::EXIT_USAGE;
use super::admin::Admin;
use super::completions::Completions;
use super::config_command::ConfigCommand;
use super::given::Given;
use super::man::Man;
use super::perf::PerfArgs;
use super::rabbitmq_conf::words;
use super::store::StoreArgs;
use crate::perf::without_login;

/// The parsed command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "leveret",
    bin_name = "leveret",
    version,
    about = "A message broker that speaks AMQP 0-9-1 and RabbitMQ's extensions",
    after_help = "Every option is also an environment variable (LEVERET_PORT, LEVERET_FRAME_MAX, \
                  ...) and a key in the configuration file (port, frame_max, ...). Flags win over \
                  the environment, and that over the file. Where nobody can write flags, LEVERET_ARGS \
                  holds them. RabbitMQ's variables and rabbitmq.conf are \
                  understood, too. 'leveret config show' prints what is in force, and where it was \
                  written."
)]
pub struct Args {
    /// Whether it was called as RabbitMQ's server: then it looks where RabbitMQ looks.
    #[arg(skip)]
    of_rabbitmq: bool,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Run the broker; what happens without a command, too
    Serve(Box<Options>),
    #[command(flatten)]
    Admin(Box<Admin>),
    /// Publish and consume as fast as a broker can, and measure it
    Perf(Box<PerfArgs>),
    /// Look into a data directory while no broker runs on it
    Store(StoreArgs),
    /// Configuration: check, show
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what makes a shell complete this command line
    Completions(Completions),
    /// Write manual pages, one for each command
    Man(Man),
}

/// Values stay text here: they are read together with those of the file and the environment.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Options {
    /// Listen on this address; may be repeated [default: every interface, IPv4 and IPv6]
    #[arg(long, value_name = "ADDR")]
    bind: Vec<String>,

    /// Listen for AMQP on this port; 0 for any free one, none for TLS only [default: 5672]
    #[arg(long, value_name = "N")]
    port: Option<String>,

    /// Listen for AMQP over TLS on this port, once there is a certificate; 0 for any free one
    /// [default: 5671]
    #[arg(long, value_name = "N")]
    tls_port: Option<String>,

    /// Serve TLS with this certificate, and those behind it up to its CA (PEM)
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<String>,

    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<String>,

    /// The CAs that clients' certificates have to come from (PEM)
    #[arg(long, value_name = "FILE")]
    tls_ca_file: Option<String>,

    /// Whether to ask clients for certificates: none, peer [default: none]
    #[arg(long, value_name = "WHOM")]
    tls_verify: Option<String>,

    /// Whether to refuse clients without a certificate: true, false [default: false]
    #[arg(long, value_name = "BOOL")]
    tls_fail_if_no_peer_cert: Option<String>,

    /// Versions of TLS that clients may choose from [default: 1.2,1.3]
    #[arg(long, value_name = "LIST")]
    tls_versions: Option<String>,

    /// What of a client's certificate is its user's name: distinguished_name, common_name,
    /// subject_alternative_name [default: distinguished_name]
    #[arg(long, value_name = "WHAT")]
    tls_login_from: Option<String>,

    /// Read this configuration file: TOML, or RabbitMQ's format if its name ends with .conf
    #[arg(long, value_name = "FILE")]
    config: Option<String>,

    /// Refuse to start if the configuration file has unknown keys
    #[arg(long)]
    strict_config: bool,

    /// Port of the management HTTP API; off for none [default: 15672, and where --port is 0 any free one]
    #[arg(long, value_name = "PORT", visible_alias = "http-port")]
    management_port: Option<String>,

    /// Port of the management HTTP API over HTTPS, once there is a certificate; off for none [default: off]
    #[arg(long, value_name = "PORT")]
    management_tls_port: Option<String>,

    /// Port of the metrics for Prometheus; off for none [default: 15692, and where --port is 0 any free
    /// one]
    #[arg(long, value_name = "PORT", visible_alias = "metrics-port")]
    prometheus_port: Option<String>,

    /// Port of the metrics for Prometheus over HTTPS, once there is a certificate; off for none [default:
    /// off]
    #[arg(long, value_name = "PORT")]
    prometheus_tls_port: Option<String>,

    /// Write process id and ports to this file, as JSON, once connections are accepted
    #[arg(long, value_name = "FILE")]
    ready_file: Option<String>,

    /// Log messages of this level and above: off, error, warn, info, debug, trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,

    /// Write the log as text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,

    /// Largest frame to offer clients, in bytes [default: 131072]
    #[arg(long, value_name = "BYTES")]
    frame_max: Option<String>,

    /// Most channels a client may open on one connection [default: 2047]
    #[arg(long, value_name = "N")]
    channel_max: Option<String>,

    /// Heartbeat interval to offer clients; 0 for none [default: 60]
    #[arg(long, value_name = "SECONDS")]
    heartbeat: Option<String>,

    /// Largest message body, such as 16MiB [default: 128MiB]
    #[arg(long, value_name = "BYTES")]
    max_message_size: Option<String>,

    /// Most clients connected at a time; 0 for no limit [default: 0]
    #[arg(long, value_name = "N")]
    max_connections: Option<String>,

    /// Memory above which publishers wait: a size such as 2GiB, a share of the machine's memory such
    /// as 40%, or 0 for no limit [default: 40%]
    #[arg(long, value_name = "BYTES")]
    memory_high_watermark: Option<String>,

    /// Keep durable state in this directory [default: $XDG_DATA_HOME/leveret or
    /// ~/.local/share/leveret, without a home /var/lib/leveret]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,

    /// What a confirm means: fsync (on disk), os (outlives the process), none (memory only, nothing is
    /// written) [default: fsync]
    #[arg(long, value_name = "LEVEL")]
    durability: Option<String>,

    /// Publishers wait while less than this is free in the data directory [default: 50MB]
    #[arg(long, value_name = "BYTES")]
    disk_free_limit: Option<String>,
}

impl Options {
    /// The configuration keys that were given as flags.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Given)> {
        let bind = (!self.bind.is_empty()).then(|| ("bind", Given::List(self.bind.clone())));
        let singles = [
            ("port", &self.port),
            ("tls_port", &self.tls_port),
            ("tls_cert_file", &self.tls_cert_file),
            ("tls_key_file", &self.tls_key_file),
            ("tls_ca_file", &self.tls_ca_file),
            ("tls_verify", &self.tls_verify),
            ("tls_fail_if_no_peer_cert", &self.tls_fail_if_no_peer_cert),
            ("tls_versions", &self.tls_versions),
            ("tls_login_from", &self.tls_login_from),
            ("management_port", &self.management_port),
            ("management_tls_port", &self.management_tls_port),
            ("prometheus_port", &self.prometheus_port),
            ("prometheus_tls_port", &self.prometheus_tls_port),
            ("ready_file", &self.ready_file),
            ("log_level", &self.log_level),
            ("log_format", &self.log_format),
            ("frame_max", &self.frame_max),
            ("channel_max", &self.channel_max),
            ("heartbeat", &self.heartbeat),
            ("max_message_size", &self.max_message_size),
            ("max_connections", &self.max_connections),
            ("memory_high_watermark", &self.memory_high_watermark),
            ("data_dir", &self.data_dir),
            ("durability", &self.durability),
            ("disk_free_limit", &self.disk_free_limit),
        ];
        let given = |(key, text): (_, &Option<String>)| Some((key, Given::Text(text.clone()?)));
        bind.into_iter().chain(singles.into_iter().filter_map(given))
    }

    /// Options that stand in a variable, as on a command line: words with spaces between them, which quotes hold
    /// together.
    ///
    /// # Errors
    /// What is wrong with them, in one line.
    pub(super) fn of_text(text: &str) -> Result<Self, String> {
        use clap::Args as _;
        let line = Self::augment_args(clap::Command::new("LEVERET_ARGS")).no_binary_name(true);
        let matches = line.disable_help_flag(true).try_get_matches_from(words(text));
        let read = matches.and_then(|matches| Self::from_arg_matches(&matches));
        read.map_err(|error| match Stop::of(&error, "leveret serve --help") {
            Stop::Answer(line) | Stop::Usage(line) => line,
        })
    }

    /// The configuration file that was asked for.
    pub(super) fn config_file(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// The data directory that was asked for.
    pub(super) fn data_dir(&self) -> Option<PathBuf> {
        self.data_dir.as_ref().map(PathBuf::from)
    }

    /// Whether unknown keys in the configuration file are an error.
    pub(super) fn strict_config(&self) -> bool {
        self.strict_config
    }

    fn is_empty(&self) -> bool {
        self.config.is_none() && !self.strict_config && self.given().next().is_none()
    }
}

impl Args {
    /// A broker with these options.
    pub(super) fn with(options: Options) -> Self {
        Self { of_rabbitmq: false, command: None, options }
    }

    /// The broker's options: those before `serve`, and those after it, which win.
    fn options(&self) -> impl DoubleEndedIterator<Item = &Options> {
        let after = match &self.command {
            Some(Command::Serve(options)) => Some(&**options),
            _ => None,
        };
        std::iter::once(&self.options).chain(after)
    }

    /// The configuration file that was asked for.
    pub(super) fn config_file(&self) -> Option<&str> {
        self.options().rev().find_map(Options::config_file)
    }

    /// The same, called as RabbitMQ's server.
    #[must_use]
    pub(super) fn called_as_rabbitmq(mut self) -> Self {
        self.of_rabbitmq = true;
        self
    }

    /// Whether it was called as RabbitMQ's server.
    pub(super) fn is_of_rabbitmq(&self) -> bool {
        self.of_rabbitmq
    }

    /// Whether unknown keys in the configuration file are an error.
    pub(super) fn strict_config(&self) -> bool {
        self.options().any(Options::strict_config)
    }

    /// The configuration keys that were given as flags.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Given)> {
        self.options().flat_map(Options::given)
    }

    /// What is to be done; none: run the broker.
    pub(super) fn task(&self) -> Option<&Command> {
        self.command.as_ref()
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
        let mut text = error.render().to_string();
        if !error.use_stderr() {
            return Self::Answer(text);
        }
        // It repeats what was given, a password in a URI as well.
        if let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidValue)
            && given.contains('@')
        {
            text = text.replace(given, &without_login(given));
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
    let line = shared_options_behind_the_command(args.into_iter().collect());
    let args = Args::try_parse_from(&line).map_err(|error| Stop::of(&error, &help_of(&line)))?;
    let is_of_the_broker = matches!(&args.command, None | Some(Command::Serve(_)));
    if !is_of_the_broker && !args.options.is_empty() {
        let line = "options before a command are those of 'leveret serve'; write the command's own behind it";
        return Err(Stop::Usage(format!("{line}, see '{}'", help_of(&["leveret".into()]))));
    }
    Ok(args)
}

/// `leveret --url URL status` is `leveret status --url URL`. The options that all commands about a broker share may stand
/// before the command, where some of the server's have the same names: the command tells whose they are. A line with
/// any other word before the command is left as it is.
fn shared_options_behind_the_command(mut line: Vec<OsString>) -> Vec<OsString> {
    let about_a_broker =
        |word: &OsString| word.to_str().is_some_and(<Box<Admin> as Subcommand>::has_subcommand);
    // A value may be called like a command; then the first that has options only before it is meant.
    for at in 2..line.len() {
        if !about_a_broker(&line[at]) {
            continue;
        }
        let program = Args::command();
        let command = line[at].to_str().and_then(|name| program.find_subcommand(name));
        if command.is_some_and(|command| are_shared_options(command, &line[1..at])) {
            line[1..=at].rotate_right(1);
            break;
        }
    }
    line
}

/// Whether these words are options, with their values, that a command shares with the commands below it.
fn are_shared_options(command: &clap::Command, words: &[OsString]) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(word) = word.to_str() else { return false };
        // How it is named, and whether its value is in the same word.
        let (found, has_value) = if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
            let found = command.get_arguments().find(|arg| arg.get_long() == Some(name));
            (found, value.is_some())
        } else if let Some(short) = word.strip_prefix('-').and_then(|rest| rest.chars().next()) {
            let found = command.get_arguments().find(|arg| arg.get_short() == Some(short));
            (found, word.len() > 1 + short.len_utf8())
        } else {
            return false;
        };
        let Some(option) = found.filter(|arg| arg.is_global_set()) else { return false };
        let needs_value = option.get_action().takes_values() && !has_value;
        if needs_value && words.next().is_none() {
            return false;
        }
    }
    true
}

/// Where there is help for the command that a line names: `leveret queue --help`.
fn help_of(line: &[OsString]) -> String {
    let mut command = &Args::command();
    let mut help = String::from("leveret");
    let words = line.iter().skip(1).filter_map(|word| word.to_str());
    for word in words.skip_while(|word| word.starts_with('-')) {
        let Some(named) = command.find_subcommand(word) else { break };
        command = named;
        help = format!("{help} {word}");
    }
    format!("{help} --help")
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
    fn a_password_in_a_uri_is_not_repeated() {
        for line in [
            "leveret perf -h amqp://u:s3cret@h:x",
            "leveret perf idle connections -h amqp://u:s3cret@h:x",
        ] {
            let Stop::Usage(text) = parse(line).unwrap_err() else { panic!("{line} is help") };
            assert!(!text.contains("s3cret") && text.contains("'amqp://***@h:x'"), "{text}");
        }
    }

    #[test]
    fn each_command_has_its_own_help() {
        for (line, help) in [
            ("leveret queue lst", "leveret queue --help"),
            ("leveret queue declare", "leveret queue declare --help"),
            ("leveret publish --nonsense", "leveret publish --help"),
            ("leveret serve --nonsense", "leveret serve --help"),
        ] {
            let Stop::Usage(text) = parse(line).unwrap_err() else { panic!("{line} is help") };
            assert!(text.ends_with(&format!("; see '{help}'")), "{text}");
        }
    }

    #[test]
    fn options_of_the_broker_are_no_options_of_other_commands() {
        for line in ["leveret --port 1 queue list", "leveret --strict-config perf"] {
            let Stop::Usage(text) = parse(line).unwrap_err() else { panic!("{line} is help") };
            assert!(text.starts_with("options before a command are those of 'leveret serve'"));
        }
    }

    #[test]
    fn what_commands_about_a_broker_share_may_stand_before_them() {
        for (line, same) in [
            ("leveret --url http://h:1 status", "leveret status --url http://h:1"),
            (
                "leveret --url=http://h:1 -fjson -V v queue list",
                "leveret queue -fjson list --url http://h:1 -V v",
            ),
            // The server has options of these names as well.
            (
                "leveret --tls-cert-file c --tls-key-file=k --insecure top",
                "leveret top --insecure --tls-cert-file c --tls-key-file k",
            ),
            ("leveret --user status -p get get q", "leveret get q --user status -p get"),
        ] {
            let [line, same] = [line, same].map(|line| format!("{:?}", parse(line).unwrap()));
            assert_eq!(line, same);
        }
        // These are nobody's but the server's, or the command's own.
        for line in ["leveret --tls-cert-file c", "leveret --tls-cert-file c serve"] {
            assert_eq!(given(line), [("tls_cert_file", Given::Text("c".to_owned()))]);
        }
        for line in ["leveret --count 2 get q", "leveret --url", "leveret --url u serve"] {
            assert!(matches!(parse(line), Err(Stop::Usage(_))), "{line}");
        }
    }

    /// clap finds what contradicts itself when a command is built.
    #[test]
    fn no_command_contradicts_itself() {
        Args::command().debug_assert();
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
