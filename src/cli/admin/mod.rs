//! Commands about a running broker. They talk to its management API, on this machine or another.

mod assignment;
mod binding;
mod channel;
mod connection;
mod consumer;
mod definitions;
mod error;
mod exchange;
mod get;
mod health;
mod noun;
mod parameter;
mod peek;
mod permission;
mod policy;
mod publish;
mod purge;
mod queue;
mod session;
mod status;
mod top;
mod topic_permission;
mod user;
mod vhost;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Subcommand;

use self::error::AdminError;
use self::noun::{Noun, Single};
use super::environment::Environment;
use super::output::one_line;

/// What can be done with a running broker.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Admin {
    /// Exchanges: declare, delete, list, show, bindings
    Exchange(Noun<exchange::ExchangeCommand>),
    /// Queues: declare, delete, list, show, purge, get, peek, scheduled
    Queue(Noun<queue::QueueCommand>),
    /// Bindings: declare, delete, list
    Binding(Noun<binding::BindingCommand>),
    /// Publish a message
    Publish(Single<publish::Publish>),
    /// Take messages from a queue, or look at them
    Get(Single<get::Get>),
    /// Remove all ready messages of a queue
    Purge(Single<purge::Purge>),
    /// Users: add, delete, list, password, tags, limits
    User(Noun<user::UserCommand>),
    /// What users may do in a vhost: set, clear, list
    Permission(Noun<permission::PermissionCommand>),
    /// What users may do with the routing keys of an exchange: set, clear, list
    TopicPermission(Noun<topic_permission::TopicPermissionCommand>),
    /// Vhosts: add, delete, list, limits
    Vhost(Noun<vhost::VHostCommand>),
    /// Policies, and operator policies: set, delete, list
    Policy(Noun<policy::PolicyCommand>),
    /// Runtime parameters: set, delete, list
    Parameter(Noun<parameter::ParameterCommand>),
    /// Definitions of everything but messages: export, import
    Definitions(Noun<definitions::DefinitionsCommand>),
    /// Client connections: list, show, close
    Connection(Noun<connection::ConnectionCommand>),
    /// Channels: list
    Channel(Noun<channel::ChannelCommand>),
    /// Consumers: list
    Consumer(Noun<consumer::ConsumerCommand>),
    /// Show what the broker is and holds
    Status(Single<status::Status>),
    /// Check that the broker is well; exit code 69 if it is not
    Health(Single<health::Health>),
    /// Watch the busiest queues
    Top(Single<top::Top>),
}

impl Admin {
    /// Does what the command line says.
    pub(super) fn run(
        self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> ExitCode {
        let environment = Environment::of(environment);
        let mut out = BufWriter::new(io::stdout().lock());
        let done = self.execute(&environment, &mut out);
        match done.and_then(|()| out.flush().map_err(Into::into)) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads has enough.
            Err(AdminError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::SUCCESS
            }
            Err(error) => {
                // What was printed before stands before it.
                drop(out);
                let _ = writeln!(io::stderr(), "leveret: {}", one_line(&error.to_string()));
                ExitCode::from(error.exit_code())
            }
        }
    }

    fn execute(self, environment: &Environment, out: &mut dyn Write) -> Result<(), AdminError> {
        match self {
            Self::Exchange(noun) => noun.execute(environment, out),
            Self::Queue(noun) => noun.execute(environment, out),
            Self::Binding(noun) => noun.execute(environment, out),
            Self::Publish(verb) => verb.execute(environment, out),
            Self::Get(verb) => verb.execute(environment, out),
            Self::Purge(verb) => verb.execute(environment, out),
            Self::User(noun) => noun.execute(environment, out),
            Self::Permission(noun) => noun.execute(environment, out),
            Self::TopicPermission(noun) => noun.execute(environment, out),
            Self::Vhost(noun) => noun.execute(environment, out),
            Self::Policy(noun) => noun.execute(environment, out),
            Self::Parameter(noun) => noun.execute(environment, out),
            Self::Definitions(noun) => noun.execute(environment, out),
            Self::Connection(noun) => noun.execute(environment, out),
            Self::Channel(noun) => noun.execute(environment, out),
            Self::Consumer(noun) => noun.execute(environment, out),
            Self::Status(verb) => verb.execute(environment, out),
            Self::Health(verb) => verb.execute(environment, out),
            Self::Top(verb) => verb.execute(environment, out),
        }
    }
}
