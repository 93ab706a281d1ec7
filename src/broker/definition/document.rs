//! All definitions in one readable document.

use serde_json::{Map, Value};

use super::Definition;
use crate::broker::stored_key::Kind;

/// What the keys start with of all that a lost index must not take with it: definitions, and which
/// queues' messages are in doubt.
pub const PREFIXES: [&[u8]; 9] = [
    &[Kind::VHost as u8],
    &[Kind::Exchange as u8],
    &[Kind::Queue as u8],
    &[Kind::Binding as u8],
    &[Kind::Policy as u8],
    &[Kind::OperatorPolicy as u8],
    &[Kind::InDoubt as u8],
    &[Kind::Parameter as u8],
    &[Kind::GlobalParameter as u8],
];

const LISTS: [&str; 8] = [
    "vhosts",
    "exchanges",
    "queues",
    "bindings",
    "policies",
    "operator_policies",
    "parameters",
    "global_parameters",
];

/// The lists of RabbitMQ's definition files, from keys and values as they are stored. What can't be read
/// is left out.
pub fn document(pairs: &[(Vec<u8>, Vec<u8>)]) -> Map<String, Value> {
    let mut document = Map::new();
    for list in LISTS {
        document.insert(list.to_owned(), Value::Array(Vec::new()));
    }
    for (key, value) in pairs {
        let Ok((vhost, definition)) = Definition::decode(key, value) else { continue };
        let list = document.get_mut(list_of(&definition)).and_then(Value::as_array_mut);
        if let Some(list) = list {
            list.push(definition.to_json(&vhost).into());
        }
    }
    document
}

fn list_of(definition: &Definition) -> &'static str {
    match definition {
        Definition::VHost(_) => "vhosts",
        Definition::Exchange(_) => "exchanges",
        Definition::Queue(_) => "queues",
        Definition::Binding(_) => "bindings",
        Definition::Policy(_) => "policies",
        Definition::OperatorPolicy(_) => "operator_policies",
        Definition::Parameter(_) => "parameters",
        Definition::GlobalParameter(_) => "global_parameters",
    }
}
