//! Lists of what is in the broker: `list_queues` and others like it, with the columns that are asked for.

use super::call::Call;
use super::failure::Failure;
use super::formatter::{Column, Kind};
use crate::cli::api::ApiPath;

const QUEUES: [Column; 35] = [
    Column::plain("name"),
    Column::plain("durable"),
    Column::plain("auto_delete"),
    Column::of("arguments", Kind::Table),
    Column::plain("policy"),
    Column::plain("operator_policy"),
    Column::of("effective_policy_definition", Kind::Table),
    Column::plain("pid"),
    Column::at("owner_pid", "owner_pid_details.name"),
    Column::plain("exclusive"),
    Column::plain("exclusive_consumer_pid"),
    Column::plain("exclusive_consumer_tag"),
    Column::plain("messages_ready"),
    Column::plain("messages_unacknowledged"),
    Column::plain("messages"),
    Column::plain("messages_ready_ram"),
    Column::plain("messages_unacknowledged_ram"),
    Column::plain("messages_ram"),
    Column::plain("messages_persistent"),
    Column::plain("message_bytes"),
    Column::plain("message_bytes_ready"),
    Column::plain("message_bytes_unacknowledged"),
    Column::plain("message_bytes_ram"),
    Column::plain("message_bytes_persistent"),
    Column::plain("head_message_timestamp"),
    Column::plain("consumers"),
    Column::plain("consumer_utilisation"),
    Column::plain("consumer_capacity"),
    Column::plain("memory"),
    Column::plain("state"),
    Column::plain("type"),
    Column::plain("leader"),
    Column::plain("members"),
    Column::plain("online"),
    Column::plain("single_active_consumer_tag"),
];

const EXCHANGES: [Column; 7] = [
    Column::plain("name"),
    Column::plain("type"),
    Column::plain("durable"),
    Column::plain("auto_delete"),
    Column::plain("internal"),
    Column::of("arguments", Kind::Table),
    Column::plain("policy"),
];

const BINDINGS: [Column; 6] = [
    Column::at("source_name", "source"),
    Column::plain("source_kind"),
    Column::at("destination_name", "destination"),
    Column::at("destination_kind", "destination_type"),
    Column::plain("routing_key"),
    Column::of("arguments", Kind::Table),
];

const CONNECTIONS: [Column; 32] = [
    Column::plain("pid"),
    Column::plain("name"),
    Column::plain("port"),
    Column::plain("host"),
    Column::plain("peer_port"),
    Column::plain("peer_host"),
    Column::plain("ssl"),
    Column::plain("ssl_protocol"),
    Column::plain("ssl_key_exchange"),
    Column::plain("ssl_cipher"),
    Column::plain("ssl_hash"),
    Column::plain("peer_cert_subject"),
    Column::plain("peer_cert_issuer"),
    Column::plain("peer_cert_validity"),
    Column::plain("state"),
    Column::plain("channels"),
    Column::plain("protocol"),
    Column::plain("auth_mechanism"),
    Column::plain("user"),
    Column::plain("vhost"),
    Column::plain("timeout"),
    Column::plain("frame_max"),
    Column::plain("channel_max"),
    Column::of("client_properties", Kind::Table),
    Column::plain("connected_at"),
    Column::plain("recv_oct"),
    Column::plain("recv_cnt"),
    Column::plain("send_oct"),
    Column::plain("send_cnt"),
    Column::plain("send_pend"),
    Column::at("user_provided_name", "client_properties.connection_name"),
    Column::plain("node"),
];

const CHANNELS: [Column; 16] = [
    // There are no processes here: a channel's name says which one it is.
    Column::at("pid", "name"),
    Column::at("connection", "connection_details.name"),
    Column::plain("name"),
    Column::plain("number"),
    Column::plain("user"),
    Column::plain("vhost"),
    Column::plain("transactional"),
    Column::plain("confirm"),
    Column::plain("consumer_count"),
    Column::plain("messages_unacknowledged"),
    Column::plain("messages_uncommitted"),
    Column::plain("acks_uncommitted"),
    Column::plain("messages_unconfirmed"),
    Column::plain("prefetch_count"),
    Column::plain("global_prefetch_count"),
    Column::plain("state"),
];

