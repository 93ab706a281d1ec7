//! A client attached to a vhost: the conversation on one side, the broker on the other. Still no
//! socket and no clock.

mod access;
mod admin;
mod arrivals;
mod batch;
mod channel;
mod client;
mod consume;
mod departed;
mod effects;
mod events;
mod facts;
mod firehose;
mod host;
mod log_allowance;
mod log_lines;
mod one_line;
mod outbox;
mod own_messages;
mod pages;
mod peer;
mod progress;
mod publish;
mod registry;
mod remembered_routes;
mod reply_to;
mod report;
mod restore;
mod rights;
mod settle;
mod source;
mod stats;
mod stored;
#[cfg(test)]
mod tests;
mod timers;
mod topology;
mod transaction;

pub use self::admin::{
    Acting, AdminError, Decision, Defaults, Definitions, Fetch, ImportError, Imported, InitialUser,
    InvalidDefinitions, NewPassword, NewUser, NewVHosts, Publish, Published, Refused, Taken,
    Visitor,
};
pub use self::arrivals::{Arrival, ArrivalLimits, ArrivalRefused, Arrivals, is_of_client};
pub use self::client::{Client, Reading};
pub use self::departed::Counted;
pub use self::host::{Host, HostSettings, RestoreError};
pub use self::log_allowance::{Line, LogAllowance, Refusals};
pub(crate) use self::one_line::misleads;
pub use self::outbox::Wake;
pub use self::peer::{Encryption, Peer};
pub use self::progress::Progress;
pub use self::report::{
    Alarms, Answer, ChannelReport, ConnectionReport, ConnectionTraffic, ConsumerReport,
};
pub use self::stats::{ChannelStats, Churn, Logins};
pub use self::stored::{DEFINITION_PREFIXES, definition_document};
