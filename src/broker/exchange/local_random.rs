//! Local random exchanges: as random ones, among the queues of the node that a message came to. With
//! one node these are all queues, so what is left are the rules for its bindings.

use amqp_codec::ShortString;

use super::invalid::InvalidBinding;
use crate::broker::binding::{Binding, Destination};
use crate::broker::policy::QueueKind;

/// Whether a local random exchange can take a binding: to a classic queue, with an empty key.
///
/// # Errors
/// [`InvalidBinding`] (406), in the order of RabbitMQ 4's checks.
pub(super) fn check_binding(binding: &Binding) -> Result<(), InvalidBinding> {
    let queue = match &binding.destination {
        Destination::Queue(queue) => Some(queue.kind()),
        Destination::Exchange(_) => None,
    };
    check_ends(&binding.routing_key, queue)
}

/// The same, of a binding with this key to a queue of this type, or to an exchange.
pub(super) fn check_ends(
    routing_key: &ShortString,
    queue: Option<QueueKind>,
) -> Result<(), InvalidBinding> {
    if !routing_key.is_empty() {
        return Err(InvalidBinding::KeyNotEmpty(routing_key.clone()));
    }
    match queue {
        None => Err(InvalidBinding::NotAQueue),
        Some(QueueKind::Classic) => Ok(()),
        Some(kind) => Err(InvalidBinding::QueueType(kind.name())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use amqp_codec::{FieldTable, ShortString};

    use super::super::tests::arguments;
    use super::*;
    use crate::broker::queue_cell::{ConnectionId, QueueProperties};
    use crate::broker::time::Epoch;
    use crate::broker::vhost::{VHost, VHostOptions};
    use crate::store::MemoryStore;

    fn binding(destination: Destination, key: &'static str) -> Binding {
        Binding {
            source: ShortString::from_static("x"),
            destination,
            routing_key: ShortString::from_static(key),
            arguments: FieldTable::default(),
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an origin to count from")]
    fn only_classic_queues_with_an_empty_key_are_bound() {
        let now = Instant::now();
        let options = VHostOptions::new(Epoch::new(now, 0));
        let vhost = VHost::new(ShortString::from_static("/"), Arc::new(MemoryStore), options);
        let classic = QueueProperties {
            arguments: arguments(&[("x-queue-type", "classic".into())]),
            ..QueueProperties::default()
        };
        let name = ShortString::from_static("q");
        let queue = vhost.declare_queue(&name, classic, ConnectionId(1), now);
        let queue = Destination::Queue(queue.unwrap());
        let exchange = Destination::Exchange(ShortString::from_static("e"));
        assert_eq!(check_binding(&binding(queue.clone(), "")), Ok(()));
        let key = InvalidBinding::KeyNotEmpty(ShortString::from_static("k"));
        assert_eq!(check_binding(&binding(queue, "k")), Err(key.clone()));
        assert_eq!(check_binding(&binding(exchange.clone(), "k")), Err(key));
        assert_eq!(check_binding(&binding(exchange, "")), Err(InvalidBinding::NotAQueue));
    }
}
