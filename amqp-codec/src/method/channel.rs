//! Class channel: opening, flow and closing of channels.

use bytes::Bytes;

use super::table::class;
use crate::ShortString;

class! {
    20;

    /// opens the channel that its frame names.
    10 "channel.open" Open reserved(ShortString) {};

    /// the channel is open.
    11 "channel.open-ok" OpenOk reserved(Bytes) {};

    /// asks the peer to pause or resume sending content.
    20 "channel.flow" Flow {
        /// Whether content may be sent.
        active: bool,
    };

    /// confirms a flow.
    21 "channel.flow-ok" FlowOk {
        /// Whether content will be sent.
        active: bool,
    };

    /// ends the channel, for an error or for none.
    40 "channel.close" Close {
        /// A [`ReplyCode`](crate::ReplyCode), if the peer keeps to them.
        reply_code: u16,
        /// The reason in words.
        reply_text: ShortString,
        /// The class of the method that was at fault, or 0.
        class_id: u16,
        /// The method that was at fault, or 0.
        method_id: u16,
    };

    /// the channel's number is free again.
    41 "channel.close-ok" CloseOk {};
}
