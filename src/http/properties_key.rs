//! The key by which paths name a binding among those between the same two ends.

mod phash2;

use amqp_codec::{FieldTable, FieldValue, ShortString};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::phash2::{Term, phash2};

/// RabbitMQ's key of a binding: its routing key, and a hash of its arguments if it has any. `~` stands for
/// a binding with neither.
pub(super) fn properties_key(routing_key: &ShortString, arguments: &FieldTable) -> String {
    let key = quoted(routing_key.as_bytes());
    if arguments.is_empty() {
        return if key.is_empty() { "~".to_owned() } else { key };
    }
    let mut fields: Vec<&(ShortString, FieldValue)> = arguments.iter().collect();
    fields.sort_by_key(|(name, _)| name);
    let terms = fields.into_iter().map(|(name, value)| entry(name, value)).collect();
    let hash = phash2(&Term::List(terms)).to_be_bytes();
    format!("{key}~{}", URL_SAFE_NO_PAD.encode(hash))
}

/// As RabbitMQ has a field of a table: its name, its type, its value.
fn entry<'a>(name: &'a ShortString, value: &'a FieldValue) -> Term<'a> {
    let (kind, value) = typed(value);
    Term::Tuple(vec![Term::Binary(name.as_bytes()), Term::Atom(kind), value])
}

fn typed(value: &FieldValue) -> (&'static str, Term<'_>) {
    let term = match value {
        FieldValue::LongString(octets) | FieldValue::ByteArray(octets) => Term::Binary(octets),
        FieldValue::Bool(value) => Term::Atom(if *value { "true" } else { "false" }),
        FieldValue::Void => Term::Atom("undefined"),
        FieldValue::F32(value) => Term::Float(f64::from(*value)),
        FieldValue::F64(value) => Term::Float(*value),
        FieldValue::Timestamp(seconds) => Term::Integer(i128::from(*seconds)),
        FieldValue::Decimal { scale, value } => {
            Term::Tuple(vec![Term::Integer(i128::from(*scale)), Term::Integer(i128::from(*value))])
        }
        FieldValue::Table(table) => {
            Term::List(table.iter().map(|(name, value)| entry(name, value)).collect())
        }
        FieldValue::Array(values) => Term::List(
            values
                .iter()
                .map(|value| {
                    let (kind, value) = typed(value);
                    Term::Tuple(vec![Term::Atom(kind), value])
                })
                .collect(),
        ),
        integer => Term::Integer(integer.as_integer().map_or(0, i128::from)),
    };
    (value.type_name(), term)
}

/// As a form is encoded; the tilde, which stands between the two parts, as well.
fn quoted(octets: &[u8]) -> String {
    octets
        .iter()
        .map(|&octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(octet).to_string()
            }
            b' ' => "+".to_owned(),
            octet => format!("%{octet:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(routing_key: &'static str, arguments: &[(&'static str, FieldValue)]) -> String {
        let table = arguments
            .iter()
            .map(|(name, value)| (ShortString::from_static(name), value.clone()))
            .collect();
        properties_key(&ShortString::from_static(routing_key), &table)
    }

    #[test]
    fn a_binding_without_arguments_is_its_routing_key() {
        assert_eq!(key("", &[]), "~");
        assert_eq!(key("orders.eu", &[]), "orders.eu");
        assert_eq!(key("a b/c_d%~", &[]), "a+b%2Fc_d%25%7E");
    }

    /// What is expected was answered by RabbitMQ 3.10.8.
    #[test]
    fn arguments_are_a_hash_behind_it() {
        let nested = [(ShortString::from_static("a"), FieldValue::I64(1))].into_iter().collect();
        let long = FieldValue::I64;
        assert_eq!(key("a b", &[("x", long(1))]), "a+b~9nmLZQ");
        assert_eq!(key("r", &[("k", "t".into())]), "r~-tB4Tw");
        assert_eq!(key("r", &[("z", "t".into()), ("k", long(1))]), "r~H8ouMw");
        assert_eq!(key("r", &[("k", long(-5))]), "r~e_cHdw");
        assert_eq!(key("r", &[("k", FieldValue::F64(1.5))]), "r~MS6q-w");
        assert_eq!(key("r", &[("k", FieldValue::Bool(true))]), "r~NXOA7w");
        assert_eq!(key("r", &[("k", long(5_000_000_000))]), "r~Rfy4rw");
        assert_eq!(key("r", &[("k", FieldValue::Table(nested))]), "r~2xQY4A");
        let list = FieldValue::Array(vec![long(1), "a".into()]);
        assert_eq!(key("r", &[("k", list)]), "r~D6YgKA");
    }
}
