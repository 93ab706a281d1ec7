//! lapin, a client library in wide use, against a broker in the same process: what an application
//! sees. `tests/interop/` has the same for clients of other languages.

#![expect(clippy::unwrap_used, reason = "a test")]

mod connections;
mod consuming;
mod content;
mod publishing;
mod routing;
mod support;
mod topology;
