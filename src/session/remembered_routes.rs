//! The routes of a channel's last publishes, for the next ones with the same exchange and key.

use std::hash::Hasher;
use std::ops::Range;
use std::sync::Arc;

use amqp_codec::ShortString;
use rustc_hash::FxHasher;

use crate::broker::routing::Route;

/// How many are remembered of a channel that publishes to several.
const ROUTES_MAX: usize = 256;

/// A route to more queues than this is remembered where it is the only one: it costs as much memory as they
/// are many, and more to follow than to find.
const QUEUES_MAX: usize = 16;

/// Places that a route may be in: the same hash leads to all of them.
const WAYS: usize = 2;

/// What routes depend on beside exchange and key: the topology, and what the user may do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct AsOf {
    pub(super) topology: u64,
    pub(super) rights: u64,
}

/// Routes by exchange and key, each in one of the places that its hash leads to: no place, one, or
/// [`ROUTES_MAX`]. A channel that always publishes to the same pays for no more.
#[derive(Debug, Default)]
pub(super) struct RememberedRoutes {
    as_of: AsOf,
    places: Vec<Option<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    exchange: ShortString,
    routing_key: ShortString,
    route: Arc<Route>,
}

impl Remembered {
    fn is_of(&self, exchange: &[u8], routing_key: &[u8]) -> bool {
        self.routing_key.as_bytes() == routing_key && self.exchange.as_bytes() == exchange
    }
}

impl RememberedRoutes {
    /// The route, if it is known and still holds.
    #[inline]
    pub(super) fn find(
        &self,
        as_of: AsOf,
        exchange: &[u8],
        routing_key: &[u8],
    ) -> Option<&Arc<Route>> {
        if self.as_of != as_of {
            return None;
        }
        let mut places = self.places[self.range(exchange, routing_key)].iter().flatten();
        places.find(|place| place.is_of(exchange, routing_key)).map(|place| &place.route)
    }

    /// Remembers a route that depends on exchange and key alone, perhaps in another one's place.
    pub(super) fn remember(
        &mut self,
        as_of: AsOf,
        exchange: &[u8],
        routing_key: &[u8],
        route: &Arc<Route>,
    ) {
        if self.as_of != as_of {
            // The others hold no more, and queues that are gone are not to be kept for them.
            self.as_of = as_of;
            self.places.clear();
        }
        let is_another = |it: &Option<Remembered>| {
            it.as_ref().is_some_and(|it| !it.is_of(exchange, routing_key))
        };
        let is_long = route.queues.len() > QUEUES_MAX;
        match &self.places[..] {
            [] => self.places.push(None),
            [only] if is_another(only) && !is_long => self.grow(),
            [_] => {}
            _ if is_long => return,
            _ => {}
        }
        self.put(Remembered {
            exchange: ShortString::truncated(exchange),
            routing_key: ShortString::truncated(routing_key),
            route: Arc::clone(route),
        });
    }

    /// Puts a route in front of the others of its places, and the last of them out.
    fn put(&mut self, remembered: Remembered) {
        let (exchange, routing_key) = (&remembered.exchange, &remembered.routing_key);
        let range = self.range(exchange.as_bytes(), routing_key.as_bytes());
        let places = &mut self.places[range];
        places.rotate_right(1);
        if let Some(first) = places.first_mut() {
            *first = Some(remembered);
        }
    }

    fn grow(&mut self) {
        let first = self.places.pop().flatten();
        let first = first.filter(|first| first.route.queues.len() <= QUEUES_MAX);
        self.places.resize_with(ROUTES_MAX, || None);
        if let Some(first) = first {
            self.put(first);
        }
    }

    /// The places that a route may be in.
    fn range(&self, exchange: &[u8], routing_key: &[u8]) -> Range<usize> {
        if self.places.len() < ROUTES_MAX {
            return 0..self.places.len();
        }
        let mut hasher = FxHasher::default();
        hasher.write(exchange);
        hasher.write(routing_key);
        // The upper bits are the better mixed ones.
        let first = (hasher.finish() >> 32) as usize % (ROUTES_MAX / WAYS) * WAYS;
        first..first + WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(routes: &RememberedRoutes, as_of: AsOf, keys: &[String]) -> usize {
        keys.iter().filter(|key| routes.find(as_of, b"x", key.as_bytes()).is_some()).count()
    }

    #[test]
    fn one_key_takes_one_place_and_several_are_found_again() {
        let mut routes = RememberedRoutes::default();
        let as_of = AsOf { topology: 1, rights: 1 };
        let keys: Vec<String> = (0..8).map(|number| format!("key-{number}")).collect();
        for key in &keys[..1] {
            routes.remember(as_of, b"x", key.as_bytes(), &Arc::default());
            routes.remember(as_of, b"x", key.as_bytes(), &Arc::default());
        }
        assert_eq!(routes.places.len(), 1);
        for key in &keys {
            let route = Arc::new(Route::default());
            routes.remember(as_of, b"x", key.as_bytes(), &route);
            let found = routes.find(as_of, b"x", key.as_bytes()).expect("it is known");
            assert!(Arc::ptr_eq(found, &route));
        }
        assert!(remembered(&routes, as_of, &keys) > 6, "few share their places");
        assert!(routes.find(as_of, b"y", b"key-1").is_none());
    }

    #[test]
    fn what_no_longer_holds_is_not_found_and_not_kept() {
        let mut routes = RememberedRoutes::default();
        let before = AsOf { topology: 1, rights: 1 };
        let keys: Vec<String> = (0..100).map(|number| format!("key-{number}")).collect();
        let route = Arc::default();
        for key in &keys {
            routes.remember(before, b"x", key.as_bytes(), &route);
        }
        for after in [AsOf { topology: 2, rights: 1 }, AsOf { topology: 1, rights: 2 }] {
            assert_eq!(remembered(&routes, after, &keys), 0);
        }
        let after = AsOf { topology: 2, rights: 1 };
        routes.remember(after, b"x", b"new", &Arc::default());
        assert_eq!((remembered(&routes, after, &keys), Arc::strong_count(&route)), (0, 1));
    }
}
