//! Certificates for a test: a CA, a server, clients.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use leveret::config::{TlsOptions, TlsVerify};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A CA of this test's own, and a folder with what it signed, removed when the test ends.
pub(crate) struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key, in PEM form.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pki {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("leveret-tls-wire-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = named(&[(DnType::CommonName, &format!("Test CA {number}"))]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
        let pki = Self { ca, folder };
        pki.renew_server("First");
        pki
    }

    /// A certificate for somebody; the common name is one of the alternative names as well.
    pub(crate) fn sign(&self, name: &[(DnType, &str)]) -> Identity {
        let mut params = named(name);
        let common_name = name.iter().find(|(kind, _)| *kind == DnType::CommonName);
        params.subject_alt_names = common_name
            .map(|(_, name)| rcgen::SanType::DnsName((*name).try_into().unwrap()))
            .into_iter()
            .collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Puts a new certificate where the broker looks for its own.
    pub(crate) fn renew_server(&self, organization: &str) {
        let name = [(DnType::OrganizationName, organization), (DnType::CommonName, "localhost")];
        let Identity { certificate, key } = self.sign(&name);
        std::fs::write(self.folder.join("server.pem"), certificate).unwrap();
        std::fs::write(self.folder.join("server.key"), key).unwrap();
    }

    /// The broker's options, with files of this folder; clients are asked for certificates.
    pub(crate) fn options(&self) -> TlsOptions {
        TlsOptions {
            cert_file: Some(self.file("server.pem")),
            key_file: Some(self.file("server.key")),
            ca_file: Some(self.file("ca.pem")),
            verify: TlsVerify::Peer,
            ..TlsOptions::default()
        }
    }

    /// A file in this folder, there or not.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The CA's certificate.
    pub(crate) fn ca(&self) -> CertificateDer<'static> {
        self.ca.der().clone()
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _gone_is_fine = std::fs::remove_dir_all(&self.folder);
    }
}

fn named(name: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in name {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params
}
