//! Somebody who administers the broker.

use std::ops::Deref;

use super::topology::NOBODY;
use crate::broker::requester::{INTERNAL_USER, Requester};
use crate::session::host::Host;

/// The broker in the hands of a user: what is changed this way is told as done by him. Whether he may was asked
/// before.
///
/// ```text
/// host.acting_as("alice").delete_user("bob");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Acting<'a> {
    host: &'a Host,
    user: &'a str,
}

impl Host {
    /// Has a user make changes.
    pub fn acting_as<'a>(&'a self, user: &'a str) -> Acting<'a> {
        Acting { host: self, user }
    }

    /// Has the broker itself make them, or who embeds it.
    pub fn acting_by_itself(&self) -> Acting<'_> {
        self.acting_as(INTERNAL_USER)
    }
}

impl<'a> Acting<'a> {
    pub(super) fn host(&self) -> &'a Host {
        self.host
    }

    pub(super) fn user(&self) -> &'a str {
        self.user
    }

    /// Who asks: no connection, so that nothing exclusive is its own.
    pub(super) fn requester(&self) -> Requester<'a> {
        Requester { connection: NOBODY, user: self.user }
    }
}

/// What can be seen is for everybody.
impl Deref for Acting<'_> {
    type Target = Host;

    fn deref(&self) -> &Host {
        self.host
    }
}
