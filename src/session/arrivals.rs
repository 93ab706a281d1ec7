//! How many may be connected: in all, and from one address.
//!
//! Asked before anything is read of a client, so that who is too many costs no more than an accepted socket.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::auth::Origin;
use crate::config::Capacity;

/// Whether a connection could not be accepted by the client's doing, or the network's: the next one may be
/// accepted at once. After anything else, as when the system has no more descriptors, accepting has to rest.
#[must_use]
pub fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// How many may be connected. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArrivalLimits {
    /// From one address.
    pub of_origin: usize,
    /// From one address, of those that have not logged in.
    pub strangers_of_origin: usize,
    /// In all: what the system has descriptors for.
    pub of_all: usize,
    /// Whether this machine is an address like others.
    pub count_loopback: bool,
}

impl ArrivalLimits {
    pub(super) fn of(capacity: &Capacity, descriptors_max: usize) -> Self {
        Self {
            of_origin: capacity.connections_per_address,
            strangers_of_origin: capacity.unauthenticated_per_address,
            of_all: descriptors_max,
            count_loopback: capacity.limit_loopback,
        }
    }
}

/// One more would be too many: the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArrivalRefused {
    /// Of [`ArrivalLimits::of_origin`].
    #[error("it has {0} connections, which is the limit for one address")]
    Origin(usize),
    /// Of [`ArrivalLimits::strangers_of_origin`].
    #[error("it has {0} connections that have not logged in, which is the limit for one address")]
    Strangers(usize),
    /// Of [`ArrivalLimits::of_all`].
    #[error("there are {0} connections, and no more open files are set aside for them")]
    All(usize),
}

impl ArrivalRefused {
    /// The word for it in the metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        REASONS[self.number()]
    }

    fn number(self) -> usize {
        match self {
            Self::Origin(_) => 0,
            Self::Strangers(_) => 1,
            Self::All(_) => 2,
        }
    }
}

const REASONS: [&str; 3] = ["address", "address_not_logged_in", "descriptors"];

/// Counts connections by where they come from. Its lock is a leaf.
///
/// What is remembered is bounded by what is connected.
#[derive(Debug, Default)]
pub struct Arrivals {
    limits: ArrivalLimits,
    counts: Mutex<Counts>,
    refused: [AtomicU64; REASONS.len()],
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_origin: HashMap<Origin, OfOrigin, RandomState>,
}

#[derive(Debug, Default)]
struct OfOrigin {
    all: usize,
    strangers: usize,
}

impl Arrivals {
    /// With nobody connected.
    #[must_use]
    pub fn new(limits: ArrivalLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Somebody connects. It counts until what comes back is dropped.
    ///
    /// # Errors
    /// [`ArrivalRefused`]: there are too many already.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Arrival, ArrivalRefused> {
        self.room(address).inspect_err(|refused| self.refuse(refused))
    }

    /// The same for who has another way if there is no room: it is not counted as refused before
    /// [`Arrivals::refuse`].
    ///
    /// # Errors
    /// [`ArrivalRefused`]: there are too many already.
    pub fn room(self: &Arc<Self>, address: IpAddr) -> Result<Arrival, ArrivalRefused> {
        let origin = Origin::from(address);
        let origin = (self.limits.count_loopback || !origin.is_loopback()).then_some(origin);
        self.counts.lock().add(origin, &self.limits)?;
        let is_stranger = AtomicBool::new(true);
        Ok(Arrival { arrivals: Arc::clone(self), origin, is_stranger })
    }

    /// Counts somebody who was refused.
    pub fn refuse(&self, refused: &ArrivalRefused) {
        self.refused[refused.number()].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were refused so far, by [`ArrivalRefused::reason`].
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        REASONS.into_iter().zip(counts)
    }
}

impl Counts {
    fn add(
        &mut self,
        origin: Option<Origin>,
        limits: &ArrivalLimits,
    ) -> Result<(), ArrivalRefused> {
        let is_full = |count: usize, limit: usize| limit != 0 && count >= limit;
        if is_full(self.all, limits.of_all) {
            return Err(ArrivalRefused::All(limits.of_all));
        }
        if let Some(origin) = origin {
            if let Some(count) = self.by_origin.get(&origin) {
                if is_full(count.all, limits.of_origin) {
                    return Err(ArrivalRefused::Origin(limits.of_origin));
                }
                if is_full(count.strangers, limits.strangers_of_origin) {
                    return Err(ArrivalRefused::Strangers(limits.strangers_of_origin));
                }
            }
            let count = self.by_origin.entry(origin).or_default();
            count.all += 1;
            count.strangers += 1;
        }
        self.all += 1;
        Ok(())
    }

    fn remove(&mut self, origin: Option<Origin>, was_stranger: bool) {
        self.all -= 1;
        let Some(origin) = origin else { return };
        let Entry::Occupied(mut entry) = self.by_origin.entry(origin) else { return };
        let count = entry.get_mut();
        count.all -= 1;
        count.strangers -= usize::from(was_stranger);
        if count.all == 0 {
            entry.remove();
        }
    }

