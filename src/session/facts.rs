//! What the broker acts on in a published message's properties.

use std::time::Instant;

use amqp_codec::{FieldValue, PropertiesRef, RawTable, RawValue, ShortString};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::reply_to::REPLY_TO;
use crate::broker::message::{EXPIRY_MS_MAX, MessageExtras};
use crate::broker::time::{Epoch, Timestamp};
use crate::protocol::exception::Exception;

/// What the broker acts on.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) persistent: bool,
    pub(super) priority: u8,
    /// Most messages have none.
    pub(super) extras: Option<Box<MessageExtras>>,
    /// The properties as they are stored, where they are not as they came.
    pub(super) rewritten: Option<Box<[u8]>>,
}

/// Who publishes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) user: &'a str,
    /// Whether it may publish in the name of others.
    pub(super) may_impersonate: bool,
    /// The address of its channel's reply consumer.
    pub(super) reply_address: Option<&'a ShortString>,
    pub(super) epoch: Epoch,
}

/// The headers among these facts, as they stand in the message.
#[derive(Debug, Default)]
struct Found<'a> {
    copies: Option<RawValue<'a>>,
    blind_copies: Option<RawValue<'a>>,
    delay: Option<RawValue<'a>>,
    deliver_at: Option<RawValue<'a>>,
}

impl Facts {
    /// Looks at what the broker acts on, and at nothing else: without properties it costs nothing. Into facts
    /// that are new.
    ///
    /// # Errors
    /// 406 with RabbitMQ's texts, for what makes no sense.
    #[inline]
    pub(super) fn read(
        &mut self,
        raw: &[u8],
        sender: Sender<'_>,
        now: Instant,
    ) -> Result<(), Exception> {
        // Most messages have no property, or the delivery mode alone.
        match *raw {
            [0, 0] | [0x10, 0, 1] => {}
            [0x10, 0, 2] => self.persistent = true,
            _ => *self = Self::read_properties(raw, sender, now)?,
        }
        Ok(())
    }

    fn read_properties(raw: &[u8], sender: Sender<'_>, now: Instant) -> Result<Self, Exception> {
        let properties = PropertiesRef::parse(raw)?;
        if let Some(user_id) = properties.user_id
            && user_id != sender.user.as_bytes()
            && !sender.may_impersonate
        {
            return Err(Exception::precondition_failed(format!(
                "user_id property set to '{}' but authenticated user was '{}'",
                String::from_utf8_lossy(user_id),
                sender.user
            )));
        }
        let mut facts = Self {
            persistent: is_persistent(properties.delivery_mode)?,
            priority: properties.priority.unwrap_or(0),
            ..Self::default()
        };
        let mut extras = MessageExtras {
            time_to_live: properties.expiration.map(time_to_live).transpose()?,
            ..MessageExtras::default()
        };
        let (mut delay, mut has_blind_copies) = (None, false);
        if let Some(headers) = properties.headers {
            let headers = RawTable(headers);
            // What is delivered to others has to be well-formed.
            headers.validate()?;
            let found = Found::among(headers);
            has_blind_copies = found.blind_copies.is_some();
            delay = read_headers(&mut extras, &found, sender.epoch.timestamp(now))?;
        }
        let reply_to = match properties.reply_to {
            Some(REPLY_TO) => Some(sender.reply_address.ok_or_else(|| {
                Exception::precondition_failed("fast reply consumer does not exist".to_owned())
            })?),
            _ => None,
        };
        if has_blind_copies || delay.is_some() || reply_to.is_some() {
            facts.rewritten = Some(rewritten(&properties, delay, reply_to)?.into());
        }
        facts.extras = (extras != MessageExtras::default()).then(|| Box::new(extras));
        Ok(facts)
    }

    /// Whether the key it was published with is the only one.
    pub(super) fn has_one_key(&self) -> bool {
        self.extras.is_none() || self.more_keys().next().is_none()
    }

    /// All routing keys of the message, if there are more than the one it was published with.
    pub(super) fn more_keys(&self) -> impl Iterator<Item = &ShortString> {
        self.extras.iter().flat_map(|extras| extras.copies.iter().chain(&extras.blind_copies))
    }
}

/// The delay in milliseconds that receivers are to see negated, if there is one.
fn read_headers(
    extras: &mut MessageExtras,
    found: &Found<'_>,
    now: Timestamp,
) -> Result<Option<u64>, Exception> {
    extras.copies = copies("CC", found.copies)?;
    extras.blind_copies = copies("BCC", found.blind_copies)?;
    let delay = found.delay.and_then(|value| value.decode().ok()).and_then(|it| delay(&it));
    let deliver_at = found.deliver_at.map(deliver_at).transpose()?;
    extras.due = deliver_at.max(delay.map(|delay| now.after(delay)));
    Ok(delay)
}

