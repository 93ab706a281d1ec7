//! Users, permissions, vhosts and parameters of an embedded broker, before and after a restart.

use std::path::{Path, PathBuf};

use leveret::Broker;
use leveret::config::{Config, DefaultOperatorPolicy, DefaultVHostUser, Durability, Secret};
use serde_json::{Value, json};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leveret-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn file(&self, name: &str, json: &Value) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, json.to_string()).expect("a temporary file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(dir: &Path, configure: impl FnOnce(&mut Config)) -> Broker {
    let broker = Broker::builder().configure(|config| {
        config.durability = Durability::Os;
        config.data_dir = Some(dir.join("data"));
        configure(config);
    });
    broker.start().await.expect("a data directory of its own")
}

fn names(broker: &Broker, list: &str, field: &str) -> Vec<String> {
    let definitions = broker.export_definitions();
    let entries = definitions[list].as_array().expect("a list").iter();
    entries.map(|entry| entry[field].as_str().expect("a text").to_owned()).collect()
}

/// A document with one of everything.
fn everything() -> Value {
    let policy =
        json!({ "pattern": "^q", "definition": { "max-length": 5 }, "apply-to": "queues" });
    json!({
        "users": [{ "name": "u", "password": "pw", "tags": "monitoring,ours",
            "limits": { "max-channels": 5 } }],
        "vhosts": [{ "name": "v", "metadata": { "description": "D", "tags": ["t"],
            "default_queue_type": "quorum", "protected_from_deletion": true } }],
        "permissions": [{ "user": "u", "vhost": "v", "configure": "^q", "write": "", "read": ".*" }],
        "topic_permissions": [
            { "user": "u", "vhost": "v", "exchange": "x", "write": "^{username}", "read": "" }
        ],
        "global_parameters": [{ "name": "cluster_tags", "value": { "a": [1, null] } }],
        "parameters": [
            { "vhost": "v", "component": "vhost-limits", "name": "limits", "value": { "max-queues": 9 } },
            { "vhost": "v", "component": "operator_policy", "name": "o", "value": policy },
            { "vhost": "v", "component": "shovel", "name": "s", "value": { "src-uri": "amqp://" } },
        ],
    })
}

#[tokio::test]
async fn everything_an_administrator_set_is_there_after_a_restart() {
    let folder = Folder::new("access-restart");
    let broker = start(&folder.0, |_| {}).await;
    broker.import_definitions(&everything()).expect("a sound document");
    let before = broker.export_definitions();
    broker.lasting().await;
    broker.stop().await;

    let broker = start(&folder.0, |config| config.default_user = "other".to_owned()).await;
    assert_eq!(broker.export_definitions(), before);
    assert!(broker.host().user("other").is_none(), "the broker is not empty");
    assert!(broker.delete_vhost("v").is_err(), "it is protected");
    assert!(broker.delete_user("u") && broker.delete_user("guest"));
    assert!(broker.delete_vhost("/").expect("it is not protected"));
    broker.stop().await;

    let broker = start(&folder.0, |_| {}).await;
    assert_eq!(names(&broker, "users", "name"), Vec::<String>::new(), "nobody comes back");
    assert_eq!(names(&broker, "permissions", "user"), Vec::<String>::new());
    assert_eq!(names(&broker, "topic_permissions", "user"), Vec::<String>::new());
    assert_eq!(names(&broker, "vhosts", "name"), ["v"]);
    broker.stop().await;
}

