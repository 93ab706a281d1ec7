//! The management HTTP API and the metrics: RabbitMQ's paths and field names.
//!
//! Handlers stand in files by resource. What they show is exact at the moment of reading: queues and
//! exchanges are looked at under their locks, connections are asked ([`crate::session::Host::ask_connections`]).

mod access;
mod admission;
mod bindings;
mod body;
mod caller;
mod change;
mod channels;
mod connections;
mod consumers;
mod definitions;
mod exchanges;
mod forms;
mod health;
mod limits;
mod listing;
mod messages;
mod metrics;
mod nodes;
mod openapi;
mod overview;
mod parameters;
mod path;
mod peek;
mod permissions;
mod policies;
mod problem;
mod process;
mod properties_key;
mod queues;
mod rates;
mod router;
mod server;
mod settings;
mod site;
mod summary;
mod tls;
mod users;
mod vhosts;

pub use self::admission::CONNECTIONS_MAX;
pub use self::server::{Endpoint, Server, Service};
pub use self::site::{Identity, Listening, Site};
