//! Certificates and keys in files of PEM form.

use std::fs;
use std::io;
use std::path::Path;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a file does not have what is looked for.
#[derive(Debug)]
pub enum PemError {
    /// It can't be read.
    Unreadable(io::Error),
    /// There is none in it.
    Missing,
    /// It is a private key with a passphrase.
    Encrypted,
}

/// The certificates in a file: one at least.
///
/// # Errors
/// [`PemError`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let text = fs::read(path).map_err(PemError::Unreadable)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    certificates.ok().filter(|found| !found.is_empty()).ok_or(PemError::Missing)
}

/// The first private key in a file.
///
/// # Errors
/// [`PemError`].
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = fs::read(path).map_err(PemError::Unreadable)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        // PKCS #8, and the older form of OpenSSL.
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            PemError::Encrypted
        } else {
            PemError::Missing
        }
    })
}
