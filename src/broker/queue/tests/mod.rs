//! The queue on a clock of its own: no test sleeps, each says what time it is.

mod deep;
mod shelf;
mod support;

mod conservation;
mod consumer_priority;
mod consumer_timeout;
mod dead_letters;
mod delay;
mod delivery;
mod expires;
mod groups;
mod in_doubt;
mod life;
mod limits;
mod paging;
mod peek;
mod priorities;
mod redelivery;
mod restart;
mod retry;
mod single_active;
mod stubs;
mod time_to_live;
