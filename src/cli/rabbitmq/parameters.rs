//! Runtime parameters, of vhosts and of all.

use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use super::formatter::{Column, Kind};
use crate::cli::api::{ApiError, ApiPath};

const COLUMNS: [Column; 3] =
    [Column::plain("component"), Column::plain("name"), Column::of("value", Kind::Json)];

const GLOBAL_COLUMNS: [Column; 2] = [Column::plain("name"), Column::of("value", Kind::Json)];

pub(super) fn set(call: &mut Call<'_>) -> Result<(), Failure> {
    let (component, name, value) = (call.word(0), call.word(1), call.word(2));
    let vhost = call.vhost.clone();
    call.banner(&format!(
        "Setting runtime parameter \"{name}\" for component \"{component}\" to \"{value}\" in vhost \
         \"{vhost}\" ..."
    ))?;
    let body = json!({
        "component": component, "vhost": vhost, "name": name, "value": call.json(2)?,
    });
    Ok(call.api.put(&ApiPath::of(&["parameters", &component, &vhost, &name]), &body)?)
}

pub(super) fn clear(call: &mut Call<'_>) -> Result<(), Failure> {
    let (component, name, vhost) = (call.word(0), call.word(1), call.vhost.clone());
    call.banner(&format!(
        "Clearing runtime parameter \"{name}\" for component \"{component}\" on vhost \"{vhost}\" ..."
    ))?;
    delete(call, &ApiPath::of(&["parameters", &component, &vhost, &name]))
}

fn delete(call: &Call<'_>, path: &ApiPath) -> Result<(), Failure> {
    match call.api.delete(path) {
        Err(ApiError::NotFound { .. }) => Err(Failure::unavailable("Parameter does not exist")),
        other => Ok(other?),
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    let vhost = call.vhost.clone();
    call.banner(&format!("Listing runtime parameters for vhost \"{vhost}\" ..."))?;
    call.check_listed_vhost(&vhost)?;
    let mut parameters = call.api.list(&ApiPath::of(&["parameters"]))?;
    parameters.retain(|parameter| parameter["vhost"] == vhost.as_str());
    call.rows_or_blank(&COLUMNS, &parameters)
}

pub(super) fn set_global(call: &mut Call<'_>) -> Result<(), Failure> {
    let (name, value) = (call.word(0), call.word(1));
    call.banner(&format!("Setting global runtime parameter \"{name}\" to \"{value}\" ..."))?;
    let value = call.json(1)?;
    put_global(call, &name, &value)
}

fn put_global(call: &Call<'_>, name: &str, value: &Value) -> Result<(), Failure> {
    let body = json!({ "name": name, "value": value });
    Ok(call.api.put(&ApiPath::of(&["global-parameters", name]), &body)?)
}

pub(super) fn clear_global(call: &mut Call<'_>) -> Result<(), Failure> {
    let name = call.word(0);
    call.banner(&format!("Clearing global runtime parameter \"{name}\" ..."))?;
    delete(call, &ApiPath::of(&["global-parameters", &name]))
}

pub(super) fn list_global(call: &mut Call<'_>) -> Result<(), Failure> {
    call.banner("Listing global runtime parameters ...")?;
    let parameters = call.api.list(&ApiPath::of(&["global-parameters"]))?;
    call.rows_or_blank(&GLOBAL_COLUMNS, &parameters)
}

pub(super) fn set_cluster_name(call: &mut Call<'_>) -> Result<(), Failure> {
    let name = call.word(0);
    call.banner(&format!("Setting cluster name to {name} ..."))?;
    Ok(call.api.put(&ApiPath::of(&["cluster-name"]), &json!({ "name": name }))?)
}
