//! The JSON forms of what there is in a broker, with RabbitMQ's field names.

mod binding;
mod channel;
mod connection;
mod consumer;
mod exchange;
mod message;
mod policy;
mod queue;

use amqp_codec::ShortString;
use serde_json::Value;
use time::OffsetDateTime;

pub(super) use self::binding::{binding, default_binding};
pub(super) use self::channel::{
    channel, channel_details, deliveries_of_channel, deliveries_of_queue, peer,
};
pub(super) use self::connection::connection;
pub(super) use self::consumer::consumer;
pub(super) use self::exchange::exchange;
pub(super) use self::message::MessageForm;
pub(super) use self::policy::policy;
pub(super) use self::queue::{QueueForm, queue};
use crate::broker::time::Timestamp;

/// A name as text; one that is none is shown as well as can be.
pub(super) fn text(name: &ShortString) -> Value {
    name.to_str_lossy().into()
}

/// `2026-11-22T06:29:29.398+00:00`.
pub(super) fn moment(at: Timestamp) -> Value {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000);
    let Ok(moment) = moment else { return Value::Null };
    let (date, milliseconds) = (moment.date(), moment.millisecond());
    let (hour, minute, second) = moment.to_hms();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}+00:00").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rabbitmq_writes_it() {
        assert_eq!(moment(Timestamp(1_795_328_969_398)), "2026-11-22T06:29:29.398+00:00");
        assert_eq!(moment(Timestamp::NEVER), Value::Null);
    }
}
