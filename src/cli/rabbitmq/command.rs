//! Which commands RabbitMQ's tools have, and what they take. One table for `rabbitmqctl`, `rabbitmq-diagnostics` and
//! `rabbitmq-queues`: the tools share most of them.

use std::ops::RangeInclusive;

use super::call::Call;
use super::failure::Failure;
use super::{
    Tool, connections, definitions, diagnostics, lists, node, parameters, permissions, policies,
    queues, settings, status, users, vhosts, wait,
};

/// A command of RabbitMQ's tools.
#[derive(Debug)]
pub(super) struct Command {
    /// Its name.
    pub(super) name: &'static str,
    /// What stands behind the name in a usage line.
    pub(super) words: &'static str,
    /// How many words it takes.
    pub(super) arity: RangeInclusive<usize>,
    /// Options that only some commands have; those with `=` take a value.
    pub(super) options: &'static [&'static str],
    /// Does it.
    pub(super) run: Run,
}

/// What a command does.
pub(super) type Run = fn(&mut Call<'_>) -> Result<(), Failure>;

/// Any number of words.
const ANY: usize = usize::MAX;

impl Command {
    const fn new(
        name: &'static str,
        words: &'static str,
        arity: RangeInclusive<usize>,
        options: &'static [&'static str],
        run: Run,
    ) -> Self {
        Self { name, words, arity, options, run }
    }

    /// How it is used.
    pub(super) fn usage(&self, tool: Tool) -> String {
        let line = format!(
            "{} [--node <node>] [--longnames] [--quiet] {} {}",
            tool.name(),
            self.name,
            self.words
        );
        line.trim_end().to_owned()
    }
}

const VHOST: &str = "[--vhost <vhost>]";
const LISTING: &[&str] = &["online", "offline", "local"];

