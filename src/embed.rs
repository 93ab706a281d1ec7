//! A broker inside another program, a test most of all.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use amqp_codec::ShortString;

use crate::auth::{User, Users};
use crate::net::{Server, ServerError};
use crate::session::Host;
use crate::store::MemoryStore;

/// A running broker. Dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    server: Server,
}