/// Goal: a vhost that was deleted leaves nothing in the store that would bring it back.
#[tokio::test]
async fn a_deleted_vhost_stays_deleted() {
    let folder = Folder::new("vhost-restart");
    let broker = start(&folder.0, |_| {}).await;
    let mut document = everything();
    document["vhosts"] = json!([{ "name": "v" }]);
    document["queues"] = json!([{ "name": "q", "vhost": "v" }]);
    document["exchanges"] = json!([
        { "name": "x", "vhost": "v", "type": "topic" },
        { "name": "once", "vhost": "v", "type": "x-message-deduplication",
            "arguments": { "x-cache-size": 5 } },
    ]);
    document["bindings"] = json!([
        { "source": "x", "vhost": "v", "destination": "q", "destination_type": "queue" },
        { "source": "amq.topic", "vhost": "v", "destination": "amq.fanout",
            "destination_type": "exchange" },
    ]);
    broker.import_definitions(&document).expect("a sound document");
    assert!(broker.delete_vhost("v").expect("it is not protected"));
    broker.stop().await;

    let broker = start(&folder.0, |_| {}).await;
    assert_eq!(names(&broker, "vhosts", "name"), ["/"]);
    assert_eq!(names(&broker, "permissions", "user"), ["guest"]);
    broker.put_vhost("v").expect("a name");
    let again = broker.host().export_vhost_definitions("v").expect("it is there");
    for list in ["queues", "exchanges", "bindings", "policies", "parameters"] {
        assert_eq!(again[list], json!([]), "{list}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn definitions_from_a_file_take_the_place_of_the_defaults() {
    let folder = Folder::new("load-definitions");
    let permission = json!({ "user": "u", "vhost": "v", "configure": "", "write": "", "read": "" });
    let with_users = json!({ "users": [{ "name": "u", "password": "pw" }],
        "vhosts": [{ "name": "v" }], "permissions": [permission] });
    for (number, document, users, vhosts) in [
        (0, with_users, ["u"], ["v"]),
        (1, json!({ "vhosts": [{ "name": "v" }] }), ["guest"], ["v"]),
        (2, json!({ "queues": [{ "name": "q", "vhost": "/" }] }), ["guest"], ["/"]),
    ] {
        let file = folder.file(&format!("{number}.json"), &document);
        let dir = folder.0.join(number.to_string());
        for life in 0..2 {
            let broker = start(&dir, |config| config.load_definitions = Some(file.clone())).await;
            assert_eq!(names(&broker, "users", "name"), users, "{number}, life {life}");
            assert_eq!(names(&broker, "vhosts", "name"), vhosts, "{number}, life {life}");
            assert_eq!(names(&broker, "permissions", "user"), users, "{number}, life {life}");
            broker.stop().await;
        }
    }
}

/// Goal: a directory's files are one document: users in the last of them take the place of the default user.
#[tokio::test]
async fn definitions_may_be_spread_over_the_files_of_a_directory() {
    let folder = Folder::new("load-directory");
    folder.file("1.json", &json!({ "vhosts": [{ "name": "v" }], "queues": [] }));
    folder.file(
        "2.json",
        &json!({ "users": [{ "name": "u", "password": "pw" }],
        "queues": [{ "name": "q", "vhost": "v" }] }),
    );
    std::fs::write(folder.0.join("readme.txt"), "not this").unwrap();
    let dir = folder.0.join("data");
    let broker = start(&dir, |config| config.load_definitions = Some(folder.0.clone())).await;
    assert_eq!(names(&broker, "users", "name"), ["u"]);
    assert_eq!(names(&broker, "vhosts", "name"), ["v"]);
    assert_eq!(names(&broker, "queues", "name"), ["q"]);
    broker.stop().await;
}

/// Goal: a file of a RabbitMQ with streams and with exchanges of plugins starts a broker, without those.
#[tokio::test]
async fn what_leveret_does_not_have_is_left_out_of_what_is_loaded() {
    let folder = Folder::new("load-foreign");
    let file = folder.file("foreign.json", &foreign());
    let dir = folder.0.join("data");
    for _life in 0..2 {
        let broker = start(&dir, |config| config.load_definitions = Some(file.clone())).await;
        assert_eq!(names(&broker, "queues", "name"), ["q"]);
        assert_eq!(names(&broker, "exchanges", "name"), ["x"]);
        assert_eq!(names(&broker, "bindings", "destination"), ["q"]);
        broker.stop().await;
    }
}

/// What comes behind a stream and an exchange of a plugin counts.
fn foreign() -> Value {
    let binding = |destination: &str| {
        json!({ "source": "x", "vhost": "/", "destination": destination,
            "destination_type": "queue", "routing_key": "", "arguments": {} })
    };
    json!({
        "queues": [
            { "name": "s", "vhost": "/", "durable": true, "arguments": { "x-queue-type": "stream" } },
            { "name": "q", "vhost": "/", "durable": true, "arguments": {} },
        ],
        "exchanges": [
            { "name": "jms", "vhost": "/", "type": "x-jms-topic", "durable": true },
            { "name": "x", "vhost": "/", "type": "fanout", "durable": true },
        ],
        "bindings": [binding("s"), binding("q")],
    })
}

#[tokio::test]
async fn definitions_that_can_not_be_loaded_keep_the_broker_from_starting() {
    let folder = Folder::new("load-nothing");
    let bad = folder.file("bad.json", &json!({ "queues": [{ "name": "q" }] }));
    for (file, reason) in [
        (bad, "queues[0]: missing field `vhost`"),
        (folder.0.join("none.json"), "No such file or directory (os error 2)"),
    ] {
        let path = file.display().to_string();
        let broker = Broker::builder().configure(|config| config.load_definitions = Some(file));
        let error = broker.start().await.expect_err("no definitions").to_string();
        assert_eq!(error, format!("load_definitions: {path}: {reason}"));
    }
}

/// Goal: new vhosts have the users and operator policies that are for their names, the default vhost as well, and the
/// default user is there beside them. What an administrator changed later is not changed back.
#[tokio::test]
async fn new_vhosts_begin_with_users_and_operator_policies() {
    let folder = Folder::new("new-vhosts");
    let user = |pattern: &str, password: Option<&str>| DefaultVHostUser {
        vhost_pattern: pattern.to_owned(),
        password: password.map(Secret::new),
        tags: vec!["monitoring".to_owned()],
        read: "^r".to_owned(),
        ..DefaultVHostUser::default()
    };
    let configure = |config: &mut Config| {
        config.vhost_users.insert("every".to_owned(), user("", Some("pw")));
        config.vhost_users.insert("dev".to_owned(), user("^dev", None));
        let policy = DefaultOperatorPolicy {
            vhost_pattern: "^dev".to_owned(),
            apply_to: "queues".to_owned(),
            definition: [("max-length".to_owned(), 5)].into(),
            ..DefaultOperatorPolicy::default()
        };
        config.vhost_operator_policies.insert("bounded".to_owned(), policy);
    };
    let broker = start(&folder.0, configure).await;
    assert_eq!(names(&broker, "users", "name"), ["every", "guest"]);
    assert_eq!(names(&broker, "permissions", "user"), ["every", "guest"]);
    broker.put_vhost("dev-1").expect("a name");
    assert_eq!(names(&broker, "users", "name"), ["dev", "every", "guest"]);
    let permissions = broker.host().permissions_of("dev", "dev-1").expect("it is open");
    assert_eq!(permissions.permissions.read.as_str(), "^r");
    assert!(broker.host().permissions_of("dev", "/").is_none());
    let policies = broker.operator_policies("dev-1").expect("it is there");
    assert_eq!(policies.iter().map(|policy| policy.name()).collect::<Vec<_>>(), ["bounded"]);
    assert_eq!(broker.operator_policies("/").expect("it is there").len(), 0);
    // They are there already, and keep what they have.
    broker.put_user("every", "other", &["administrator"]).expect("a name");
    assert!(broker.delete_operator_policy("dev-1", "bounded").expect("it is there"));
    broker.put_vhost("dev-2").expect("a name");
    let before = broker.export_definitions();
    assert_eq!(before["users"][1]["tags"], json!(["administrator"]));
    broker.lasting().await;
    broker.stop().await;

    let broker = start(&folder.0, configure).await;
    assert_eq!(broker.export_definitions(), before);
    broker.stop().await;
}

/// Goal: what can't be in force keeps the broker from starting, by the name that it was given.
#[tokio::test]
async fn a_policy_of_new_vhosts_that_can_t_be_is_named() {
    let folder = Folder::new("new-vhosts-wrong");
    let mut policy = DefaultOperatorPolicy::default();
    policy.definition.insert("expires".to_owned(), 0);
    let broker = Broker::builder().configure(|config| {
        config.data_dir = Some(folder.0.join("data"));
        config.vhost_operator_policies.insert("p".to_owned(), policy);
    });
    let error = broker.start().await.expect_err("a queue can't expire at once");
    let text = error.to_string();
    assert!(text.starts_with("default_policies.operator.p.*: "), "{text}");
}

/// Goal: definitions that are the same as at the last start are left out, so that what was changed since stays; any
/// others are put in force.
#[tokio::test]
async fn unchanged_definitions_are_left_out_where_that_is_asked_for() {
    let folder = Folder::new("unchanged");
    let document =
        |tags: &str| json!({ "users": [{ "name": "u", "password": "pw", "tags": tags }] });
    let file = folder.file("definitions.json", &document("monitoring"));
    let tags = |broker: &Broker| broker.export_definitions()["users"][0]["tags"].clone();
    for (document, if_changed, expected) in [
        (document("monitoring"), true, "monitoring"),
        // As it was changed behind the first start.
        (document("monitoring"), true, "ours"),
        (document("administrator"), true, "administrator"),
        (document("administrator"), false, "administrator"),
    ] {
        folder.file("definitions.json", &document);
        let broker = start(&folder.0, |config| {
            config.load_definitions = Some(file.clone());
            config.load_definitions_if_changed = if_changed;
        });
        let broker = broker.await;
        assert_eq!(tags(&broker), json!([expected]));
        broker.put_user("u", "pw", &["ours"]).expect("a name");
        broker.lasting().await;
        broker.stop().await;
    }
}
