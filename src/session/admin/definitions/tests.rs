//! Documents of RabbitMQ's come in and go out again.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use amqp_codec::ShortString;
use serde_json::{Map, Value, json};

use super::*;
use crate::broker::policy::QueueKind;
use crate::session::host::Host;
use crate::session::tests::{origin, plain_host};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a RabbitMQ 3.10.8 exported: of its whole, and of one vhost.
const RABBITMQ_3: &str = include_str!("../../../../tests/definitions/rabbitmq-3.10.json");
const RABBITMQ_3_VHOST: &str =
    include_str!("../../../../tests/definitions/rabbitmq-3.10-vhost.json");
/// The forms that later versions have for the same.
const RABBITMQ_4: &str = include_str!("../../../../tests/definitions/rabbitmq-4.json");

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn import(host: &Host, json: &Value) -> Result<(), ImportError> {
    host.acting_by_itself().import_definitions(Definitions::read(json)?, origin()).map(|_| ())
}

/// The lists of a document in an order of their own: RabbitMQ's is that of hash tables.
fn sorted(document: &Map<String, Value>) -> Map<String, Value> {
    let lists = document.iter().filter_map(|(key, value)| {
        let mut list = value.as_array()?.clone();
        list.sort_by_key(Value::to_string);
        Some((key.clone(), Value::Array(list)))
    });
    lists.collect()
}

fn short(name: &str) -> ShortString {
    ShortString::truncated(name)
}

#[test]
fn what_rabbitmq_exported_is_exported_again_as_it_was() {
    let (host, json) = (plain_host(), json_of(RABBITMQ_3));
    import(&host, &json).unwrap();
    let exported = host.export_definitions();
    assert_eq!(sorted(&exported), sorted(json.as_object().unwrap()));
    // Once more changes nothing.
    import(&host, &json).unwrap();
    assert_eq!(host.export_definitions(), exported);
    assert!(host.authenticate("shop", b"secret", HERE, origin()).is_ok());
    assert!(host.authenticate("nologin", b"", HERE, origin()).is_err());
}

#[test]
fn a_vhost_is_exported_by_itself_and_imported_into_another_one() {
    let host = plain_host();
    import(&host, &json_of(RABBITMQ_3)).unwrap();
    let (exported, expected) =
        (host.export_vhost_definitions("orders").unwrap(), json_of(RABBITMQ_3_VHOST));
    assert_eq!(sorted(&exported), sorted(expected.as_object().unwrap()));
    host.acting_by_itself()
        .put_vhost("copy", crate::broker::vhost::VHostMetadata::default())
        .unwrap();
    let definitions = Definitions::read_for_vhost(&expected, &short("copy")).unwrap();
    host.acting_by_itself().import_definitions(definitions, origin()).unwrap();
    let copy = host.export_vhost_definitions("copy").unwrap();
    for list in ["queues", "exchanges", "bindings"] {
        assert_eq!(copy[list], exported[list]);
    }
    assert_eq!(copy["parameters"].as_array().map(Vec::len), Some(2));
    assert_eq!(copy["policies"][0]["vhost"], "copy");
}

#[test]
fn a_document_of_version_4_is_understood() {
    let host = plain_host();
    import(&host, &json_of(RABBITMQ_4)).unwrap();
    let by_hand = host.authenticate("by-hand", b"secret", HERE, origin()).unwrap();
    assert_eq!(by_hand.tags.iter().collect::<Vec<_>>(), ["administrator", "ours"]);
    let orders = host.existing_vhost("orders").unwrap();
    assert_eq!(orders.metadata().default_queue_type, Some(QueueKind::Quorum));
    assert_eq!(orders.metadata().description, "All orders");
    assert_eq!(orders.queue(&short("q")).unwrap().kind(), QueueKind::Quorum);
    assert_eq!(orders.queue(&short("c")).unwrap().kind(), QueueKind::Classic);
    let plain = host.existing_vhost("plain").unwrap();
    assert_eq!(plain.metadata().default_queue_type, None);
    assert_eq!(plain.limits().connections(), Some(5));
    let parameters = host.parameters(&orders);
    let components: Vec<&str> = parameters.iter().map(|it| it.component.as_str()).collect();
    assert_eq!(components, ["of-a-plugin", "shovel"]);
}

