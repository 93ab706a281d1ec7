//! Why there is no TLS with these files.

use std::io;
use std::path::PathBuf;

use tokio_rustls::rustls;

/// Why there is no TLS with these files: one line, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// One key needs another.
    #[error("{given} is set, and {missing} is not: set both, or neither")]
    Incomplete {
        /// The key that is set.
        given: &'static str,
        /// The key that it needs.
        missing: &'static str,
    },
    /// A file can't be read.
    #[error("cannot read {key} {}: {source}", path.display())]
    Unreadable {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file has no certificate.
    #[error(
        "{key} {} has no certificate: it must be in PEM form, with a line \
         -----BEGIN CERTIFICATE-----", path.display()
    )]
    NoCertificate {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key.
    #[error(
        "tls_key_file {} has no private key: it must be in PEM form, with a line \
         -----BEGIN PRIVATE KEY-----", path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key has a passphrase.
    #[error(
        "the private key in tls_key_file {} is encrypted: decrypt it with \
         'openssl pkey -in FILE -out NEWFILE', and let nobody else read the result", path.display()
    )]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key of a kind that is not known here.
    #[error("cannot use the private key in tls_key_file {}: {reason}", path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: rustls::Error,
    },
    /// A certificate that can't be read.
    #[error("cannot use a certificate in {key} {}: {reason}", path.display())]
    UnusableCertificate {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The files do not belong together.
    #[error(
        "the private key in tls_key_file {} is not the one of the certificate in tls_cert_file {}",
        key_file.display(), cert_file.display()
    )]
    KeyMismatch {
        /// The certificate's file.
        cert_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
    },
    /// A certificate that nobody would accept.
    #[error("the certificate in tls_cert_file {} expired at {at}: renew it", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        at: String,
    },
    /// A certificate that nobody would accept yet.
    #[error(
        "the certificate in tls_cert_file {} is not valid before {at}: check this machine's clock",
        path.display()
    )]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When it is.
        at: String,
    },
    /// Nobody's certificate could be verified.
    #[error("tls_verify is peer, so tls_ca_file must name the CAs of clients' certificates")]
    NoClientCa,
    /// A client without a certificate can't be told from others if none is asked for.
    #[error("tls_fail_if_no_peer_cert is true, so tls_verify must be peer")]
    NothingAskedFor,
    /// The cryptography does not go together.
    #[error("TLS is not possible with these settings: {0}")]
    Settings(rustls::Error),
}
