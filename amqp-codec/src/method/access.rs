//! Class access: tickets, which AMQP 0-8 clients ask for and nothing looks at any more.

use super::table::class;
use crate::ShortString;

class! {
    30;

    /// asks for a ticket to use a realm.
    10 "access.request" Request {
        /// The realm's name.
        realm: ShortString,
        /// Ask for exclusive access.
        exclusive: bool,
        /// Ask for passive access.
        passive: bool,
        /// Ask for active access.
        active: bool,
        /// Ask for write access.
        write: bool,
        /// Ask for read access.
        read: bool,
    };

    /// grants a ticket.
    11 "access.request-ok" RequestOk {
        /// The ticket, which later methods carry and servers ignore.
        ticket: u16,
    };
}