const CONSUMERS: [Column; 8] = [
    Column::at("queue_name", "queue.name"),
    Column::at("channel_pid", "channel_details.name"),
    Column::plain("consumer_tag"),
    Column::plain("ack_required"),
    Column::plain("prefetch_count"),
    Column::plain("active"),
    Column::plain("activity_status"),
    Column::of("arguments", Kind::Table),
];

pub(super) fn queues(call: &mut Call<'_>) -> Result<(), Failure> {
    let columns = chosen(call, &QUEUES, &["name", "messages"])?;
    let (vhost, seconds) = (call.vhost.clone(), call.timeout.map_or(60.0, |t| t.as_secs_f64()));
    call.banner(&format!(
        "Timeout: {seconds:.1} seconds ...\nListing queues for vhost {vhost} ..."
    ))?;
    of_vhost(call, "queues", &columns)
}

/// A queue answers when its lock is free, and no lock is held for long: there are none.
pub(super) fn unresponsive(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing unresponsive queues for vhost {vhost} ..."))?;
    call.api.get(&ApiPath::of(&["queues", &vhost]))?;
    Ok(())
}

pub(super) fn exchanges(call: &mut Call<'_>) -> Result<(), Failure> {
    let columns = chosen(call, &EXCHANGES, &["name", "type"])?;
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing exchanges for vhost {vhost} ..."))?;
    of_vhost(call, "exchanges", &columns)
}

pub(super) fn bindings(call: &mut Call<'_>) -> Result<(), Failure> {
    let all = BINDINGS.map(|column| column.title);
    let columns = chosen(call, &BINDINGS, &all)?;
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing bindings for vhost {vhost}..."))?;
    let mut bindings = match call.exists(&["vhosts", &vhost])? {
        true => call.api.list(&ApiPath::of(&["bindings", &vhost]))?,
        false => Vec::new(),
    };
    for binding in &mut bindings {
        binding["source_kind"] = "exchange".into();
    }
    call.rows(&columns, &bindings)
}

pub(super) fn connections(call: &mut Call<'_>) -> Result<(), Failure> {
    let columns = chosen(call, &CONNECTIONS, &["user", "peer_host", "peer_port", "state"])?;
    call.banner("Listing connections ...")?;
    let connections = call.api.list(&ApiPath::of(&["connections"]))?;
    call.rows(&columns, &connections)
}

pub(super) fn channels(call: &mut Call<'_>) -> Result<(), Failure> {
    let default = ["pid", "user", "consumer_count", "messages_unacknowledged"];
    let columns = chosen(call, &CHANNELS, &default)?;
    call.banner("Listing channels ...")?;
    let channels = call.api.list(&ApiPath::of(&["channels"]))?;
    call.rows(&columns, &channels)
}

pub(super) fn consumers(call: &mut Call<'_>) -> Result<(), Failure> {
    let default = [
        "queue_name",
        "channel_pid",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "arguments",
    ];
    let columns = chosen(call, &CONSUMERS, &default)?;
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing consumers in vhost {vhost} ..."))?;
    of_vhost(call, "consumers", &columns)
}

/// RabbitMQ lists nothing of a vhost that is not there.
fn of_vhost(call: &mut Call<'_>, collection: &str, columns: &[Column]) -> Result<(), Failure> {
    let vhost = call.vhost.clone();
    let rows = match call.exists(&["vhosts", &vhost])? {
        true => call.api.list(&ApiPath::of(&[collection, &vhost]))?,
        false => Vec::new(),
    };
    call.rows(columns, &rows)
}

/// The columns that the words name, or else the default ones.
pub(super) fn chosen(
    call: &Call<'_>,
    known: &[Column],
    default: &[&str],
) -> Result<Vec<Column>, Failure> {
    // With spaces or commas between them.
    let named = call.words.iter().flat_map(|word| word.split([',', ' ']));
    let mut names: Vec<&str> = named.filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        names = default.to_vec();
    }
    let find = |name: &&str| known.iter().find(|column| column.title == *name).copied();
    let unknown: Vec<&str> = names.iter().filter(|name| find(name).is_none()).copied().collect();
    if unknown.is_empty() {
        return Ok(names.iter().filter_map(find).collect());
    }
    let problem = format!("Info key(s) {} are not supported", unknown.join(","));
    let given = [&[call.command.name.to_owned()], &call.words[..]].concat();
    Err(Failure::usage(&problem, &given, &call.command.usage(call.tool)))
}
