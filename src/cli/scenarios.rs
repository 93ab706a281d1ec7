//! `leveret perf churn`, `idle` and `expire`: flags of the scenarios that are no stream of messages.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::api::AddressError;
use super::perf_tls::TlsArgs;
use crate::perf::{ChurnPlan, Churned, ExpiryPlan, Idle, IdlePlan, Uri};

/// What to measure instead of a stream of messages.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Scenario {
    /// Have connections, channels, queues or bindings come and go
    Churn(ChurnArgs),
    /// Make connections, consumers or queues that do nothing, and look at the memory they take
    Idle(IdleArgs),
    /// Have messages expire all at once, and see what others wait
    Expire(ExpireArgs),
}

/// What all of them have.
#[derive(Debug, Clone, Args)]
pub(super) struct Common {
    /// The broker
    #[arg(long, short = 'h', value_name = "URI", default_value = "amqp://localhost")]
    uri: Uri,

    #[command(flatten)]
    tls: TlsArgs,

    /// Report the use of this process; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,

    /// Print the report as JSON and no progress; with a file, write it there, too
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(super) json: Option<String>,

    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Clone, Args)]
#[command(disable_help_flag = true)]
pub(super) struct ChurnArgs {
    /// What comes and goes: a connection, a channel of one, a queue that is declared, bound and deleted, or a binding
    what: ChurnedArg,

    /// Clients that do it at the same time, each waiting for every answer
    #[arg(long, short = 'x', value_name = "N", default_value_t = 4)]
    clients: usize,

    /// How often in all [default: until --time is over]
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,

    /// Seconds to run [default: until --count is reached, or it is interrupted]
    #[arg(long, short = 'z', value_name = "SECONDS")]
    time: Option<u64>,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChurnedArg {
    Connections,
    Channels,
    Queues,
    DurableQueues,
    Bindings,
}

#[derive(Debug, Clone, Args)]
#[command(disable_help_flag = true)]
pub(super) struct IdleArgs {
    /// What there is: connections without a channel, connections that consume from a queue of their own, or queues with
    /// one message each
    what: IdleArg,

    /// How many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000)]
    count: usize,

    /// Bytes of each message's body
    #[arg(long, short = 's', value_name = "BYTES", default_value_t = 16)]
    size: usize,

    /// Durable queues and persistent messages
    #[arg(long)]
    persistent: bool,

    /// Seconds to leave them alone before memory is looked at
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    rest: u64,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IdleArg {
    Connections,
    Consumers,
    Queues,
}

#[derive(Debug, Clone, Args)]
#[command(disable_help_flag = true)]
pub(super) struct ExpireArgs {
    /// How many messages
    #[arg(long, short = 'n', value_name = "N", default_value_t = 200_000)]
    count: u64,

    /// Bytes of each message's body
    #[arg(long, short = 's', value_name = "BYTES", default_value_t = 16)]
    size: usize,

    /// Seconds from now at which they expire; they have to be published by then
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    ttl: u64,

    /// Messages a second that others exchange meanwhile
    #[arg(long, short = 'r', value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Durable queues and persistent messages
    #[arg(long)]
    persistent: bool,

    #[command(flatten)]
    common: Common,
}

impl Common {
    /// Makes the flags for TLS hold.
    pub(super) fn secure(&mut self) -> Result<(), AddressError> {
        self.tls.apply(&mut self.uri)
    }
}

impl Scenario {
    pub(super) fn common_mut(&mut self) -> &mut Common {
        match self {
            Self::Churn(args) => &mut args.common,
            Self::Idle(args) => &mut args.common,
            Self::Expire(args) => &mut args.common,
        }
    }

    pub(super) fn common(&self) -> &Common {
        match self {
            Self::Churn(args) => &args.common,
            Self::Idle(args) => &args.common,
            Self::Expire(args) => &args.common,
        }
    }
}

impl ChurnArgs {
    pub(super) fn plan(&self) -> ChurnPlan {
        ChurnPlan {
            uri: self.common.uri.clone(),
            what: match self.what {
                ChurnedArg::Connections => Churned::Connections,
                ChurnedArg::Channels => Churned::Channels,
                ChurnedArg::Queues => Churned::Queues { durable: false },
                ChurnedArg::DurableQueues => Churned::Queues { durable: true },
                ChurnedArg::Bindings => Churned::Bindings,
            },
            clients: self.clients,
            count: self.count,
            duration: self.time.map(Duration::from_secs),
            pids: self.common.pid.clone(),
        }
    }
}

impl IdleArgs {
    pub(super) fn plan(&self) -> IdlePlan {
        IdlePlan {
            uri: self.common.uri.clone(),
            what: match self.what {
                IdleArg::Connections => Idle::Connections,
                IdleArg::Consumers => Idle::Consumers,
                IdleArg::Queues => Idle::Queues,
            },
            count: self.count,
            size: self.size,
            persistent: self.persistent,
            rest: Duration::from_secs(self.rest),
            pids: self.common.pid.clone(),
        }
    }
}

impl ExpireArgs {
    pub(super) fn plan(&self) -> ExpiryPlan {
        ExpiryPlan {
            uri: self.common.uri.clone(),
            messages: self.count,
            size: self.size,
            time_to_live: Duration::from_secs(self.ttl),
            probe_rate: self.rate,
            persistent: self.persistent,
            pids: self.common.pid.clone(),
        }
    }
}
