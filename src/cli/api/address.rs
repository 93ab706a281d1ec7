//! Where the management API is and who asks: flags, then the environment, then a profile, then the broker
//! on this machine.

use std::io;
use std::path::{Path, PathBuf};

use ureq::http::Uri;

use super::{TlsWishes, Trust, profile};
use crate::cli::environment::Environment;
use crate::cli::local::LocalBroker;
use crate::config::Secret;
use crate::perf::without_login;

/// Variables of the environment that say where the broker is; a broker that is started with them passes
/// them over.
pub(in crate::cli) const ADDRESS_VARIABLES: [&str; 11] = [
    "LEVERET_URL",
    "LEVERET_USER",
    "LEVERET_PASSWORD",
    "LEVERET_PASSWORD_FILE",
    "LEVERET_VHOST",
    "LEVERET_PROFILE",
    "LEVERET_PROFILES",
    "LEVERET_TLS_CA_CERT_FILE",
    "LEVERET_TLS_CLIENT_CERT_FILE",
    "LEVERET_TLS_CLIENT_KEY_FILE",
    "LEVERET_INSECURE",
];

/// Where the management API is unless somebody says so.
const DEFAULT_URL: &str = "http://localhost:15672";

/// Where the management API is, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Address {
    /// Scheme, host and port, and the path before `/api` if there is one; no slash at the end.
    pub(in crate::cli) url: String,
    /// Who asks.
    pub(in crate::cli) access: Access,
    /// The vhost that commands are about unless they say so.
    pub(in crate::cli) vhost: String,
    /// What is to hold if it is HTTPS.
    pub(in crate::cli) tls: TlsWishes,
}

/// How the broker knows who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Access {
    /// By name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// By a token that only this machine's administrator can read.
    Token(Secret),
}

impl Access {
    /// Who it is, for messages.
    pub(super) fn user(&self) -> &str {
        match self {
            Self::Password { user, .. } => user,
            Self::Token(_) => "local administrator",
        }
    }
}

/// What the command line says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Wishes {
    /// The URL.
    pub(in crate::cli) url: Option<String>,
    /// The user.
    pub(in crate::cli) user: Option<String>,
    /// The user's password.
    pub(in crate::cli) password: Option<Secret>,
    /// The vhost.
    pub(in crate::cli) vhost: Option<String>,
    /// The section of the profiles' file.
    pub(in crate::cli) profile: Option<String>,
    /// What is to hold for HTTPS.
    pub(in crate::cli) tls: TlsWishes,
}

/// Why it is not known where to ask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(in crate::cli) enum AddressError {
    /// The URL is none.
    #[error(
        "'{}' is no URL of a management API; write it like http://localhost:15672 or https://host:15671",
        without_login(.0)
    )]
    Url(String),
    /// This system trusts no CA.
    #[error("there is no file of CAs that this system trusts; name one with --tls-ca-cert-file")]
    NoCa,
    /// A private key without its certificate.
    #[error("the key {0} needs its certificate; name it with --tls-cert-file")]
    KeyAlone(PathBuf),
    /// What was asked for is not possible.
    #[error("TLS: {0}")]
    TlsSettings(String),
    /// There is no such profile.
    #[error("there is no profile '{name}' in {path}")]
    NoProfile {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The profiles' file is not TOML, or has keys that nobody knows.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Address {
    /// Finds out where to ask. What the command line says wins over the environment, that over a profile; and
    /// where nobody says who asks, it is the administrator of this machine's broker, or `guest`.
    ///
    /// # Errors
    /// [`AddressError`]
    pub(in crate::cli) fn find(
        wishes: Wishes,
        environment: &Environment,
    ) -> Result<Self, AddressError> {
        let variable = |name: &str| environment.text(name).map(str::to_owned);
        let profile = wishes.profile.or_else(|| variable("LEVERET_PROFILE"));
        let profile = profile::read(profile, environment)?;
        let url = wishes.url.or_else(|| variable("LEVERET_URL")).or(profile.url);
        let vhost = wishes.vhost.or_else(|| variable("LEVERET_VHOST")).or(profile.vhost);
        let vhost = vhost.unwrap_or_else(|| "/".to_owned());

        let tls = wishes.tls.or(TlsWishes::of_environment(environment)).or(profile.tls);
        let mut tls = tls.or_of_system(environment);
        let user = wishes.user.or_else(|| variable("LEVERET_USER"));
        // A password belongs to the user it was written with.
        let stored = if user.is_none() { profile.password } else { None };
        let password =
            match wishes.password.or_else(|| variable("LEVERET_PASSWORD").map(Secret::new)) {
                Some(password) => Some(password),
                None => variable("LEVERET_PASSWORD_FILE")
                    .map(|path| profile::password_in(Path::new(&path)))
                    .transpose()?
                    .or(stored),
            };
        let user = user.or(profile.user);
        let local = LocalBroker::find(environment).filter(|local| local.is_at(url.as_deref()));
        let (local_url, token, certificate) = match local {
            Some(LocalBroker { url, token, certificate }) => (Some(url), Some(token), certificate),
            None => (None, None, None),
        };
        let token = token.filter(|_| user.is_none() && password.is_none());
        // Whoever else answers gets no token, and no password meant for the broker of the file.
        if let Some(certificate) = certificate.filter(|_| url.is_none() || token.is_some()) {
            tls.trust = Trust::Only(certificate);
        }
        let url = checked(url.or(local_url).as_deref().unwrap_or(DEFAULT_URL))?;
        if let Some(token) = token {
            return Ok(Self { url, access: Access::Token(token), vhost, tls });
        }
        let user = user.unwrap_or_else(|| "guest".to_owned());
        let password = password.unwrap_or_else(|| Secret::new("guest"));
        Ok(Self { url, access: Access::Password { user, password }, vhost, tls })
    }
}

