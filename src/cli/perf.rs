//! `leveret perf`: the load generator's flags, and what it prints.
//!
//! Where RabbitMQ's PerfTest has an option, it has the same name here.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;

use super::EXIT_USAGE;
use super::args::Stop;
use super::perf_tls::TlsArgs;
use super::scenarios::Scenario;
use crate::net::now;
use crate::perf::{
    Control, Exchange, PerfError, Plan, Progress, Queues, Uri, churn, expire, idle,
    parse_arguments, run,
};

/// The command line after `leveret perf`.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "leveret perf",
    bin_name = "leveret perf",
    disable_help_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    about = "Publish and consume as fast as a broker can, and measure it",
    after_help = "Works with any AMQP 0-9-1 broker. Without --pmessages, --cmessages or --time it goes on \
                  until it is interrupted.\n\n\
                  Examples:\n  \
                  leveret perf --time 10\n  \
                  leveret perf -f persistent -c 1000 -s 1024 -y 0 -C 100000 --pid $(pidof leveret)\n  \
                  leveret perf --drain -C 1000000 -s 100 -q 1000 -A 100\n  \
                  leveret perf --fanout 100 -f persistent -c 100 -C 10000\n  \
                  leveret perf --type topic --bindings 1000 --verify -s 32 --time 5\n  \
                  leveret perf churn connections --time 5\n  \
                  leveret perf idle connections --count 2000 --pid $(pidof leveret)"
)]
pub(super) struct PerfArgs {
    #[command(subcommand)]
    scenario: Option<Scenario>,

    /// The broker
    #[arg(long, short = 'h', value_name = "URI", default_value = "amqp://localhost")]
    uri: Uri,

    #[command(flatten)]
    tls: TlsArgs,

    /// Connections that publish
    #[arg(long, short = 'x', value_name = "N", default_value_t = 1)]
    producers: usize,

    /// Connections that consume
    #[arg(long, short = 'y', value_name = "N", default_value_t = 1)]
    consumers: usize,

    /// Bytes of a message's body; latency is measured from 12 on
    #[arg(long, short = 's', value_name = "BYTES", default_value_t = 12)]
    size: usize,

    /// Ask for confirms, and let so many publishes of a producer wait for theirs; 0 for no confirms
    #[arg(long, short = 'c', value_name = "N", default_value_t = 0)]
    confirm: usize,

    /// Acknowledge so many deliveries at a time
    #[arg(long, short = 'A', value_name = "N", default_value_t = 1)]
    multi_ack_every: u64,

    /// Consume without acknowledgements
    #[arg(long, short = 'a')]
    autoack: bool,

    /// Deliveries that a consumer may have unacknowledged; 0 for no limit
    #[arg(long, short = 'q', value_name = "N", default_value_t = 0)]
    qos: u16,

    /// Publishes a second of each producer [default: as many as the broker takes]
    #[arg(long, short = 'r', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,

    /// Messages that each producer publishes
    #[arg(long, short = 'C', value_name = "N")]
    pmessages: Option<u64>,

    /// Messages that each consumer consumes
    #[arg(long, short = 'D', value_name = "N")]
    cmessages: Option<u64>,

    /// Seconds to run
    #[arg(long, short = 'z', value_name = "SECONDS")]
    time: Option<u64>,

    /// Give up a run of --pmessages or --cmessages in which nothing happens for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    idle_timeout: u64,

    /// The queue; may be repeated [default: a queue of the run's own, deleted at its end]
    #[arg(long, short = 'u', value_name = "NAME")]
    queue: Vec<String>,

