//! Who may be connected to a service over HTTP.
//!
//! Nobody needs a password to connect, so places are limited by where clients come from: one address has a
//! quarter of them at most, and a quarter is kept for this machine, whose commands and health checks nobody else
//! can keep out. This machine is an address like others: it has no more than that.
//!
//! Of one address, who comes last goes before who has waited for longest.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::caller::From;
use crate::auth::Origin;
use crate::session::{Arrival, ArrivalLimits, ArrivalRefused, Arrivals};

/// Connections of one service at a time, where the system has descriptors enough.
pub const CONNECTIONS_MAX: usize = 1024;

/// The places of one service.
#[derive(Debug)]
pub(super) struct Admission {
    others: Arc<Arrivals>,
    this_machine: Arc<Arrivals>,
    waiting: Arc<Waiting>,
}

impl Admission {
    /// So many places; four at least.
    pub(super) fn new(places: usize) -> Self {
        let of_origin = (places / 4).max(1);
        let of_others = places.saturating_sub(of_origin).max(of_origin);
        let others = ArrivalLimits { of_origin, of_all: of_others, ..ArrivalLimits::default() };
        let count_loopback = true;
        let this_machine = ArrivalLimits { of_origin, count_loopback, ..ArrivalLimits::default() };
        let [others, this_machine] =
            [others, this_machine].map(|limits| Arc::new(Arrivals::new(limits)));
        Self { others, this_machine, waiting: Arc::default() }
    }

    /// Somebody connects. He has a place until what comes back is dropped, or until it is another's.
    ///
    /// # Errors
    /// [`ArrivalRefused`]: there is none for him.
    pub(super) fn admit(&self, from: From) -> Result<Place, ArrivalRefused> {
        let (arrivals, address) = match from.is_this_machine() {
            // By whichever of its addresses.
            true => (&self.this_machine, IpAddr::V4(Ipv4Addr::LOCALHOST)),
            false => (&self.others, from.peer.ip()),
        };
        let (arrivals, origin) = (Arc::clone(arrivals), Origin::from(address));
        let arrival = match arrivals.room(address) {
            Ok(arrival) => arrival,
            Err(refused) => {
                let has_too_many = matches!(refused, ArrivalRefused::Origin(_));
                let left = has_too_many.then(|| self.waiting.let_go(origin)).flatten();
                left.ok_or_else(|| {
                    arrivals.refuse(&refused);
                    refused
                })?
            }
        };
        Ok(Place::taken(arrival, origin, &self.waiting))
    }

    /// How many were refused so far, by the limit that was reached.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let this_machine = self.this_machine.refused();
        self.others
            .refused()
            .zip(this_machine)
            .map(|((limit, one), (_, other))| (limit, one + other))
    }
}

/// Who is connected and has no request that is being answered, by address, the longest first.
#[derive(Debug, Default)]
struct Waiting(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    last: u64,
    by_origin: HashMap<Origin, BTreeMap<u64, Arc<Seat>>, RandomState>,
}

impl Waiting {
    fn enter(&self, origin: Origin, seat: &Arc<Seat>) -> u64 {
        let mut turns = self.0.lock();
        turns.last += 1;
        let turn = turns.last;
        turns.by_origin.entry(origin).or_default().insert(turn, Arc::clone(seat));
        turn
    }

    fn leave(&self, origin: Origin, turn: u64) {
        drop(self.0.lock().take(origin, |_| Some(turn)));
    }

    /// Lets the one go that has waited for longest: what he counted for is the caller's.
    fn let_go(&self, origin: Origin) -> Option<Arrival> {
        let longest = |all: &BTreeMap<u64, Arc<Seat>>| all.keys().next().copied();
        let seat = self.0.lock().take(origin, longest)?;
        let arrival = seat.arrival.lock().take();
        seat.let_go.cancel();
        arrival
    }
}

impl Turns {
    fn take(
        &mut self,
        origin: Origin,
        which: impl FnOnce(&BTreeMap<u64, Arc<Seat>>) -> Option<u64>,
    ) -> Option<Arc<Seat>> {
        let Entry::Occupied(mut of_origin) = self.by_origin.entry(origin) else { return None };
        let turn = which(of_origin.get());
        let seat = turn.and_then(|turn| of_origin.get_mut().remove(&turn));
        if of_origin.get().is_empty() {
            of_origin.remove();
        }
        seat
    }
}

/// Where somebody sits.
#[derive(Debug)]
struct Seat {
    arrival: Mutex<Option<Arrival>>,
    let_go: CancellationToken,
}

/// The place of somebody who is connected. Who comes from the same address when there is none left takes that of
/// the one who has waited for longest: so no number of idle connections keeps a health check out.
#[derive(Debug)]
pub(super) struct Place {
    seat: Arc<Seat>,
    origin: Origin,
    waiting: Arc<Waiting>,
    turn: AtomicU64,
}

