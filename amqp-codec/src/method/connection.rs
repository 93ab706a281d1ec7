//! Class connection: handshake, limits, closing, and RabbitMQ's notices.

use bytes::Bytes;

use super::table::class;
use crate::{FieldTable, ShortString};

class! {
    10;

    /// the server's first word.
    10 "connection.start" Start {
        /// 0.
        version_major: u8,
        /// 9.
        version_minor: u8,
        /// What the server is and can do.
        server_properties: FieldTable,
        /// SASL mechanisms, separated by spaces.
        mechanisms: Bytes,
        /// Message locales, separated by spaces.
        locales: Bytes,
    };

    /// the client chooses how to log in.
    11 "connection.start-ok" StartOk {
        /// What the client is and can do.
        client_properties: FieldTable,
        /// The SASL mechanism chosen.
        mechanism: ShortString,
        /// The mechanism's first response. It holds the password: keep it out of logs.
        response: Bytes,
        /// The locale chosen.
        locale: ShortString,
    };

    /// a further challenge of the SASL mechanism.
    20 "connection.secure" Secure {
        /// What the mechanism asks.
        challenge: Bytes,
    };

    /// the answer to a challenge.
    21 "connection.secure-ok" SecureOk {
        /// What the mechanism answers.
        response: Bytes,
    };

    /// the limits that the server proposes.
    30 "connection.tune" Tune {
        /// The most channels; 0 for no limit.
        channel_max: u16,
        /// The largest frame in octets, head and end included; 0 for no limit.
        frame_max: u32,
        /// Seconds after which silence means death; 0 for never.
        heartbeat: u16,
    };

    /// the limits that the client settles on.
    31 "connection.tune-ok" TuneOk {
        /// The most channels; 0 for no limit.
        channel_max: u16,
        /// The largest frame in octets, head and end included; 0 for no limit.
        frame_max: u32,
        /// Seconds after which silence means death; 0 for never.
        heartbeat: u16,
    };

    /// the client chooses a vhost.
    40 "connection.open" Open {
        /// The vhost's name.
        virtual_host: ShortString,
    } reserved(ShortString, bool);

    /// the connection is ready.
    41 "connection.open-ok" OpenOk reserved(ShortString) {};

    /// ends the connection, for an error or for none.
    50 "connection.close" Close {
        /// A [`ReplyCode`](crate::ReplyCode), if the peer keeps to them.
        reply_code: u16,
        /// The reason in words.
        reply_text: ShortString,
        /// The class of the method that was at fault, or 0.
        class_id: u16,
        /// The method that was at fault, or 0.
        method_id: u16,
    };

    /// nothing will follow.
    51 "connection.close-ok" CloseOk {};

    /// the server reads no publishes for now (RabbitMQ's).
    60 "connection.blocked" Blocked {
        /// Why.
        reason: ShortString,
    };

    /// the server reads publishes again (RabbitMQ's).
    61 "connection.unblocked" Unblocked {};

    /// the client renews its credentials (RabbitMQ's).
    70 "connection.update-secret" UpdateSecret {
        /// The new credentials. Keep them out of logs.
        new_secret: Bytes,
        /// Why, for the server's log.
        reason: ShortString,
    };

    /// the credentials are renewed (RabbitMQ's).
    71 "connection.update-secret-ok" UpdateSecretOk {};
}
