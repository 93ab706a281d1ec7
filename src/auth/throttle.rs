//! How often somebody may try a password.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Origin;

/// Wrong passwords for one user from one address in a row, before the next one has to wait. A person or a
/// test that mistypes never gets there; a dictionary does at once.
const ATTEMPTS: u32 = 20;

/// How long it takes to get one of these back.
const RECOVERY: Duration = Duration::from_secs(3);

/// Addresses and users that are remembered. An entry takes some 40 bytes.
const ENTRIES_MAX: usize = 16 * 1024;

/// Counts failed logins by where they come from and who they claim to be.
///
/// Whoever is on this machine is not counted: whole test suites are, and would shut one another out.
#[derive(Debug, Default)]
pub struct LoginThrottle {
    failures: HashMap<Suspect, Failures>,
    /// Keeps anybody from choosing names that are counted as one.
    names: RandomState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Suspect {
    origin: Origin,
    user: u64,
}

/// When the last of them is forgotten: that tells how many there are.
#[derive(Debug, Clone, Copy)]
struct Failures {
    forgotten_at: Instant,
}

impl LoginThrottle {
    /// Whether a password may be looked at.
    pub fn permits(&self, address: IpAddr, user: &str, now: Instant) -> bool {
        let failures = self.failures.get(&self.suspect(address, user));
        failures.is_none_or(|failures| {
            failures.forgotten_at.saturating_duration_since(now) <= RECOVERY * (ATTEMPTS - 1)
        })
    }

    /// It was wrong.
    pub fn failed(&mut self, address: IpAddr, user: &str, now: Instant) {
        if Origin::from(address).is_loopback() {
            return;
        }
        let suspect = self.suspect(address, user);
        if self.failures.len() >= ENTRIES_MAX && !self.failures.contains_key(&suspect) {
            self.make_room(now);
        }
        let failures = self.failures.entry(suspect).or_insert(Failures { forgotten_at: now });
        failures.forgotten_at = failures.forgotten_at.max(now) + RECOVERY;
    }

    /// It was right: what went before was a mistake.
    pub fn succeeded(&mut self, address: IpAddr, user: &str) {
        if !self.failures.is_empty() {
            let suspect = self.suspect(address, user);
            self.failures.remove(&suspect);
        }
    }

    /// Forgets what is over; where that is nothing, the half that would be forgotten next.
    fn make_room(&mut self, now: Instant) {
        self.failures.retain(|_, failures| failures.forgotten_at > now);
        if self.failures.len() >= ENTRIES_MAX {
            let mut times: Vec<Instant> =
                self.failures.values().map(|failures| failures.forgotten_at).collect();
            let half = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(half);
            let median = *median;
            self.failures.retain(|_, failures| failures.forgotten_at > median);
        }
    }

    fn suspect(&self, address: IpAddr, user: &str) -> Suspect {
        Suspect { origin: Origin::from(address), user: self.names.hash_one(user) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// The only clock reading in these tests: an origin to count from.
    #[expect(clippy::disallowed_methods)]
    fn origin() -> Instant {
        Instant::now()
    }

    fn fail(throttle: &mut LoginThrottle, times: u32, now: Instant) {
        for _ in 0..times {
            throttle.failed(HERE, "bob", now);
        }
    }

    #[test]
    fn a_dictionary_has_to_wait_and_others_do_not() {
        let (mut throttle, now) = (LoginThrottle::default(), origin());
        fail(&mut throttle, ATTEMPTS - 1, now);
        assert!(throttle.permits(HERE, "bob", now));
        fail(&mut throttle, 1, now);
        assert!(!throttle.permits(HERE, "bob", now));
        assert!(throttle.permits(HERE, "alice", now), "another user");
        assert!(throttle.permits(IpAddr::from([192, 0, 2, 2]), "bob", now), "from elsewhere");
        assert!(throttle.permits(HERE, "bob", now + RECOVERY), "one attempt is back");
    }

    #[test]
    fn one_right_password_makes_up_for_all_wrong_ones() {
        let (mut throttle, now) = (LoginThrottle::default(), origin());
        fail(&mut throttle, ATTEMPTS - 1, now);
        throttle.succeeded(HERE, "bob");
        fail(&mut throttle, ATTEMPTS - 1, now);
        assert!(throttle.permits(HERE, "bob", now));
    }

    #[test]
    fn a_network_of_version_6_counts_as_one_address_and_this_machine_as_none() {
        let (mut throttle, now) = (LoginThrottle::default(), origin());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for host in 0..ATTEMPTS {
            throttle.failed(address(&format!("2001:db8::{host:x}")), "bob", now);
            throttle.failed(address("::1"), "bob", now);
            throttle.failed(address("::ffff:127.0.0.1"), "bob", now);
        }
        assert!(!throttle.permits(address("2001:db8::ffff"), "bob", now));
        assert!(throttle.permits(address("2001:db8:0:1::1"), "bob", now));
        assert!(throttle.permits(address("::1"), "bob", now));
        assert!(throttle.permits(address("127.0.0.1"), "bob", now));
    }

    #[test]
    fn it_remembers_so_many_and_no_more_and_the_worst_longest() {
        let (mut throttle, now) = (LoginThrottle::default(), origin());
        fail(&mut throttle, ATTEMPTS, now);
        for user in 0..ENTRIES_MAX * 2 {
            throttle.failed(HERE, &user.to_string(), now);
            assert!(throttle.failures.len() <= ENTRIES_MAX);
        }
        assert!(!throttle.permits(HERE, "bob", now));
    }
}
