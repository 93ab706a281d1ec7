//! Sockets. The async runtime, and the clock, start here.

mod clock;
mod connection;
mod listener;
mod server;

pub use self::clock::now;
pub use self::server::{Server, ServerError};
