//! A client attached to a vhost: the conversation on one side, the broker on the other. Still no
//! socket and no clock.

mod administration;
mod channel;
mod client;
mod consume;
mod effects;
mod facts;
mod host;
mod outbox;
mod pages;
mod policies;
mod publish;
mod registry;
mod reply_to;
mod report;
mod restore;
mod settle;
mod source;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod topology;
mod transaction;

pub use self::administration::{Decision, Fetch, Publish, PublishRefused, Published, Taken};
pub use self::client::{Client, Peer, Reading};
pub use self::host::{Host, HostSettings};
pub use self::outbox::Wake;
pub use self::report::{
    Alarms, Answer, ChannelReport, ConnectionReport, ConnectionTraffic, ConsumerReport,
};
pub use self::stats::{ChannelStats, Churn, Logins};
