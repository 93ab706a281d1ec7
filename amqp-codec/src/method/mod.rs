//! The methods: one module per class, one struct per method.
//!
//! Each module is a table; the macro in `table.rs` makes the structs, their decoding and their
//! encoding of it. [`Method`] is any one of them.

use bytes::{BufMut, BytesMut};

use crate::frame::put_frame;
use crate::primitive as p;
use crate::{ChannelId, DecodeError, FrameKind};

mod argument;
mod table;

pub mod access;
pub mod basic;
pub mod channel;
pub mod confirm;
pub mod connection;
pub mod exchange;
pub mod queue;
pub mod tx;

#[cfg(test)]
mod tests;

/// The class id and method id that the payload of a method frame starts with. The arguments
/// follow, from the fifth octet on.
///
/// # Errors
/// If the payload has fewer than four octets.
#[inline]
pub fn method_ids(payload: &[u8]) -> Result<(u16, u16), DecodeError> {
    let (rest, class_id) = p::short(payload)?;
    let (_, method_id) = p::short(rest)?;
    Ok((class_id, method_id))
}

/// One table for the enum over all methods: variant, class module, struct.
macro_rules! method_enum {
    ($($variant:ident = $class:ident::$method:ident,)*) => {
        /// Any method, with its arguments.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Method {
            $(
                #[doc = concat!("See [`", stringify!($class), "::", stringify!($method), "`].")]
                $variant($class::$method),
            )*
        }

        impl Method {
            /// Reads the payload of a method frame.
            ///
            /// # Errors
            /// [`DecodeError::UnknownMethod`] if there is no such method, and whatever the
            /// method's own `decode` says.
            pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
                let (class_id, method_id) = method_ids(payload)?;
                let args = &payload[4..];
                match (class_id, method_id) {
                    $(($class::CLASS_ID, $class::$method::METHOD_ID) => {
                        $class::$method::decode(args).map(Self::$variant)
                    })*
                    _ => Err(DecodeError::UnknownMethod { class_id, method_id }),
                }
            }

            /// The number of the method's class.
            #[must_use]
            pub fn class_id(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => $class::CLASS_ID,)*
                }
            }

            /// The number of the method within its class.
            #[must_use]
            pub fn method_id(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => $class::$method::METHOD_ID,)*
                }
            }

            /// The method's name in the spec, such as `basic.publish`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $class::$method::NAME,)*
                }
            }

            /// The name in the spec of the method with these numbers, if there is one.
            #[must_use]
            pub fn name_of(class_id: u16, method_id: u16) -> Option<&'static str> {
                match (class_id, method_id) {
                    $(($class::CLASS_ID, $class::$method::METHOD_ID) => {
                        Some($class::$method::NAME)
                    })*
                    _ => None,
                }
            }

            /// Whether a content header and body frames follow.
            #[must_use]
            pub fn has_content(&self) -> bool {
                match self {
                    $(Self::$variant(_) => $class::$method::HAS_CONTENT,)*
                }
            }

            /// Writes the arguments, without the ids before them.
            pub fn encode_args(&self, out: &mut BytesMut) {
                match self {
                    $(Self::$variant(method) => method.encode_args(out),)*
                }
            }

            /// How to make each of the methods up.
            #[cfg(test)]
            pub(crate) fn strategies() -> Vec<proptest::strategy::BoxedStrategy<Self>> {
                use proptest::strategy::Strategy as _;
                vec![$($class::$method::strategy().prop_map(Self::$variant).boxed(),)*]
            }
        }

        $(
            impl From<$class::$method> for Method {
                fn from(method: $class::$method) -> Self {
                    Self::$variant(method)
                }
            }
        )*
    };
}

method_enum! {
    ConnectionStart = connection::Start,
    ConnectionStartOk = connection::StartOk,
    ConnectionSecure = connection::Secure,
    ConnectionSecureOk = connection::SecureOk,
    ConnectionTune = connection::Tune,
    ConnectionTuneOk = connection::TuneOk,
    ConnectionOpen = connection::Open,
    ConnectionOpenOk = connection::OpenOk,
    ConnectionClose = connection::Close,
    ConnectionCloseOk = connection::CloseOk,
    ConnectionBlocked = connection::Blocked,
    ConnectionUnblocked = connection::Unblocked,
    ConnectionUpdateSecret = connection::UpdateSecret,
    ConnectionUpdateSecretOk = connection::UpdateSecretOk,
    ChannelOpen = channel::Open,
    ChannelOpenOk = channel::OpenOk,
    ChannelFlow = channel::Flow,
    ChannelFlowOk = channel::FlowOk,
    ChannelClose = channel::Close,
    ChannelCloseOk = channel::CloseOk,
    AccessRequest = access::Request,
    AccessRequestOk = access::RequestOk,
    ExchangeDeclare = exchange::Declare,
    ExchangeDeclareOk = exchange::DeclareOk,
    ExchangeDelete = exchange::Delete,
    ExchangeDeleteOk = exchange::DeleteOk,
    ExchangeBind = exchange::Bind,
    ExchangeBindOk = exchange::BindOk,
    ExchangeUnbind = exchange::Unbind,
    ExchangeUnbindOk = exchange::UnbindOk,
    QueueDeclare = queue::Declare,
    QueueDeclareOk = queue::DeclareOk,
    QueueBind = queue::Bind,
    QueueBindOk = queue::BindOk,
    QueuePurge = queue::Purge,
    QueuePurgeOk = queue::PurgeOk,
    QueueDelete = queue::Delete,
    QueueDeleteOk = queue::DeleteOk,
    QueueUnbind = queue::Unbind,
    QueueUnbindOk = queue::UnbindOk,
    BasicQos = basic::Qos,
    BasicQosOk = basic::QosOk,
    BasicConsume = basic::Consume,
    BasicConsumeOk = basic::ConsumeOk,
    BasicCancel = basic::Cancel,
    BasicCancelOk = basic::CancelOk,
    BasicPublish = basic::Publish,
    BasicReturn = basic::Return,
    BasicDeliver = basic::Deliver,
    BasicGet = basic::Get,
    BasicGetOk = basic::GetOk,
    BasicGetEmpty = basic::GetEmpty,
    BasicAck = basic::Ack,
    BasicReject = basic::Reject,
    BasicRecoverAsync = basic::RecoverAsync,
    BasicRecover = basic::Recover,
    BasicRecoverOk = basic::RecoverOk,
    BasicNack = basic::Nack,
    ConfirmSelect = confirm::Select,
    ConfirmSelectOk = confirm::SelectOk,
    TxSelect = tx::Select,
    TxSelectOk = tx::SelectOk,
    TxCommit = tx::Commit,
    TxCommitOk = tx::CommitOk,
    TxRollback = tx::Rollback,
    TxRollbackOk = tx::RollbackOk,
}

impl Method {
    /// Appends the whole method frame, with its head and frame end.
    pub fn encode(&self, channel: ChannelId, out: &mut BytesMut) {
        put_frame(out, FrameKind::Method, channel, |out| {
            out.put_u16(self.class_id());
            out.put_u16(self.method_id());
            self.encode_args(out);
        });
    }
}
