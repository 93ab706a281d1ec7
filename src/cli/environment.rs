//! The environment variables that the process was started with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The environment, without variables that are empty or whose names are no text.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// Those of these variables that say something.
    pub(super) fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        let said = variables.into_iter().filter(|(_, value)| !value.is_empty());
        Self(said.filter_map(named).collect())
    }

    /// A variable as it is.
    pub(super) fn get(&self, variable: &str) -> Option<&OsStr> {
        self.0.get(variable).map(OsString::as_os_str)
    }

    /// A variable that is text.
    pub(super) fn text(&self, variable: &str) -> Option<&str> {
        self.get(variable)?.to_str()
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_os_str()))
    }
}
