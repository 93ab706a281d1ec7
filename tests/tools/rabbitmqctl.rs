//! `rabbitmqctl` and its companions by their names; output and exit codes are those of RabbitMQ 3.10.

use crate::support::{Broker, Ended};

/// Runs each line and compares all of what it prints, and its exit code.
fn check(broker: &Broker, lines: &[(&str, &str, i32)]) {
    for (line, output, code) in lines {
        let Ended { code: found, stdout, stderr } = broker.run(line);
        assert_eq!((&*format!("{stdout}{stderr}"), found), (*output, *code), "{line}");
    }
}

#[test]
fn users_and_permissions() {
    let broker = Broker::start_with_data();
    check(
        &broker,
        &[
            (
                "rabbitmqctl add_user joe secret",
                "Adding user \"joe\" ...\nDone. Don't forget to grant the user permissions to some virtual \
                 hosts! See 'rabbitmqctl help set_permissions' to learn more.\n",
                0,
            ),
            (
                "rabbitmqctl add_user joe secret",
                "Adding user \"joe\" ...\nError:\nUser \"joe\" already exists\n",
                70,
            ),
            (
                "rabbitmqctl set_user_tags joe monitoring management",
                "Setting tags for user \"joe\" to [monitoring, management] ...\n",
                0,
            ),
            (
                "rabbitmqctl list_users",
                "Listing users ...\nuser\ttags\nguest\t[administrator]\njoe\t[monitoring, management]\n",
                0,
            ),
            (
                "rabbitmqctl -s list_users",
                "guest\t[administrator]\njoe\t[monitoring, management]\n",
                0,
            ),
            (
                "rabbitmqctl list_users --formatter json",
                "[\n{\"user\":\"guest\",\"tags\":[\"administrator\"]}\n\
                 ,{\"user\":\"joe\",\"tags\":[\"monitoring\",\"management\"]}\n]\n",
                0,
            ),
            (
                "rabbitmqctl set_permissions -p / joe ^a .* ''",
                "Setting permissions for user \"joe\" in vhost \"/\" ...\n",
                0,
            ),
            (
                "rabbitmqctl set_permissions -p nope joe ^a .* ''",
                "Setting permissions for user \"joe\" in vhost \"nope\" ...\nError:\nVirtual host nope does \
                 not exist\n",
                69,
            ),
            (
                "rabbitmqctl set_permissions nobody ^a .* ''",
                "Setting permissions for user \"nobody\" in vhost \"/\" ...\nError:\nUser nobody does not \
                 exist\n",
                67,
            ),
            (
                "rabbitmqctl list_user_permissions joe",
                "Listing permissions for user \"joe\" ...\nvhost\tconfigure\twrite\tread\n/\t^a\t.*\t\n",
                0,
            ),
            (
                "rabbitmqctl authenticate_user joe secret",
                "Authenticating user \"joe\" ...\nSuccess\n",
                0,
            ),
            (
                "rabbitmqctl authenticate_user joe wrong",
                "Authenticating user \"joe\" ...\nError:\nError: failed to authenticate user \"joe\"\nuser \
                 'joe' - invalid credentials\n",
                65,
            ),
            ("rabbitmqctl -q change_password joe new", "", 0),
            ("rabbitmqctl -q authenticate_user joe new", "Success\n", 0),
            ("rabbitmqctl delete_user joe", "Deleting user \"joe\" ...\n", 0),
            (
                "rabbitmqctl delete_user joe",
                "Deleting user \"joe\" ...\nError:\nUser \"joe\" does not exist\n",
                67,
            ),
        ],
    );
}

#[test]
fn vhosts_limits_policies_and_parameters() {
    let broker = Broker::start_with_data();
    check(
        &broker,
        &[
            ("rabbitmqctl add_vhost v1", "Adding vhost \"v1\" ...\n", 0),
            ("rabbitmqctl -q list_vhosts", "name\n/\nv1\n", 0),
            ("rabbitmqctl -q set_vhost_limits -p v1 '{\"max-connections\":3}'", "", 0),
            (
                "rabbitmqctl list_vhost_limits -p v1",
                "Listing limits for vhost \"v1\" ...\n{\"max-connections\":3}\n",
                0,
            ),
            (
                "rabbitmqctl set_policy p1 ^q '{\"max-length\":10}' --priority 3 --apply-to queues",
                "Setting policy \"p1\" for pattern \"^q\" to \"{\"max-length\":10}\" with priority \"3\" for \
                 vhost \"/\" ...\n",
                0,
            ),
            (
                "rabbitmqctl list_policies",
                "Listing policies for vhost \"/\" ...\nvhost\tname\tpattern\tapply-to\tdefinition\tpriority\n\
                 /\tp1\t^q\tqueues\t{\"max-length\":10}\t3\n",
                0,
            ),
            ("rabbitmqctl clear_policy p1", "Clearing policy \"p1\" on vhost \"/\" ...\n", 0),
            (
                "rabbitmqctl clear_policy p1",
                "Clearing policy \"p1\" on vhost \"/\" ...\nError:\nParameter does not exist\n",
                69,
            ),
            ("rabbitmqctl -q set_global_parameter a '{\"b\":1}'", "", 0),
            ("rabbitmqctl -q clear_global_parameter a", "", 0),
            (
                "rabbitmqctl trace_on",
                "Starting tracing for vhost \"/\" ...\nTrace enabled for vhost /\n",
                0,
            ),
            ("rabbitmqctl -q trace_off", "Trace disabled for vhost /\n", 0),
            ("rabbitmqctl delete_vhost v1", "Deleting vhost \"v1\" ...\n", 0),
            (
                "rabbitmqctl delete_vhost v1",
                "Deleting vhost \"v1\" ...\nVirtual host 'v1' does not exist\n",
                65,
            ),
        ],
    );
}

