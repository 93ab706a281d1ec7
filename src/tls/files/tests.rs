//! What is said of files that don't do.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{CertificateParams, CertifiedKey as Made, KeyPair};

use super::*;

/// In the year 2026.
const NOW: Duration = Duration::from_secs(1_780_000_000);

/// A folder of this test's own, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("leveret-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A certificate that is good from one year to another, with its key.
    fn options(&self, from: i32, to: i32) -> TlsOptions {
        let Made { cert, signing_key } = self_signed(from, to);
        TlsOptions {
            cert_file: Some(self.file("server.pem", &cert.pem())),
            key_file: Some(self.file("server.key", &signing_key.serialize_pem())),
            ..TlsOptions::default()
        }
    }

    /// What is said, without the folder's name.
    fn said(&self, options: &TlsOptions) -> String {
        let error = load(options, NOW).err().expect("this must not do").to_string();
        error.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_is_fine = fs::remove_dir_all(&self.0);
    }
}

fn self_signed(from: i32, to: i32) -> Made<KeyPair> {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let signing_key = KeyPair::generate().unwrap();
    Made { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

#[test]
fn good_files_are_taken() {
    let folder = Folder::new();
    let loaded = load(&folder.options(2020, 2040), NOW).unwrap();
    assert_eq!(loaded.certificate.not_after, 2_208_988_800);
}

#[test]
fn one_file_needs_the_other() {
    let folder = Folder::new();
    let good = folder.options(2020, 2040);
    assert_eq!(
        folder.said(&TlsOptions { key_file: None, ..good.clone() }),
        "tls_cert_file is set, and tls_key_file is not: set both, or neither"
    );
    assert_eq!(
        folder.said(&TlsOptions { cert_file: None, ..good }),
        "tls_key_file is set, and tls_cert_file is not: set both, or neither"
    );
}

#[test]
fn a_file_that_is_not_there_or_holds_something_else_is_named() {
    let folder = Folder::new();
    let good = folder.options(2020, 2040);
    let nowhere = Some(folder.0.join("nowhere"));
    assert_eq!(
        folder.said(&TlsOptions { cert_file: nowhere.clone(), ..good.clone() }),
        "cannot read tls_cert_file nowhere: No such file or directory (os error 2)"
    );
    assert_eq!(
        folder.said(&TlsOptions { key_file: nowhere, ..good.clone() }),
        "cannot read tls_key_file nowhere: No such file or directory (os error 2)"
    );
    assert_eq!(
        folder.said(&TlsOptions { cert_file: good.key_file.clone(), ..good.clone() }),
        "tls_cert_file server.key has no certificate: it must be in PEM form, with a line \
         -----BEGIN CERTIFICATE-----"
    );
    assert_eq!(
        folder.said(&TlsOptions { key_file: good.cert_file.clone(), ..good }),
        "tls_key_file server.pem has no private key: it must be in PEM form, with a line \
         -----BEGIN PRIVATE KEY-----"
    );
}

#[test]
fn a_key_of_another_certificate_is_found_at_once() {
    let folder = Folder::new();
    let good = folder.options(2020, 2040);
    let other = folder.file("other.key", &KeyPair::generate().unwrap().serialize_pem());
    assert_eq!(
        folder.said(&TlsOptions { key_file: Some(other), ..good }),
        "the private key in tls_key_file other.key is not the one of the certificate in \
         tls_cert_file server.pem"
    );
}

#[test]
fn an_encrypted_key_comes_with_the_command_that_decrypts_it() {
    let folder = Folder::new();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let key_file = Some(folder.file("encrypted.key", encrypted));
    let said = folder.said(&TlsOptions { key_file, ..folder.options(2020, 2040) });
    assert!(said.contains("encrypted.key is encrypted: decrypt it with 'openssl pkey"), "{said}");
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let folder = Folder::new();
    assert_eq!(
        folder.said(&folder.options(2020, 2025)),
        "the certificate in tls_cert_file server.pem expired at 2025-01-01T00:00:00Z: renew it"
    );
    assert_eq!(
        folder.said(&folder.options(2035, 2040)),
        "the certificate in tls_cert_file server.pem is not valid before 2035-01-01T00:00:00Z: \
         check this machine's clock"
    );
}

#[test]
fn clients_can_be_verified_only_with_their_ca() {
    let folder = Folder::new();
    let good = folder.options(2020, 2040);
    let peer = TlsOptions { verify: TlsVerify::Peer, ..good.clone() };
    assert_eq!(
        folder.said(&peer),
        "tls_verify is peer, so tls_ca_file must name the CAs of clients' certificates"
    );
    assert_eq!(
        folder.said(&TlsOptions { fail_if_no_peer_cert: true, ..good.clone() }),
        "tls_fail_if_no_peer_cert is true, so tls_verify must be peer"
    );
    let with_ca = TlsOptions { ca_file: good.cert_file, ..peer.clone() };
    assert!(load(&with_ca, NOW).is_ok());
    let empty = Some(folder.file("empty.pem", ""));
    assert_eq!(
        folder.said(&TlsOptions { ca_file: empty, ..peer }),
        "tls_ca_file empty.pem has no certificate: it must be in PEM form, with a line \
         -----BEGIN CERTIFICATE-----"
    );
}

/// Goal: `tls_depth` counts the certificates between a client's and its CA, and not what else it shows.
#[test]
fn a_chain_has_so_many_certificates_and_no_more() {
    let folder = Folder::new();
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
    };
    let key = || KeyPair::generate().unwrap();
    let root = rcgen::CertifiedIssuer::self_signed(authority("root"), key()).unwrap();
    let between = rcgen::CertifiedIssuer::signed_by(authority("between"), key(), &root).unwrap();
    let client = |issuer| CertificateParams::default().signed_by(&key(), issuer).unwrap();
    let (near, far) = (client(&root), client(&between));
    let ca_file = Some(folder.file("ca.pem", &root.pem()));
    let provider = Arc::new(ring::default_provider());
    let accepts = |depth, client: &rcgen::Certificate, shown: &[CertificateDer<'static>]| {
        let verify = TlsVerify::Peer;
        let options =
            TlsOptions { ca_file: ca_file.clone(), verify, depth, ..TlsOptions::default() };
        let authorities = authorities(&options).unwrap();
        let verifier = client_verifier(&options, authorities, &provider).unwrap();
        let now = UnixTime::since_unix_epoch(NOW);
        verifier.verify_client_cert(client.der(), shown, now).is_ok()
    };
    let shown = [between.der().clone()];
    assert!(accepts(None, &far, &shown) && accepts(Some(1), &far, &shown));
    assert!(!accepts(Some(0), &far, &shown));
    assert!(accepts(Some(0), &near, &[]) && accepts(Some(0), &near, &shown));
}
