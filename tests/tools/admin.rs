//! `leveret`'s own commands, the everyday ones of each noun.

use serde_json::json;

use crate::support::Broker;

#[test]
fn exchanges_are_declared_listed_bound_and_deleted() {
    let broker = Broker::start();
    broker.ok("leveret exchange declare orders --type topic --durable");
    broker.ok("leveret queue declare eu --argument x-max-length=10");
    broker.ok("leveret binding declare orders eu --routing-key eu.#");
    let orders = broker.json("leveret exchange show orders");
    assert_eq!((&orders["type"], &orders["durable"]), (&json!("topic"), &json!(true)));
    let table = broker.ok("leveret exchange list");
    assert!(table.starts_with("name                type     durable"), "{table}");
    assert!(
        table.lines().any(|line| line.starts_with("orders              topic    true")),
        "{table}"
    );
    assert_eq!(
        broker.ok("leveret exchange bindings orders --format csv"),
        "source,destination,to,routing key,arguments\norders,eu,queue,eu.#,\n"
    );
    broker.ok("leveret binding delete orders eu --routing-key eu.#");
    assert_eq!(broker.json("leveret exchange bindings orders"), json!([]));
    broker.ok("leveret exchange delete orders --if-unused");
    let (code, text) = broker.fails("leveret exchange delete orders");
    assert_eq!((code, &*text), (66, "leveret: there is no exchange 'orders' in vhost '/'\n"));
}

#[test]
fn messages_are_published_looked_at_taken_and_purged() {
    let broker = Broker::start();
    broker.ok("leveret queue declare q");
    broker.ok("leveret publish -k q 'first one' --header n=1 --property content_type=text/plain");
    let piped = broker.run_with("leveret publish -k q --persistent", "second", &[]);
    assert_eq!((piped.code, &*piped.stderr), (0, ""));
    let peeked = broker.json("leveret queue peek q");
    assert_eq!(peeked[0]["properties"]["headers"], json!({"n": 1}));
    assert_eq!(peeked[0]["properties"]["content_type"], "text/plain");
    // A look changes nothing.
    assert_eq!(broker.ok("leveret get q -n 9 --payload-only"), "first one\nsecond\n");
    assert_eq!(broker.json("leveret queue show q")["messages"], 2);
    assert_eq!(broker.ok("leveret get q --answer ack --payload-only"), "first one\n");
    broker.ok("leveret purge q");
    assert_eq!(broker.ok("leveret get q --payload-only"), "");

    broker.ok("leveret publish -k nobody x");
    let (code, text) = broker.fails("leveret publish -k nobody x --property content-type=a/b");
    assert_eq!(
        (code, text.contains("no property 'content-type'; they have content_type,")),
        (64, true),
        "{text}"
    );
    let (code, text) = broker.fails("leveret publish -k nobody x --mandatory");
    assert_eq!((code, text.starts_with("leveret: no queue took the message")), (65, true));
}

#[test]
fn messages_are_looked_at_in_their_places_and_taken_back_before_their_time() {
    let broker = Broker::start();
    broker.ok("leveret queue declare q");
    for payload in ["one", "two", "three"] {
        broker.ok(&format!("leveret publish -k q {payload}"));
    }
    let shown = broker.json("leveret queue peek q --count 9");
    let payloads = |shown: &serde_json::Value| -> Vec<String> {
        let payload = |it: &serde_json::Value| it["payload"].as_str().unwrap().to_owned();
        shown.as_array().unwrap().iter().map(payload).collect()
    };
    assert_eq!(payloads(&shown), ["one", "two", "three"]);
    assert_eq!(shown[0]["redelivered"], false);
    let from = shown[1]["position"].as_u64().unwrap();
    let rest = broker.json(&format!("leveret queue peek q --count 9 --from {from} --truncate 2"));
    assert_eq!(payloads(&rest), ["tw", "th"]);
    // Nobody had them, as `get` would say.
    assert_eq!(broker.json("leveret get q")[0]["redelivered"], false);

    broker.ok("leveret exchange declare later --type x-delayed-message -a x-delayed-type=fanout");
    broker.ok("leveret binding declare later q");
    broker.ok("leveret publish -e later soon --header x-delay=3600000");
    let scheduled = broker.json("leveret queue scheduled q");
    assert_eq!(payloads(&scheduled), ["soon"]);
    assert!(scheduled[0]["due_at"].is_string());
    let position = scheduled[0]["position"].as_u64().unwrap();
    broker.ok(&format!("leveret queue cancel-scheduled q {position}"));
    assert_eq!(broker.json("leveret queue scheduled q"), json!([]));
    assert_eq!(broker.fails(&format!("leveret queue cancel-scheduled q {position}")).0, 66);
}