impl Place {
    fn taken(arrival: Arrival, origin: Origin, waiting: &Arc<Waiting>) -> Self {
        let arrival = Mutex::new(Some(arrival));
        let seat = Arc::new(Seat { arrival, let_go: CancellationToken::new() });
        let turn = AtomicU64::new(waiting.enter(origin, &seat));
        Self { seat, origin, waiting: Arc::clone(waiting), turn }
    }

    /// A request came: nobody takes the place while it is being answered.
    pub(super) fn is_asked(&self) {
        self.waiting.leave(self.origin, self.turn.load(Ordering::Relaxed));
    }

    /// It is answered, as far as that is the broker's part.
    pub(super) fn has_answered(&self) {
        let turn = self.waiting.enter(self.origin, &self.seat);
        self.turn.store(turn, Ordering::Relaxed);
    }

    /// Returns once the place is another's.
    pub(super) async fn lost(&self) {
        self.seat.let_go.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.leave(self.origin, *self.turn.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const BROKER: &str = "192.0.2.1";

    fn from(peer: &str) -> From {
        let at = |address: &str| SocketAddr::new(address.parse().unwrap(), 15672);
        From { peer: at(peer), local: at(BROKER) }
    }

    /// So many places as this one gets, with a request on each.
    fn all_for(admission: &Admission, peer: &str) -> Vec<Place> {
        let busy = |place: &Place| place.is_asked();
        std::iter::from_fn(|| admission.admit(from(peer)).ok()).inspect(busy).collect()
    }

    #[test]
    fn one_address_has_a_quarter() {
        let admission = Admission::new(16);
        let all = all_for(&admission, "198.51.100.1");
        assert_eq!(all.len(), 4);
        assert_eq!(admission.admit(from("198.51.100.1")).unwrap_err(), ArrivalRefused::Origin(4));
        let _another = admission.admit(from("198.51.100.2")).unwrap();
        assert_eq!(admission.refused().next(), Some(("address", 2)));
        drop(all);
        admission.admit(from("198.51.100.1")).unwrap();
        let left = admission.waiting.0.lock();
        assert!(!left.by_origin.contains_key(&Origin::from(from("198.51.100.1").peer.ip())));
    }

    #[test]
    fn who_comes_takes_the_place_of_the_one_who_has_waited_for_longest() {
        let admission = Admission::new(16);
        let is_lost = |place: &Place| place.seat.let_go.is_cancelled();
        let [busy, answered, first, second] =
            std::array::from_fn(|_| admission.admit(from("127.0.0.1")).unwrap());
        busy.is_asked();
        answered.is_asked();
        answered.has_answered();
        let newcomers = [(&first, "::1"), (&second, BROKER), (&answered, "127.0.0.1")];
        let newcomers = newcomers.map(|(longest, newcomer)| {
            assert!(!is_lost(longest));
            let newcomer = admission.admit(from(newcomer)).unwrap();
            newcomer.is_asked();
            assert!(is_lost(longest));
            newcomer
        });
        assert!(!is_lost(&busy) && !newcomers.iter().any(is_lost));
        assert_eq!(admission.admit(from("127.0.0.1")).unwrap_err(), ArrivalRefused::Origin(4));
        assert_eq!(admission.refused().next(), Some(("address", 1)));
        // What the lost ones leave was the newcomers' already.
        drop((first, second, answered));
        admission.admit(from("127.0.0.1")).unwrap_err();
        drop(busy);
        admission.admit(from("127.0.0.1")).unwrap();
    }

    #[test]
    fn all_others_together_leave_this_machine_its_places() {
        let admission = Admission::new(16);
        let others: Vec<_> = (1..=20)
            .flat_map(|number| all_for(&admission, &format!("198.51.100.{number}")))
            .collect();
        assert_eq!(others.len(), 12);
        assert_eq!(admission.admit(from("203.0.113.1")).unwrap_err(), ArrivalRefused::All(12));
        assert_eq!(all_for(&admission, "127.0.0.1").len(), 4);
        assert_eq!(all_for(&admission, BROKER).len(), 4);
    }

    #[test]
    fn this_machine_has_no_more_than_others_however_it_comes() {
        let admission = Admission::new(16);
        let mut held = all_for(&admission, "127.0.0.1");
        for own in ["127.0.0.2", "::1", "::ffff:127.0.0.1", BROKER] {
            held.extend(all_for(&admission, own));
        }
        assert_eq!(held.len(), 4);
        let _other = admission.admit(from("198.51.100.1")).unwrap();
    }

    #[test]
    fn of_very_few_places_everybody_has_one() {
        let admission = Admission::new(0);
        assert_eq!(all_for(&admission, "127.0.0.1").len(), 1);
        assert_eq!(all_for(&admission, "198.51.100.1").len(), 1);
    }
}