    /// Queues of the run's own, deleted at its end
    #[arg(long, value_name = "N", conflicts_with_all = ["queue", "queue_pattern", "fanout"],
          value_parser = clap::value_parser!(u32).range(1..))]
    queues: Option<u32>,

    /// Queues with names such as perf-%d, or %03d, from --queue-pattern-from to --queue-pattern-to
    #[arg(long, value_name = "PATTERN", conflicts_with = "queue", requires = "queue_pattern_to")]
    queue_pattern: Option<String>,

    /// The first number of --queue-pattern
    #[arg(long, value_name = "N", default_value_t = 1)]
    queue_pattern_from: u64,

    /// The last number of --queue-pattern
    #[arg(long, value_name = "N", requires = "queue_pattern")]
    queue_pattern_to: Option<u64>,

    /// Arguments of the queues, such as x-max-length=1000,x-queue-type=quorum
    #[arg(long, value_name = "NAME=VALUE,...", default_value = "")]
    queue_args: String,

    /// Have queues go with their last consumer
    #[arg(long)]
    auto_delete: bool,

    /// Publish to this exchange [default: the default exchange]
    #[arg(long, short = 'e', value_name = "NAME")]
    exchange: Option<String>,

    /// The exchange's type [default: direct]
    #[arg(long, short = 't', value_name = "TYPE")]
    r#type: Option<String>,

    /// Routing key of messages and bindings [default: the queue's name]
    #[arg(long, short = 'k', value_name = "KEY")]
    routing_key: Option<String>,

    /// Bind so often, to the queues in turn, by keys or headers of which each message matches one
    #[arg(long, value_name = "N", requires = "type", conflicts_with_all = ["routing_key", "predeclared"],
          value_parser = clap::value_parser!(u32).range(1..))]
    bindings: Option<u32>,

    /// Give messages this many priorities in turn, from 0, and the queues as many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    priorities: Option<u8>,

    /// Check every message that arrives: report what is lost, damaged, there twice or out of order
    #[arg(long)]
    verify: bool,

    /// Message flags: persistent (queues are durable, too), mandatory; may be repeated
    #[arg(long, short = 'f', value_name = "FLAG", value_delimiter = ',')]
    flag: Vec<Flag>,

    /// Declare nothing: exchanges, queues and bindings are there
    #[arg(long, short = 'p')]
    predeclared: bool,

    /// Publish --pmessages first, and consume them then
    #[arg(long)]
    drain: bool,

    /// Publish to a fanout exchange with this many queues
    #[arg(long, value_name = "QUEUES", conflicts_with_all = ["queue", "queue_pattern", "type"],
          value_parser = clap::value_parser!(u32).range(1..))]
    fanout: Option<u32>,

    /// Threads that connections are spread over
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,

    /// Report processor time, memory and disk writes of this process; may be repeated
    #[arg(long, alias = "broker-pid", value_name = "PID")]
    pid: Vec<u32>,

    /// Print the report as JSON and no progress; with a file, write it there, too
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    json: Option<String>,

    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Flag {
    Persistent,
    Mandatory,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum MeasureError {
    #[error(transparent)]
    Perf(#[from] PerfError),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("cannot write the report to {path}: {source}")]
    Json { path: String, source: io::Error },
}

/// `leveret perf`; the arguments are those after `perf`.
pub(super) fn run_perf(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (args, plan) = match parse(args) {
        Ok(parsed) => parsed,
        Err(stop) => return stop.report(),
    };
    let measured = match &args.scenario {
        Some(scenario) => measure_scenario(scenario),
        None => measure(&args, &plan),
    };
    match measured {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(problem)) => failed(&problem),
        Err(error @ MeasureError::Perf(PerfError::Plan(_))) => {
            failed(&error.to_string());
            ExitCode::from(EXIT_USAGE)
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(problem: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "leveret: {problem}");
    ExitCode::FAILURE
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<(PerfArgs, Plan), Stop> {
    let args = [OsString::from("leveret perf")].into_iter().chain(args);
    let mut args =
        PerfArgs::try_parse_from(args).map_err(|error| Stop::of(&error, "leveret perf --help"))?;
    let secured = match &mut args.scenario {
        Some(scenario) => scenario.common_mut().secure(),
        None => args.tls.apply(&mut args.uri),
    };
    secured.map_err(|error| Stop::Usage(error.to_string()))?;
    let plan = args.plan().map_err(|error| Stop::Usage(error.to_string()))?;
    Ok((args, plan))
}

/// Runs it and prints everything. What is returned is what went wrong all the same.
fn measure(args: &PerfArgs, plan: &Plan) -> Result<Option<String>, MeasureError> {
    let output = Output { json: args.json.as_deref() };
    let stop = prepare()?;
    let report = run(plan, now, &stop, &mut |progress: &Progress| output.tell(progress))?;
    output.print(&report)?;
    Ok(report.problem)
}

fn measure_scenario(scenario: &Scenario) -> Result<Option<String>, MeasureError> {
    let output = Output { json: scenario.common().json.as_deref() };
    let stop = prepare()?;
    let mut tell = |line: &dyn Display| output.tell(line);
    let mut control = Control { now, stop: &stop, progress: &mut tell };
    match scenario {
        Scenario::Churn(args) => output.print(&churn(&args.plan(), &mut control)?)?,
        Scenario::Idle(args) => output.print(&idle(&args.plan(), &mut control)?)?,
        Scenario::Expire(args) => output.print(&expire(&args.plan(), &mut control)?)?,
    }
    Ok(None)
}

/// What is set by Ctrl-C, and room for as many connections as the system lets us have.
fn prepare() -> Result<Arc<AtomicBool>, MeasureError> {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let stop = Arc::new(AtomicBool::new(false));
    stop_at_interrupt(&stop).map_err(MeasureError::Signals)?;
    Ok(stop)
}

/// Where progress and report go.
#[derive(Debug, Clone, Copy)]
struct Output<'a> {
    /// A file for JSON, or `-` for JSON in the place of text.
    json: Option<&'a str>,
}

impl Output<'_> {
    fn tell(self, line: impl Display) {
        if self.json != Some("-") {
            // Nobody may be reading, and that is fine.
            let _ = writeln!(io::stdout(), "{line}");
        }
    }

    fn print(self, report: &(impl Serialize + Display)) -> Result<(), MeasureError> {
        let json = serde_json::to_string_pretty(report).unwrap_or_default();
        let _ = match self.json {
            Some("-") => writeln!(io::stdout(), "{json}"),
            None => write!(io::stdout(), "{report}"),
            Some(path) => {
                fs::write(path, format!("{json}\n"))
                    .map_err(|source| MeasureError::Json { path: path.to_owned(), source })?;
                write!(io::stdout(), "{report}")
            }
        };
        Ok(())
    }
}

/// Ctrl-C ends the run, and the report is printed all the same.
fn stop_at_interrupt(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.store(true, Ordering::Relaxed);
            }
            // Again is somebody who does not want to wait.
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    });
    Ok(())
}