impl<'a> Found<'a> {
    /// One walk through all headers; the first of a name counts.
    fn among(headers: RawTable<'a>) -> Self {
        let mut found = Self::default();
        for (name, value) in headers.iter().flatten() {
            let place = match name {
                b"CC" => &mut found.copies,
                b"BCC" => &mut found.blind_copies,
                b"x-delay" => &mut found.delay,
                b"x-deliver-at" => &mut found.deliver_at,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        found
    }
}

fn is_persistent(delivery_mode: Option<u8>) -> Result<bool, Exception> {
    match delivery_mode {
        None | Some(1) => Ok(false),
        Some(2) => Ok(true),
        Some(mode) => Err(Exception::precondition_failed(format!(
            "invalid message: {{delivery_mode_unknown,{mode}}}"
        ))),
    }
}

/// `expiration` is decimal milliseconds, in RabbitMQ's words for everything that is not.
fn time_to_live(expiration: &[u8]) -> Result<u64, Exception> {
    let text = String::from_utf8_lossy(expiration);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let reason = match unsigned.split_at(digits) {
        ("", _) => "no_integer".to_owned(),
        (number, "") if text.starts_with('-') && number.bytes().any(|digit| digit != b'0') => {
            format!("{{value_negative,-{}}}", number.trim_start_matches('0'))
        }
        (number, "") => match number.parse() {
            Ok(milliseconds) if milliseconds <= EXPIRY_MS_MAX => return Ok(milliseconds),
            _ => format!("{{value_too_large,{}}}", number.trim_start_matches('0')),
        },
        (_, rest) => format!("{{leftover_string,\"{rest}\"}}"),
    };
    Err(Exception::precondition_failed(format!("invalid expiration '{text}': {reason}")))
}

/// The routing keys of `CC` or `BCC`: an array of texts. What else is in it is passed over, as
/// RabbitMQ does.
fn copies(name: &str, value: Option<RawValue<'_>>) -> Result<Vec<ShortString>, Exception> {
    let Some(value) = value else { return Ok(Vec::new()) };
    match value.decode()? {
        FieldValue::Array(values) => {
            let texts = values.iter().filter_map(|value| match value {
                FieldValue::LongString(text) => Some(ShortString::truncated(text)),
                _ => None,
            });
            Ok(texts.collect())
        }
        other => Err(Exception::precondition_failed(format!(
            "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
            other.type_name()
        ))),
    }
}

/// `x-delay` in milliseconds, if it says to wait at all. What is no number means no delay, as with
/// RabbitMQ's plugin.
fn delay(value: &FieldValue) -> Option<u64> {
    let milliseconds = match value {
        FieldValue::LongString(text) => std::str::from_utf8(text).ok()?.trim().parse().ok()?,
        // Saturates, and what is not a number is 0.
        FieldValue::F32(number) => *number as i64,
        FieldValue::F64(number) => *number as i64,
        other => other.as_integer()?,
    };
    u64::try_from(milliseconds).ok().filter(|&milliseconds| milliseconds > 0)
}

/// `x-deliver-at`: milliseconds since 1970, an AMQP timestamp, or an RFC 3339 time.
fn deliver_at(value: RawValue<'_>) -> Result<Timestamp, Exception> {
    let value = value.decode()?;
    let milliseconds = match &value {
        FieldValue::Timestamp(seconds) => Some(seconds.saturating_mul(1000)),
        FieldValue::LongString(text) => std::str::from_utf8(text).ok().and_then(from_text),
        other => other.as_integer().map(|at| u64::try_from(at).unwrap_or(0)),
    };
    milliseconds.map(Timestamp).ok_or_else(|| {
        let shown = match &value {
            FieldValue::LongString(text) => format!("'{}'", String::from_utf8_lossy(text)),
            other => other.type_name().to_owned(),
        };
        Exception::precondition_failed(format!(
            "invalid header 'x-deliver-at': {shown} is neither milliseconds since 1970 nor an RFC \
             3339 time"
        ))
    })
}

fn from_text(text: &str) -> Option<u64> {
    if let Ok(milliseconds) = text.parse() {
        return Some(milliseconds);
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

/// The properties as receivers get them: without `BCC`, with the delay negated, so that the message
/// is not delayed again wherever it goes on to, and with an address that replies find.
fn rewritten(
    properties: &PropertiesRef<'_>,
    delay: Option<u64>,
    reply_to: Option<&ShortString>,
) -> Result<Vec<u8>, Exception> {
    let mut properties = properties.to_owned()?;
    if let Some(address) = reply_to {
        properties.reply_to = Some(address.clone());
    }
    if let Some(headers) = &mut properties.headers {
        headers.remove("BCC");
        if let Some(delay) = delay {
            let past = i64::try_from(delay).unwrap_or(i64::MAX);
            headers.insert(ShortString::from_static("x-delay"), FieldValue::I64(-past));
        }
    }
    Ok(properties.to_vec())
}

#[cfg(test)]
mod tests {
    use amqp_codec::{BasicProperties, FieldTable};

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an origin to count from")]
    fn read(headers: &[(&'static str, FieldValue)]) -> Result<Facts, String> {
        let headers: FieldTable = headers
            .iter()
            .map(|(name, value)| (ShortString::from_static(name), value.clone()))
            .collect();
        let properties = BasicProperties { headers: Some(headers), ..BasicProperties::default() };
        let raw = properties.to_vec();
        let now = Instant::now();
        let epoch = Epoch::new(now, 1_000);
        let sender = Sender { user: "guest", may_impersonate: false, reply_address: None, epoch };
        let mut facts = Facts::default();
        facts.read(&raw, sender, now).map_err(|exception| exception.text)?;
        Ok(facts)
    }

    fn text(text: &'static str) -> FieldValue {
        FieldValue::LongString(text.as_bytes().into())
    }

    fn due(name: &'static str, value: FieldValue) -> Option<u64> {
        read(&[(name, value)]).unwrap().extras?.due.map(|due| due.0)
    }

    fn header(facts: &Facts, name: &str) -> Option<FieldValue> {
        let raw = facts.rewritten.as_ref().expect("the properties are rewritten");
        PropertiesRef::parse(raw).unwrap().headers().unwrap()?.get(name).cloned()
    }

    #[test]
    fn a_delay_is_a_number_in_any_form_and_everything_else_is_none() {
        for value in [FieldValue::I32(50), FieldValue::U8(50), text("50"), FieldValue::F64(50.2)] {
            assert_eq!(due("x-delay", value.clone()), Some(1_050), "{value:?}");
        }
        for value in [FieldValue::I32(0), FieldValue::I64(-7), text("soon"), FieldValue::Void] {
            assert_eq!(due("x-delay", value.clone()), None, "{value:?}");
        }
        assert_eq!(due("x-delay", FieldValue::I64(1 << 40)), Some(1_000 + (1 << 40)));
    }

    #[test]
    fn receivers_see_the_delay_negated_and_no_blind_copies() {
        let blind = FieldValue::Array(vec![text("b"), FieldValue::I32(1)]);
        let facts = read(&[("x-delay", FieldValue::I32(5)), ("BCC", blind), ("k", text("v"))]);
        let facts = facts.unwrap();
        assert_eq!(header(&facts, "x-delay"), Some(FieldValue::I64(-5)));
        assert_eq!((header(&facts, "BCC"), header(&facts, "k")), (None, Some(text("v"))));
        assert_eq!(facts.more_keys().map(|key| key.to_str_lossy()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_time_of_delivery_is_a_number_a_timestamp_or_a_text() {
        let at = "x-deliver-at";
        assert_eq!(due(at, FieldValue::I64(1_700_000_000_123)), Some(1_700_000_000_123));
        assert_eq!(due(at, FieldValue::Timestamp(1_700_000_000)), Some(1_700_000_000_000));
        assert_eq!(due(at, text("1700000000123")), Some(1_700_000_000_123));
        assert_eq!(due(at, text("2023-11-14T22:13:20.123Z")), Some(1_700_000_000_123));
        assert_eq!(due(at, text("2023-11-15T00:13:20.123+02:00")), Some(1_700_000_000_123));
        let refused = read(&[(at, text("tomorrow"))]).unwrap_err();
        assert_eq!(
            refused,
            "invalid header 'x-deliver-at': 'tomorrow' is neither milliseconds since 1970 nor an RFC \
             3339 time"
        );
    }

    #[test]
    fn copies_are_an_array() {
        let refused = read(&[("CC", FieldValue::I32(5))]).unwrap_err();
        assert_eq!(refused, "invalid message: {unacceptable_type_in_header,\"CC\",signedint}");
    }

    /// These are the texts that clients compare.
    #[test]
    fn expirations_are_refused_in_rabbitmqs_words() {
        let reason = |text: &str| {
            let prefix = format!("invalid expiration '{text}': ");
            time_to_live(text.as_bytes()).map_err(|refused| refused.text.replace(&prefix, ""))
        };
        assert_eq!(reason("0"), Ok(0));
        assert_eq!(reason("315360000000"), Ok(315_360_000_000));
        assert_eq!(reason("315360000001"), Err("{value_too_large,315360000001}".to_owned()));
        let beyond_64_bits = "{value_too_large,99999999999999999999}";
        assert_eq!(reason("99999999999999999999"), Err(beyond_64_bits.to_owned()));
        assert_eq!(reason("notnum"), Err("no_integer".to_owned()));
        assert_eq!(reason(""), Err("no_integer".to_owned()));
        assert_eq!(reason("-10"), Err("{value_negative,-10}".to_owned()));
        assert_eq!(reason("10s"), Err("{leftover_string,\"s\"}".to_owned()));
    }
}
