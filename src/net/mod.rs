//! Sockets. The async runtime, and the clock, start here.

mod clock;
mod connection;
mod link;
mod listener;
mod server;
mod timers;
mod tls;

pub use self::clock::{epoch, now, since_1970};
pub use self::server::{Listeners, Server, ServerError, listen};
pub use self::tls::TlsListener;
