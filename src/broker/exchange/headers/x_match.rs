//! The `x-match` argument of a binding, and what is wrong with it.

use std::fmt;

use amqp_codec::{FieldTable, FieldValue};

/// How many of a binding's conditions a message must meet, and which arguments are conditions.
///
/// Spec: <https://www.rabbitmq.com/docs/exchanges#headers>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XMatch {
    /// Every argument whose name does not start with `x-`. The default.
    #[default]
    All,
    /// At least one argument whose name does not start with `x-`.
    Any,
    /// Every argument except `x-match`.
    AllWithX,
    /// At least one argument except `x-match`.
    AnyWithX,
}

impl XMatch {
    /// Reads `x-match` from a binding's arguments.
    ///
    /// # Errors
    /// [`InvalidXMatch`] if it is there and none of the four words.
    pub fn of(args: &FieldTable) -> Result<Self, InvalidXMatch> {
        match args.get("x-match") {
            None => Ok(Self::All),
            Some(FieldValue::LongString(word)) => match &word[..] {
                b"all" => Ok(Self::All),
                b"any" => Ok(Self::Any),
                b"all-with-x" => Ok(Self::AllWithX),
                b"any-with-x" => Ok(Self::AnyWithX),
                other => Err(InvalidXMatch::Value { value: Term::bytes(other) }),
            },
            Some(other) => {
                Err(InvalidXMatch::Type { type_name: other.type_name(), value: Term::of(other) })
            }
        }
    }

    /// Whether every condition must hold, not just one.
    #[must_use]
    pub fn needs_all(self) -> bool {
        matches!(self, Self::All | Self::AllWithX)
    }

    /// Whether the argument of this name is a condition.
    #[must_use]
    pub fn compares(self, name: &[u8]) -> bool {
        match self {
            Self::All | Self::Any => !name.starts_with(b"x-"),
            Self::AllWithX | Self::AnyWithX => name != b"x-match",
        }
    }
}

/// A binding's `x-match` that no headers exchange understands. The text is RabbitMQ's.
///
/// Reply code: 406 PRECONDITION_FAILED, closes the channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidXMatch {
    /// A long string, but another word.
    #[error("Invalid x-match field value {value}; expected all, any, all-with-x, or any-with-x")]
    Value {
        /// The word, as RabbitMQ prints it: `<<"foo">>`.
        value: Term,
    },
    /// Not a long string.
    #[error("Invalid x-match field type {type_name} (value {value}); expected longstr")]
    Type {
        /// RabbitMQ's name of the type it has.
        type_name: &'static str,
        /// The value, as RabbitMQ prints it.
        value: Term,
    },
}

/// A value printed the way RabbitMQ prints it in error texts, which is Erlang's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term(String);

impl Term {
    fn of(value: &FieldValue) -> Self {
        let text = match value {
            FieldValue::LongString(bytes) | FieldValue::ByteArray(bytes) => {
                return Self::bytes(bytes);
            }
            FieldValue::Bool(value) => value.to_string(),
            FieldValue::I8(value) => value.to_string(),
            FieldValue::U8(value) => value.to_string(),
            FieldValue::I16(value) => value.to_string(),
            FieldValue::U16(value) => value.to_string(),
            FieldValue::I32(value) => value.to_string(),
            FieldValue::U32(value) => value.to_string(),
            FieldValue::I64(value) => value.to_string(),
            FieldValue::Timestamp(value) => value.to_string(),
            FieldValue::F32(value) => format!("{value:?}"),
            FieldValue::F64(value) => format!("{value:?}"),
            FieldValue::Decimal { scale, value } => format!("{{{scale},{value}}}"),
            FieldValue::Void => "undefined".to_owned(),
            FieldValue::Array(values) => {
                let values =
                    values.iter().map(|v| format!("{{{},{}}}", v.type_name(), Self::of(v)));
                format!("[{}]", values.collect::<Vec<_>>().join(","))
            }
            FieldValue::Table(table) => {
                let entries = table.iter().map(|(key, value)| {
                    let key = Self::bytes(key.as_bytes());
                    format!("{{{key},{},{}}}", value.type_name(), Self::of(value))
                });
                format!("[{}]", entries.collect::<Vec<_>>().join(","))
            }
        };
        Self(text)
    }

    fn bytes(bytes: &[u8]) -> Self {
        let printable = |byte: &u8| matches!(byte, b' '..=b'~');
        match std::str::from_utf8(bytes) {
            Ok("") => Self("<<>>".to_owned()),
            Ok(text) if bytes.iter().all(printable) => {
                Self(format!("<<\"{}\">>", text.replace('\\', "\\\\").replace('"', "\\\"")))
            }
            _ => {
                let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
                Self(format!("<<{}>>", numbers.join(",")))
            }
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use amqp_codec::ShortString;
    use bytes::Bytes;

    use super::*;

    fn text_for(value: impl Into<FieldValue>) -> String {
        let mut args = FieldTable::new();
        args.insert(ShortString::from_static("x-match"), value.into());
        XMatch::of(&args).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_word_is_answered_with_rabbitmqs_text() {
        assert_eq!(
            text_for(FieldValue::LongString(Bytes::from_static(b"foo"))),
            "Invalid x-match field value <<\"foo\">>; \
             expected all, any, all-with-x, or any-with-x"
        );
    }

    #[test]
    fn a_value_of_another_type_is_answered_with_rabbitmqs_text() {
        assert_eq!(
            text_for(FieldValue::I32(23)),
            "Invalid x-match field type signedint (value 23); expected longstr"
        );
        assert_eq!(
            text_for(FieldValue::Array(vec![FieldValue::Bool(true), FieldValue::F64(1.0)])),
            "Invalid x-match field type array (value [{bool,true},{double,1.0}]); expected longstr"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_printed_as_numbers() {
        assert!(
            text_for(FieldValue::LongString(Bytes::from_static(b"a\xff")))
                .contains("value <<97,255>>;")
        );
    }
}
