//! How commands on a broker's own machine find it, and are let in: a file that only its user can read.
//!
//! RabbitMQ's tools have Erlang's cookie for this. Here the broker writes where its management API is, and a
//! token that makes whoever sends it an administrator, into `leveret.token`: in the data directory, or where
//! there is none in the directory for run-time files.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::load_config::data_dir;
use crate::config::Secret;
use crate::tls::Fingerprint;

/// The file's name.
const FILE: &str = "leveret.token";

/// The broker on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalBroker {
    /// Its management API.
    pub(super) url: String,
    /// What lets an administrator in.
    pub(super) token: Secret,
    /// The SHA-256 of the certificate that it shows, where the API is HTTPS.
    pub(super) certificate: Option<Fingerprint>,
}

/// The file's contents.
#[derive(Serialize, Deserialize)]
struct Contents {
    url: String,
    token: String,
    /// In hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<String>,
}

impl LocalBroker {
    /// The broker that left its file where this environment looks.
    pub(super) fn find(environment: &Environment) -> Option<Self> {
        let places = [Some(data_dir(environment)), run_dir(environment)];
        places.iter().flatten().find_map(|dir| {
            let text = read_trusted(&dir.join(FILE)).ok()?;
            let Contents { url, token, certificate_sha256 } = serde_json::from_slice(&text).ok()?;
            let certificate = match certificate_sha256 {
                Some(digits) => Some(fingerprint_of(&digits)?),
                None => None,
            };
            Some(Self { url, token: Secret::new(token), certificate })
        })
    }

    /// Whether this is the broker that is meant: none was named, or this one.
    pub(super) fn is_at(&self, url: Option<&str>) -> bool {
        url.is_none_or(|url| url.trim_end_matches('/') == self.url)
    }

    /// Leaves the file for commands on this machine: in the data directory if there is one, and in the directory
    /// for run-time files. It is removed when what is returned is dropped.
    pub(super) fn leave(
        &self,
        data_dir: Option<&Path>,
        environment: &Environment,
    ) -> io::Result<LeftFiles> {
        let Self { url, token, certificate } = self;
        let digits = |bytes: &Fingerprint| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let contents = Contents {
            url: url.clone(),
            token: token.expose().to_owned(),
            certificate_sha256: certificate.as_ref().map(digits),
        };
        let text = serde_json::to_vec(&contents)?;
        let mut files = LeftFiles { files: Vec::new(), text };
        let mut failed = None;
        for dir in [data_dir.map(Path::to_owned), run_dir(environment)].into_iter().flatten() {
            let file = dir.join(FILE);
            match write_for_its_user_only(&file, &files.text) {
                Ok(()) => files.files.push(file),
                Err(error) => failed = Some(error),
            }
        }
        // One of the two is enough: somebody else's may stand in the other.
        match failed {
            Some(error) if files.files.is_empty() => Err(error),
            _ => Ok(files),
        }
    }
}

/// Files that are removed with this, if they are still what was written.
#[derive(Debug)]
pub(super) struct LeftFiles {
    files: Vec<PathBuf>,
    text: Vec<u8>,
}

impl LeftFiles {
    /// What was written in their place since is what is removed in the end.
    pub(super) fn replaced_by(&mut self, newer: Self) {
        self.files.clear();
        *self = newer;
    }
}

impl Drop for LeftFiles {
    fn drop(&mut self) {
        for file in &self.files {
            // A broker that was started since has its own there.
            if fs::read(file).is_ok_and(|text| text == self.text) {
                let _gone_is_fine = fs::remove_file(file);
            }
        }
    }
}

fn fingerprint_of(digits: &str) -> Option<Fingerprint> {
    let mut fingerprint = Fingerprint::default();
    if digits.len() != 2 * fingerprint.len() {
        return None;
    }
    for (at, byte) in fingerprint.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(fingerprint)
}

