//! Class queue: queues and their bindings.

use super::table::class;
use crate::{FieldTable, ShortString};

class! {
    50;

    /// creates a queue, or checks for one.
    10 "queue.declare" Declare reserved(u16) {
        /// The queue's name; empty to have the server choose one.
        queue: ShortString,
        /// Only check that it exists.
        passive: bool,
        /// Keep it over a restart.
        durable: bool,
        /// For this connection only, and gone with it.
        exclusive: bool,
        /// Delete it when its last consumer goes.
        auto_delete: bool,
        /// Send no answer.
        no_wait: bool,
        /// Such as `x-message-ttl`.
        arguments: FieldTable,
    };

    /// the queue is there.
    11 "queue.declare-ok" DeclareOk {
        /// The queue's name.
        queue: ShortString,
        /// The messages ready in it.
        message_count: u32,
        /// Its consumers.
        consumer_count: u32,
    };

    /// binds a queue to an exchange.
    20 "queue.bind" Bind reserved(u16) {
        /// The queue's name; empty for the channel's last declared one.
        queue: ShortString,
        /// The exchange's name.
        exchange: ShortString,
        /// The binding's key.
        routing_key: ShortString,
        /// Send no answer.
        no_wait: bool,
        /// What a headers exchange matches.
        arguments: FieldTable,
    };

    /// the binding is there.
    21 "queue.bind-ok" BindOk {};

    /// drops the ready messages of a queue.
    30 "queue.purge" Purge reserved(u16) {
        /// The queue's name; empty for the channel's last declared one.
        queue: ShortString,
        /// Send no answer.
        no_wait: bool,
    };

    /// the messages are gone.
    31 "queue.purge-ok" PurgeOk {
        /// How many were dropped.
        message_count: u32,
    };

    /// deletes a queue.
    40 "queue.delete" Delete reserved(u16) {
        /// The queue's name; empty for the channel's last declared one.
        queue: ShortString,
        /// Only if it has no consumers.
        if_unused: bool,
        /// Only if it has no messages.
        if_empty: bool,
        /// Send no answer.
        no_wait: bool,
    };

    /// the queue is gone.
    41 "queue.delete-ok" DeleteOk {
        /// How many messages went with it.
        message_count: u32,
    };

    /// undoes a bind with the same arguments.
    50 "queue.unbind" Unbind reserved(u16) {
        /// The queue's name; empty for the channel's last declared one.
        queue: ShortString,
        /// The exchange's name.
        exchange: ShortString,
        /// The binding's key.
        routing_key: ShortString,
        /// The binding's arguments.
        arguments: FieldTable,
    };

    /// the binding is gone.
    51 "queue.unbind-ok" UnbindOk {};
}
