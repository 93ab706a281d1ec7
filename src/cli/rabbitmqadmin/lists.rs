//! `list` and `show`.

use serde_json::Value;

use super::{Admin, Problem, tables};
use crate::cli::api::ApiPath;

/// Something that can be listed.
pub(super) struct Listable {
    pub(super) name: &'static str,
    /// Whether the list can be of one vhost.
    has_vhost: bool,
    /// What is printed unless columns are named; none: every field.
    columns: &'static [&'static str],
    /// Fields that are printed as JSON.
    json: &'static [&'static str],
}

const fn listable(
    name: &'static str,
    has_vhost: bool,
    columns: &'static [&'static str],
    json: &'static [&'static str],
) -> Listable {
    Listable { name, has_vhost, columns, json }
}

/// All that can be listed.
pub(super) const LISTABLE: [Listable; 17] = [
    listable("connections", false, &["name", "user", "channels"], &[]),
    listable("channels", false, &["name", "user"], &[]),
    listable("consumers", true, &[], &[]),
    listable("exchanges", true, &["name", "type"], &[]),
    listable("queues", true, &["name", "messages"], &[]),
    listable("bindings", true, &["source", "destination", "routing_key"], &[]),
    listable("users", false, &[], &[]),
    listable("vhosts", false, &["name", "messages"], &[]),
    listable("permissions", false, &[], &[]),
    listable("nodes", false, &["name", "type", "mem_used"], &[]),
    listable("parameters", false, &[], &["value"]),
    listable("global_parameters", false, &[], &["value"]),
    listable("policies", false, &[], &["definition"]),
    listable("operator_policies", false, &[], &["definition"]),
    listable("vhost_limits", false, &[], &["value"]),
    listable("user_limits", false, &[], &["value"]),
    listable("feature_flags", false, &["name", "state"], &[]),
];

const OVERVIEW: [&str; 4] =
    ["rabbitmq_version", "cluster_name", "queue_totals.messages", "object_totals.queues"];

/// `page` is its number, and how many are on one.
pub(super) fn list(
    admin: &mut Admin<'_>,
    what: &str,
    columns: &[String],
    page: Option<&(String, String)>,
) -> Result<(), Problem> {
    let list = LISTABLE.iter().find(|list| list.name == what).expect("the line was checked");
    let collection = list.name.replace('_', "-");
    let path = match &admin.options.vhost {
        Some(vhost) if list.has_vhost => ApiPath::of(&[&collection, vhost]),
        _ => ApiPath::of(&[&collection]),
    };
    let path = match page {
        Some((page, size)) => path.with("page", page).with("page_size", size),
        None => path,
    };
    print(admin, path, list.columns, list.json, columns, false)
}

pub(super) fn show(admin: &mut Admin<'_>, columns: &[String]) -> Result<(), Problem> {
    print(admin, ApiPath::of(&["overview"]), &OVERVIEW, &[], columns, true)
}

fn print(
    admin: &mut Admin<'_>,
    mut path: ApiPath,
    default: &[&str],
    json: &[&str],
    named: &[String],
    is_single: bool,
) -> Result<(), Problem> {
    let wants_default = admin.options.get("depth").is_none_or(|depth| depth == "1")
        && !admin.options.get("format").is_some_and(|format| format.contains("json"));
    let columns: Vec<String> = match (named.is_empty(), wants_default) {
        (false, _) => named.to_vec(),
        (true, true) => default.iter().map(|column| (*column).to_owned()).collect(),
        (true, false) => Vec::new(),
    };
    if !columns.is_empty() {
        path = path.with("columns", &columns.join(","));
    }
    if let Some(sort) = admin.options.get("sort") {
        path = path.with("sort", sort);
    }
    if admin.options.get("sort_reverse").is_some() {
        path = path.with("sort_reverse", "true");
    }
    let answer = admin.client.get(&path).map_err(|error| Problem::of(error, &path))?;
    let answer = match answer {
        answer if is_single => vec![answer].into(),
        // A page.
        Value::Object(mut page) => page.remove("items").unwrap_or_default(),
        answer => answer,
    };
    tables::print(admin, &answer, &columns, json)
}
