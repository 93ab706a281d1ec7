//! From files to what rustls serves with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    self, DigitallySignedStruct, DistinguishedName, InconsistentKeys, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion, version,
};

use super::error::TlsError;
use super::pem::{self, PemError};
use crate::auth::{Certificate, shown_time};
use crate::config::{TlsOptions, TlsVerify, TlsVersions};

const CERT_FILE: &str = "tls_cert_file";
const KEY_FILE: &str = "tls_key_file";
const CA_FILE: &str = "tls_ca_file";

/// What the files came to.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// The server's own certificate.
    pub(super) certificate: Certificate,
    /// Its SHA-256.
    pub(super) fingerprint: Fingerprint,
    pub(super) expiries: Expiries,
}

/// The SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// The SHA-256 of a certificate in DER.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> Fingerprint {
    Sha256::digest(certificate).into()
}

/// When certificates expire, in seconds since 1970, in the order of their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expiries {
    /// The server's own, and those that vouch for it.
    pub own: Vec<u64>,
    /// Those that clients' certificates are verified with.
    pub authorities: Vec<u64>,
}

/// Reads the files. `now` is the time since 1970.
pub(super) fn load(options: &TlsOptions, now: Duration) -> Result<Loaded, TlsError> {
    let (cert_file, key_file) = match (&options.cert_file, &options.key_file) {
        (Some(cert_file), Some(key_file)) => (cert_file, key_file),
        (None, _) => return Err(TlsError::Incomplete { given: KEY_FILE, missing: CERT_FILE }),
        (_, None) => return Err(TlsError::Incomplete { given: CERT_FILE, missing: KEY_FILE }),
    };
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(CERT_FILE, cert_file)?;
    let certificate = own_certificate(cert_file, &chain[0], now)?;
    let key = provider
        .key_provider
        .load_private_key(private_key(key_file)?)
        .map_err(|reason| TlsError::UnusableKey { path: key_file.clone(), reason })?;
    let (own, fingerprint) = (expiries(&chain), fingerprint(&chain[0]));
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Of a key that does not tell its public half, the first handshake shows it.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(_) => {
            let (cert_file, key_file) = (cert_file.clone(), key_file.clone());
            return Err(TlsError::KeyMismatch { cert_file, key_file });
        }
    }
    let authorities = authorities(options)?;
    let expiries = Expiries { own, authorities: expiries(&authorities) };
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(options.versions))
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(client_verifier(options, authorities, &provider)?)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    Ok(Loaded { config: Arc::new(config), certificate, fingerprint, expiries })
}

fn versions(versions: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    match versions {
        TlsVersions::Both => vec![&version::TLS13, &version::TLS12],
        TlsVersions::Only12 => vec![&version::TLS12],
        TlsVersions::Only13 => vec![&version::TLS13],
    }
}

fn own_certificate(
    path: &Path,
    der: &CertificateDer<'_>,
    now: Duration,
) -> Result<Certificate, TlsError> {
    let path = path.to_owned();
    let certificate = match Certificate::from_der(der) {
        Ok(certificate) => certificate,
        Err(error) => {
            let reason = error.to_string();
            return Err(TlsError::UnusableCertificate { key: CERT_FILE, path, reason });
        }
    };
    if certificate.not_after < now.as_secs() {
        return Err(TlsError::Expired { path, at: shown_time(certificate.not_after) });
    }
    if certificate.not_before > now.as_secs() {
        return Err(TlsError::NotYetValid { path, at: shown_time(certificate.not_before) });
    }
    Ok(certificate)
}

fn expiries(certificates: &[CertificateDer<'_>]) -> Vec<u64> {
    let parsed = certificates.iter().filter_map(|der| Certificate::from_der(der).ok());
    parsed.map(|certificate| certificate.not_after).collect()
}

/// What clients' certificates are verified with; none where nobody asks for them.
fn authorities(options: &TlsOptions) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    match (options.verify, &options.ca_file) {
        (TlsVerify::None, _) if options.fail_if_no_peer_cert => Err(TlsError::NothingAskedFor),
        (TlsVerify::None, _) => Ok(Vec::new()),
        (TlsVerify::Peer, None) => Err(TlsError::NoClientCa),
        (TlsVerify::Peer, Some(path)) => certificates(CA_FILE, path),
    }
}

fn client_verifier(
    options: &TlsOptions,
    authorities: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = options.ca_file.as_ref().filter(|_| !authorities.is_empty()) else {
        return Ok(Arc::new(NoClientAuth));
    };
    let unusable =
        |reason: String| TlsError::UnusableCertificate { key: CA_FILE, path: path.clone(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in authorities {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    let mut verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if !options.fail_if_no_peer_cert {
        verifier = verifier.allow_unauthenticated();
    }
    let verifier = verifier.build().map_err(|error| unusable(error.to_string()))?;
    Ok(match options.depth {
        None => verifier,
        Some(depth) => Arc::new(ShallowVerifier { verifier, depth: depth.into() }),
    })
}

/// Accepts chains of so many certificates between a client's and its CA.
#[derive(Debug)]
struct ShallowVerifier {
    verifier: Arc<dyn ClientCertVerifier>,
    depth: usize,
}

impl ClientCertVerifier for ShallowVerifier {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    /// Of those that the client shows only so many can be part of the way.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let allowed = &intermediates[..self.depth.min(intermediates.len())];
        self.verifier.verify_client_cert(end_entity, allowed, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    pem::certificates(path).map_err(|error| match error {
        PemError::Unreadable(source) => TlsError::Unreadable { key, path: path.to_owned(), source },
        _ => TlsError::NoCertificate { key, path: path.to_owned() },
    })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    pem::private_key(path).map_err(|error| {
        let path = path.to_owned();
        match error {
            PemError::Unreadable(source) => TlsError::Unreadable { key: KEY_FILE, path, source },
            PemError::Encrypted => TlsError::EncryptedKey { path },
            PemError::Missing => TlsError::NoKey { path },
        }
    })
}

#[cfg(test)]
mod tests;
