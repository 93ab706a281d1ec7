//! TLS for listeners of any protocol: certificates and keys from files, which are read again on demand.

mod error;
mod failure;
mod files;
mod pem;
mod server_tls;

pub use self::error::TlsError;
pub use self::failure::failure;
pub use self::files::{Expiries, Fingerprint, fingerprint};
pub use self::pem::{PemError, certificates, private_key};
pub use self::server_tls::ServerTls;
