//! A file of brokers and who asks them, so that passwords are not on command lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{AddressError, TlsWishes, Trust};
use crate::cli::environment::Environment;
use crate::config::Secret;

/// The profile that is used unless one is named.
const DEFAULT: &str = "default";

/// What is known of a broker. Everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) url: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) vhost: Option<String>,
    pub(super) tls: TlsWishes,
}

/// A section of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    url: Option<String>,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    vhost: Option<String>,
    tls_ca_cert_file: Option<PathBuf>,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    #[serde(default)]
    insecure: bool,
}

/// Reads a profile. Without a name it is the default one, which need not be there.
pub(super) fn read(
    name: Option<String>,
    environment: &Environment,
) -> Result<Profile, AddressError> {
    let Some(path) = file(environment) else {
        return missing(name, Path::new("~/.config/leveret"));
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return missing(name, &path),
        Err(cause) => return Err(AddressError::Unreadable { path, cause }),
    };
    let mut sections: BTreeMap<String, Section> = match toml::from_str(&text) {
        Ok(sections) => sections,
        // The text around the error may be a password.
        Err(error) => return Err(AddressError::Malformed { path, reason: error.message().into() }),
    };
    let Some(section) = sections.remove(name.as_deref().unwrap_or(DEFAULT)) else {
        return missing(name, &path);
    };
    let Section { url, user, password, password_file, vhost, .. } = section;
    let tls = TlsWishes {
        ca_file: section.tls_ca_cert_file,
        cert_file: section.tls_cert_file,
        key_file: section.tls_key_file,
        trust: if section.insecure { Trust::Anybody } else { Trust::Full },
    };
    let password = match (password, password_file) {
        (Some(password), _) => Some(Secret::new(password)),
        (None, Some(path)) => Some(password_in(&path)?),
        (None, None) => None,
    };
    Ok(Profile { url, user, password, vhost, tls })
}

fn missing(name: Option<String>, path: &Path) -> Result<Profile, AddressError> {
    match name {
        Some(name) => Err(AddressError::NoProfile { name, path: path.to_owned() }),
        None => Ok(Profile::default()),
    }
}

fn file(environment: &Environment) -> Option<PathBuf> {
    if let Some(file) = environment.get("LEVERET_PROFILES") {
        return Some(PathBuf::from(file));
    }
    let home = || Some(Path::new(environment.get("HOME")?).join(".config"));
    let config = environment.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    Some(config?.join("leveret/profiles.toml"))
}

/// The first line of a file, as container platforms mount secrets.
pub(super) fn password_in(path: &Path) -> Result<Secret, AddressError> {
    let text = fs::read_to_string(path)
        .map_err(|cause| AddressError::Unreadable { path: path.to_owned(), cause })?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}