#[test]
fn queues_are_listed_in_one_vhost_or_in_all() {
    let broker = Broker::start();
    broker.ok("leveret vhost add other --description 'for tests'");
    broker.ok("leveret permission set guest -V other");
    broker.ok("leveret queue declare here");
    broker.ok("leveret queue declare there --type quorum --vhost other");
    let names = |line: &str| {
        broker.ok(&format!("leveret queue list {line} --format csv --columns name,type"))
    };
    assert_eq!(names(""), "name,type\nhere,classic\n");
    assert_eq!(names("--vhost other"), "name,type\nthere,quorum\n");
    assert_eq!(names("--all-vhosts"), "name,type\nhere,classic\nthere,quorum\n");
    broker.ok("leveret queue delete there -V other");
    broker.ok("leveret vhost delete other");
    assert_eq!(broker.json("leveret vhost list").as_array().unwrap().len(), 1);
}

/// Goal: a vhost without a type of its own for queues is not shown with one that is called "undefined", as the API has it;
/// RabbitMQ's commands go on printing that, and so do those that are called as they are.
#[test]
fn a_vhost_shows_a_type_for_queues_only_where_it_has_one() {
    let broker = Broker::start();
    broker.ok("leveret vhost add typed --default-queue-type quorum");
    let table = broker.ok("leveret vhost list --format csv");
    let types = table.lines().map(|line| line.split(',').rev().nth(3).unwrap());
    assert_eq!(types.collect::<Vec<_>>(), ["default queue type", "", "quorum"], "{table}");
}

#[test]
fn users_have_passwords_tags_limits_and_permissions() {
    let broker = Broker::start();
    broker.ok("leveret user add joe secret --tag monitoring");
    broker.ok("leveret permission set joe '^a' '.*' ''");
    broker.ok("leveret topic-permission set joe amq.topic '^a' '^b'");
    broker.ok("leveret user limits joe max-connections=3");
    assert_eq!(
        broker.ok("leveret user limits joe"),
        "limit            value\nmax-connections      3\n"
    );
    assert_eq!(
        broker.json("leveret permission list --of joe"),
        json!([{"user": "joe", "vhost": "/", "configure": "^a", "write": ".*", "read": ""}])
    );
    assert_eq!(broker.json("leveret topic-permission list --of joe")[0]["write"], "^a");
    assert!(broker.ok("leveret queue list -u joe -p secret").starts_with("name"));

    let changed = broker.run_with("leveret user password joe", "new\n", &[]);
    assert_eq!((changed.code, &*changed.stderr), (0, ""));
    let (code, text) = broker.fails("leveret queue list -u joe -p secret");
    assert_eq!(code, 77);
    assert!(text.starts_with("leveret: the broker does not let 'joe' in; choose a user"), "{text}");
    // The password stays with other tags, and the tags with another password.
    broker.ok("leveret user tags joe management");
    let users = broker.run_with(
        "leveret user list",
        "",
        &[("LEVERET_USER", "joe"), ("LEVERET_PASSWORD", "new")],
    );
    assert_eq!(users.code, 77, "he is no monitor any more: {}", users.stdout);
    broker.ok("leveret permission clear joe");
    broker.ok("leveret user delete joe");
    assert_eq!(broker.json("leveret user list").as_array().unwrap().len(), 1);
}

