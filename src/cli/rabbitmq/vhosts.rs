//! Vhosts: `add_vhost` and what follows from it.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::failure::Failure;
use super::formatter::{Column, Kind};
use super::lists::chosen;
use super::users::clear;
use crate::cli::EXIT_DATA;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::field;

const COLUMNS: [Column; 7] = [
    Column::plain("name"),
    Column::plain("tracing"),
    Column::plain("cluster_state"),
    Column::plain("description"),
    Column::of("tags", Kind::Atoms),
    Column::plain("default_queue_type"),
    Column::plain("protected_from_deletion"),
];

pub(super) fn add(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.word(0);
    call.banner(&format!("Adding vhost \"{vhost}\" ..."))?;
    put(call, &vhost)
}

pub(super) fn update_metadata(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.word(0);
    call.banner(&format!("Updating metadata of vhost \"{vhost}\" ..."))?;
    call.check_vhost(&vhost)?;
    put(call, &vhost)
}

fn put(call: &Call<'_>, vhost: &str) -> Result<(), Failure> {
    let mut body = Map::new();
    for (option, key) in [
        ("description", "description"),
        ("tags", "tags"),
        ("default-queue-type", "default_queue_type"),
    ] {
        if let Some(value) = call.option(option) {
            body.insert(key.to_owned(), value.into());
        }
    }
    Ok(call.api.put(&ApiPath::of(&["vhosts", vhost]), &body.into())?)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.word(0);
    call.banner(&format!("Deleting vhost \"{vhost}\" ..."))?;
    match call.api.delete(&ApiPath::of(&["vhosts", &vhost])) {
        Err(ApiError::NotFound { .. }) => {
            Err(Failure::bare(EXIT_DATA, &format!("Virtual host '{vhost}' does not exist")))
        }
        other => Ok(other?),
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    let columns = chosen(call, &COLUMNS, &["name"])?;
    call.banner("Listing vhosts ...")?;
    let vhosts = call.api.list(&ApiPath::of(&["vhosts"]))?;
    call.rows(&columns, &vhosts)
}

pub(super) fn set_tags(call: &mut Call<'_>) -> Result<(), Failure> {
    let (vhost, tags) = (call.word(0), call.words[1..].to_vec());
    let listed = tags.join(", ");
    call.banner(&format!("Setting tags for virtual host \"{vhost}\" to [{listed}] ..."))?;
    call.check_vhost(&vhost)?;
    let body = json!({ "tags": tags.join(",") });
    Ok(call.api.put(&ApiPath::of(&["vhosts", &vhost]), &body)?)
}

pub(super) fn set_limits(call: &mut Call<'_>) -> Result<(), Failure> {
    let (vhost, text) = (call.vhost.clone(), call.word(0));
    call.banner(&format!("Setting vhost limits to \"{text}\" for vhost \"{vhost}\" ..."))?;
    let limits = call.json_object(0)?;
    call.check_vhost(&vhost)?;
    for (name, value) in limits {
        let path = ApiPath::of(&["vhost-limits", &vhost, &name]);
        call.api.put(&path, &json!({ "value": value }))?;
    }
    Ok(())
}

pub(super) fn clear_limits(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.vhost.clone();
    call.banner(&format!("Clearing vhost \"{vhost}\" limits ..."))?;
    let mut limits = ["max-connections", "max-queues"].iter();
    limits.try_for_each(|limit| clear(call, &["vhost-limits", &vhost, limit]))
}

pub(super) fn list_limits(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.has("global") || (!call.has("vhost") && call.has("all")) {
        call.banner("Listing limits for all vhosts ...")?;
        let limits = call.api.list(&ApiPath::of(&["vhost-limits"]))?;
        let columns =
            [Column::plain("vhost"), Column { title: "limits", path: "value", kind: Kind::Json }];
        return call.rows(&columns, &limits);
    }
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing limits for vhost \"{vhost}\" ..."))?;
    call.check_listed_vhost(&vhost)?;
    let limits = call.api.list(&ApiPath::of(&["vhost-limits", &vhost]))?;
    let limits = limits.first().map(|one| field(one, "value").to_string());
    call.line(&limits.unwrap_or_default())
}

pub(super) fn restart(call: &mut Call<'_>) -> Result<(), Failure> {
    let (vhost, node) = (call.vhost.clone(), call.node.clone());
    call.banner(&format!("Trying to restart vhost '{vhost}' on node '{node}' ..."))?;
    call.check_vhost(&vhost)?;
    call.result(&format!("Vhost '{vhost}' is already running on node '{node}'"))
}

pub(super) fn trace_on(call: &mut Call<'_>) -> Result<(), Failure> {
    trace(call, true)
}

pub(super) fn trace_off(call: &mut Call<'_>) -> Result<(), Failure> {
    trace(call, false)
}

fn trace(call: &mut Call<'_>, on: bool) -> Result<(), Failure> {
    let vhost = call.vhost.clone();
    let (doing, done) = if on { ("Starting", "enabled") } else { ("Stopping", "disabled") };
    call.banner(&format!("{doing} tracing for vhost \"{vhost}\" ..."))?;
    call.check_vhost(&vhost)?;
    call.api.put(&ApiPath::of(&["vhosts", &vhost]), &json!({ "tracing": on }))?;
    call.result(&format!("Trace {done} for vhost {vhost}"))
}

pub(super) fn enable_deletion_protection(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.word(0);
    call.banner(&format!("Protecting vhost '{vhost}' from deletion ..."))?;
    call.check_vhost(&vhost)?;
    let path = ApiPath::of(&["vhosts", &vhost, "deletion", "protection"]);
    Ok(call.api.post(&path, &Value::Null).map(drop)?)
}

pub(super) fn disable_deletion_protection(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.word(0);
    call.banner(&format!("Lifting deletion protection of vhost '{vhost}' ..."))?;
    call.check_vhost(&vhost)?;
    Ok(call.api.delete(&ApiPath::of(&["vhosts", &vhost, "deletion", "protection"]))?)
}
