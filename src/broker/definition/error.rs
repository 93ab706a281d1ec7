//! Why a broker does not start with what was written down.

/// Something that was written down can't be read, or can't be in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored definition \"{}\": {reason}", key.escape_ascii())]
pub struct DefinitionError {
    key: Vec<u8>,
    reason: String,
}

impl DefinitionError {
    /// What is wrong with the value of this key.
    pub(in crate::broker) fn new(key: &[u8], reason: impl Into<String>) -> Self {
        Self { key: key.to_vec(), reason: reason.into() }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}
