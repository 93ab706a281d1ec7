//! Why a run failed.

use std::io;

use amqp_codec::DecodeError;
use tokio_rustls::rustls;

use super::secure::refusal;

/// Why a run failed. Each text is one line that says what can be done where something can.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerfError {
    /// Nobody listens there.
    #[error("cannot connect to {address}: {source}; start a broker or pass --uri")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no TLS with who listens there.
    #[error("no TLS with {host}: {source}{}", tls_advice(.source))]
    Tls {
        /// The host of the URI.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The URI makes no sense.
    #[error("'{uri}' is not a URI such as amqp://user:password@host:5672/vhost: {why}")]
    Uri {
        /// What was given.
        uri: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The broker ended the connection or a channel.
    #[error("the broker closed the {scope}: {code} {text}")]
    Closed {
        /// `connection` or `channel`.
        scope: &'static str,
        /// The reply code.
        code: u16,
        /// The reply text.
        text: String,
    },
    /// The broker went away without a word.
    #[error("the broker closed the socket{}", .during.map(|what| format!(" {what}")).unwrap_or_default())]
    Gone {
        /// What was going on.
        during: Option<&'static str>,
    },
    /// The broker took a consumer's queue away.
    #[error("the broker cancelled a consumer: was its queue deleted?")]
    Cancelled,
    /// A method that makes no sense at this point.
    #[error("expected {expected} and got {got}; is this an AMQP 0-9-1 broker?")]
    Unexpected {
        /// What was waited for.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What the broker sent is no AMQP 0-9-1.
    #[error("what the broker sent is no AMQP 0-9-1: {0}")]
    Decode(#[from] DecodeError),
    /// A process whose use was to be measured can't be looked at.
    #[error("cannot read the figures of process {pid}: {source}")]
    Process {
        /// Its id.
        pid: u32,
        /// What the system says.
        source: io::Error,
    },
    /// What was to be measured did not happen.
    #[error("{0}")]
    Failed(String),
    /// The plan can't be carried out.
    #[error("{0}")]
    Plan(String),
}

/// What to do about a handshake that failed.
fn tls_advice(error: &io::Error) -> &'static str {
    match refusal(error) {
        Some(rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. },
        )) => "; use a name of the certificate in the URI, or pass --insecure",
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; name its CA with --tls-ca-cert-file, or pass --insecure"
        }
        Some(rustls::Error::AlertReceived(_)) => {
            "; where it asks for certificates, name one with --tls-cert-file and --tls-key-file"
        }
        Some(rustls::Error::InvalidMessage(_)) => "; is it the port for TLS?",
        _ => "",
    }
}
