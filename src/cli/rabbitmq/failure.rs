//! Why one of RabbitMQ's tools did not do what it should, in its words and with its exit codes.

use std::io;

use crate::cli::api::{AddressError, ApiError};
use crate::cli::{EXIT_DATA, EXIT_IO, EXIT_SOFTWARE, EXIT_UNAVAILABLE, EXIT_USAGE};

/// Exit code for a user who is not there (`EX_NOUSER`).
const EXIT_NO_USER: u8 = 67;

/// What goes to standard error, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    text: String,
    exit_code: u8,
}

impl Failure {
    /// What RabbitMQ has most often: `Error:`, and a line.
    pub(super) fn new(exit_code: u8, problem: &str) -> Self {
        Self { text: format!("Error:\n{problem}\n"), exit_code }
    }

    /// Without `Error:`.
    pub(super) fn bare(exit_code: u8, text: &str) -> Self {
        Self { text: format!("{text}\n"), exit_code }
    }

    /// The words make no sense for the command.
    pub(super) fn usage(problem: &str, given: &[String], usage: &str) -> Self {
        let given = given.join(" ");
        let text = format!(
            "Error (argument validation): {problem}\nArguments given:\n\t{given}\n\nUsage\n\n{usage}\n"
        );
        Self { text, exit_code: EXIT_USAGE }
    }

    /// A check that did not succeed, or something that can't be had.
    pub(super) fn unavailable(problem: &str) -> Self {
        Self::new(EXIT_UNAVAILABLE, problem)
    }

    /// Data that can't be read.
    pub(super) fn data(problem: &str) -> Self {
        Self::new(EXIT_DATA, problem)
    }

    /// The user is not there.
    pub(super) fn no_user(user: &str) -> Self {
        Self::new(EXIT_NO_USER, &format!("User \"{user}\" does not exist"))
    }

    /// The user is not there, where it is one object among others.
    pub(super) fn no_user_as_object(user: &str) -> Self {
        Self::new(EXIT_NO_USER, &format!("User {user} does not exist"))
    }

    /// What is there already.
    pub(super) fn exists(problem: &str) -> Self {
        Self::new(EXIT_SOFTWARE, problem)
    }

    /// With another exit code.
    #[must_use]
    pub(super) fn with_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// What RabbitMQ can do and leveret has nothing for.
    pub(super) fn not_here(command: &str, instead: &str) -> Self {
        Self::unavailable(&format!("leveret has nothing for '{command}'; {instead}"))
    }

    /// What to print, with a line feed at the end.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The exit code.
    pub(super) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Unreachable { url, cause } => Self {
                text: format!(
                    "Error: unable to perform an operation on the node. Please see diagnostics \
                     information and suggestions below.\n\n\
                     Most common reasons for this are:\n\n \
                     * The broker is not running, or still starting\n \
                     * It listens elsewhere: set LEVERET_URL to the address of its management API\n\n\
                     attempted to contact: [{url}]\n\n{cause}\n"
                ),
                exit_code: EXIT_UNAVAILABLE,
            },
            error => Self::unavailable(&error.to_string()),
        }
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::new(EXIT_USAGE, &error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever reads has enough.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { text: String::new(), exit_code: 0 };
        }
        Self::new(EXIT_IO, &format!("cannot write the output: {error}"))
    }
}
