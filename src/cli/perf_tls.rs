//! `leveret perf` over TLS: the flags of it, for each of its scenarios.

use std::path::PathBuf;

use clap::Args;

use super::api::{AddressError, TlsWishes, Trust};
use super::environment::Environment;
use crate::perf::{Tls, Uri};

/// What is to hold for `amqps://`; the same flags as for HTTPS.
#[derive(Debug, Clone, Args)]
pub(super) struct TlsArgs {
    /// Trust only the CAs in this file (PEM), for amqps:// [default: LEVERET_TLS_CA_CERT_FILE, SSL_CERT_FILE, or those
    /// that this system trusts]
    #[arg(long, value_name = "FILE")]
    tls_ca_cert_file: Option<PathBuf>,

    /// Show this certificate (PEM) [default: LEVERET_TLS_CLIENT_CERT_FILE]
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,

    /// The certificate's private key (PEM) [default: LEVERET_TLS_CLIENT_KEY_FILE, or the file of the certificate]
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<PathBuf>,

    /// Trust any certificate: whoever is in between can read passwords [default: LEVERET_INSECURE]
    #[arg(long)]
    insecure: bool,
}

impl TlsArgs {
    /// Makes them hold for a URI that asks for TLS.
    pub(super) fn apply(&self, uri: &mut Uri) -> Result<(), AddressError> {
        let Some(tls) = &mut uri.tls else { return Ok(()) };
        let here = TlsWishes {
            ca_file: self.tls_ca_cert_file.clone(),
            cert_file: self.tls_cert_file.clone(),
            key_file: self.tls_key_file.clone(),
            trust: if self.insecure { Trust::Anybody } else { Trust::Full },
        };
        let environment = Environment::of(std::env::vars_os());
        let wishes = here.or(TlsWishes::of_environment(&environment)).or_of_system(&environment);
        *tls = Tls::with(wishes.client_config()?);
        Ok(())
    }
}
