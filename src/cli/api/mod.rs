//! A client of the management HTTP API: where the broker is, who asks, what went wrong.

mod address;
mod client;
mod error;
mod path;
mod profile;
mod tls;

pub(super) use address::{ADDRESS_VARIABLES, Access, Address, AddressError, Wishes};
pub(super) use client::Client;
pub(super) use error::ApiError;
pub(super) use path::ApiPath;
pub(super) use tls::{TlsWishes, Trust};
