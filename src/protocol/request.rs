//! What a client asks of the broker, once the protocol has been dealt with.

use amqp_codec::method::basic;
use amqp_codec::{ChannelId, FieldTable, Method, ShortString};
use bytes::Bytes;

/// A client's request.
#[derive(Debug)]
pub enum Request {
    /// Who it is: answered with `Connection::login_accepted` or `login_refused`.
    Login(Box<Login>),
    /// Which vhost it wants: answered with `Connection::opened`.
    OpenVHost(ShortString),
    /// A new password or token for the connection that is open.
    UpdateSecret(Bytes),
    /// It says goodbye: everything it holds is to be given back. The answer is written already.
    Close,
    /// It opens a channel: answered with `Connection::channel_opened`.
    OpenChannel(ChannelId),
    /// A channel is closed, by the client. The answer follows with `Connection::channel_closed`.
    CloseChannel(ChannelId),
    /// A message to publish is complete: `Connection::publishing` has it, until `Connection::published`.
    Publish(ChannelId),
    /// Deliveries are acknowledged.
    Ack(ChannelId, basic::Ack),
    /// Any other method of an open channel. In a box, so that the two above, which come by the million, are
    /// small.
    Method(ChannelId, Box<Method>),
}

/// The client's answer to `connection.start`.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The SASL mechanism.
    pub mechanism: Mechanism,
    /// User and password; empty for [`Mechanism::Anonymous`] and [`Mechanism::External`].
    pub user: String,
    /// The password.
    pub password: Vec<u8>,
    /// What the client says of itself: product, version, capabilities.
    pub client_properties: FieldTable,
}

/// The SASL mechanisms that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616: `NUL user NUL password`.
    Plain,
    /// AMQP's own: a field table with LOGIN and PASSWORD.
    AmqPlain,
    /// No credentials at all; off unless configured.
    Anonymous,
    /// Who the client is shows in its TLS certificate.
    External,
}

impl Mechanism {
    /// Its name in `connection.start`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::Anonymous => "ANONYMOUS",
            Self::External => "EXTERNAL",
        }
    }
}
