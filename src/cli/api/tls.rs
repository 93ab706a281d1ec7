//! HTTPS: how the broker is known to be the one that is meant, and what is shown to it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::AddressError;
use crate::auth::Certificate;
use crate::cli::environment::Environment;
use crate::tls::{self, Fingerprint, PemError, fingerprint};

/// Where systems keep the CAs that they trust.
const SYSTEM_CA_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// What is to hold for HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct TlsWishes {
    /// The CAs that the server's certificate may come from; none: those that this system trusts.
    pub(in crate::cli) ca_file: Option<PathBuf>,
    /// The certificate to show.
    pub(in crate::cli) cert_file: Option<PathBuf>,
    /// Its private key.
    pub(in crate::cli) key_file: Option<PathBuf>,
    /// What of the server's certificate counts.
    pub(in crate::cli) trust: Trust,
}

/// What of a server's certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cli) enum Trust {
    /// A CA vouches for it, and for the name that was asked for.
    #[default]
    Full,
    /// A CA vouches for it.
    AnyName,
    /// Nothing.
    Anybody,
    /// It is the one of this SHA-256, whatever its names.
    Only(Fingerprint),
}

impl TlsWishes {
    /// The same, with what is not said here as it is said there.
    #[must_use]
    pub(in crate::cli) fn or(self, other: Self) -> Self {
        // A key belongs to the certificate it was named with.
        let pair = if self.cert_file.is_some() {
            (self.cert_file, self.key_file)
        } else {
            (other.cert_file, self.key_file.or(other.key_file))
        };
        let trust = if self.trust == Trust::Full { other.trust } else { self.trust };
        Self { ca_file: self.ca_file.or(other.ca_file), cert_file: pair.0, key_file: pair.1, trust }
    }

    /// What the environment says.
    pub(in crate::cli) fn of_environment(environment: &Environment) -> Self {
        let file = |name: &str| environment.get(name).map(PathBuf::from);
        let is_off = |it: &str| matches!(it, "" | "0" | "no" | "false");
        let is_insecure = environment.text("LEVERET_INSECURE").is_some_and(|it| !is_off(it));
        Self {
            ca_file: file("LEVERET_TLS_CA_CERT_FILE"),
            cert_file: file("LEVERET_TLS_CLIENT_CERT_FILE"),
            key_file: file("LEVERET_TLS_CLIENT_KEY_FILE"),
            trust: if is_insecure { Trust::Anybody } else { Trust::Full },
        }
    }

    /// Where nobody names CAs, those of the file that many programs know by this variable.
    pub(in crate::cli) fn or_of_system(mut self, environment: &Environment) -> Self {
        let of_system = || environment.get("SSL_CERT_FILE").map(PathBuf::from);
        self.ca_file = self.ca_file.or_else(of_system);
        self
    }

    /// Reads the files, for requests.
    pub(super) fn connector(&self) -> Result<TlsConnector, AddressError> {
        self.client_config().map(TlsConnector)
    }

    /// Reads the files.
    pub(in crate::cli) fn client_config(&self) -> Result<Arc<ClientConfig>, AddressError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| AddressError::TlsSettings(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(&provider)?);
        let config = match (&self.cert_file, &self.key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), key) => {
                let chain = certificates(cert)?;
                // As many tools write it, both may be in one file.
                let key_file = key.as_deref().unwrap_or(cert);
                let key = private_key(key_file)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    AddressError::Malformed { path: cert.clone(), reason: error.to_string() }
                })?
            }
            (None, Some(key)) => return Err(AddressError::KeyAlone(key.clone())),
        };
        Ok(Arc::new(config))
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, AddressError> {
        let lenient = |asked| Arc::new(Lenient { provider: Arc::clone(provider), asked });
        match self.trust {
            Trust::Anybody => return Ok(lenient(Asked::Nobody)),
            Trust::Only(fingerprint) => return Ok(lenient(Asked::Fingerprint(fingerprint))),
            Trust::Full | Trust::AnyName => {}
        }
        let path = match &self.ca_file {
            Some(path) => path.clone(),
            None => system_ca_file().ok_or(AddressError::NoCa)?,
        };
        let named = certificates(&path)?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(named.iter().cloned());
        if added == 0 {
            let reason = "it holds no certificate of a CA".to_owned();
            return Err(AddressError::Malformed { path, reason });
        }
        let (roots, own) = (Arc::new(roots), Arc::clone(provider));
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, own).build();
        let verifier = verifier.map_err(|error| AddressError::TlsSettings(error.to_string()))?;
        // What this system trusts are CAs; a file that somebody named may be the server's own certificate.
        let named = if self.ca_file.is_some() { named } else { Vec::new() };
        let any_name = self.trust == Trust::AnyName;
        Ok(lenient(Asked::Authorities { verifier, named, any_name }))
    }
}

