//! The crate from outside: recorded bytes, hostile bytes, and streams cut anywhere.

mod captured;
mod hostile;
mod stream;
mod support;
