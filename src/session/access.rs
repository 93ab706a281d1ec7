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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::auth::{LoginRefused, Tags};
    use crate::session::admin::{NewPassword, NewUser};
    use crate::session::tests::{origin, plain_host};

    const HERE: [u8; 4] = [127, 0, 0, 1];
    const ELSEWHERE: [u8; 4] = [192, 0, 2, 1];

    #[test]
    fn guest_comes_in_from_this_machine_only_and_others_from_anywhere() {
        let (host, now) = (plain_host(), origin());
        let password = NewPassword::Plain(b"pw".to_vec());
        let user = NewUser { name: "u".to_owned(), password, tags: Tags::default() };
        host.acting_by_itself().put_user(user).unwrap();
        let login = |name, password: &str, address: [u8; 4]| {
            host.authenticate(name, password.as_bytes(), address.into(), now).map(|_| ())
        };
        assert_eq!(login("guest", "guest", HERE), Ok(()));
        assert_eq!(login("guest", "guest", ELSEWHERE), Err(LoginRefused::LoopbackOnly));
        assert_eq!(login("guest", "wrong", ELSEWHERE), Err(LoginRefused::InvalidCredentials));
        assert_eq!(login("u", "pw", ELSEWHERE), Ok(()));
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(host.authenticate("guest", b"guest", mapped, now).is_ok());
    }

    /// The right password is refused as well then, or guessing would go on all the same.
    #[test]
    fn who_guesses_has_to_wait() {
        let (host, now) = (plain_host(), origin());
        let login = |password: &[u8], now| {
            host.authenticate("guest", password, ELSEWHERE.into(), now).map(|_| ())
        };
        let refusals: Vec<_> = (0..30).map(|_| login(b"wrong", now).unwrap_err()).collect();
        let throttled = refusals.iter().filter(|why| **why == LoginRefused::Throttled).count();
        assert_eq!(throttled, 10);
        assert_eq!(login(b"guest", now), Err(LoginRefused::Throttled));
        let later = now + Duration::from_secs(3);
        assert_eq!(
            login(b"guest", later),
            Err(LoginRefused::LoopbackOnly),
            "it is looked at again"
        );
        assert_eq!(host.authenticate("guest", b"guest", HERE.into(), now).map(|_| ()), Ok(()));
    }
}
