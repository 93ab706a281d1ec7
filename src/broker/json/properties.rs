//! The JSON of a message's properties.

use amqp_codec::{DecodeError, PropertiesRef};
use serde_json::{Map, Value};

use super::Shown;
use super::table::{table, text};

/// Properties as an object of those that are set.
///
/// # Errors
/// These are no properties: they were checked when the message came.
pub fn properties(raw: &[u8]) -> Result<Shown, DecodeError> {
    let properties = PropertiesRef::parse(raw)?;
    let mut is_exact = true;
    let mut object = Map::new();
    let texts = [
        ("content_type", properties.content_type),
        ("content_encoding", properties.content_encoding),
        ("correlation_id", properties.correlation_id),
        ("reply_to", properties.reply_to),
        ("expiration", properties.expiration),
        ("message_id", properties.message_id),
        ("type", properties.kind),
        ("user_id", properties.user_id),
        ("app_id", properties.app_id),
        ("cluster_id", properties.cluster_id),
    ];
    for (name, octets) in texts {
        if let Some(octets) = octets {
            object.insert(name.to_owned(), text(octets, &mut is_exact));
        }
    }
    let numbers = [
        ("delivery_mode", properties.delivery_mode.map(u64::from)),
        ("priority", properties.priority.map(u64::from)),
        ("timestamp", properties.timestamp),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            object.insert(name.to_owned(), number.into());
        }
    }
    if let Some(headers) = properties.headers()? {
        let headers = table(&headers);
        is_exact &= headers.is_exact;
        object.insert("headers".to_owned(), headers.json);
    }
    Ok(Shown { json: Value::Object(object), is_exact })
}

#[cfg(test)]
mod tests {
    use amqp_codec::{BasicProperties, FieldTable, FieldValue, ShortString};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_set_is_shown_under_rabbitmqs_names() {
        let mut headers = FieldTable::new();
        headers.insert(ShortString::from_static("n"), FieldValue::I64(3));
        let raw = BasicProperties {
            content_type: Some(ShortString::from_static("text/plain")),
            kind: Some(ShortString::from_static("order")),
            delivery_mode: Some(2),
            timestamp: Some(17),
            headers: Some(headers),
            ..BasicProperties::default()
        };
        let shown = properties(&raw.to_vec()).unwrap();
        let expected = json!({
            "content_type": "text/plain", "type": "order", "delivery_mode": 2, "timestamp": 17,
            "headers": { "n": 3 }
        });
        assert_eq!(shown, Shown { json: expected, is_exact: true });
    }

    #[test]
    fn octets_that_are_no_text_are_not_exact() {
        let raw = BasicProperties {
            message_id: Some(ShortString::new([0xFF]).unwrap()),
            ..BasicProperties::default()
        };
        assert!(!properties(&raw.to_vec()).unwrap().is_exact);
        assert!(properties(b"\x00").is_err());
    }
}
