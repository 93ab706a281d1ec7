//! The queue on a clock of its own: no test sleeps, each says what time it is.

mod support;

mod consumer_priority;
mod dead_letters;
mod delivery;
mod expires;
mod groups;
mod life;
mod limits;
mod priorities;
mod redelivery;
mod single_active;
mod time_to_live;
