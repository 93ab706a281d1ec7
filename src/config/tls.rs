//! What an operator can choose about TLS.

use std::path::PathBuf;
use std::str::FromStr;

use super::UnknownWord;

/// TLS, which is on once there is a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The TCP port for AMQP over TLS. 0: any free one.
    pub port: u16,
    /// The files, and what is asked of clients.
    pub options: TlsOptions,
    /// What of a client's certificate is its user's name (SASL mechanism EXTERNAL).
    pub login_from: CertificateLogin,
}

/// How a TLS listener presents itself, and what it asks of clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The server's certificate and, behind it, those that lead from it to a CA, in PEM form. With it TLS
    /// is on.
    pub cert_file: Option<PathBuf>,
    /// The certificate's private key, in PEM form, not encrypted.
    pub key_file: Option<PathBuf>,
    /// The CAs that clients' certificates have to come from, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// Whether clients are asked for certificates.
    pub verify: TlsVerify,
    /// With [`TlsVerify::Peer`]: clients without a certificate are refused.
    pub fail_if_no_peer_cert: bool,
    /// The versions of TLS that clients may choose from.
    pub versions: TlsVersions,
    /// How many certificates there may be between a client's and its CA. `None`: as many as can be verified.
    pub depth: Option<u8>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { port: 5671, options: TlsOptions::default(), login_from: CertificateLogin::default() }
    }
}

/// Whether clients are asked for certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVerify {
    /// They are not.
    #[default]
    None,
    /// They are, and one that no CA of ours vouches for ends the handshake.
    Peer,
}

/// The versions of TLS that clients may choose from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 only.
    Only12,
    /// 1.3 only.
    Only13,
}

impl TlsVersions {
    /// From a list of names, such as `1.2` and `1.3`; RabbitMQ's names (`tlsv1.3`) are understood, too.
    ///
    /// # Errors
    /// [`UnknownWord`], for an older version and for an empty list.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownWord> {
        let (mut has_12, mut has_13) = (false, false);
        for name in names {
            match name.strip_prefix("tlsv").unwrap_or(name) {
                "1.2" => has_12 = true,
                "1.3" => has_13 = true,
                _ => return Err(UnknownWord),
            }
        }
        match (has_12, has_13) {
            (true, true) => Ok(Self::Both),
            (true, false) => Ok(Self::Only12),
            (false, true) => Ok(Self::Only13),
            (false, false) => Err(UnknownWord),
        }
    }
}

/// What of a client's certificate is its user's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CertificateLogin {
    /// The whole subject: `CN=alice,O=Example`. RabbitMQ's default.
    #[default]
    DistinguishedName,
    /// The subject's common name: `alice`.
    CommonName,
    /// The first of the subject's alternative names: a DNS name, an e-mail address, a URI, or an IP address.
    SubjectAlternativeName,
}

impl FromStr for TlsVerify {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "none" | "verify_none" => Ok(Self::None),
            "peer" | "verify_peer" => Ok(Self::Peer),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for CertificateLogin {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "distinguished_name" => Ok(Self::DistinguishedName),
            "common_name" => Ok(Self::CommonName),
            "subject_alternative_name" | "subject_alt_name" => Ok(Self::SubjectAlternativeName),
            _ => Err(UnknownWord),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_list_and_old_ones_are_refused() {
        let read = |names: &[&str]| TlsVersions::from_names(names.iter().copied());
        assert_eq!(read(&["tlsv1.2", "1.3"]), Ok(TlsVersions::Both));
        assert_eq!(read(&["1.3"]), Ok(TlsVersions::Only13));
        assert_eq!(read(&["1.2", "1.2"]), Ok(TlsVersions::Only12));
        assert_eq!(read(&["1.1", "1.2"]), Err(UnknownWord));
        assert_eq!(read(&[]), Err(UnknownWord));
    }
}
