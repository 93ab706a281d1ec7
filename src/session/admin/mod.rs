//! What administrators do, over HTTP, from the command line or from a test: users, permissions, vhosts,
//! limits, parameters, definitions.
//!
//! Every change is in force when the call returns. It lasts once [`Host::when_durable`] has said so.

mod acting;
mod connections;
mod defaults;
mod definitions;
mod error;
mod events;
mod messages;
mod new_vhosts;
mod parameters;
mod permissions;
mod policies;
mod topology;
mod users;
mod vhosts;
mod visitor;

pub use self::acting::Acting;
pub use self::defaults::Defaults;
pub use self::definitions::{Definitions, ImportError, Imported, InvalidDefinitions};
pub use self::error::AdminError;
pub use self::messages::{Decision, Fetch, Publish, Published, Taken};
pub use self::new_vhosts::{InitialUser, NewVHosts};
pub use self::users::{NewPassword, NewUser};
pub use self::visitor::{Refused, Visitor};

use super::host::Host;
use crate::store::Confirmation;

/// Somebody who waits for a change to last.
struct Told<F>(F);

impl<F: FnOnce() + Send> Confirmation for Told<F> {
    fn durable(self: Box<Self>) {
        (self.0)();
    }
}

impl Host {
    /// Calls `told` once everything that was changed before is as safe as the store promises: at once or
    /// later, on this thread or another. Where the store has failed, never.
    pub fn when_durable(&self, told: impl FnOnce() + Send + 'static) {
        self.store.when_durable(Box::new(Told(told)));
    }
}