fn system_ca_file() -> Option<PathBuf> {
    SYSTEM_CA_FILES.iter().map(PathBuf::from).find(|path| path.is_file())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AddressError> {
    tls::certificates(path)
        .map_err(|error| no_pem(path, error, "it holds no certificate in PEM form"))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, AddressError> {
    tls::private_key(path)
        .map_err(|error| no_pem(path, error, "it holds no private key in PEM form"))
}

fn no_pem(path: &Path, error: PemError, missing: &str) -> AddressError {
    let path = path.to_owned();
    let reason = match error {
        PemError::Unreadable(cause) => return AddressError::Unreadable { path, cause },
        PemError::Missing => missing.to_owned(),
        PemError::Encrypted => "its private key is encrypted: decrypt it with \
             'openssl pkey -in FILE -out NEWFILE', and let nobody else read the result"
            .to_owned(),
    };
    AddressError::Malformed { path, reason }
}

/// Why a server is not trusted, in words that say what to do; none for what has nothing to do with TLS.
pub(super) fn explained(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    Some(match error {
        InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate comes from none of the CAs that are trusted; name its CA with \
             --tls-ca-cert-file"
                .to_owned()
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for other names; use one of these in the URL".to_owned(),
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "its certificate is not valid yet; look at the clocks of both machines".to_owned(),
        InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => "its certificate is not one for servers".to_owned(),
        InvalidCertificate(CertificateError::BadSignature) => {
            "its certificate is not signed by the CA that it names; name the right one with \
             --tls-ca-cert-file"
                .to_owned()
        }
        // The verifier's own errors have no type here.
        InvalidCertificate(CertificateError::Other(other))
            if other.to_string() == "CaUsedAsEndEntity" =>
        {
            "its certificate is one of a CA, as self-signed ones often are; name that very certificate \
             with --tls-ca-cert-file"
                .to_owned()
        }
        InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "its certificate is not that of this machine's broker, as leveret.token has it"
                .to_owned()
        }
        InvalidCertificate(reason) => format!("its certificate is not accepted: {reason}"),
        AlertReceived(rustls::AlertDescription::CertificateRequired) => {
            "it asks for a certificate; name one with --tls-cert-file and --tls-key-file".to_owned()
        }
        AlertReceived(alert) => format!("it gave up the handshake ({alert:?})"),
        InvalidMessage(_) => "it does not speak TLS; use http://".to_owned(),
        other => other.to_string(),
    })
}

/// Passes over what is wrong with names, or with everything.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    /// What is asked all the same.
    asked: Asked,
}

/// Whether a certificate is the server's. That the server has its key is asked in any case.
#[derive(Debug)]
enum Asked {
    Nobody,
    /// CAs, or the server's own certificate, if it is one of those that were named.
    Authorities {
        verifier: Arc<WebPkiServerVerifier>,
        named: Vec<CertificateDer<'static>>,
        any_name: bool,
    },
    Fingerprint(Fingerprint),
}

/// A certificate that needs nobody to vouch for it, as `openssl req -x509` makes them: its dates, then its names.
fn verify_itself(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    let invalid = rustls::Error::InvalidCertificate;
    let dates = Certificate::from_der(certificate);
    let dates = dates.map_err(|_| invalid(CertificateError::BadEncoding))?;
    if now.as_secs() < dates.not_before {
        return Err(invalid(CertificateError::NotValidYet));
    }
    if now.as_secs() > dates.not_after {
        return Err(invalid(CertificateError::Expired));
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    Ok(ServerCertVerified::assertion())
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (verifier, named, any_name) = match &self.asked {
            Asked::Nobody => return Ok(ServerCertVerified::assertion()),
            Asked::Fingerprint(wanted) if fingerprint(end_entity) == *wanted => {
                return Ok(ServerCertVerified::assertion());
            }
            Asked::Fingerprint(_) => {
                let reason = CertificateError::ApplicationVerificationFailure;
                return Err(rustls::Error::InvalidCertificate(reason));
            }
            Asked::Authorities { verifier, named, any_name } => (verifier, named, *any_name),
        };
        let verified = if named.contains(end_entity) {
            verify_itself(end_entity, server_name, now)
        } else {
            // The name is the last that is looked at.
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if any_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Makes TLS of a socket where the address asks for it.
pub(super) struct TlsConnector(Arc<ClientConfig>);

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ureq::Error::BadUri(details.uri.to_string()))?;
        let session = ClientConnection::new(Arc::clone(&self.0), name);
        let mut session = session.map_err(io::Error::other)?;
        let mut socket =
            TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        session.complete_io(&mut socket)?;
        let (input, output) =
            (details.config.input_buffer_size(), details.config.output_buffer_size());
        let buffers = LazyBuffers::new(input, output);
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned::new(session, socket) })))
    }
}

/// A socket that speaks TLS.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        io::Write::write_all(&mut self.stream, &self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = io::Read::read(&mut self.stream, self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_key_is_that_of_the_certificate_it_was_named_with() {
        let file = |name: &str| Some(PathBuf::from(name));
        let here = TlsWishes { cert_file: file("here.pem"), ..TlsWishes::default() };
        let there = TlsWishes {
            ca_file: file("ca.pem"),
            cert_file: file("there.pem"),
            key_file: file("there.key"),
            trust: Trust::AnyName,
        };
        let both = here.or(there.clone());
        assert_eq!((both.cert_file, both.key_file), (file("here.pem"), None));
        assert_eq!((both.ca_file, both.trust), (file("ca.pem"), Trust::AnyName));
        assert_eq!(TlsWishes::default().or(there.clone()), there);
    }

    #[test]
    fn a_file_that_does_not_do_is_named() {
        let file = std::env::temp_dir().join(format!("leveret-no-ca-{}", std::process::id()));
        fs::write(&file, "nothing").unwrap();
        let wishes = TlsWishes { ca_file: Some(file.clone()), ..TlsWishes::default() };
        let refusal = wishes.connector().unwrap_err().to_string();
        assert!(refusal.ends_with(": it holds no certificate in PEM form"), "{refusal}");
        fs::remove_file(&file).unwrap();
        let refusal = wishes.connector().unwrap_err().to_string();
        assert!(refusal.starts_with("cannot read "), "{refusal}");
        let wishes = TlsWishes { key_file: Some(file), ..TlsWishes::default() };
        assert!(matches!(wishes.connector(), Err(AddressError::KeyAlone(_))));
    }
}
