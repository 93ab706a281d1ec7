//! Why a command about a broker did not do what it should.

use std::io;

use crate::cli::api::{AddressError, ApiError};
use crate::cli::{EXIT_DATA, EXIT_IO, EXIT_NO_INPUT, EXIT_UNAVAILABLE, EXIT_USAGE};

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum AdminError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error("cannot read {file}: {cause}")]
    Input { file: String, cause: io::Error },
    #[error("cannot write {file}: {cause}")]
    File { file: String, cause: io::Error },
    #[error("{file} is not JSON: {cause}")]
    NotJson { file: String, cause: serde_json::Error },
    #[error("{0}")]
    Usage(String),
    #[error("no queue took the message; bind one to the exchange, or publish without --mandatory")]
    NotRouted,
    #[error("not well: {0}")]
    Unwell(String),
}

impl AdminError {
    /// The exit code of sysexits.h that tells a script what kind of error it is.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Api(error) => error.exit_code(),
            Self::Address(AddressError::Unreadable { .. }) | Self::Input { .. } => EXIT_NO_INPUT,
            Self::Address(_) | Self::Usage(_) => EXIT_USAGE,
            Self::Output(_) | Self::File { .. } => EXIT_IO,
            Self::NotJson { .. } | Self::NotRouted => EXIT_DATA,
            Self::Unwell(_) => EXIT_UNAVAILABLE,
        }
    }
}
