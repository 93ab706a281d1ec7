//! `/api/channels`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::caller::Caller;
use super::connections;
use super::consumers;
use super::forms;
use super::listing::{Query, list, one};
use super::problem::Problem;
use super::site::Site;
use crate::session::ConnectionReport;

type Shared = State<Arc<Site>>;

/// The channels of connections.
pub(super) fn shown(site: &Site, reports: &[ConnectionReport]) -> Vec<Value> {
    let rates = site.rates().against(site.now());
    let mut items = Vec::new();
    for report in reports {
        let of_connection = report.channels.iter();
        items.extend(of_connection.map(|it| forms::channel(site.node(), report, it, &rates)));
    }
    items
}

/// `GET /api/channels`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let reports = site.ask_visible(&caller).await;
    list(&query, move || shown(&site, &reports)).await
}

/// `GET /api/channels/{name}`: with its consumers.
pub(super) async fn get(
    State(site): Shared,
    caller: Caller,
    Path(name): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    site.rates().want_connections();
    let (of_connection, number) = split(&name).ok_or_else(Problem::not_found)?;
    let report = connections::find(&site, &caller, of_connection).await?;
    let channel = report.channels.iter().find(|channel| channel.number.0 == number);
    let channel = channel.ok_or_else(Problem::not_found)?;
    let rates = site.rates().against(site.now());
    let mut shown = forms::channel(site.node(), &report, channel, &rates);
    shown["consumer_details"] = consumers::of_channel(&site, &report, channel).into();
    shown["deliveries"] = forms::deliveries_of_channel(&report, channel, &rates).into();
    shown["publishes"] = json!([]);
    one(&query, shown)
}

/// The connection's name and the channel's number of `127.0.0.1:1 -> 127.0.0.1:5672 (3)`.
fn split(name: &str) -> Option<(&str, u16)> {
    let (connection, number) = name.strip_suffix(')')?.rsplit_once(" (")?;
    Some((connection, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_name_is_its_connections_and_a_number() {
        assert_eq!(split("a:1 -> b:2 (3)"), Some(("a:1 -> b:2", 3)));
        assert_eq!(split("a:1 -> b:2"), None);
        assert_eq!(split("a (x)"), None);
    }
}
