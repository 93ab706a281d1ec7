//! RabbitMQ's own configuration: `rabbitmq.conf`, and the variables `RABBITMQ_*`. Each key of it becomes one of
//! leveret's, has no effect here, or is about something that leveret does not have.

mod applications;
mod duration;
mod erlang_args;
mod known;
mod log;
mod meaning;
mod places;
#[cfg(test)]
mod reference;
mod sysctl;
mod term;
mod variables;
mod vhosts;

pub(super) use applications::{Setting, settings_of_file};
pub(super) use erlang_args::{application_settings, words};
pub(super) use log::{LogPart, category};
pub(super) use meaning::{Meaning, meaning};
pub(super) use places::Places;
#[cfg(test)]
pub(super) use reference::reference;
pub(super) use sysctl::{Line, lines};
pub(super) use term::Malformed;
pub(super) use variables::{Variable, variable};
pub(super) use vhosts::{OfNewVHosts, Part};
