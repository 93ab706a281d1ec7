//! What a recent-history exchange gives to a destination that is new to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::binding::Destination;
use super::exchange::History;
use super::message::Message;
use super::queue_cell::QueueCell;
use super::routing::{Publication, Router};
use super::topology::Topology;

/// Messages for one queue, the oldest first.
#[derive(Debug)]
pub struct Replay {
    /// Where they go.
    pub queue: Arc<QueueCell>,
    /// The messages, each for this queue alone: none of them has entered a queue yet.
    pub messages: Vec<Message>,
}

impl Replay {
    /// The same with messages of its own. The recorded ones are counted by the queues that got them
    /// when they were published.
    pub(super) fn counted_anew(self) -> Self {
        let messages = self.messages.iter().map(Message::duplicate).collect();
        Self { messages, ..self }
    }
}

/// The recorded messages for a new destination: a queue gets all of them, an exchange routes each as
/// if it had just been published.
pub(super) fn replay(
    topology: &Topology,
    history: &History,
    destination: &Destination,
    now: Instant,
) -> Vec<Replay> {
    let recorded = history.messages();
    let destination = match destination {
        Destination::Queue(_) if recorded.is_empty() => return Vec::new(),
        Destination::Queue(queue) => {
            let messages = recorded.iter().map(|recorded| recorded.message().clone()).collect();
            return vec![Replay { queue: Arc::clone(queue), messages }];
        }
        Destination::Exchange(name) => name,
    };
    let mut router = Router::default();
    let mut replays: Vec<Replay> = Vec::new();
    let mut places = HashMap::new();
    for recorded in &recorded {
        let routing_keys: SmallVec<[&[u8]; 4]> = recorded.routing_keys().collect();
        let publication = Publication {
            exchange: destination,
            routing_keys: &routing_keys,
            properties: recorded.message().properties(),
            now,
        };
        let route = router.walk(topology, &publication, 0);
        route.record(recorded.message(), &routing_keys);
        for queue in route.queues {
            let place = *places.entry(queue.id).or_insert(replays.len());
            if place == replays.len() {
                replays.push(Replay { queue, messages: Vec::new() });
            }
            replays[place].messages.push(recorded.message().clone());
        }
    }
    replays
}
