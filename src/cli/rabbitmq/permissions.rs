//! Permissions, and topic permissions.

use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use super::formatter::{Column, Formatter};
use super::users::clear as clear_path;
use crate::cli::api::ApiPath;
use crate::cli::output::field;

const USER: Column = Column::plain("user");
const VHOST: Column = Column::plain("vhost");
const EXCHANGE: Column = Column::plain("exchange");
const CONFIGURE: Column = Column::plain("configure");
const WRITE: Column = Column::plain("write");
const READ: Column = Column::plain("read");

pub(super) fn set(call: &mut Call<'_>) -> Result<(), Failure> {
    let (user, vhost) = (call.word(0), call.vhost.clone());
    call.banner(&format!("Setting permissions for user \"{user}\" in vhost \"{vhost}\" ..."))?;
    put(call, &user, &vhost)
}

pub(super) fn set_globally(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Setting permissions for user \"{user}\" in all virtual hosts ..."))?;
    let vhosts = call.api.list(&ApiPath::of(&["vhosts"]))?;
    let mut names = vhosts.iter().filter_map(|vhost| field(vhost, "name").as_str());
    names.try_for_each(|vhost| put(call, &user, vhost))
}

fn put(call: &Call<'_>, user: &str, vhost: &str) -> Result<(), Failure> {
    check(call, user, vhost)?;
    let body = json!({ "configure": call.word(1), "write": call.word(2), "read": call.word(3) });
    Ok(call.api.put(&ApiPath::of(&["permissions", vhost, user]), &body)?)
}

/// Fails as RabbitMQ does if there is no such user or vhost.
fn check(call: &Call<'_>, user: &str, vhost: &str) -> Result<(), Failure> {
    call.check_vhost(vhost)?;
    if call.exists(&["users", user])? {
        return Ok(());
    }
    Err(Failure::no_user_as_object(user))
}

pub(super) fn clear(call: &mut Call<'_>) -> Result<(), Failure> {
    let (user, vhost) = (call.word(0), call.vhost.clone());
    call.banner(&format!("Clearing permissions for user \"{user}\" in vhost \"{vhost}\" ..."))?;
    check(call, &user, &vhost)?;
    clear_path(call, &["permissions", &vhost, &user])
}

pub(super) fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing permissions for vhost \"{vhost}\" ..."))?;
    call.check_listed_vhost(&vhost)?;
    let path = ApiPath::of(&["vhosts", &vhost, "permissions"]);
    print(call, &path, &[USER, CONFIGURE, WRITE, READ])
}

pub(super) fn list_of_user(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Listing permissions for user \"{user}\" ..."))?;
    call.check_listed_user(&user)?;
    print(call, &ApiPath::of(&["users", &user, "permissions"]), &[VHOST, CONFIGURE, WRITE, READ])
}

pub(super) fn set_topic(call: &mut Call<'_>) -> Result<(), Failure> {
    let (user, exchange, vhost) = (call.word(0), call.word(1), call.vhost.clone());
    call.banner(&format!(
        "Setting topic permissions on \"{exchange}\" for user \"{user}\" in vhost \"{vhost}\" ..."
    ))?;
    check(call, &user, &vhost)?;
    let body = json!({ "exchange": exchange, "write": call.word(2), "read": call.word(3) });
    Ok(call.api.put(&ApiPath::of(&["topic-permissions", &vhost, &user]), &body)?)
}

pub(super) fn clear_topic(call: &mut Call<'_>) -> Result<(), Failure> {
    let (user, vhost) = (call.word(0), call.vhost.clone());
    let exchange = call.words.get(1).cloned();
    let on = exchange.as_ref().map(|exchange| format!(" on \"{exchange}\"")).unwrap_or_default();
    call.banner(&format!(
        "Clearing topic permissions{on} for user \"{user}\" in vhost \"{vhost}\" ..."
    ))?;
    check(call, &user, &vhost)?;
    let path = ["topic-permissions", &vhost, &user];
    match &exchange {
        Some(exchange) => clear_path(call, &[&path[..], &[exchange]].concat()),
        None => clear_path(call, &path),
    }
}

pub(super) fn list_topic(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing topic permissions for vhost \"{vhost}\" ..."))?;
    call.check_listed_vhost(&vhost)?;
    let path = ApiPath::of(&["vhosts", &vhost, "topic-permissions"]);
    print(call, &path, &[USER, EXCHANGE, WRITE, READ])
}

pub(super) fn list_topic_of_user(call: &mut Call<'_>) -> Result<(), Failure> {
    let user = call.word(0);
    call.banner(&format!("Listing topic permissions for user \"{user}\" ..."))?;
    call.check_listed_user(&user)?;
    // RabbitMQ has no titles here.
    if call.formatter == (Formatter::Table { titles: true }) {
        call.formatter = Formatter::Table { titles: false };
    }
    let path = ApiPath::of(&["users", &user, "topic-permissions"]);
    print(call, &path, &[VHOST, EXCHANGE, WRITE, READ])
}

/// RabbitMQ prints an empty line where there are none.
fn print(call: &mut Call<'_>, path: &ApiPath, columns: &[Column]) -> Result<(), Failure> {
    let permissions: Vec<Value> = call.api.list(path)?;
    call.rows_or_blank(columns, &permissions)
}
