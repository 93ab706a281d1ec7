//! A server's certificate, key and rules, as they are now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::error::TlsError;
use super::files::{Expiries, Fingerprint, Loaded, load};
use crate::auth::Certificate;
use crate::config::TlsOptions;

/// A server's certificate, key and rules, as they are now. Clones are the same: listeners share one, and
/// ask it anew for each connection.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    options: TlsOptions,
    /// For one look at a time.
    config: RwLock<Arc<ServerConfig>>,
    expiries: RwLock<Arc<Expiries>>,
    fingerprint: RwLock<Fingerprint>,
}

impl ServerTls {
    /// Reads the files that the options name. `now` is the time since 1970.
    ///
    /// # Errors
    /// [`TlsError`], for options and files that don't go together, and for a certificate that nobody would
    /// accept.
    pub fn load(options: TlsOptions, now: Duration) -> Result<Self, TlsError> {
        let Loaded { config, expiries, fingerprint, .. } = load(&options, now)?;
        let (config, expiries) = (RwLock::new(config), RwLock::new(Arc::new(expiries)));
        let fingerprint = RwLock::new(fingerprint);
        Ok(Self { shared: Arc::new(Shared { options, config, expiries, fingerprint }) })
    }

    /// Reads the files again: what they say now holds for the next connection, and those that are open
    /// keep what they have. Tells the server's certificate.
    ///
    /// # Errors
    /// [`TlsError`], and nothing changes.
    pub fn reload(&self, now: Duration) -> Result<Certificate, TlsError> {
        let Loaded { config, certificate, expiries, fingerprint } =
            load(&self.shared.options, now)?;
        *self.shared.config.write() = config;
        *self.shared.expiries.write() = Arc::new(expiries);
        *self.shared.fingerprint.write() = fingerprint;
        Ok(certificate)
    }

    /// The SHA-256 of the server's certificate that is in use.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        *self.shared.fingerprint.read()
    }

    /// When the certificates expire that are in use.
    #[must_use]
    pub fn expiries(&self) -> Arc<Expiries> {
        Arc::clone(&self.shared.expiries.read())
    }

    /// Whether the other is a clone of this one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The files they come from.
    #[must_use]
    pub fn options(&self) -> &TlsOptions {
        &self.shared.options
    }

    /// What makes a TLS connection of the next socket.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.shared.config.read()))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
