//! Class confirm (RabbitMQ's): acknowledgements to publishers.

use super::table::class;

class! {
    85;

    /// turns confirms on for the channel.
    10 "confirm.select" Select {
        /// Send no answer.
        no_wait: bool,
    };

    /// confirms are on; the next publish has number 1.
    11 "confirm.select-ok" SelectOk {};
}