/// Reads a file that this user or root wrote; root believes the user that the broker runs as. The directory may be
/// one where anybody can leave files, and a password would be sent to whoever left this one.
fn read_trusted(path: &Path) -> io::Result<Vec<u8>> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut file = fs::OpenOptions::new().read(true).custom_flags(no_link).open(path)?;
    let (owner, reader) = (file.metadata()?.uid(), geteuid().as_raw());
    if !is_believed(owner, reader) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Whether what the user `owner` says counts for the user `reader`.
fn is_believed(owner: u32, reader: u32) -> bool {
    const ROOT: u32 = 0;
    reader == ROOT || owner == ROOT || owner == reader
}

/// Written aside and renamed: nobody sees half of it, and nobody else ever may read it.
fn write_for_its_user_only(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut aside = file.as_os_str().to_owned();
    aside.push(".tmp");
    // One that an earlier process left may be readable by others.
    let _gone_is_fine = fs::remove_file(&aside);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(&aside)?.write_all(text)?;
    fs::rename(&aside, file)
}

/// Where files of this run lie, if that is prepared: they are gone after the next start of the machine.
fn run_dir(environment: &Environment) -> Option<PathBuf> {
    let run = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let run = run.unwrap_or_else(|| PathBuf::from("/run/leveret"));
    run.is_dir().then_some(run)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_another_user_says_does_not_count() {
        let (root, owner, other) = (0, 1000, 1001);
        assert!(is_believed(owner, owner) && is_believed(root, owner) && is_believed(owner, root));
        assert!(!is_believed(other, owner));
    }

    #[test]
    fn a_link_is_not_followed_and_a_directory_that_refuses_is_passed_over() {
        let dir = std::env::temp_dir().join(format!("leveret-links-{}", std::process::id()));
        let (data, run) = (dir.join("data"), dir.join("run"));
        // Nothing can be put in the place of a directory.
        fs::create_dir_all(run.join(FILE)).unwrap();
        fs::create_dir_all(&data).unwrap();
        let run_variable = ("XDG_RUNTIME_DIR".into(), run.into());
        let environment =
            Environment::of([("LEVERET_DATA_DIR".into(), data.clone().into()), run_variable]);
        let (url, token) = ("http://localhost:1".to_owned(), Secret::new("secret"));
        let broker = LocalBroker { url, token, certificate: None };
        let left = broker.leave(Some(&data), &environment).unwrap();
        assert_eq!(LocalBroker::find(&environment), Some(broker));

        let elsewhere = dir.join("elsewhere");
        fs::rename(data.join(FILE), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, data.join(FILE)).unwrap();
        assert_eq!(LocalBroker::find(&environment), None);
        drop(left);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn who_may_read_the_file_finds_the_broker_and_the_file_goes_with_it() {
        let dir = std::env::temp_dir().join(format!("leveret-local-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let environment = Environment::of([("LEVERET_DATA_DIR".into(), dir.clone().into())]);
        let (url, token) = ("http://localhost:1".to_owned(), Secret::new("secret"));
        let broker = LocalBroker { url, token, certificate: None };
        assert_eq!(LocalBroker::find(&environment), None);

        let left = broker.leave(Some(&dir), &Environment::default()).unwrap();
        let mode = fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(LocalBroker::find(&environment), Some(broker.clone()));
        assert!(broker.is_at(None) && broker.is_at(Some("http://localhost:1/")));
        assert!(!broker.is_at(Some("http://localhost:2")));

        // A second one takes its place, and the end of the first leaves it there.
        let other = LocalBroker { token: Secret::new("other"), ..broker };
        let mut newer = other.leave(Some(&dir), &Environment::default()).unwrap();
        drop(left);
        assert_eq!(LocalBroker::find(&environment), Some(other.clone()));
        // The same broker leaves it again, changed or not.
        for certificate in [None, Some([0xa5; 32])] {
            let again = LocalBroker { certificate, ..other.clone() };
            newer.replaced_by(again.leave(Some(&dir), &Environment::default()).unwrap());
            assert_eq!(LocalBroker::find(&environment), Some(again));
        }
        drop(newer);
        assert_eq!(LocalBroker::find(&environment), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
