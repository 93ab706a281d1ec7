//! `/api/exchanges`.

use std::sync::Arc;

use amqp_codec::ShortString;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::{Entered, Seen};
use super::bindings::{default_bindings, list_bindings};
use super::body::Body;
use super::caller::Caller;
use super::change::Changed;
use super::forms;
use super::listing::{Query, is_true, list, one};
use super::path::name;
use super::problem::Problem;
use super::site::Site;
use crate::broker::exchange::{ExchangeKind, ExchangeProperties};
use crate::broker::vhost::{ExchangeReport, VHost};

type Shared = State<Arc<Site>>;

/// `GET /api/exchanges`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhosts = site.visible_vhosts(&caller);
    list(&query, move || shown(&site, &vhosts)).await
}

/// `GET /api/exchanges/{vhost}`.
pub(super) async fn of_vhost(
    State(site): Shared,
    Seen { vhost, .. }: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || shown(&site, &[vhost])).await
}

fn shown(site: &Site, vhosts: &[Arc<VHost>]) -> Vec<Value> {
    let rates = site.rates().against(site.now());
    let mut items = Vec::new();
    for vhost in vhosts {
        let mut reports = vhost.exchange_reports();
        reports.sort_by(|one, other| one.name.cmp(&other.name));
        items.extend(reports.iter().map(|it| forms::exchange(vhost.name(), it, &rates)));
    }
    items
}

/// `GET /api/exchanges/{vhost}/{exchange}`.
pub(super) async fn get(
    State(site): Shared,
    Seen { vhost, what: exchange, .. }: Seen<ExchangeReport>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let rates = site.rates().against(site.now());
    let mut shown = forms::exchange(vhost.name(), &exchange, &rates);
    // As RabbitMQ has them unless it is told to count in detail.
    (shown["incoming"], shown["outgoing"]) = (json!([]), json!([]));
    one(&query, shown)
}

/// `PUT /api/exchanges/{vhost}/{exchange}`.
pub(super) async fn put(
    here: Entered,
    Path((_, exchange)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let exchange = name(&exchange)?;
    let kind = body.text("type")?.unwrap_or_else(|| "direct".to_owned());
    let properties = ExchangeProperties {
        kind: ExchangeKind::parse(&ShortString::truncated(kind))?,
        durable: body.get("durable").is_none() || body.truth("durable")?,
        auto_delete: body.truth("auto_delete")?,
        internal: body.truth("internal")?,
        arguments: body.table("arguments")?,
    };
    here.change(move |here| {
        let was_there = here.vhost.exchange_report(&exchange).is_some();
        here.visitor()?.declare_exchange(&exchange, properties)?;
        Ok(Changed::put(was_there))
    })
    .await
}

/// `DELETE /api/exchanges/{vhost}/{exchange}`.
pub(super) async fn delete(
    here: Entered<ExchangeReport>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let if_unused = is_true(&query, "if-unused");
    here.change(move |here| Ok(here.visitor()?.delete_exchange(&here.what.name, if_unused)?)).await
}

/// `GET /api/exchanges/{vhost}/{exchange}/bindings/source`: those that lead from it.
pub(super) async fn bindings_from(
    Seen { vhost, what: exchange, .. }: Seen<ExchangeReport>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || match exchange.name.is_empty() {
        true => default_bindings(&vhost),
        false => list_bindings(&vhost, vhost.bindings_from(&exchange.name)),
    })
    .await
}

/// `GET /api/exchanges/{vhost}/{exchange}/bindings/destination`: those that lead to it.
pub(super) async fn bindings_to(
    Seen { vhost, what: exchange, .. }: Seen<ExchangeReport>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || list_bindings(&vhost, vhost.bindings_to_exchange(&exchange.name))).await
}
