//! RabbitMQ's own configuration: `rabbitmq.conf`, and the variables `RABBITMQ_*`. Each key of it becomes one of
//! leveret's, has no effect here, or is about something that leveret does not have.

mod erlang_args;
mod known;
mod meaning;
mod places;
#[cfg(test)]
mod reference;
mod sysctl;
mod variables;

pub(super) use erlang_args::{application_settings, words};
pub(super) use meaning::{Meaning, VHostLimitPart, meaning};
pub(super) use places::Places;
#[cfg(test)]
pub(super) use reference::reference;
pub(super) use sysctl::{Line, lines};
pub(super) use variables::{Variable, variable};
