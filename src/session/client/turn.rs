//! What a client did while others wait for their turn.

use super::Client;
use crate::broker::effect::{Handed, Wakeups};
use crate::session::Progress;

impl Client {
    /// What it did so far.
    pub fn progress(&self) -> Progress {
        let handed = self.session.as_ref().map(|session| session.handed).unwrap_or_default();
        let Handed { deliveries, receivers } = handed;
        Progress { requests: self.connection.requests(), deliveries, receivers }
    }

    /// Clients that have to be woken for what this one published, before it waits for anything: as long as it goes on
    /// publishing they get more in one go.
    pub fn take_wakeups(&mut self) -> Wakeups {
        self.session
            .as_mut()
            .map(|session| std::mem::take(&mut session.wakeups))
            .unwrap_or_default()
    }
}
