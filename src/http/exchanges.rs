//! `/api/exchanges`.

use std::sync::Arc;

use amqp_codec::ShortString;
use axum::body::Bytes;
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::bindings::list_bindings;
use super::body::Body;
use super::caller::Caller;
use super::forms;
use super::listing::{Query, list, one};
use super::path::{exchange_name, name};
use super::problem::Problem;
use super::site::Site;
use crate::broker::exchange::{ExchangeKind, ExchangeProperties};
use crate::broker::vhost::VHost;

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
    caller: Caller,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
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
    caller: Caller,
    Path((vhost, exchange)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    let report =
        vhost.exchange_report(&exchange_name(&exchange)?).ok_or_else(Problem::not_found)?;
    let rates = site.rates().against(site.now());
    one(&query, forms::exchange(vhost.name(), &report, &rates))
}

/// `PUT /api/exchanges/{vhost}/{exchange}`.
pub(super) async fn put(
    State(site): Shared,
    caller: Caller,
    Path((vhost, exchange)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let vhost = site.vhost_to_fill(&vhost)?;
    caller.must_enter(vhost.name())?;
    let exchange = name(&exchange)?;
    let body = Body::read(&body)?;
    let kind = body.text("type")?.unwrap_or_else(|| "direct".to_owned());
    let properties = ExchangeProperties {
        kind: ExchangeKind::parse(&ShortString::truncated(kind))?,
        durable: body.get("durable").is_none() || body.truth("durable")?,
        auto_delete: body.truth("auto_delete")?,
        internal: body.truth("internal")?,
        arguments: body.table("arguments")?,
    };
    let was_there = vhost.exchange_report(&exchange).is_some();
    caller.visitor(&site, &vhost).declare_exchange(&exchange, properties)?;
    site.durable().await;
    Ok(if was_there { StatusCode::NO_CONTENT } else { StatusCode::CREATED }.into_response())
}

/// `DELETE /api/exchanges/{vhost}/{exchange}`.
pub(super) async fn delete(
    State(site): Shared,
    caller: Caller,
    Path((vhost, exchange)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_enter(vhost.name())?;
    let exchange = exchange_name(&exchange)?;
    if vhost.exchange_report(&exchange).is_none() {
        return Err(Problem::not_found());
    }
    let if_unused = query.get("if-unused").is_some_and(|value| value == "true");
    caller.visitor(&site, &vhost).delete_exchange(&exchange, if_unused)?;
    site.durable().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /api/exchanges/{vhost}/{exchange}/bindings/source`: those that lead from it.
pub(super) async fn bindings_from(
    State(site): Shared,
    caller: Caller,
    Path((vhost, exchange)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    let exchange = exchange_name(&exchange)?;
    vhost.exchange_report(&exchange).ok_or_else(Problem::not_found)?;
    list(&query, move || {
        if exchange.is_empty() {
            return super::bindings::default_bindings(&vhost);
        }
        list_bindings(&vhost, vhost.bindings_from(&exchange))
    })
    .await
}

/// `GET /api/exchanges/{vhost}/{exchange}/bindings/destination`: those that lead to it.
pub(super) async fn bindings_to(
    State(site): Shared,
    caller: Caller,
    Path((vhost, exchange)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhost = site.vhost(&vhost)?;
    caller.must_see(vhost.name())?;
    let exchange = exchange_name(&exchange)?;
    vhost.exchange_report(&exchange).ok_or_else(Problem::not_found)?;
    list(&query, move || list_bindings(&vhost, vhost.bindings_to_exchange(&exchange))).await
}
