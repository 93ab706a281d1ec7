//! `rabbitmqadmin` by its name, as Testcontainers and CI scripts call it.

use crate::support::Broker;

/// Goal: what Java's Testcontainers module runs, word for word.
#[test]
fn what_testcontainers_declare_is_declared() {
    let broker = Broker::start_with_data();
    for (line, output) in [
        ("rabbitmqadmin declare vhost name=vhost1 tracing=true", "vhost declared\n"),
        (
            "rabbitmqadmin declare vhost_limit vhost=vhost1 name=max-connections value=3",
            "vhost_limit declared\n",
        ),
        (
            "rabbitmqadmin declare queue name=queue-one auto_delete=false durable=true arguments={}",
            "queue declared\n",
        ),
        (
            "rabbitmqadmin --vhost=vhost1 declare queue name=queue-two auto_delete=true durable=false \
             'arguments={\"x-message-ttl\":1000}'",
            "queue declared\n",
        ),
        (
            "rabbitmqadmin declare exchange name=direct-exchange type=direct auto_delete=false internal=false durable=true arguments={}",
            "exchange declared\n",
        ),
        (
            "rabbitmqadmin declare binding source=direct-exchange destination=queue-one destination_type=queue routing_key=x arguments={}",
            "binding declared\n",
        ),
        ("rabbitmqadmin declare user name=user1 password=password1 tags=", "user declared\n"),
        (
            "rabbitmqadmin declare permission vhost=vhost1 user=user1 configure=.* write=.* read=.*",
            "permission declared\n",
        ),
        (
            "rabbitmqadmin declare policy name=p 'pattern=^q' 'definition={\"max-length\":1}' priority=1 apply-to=queues",
            "policy declared\n",
        ),
        (
            "rabbitmqadmin declare operator_policy name=o 'pattern=^q' 'definition={\"max-length\":1}' priority=1 apply-to=queues",
            "operator_policy declared\n",
        ),
    ] {
        assert_eq!(broker.ok(line), output, "{line}");
    }
    assert_eq!(
        broker.ok("rabbitmqadmin list queues vhost name durable"),
        "+--------+-----------+---------+\n\
         | vhost  |   name    | durable |\n\
         +--------+-----------+---------+\n\
         | /      | queue-one | True    |\n\
         | vhost1 | queue-two | False   |\n\
         +--------+-----------+---------+\n"
    );
}

#[test]
fn messages_go_in_and_out() {
    let broker = Broker::start_with_data();
    broker.ok("rabbitmqadmin declare queue name=q");
    assert_eq!(
        broker.ok("rabbitmqadmin publish routing_key=q 'payload=hello there'"),
        "Message published\n"
    );
    assert_eq!(
        broker.ok("rabbitmqadmin publish routing_key=no payload=x"),
        "Message published but NOT routed\n"
    );
    let piped = broker.run_with("rabbitmqadmin -q publish routing_key=q", "second", &[]);
    assert_eq!((piped.code, &*piped.stdout), (0, ""));
    let got = broker.ok("rabbitmqadmin -f tsv -q get queue=q count=2 ackmode=ack_requeue_false");
    assert!(got.contains("hello there") && got.contains("second"), "{got}");
    broker.ok("rabbitmqadmin purge queue name=q");
    assert_eq!(broker.ok("rabbitmqadmin delete queue name=q"), "queue deleted\n");
    assert_eq!(
        broker.fails("rabbitmqadmin delete queue name=q"),
        (1, "*** Not found: /api/queues/%2F/q\n".to_owned())
    );
}

#[test]
fn the_second_versions_syntax_is_understood() {
    let broker = Broker::start_with_data();
    broker.ok("rabbitmqadmin queues declare --name q --type quorum --durable true");
    broker.ok("rabbitmqadmin declare exchange --name x --type fanout --durable true");
    broker.ok("rabbitmqadmin bindings declare --source x --destination-type queue --destination q --routing-key k");
    broker.ok("rabbitmqadmin publish message --exchange x --routing-key k --payload hi");
    assert_eq!(broker.ok("rabbitmqadmin --non-interactive -f bash queues list name"), "q\n");
    let got =
        broker.ok("rabbitmqadmin get messages --queue q --count 1 --ack-mode ack_requeue_false");
    assert!(got.contains("| hi "), "{got}");
    broker.ok("rabbitmqadmin delete queue --name q");
    broker.ok("rabbitmqadmin delete queue --name q --idempotently");
    broker.ok("rabbitmqadmin health_check local_alarms");
}