#[test]
fn nothing_is_deleted_and_what_is_there_is_replaced_or_stays() {
    let host = plain_host();
    let queue = |arguments: Value| json!({ "name": "q", "vhost": "/", "arguments": arguments });
    let policy = |length: u32| json!({ "vhost": "/", "name": "p", "pattern": "", "definition": { "max-length": length } });
    for (arguments, length, tag) in [(json!({ "x-max-length": 1 }), 1, "a"), (json!({}), 2, "b")] {
        let user = json!({ "name": "u", "password": "pw", "tags": tag });
        let document =
            json!({ "users": [user], "queues": [queue(arguments)], "policies": [policy(length)] });
        import(&host, &document).unwrap();
    }
    let exported = host.export_definitions();
    assert_eq!(exported["queues"][0]["arguments"], json!({ "x-max-length": 1 }), "it stays");
    assert_eq!(exported["policies"][0]["definition"], json!({ "max-length": 2 }));
    assert_eq!(host.user("u").unwrap().tags.to_string(), "b");
    assert!(host.user("guest").is_some(), "nobody is deleted");
}

#[test]
fn what_belongs_to_a_connection_and_what_always_is_there_is_not_exported() {
    let host = plain_host();
    let exported = host.export_definitions();
    assert_eq!(exported["exchanges"], json!([]));
    assert_eq!(exported["vhosts"], json!([{ "name": "/" }]));
}

/// A document that is wrong somewhere changes nothing.
#[test]
fn a_malformed_document_is_refused_as_a_whole() {
    let host = plain_host();
    let before = host.export_definitions();
    let with = |list: &str, entry: Value| json!({ "users": [{ "name": "new", "tags": "" }], list: [entry] });
    let queue = json!({ "name": "q", "vhost": "gone" });
    let permission =
        json!({ "user": "who", "vhost": "/", "configure": "", "write": "", "read": "" });
    let policy =
        json!({ "vhost": "/", "name": "p", "pattern": "[", "definition": { "expires": 1 } });
    let limits =
        json!({ "vhost": "/", "component": "vhost-limits", "name": "limits", "value": { "a": 1 } });
    for (json, error) in [
        (json!([1]), "definitions: not a JSON object"),
        (json!({ "queues": {} }), "queues: not a list"),
        (with("queues", queue), "vhost 'gone' is neither defined nor there"),
        (with("queues", json!({ "name": "q" })), "queues[0]: missing field `vhost`"),
        (with("permissions", permission), "user 'who' is neither defined nor there"),
        (
            with("policies", policy),
            "policies[0]: pattern should be regular expression but is invalid: unclosed character class",
        ),
        (with("parameters", limits), "parameters[0]: Unrecognised terms [{<<\"a\">>,1}] in limits"),
        (
            json!({ "users": [{ "name": "u", "password": "x", "password_hash": "AAAA" }] }),
            "users[0]: both a password and a password_hash",
        ),
        (
            json!({ "users": [{ "name": "u", "password_hash": "AAAA", "hashing_algorithm": "rot13" }] }),
            "users[0]: unknown hashing algorithm 'rot13'",
        ),
    ] {
        assert_eq!(import(&host, &json).unwrap_err().to_string(), error);
    }
    assert_eq!(host.export_definitions(), before);
}

/// What no broker could do is found out before anything is done.
#[test]
fn what_can_not_be_declared_or_bound_changes_nothing() {
    let host = plain_host();
    let before = host.export_definitions();
    let queue = |arguments: Value| json!({ "name": "q", "vhost": "new", "arguments": arguments });
    let exchange = |kind: &str, arguments: Value| json!({ "name": "x", "vhost": "new", "type": kind, "arguments": arguments });
    let binding = |source: &str, kind: &str, destination: &str, key: &str, arguments: Value| {
        json!({ "source": source, "vhost": "new", "destination": destination,
            "destination_type": kind, "routing_key": key, "arguments": arguments })
    };
    let plain = exchange("direct", json!({}));
    let hash = exchange("x-consistent-hash", json!({}));
    let headers = json!({ "x-match": "some" });
    for (queue, exchange, binding, error) in [
        (
            queue(json!({ "x-max-length": -1 })),
            plain.clone(),
            binding("x", "queue", "q", "", json!({})),
            "queue 'q': invalid arg 'x-max-length' for queue 'q' in vhost 'new': {value_negative,-1}",
        ),
        (
            queue(json!({ "x-queue-type": 1 })),
            plain.clone(),
            binding("x", "queue", "q", "", json!({})),
            "queue 'q': invalid arg 'x-queue-type' for queue 'q' in vhost 'new': {unacceptable_type,long}",
        ),
        (
            queue(json!({})),
            exchange("x-delayed-message", json!({})),
            binding("x", "queue", "q", "", json!({})),
            "exchange 'x': Invalid argument, 'x-delayed-type' must be an existing exchange type",
        ),
        (
            queue(json!({})),
            exchange("direct", json!({ "alternate-exchange": true })),
            binding("x", "queue", "q", "", json!({})),
            "exchange 'x': invalid type 'bool' for arg 'alternate-exchange' in exchange 'x' in vhost 'new'",
        ),
        (
            queue(json!({})),
            plain.clone(),
            binding("amq.topic", "queue", "gone", "", json!({})),
            "binding 'amq.topic -> gone': no queue 'gone' in vhost 'new'",
        ),
        (
            queue(json!({})),
            plain.clone(),
            binding("x", "exchange", "gone", "", json!({})),
            "binding 'x -> gone': no exchange 'gone' in vhost 'new'",
        ),
        (
            queue(json!({})),
            hash,
            binding("x", "queue", "q", "heavy", json!({})),
            "binding 'x -> q': The binding key must be an integer: <<\"heavy\">>",
        ),
        (
            queue(json!({})),
            plain,
            binding("amq.headers", "queue", "q", "", headers),
            "binding 'amq.headers -> q': Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x",
        ),
    ] {
        let document = json!({ "users": [{ "name": "new", "tags": "" }], "vhosts": [{ "name": "new" }],
            "queues": [queue], "exchanges": [exchange], "bindings": [binding] });
        assert_eq!(import(&host, &document).unwrap_err().to_string(), error);
        assert_eq!(host.export_definitions(), before);
    }
}