/// A URL that requests can be made of by adding a path to it.
fn checked(url: &str) -> Result<String, AddressError> {
    let malformed = || AddressError::Url(url.to_owned());
    let parsed: Uri = url.parse().map_err(|_| malformed())?;
    match parsed.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(malformed()),
    }
    // What stands before an '@' would be a password that shows in messages.
    let authority = parsed.authority().ok_or_else(malformed)?;
    if authority.as_str().contains('@') || authority.host().is_empty() || parsed.query().is_some() {
        return Err(malformed());
    }
    let url = url.trim_end_matches('/');
    Ok(url.strip_suffix("/api").unwrap_or(url).to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn find(wishes: Wishes, environment: &[(&str, &str)]) -> Result<Address, AddressError> {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Address::find(wishes, &Environment::of(environment))
    }

    fn password(user: &str, password: &str) -> Access {
        Access::Password { user: user.to_owned(), password: Secret::new(password) }
    }

    #[test]
    fn without_any_wish_it_is_guest_on_this_machine() {
        let address = find(Wishes::default(), &[]).unwrap();
        assert_eq!(address.url, "http://localhost:15672");
        assert_eq!((address.access, address.vhost), (password("guest", "guest"), "/".to_owned()));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_a_profile() {
        let file = std::env::temp_dir().join(format!("leveret-profiles-{}", std::process::id()));
        let text = "[default]\nurl = 'http://a:1'\nuser = 'ann'\npassword = 'x'\nvhost = 'v'\n\
                    [other]\nurl = 'http://b:1/api/'\n";
        fs::write(&file, text).unwrap();
        let profiles = ("LEVERET_PROFILES", file.to_str().unwrap());

        let address = find(Wishes::default(), &[profiles]).unwrap();
        assert_eq!((address.url.as_str(), address.vhost.as_str()), ("http://a:1", "v"));
        assert_eq!(address.access, password("ann", "x"));

        // The password of the file is ann's, not joe's.
        let environment = [profiles, ("LEVERET_USER", "joe"), ("LEVERET_VHOST", "w")];
        let wishes = Wishes { url: Some("http://c".into()), ..Wishes::default() };
        let address = find(wishes, &environment).unwrap();
        assert_eq!((address.url.as_str(), address.vhost.as_str()), ("http://c", "w"));
        assert_eq!(address.access, password("joe", "guest"));

        let wishes = Wishes { profile: Some("other".into()), ..Wishes::default() };
        assert_eq!(find(wishes, &[profiles]).unwrap().url, "http://b:1");
        let wishes = Wishes { profile: Some("third".into()), ..Wishes::default() };
        let refusal = find(wishes, &[profiles]).unwrap_err().to_string();
        assert!(refusal.starts_with("there is no profile 'third' in "), "{refusal}");
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_password_may_be_in_a_file_of_its_own() {
        let file = std::env::temp_dir().join(format!("leveret-password-{}", std::process::id()));
        fs::write(&file, "s3cret\n").unwrap();
        let environment =
            [("LEVERET_USER", "joe"), ("LEVERET_PASSWORD_FILE", file.to_str().unwrap())];
        let address = find(Wishes::default(), &environment).unwrap();
        assert_eq!(address.access, password("joe", "s3cret"));
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_url_is_http_and_has_no_password() {
        for url in ["localhost:15672", "amqp://localhost", "http://", "http://a:b@c", "http://a?b"]
        {
            assert!(matches!(checked(url), Err(AddressError::Url(_))), "{url}");
        }
        assert_eq!(checked("https://localhost:15671/api").unwrap(), "https://localhost:15671");
        assert_eq!(checked("http://[::1]:1/prefix/").unwrap(), "http://[::1]:1/prefix");
    }
}
