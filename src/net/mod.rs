//! Sockets. The async runtime, and the clock, start here.

mod clock;
mod connection;
mod listener;
mod server;
mod timers;

pub use self::clock::{epoch, now};
pub use self::server::{Server, ServerError, listen};