/// What can only be found out on the way is named; what came before it is there.
#[test]
fn a_definition_that_can_not_be_in_force_is_named() {
    let host: Arc<Host> = plain_host();
    let limits = json!({ "vhost": "/", "component": "vhost-limits", "name": "limits", "value": { "max-queues": 1 } });
    let queue = |name: &str| json!({ "name": name, "vhost": "/" });
    let document = json!({ "users": [{ "name": "new", "tags": "" }], "parameters": [limits],
        "queues": [queue("a"), queue("b")] });
    let error = import(&host, &document).unwrap_err().to_string();
    assert_eq!(
        error,
        "queue 'b': cannot declare queue 'b': queue limit in vhost '/' (1) is reached"
    );
    assert!(host.user("new").is_some());
}

/// Goal: a file of a RabbitMQ with streams and exchanges of plugins is in force, but for those.
#[test]
fn queues_and_exchanges_of_other_types_are_skipped_with_their_bindings() {
    let host = plain_host();
    let queue = |name: &str, kind: &str, arguments: Value| json!({ "name": name, "vhost": "/", "type": kind, "arguments": arguments });
    let exchange = |name: &str, kind: &str, arguments: Value| json!({ "name": name, "vhost": "/", "type": kind, "arguments": arguments });
    let binding = |source: &str, kind: &str, destination: &str| {
        json!({ "source": source, "vhost": "/", "destination": destination,
            "destination_type": kind, "routing_key": "" })
    };
    let document = json!({
        "queues": [
            queue("s", "classic", json!({ "x-queue-type": "stream", "x-max-age": "1D" })),
            queue("s4", "stream", json!({})),
            queue("m", "rabbit_mqtt_qos0_queue", json!({})),
            queue("q", "undefined", json!({})),
        ],
        "exchanges": [
            exchange("jms", "x-jms-topic", json!({})),
            exchange("late", "x-delayed-message", json!({ "x-delayed-type": "x-jms-topic" })),
            exchange("x", "fanout", json!({ "alternate-exchange": "jms" })),
        ],
        "bindings": [
            binding("x", "queue", "s"),
            binding("x", "exchange", "jms"),
            binding("jms", "queue", "s"),
            binding("jms", "queue", "q"),
            binding("x", "queue", "q"),
        ],
    });
    let read = Definitions::read(&document).unwrap();
    let skipped: Vec<String> = read.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        [
            "queue 's' in vhost '/' is skipped, and so are its 2 bindings: there is no queue type 'stream' in leveret",
            "queue 's4' in vhost '/' is skipped: there is no queue type 'stream' in leveret",
            "queue 'm' in vhost '/' is skipped: there is no queue type 'rabbit_mqtt_qos0_queue' in leveret",
            "exchange 'jms' in vhost '/' is skipped, and so are its 3 bindings: there is no exchange type 'x-jms-topic' in leveret",
            "exchange 'late' in vhost '/' is skipped: there is no exchange type 'x-jms-topic' in leveret",
        ]
    );
    host.acting_by_itself().import_definitions(read, origin()).unwrap();
    let exported = host.export_definitions();
    let names = |list: &str, field: &str| -> Vec<String> {
        let entries = exported[list].as_array().unwrap().iter();
        entries.map(|entry| entry[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("queues", "name"), ["q"]);
    assert_eq!(names("exchanges", "name"), ["x"]);
    assert_eq!(names("bindings", "destination"), ["q"]);
}