/// Goal: lines that people write for the second version, each of which does what it does there.
#[test]
fn verbs_of_the_second_version_alone_are_understood() {
    let broker = Broker::start_with_data();
    let node = broker.ok("rabbitmqadmin -q -f tsv list nodes name").trim().to_owned();
    let port = broker.amqp;
    for line in [
        "vhosts declare --name v --description 'a vhost' --tracing",
        "vhosts enable_deletion_protection --name v",
        "vhosts disable_deletion_protection --name v",
        "--vhost v queues declare --name q --type quorum",
        "--vhost v queues show --name q --columns name,type",
        "queues list --columns name,messages --page 1 --page-size 10",
        "--vhost v exchanges declare --name x --type topic",
        "--vhost v exchanges bind --source x --destination-type queue --destination q --routing-key k",
        "--vhost v exchanges unbind --source x --destination-type queue --destination q --routing-key k",
        "--vhost v publish message --routing-key q",
        "--vhost v get messages --queue q --count 1 --ack-mode ack_requeue_false",
        "--vhost v policies declare --name p --pattern ^q --definition '{\"max-length\":1}' --apply-to queues",
        "--vhost v policies update --name p --pattern ^q --definition '{\"max-length\":2}' --apply-to queues",
        "--vhost v policies patch --name p --definition '{\"message-ttl\":5000}'",
        "--vhost v policies update_definition --name p --definition-key max-length --new-value 3",
        "--vhost v policies delete_definition_keys --name p --definition-keys message-ttl",
        "--vhost v policies list_in --apply-to queues",
        "parameters list_all",
        "parameters list --component federation-upstream",
        "global_parameters set --name g --value '{\"a\":1}'",
        "global_parameters clear --name g",
        "users declare --name joe --password secret --tags management",
        "permissions declare --user joe --configure .* --write .* --read .*",
        "users permissions",
        "users limits",
        "permissions delete --username joe",
        "users connections --username joe",
        "connections list_of_user --username joe",
        "close user_connections --username joe",
        "close connection --name nope --idempotently",
        "users delete --name joe",
        "show overview",
        "show churn",
        &format!("show memory_breakdown_in_bytes --node {node}"),
        "plugins list_all",
        &format!("plugins list_on_node --node {node}"),
        &format!("auth_attempts stats --node {node}"),
        "feature_flags list",
        "deprecated_features list_used",
        "rebalance queues",
        "shovels list_all",
        "federation list_all_links",
        "health_check local_alarms",
        "health_check cluster_wide_alarms",
        "health_check node_is_quorum_critical",
        &format!("health_check port_listener --port {port}"),
        "health_check protocol_listener --protocol amqp",
        "definitions export --stdout",
        "--vhost v definitions export_from_vhost --file v.json",
        "--vhost v definitions import_into_vhost --file v.json",
        "vhosts delete --name v",
    ] {
        broker.ok(&format!("rabbitmqadmin {line}"));
    }
    let (_, told) = broker.fails("rabbitmqadmin health_check port_listener --port 1");
    assert!(told.contains("No active listener"), "{told}");
}

#[test]
fn definitions_are_exported_and_imported() {
    let (from, to) = (Broker::start_with_data(), Broker::start_with_data());
    from.ok("rabbitmqadmin declare queue name=q");
    let file = from.dir().file("d.json");
    assert_eq!(
        from.ok(&format!("rabbitmqadmin export {file}")),
        format!("Exported definitions for localhost to \"{file}\"\n")
    );
    to.ok(&format!("rabbitmqadmin import {file}"));
    assert_eq!(to.ok("rabbitmqadmin -f bash list queues name"), "q\n");
}