impl PerfArgs {
    fn plan(&self) -> Result<Plan, PerfError> {
        let generated = self.fanout.or(self.queues).unwrap_or(1) as usize;
        let kind = if self.fanout.is_some() { Some("fanout") } else { self.r#type.as_deref() };
        // The default exchange has no name, and is there.
        let name = self.exchange.clone().filter(|name| !name.is_empty());
        let exchange = (kind.is_some() || name.is_some())
            .then(|| Exchange { name, kind: kind.unwrap_or("direct").to_owned() });
        Ok(Plan {
            uri: self.uri.clone(),
            producers: self.producers,
            consumers: self.consumers,
            size: self.size,
            confirm_window: Some(self.confirm).filter(|window| *window > 0),
            ack_every: self.multi_ack_every,
            auto_ack: self.autoack,
            prefetch: self.qos,
            rate: self.rate,
            publish_count: self.pmessages,
            consume_count: self.cmessages,
            duration: self.time.map(Duration::from_secs),
            idle_timeout: Duration::from_secs(self.idle_timeout),
            persistent: self.flag.contains(&Flag::Persistent),
            mandatory: self.flag.contains(&Flag::Mandatory),
            queues: Queues {
                names: self.queue_names()?,
                generated,
                arguments: parse_arguments(&self.queue_args)?,
                auto_delete: self.auto_delete,
            },
            exchange,
            routing_key: self.routing_key.clone(),
            bindings: self.bindings,
            priorities: self.priorities,
            verify: self.verify,
            predeclared: self.predeclared,
            drain: self.drain,
            threads: self.threads,
            pids: self.pid.clone(),
        })
    }

    fn queue_names(&self) -> Result<Vec<String>, PerfError> {
        let (Some(pattern), Some(to)) = (&self.queue_pattern, self.queue_pattern_to) else {
            return Ok(self.queue.clone());
        };
        let wrong = |text: String| Err(PerfError::Plan(text));
        let Some((before, width, after)) = split_pattern(pattern) else {
            return wrong(format!("--queue-pattern '{pattern}' has no %d"));
        };
        if to < self.queue_pattern_from {
            return wrong("--queue-pattern-to is below --queue-pattern-from".to_owned());
        }
        let numbers = self.queue_pattern_from..=to;
        Ok(numbers.map(|number| format!("{before}{number:0width$}{after}")).collect())
    }
}

/// What is before and after a `%d` or `%04d`, and how many digits it has at least.
fn split_pattern(pattern: &str) -> Option<(&str, usize, &str)> {
    let (before, rest) = pattern.split_once('%')?;
    let (width, after) = rest.split_once('d')?;
    let width = if width.is_empty() { 0 } else { width.parse().ok()? };
    Some((before, width, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::{Churned, Idle};

    fn plan(line: &str) -> Result<Plan, Stop> {
        Ok(parse(line.split_whitespace().map(OsString::from))?.1)
    }

    fn refusal(line: &str) -> String {
        match plan(line).unwrap_err() {
            Stop::Usage(line) => line,
            Stop::Answer(text) => panic!("{text}"),
        }
    }

    #[test]
    fn options_have_the_names_of_perftest() {
        let plan = plan(
            "-h amqp://h:1 -x 2 -y 3 -s 100 -c 50 -A 10 -q 20 -r 500 -C 7 -D 8 -z 9 -u one -e x -t topic \
             -k key -f persistent -f mandatory --queue-args x-max-length=5 --pid 1 --pid 2",
        )
        .unwrap();
        assert_eq!((plan.uri.host.as_str(), plan.uri.port), ("h", 1));
        assert_eq!((plan.producers, plan.consumers, plan.size), (2, 3, 100));
        assert_eq!((plan.confirm_window, plan.ack_every, plan.prefetch), (Some(50), 10, 20));
        assert_eq!(
            (plan.rate, plan.publish_count, plan.consume_count),
            (Some(500), Some(7), Some(8))
        );
        assert_eq!(plan.duration, Some(Duration::from_secs(9)));
        assert_eq!(plan.queues.names, ["one"]);
        assert!(
            plan.persistent && plan.mandatory && plan.queues.arguments.contains("x-max-length")
        );
        assert_eq!(plan.pids, [1, 2]);
    }

    #[test]
    fn queue_patterns_count() {
        let names = |line: &str| plan(line).unwrap().queues.names;
        assert_eq!(names("--queue-pattern q-%d --queue-pattern-to 3"), ["q-1", "q-2", "q-3"]);
        let line = "--queue-pattern q%03dx --queue-pattern-from 9 --queue-pattern-to 10";
        assert_eq!(names(line), ["q009x", "q010x"]);
        assert!(refusal("--queue-pattern q --queue-pattern-to 3").contains("has no %d"));
    }

    #[test]
    fn a_fanout_makes_its_own_queues() {
        let plan = plan("--fanout 100").unwrap();
        assert_eq!(plan.queues.generated, 100);
        assert_eq!(plan.exchange.unwrap().kind, "fanout");
        assert!(refusal("--fanout 0").starts_with("invalid value '0' for '--fanout <QUEUES>'"));
    }

    #[test]
    fn scenarios_have_options_of_their_own() {
        let scenario = |line: &str| {
            let args = parse(line.split_whitespace().map(OsString::from)).unwrap().0;
            args.scenario.unwrap()
        };
        let Scenario::Churn(args) = scenario("churn durable-queues -x 2 -z 3 --json") else {
            panic!("something else")
        };
        let plan = args.plan();
        assert_eq!(plan.what, Churned::Queues { durable: true });
        assert_eq!((plan.clients, plan.duration), (2, Some(Duration::from_secs(3))));
        let Scenario::Idle(args) = scenario("idle consumers -n 20 --pid 7") else {
            panic!("something else")
        };
        assert_eq!((args.plan().what, args.plan().count), (Idle::Consumers, 20));
        assert_eq!(args.plan().pids, [7]);
        let Scenario::Expire(args) = scenario("expire --ttl 4") else { panic!("something else") };
        assert_eq!(args.plan().time_to_live, Duration::from_secs(4));
        assert!(refusal("churn").contains("<WHAT>"));
        assert!(
            refusal("-x 2 churn queues").contains("cannot be used"),
            "{}",
            refusal("-x 2 churn queues")
        );
    }

    /// The command lines of `scripts/compare` are of this version.
    #[test]
    fn what_the_comparison_calls_is_understood() {
        let data: toml::Table = include_str!("../../scripts/compare.toml").parse().unwrap();
        let rows = |name: &str| data[name].as_array().unwrap();
        let mut lines = 0;
        for row in rows("row").iter().chain(rows("growth")) {
            for key in ["args", "quick", "small", "large", "small_beside", "large_beside"] {
                let Some(line) = row.get(key) else { continue };
                let line = line.as_str().unwrap().replace("{seconds}", "1");
                assert!(plan(&line).is_ok(), "{line}");
                lines += 1;
            }
        }
        assert!(lines > 40, "{lines}");
    }

    #[test]
    fn a_wrong_option_is_one_line() {
        assert_eq!(
            refusal("--prducers 1"),
            "unexpected argument '--prducers' found; see 'leveret perf --help'"
        );
        assert!(refusal("--uri localhost").contains("there is no scheme"));
        assert!(matches!(plan("--help").unwrap_err(), Stop::Answer(_)));
    }
}
