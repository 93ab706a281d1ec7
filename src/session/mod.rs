//! A client attached to a vhost: the conversation on one side, the broker on the other. Still no
//! socket and no clock.

mod access;
mod admin;
mod channel;
mod client;
mod consume;
mod effects;
mod facts;
mod host;
mod login;
mod outbox;
mod pages;
mod policies;
mod publish;
mod registry;
mod reply_to;
mod report;
mod restore;
mod rights;
mod settle;
mod source;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod topology;
mod transaction;

pub use self::admin::{
    AdminError, Decision, Defaults, Fetch, NewPassword, NewUser, Publish, Published, Refused, Taken,
};
pub use self::client::{Client, Peer, Reading};
pub use self::host::{Host, HostSettings, RestoreError};
pub use self::outbox::Wake;
pub use self::report::{
    Alarms, Answer, ChannelReport, ConnectionReport, ConnectionTraffic, ConsumerReport,
};
pub use self::stats::{ChannelStats, Churn, Logins};