#[test]
fn queues_exchanges_and_bindings() {
    let broker = Broker::start_with_data();
    broker.ok("rabbitmqadmin declare queue name=q 'arguments={\"x-max-length\":10}'");
    broker.ok("rabbitmqadmin declare exchange name=x type=topic");
    broker.ok("rabbitmqadmin declare binding source=x destination=q routing_key=a.#");
    broker.ok("rabbitmqadmin publish routing_key=q payload=hello");
    check(
        &broker,
        &[
            (
                "rabbitmqctl list_queues",
                "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\nname\tmessages\nq\t1\n",
                0,
            ),
            ("rabbitmqctl list_queues --vhost / -q name messages", "name\tmessages\nq\t1\n", 0),
            (
                "rabbitmqctl -s list_queues name durable arguments type consumers",
                "q\ttrue\t[{\"x-max-length\",10}]\tclassic\t0\n",
                0,
            ),
            (
                "rabbitmqctl list_queues --formatter json name messages arguments",
                "[\n{\"name\":\"q\",\"messages\":1,\"arguments\":[[\"x-max-length\",\"long\",10]]}\n]\n",
                0,
            ),
            (
                "rabbitmqctl -q list_bindings",
                "source_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments\n\
                 \texchange\tq\tqueue\tq\t[]\nx\texchange\tq\tqueue\ta.#\t[]\n",
                0,
            ),
            ("rabbitmqctl -q list_connections", "", 0),
            (
                "rabbitmqctl purge_queue nope",
                "Purging queue 'nope' in vhost '/' ...\nError:\nnot_found\n",
                69,
            ),
            ("rabbitmqctl purge_queue q", "Purging queue 'q' in vhost '/' ...\n", 0),
            (
                "rabbitmqctl delete_queue q --if-empty",
                "Deleting queue 'q' on vhost '/' if queue is empty ...\nQueue was successfully deleted with 0 \
                 ready messages\n",
                0,
            ),
            (
                "rabbitmqctl delete_queue q",
                "Deleting queue 'q' on vhost '/' ...\nError:\nQueue not found\n",
                64,
            ),
        ],
    );
    let wrong = broker.fails("rabbitmqctl list_queues nonsense");
    assert_eq!(wrong.0, 64);
    assert!(
        wrong
            .1
            .starts_with("Error (argument validation): Info key(s) nonsense are not supported\n")
    );
    assert!(broker.ok("rabbitmqctl -q list_exchanges name type").contains("\namq.topic\ttopic\n"));
}

#[test]
fn definitions_pass_through_files() {
    let (from, to) = (Broker::start_with_data(), Broker::start_with_data());
    from.ok("rabbitmqadmin declare queue name=q");
    let file = from.dir().file("d.json");
    assert_eq!(
        from.ok(&format!("rabbitmqctl export_definitions {file}")),
        format!("Exporting definitions in JSON to a file at \"{file}\" ...\n")
    );
    assert!(from.ok("rabbitmqctl export_definitions -").starts_with('{'));
    to.ok(&format!("rabbitmqctl import_definitions {file}"));
    assert_eq!(to.ok("rabbitmqctl -s list_queues name"), "q\n");
    assert_eq!(to.fails("rabbitmqctl import_definitions nowhere.json").0, 65);
}

#[test]
fn plugins_are_enabled_in_their_file() {
    let broker = Broker::start_with_data();
    let file = broker.dir().file("enabled_plugins");
    let run = |line: &str| broker.run_with(line, "", &[("RABBITMQ_ENABLED_PLUGINS_FILE", &file)]);
    let enabled = run(
        "rabbitmq-plugins enable --offline rabbitmq_management rabbitmq_delayed_message_exchange",
    );
    assert_eq!((enabled.code, &*enabled.stderr), (0, ""));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        text,
        "[rabbitmq_delayed_message_exchange,rabbitmq_management,rabbitmq_prometheus].\n"
    );
    let asked = run("rabbitmq-plugins is_enabled rabbitmq_management");
    assert_eq!(
        asked.stdout,
        "Asking node rabbit@test if plugin rabbitmq_management is enabled...\n\
         Plugin rabbitmq_management is enabled on node rabbit@test\n"
    );
    // It is not there, and whoever asks for it is told; he is not stopped.
    let shovel = run("rabbitmq-plugins enable rabbitmq_mqtt");
    assert_eq!(
        (shovel.code, &*shovel.stderr),
        (0, "leveret has no rabbitmq_mqtt: what it does is not there\n")
    );
}

