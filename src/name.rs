//! Names in JSON.

use amqp_codec::ShortString;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name, whatever octets it has: a text, or `{"base64": "..."}` if it is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub ShortString);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NameForm {
    Text(String),
    Octets { base64: String },
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => {
                let base64 = STANDARD.encode(self.0.as_bytes());
                NameForm::Octets { base64 }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let octets = match NameForm::deserialize(deserializer)? {
            NameForm::Text(text) => text.into_bytes(),
            NameForm::Octets { base64 } => STANDARD.decode(base64).map_err(D::Error::custom)?,
        };
        ShortString::new(octets).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_whether_it_is_text_or_not() {
        for (octets, json) in [(&b"orders"[..], "\"orders\""), (b"\xFF", "{\"base64\":\"/w==\"}")] {
            let name = Name(ShortString::truncated(octets));
            assert_eq!(serde_json::to_string(&name).unwrap(), json);
            assert_eq!(serde_json::from_str::<Name>(json).unwrap(), name);
        }
        assert!(serde_json::from_str::<Name>(&format!("\"{}\"", "x".repeat(256))).is_err());
    }
}