#[test]
fn host_port_and_login_may_be_options_or_in_a_file() {
    let broker = Broker::start();
    let port = broker.http.to_string();
    let elsewhere = [("LEVERET_URL", "http://127.0.0.1:1")];
    let run = |line: &str| broker.run_with(line, "", &elsewhere);
    let options =
        format!("rabbitmqadmin -H 127.0.0.1 -P {port} -u guest -p guest -f bash list vhosts name");
    assert_eq!(run(&options).stdout, "/\n");
    let base =
        format!("rabbitmqadmin -U http://guest:guest@127.0.0.1:{port} -f bash list vhosts name");
    assert_eq!(run(&base).stdout, "/\n");
    let text = format!(
        "[test]\nhostname = 127.0.0.1\nport = {port}\nusername = guest\npassword = guest\n"
    );
    std::fs::write(broker.dir().file("admin.conf"), text).unwrap();
    assert_eq!(run("rabbitmqadmin -c admin.conf -N test -f bash list vhosts name").stdout, "/\n");
    let refused =
        run(&format!("rabbitmqadmin -H 127.0.0.1 -P {port} -u guest -p wrong list queues"));
    assert_eq!(
        (refused.code, &*refused.stderr),
        (1, "*** Access refused: /api/queues?columns=name%2Cmessages\n")
    );
}

#[test]
fn the_second_versions_variables_say_who_asks_and_where() {
    let broker = Broker::start();
    let port = broker.http.to_string();
    let mut variables = vec![
        ("LEVERET_URL", "http://127.0.0.1:1"),
        ("RABBITMQADMIN_TARGET_HOST", "127.0.0.1"),
        ("RABBITMQADMIN_TARGET_PORT", &port),
        ("RABBITMQADMIN_API_PATH_PREFIX", "/api"),
        ("RABBITMQADMIN_USERNAME", "guest"),
        ("RABBITMQADMIN_PASSWORD", "guest"),
    ];
    let line = "rabbitmqadmin --timeout 30 -f bash list vhosts name";
    assert_eq!(broker.run_with(line, "", &variables).stdout, "/\n");
    variables.push(("RABBITMQADMIN_PASSWORD", "wrong"));
    assert_eq!(broker.run_with(line, "", &variables).code, 1);
}

#[test]
fn many_objects_are_deleted_and_changed_at_once() {
    let broker = Broker::start();
    for name in ["a1", "a2", "b1"] {
        broker.ok(&format!("rabbitmqadmin declare queue name={name}"));
        let policy = format!(
            "rabbitmqadmin policies declare --name {name} --pattern ^{name} --definition '{{\"max-length\":1}}'"
        );
        broker.ok(&policy);
    }
    let names = |broker: &Broker| broker.ok("rabbitmqadmin -f bash list queues name");
    let delete = "rabbitmqadmin queues delete_multiple --name-pattern ^a";
    // Nobody deletes by a slip.
    let (code, text) = broker.fails(delete);
    assert_eq!((code, text.contains("--approve")), (1, true), "{text}");
    assert_eq!(broker.ok(&format!("{delete} --dry-run -f bash")), "a1 a2\n");
    assert_eq!(names(&broker), "a1 a2 b1\n");
    assert_eq!(broker.ok(&format!("{delete} --approve")), "2 queues deleted\n");
    assert_eq!(names(&broker), "b1\n");
    broker.ok("rabbitmqadmin declare vhost name=v1");
    let vhosts = "rabbitmqadmin vhosts delete_multiple --name-pattern .* --non-interactive";
    broker.ok(vhosts);
    assert_eq!(broker.ok("rabbitmqadmin -f bash list vhosts name"), "/\n");

    let set = "rabbitmqadmin policies update_definitions_of_all_in --definition-key max-length --new-value 7";
    assert_eq!(broker.ok(set), "3 policies changed\n");
    broker.ok("rabbitmqadmin policies patch --name a1 --definition '{\"expires\":5000}'");
    let remove =
        "rabbitmqadmin policies delete_definition_keys_from_all --definition-keys max-length";
    assert_eq!(broker.ok(remove), "1 policies changed\n");
    let left = broker.json("leveret policy list");
    let of = |name: &str| {
        let mut policies = left.as_array().unwrap().iter();
        policies.find(|it| it["name"] == name).unwrap()["definition"].clone()
    };
    assert_eq!(of("a1"), serde_json::json!({"expires": 5000}));
    assert_eq!(of("b1"), serde_json::json!({"max-length": 7}));
    let (_, text) = broker.fails("rabbitmqadmin policies declare_blanket --name p");
    assert!(text.contains("policies declare_blanket is not understood here"), "{text}");
}
