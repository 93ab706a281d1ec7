//! Users and permissions, as all clients of a broker share them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::host::Host;
use crate::auth::{AccessControl, AccessDefinition, LoginRefused, LoginThrottle, Removed, User};
use crate::store::Store;

/// Who may do what.
#[derive(Debug)]
pub(super) struct Access {
    control: RwLock<AccessControl>,
    /// Changes with everything in it, so that what was looked up can be remembered. It begins with 1.
    version: AtomicU64,
    throttle: Mutex<LoginThrottle>,
    loopback_users: HashSet<String>,
    store: Arc<dyn Store>,
}

impl Access {
    /// What was written down, in force again. What is left of users that are gone is removed from the store.
    pub(super) fn restore(
        definitions: Vec<AccessDefinition>,
        loopback_users: impl IntoIterator<Item = String>,
        store: Arc<dyn Store>,
    ) -> Self {
        let mut control = AccessControl::default();
        let orphans = control.restore(definitions);
        orphans.iter().for_each(|orphan| store.remove(orphan.key()));
        Self {
            control: RwLock::new(control),
            version: AtomicU64::new(1),
            throttle: Mutex::default(),
            loopback_users: loopback_users.into_iter().collect(),
            store,
        }
    }

    /// The number of the present permissions.
    #[inline]
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// To be read and let go: everybody who logs in waits meanwhile.
    pub(super) fn control(&self) -> RwLockReadGuard<'_, AccessControl> {
        self.control.read()
    }

    /// Changes something, writes it down, and has everybody look again.
    pub(super) fn put<T>(
        &self,
        change: impl FnOnce(&mut AccessControl) -> (T, Option<AccessDefinition>),
    ) -> T {
        let mut control = self.control.write();
        let (outcome, definition) = change(&mut control);
        if let Some(definition) = definition {
            // Under the lock, so that what is written last is what is in force.
            self.store.put(definition.key(), definition.value());
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        outcome
    }

    /// Removes something; whether it was there.
    pub(super) fn remove(&self, change: impl FnOnce(&mut AccessControl) -> Removed) -> bool {
        let mut control = self.control.write();
        let removed = change(&mut control);
        removed.iter().for_each(|definition| self.store.remove(definition.key()));
        if !removed.is_empty() {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        !removed.is_empty()
    }

    /// Whether somebody is who they say.
    ///
    /// # Errors
    /// [`LoginRefused`], with the reason for the log.
    fn authenticate(
        &self,
        name: &str,
        password: &[u8],
        address: IpAddr,
        now: Instant,
    ) -> Result<Arc<User>, LoginRefused> {
        if !self.throttle.lock().permits(address, name, now) {
            return Err(LoginRefused::Throttled);
        }
        let verified = self.control().verify(name, password).cloned();
        match &verified {
            Ok(_) => self.throttle.lock().succeeded(address, name),
            Err(_) => self.throttle.lock().failed(address, name, now),
        }
        let user = verified?;
        if self.loopback_users.contains(name) && !address.to_canonical().is_loopback() {
            return Err(LoginRefused::LoopbackOnly);
        }
        Ok(user)
    }

    /// Whether there is a user of this name, who has proved it otherwise than by a password.
    fn trust(&self, name: &str, address: IpAddr) -> Result<(), LoginRefused> {
        if self.control().user(name).is_none() {
            return Err(LoginRefused::InvalidCredentials);
        }
        if self.loopback_users.contains(name) && !address.to_canonical().is_loopback() {
            return Err(LoginRefused::LoopbackOnly);
        }
        Ok(())
    }
}

impl Host {
    /// Whether somebody whose certificate was verified may log in by this name.
    ///
    /// # Errors
    /// [`LoginRefused`], with the reason for the log.
    pub(super) fn trust(&self, name: &str, address: IpAddr) -> Result<(), LoginRefused> {
        self.access.trust(name, address)
    }

    /// Whether somebody is who they say: for AMQP, and for HTTP's basic authentication.
    ///
    /// # Errors
    /// [`LoginRefused`], with the reason for the log: clients are not told which it is.
    pub fn authenticate(
        &self,
        name: &str,
        password: &[u8],
        address: IpAddr,
        now: Instant,
    ) -> Result<Arc<User>, LoginRefused> {
        self.access.authenticate(name, password, address, now)
    }
}
