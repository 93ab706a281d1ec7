//! Delayed-message exchanges: they route as another type does, which `x-delayed-type` names.
//!
//! Only the routing is here. A route that leads through such an exchange says so
//! ([`Route::delayed`](crate::broker::routing::Route::delayed)), and the queues hold the message back
//! for as long as its header `x-delay` asks.

use amqp_codec::{FieldTable, FieldValue, ShortString};

use super::ExchangeKind;
use super::invalid::InvalidArgument;

/// The type that a delayed-message exchange routes as.
///
/// # Errors
/// [`InvalidArgument::DelayedType`] if none is given, there is no such type, or it is
/// `x-delayed-message` again.
pub(super) fn delayed_type(arguments: &FieldTable) -> Result<ExchangeKind, InvalidArgument> {
    let Some(FieldValue::LongString(name)) = arguments.get("x-delayed-type") else {
        return Err(InvalidArgument::DelayedType);
    };
    let kind = ShortString::new(name).ok().and_then(|name| ExchangeKind::parse(&name).ok());
    kind.filter(|kind| *kind != ExchangeKind::DelayedMessage).ok_or(InvalidArgument::DelayedType)
}

#[cfg(test)]
mod tests {
    use super::super::tests::arguments;
    use super::*;

    #[test]
    fn every_type_but_its_own_can_be_delayed() {
        let of = |value: FieldValue| delayed_type(&arguments(&[("x-delayed-type", value)]));
        assert_eq!(of("topic".into()), Ok(ExchangeKind::Topic));
        assert_eq!(of("x-consistent-hash".into()), Ok(ExchangeKind::ConsistentHash));
        for wrong in ["x-delayed-message".into(), "".into(), "nosuch".into(), 1_i32.into()] {
            assert_eq!(of(wrong), Err(InvalidArgument::DelayedType));
        }
        assert_eq!(delayed_type(&FieldTable::default()), Err(InvalidArgument::DelayedType));
    }
}
