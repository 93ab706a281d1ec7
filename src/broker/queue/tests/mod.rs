//! The queue on a clock of its own: no test sleeps, each says what time it is.

mod support;

mod delivery;
mod groups;
mod life;
mod redelivery;
mod time_to_live;
