//! Where a client comes from, and how its words are kept from others.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::auth::Certificate;

/// Where a client comes from.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The address it came in by.
    pub local: SocketAddr,
    /// TLS, if it speaks it.
    pub encryption: Option<Arc<Encryption>>,
}

/// What was negotiated for a TLS connection, in RabbitMQ's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// The version: `tlsv1.2` or `tlsv1.3`.
    pub protocol: &'static str,
    /// How the keys were agreed on: `ecdhe_rsa`, `ecdhe_ecdsa`; `any` in TLS 1.3, where it is no part of
    /// the cipher suite.
    pub key_exchange: &'static str,
    /// The cipher: `aes_256_gcm`.
    pub cipher: &'static str,
    /// What keeps records from being changed: `aead`, as all ciphers in use do it themselves.
    pub hash: &'static str,
    /// The client's certificate, which one of the CAs in `tls_ca_file` vouches for.
    pub certificate: Option<Certificate>,
}

impl Peer {
    /// How RabbitMQ names the connection: `127.0.0.1:52311 -> 127.0.0.1:5672`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} -> {}", shown(self.address), shown(self.local))
    }

    /// The certificate that the client showed, if it did.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.encryption.as_ref()?.certificate.as_ref()
    }
}

/// An IPv4 address that came in on an IPv6 socket is shown as what it is; none stands in brackets.
fn shown(address: SocketAddr) -> String {
    format!("{}:{}", address.ip().to_canonical(), address.port())
}
