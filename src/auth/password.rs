//! Passwords, as RabbitMQ hashes them: four octets of salt, and a digest of salt and password.
//!
//! <https://www.rabbitmq.com/docs/passwords>

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Octets of salt in front of a digest.
pub const SALT_LEN: usize = 4;

/// What makes two hashes of one password differ.
pub type Salt = [u8; SALT_LEN];

/// How a password is digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashingAlgorithm {
    /// SHA-256, RabbitMQ's default.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
    /// MD5, of users that were made long ago.
    Md5,
}

impl HashingAlgorithm {
    /// RabbitMQ's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Md5 => "rabbit_password_hashing_md5",
        }
    }

    fn digest(self, salt: &[u8], password: &[u8]) -> Vec<u8> {
        fn of<D: Digest>(salt: &[u8], password: &[u8]) -> Vec<u8> {
            D::new().chain_update(salt).chain_update(password).finalize().to_vec()
        }
        match self {
            Self::Sha256 => of::<Sha256>(salt, password),
            Self::Sha512 => of::<Sha512>(salt, password),
            Self::Md5 => of::<Md5>(salt, password),
        }
    }
}

impl FromStr for HashingAlgorithm {
    type Err = InvalidHash;

    fn from_str(name: &str) -> Result<Self, InvalidHash> {
        let all = [Self::Sha256, Self::Sha512, Self::Md5];
        let found = all.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or_else(|| InvalidHash::UnknownAlgorithm(name.to_owned()))
    }
}

/// Why a text is no hash of a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// It is not base64.
    #[error("password_hash is not base64")]
    NotBase64,
    /// No such algorithm.
    #[error("unknown hashing algorithm '{0}'")]
    UnknownAlgorithm(String),
}

/// A hashed password. An empty one is nobody's: its user can't log in with a password.
///
/// Its `Debug` form hides it: whoever has it can try passwords as fast as they can compute.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    algorithm: HashingAlgorithm,
    salted: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password.
    pub fn new(password: &[u8], salt: Salt, algorithm: HashingAlgorithm) -> Self {
        let mut salted = salt.to_vec();
        salted.extend(algorithm.digest(&salt, password));
        Self { algorithm, salted }
    }

    /// No password is right.
    pub fn none() -> Self {
        Self { algorithm: HashingAlgorithm::default(), salted: Vec::new() }
    }

    /// Reads RabbitMQ's form.
    ///
    /// # Errors
    /// [`InvalidHash::NotBase64`].
    pub fn parse(base64: &str, algorithm: HashingAlgorithm) -> Result<Self, InvalidHash> {
        let salted = STANDARD.decode(base64).map_err(|_| InvalidHash::NotBase64)?;
        Ok(Self { algorithm, salted })
    }

    /// RabbitMQ's form: salt and digest in base64.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.salted)
    }

    /// How it was hashed.
    pub fn algorithm(&self) -> HashingAlgorithm {
        self.algorithm
    }

    /// Whether there is no password that is right.
    pub fn is_none(&self) -> bool {
        self.salted.is_empty()
    }

    /// Whether this is the password. The time taken does not tell how much of it was right.
    pub fn verify(&self, password: &[u8]) -> bool {
        let (salt, digest) = self.salted.split_at(SALT_LEN.min(self.salted.len()));
        let computed = self.algorithm.digest(salt, password);
        // What has no digest is equal to none: a hash that was cut is nobody's.
        bool::from(computed.as_slice().ct_eq(digest))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that a RabbitMQ 3.10 made.
    #[test]
    fn rabbitmqs_hashes_are_understood() {
        for (base64, password) in [
            ("YeoHJMXhsy9woaV/klrB+/hjnvKF4m++dZ/Sg5GT+BbiCDFp", "secret"),
            ("6fQb5a3DJEWgEJEaED1Ku4XNuR4QlLaofVHi1ZRAWjkyL8r3", "guest"),
            ("yfD6F612ySJ6+tD5+jnWy/cjejP5r+g3lQje3uVtpZ7gYjUR", ""),
        ] {
            let hash = PasswordHash::parse(base64, HashingAlgorithm::Sha256).unwrap();
            assert!(hash.verify(password.as_bytes()), "{password}");
            assert!(!hash.verify(b"other"));
            assert_eq!(hash.to_base64(), base64);
        }
    }

    #[test]
    fn a_password_is_verified_whatever_the_algorithm() {
        for (algorithm, len) in [
            (HashingAlgorithm::Sha256, 36),
            (HashingAlgorithm::Sha512, 68),
            (HashingAlgorithm::Md5, 20),
        ] {
            let hash = PasswordHash::new(b"secret", [1, 2, 3, 4], algorithm);
            assert!(hash.verify(b"secret"));
            assert!(!hash.verify(b"Secret") && !hash.verify(b""));
            assert_eq!(hash.salted.len(), len);
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            let other = PasswordHash::new(b"secret", [1, 2, 3, 5], algorithm);
            assert_ne!(hash, other, "the salt tells them apart");
        }
    }

    #[test]
    fn nothing_is_the_password_of_an_empty_or_cut_hash() {
        for base64 in ["", "AAAA", "AAAAAAA="] {
            let hash = PasswordHash::parse(base64, HashingAlgorithm::Sha256).unwrap();
            assert!(!hash.verify(b"") && !hash.verify(b"secret"), "{base64}");
        }
        assert!(PasswordHash::none().is_none());
        let refused = PasswordHash::parse("bad!", HashingAlgorithm::Sha256);
        assert_eq!(refused, Err(InvalidHash::NotBase64));
        assert!("rot13".parse::<HashingAlgorithm>().is_err());
    }

    #[test]
    fn a_hash_does_not_show_in_logs() {
        let hash = PasswordHash::new(b"secret", [1, 2, 3, 4], HashingAlgorithm::Sha256);
        assert!(!format!("{hash:?}").contains(&hash.to_base64()));
    }
}
