//! `leveret user`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Subcommand;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::json;

use super::AdminError;
use super::assignment::Assignment;
use super::noun::Verb;
use super::session::Session;
use super::vhost::Limits;
use crate::cli::api::ApiPath;
use crate::cli::output::{Column, field};

const COLUMNS: [Column; 3] =
    [Column::new("name", "name"), Column::new("tags", "tags"), Column::new("limits", "limits")];

#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum UserCommand {
    /// Add a user, or change password and tags of one
    Add {
        /// The name
        user: String,
        /// The password [default: a line of standard input]
        secret: Option<String>,
        /// Tags such as administrator, monitoring, policymaker or management; may be repeated
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// Without a password: no login with one
        #[arg(long, conflicts_with = "secret")]
        no_password: bool,
    },
    /// Delete a user
    Delete {
        /// The name
        user: String,
    },
    /// List users
    List,
    /// Change a user's password
    Password {
        /// The name
        user: String,
        /// The password [default: a line of standard input]
        secret: Option<String>,
    },
    /// Set a user's tags; without any it has none
    Tags {
        /// The name
        user: String,
        /// administrator, monitoring, policymaker, management or others
        tags: Vec<String>,
    },
    /// Show a user's limits, or set some
    Limits {
        /// The name
        user: String,
        /// max-connections=N or max-channels=N; none for no limit
        limits: Vec<Assignment>,
    },
}

impl Verb for UserCommand {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let path = |user: &str| ApiPath::of(&["users", user]);
        match self {
            Self::Add { user, secret, tags, no_password } => {
                let mut body = json!({ "tags": tags.join(",") });
                if no_password {
                    body["password_hash"] = "".into();
                } else {
                    body["password"] = password(&user, secret)?.into();
                }
                Ok(session.client.put(&path(&user), &body)?)
            }
            Self::Delete { user } => Ok(session.client.delete(&path(&user))?),
            Self::List => session.list(&ApiPath::of(&["users"]), &COLUMNS),
            Self::Password { user, secret } => {
                // What is put is all there is to a user: the tags stay only if they are put, too.
                let tags = field(&session.client.get(&path(&user))?, "tags").clone();
                let password = password(&user, secret)?;
                let body = json!({ "tags": tags, "password": password });
                Ok(session.client.put(&path(&user), &body)?)
            }
            Self::Tags { user, tags } => {
                let known = session.client.get(&path(&user))?;
                let body = json!({
                    "tags": tags.join(","),
                    "password_hash": field(&known, "password_hash"),
                    "hashing_algorithm": field(&known, "hashing_algorithm"),
                });
                Ok(session.client.put(&path(&user), &body)?)
            }
            Self::Limits { user, limits } => {
                Limits { collection: "user-limits", name: &user }.run(limits, session)
            }
        }
    }
}

/// The password as it was given, or read without showing it where somebody types.
fn password(user: &str, given: Option<String>) -> Result<String, AdminError> {
    if let Some(password) = given {
        return Ok(password);
    }
    let mut line = String::new();
    let read = {
        let _hidden = io::stdin().is_terminal().then(|| Hidden::ask(user));
        io::stdin().lock().read_line(&mut line)
    };
    read.map_err(|cause| AdminError::Input { file: "standard input".to_owned(), cause })?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(AdminError::Usage("there is no password; give one, or --no-password".into()));
    }
    Ok(password.to_owned())
}

/// While it lives, what is typed does not show.
struct Hidden {
    /// How the terminal was; none if it can't be asked.
    before: Option<Termios>,
}

impl Hidden {
    fn ask(user: &str) -> Self {
        let _ = write!(io::stderr(), "Password for '{user}': ");
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            // Where it can't be, the password shows, and works all the same.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &silent);
        }
        Self { before }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
        let _ = writeln!(io::stderr());
    }
}
