//! Class exchange: exchanges, and RabbitMQ's bindings between them.

use super::table::class;
use crate::{FieldTable, ShortString};

class! {
    40;

    /// creates an exchange, or checks for one.
    10 "exchange.declare" Declare reserved(u16) {
        /// The exchange's name.
        exchange: ShortString,
        /// The field `type`: `direct`, `fanout`, `topic`, `headers`, or another.
        kind: ShortString,
        /// Only check that it exists.
        passive: bool,
        /// Keep it over a restart.
        durable: bool,
        /// Delete it when its last binding goes (RabbitMQ's use of a reserved bit).
        auto_delete: bool,
        /// Refuse publishes from clients (RabbitMQ's use of a reserved bit).
        internal: bool,
        /// Send no answer.
        no_wait: bool,
        /// Such as `alternate-exchange`.
        arguments: FieldTable,
    };

    /// the exchange is there.
    11 "exchange.declare-ok" DeclareOk {};

    /// deletes an exchange.
    20 "exchange.delete" Delete reserved(u16) {
        /// The exchange's name.
        exchange: ShortString,
        /// Only if nothing is bound to it.
        if_unused: bool,
        /// Send no answer.
        no_wait: bool,
    };

    /// the exchange is gone.
    21 "exchange.delete-ok" DeleteOk {};

    /// binds an exchange to another one (RabbitMQ's).
    30 "exchange.bind" Bind reserved(u16) {
        /// Where messages go to.
        destination: ShortString,
        /// Where messages come from.
        source: ShortString,
        /// The binding's key.
        routing_key: ShortString,
        /// Send no answer.
        no_wait: bool,
        /// What a headers exchange matches.
        arguments: FieldTable,
    };

    /// the binding is there (RabbitMQ's).
    31 "exchange.bind-ok" BindOk {};

    /// undoes a bind with the same arguments (RabbitMQ's).
    40 "exchange.unbind" Unbind reserved(u16) {
        /// Where messages went to.
        destination: ShortString,
        /// Where messages came from.
        source: ShortString,
        /// The binding's key.
        routing_key: ShortString,
        /// Send no answer.
        no_wait: bool,
        /// The binding's arguments.
        arguments: FieldTable,
    };

    /// the binding is gone (RabbitMQ's; the id is 51, not 41).
    51 "exchange.unbind-ok" UnbindOk {};
}
