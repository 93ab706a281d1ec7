//! Closing connections.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::call::Call;
use super::failure::Failure;
use crate::cli::api::{ApiError, ApiPath};
use crate::cli::output::field;

pub(super) fn close(call: &mut Call<'_>) -> Result<(), Failure> {
    let (wanted, reason) = (call.word(0), call.word(1));
    call.banner(&format!("Closing connection {wanted}, reason: {reason}..."))?;
    let connections = call.api.list(&ApiPath::of(&["connections"]))?;
    let found = connections.iter().find(|connection| {
        field(connection, "name") == wanted.as_str() || field(connection, "pid") == wanted.as_str()
    });
    let Some(connection) = found else {
        return Err(Failure::unavailable(&format!("there is no connection {wanted}")));
    };
    close_one(call, connection, &reason)
}

pub(super) fn close_all_of_user(call: &mut Call<'_>) -> Result<(), Failure> {
    let (user, reason) = (call.word(0), call.word(1));
    call.banner(&format!("Closing connections of user {user}, reason: {reason}..."))?;
    let connections = call.api.list(&ApiPath::of(&["connections", "username", &user]))?;
    connections.iter().try_for_each(|connection| close_one(call, connection, &reason))
}

pub(super) fn close_all(call: &mut Call<'_>) -> Result<(), Failure> {
    let (reason, vhost) = (call.word(0), call.vhost.clone());
    let everywhere = call.has("global") && !call.has("vhost");
    let number = |name: &str| match call.option(name) {
        None => Ok(0),
        Some(text) => {
            text.parse::<u64>().map_err(|_| Failure::data(&format!("--{name} must be a number")))
        }
    };
    let (limit, delay) = (number("limit")?, Duration::from_millis(number("per-connection-delay")?));
    let place = if everywhere { "on all nodes".to_owned() } else { format!("in vhost {vhost}") };
    call.banner(&format!("Closing all connections {place}, reason: {reason}..."))?;
    let path = match everywhere {
        true => ApiPath::of(&["connections"]),
        false => ApiPath::of(&["vhosts", &vhost, "connections"]),
    };
    let mut connections = call.api.list(&path)?;
    if limit > 0 {
        connections.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    for connection in &connections {
        close_one(call, connection, &reason)?;
        thread::sleep(delay);
    }
    call.result(&format!("Closed {} connections", connections.len()))
}

/// That it is gone by then is fine.
fn close_one(call: &Call<'_>, connection: &Value, reason: &str) -> Result<(), Failure> {
    let name = field(connection, "name").as_str().unwrap_or_default();
    match call.api.delete_because(&ApiPath::of(&["connections", name]), reason) {
        Err(ApiError::NotFound { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