/// All commands, by name.
static COMMANDS: &[Command] = &[
    Command::new("add_member", "", 0..=ANY, &[], node::not_here),
    Command::new("add_user", "<username> <password>", 1..=2, &["pre-hashed-password"], users::add),
    Command::new(
        "add_vhost",
        "<vhost> [--description <description>] [--tags \"<tag1>,<tag2>,<...>\"] \
         [--default-queue-type <quorum|classic|stream>]",
        1..=1,
        &["description=", "tags=", "default-queue-type="],
        vhosts::add,
    ),
    Command::new("alarms", "", 0..=0, &[], diagnostics::alarms),
    Command::new("authenticate_user", "<username> <password>", 1..=2, &[], users::authenticate),
    Command::new("autocomplete", "[string]", 0..=1, &[], node::autocomplete),
    Command::new("await_online_nodes", "<count>", 1..=1, &[], wait::await_online_nodes),
    Command::new("await_startup", "", 0..=0, &[], wait::await_startup),
    Command::new("cancel_sync_queue", "", 0..=ANY, &[], node::not_here),
    Command::new("certificates", "", 0..=0, &[], diagnostics::certificates),
    Command::new("change_cluster_node_type", "", 0..=ANY, &[], node::not_here),
    Command::new("change_password", "<username> <password>", 1..=2, &[], users::change_password),
    Command::new("check_alarms", "", 0..=0, &[], diagnostics::check_alarms),
    Command::new(
        "check_certificate_expiration",
        "--within <period> --unit <unit>",
        0..=0,
        &["within=", "unit="],
        diagnostics::check_certificate_expiration,
    ),
    Command::new(
        "check_if_any_deprecated_features_are_used",
        "",
        0..=0,
        &[],
        diagnostics::check_deprecated_features,
    ),
    Command::new(
        "check_if_metadata_store_is_initialized",
        "",
        0..=0,
        &[],
        diagnostics::check_running,
    ),
    Command::new(
        "check_if_node_is_mirror_sync_critical",
        "",
        0..=0,
        &[],
        diagnostics::check_quorum_critical,
    ),
    Command::new(
        "check_if_node_is_quorum_critical",
        "",
        0..=0,
        &[],
        diagnostics::check_quorum_critical,
    ),
    Command::new("check_local_alarms", "", 0..=0, &[], diagnostics::check_local_alarms),
    Command::new(
        "check_port_connectivity",
        "[--address <ip>]",
        0..=0,
        &["address="],
        diagnostics::check_port_connectivity,
    ),
    Command::new("check_port_listener", "<port>", 1..=1, &[], diagnostics::check_port_listener),
    Command::new(
        "check_protocol_listener",
        "<protocol>",
        1..=1,
        &[],
        diagnostics::check_protocol_listener,
    ),
    Command::new("check_running", "", 0..=0, &[], diagnostics::check_running),
    Command::new("check_virtual_hosts", "", 0..=0, &[], diagnostics::check_virtual_hosts),
    Command::new("cipher_suites", "", 0..=0, &["format=", "all"], node::cipher_suites),
    Command::new("clear_global_parameter", "<name>", 1..=1, &[], parameters::clear_global),
    Command::new(
        "clear_operator_policy",
        "[--vhost <vhost>] <name>",
        1..=1,
        &[],
        policies::clear_operator,
    ),
    Command::new(
        "clear_parameter",
        "[--vhost <vhost>] <component_name> <name>",
        2..=2,
        &[],
        parameters::clear,
    ),
    Command::new("clear_password", "<username>", 1..=1, &[], users::clear_password),
    Command::new(
        "clear_permissions",
        "[--vhost <vhost>] <username>",
        1..=1,
        &[],
        permissions::clear,
    ),
    Command::new("clear_policy", "[--vhost <vhost>] <name>", 1..=1, &[], policies::clear),
    Command::new(
        "clear_topic_permissions",
        "[--vhost <vhost>] <username> [<exchange>]",
        1..=2,
        &[],
        permissions::clear_topic,
    ),
    Command::new(
        "clear_user_limits",
        "username <limit_type> | all",
        2..=2,
        &[],
        users::clear_limits,
    ),
    Command::new("clear_vhost_limits", VHOST, 0..=0, &[], vhosts::clear_limits),
    Command::new(
        "close_all_connections",
        "[--vhost <vhost> --limit <limit>] [-n <node> --global] [--per-connection-delay <delay>] \
         <explanation>",
        1..=1,
        &["limit=", "global", "per-connection-delay="],
        connections::close_all,
    ),
    Command::new(
        "close_all_user_connections",
        "<username> <explanation>",
        2..=2,
        &[],
        connections::close_all_of_user,
    ),
    Command::new(
        "close_connection",
        "<connectionpid> <explanation>",
        2..=2,
        &[],
        connections::close,
    ),
    Command::new("cluster_status", "", 0..=0, &[], status::cluster_status),
    Command::new("command_line_arguments", "", 0..=ANY, &[], node::not_here),
    Command::new("consume_event_stream", "", 0..=ANY, &["duration=", "pattern="], node::not_here),
    Command::new("decode", "", 0..=ANY, &[], node::not_here),
    Command::new("delete_member", "", 0..=ANY, &[], node::not_here),
    Command::new(
        "delete_queue",
        "[--vhost <vhost>] <queue_name> [--if-empty|-e] [--if-unused|-u]",
        1..=1,
        &["if-empty", "e", "if-unused", "u"],
        queues::delete,
    ),
    Command::new("delete_user", "<username>", 1..=1, &[], users::delete),
    Command::new("delete_vhost", "<vhost>", 1..=1, &[], vhosts::delete),
    Command::new(
        "disable_vhost_deletion_protection",
        "<vhost>",
        1..=1,
        &[],
        vhosts::disable_deletion_protection,
    ),
    Command::new(
        "enable_feature_flag",
        "[--force] <all | feature_flag>",
        1..=1,
        &["force", "experimental", "opt-in"],
        node::enable_feature_flag,
    ),
    Command::new(
        "enable_vhost_deletion_protection",
        "<vhost>",
        1..=1,
        &[],
        vhosts::enable_deletion_protection,
    ),
    Command::new("encode", "", 0..=ANY, &[], node::not_here),
    Command::new("environment", "", 0..=0, &[], settings::environment),
    Command::new("erlang_version", "", 0..=0, &["details", "offline"], node::erlang_version),
    Command::new("eval", "<expression>", 0..=ANY, &[], node::not_here),
    Command::new("eval_file", "", 0..=ANY, &[], node::not_here),
    Command::new("exec", "", 0..=ANY, &["offline"], node::not_here),
    Command::new(
        "export_definitions",
        "<file_path | \"-\"> [--format <json | erlang>]",
        1..=1,
        &["format="],
        definitions::export,
    ),
    Command::new("force_boot", "", 0..=0, &[], node::not_here),
    Command::new("force_gc", "", 0..=0, &[], node::force_gc),
    Command::new("force_reset", "", 0..=0, &[], node::not_here),
    Command::new("forget_cluster_node", "", 0..=ANY, &[], node::not_here),
    Command::new("grow", "", 0..=ANY, &[], node::not_here),
    Command::new("hash_password", "[<cleartext_password>]", 0..=1, &[], users::hash_password),
    Command::new("help", "[<command>]", 0..=1, &["list-commands", "help"], node::help),
    Command::new(
        "import_definitions",
        "<file_path | \"-\"> [--format <json | erlang>] [--skip-if-unchanged]",
        0..=1,
        &["format=", "skip-if-unchanged"],
        definitions::import,
    ),
    Command::new("is_booting", "", 0..=0, &[], diagnostics::is_booting),
    Command::new("is_running", "", 0..=0, &[], diagnostics::is_running),
    Command::new(
        "join_cluster",
        "<existing_cluster_member_node>",
        1..=1,
        &["ram", "disc"],
        node::not_here,
    ),
    Command::new(
        "list_bindings",
        "[--vhost <vhost>] [<column> ...]",
        0..=ANY,
        &[],
        lists::bindings,
    ),
    Command::new("list_channels", "[<column> ...]", 0..=ANY, &[], lists::channels),
    Command::new("list_ciphers", "", 0..=ANY, &[], node::not_here),
    Command::new("list_connections", "[<column> ...]", 0..=ANY, &[], lists::connections),
    Command::new(
        "list_consumers",
        "[--vhost <vhost>] [<column> ...]",
        0..=ANY,
        &[],
        lists::consumers,
    ),
    Command::new(
        "list_deprecated_features",
        "",
        0..=ANY,
        &["used"],
        node::list_deprecated_features,
    ),
    Command::new(
        "list_exchanges",
        "[--vhost <vhost>] [<column> ...]",
        0..=ANY,
        &[],
        lists::exchanges,
    ),
    Command::new("list_feature_flags", "[<column> ...]", 0..=ANY, &[], node::list_feature_flags),
    Command::new("list_global_parameters", "", 0..=0, &[], parameters::list_global),
    Command::new("list_hashes", "", 0..=0, &[], users::list_hashes),
    Command::new("list_operator_policies", VHOST, 0..=0, &[], policies::list_operator),
    Command::new("list_parameters", VHOST, 0..=0, &[], parameters::list),
    Command::new("list_permissions", VHOST, 0..=0, &[], permissions::list),
    Command::new("list_policies", VHOST, 0..=0, &[], policies::list),
    Command::new(
        "list_queues",
        "[--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] \
         [--timeout <timeout>]",
        0..=ANY,
        LISTING,
        lists::queues,
    ),
    Command::new("list_topic_permissions", VHOST, 0..=0, &[], permissions::list_topic),
    Command::new(
        "list_unresponsive_queues",
        VHOST,
        0..=ANY,
        &["local", "queue-timeout="],
        lists::unresponsive,
    ),
    Command::new(
        "list_user_limits",
        "[--user <username>] [--global]",
        0..=0,
        &["user=", "global"],
        users::list_limits,
    ),
    Command::new("list_user_permissions", "<username>", 1..=1, &[], permissions::list_of_user),
    Command::new(
        "list_user_topic_permissions",
        "<username>",
        1..=1,
        &[],
        permissions::list_topic_of_user,
    ),
    Command::new("list_users", "", 0..=0, &[], users::list),
    Command::new(
        "list_vhost_limits",
        "[--vhost <vhost>] [--global]",
        0..=0,
        &["global"],
        vhosts::list_limits,
    ),
    Command::new("list_vhosts", "[<column> ...]", 0..=ANY, &[], vhosts::list),
    Command::new("listeners", "", 0..=0, &[], diagnostics::listeners),
    Command::new("log_location", "", 0..=0, &["all"], node::log_location),
    Command::new("log_tail", "", 0..=ANY, &["number="], node::not_here),
    Command::new("log_tail_stream", "", 0..=ANY, &["duration="], node::not_here),
    Command::new(
        "memory_breakdown",
        "[--unit <unit>]",
        0..=0,
        &["unit="],
        diagnostics::memory_breakdown,
    ),
    Command::new("metadata_store_status", "", 0..=0, &[], diagnostics::check_running),
    Command::new("node_health_check", "", 0..=0, &[], diagnostics::node_health_check),
    Command::new("observer", "", 0..=ANY, &[], node::not_here),
    Command::new("os_env", "", 0..=0, &[], node::os_env),
    Command::new("peek", "[--vhost <vhost>] <queue> <position>", 2..=2, &[], queues::peek),
    Command::new("ping", "", 0..=0, &[], diagnostics::ping),
    Command::new("purge_queue", "[--vhost <vhost>] <queue>", 1..=1, &[], queues::purge),
    Command::new("quorum_status", "[--vhost <vhost>] <queue>", 1..=1, &[], queues::quorum_status),
    Command::new(
        "rebalance",
        "<all | classic | quorum | stream>",
        1..=1,
        &["vhost-pattern=", "queue-pattern="],
        queues::rebalance,
    ),
    Command::new("reclaim_quorum_memory", "", 0..=ANY, &[], node::not_here),
    Command::new("remote_shell", "", 0..=ANY, &[], node::not_here),
    Command::new("rename_cluster_node", "", 0..=ANY, &[], node::not_here),
    Command::new("report", "", 0..=0, &[], node::report),
    Command::new("reset", "", 0..=0, &[], node::not_here),
    Command::new("resolver_info", "", 0..=ANY, &[], node::not_here),
    Command::new("restart_vhost", VHOST, 0..=0, &[], vhosts::restart),
    Command::new("resume_listeners", "", 0..=0, &[], settings::resume_listeners),
    Command::new("rotate_logs", "", 0..=0, &[], node::rotate_logs),
    Command::new("runtime_thread_stats", "", 0..=ANY, &["sample-interval="], node::not_here),
    Command::new("server_version", "", 0..=0, &[], node::server_version),
    Command::new("set_cluster_name", "<name>", 1..=1, &[], parameters::set_cluster_name),
    Command::new(
        "set_disk_free_limit",
        "<disk_limit> | mem_relative <fraction>",
        1..=2,
        &[],
        settings::set_disk_free_limit,
    ),
    Command::new("set_global_parameter", "<name> <value>", 2..=2, &[], parameters::set_global),
    Command::new("set_log_level", "<log_level>", 1..=1, &[], settings::set_log_level),
    Command::new(
        "set_operator_policy",
        "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>",
        3..=3,
        &["priority=", "apply-to="],
        policies::set_operator,
    ),
    Command::new(
        "set_parameter",
        "[--vhost <vhost>] <component_name> <name> <value>",
        3..=3,
        &[],
        parameters::set,
    ),
    Command::new(
        "set_permissions",
        "[--vhost <vhost>] <username> <conf> <write> <read>",
        4..=4,
        &[],
        permissions::set,
    ),
    Command::new(
        "set_permissions_globally",
        "<username> <conf> <write> <read>",
        4..=4,
        &[],
        permissions::set_globally,
    ),
    Command::new(
        "set_policy",
        "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>",
        3..=3,
        &["priority=", "apply-to="],
        policies::set,
    ),
    Command::new(
        "set_topic_permissions",
        "[--vhost <vhost>] <username> <exchange> <write> <read>",
        4..=4,
        &[],
        permissions::set_topic,
    ),
    Command::new("set_user_limits", "<username> <definition>", 2..=2, &[], users::set_limits),
    Command::new("set_user_tags", "<username> <tag> [...]", 1..=ANY, &[], users::set_tags),
    Command::new(
        "set_vhost_limits",
        "[--vhost <vhost>] <definition>",
        1..=1,
        &[],
        vhosts::set_limits,
    ),
    Command::new("set_vhost_tags", "<vhost> <tag> [...]", 1..=ANY, &[], vhosts::set_tags),
    Command::new(
        "set_vm_memory_high_watermark",
        "<fraction> | absolute <value>",
        1..=2,
        &[],
        settings::set_memory_limit,
    ),
    Command::new("shrink", "", 0..=ANY, &[], node::not_here),
    Command::new("shutdown", "[--wait] [--no-wait]", 0..=0, &["wait", "no-wait"], wait::shutdown),
    Command::new("start_app", "", 0..=0, &[], wait::await_startup),
    Command::new("status", "[--unit <unit>]", 0..=0, &["unit="], status::status),
    Command::new("stop", "[<pidfile>]", 0..=1, &["idempotent"], wait::shutdown),
    Command::new("stop_app", "", 0..=0, &[], node::not_here),
    Command::new("suspend_listeners", "", 0..=0, &[], settings::suspend_listeners),
    Command::new("sync_queue", "", 0..=ANY, &[], node::not_here),
    Command::new("tls_versions", "", 0..=0, &[], node::tls_versions),
    Command::new("trace_off", VHOST, 0..=0, &[], vhosts::trace_off),
    Command::new("trace_on", VHOST, 0..=0, &[], vhosts::trace_on),
    Command::new(
        "update_vhost_metadata",
        "<vhost> [--description <description>] [--tags \"<tag1>,<tag2>,<...>\"] \
         [--default-queue-type <quorum|classic|stream>]",
        1..=1,
        &["description=", "tags=", "default-queue-type="],
        vhosts::update_metadata,
    ),
    Command::new("version", "", 0..=0, &[], node::version),
    Command::new("wait", "[<pidfile>] [--pid|-P <pid>]", 0..=1, &["pid=", "P="], wait::wait),
];