#[test]
fn policies_limit_what_they_match() {
    let broker = Broker::start();
    broker.ok("leveret policy set short '^q' max-length=1 --apply-to queues --priority 2");
    broker.ok("leveret policy set cap '' '{\"max-length\": 5}' --operator --apply-to queues");
    broker.ok("leveret queue declare q");
    let queue = broker.json("leveret queue show q");
    assert_eq!((&queue["policy"], &queue["operator_policy"]), (&json!("short"), &json!("cap")));
    let table = broker.ok("leveret policy list");
    assert_eq!(
        table,
        "name   pattern  apply to  priority  definition\n\
         short  ^q       queues           2  {\"max-length\":1}\n"
    );
    let (code, text) = broker.fails("leveret policy set bad . frobnicate=1");
    assert_eq!((code, text.contains("frobnicate")), (65, true), "{text}");
    broker.ok("leveret policy delete short");
    broker.ok("leveret policy delete cap --operator");
    assert_eq!(broker.json("leveret policy list"), json!([]));
}

#[test]
fn definitions_leave_one_broker_and_enter_another() {
    let (from, to) = (Broker::start(), Broker::start());
    from.ok("leveret queue declare q");
    from.ok("leveret exchange declare x");
    from.ok("leveret binding declare x q -k k");
    let file = from.dir().file("definitions.json");
    from.ok(&format!("leveret definitions export {file}"));
    to.ok(&format!("leveret definitions import {file}"));
    assert_eq!(to.json("leveret exchange bindings x")[0]["destination"], "q");
    // What leveret does not have is left out.
    let foreign = json!({
        "queues": [
            { "name": "s", "vhost": "/", "arguments": { "x-queue-type": "stream" } },
            { "name": "behind", "vhost": "/" },
        ],
        "bindings": [{ "source": "x", "vhost": "/", "destination": "s",
            "destination_type": "queue", "routing_key": "" }],
    });
    let imported = to.run_with("leveret definitions import -", &foreign.to_string(), &[]);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let listed = to.json("leveret queue list");
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|queue| &queue["name"]).collect();
    assert_eq!(names, ["behind", "q"]);
    let (code, text) = to.fails("leveret definitions import nowhere.json");
    assert_eq!(code, 66);
    assert!(text.starts_with("leveret: cannot read nowhere.json: No such file"), "{text}");
    let wrong = to.run_with("leveret definitions import -", "{", &[]);
    assert_eq!((wrong.code, wrong.stderr.starts_with("leveret: - is not JSON: ")), (65, true));
}

