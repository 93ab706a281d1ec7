//! `/api/consumers`.

use std::sync::Arc;

use axum::extract::{Query as QueryOf, State};
use axum::response::Response;
use serde_json::Value;

use super::access::Seen;
use super::caller::Caller;
use super::forms;
use super::listing::{Query, list};
use super::problem::Problem;
use super::site::Site;
use crate::broker::queue_cell::QueueCell;
use crate::session::{ChannelReport, ConnectionReport};

type Shared = State<Arc<Site>>;

/// The consumers of a channel.
pub(super) fn of_channel(
    site: &Site,
    connection: &ConnectionReport,
    channel: &ChannelReport,
) -> Vec<Value> {
    let timeout = site.identity().consumer_timeout;
    let shown = |it| forms::consumer(site.node(), timeout, connection, channel, it);
    channel.consumers.iter().map(shown).collect()
}

fn of_connections(site: &Site, reports: &[ConnectionReport]) -> Vec<Value> {
    let of_connection = |report: &ConnectionReport| {
        let channels = report.channels.iter();
        channels.flat_map(|it| of_channel(site, report, it)).collect::<Vec<_>>()
    };
    reports.iter().flat_map(of_connection).collect()
}

/// The consumers of a queue, and what they got, by channel.
pub(super) async fn of_queue(site: &Site, queue: &QueueCell) -> (Vec<Value>, Vec<Value>) {
    site.rates().want_connections();
    let mut reports = site.ask_connections().await;
    reports.retain(|report| report.vhost == queue.vhost);
    for channel in reports.iter_mut().flat_map(|report| &mut report.channels) {
        channel.consumers.retain(|consumer| consumer.queue == queue.name);
    }
    let rates = site.rates().against(site.now());
    let deliveries = forms::deliveries_of_queue(site.node(), &queue.name, &reports, &rates);
    (of_connections(site, &reports), deliveries)
}

/// `GET /api/consumers`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let reports = site.ask_visible(&caller).await;
    list(&query, move || of_connections(&site, &reports)).await
}

/// `GET /api/consumers/{vhost}`.
pub(super) async fn of_vhost(
    State(site): Shared,
    seen: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let reports = site.ask_visible_in(&seen).await;
    list(&query, move || of_connections(&site, &reports)).await
}