    fn introduce(&mut self, origin: Origin) {
        if let Some(count) = self.by_origin.get_mut(&origin) {
            count.strangers -= 1;
        }
    }
}

/// Somebody who is connected, and counts as long as this is not dropped: until the socket is closed.
#[derive(Debug)]
pub struct Arrival {
    arrivals: Arc<Arrivals>,
    /// None, if it counts for the sum only.
    origin: Option<Origin>,
    is_stranger: AtomicBool,
}

impl Arrival {
    /// It logged in.
    pub fn logged_in(&self) {
        if self.is_stranger.swap(false, Ordering::Relaxed)
            && let Some(origin) = self.origin
        {
            self.arrivals.counts.lock().introduce(origin);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let was_stranger = self.is_stranger.load(Ordering::Relaxed);
        self.arrivals.counts.lock().remove(self.origin, was_stranger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_rests_after_what_is_not_the_clients_doing() {
        use io::ErrorKind;
        for (error, is_clients) in [
            (io::Error::from(ErrorKind::ConnectionAborted), true),
            (io::Error::from(ErrorKind::ConnectionReset), true),
            (io::Error::from(ErrorKind::Interrupted), true),
            // EMFILE, ENFILE, ENOBUFS
            (io::Error::from_raw_os_error(24), false),
            (io::Error::from_raw_os_error(23), false),
            (io::Error::from_raw_os_error(105), false),
        ] {
            assert_eq!(is_of_client(&error), is_clients, "{error}");
        }
    }

    fn arrivals(
        limits: ArrivalLimits,
    ) -> (Arc<Arrivals>, impl Fn(&str) -> Result<Arrival, ArrivalRefused>) {
        let arrivals = Arc::new(Arrivals::new(limits));
        let admitting = Arc::clone(&arrivals);
        (arrivals, move |address: &str| admitting.admit(address.parse().unwrap()))
    }

    #[test]
    fn an_address_has_so_many_connections_and_others_are_not_in_its_way() {
        let limits = ArrivalLimits { of_origin: 2, ..ArrivalLimits::default() };
        let (arrivals, admit) = arrivals(limits);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), ArrivalRefused::Origin(2));
        let _other = admit("192.0.2.2").unwrap();
        first.logged_in();
        assert_eq!(admit("192.0.2.1").unwrap_err(), ArrivalRefused::Origin(2));
        drop(first);
        let _third = admit("192.0.2.1").unwrap();
        let refused: Vec<_> = arrivals.refused().filter(|(_, count)| *count > 0).collect();
        assert_eq!(refused, [("address", 2)]);
    }

    #[test]
    fn who_logged_in_makes_room_for_a_stranger() {
        let limits = ArrivalLimits { strangers_of_origin: 1, ..ArrivalLimits::default() };
        let (_, admit) = arrivals(limits);
        let first = admit("2001:db8::1").unwrap();
        assert_eq!(admit("2001:db8::2").unwrap_err(), ArrivalRefused::Strangers(1));
        first.logged_in();
        first.logged_in();
        let second = admit("2001:db8::2").unwrap();
        drop(first);
        assert_eq!(admit("2001:db8::2").unwrap_err(), ArrivalRefused::Strangers(1));
        drop(second);
        let _third = admit("2001:db8::3").unwrap();
    }

    #[test]
    fn this_machine_counts_for_the_sum_unless_it_is_to_count() {
        let limits = ArrivalLimits { of_origin: 1, of_all: 2, ..ArrivalLimits::default() };
        let (_, admit) = arrivals(limits);
        let _two = ["127.0.0.1", "127.0.0.1"].map(|address| admit(address).unwrap());
        assert_eq!(admit("192.0.2.1").unwrap_err(), ArrivalRefused::All(2));
        let (_, admit) = arrivals_counting_loopback();
        let _one = admit("127.0.0.1").unwrap();
        assert_eq!(admit("127.0.0.1").unwrap_err(), ArrivalRefused::Origin(1));
    }

    fn arrivals_counting_loopback()
    -> (Arc<Arrivals>, impl Fn(&str) -> Result<Arrival, ArrivalRefused>) {
        arrivals(ArrivalLimits { of_origin: 1, count_loopback: true, ..ArrivalLimits::default() })
    }

    #[test]
    fn nothing_is_remembered_of_those_who_went() {
        let (arrivals, admit) = arrivals(ArrivalLimits::default());
        let gone: Vec<_> = (0..100).map(|n| admit(&format!("192.0.2.{n}")).unwrap()).collect();
        gone[7].logged_in();
        drop(gone);
        let counts = arrivals.counts.lock();
        assert_eq!((counts.all, counts.by_origin.len()), (0, 0));
    }
}
