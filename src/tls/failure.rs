//! What became of a handshake that failed, in words for an operator.

use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError, PeerIncompatible};

/// Why a handshake failed and, where it is known, what can be done.
#[must_use]
pub fn failure(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(error) => explained(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the client closed the connection in the middle of it".to_owned()
        }
        None => error.to_string(),
    }
}

fn explained(error: &rustls::Error) -> String {
    use rustls::Error;
    match error {
        Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate),
        ) => format!(
            "the client does not accept the server's certificate ({alert:?}); it has to know its CA, \
             and to use a name that the certificate has"
        ),
        Error::AlertReceived(alert) => format!("the client gave up ({alert:?})"),
        Error::NoCertificatesPresented => "the client shows no certificate, and \
             tls_fail_if_no_peer_cert is true"
            .to_owned(),
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "the client's certificate comes from none of the CAs in tls_ca_file".to_owned(),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the client's certificate has expired".to_owned(),
        Error::InvalidCertificate(reason) => {
            format!("the client's certificate is not accepted: {reason}")
        }
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "the client offers no version of TLS that tls_versions allows".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_can_do_is_said() {
        let of = |error: rustls::Error| failure(&io::Error::other(error));
        let unknown_ca = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        assert!(of(unknown_ca).contains("has to know its CA"));
        assert!(of(rustls::Error::NoCertificatesPresented).contains("tls_fail_if_no_peer_cert"));
        assert_eq!(failure(&io::Error::other("the cable is cut")), "the cable is cut");
        let closed = failure(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!(closed, "the client closed the connection in the middle of it");
    }
}
