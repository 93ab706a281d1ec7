//! Definitions come back as they were, and what is none is refused.

use amqp_codec::FieldValue;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::broker::exchange::ExchangeKind;
use crate::broker::policy::{ApplyTo, QueueKind};

fn short(name: &str) -> ShortString {
    ShortString::truncated(name)
}

/// Any octets, text among them.
fn name() -> impl Strategy<Value = ShortString> {
    let octets = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![".{0,20}".prop_map(String::into_bytes), octets].prop_map(ShortString::truncated)
}

fn value() -> impl Strategy<Value = FieldValue> {
    let octets = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let leaf = prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<i64>().prop_map(FieldValue::I64),
        (-1e9_f64..1e9).prop_map(FieldValue::F64),
        (any::<u8>(), any::<i32>()).prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        octets().prop_map(FieldValue::LongString),
        octets().prop_map(FieldValue::ByteArray),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let fields = prop::collection::vec((name(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(FieldValue::Array),
            fields.prop_map(|fields| FieldValue::Table(fields.into_iter().collect())),
        ]
    })
}

fn table() -> impl Strategy<Value = FieldTable> {
    prop::collection::vec((name(), value()), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn definition() -> impl Strategy<Value = Definition> {
    let exchange = (name(), 0..ExchangeKind::ALL.len(), any::<(bool, bool)>(), table());
    let exchange = exchange.prop_map(|(name, kind, (auto_delete, internal), arguments)| {
        let kind = ExchangeKind::ALL[kind];
        let properties =
            ExchangeProperties { kind, durable: true, auto_delete, internal, arguments };
        Definition::Exchange(ExchangeDefinition { name, properties })
    });
    let queue = (name(), any::<u64>(), any::<bool>(), table());
    let queue = queue.prop_map(|(name, id, auto_delete, arguments)| {
        let properties = QueueProperties { durable: true, auto_delete, owner: None, arguments };
        Definition::Queue(QueueDefinition { name, id: QueueId(id), properties })
    });
    let binding = (name(), any::<bool>(), name(), name(), table());
    let binding = binding.prop_map(|(source, to_queue, destination, routing_key, arguments)| {
        Definition::Binding(BindingDefinition {
            source,
            to_queue,
            destination,
            routing_key,
            arguments,
        })
    });
    let policy = (".{0,300}", any::<i32>(), 1_i64..1000, any::<bool>());
    let policy = policy.prop_map(|(name, priority, length, operator)| {
        let policy = Policy::new(name, "^a|b$", [("max-length", length)]).unwrap();
        let policy = policy.with_priority(priority).with_apply_to(ApplyTo::ClassicQueues);
        if operator { Definition::OperatorPolicy(policy) } else { Definition::Policy(policy) }
    });
    let metadata = (".{0,9}", any::<(bool, bool)>(), prop::option::of(Just(QueueKind::Quorum)));
    let vhost = metadata.prop_map(|(description, (protected_from_deletion, tracing), kind)| {
        let tags = vec![description.clone()];
        let default_queue_type = kind;
        Definition::VHost(VHostMetadata {
            description,
            tags,
            default_queue_type,
            protected_from_deletion,
            tracing,
        })
    });
    let parameter = (".{0,9}", ".{0,300}", any::<i64>());
    let parameter = parameter.prop_map(|(component, name, number)| {
        let value = serde_json::json!({ "number": number });
        Definition::Parameter(Parameter { component, name, value })
    });
    prop_oneof![vhost, exchange, queue, binding, policy, parameter]
}

proptest! {
    #[test]
    fn everything_comes_back_as_it_was(vhost in name(), definition in definition()) {
        let (key, value) = (definition.key(&vhost), definition.value(&vhost));
        let (vhost_again, again) = Definition::decode(&key, &value).unwrap();
        prop_assert_eq!(vhost_again, vhost);
        prop_assert_eq!(format!("{again:?}"), format!("{definition:?}"));
    }

    #[test]
    fn different_names_have_different_keys(one in (name(), definition()), other in (name(), definition())) {
        let key = |(vhost, definition): &(ShortString, Definition)| definition.key(vhost);
        if key(&one) == key(&other) {
            let form = |(vhost, definition): &(ShortString, Definition)| match definition {
                Definition::VHost(_) => format!("{vhost:?}"),
                Definition::Exchange(it) => format!("exchange {vhost:?} {:?}", it.name),
                Definition::Queue(it) => format!("queue {vhost:?} {:?}", it.name),
                Definition::Binding(it) => format!("binding {vhost:?} {:?}", (&it.source, it.to_queue, &it.destination, &it.routing_key)),
                Definition::Policy(it) => format!("policy {vhost:?} {}", it.name()),
                Definition::OperatorPolicy(it) => format!("operator policy {vhost:?} {}", it.name()),
                Definition::Parameter(it) => format!("parameter {vhost:?} {} {:?}", it.component, it.name),
                Definition::GlobalParameter(it) => format!("global {}", it.name),
            };
            prop_assert_eq!(form(&one), form(&other));
        }
    }

    #[test]
    fn what_is_no_definition_is_an_error_and_no_panic(
        key in prop::collection::vec(any::<u8>(), 0..12),
        kind in 0_u8..12,
        value in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let key = [vec![kind], key].concat();
        if let Err(error) = Recovered::read([(key.clone(), value)]) {
            prop_assert_eq!(error.key(), &key[..]);
        }
    }
}

fn plain_vhost() -> Definition {
    Definition::VHost(VHostMetadata::default())
}

/// A global parameter is of no vhost, whatever its key was made with.
#[test]
fn a_global_parameter_comes_back_as_it_was() {
    let value = serde_json::json!({ "environment": ["test", null] });
    let definition =
        Definition::GlobalParameter(GlobalParameter { name: "cluster_tags".to_owned(), value });
    let key = definition.key(&short("/"));
    let (vhost, again) = Definition::decode(&key, &definition.value(&short("/"))).unwrap();
    assert_eq!((vhost, again.to_json(&short("/"))), (short(""), definition.to_json(&short(""))));
    let recovered = Recovered::read([(key, definition.value(&short("/")))]).unwrap();
    assert_eq!((recovered.global_parameters.len(), recovered.vhosts.len()), (1, 0));
}

fn queue_definition() -> Definition {
    let properties = QueueProperties { durable: true, ..QueueProperties::default() };
    Definition::Queue(QueueDefinition { name: short("q"), id: QueueId(9), properties })
}

#[test]
fn values_are_for_people_to_read_and_for_later_versions_to_add_to() {
    let vhost = short("/");
    let queue = queue_definition();
    let value = queue.value(&vhost);
    let text = r#"{"vhost":"/","name":"q","id":9,"durable":true,"auto_delete":false}"#;
    assert_eq!(String::from_utf8(value).unwrap(), text);
    let later = r#"{"vhost":"/","name":"q","id":9,"colour":"blue"}"#;
    let (_, read) = Definition::decode(&queue.key(&vhost), later.as_bytes()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{queue:?}"));
    let octets = ShortString::truncated([0xff, 0xfe]);
    let value = plain_vhost().value(&octets);
    assert_eq!(String::from_utf8(value).unwrap(), r#"{"vhost":{"base64":"//4="}}"#);
}

#[test]
fn an_error_names_the_key_and_what_is_wrong() {
    let (vhost, queue) = (short("/"), queue_definition());
    let (key, value) = (queue.key(&vhost), queue.value(&vhost));
    let refused =
        |key: &[u8], value: &[u8]| Definition::decode(key, value).unwrap_err().to_string();
    let cut = refused(&key, &value[..value.len() - 1]);
    assert!(cut.starts_with(r#"stored definition "\x03\x01/\x01q": EOF while"#), "{cut}");
    let other = plain_vhost().key(&vhost);
    assert_eq!(
        refused(&[&key[..], b"x"].concat(), &value),
        r#"stored definition "\x03\x01/\x01qx": its value belongs to another key"#
    );
    assert_eq!(refused(b"\xee", &value), r#"stored definition "\xee": of an unknown kind"#);
    assert!(Definition::decode(&other, &value).is_ok(), "a value may say more than is asked for");
    assert!(refused(&key, br#"{"vhost":"/","name":"q"}"#).contains("missing field `id`"));
    let kind = br#"{"vhost":"/","name":"q","type":"x-none"}"#;
    let exchange = [&[2][..], &key[1..]].concat();
    assert!(refused(&exchange, kind).contains("x-none"));
    let policy = br#"{"vhost":"/","name":"p","pattern":"(","definition":"AAAAAA=="}"#;
    assert!(refused(b"\x05\x01/p", policy).contains("regular expression"));
}

#[test]
fn a_table_may_be_larger_than_one_that_a_client_can_send() {
    let many = FieldValue::Array(vec![FieldValue::Void; amqp_codec::TABLE_VALUES_MAX - 1]);
    let arguments = [(short("a"), many), (short("x-queue-type"), "quorum".into())];
    let arguments: FieldTable = arguments.into_iter().collect();
    let properties = QueueProperties { durable: true, arguments, ..QueueProperties::default() };
    let queue = Definition::Queue(QueueDefinition { name: short("q"), id: QueueId(1), properties });
    let vhost = short("/");
    assert!(Definition::decode(&queue.key(&vhost), &queue.value(&vhost)).is_ok());
}

#[test]
fn a_definition_is_shown_as_rabbitmq_does_and_what_json_lacks_beside_it() {
    let queue = |value: FieldValue| {
        let mut arguments = FieldTable::new();
        arguments.insert(short("x-max-length"), value);
        let properties =
            QueueProperties { durable: true, auto_delete: false, owner: None, arguments };
        let id = QueueId(7);
        Definition::Queue(QueueDefinition { name: short("orders"), id, properties })
    };
    let shown = |definition: &Definition| definition.to_json(&short("/"));
    let expected = serde_json::json!({
        "vhost": "/", "name": "orders", "durable": true, "auto_delete": false,
        "arguments": { "x-max-length": 10 }
    });
    assert_eq!(serde_json::Value::Object(shown(&queue(FieldValue::I64(10)))), expected);
    let mut with_type = shown(&queue(FieldValue::I32(10)));
    assert!(with_type.remove("arguments_amqp").is_some(), "an integer of 32 bits is another one");
    assert_eq!(serde_json::Value::Object(with_type), expected);
}

#[test]
fn the_document_has_all_that_can_be_read() {
    let pair = |definition: Definition| {
        let vhost = short("/");
        (definition.key(&vhost), definition.value(&vhost))
    };
    let document = document(&[pair(plain_vhost()), (vec![2, 1], b"none".to_vec())]);
    assert_eq!(document["vhosts"], serde_json::json!([{ "name": "/" }]));
    assert_eq!(document["exchanges"], serde_json::json!([]));
}