/// The command of a name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.binary_search_by(|command| command.name.cmp(name)).ok().map(|place| &COMMANDS[place])
}

/// All names that start so.
pub(super) fn starting_with(start: &str) -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|command| command.name).filter(move |name| name.starts_with(start))
}

/// The name that somebody may have meant.
pub(super) fn similar(word: &str) -> Option<&'static str> {
    let nearest = COMMANDS.iter().min_by_key(|command| distance(word, command.name))?;
    (distance(word, nearest.name) <= 2 + word.len() / 4).then_some(nearest.name)
}

/// How many letters are to be changed, added or removed.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for (column, against) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != against);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// How a tool is used, and its commands.
pub(super) fn overview(tool: Tool) -> String {
    let mut text = format!(
        "Usage\n\n{} [--node <node>] [--timeout <timeout>] [--longnames] [--quiet] <command> \
         [<command options>]\n\nAvailable commands:\n\n",
        tool.name()
    );
    for Command { name, words, .. } in COMMANDS {
        text.push_str(format!("   {name} {words}").trim_end());
        text.push('\n');
    }
    text.push_str(&format!(
        "\nUse '{} help <command>' to learn more about a specific command",
        tool.name()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        assert!(COMMANDS.iter().all(|command| find(command.name).is_some()));
    }

    #[test]
    fn a_slip_finds_what_was_meant() {
        assert_eq!(similar("list_que"), Some("list_queues"));
        assert_eq!(similar("stattus"), Some("status"));
        assert_eq!(similar("nonsense"), None);
    }
}
