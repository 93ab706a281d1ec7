//! Everything that is written down of a broker: what is in its vhosts, and who may do what.

use serde_json::{Map, Value};

use crate::auth::{self, AccessDefinition};
use crate::broker::definition;

/// Keys and values, as a store has them.
type Pair = (Vec<u8>, Vec<u8>);

const COUNT: usize = definition::PREFIXES.len() + auth::PREFIXES.len();

/// What the keys of all definitions start with, and no others.
pub const DEFINITION_PREFIXES: [&[u8]; COUNT] = {
    const NONE: &[u8] = &[];
    let mut all = [NONE; COUNT];
    let mut at = 0;
    while at < COUNT {
        all[at] = if at < definition::PREFIXES.len() {
            definition::PREFIXES[at]
        } else {
            auth::PREFIXES[at - definition::PREFIXES.len()]
        };
        at += 1;
    }
    all
};

/// The lists of RabbitMQ's definition files, from keys and values as they are stored. What can't be read is
/// left out.
pub fn definition_document(pairs: &[Pair]) -> Map<String, Value> {
    let mut document = definition::document(pairs);
    let (mut users, mut permissions, mut topic_permissions) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in pairs {
        let Ok(definition) = AccessDefinition::decode(key, value) else { continue };
        let list = match definition {
            AccessDefinition::User(_) => &mut users,
            AccessDefinition::Permissions(_) => &mut permissions,
            AccessDefinition::TopicPermissions(_) => &mut topic_permissions,
        };
        list.push(Value::Object(definition.to_json()));
    }
    document.insert("users".to_owned(), users.into());
    document.insert("permissions".to_owned(), permissions.into());
    document.insert("topic_permissions".to_owned(), topic_permissions.into());
    document
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use amqp_codec::ShortString;

    use super::*;
    use crate::auth::{Permissions, User, UserPermissions};
    use crate::broker::definition::Definition;
    use crate::broker::vhost::VHostMetadata;

    #[test]
    fn the_document_has_users_beside_vhosts() {
        let vhost = ShortString::from_static("/");
        let definition = Definition::VHost(VHostMetadata::default());
        let user = AccessDefinition::User(Arc::new(User::new("bob")));
        let permissions = AccessDefinition::Permissions(UserPermissions {
            user: "bob".to_owned(),
            vhost: vhost.clone(),
            permissions: Arc::new(Permissions::all()),
        });
        let pairs = [
            (definition.key(&vhost), definition.value(&vhost)),
            (user.key(), user.value()),
            (permissions.key(), permissions.value()),
            (vec![16], b"no user".to_vec()),
        ];
        assert!(
            pairs.iter().all(|(key, _)| {
                DEFINITION_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
            })
        );
        let document = definition_document(&pairs);
        assert_eq!(document["users"][0]["name"], "bob");
        assert_eq!(document["permissions"][0]["configure"], ".*");
        assert_eq!(document["vhosts"][0]["name"], "/");
        assert_eq!(document["users"].as_array().map(Vec::len), Some(1));
    }
}
