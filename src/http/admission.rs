//! Who may be connected to a service over HTTP.
//!
//! Nobody needs a password to connect, so places are limited by where clients come from: one address has a
//! quarter of them at most, and a quarter is kept for this machine, whose commands and health checks nobody else
//! can keep out. This machine is an address like others: it has no more than that.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::caller::From;
use crate::session::{Arrival, ArrivalLimits, ArrivalRefused, Arrivals};

/// Connections of one service at a time, where the system has descriptors enough.
pub const CONNECTIONS_MAX: usize = 1024;

/// The places of one service.
#[derive(Debug)]
pub(super) struct Admission {
    others: Arc<Arrivals>,
    this_machine: Arc<Arrivals>,
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
        Self { others, this_machine }
    }

    /// Somebody connects. He has a place until what comes back is dropped.
    ///
    /// # Errors
    /// [`ArrivalRefused`]: there is none for him.
    pub(super) fn admit(&self, from: From) -> Result<Arrival, ArrivalRefused> {
        if from.is_this_machine() {
            // By whichever of its addresses.
            self.this_machine.admit(IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            self.others.admit(from.peer.ip())
        }
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const BROKER: &str = "192.0.2.1";

    fn from(peer: &str) -> From {
        let at = |address: &str| SocketAddr::new(address.parse().unwrap(), 15672);
        From { peer: at(peer), local: at(BROKER) }
    }

    /// So many places as this one gets.
    fn all_for(admission: &Admission, peer: &str) -> Vec<Arrival> {
        std::iter::from_fn(|| admission.admit(from(peer)).ok()).collect()
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