#[test]
fn what_leveret_has_nothing_for_is_said() {
    let broker = Broker::start_with_data();
    for line in
        ["rabbitmqctl eval 1+1.", "rabbitmqctl join_cluster rabbit@other", "rabbitmqctl reset"]
    {
        let (code, text) = broker.fails(line);
        assert_eq!(
            (code, text.starts_with("Error:\nleveret has nothing for '")),
            (69, true),
            "{text}"
        );
    }
    assert_eq!(broker.fails("rabbitmqctl frobnicate").0, 64);
    assert_eq!(broker.fails("rabbitmqctl").0, 64);
    assert!(broker.ok("rabbitmqctl help").contains("list_queues"));
    // Scripts compare it with the server's.
    let of_server = broker.ok("rabbitmq-diagnostics -q server_version");
    for tool in ["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues", "rabbitmq-plugins"] {
        assert_eq!(broker.ok(&format!("{tool} version")), of_server);
    }
}

/// Goal: what RabbitMQ's tools change in a broker that runs changes here, in its words.
#[test]
fn limits_and_the_level_of_the_log_change_while_it_runs() {
    let broker = Broker::start_with_data();
    for (line, said) in [
        ("set_log_level debug", "Setting log level to \"debug\" ...\n"),
        (
            "set_vm_memory_high_watermark absolute 2GB",
            "Setting memory threshold on rabbit@test to 2GB bytes ...\n",
        ),
        ("set_disk_free_limit 1GB", "Setting disk free limit on rabbit@test to 1GB bytes ...\n"),
    ] {
        assert_eq!(broker.ok(&format!("rabbitmqctl {line}")), said);
    }
    let shown = broker.ok("rabbitmqctl -q environment");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let expected = serde_json::json!({ "accepting": true, "disk_free_limit": 1_000_000_000_u64,
        "log_level": "debug", "memory_high_watermark": 2_000_000_000_u64 });
    assert_eq!(shown["leveret"], expected);
    broker.ok("rabbitmqctl set_vm_memory_high_watermark 0.5");
    broker.ok("rabbitmqctl set_disk_free_limit mem_relative 0.01");

    let (code, text) = broker.fails("rabbitmqctl set_log_level nonsense");
    let levels = "debug, info, warning, error, critical, none";
    let said = format!("Error:\nlevel nonsense is not supported. Try one of {levels}\n");
    assert_eq!((code, text), (69, said));
    for line in [
        "set_vm_memory_high_watermark 3",
        "set_vm_memory_high_watermark x",
        "set_disk_free_limit x",
    ] {
        let (code, text) = broker.fails(&format!("rabbitmqctl {line}"));
        let begins = text.starts_with("Error (argument validation): Bad argument");
        assert_eq!((code, begins), (65, true), "{text}");
    }
}

/// Goal: while listeners are suspended nobody can connect, who is connected stays, and the same port is open again.
#[test]
fn listeners_are_suspended_and_resumed() {
    let broker = Broker::start_with_data();
    let connects = || std::net::TcpStream::connect(("127.0.0.1", broker.amqp)).is_ok();
    assert!(connects());
    broker.ok("rabbitmqctl suspend_listeners");
    until(|| !connects());
    let said = "Will resume client connection listeners on node rabbit@test. The node will now accept \
                client connections\n";
    assert_eq!(broker.ok("rabbitmqctl resume_listeners"), said);
    until(connects);
}

/// Asks again until it is so, for ten seconds at most.
#[expect(clippy::disallowed_methods, reason = "a deadline of the test's own")]
fn until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed().as_secs() < 10, "it is not so after ten seconds");
        std::thread::yield_now();
    }
}

/// Goal: what RabbitMQ 3.10.8 prints, and ends with, where what is to be listed is nobody's.
#[test]
fn lists_of_who_is_not_there_fail_as_rabbitmqs() {
    let broker = Broker::start();
    for list in ["permissions", "topic_permissions", "vhost_limits", "policies", "parameters"] {
        let (code, text) = broker.fails(&format!("rabbitmqctl -q list_{list} -p none"));
        assert_eq!((code, &*text), (65, "Virtual host 'none' does not exist\n"), "{list}");
    }
    for list in [
        "list_user_permissions nobody",
        "list_user_topic_permissions nobody",
        "list_user_limits --user nobody",
    ] {
        let (code, text) = broker.fails(&format!("rabbitmqctl -q {list}"));
        assert_eq!((code, &*text), (69, "Error:\n{:no_such_user, \"nobody\"}\n"), "{list}");
    }
    for list in ["queues", "exchanges", "bindings"] {
        assert_eq!(broker.ok(&format!("rabbitmqctl -q list_{list} -p none")), "", "{list}");
    }
}
