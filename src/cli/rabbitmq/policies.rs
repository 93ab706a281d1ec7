//! Policies, and operator policies.

use serde_json::json;

use super::call::Call;
use super::failure::Failure;
use super::formatter::{Column, Kind};
use crate::cli::api::{ApiError, ApiPath};

const COLUMNS: [Column; 6] = [
    Column::plain("vhost"),
    Column::plain("name"),
    Column::plain("pattern"),
    Column::plain("apply-to"),
    Column::of("definition", Kind::Json),
    Column::plain("priority"),
];

/// Both kinds of policies: the API's collection, and RabbitMQ's words for them.
struct Policies {
    collection: &'static str,
    setting: &'static str,
    clearing: &'static str,
    listing: &'static str,
}

const USER: Policies =
    Policies { collection: "policies", setting: "policy", clearing: "policy", listing: "policies" };

const OPERATOR: Policies = Policies {
    collection: "operator-policies",
    setting: "operator policy override",
    clearing: "operator policy",
    listing: "operator policy overrides",
};

pub(super) fn set(call: &mut Call<'_>) -> Result<(), Failure> {
    USER.set(call)
}

pub(super) fn set_operator(call: &mut Call<'_>) -> Result<(), Failure> {
    OPERATOR.set(call)
}

pub(super) fn clear(call: &mut Call<'_>) -> Result<(), Failure> {
    USER.clear(call)
}

pub(super) fn clear_operator(call: &mut Call<'_>) -> Result<(), Failure> {
    OPERATOR.clear(call)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    USER.list(call)
}

pub(super) fn list_operator(call: &mut Call<'_>) -> Result<(), Failure> {
    OPERATOR.list(call)
}

impl Policies {
    fn set(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let (name, pattern, definition) = (call.word(0), call.word(1), call.word(2));
        let priority = call.option("priority").unwrap_or("0").to_owned();
        let (vhost, setting) = (call.vhost.clone(), self.setting);
        call.banner(&format!(
            "Setting {setting} \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with \
             priority \"{priority}\" for vhost \"{vhost}\" ..."
        ))?;
        let priority: i64 =
            priority.parse().map_err(|_| Failure::data("--priority must be a whole number"))?;
        let body = json!({
            "pattern": pattern,
            "definition": call.json_object(2)?,
            "priority": priority,
            "apply-to": call.option("apply-to").unwrap_or("all"),
        });
        call.check_vhost(&vhost)?;
        Ok(call.api.put(&ApiPath::of(&[self.collection, &vhost, &name]), &body)?)
    }

    fn clear(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let (name, vhost, clearing) = (call.word(0), call.vhost.clone(), self.clearing);
        call.banner(&format!("Clearing {clearing} \"{name}\" on vhost \"{vhost}\" ..."))?;
        match call.api.delete(&ApiPath::of(&[self.collection, &vhost, &name])) {
            Err(ApiError::NotFound { .. }) => Err(Failure::unavailable("Parameter does not exist")),
            other => Ok(other?),
        }
    }

    fn list(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let (vhost, listing) = (call.vhost.clone(), self.listing);
        call.banner(&format!("Listing {listing} for vhost \"{vhost}\" ..."))?;
        call.check_listed_vhost(&vhost)?;
        let policies = call.api.list(&ApiPath::of(&[self.collection, &vhost]))?;
        call.rows_or_blank(&COLUMNS, &policies)
    }
}
