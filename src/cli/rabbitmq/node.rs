//! The node: versions, environment, feature flags, and what leveret has nothing for.

use serde_json::Value;

use super::call::Call;
use super::command;
use super::failure::Failure;
use super::formatter::Column;
use super::lists::{self, chosen};
use super::{parameters, permissions, policies, settings, status};
use crate::cli::api::ApiPath;
use crate::cli::output::field;
use crate::protocol::handshake::RABBITMQ_VERSION;

const FLAGS: [Column; 5] = [
    Column::plain("name"),
    Column::plain("state"),
    Column::plain("stability"),
    Column::plain("provided_by"),
    Column::plain("desc"),
];

const DEPRECATED: [Column; 4] = [
    Column::plain("name"),
    Column::plain("deprecation_phase"),
    Column::plain("provided_by"),
    Column::plain("desc"),
];

/// RabbitMQ's whose behaviour the tools have: scripts switch on it. leveret's own is what `leveret --version` tells.
pub(super) fn version(call: &mut Call<'_>) -> Result<(), Failure> {
    call.line(RABBITMQ_VERSION)
}

pub(super) fn server_version(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} for its RabbitMQ version..."))?;
    let overview = call.api.get(&ApiPath::of(&["overview"]))?;
    call.result(field(&overview, "rabbitmq_version").as_str().unwrap_or_default())
}

pub(super) fn erlang_version(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Asking node {node} for its Erlang/OTP version..."))?;
    let overview = call.api.get(&ApiPath::of(&["overview"]))?;
    let version = field(&overview, "erlang_version").as_str().unwrap_or_default();
    call.result(&format!("Erlang/OTP {version}"))
}

pub(super) fn autocomplete(call: &mut Call<'_>) -> Result<(), Failure> {
    let start = call.word(0);
    command::starting_with(&start).try_for_each(|name| call.line(name))
}

pub(super) fn help(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.has("list-commands") {
        return command::starting_with("").try_for_each(|name| call.line(name));
    }
    let tool = call.tool;
    match call.words.first().map(|name| command::find(name)) {
        None => call.line(&format!("\n{}", command::overview(tool))),
        Some(Some(command)) => call.line(&format!("\nUsage\n\n{}", command.usage(tool))),
        Some(None) => {
            let problem = format!("\nCommand '{}' not found. \n", call.word(0));
            Err(Failure::bare(crate::cli::EXIT_USAGE, &problem))
        }
    }
}

/// The environment of this process: a container's tools have the broker's.
pub(super) fn os_env(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!(
        "Listing RabbitMQ-specific environment variables defined on node {node}..."
    ))?;
    let is_secret = |name: &str| name.contains("PASS") || name.contains("COOKIE");
    let ours = call.environment.iter().filter(|(name, _)| {
        (name.starts_with("RABBITMQ_") || name.starts_with("LEVERET_")) && !is_secret(name)
    });
    let lines: Vec<String> =
        ours.map(|(name, value)| format!("{name}={}", value.to_string_lossy())).collect();
    lines.iter().try_for_each(|line| call.line(line))
}

pub(super) fn list_feature_flags(call: &mut Call<'_>) -> Result<(), Failure> {
    let columns = chosen(call, &FLAGS, &["name", "state"])?;
    call.banner("Listing feature flags ...")?;
    let flags = call.api.list(&ApiPath::of(&["feature-flags"]))?;
    call.rows(&columns, &flags)
}

/// All that there are, are on.
pub(super) fn enable_feature_flag(call: &mut Call<'_>) -> Result<(), Failure> {
    let flag = call.word(0);
    if flag == "all" {
        return call.banner("Enabling all feature flags ...");
    }
    call.banner(&format!("Enabling feature flag: {flag} ..."))?;
    let flags = call.api.list(&ApiPath::of(&["feature-flags"]))?;
    if flags.iter().any(|known| field(known, "name") == flag.as_str()) {
        return Ok(());
    }
    Err(Failure::unavailable(&format!("The feature flag \"{flag}\" is not supported")))
}

pub(super) fn list_deprecated_features(call: &mut Call<'_>) -> Result<(), Failure> {
    let columns = chosen(call, &DEPRECATED, &["name", "deprecation_phase"])?;
    call.banner("Listing deprecated features ...")?;
    let path = match call.has("used") {
        true => ApiPath::of(&["deprecated-features", "used"]),
        false => ApiPath::of(&["deprecated-features"]),
    };
    let features: Vec<Value> = call.api.list(&path)?;
    call.rows(&columns, &features)
}

/// What leveret can agree on, by the names that OpenSSL has for them.
const CIPHER_SUITES: [&str; 9] = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

pub(super) fn cipher_suites(call: &mut Call<'_>) -> Result<(), Failure> {
    call.banner("Listing available cipher suites in OpenSSL format")?;
    CIPHER_SUITES.iter().try_for_each(|suite| call.line(suite))
}

pub(super) fn tls_versions(call: &mut Call<'_>) -> Result<(), Failure> {
    call.banner("Listing all TLS versions supported by the runtime...")?;
    ["tlsv1.3", "tlsv1.2"].iter().try_for_each(|version| call.line(version))
}

/// The log is on standard output, which RabbitMQ writes so.
pub(super) fn log_location(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Log file location(s) on node {node} ..."))?;
    call.line("<stdout>")
}

/// What somebody who helps asks for first.
pub(super) fn report(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Reporting server status of node {node} ...\n"))?;
    for part in [
        status::status,
        status::cluster_status,
        lists::connections,
        lists::channels,
        lists::queues,
        lists::exchanges,
        lists::bindings,
        permissions::list,
        policies::list,
        parameters::list_global,
        parameters::list,
        settings::environment,
    ] {
        part(call)?;
        call.line("")?;
    }
    Ok(())
}

/// There is no garbage to collect.
pub(super) fn force_gc(call: &mut Call<'_>) -> Result<(), Failure> {
    let node = call.node.clone();
    call.banner(&format!("Will ask all processes on node {node} to schedule a full sweep GC"))
}

pub(super) fn rotate_logs(_call: &mut Call<'_>) -> Result<(), Failure> {
    Err(Failure::unavailable("This command does not rotate logs anymore [deprecated]"))
}

/// What RabbitMQ does, and leveret does not.
pub(super) fn not_here(call: &mut Call<'_>) -> Result<(), Failure> {
    let name = call.command.name;
    let instead = match name {
        "reset" | "force_reset" => "stop it and remove its data directory",
        "stop_app" => "stop it, or use suspend_listeners",
        "join_cluster"
        | "force_boot"
        | "forget_cluster_node"
        | "rename_cluster_node"
        | "change_cluster_node_type"
        | "add_member"
        | "delete_member"
        | "grow"
        | "shrink"
        | "sync_queue"
        | "cancel_sync_queue" => "it is a single node",
        "log_tail" | "log_tail_stream" => "the log is on its standard output",
        "consume_event_stream" => "events are messages of the exchange 'amq.rabbitmq.event'",
        "encode" | "decode" => "secrets are kept in files that only it can read",
        _ => "see 'leveret --help' for what it can do",
    };
    Err(Failure::not_here(name, instead))
}