#[tokio::test]
async fn connections_channels_and_consumers_are_seen_and_closed() {
    use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
    use lapin::types::FieldTable;

    let broker = Broker::start();
    let uri = format!("amqp://guest:guest@127.0.0.1:{}/%2f", broker.amqp);
    let client =
        lapin::Connection::connect(&uri, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = client.create_channel().await.unwrap();
    let (queue, table) = (QueueDeclareOptions::default(), FieldTable::default());
    channel.queue_declare("q".into(), queue, table.clone()).await.unwrap();
    let consume = BasicConsumeOptions::default();
    let _consumer = channel.basic_consume("q".into(), "tag".into(), consume, table).await.unwrap();

    let connections = broker.json("leveret connection list");
    let name = connections[0]["name"].as_str().unwrap().to_owned();
    assert_eq!(broker.json("leveret channel list")[0]["consumer_count"], 1);
    assert_eq!(broker.json("leveret consumer list")[0]["consumer_tag"], "tag");
    broker.ok(&format!("leveret connection show '{name}'"));
    broker.ok("leveret connection close --all --reason 'bye bye'");
    let mut events = client.events_listener();
    if client.status().connected() {
        use futures_lite::StreamExt;
        while let Some(event) = events.next().await {
            if matches!(event, lapin::Event::Error(_)) {
                break;
            }
        }
    }
    let (code, _) = broker.fails("leveret connection close nobody");
    assert_eq!(code, 66);
    assert_eq!(broker.fails("leveret connection close").0, 64);
}

#[test]
fn status_health_and_top_tell_how_it_is() {
    let broker = Broker::start();
    broker.ok("leveret queue declare q");
    let status = broker.ok("leveret status");
    assert!(status.starts_with("product                   leveret\n"), "{status}");
    assert!(status.contains("\nqueues                    1\n"), "{status}");
    assert_eq!(
        broker.ok("leveret health"),
        "check          status  reason\nlocal-alarms   ok\nvirtual-hosts  ok\n"
    );
    let port = broker.amqp;
    broker.ok(&format!("leveret health port-listener/{port} protocol-listener/amqp"));
    let (code, text) = broker.fails("leveret health port-listener/1");
    assert_eq!((code, &*text), (69, "leveret: not well: port-listener/1\n"));
    let top = broker.ok("leveret top --times 1");
    assert!(top.lines().nth(1).is_some_and(|line| line.starts_with("/      q")), "{top}");
}

#[test]
fn who_is_not_there_is_named_with_what_to_do() {
    let broker = Broker::start();
    let (code, text) = broker.fails("leveret queue list --url http://127.0.0.1:1");
    assert_eq!(code, 69);
    assert!(
        text.starts_with("leveret: cannot reach the management API at http://127.0.0.1:1: "),
        "{text}"
    );
    assert!(text.contains("--url") && text.contains("LEVERET_URL"), "{text}");
    // AMQP is no HTTP.
    let (code, _) =
        broker.fails(&format!("leveret queue list --url http://127.0.0.1:{}", broker.amqp));
    assert_eq!(code, 76);
    // And HTTP is no HTTPS.
    let url = broker.url().replace("http://", "https://");
    let (code, text) = broker.fails(&format!("leveret queue list --insecure --url {url}"));
    assert_eq!((code, text.contains("does not speak TLS")), (76, true), "{text}");
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    let broker = Broker::start();
    let (code, text) = broker.fails("leveret status --url http://joe:s3cret@127.0.0.1:1");
    assert_eq!((code, text.contains("'http://***@127.0.0.1:1' is no URL")), (64, true), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

/// Goal: what is wrong is one line, in words, and nothing in it steers the terminal.
#[test]
fn what_is_refused_is_one_line_in_words() {
    let broker = Broker::start();
    for (line, said) in [
        (
            "policy set p ( max-length=1",
            "Validation failed: pattern should be regular expression but is invalid: unclosed group",
        ),
        ("permission set guest (", "'(' is no regular expression: unclosed group"),
        ("publish -k q x --property priority=x", "'priority' has to be an integer"),
    ] {
        let (code, text) = broker.fails(&format!("leveret {line}"));
        assert_eq!((code, text), (65, format!("leveret: {said}\n")), "{line}");
    }
    let (_, text) = broker.fails("leveret queue show a\u{1b}[31m\u{202e}");
    assert_eq!(text, "leveret: there is no queue 'a\\u{1b}[31m\\u{202e}' in vhost '/'\n");
}

#[test]
fn what_is_not_there_is_named() {
    let broker = Broker::start();
    for (line, missing) in [
        ("queue delete q", "no queue 'q' in vhost '/'"),
        ("queue list -V nope", "no vhost 'nope'"),
        ("queue declare q -V nope", "no vhost 'nope'"),
        ("get q", "no queue 'q' in vhost '/'"),
        ("user delete joe", "no user 'joe'"),
        ("permission set joe", "no vhost '/' or no user 'joe'"),
        ("connection close c", "no connection 'c'"),
        ("binding declare e q", "no exchange 'e' or no queue 'q' in vhost '/'"),
        ("policy delete p", "no policy 'p' in vhost '/'"),
        ("vhost limits nope", "no vhost 'nope'"),
        ("health nope/1", "no check 'nope/1'"),
    ] {
        let (code, text) = broker.fails(&format!("leveret {line}"));
        assert_eq!((code, text), (66, format!("leveret: there is {missing}\n")), "{line}");
    }
}

#[test]
fn completions_and_manual_pages_name_the_commands() {
    let broker = Broker::start();
    for shell in ["bash", "zsh", "fish"] {
        let script = broker.ok(&format!("leveret completions {shell}"));
        assert!(script.contains("topic-permission"), "{shell}");
    }
    let dir = broker.dir().file("man");
    broker.ok(&format!("leveret man {dir}"));
    let page = std::fs::read_to_string(format!("{dir}/leveret-queue-declare.1")).unwrap();
    assert!(page.contains("Make sure that a queue is there"), "{page}");
}
