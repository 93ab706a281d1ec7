//! `/api/leveret/queues`: looking at messages without taking them, and at those that wait for their time.
//! RabbitMQ has nothing like it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Entered;
use super::change::Changed;
use super::forms::{self, MessageForm};
use super::listing::{Query, list};
use super::messages::GET_BYTES_MAX;
use super::problem::Problem;
use crate::broker::effect::Position;
use crate::broker::queue::{Peeked, ScheduledMessage};
use crate::broker::queue_cell::QueueCell;

/// Messages that are shown unless more are asked for.
const COUNT: usize = 100;

/// Messages that one answer shows: the queue waits while they are looked up.
const COUNT_MAX: usize = 1_000;

/// What is wanted of messages.
struct Wanted {
    count: usize,
    from: Position,
    form: MessageForm,
}

impl Wanted {
    fn read(query: &HashMap<String, String>) -> Result<Self, Problem> {
        let is_base64 = match query.get("encoding").map(String::as_str) {
            None | Some("auto") => false,
            Some("base64") => true,
            Some(other) => {
                return Err(Problem::bad_request(json!(["unsupported_encoding", other])));
            }
        };
        let truncate = number(query, "truncate")?;
        let form = MessageForm { is_base64, truncate };
        let count = number(query, "count")?.unwrap_or(COUNT).min(COUNT_MAX);
        Ok(Self { count, from: Position(number(query, "from")?.unwrap_or(0)), form })
    }

    /// A message; of one that only the store has, how large it is.
    fn shown(&self, message: &crate::broker::message::Message, returns: u32) -> Value {
        let is_stub = message.is_stub();
        let mut shown = match is_stub {
            true => json!({ "payload_bytes": message.body_len() }),
            false => self.form.of(message, returns),
        };
        shown["in_store"] = is_stub.into();
        shown
    }

    fn waiting(&self, it: &Peeked) -> Value {
        let mut shown = self.shown(&it.message, it.returns);
        shown["position"] = it.position.0.into();
        shown["redelivered"] = it.redelivered.into();
        shown["expires_at"] = forms::moment(it.expires);
        shown
    }

    fn scheduled(&self, it: &ScheduledMessage) -> Value {
        let mut shown = self.shown(&it.message, it.returns);
        shown["position"] = it.position.0.into();
        shown["due_at"] = forms::moment(it.due);
        shown
    }
}

fn number<T: std::str::FromStr>(
    query: &HashMap<String, String>,
    key: &str,
) -> Result<Option<T>, Problem> {
    let given = query.get(key).map(|text| text.parse());
    given.transpose().map_err(|_| Problem::bad_request(json!(["not_int", key])))
}

/// `GET /api/leveret/queues/{vhost}/{queue}/messages`.
pub(super) async fn messages(
    here: Entered<Arc<QueueCell>>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&query)?;
    let limits = (wanted.count, GET_BYTES_MAX);
    let found = here.visitor()?.peek(&here.what, wanted.from, limits, here.site.now())?;
    list(&query, move || found.iter().map(|it| wanted.waiting(it)).collect()).await
}

/// `GET /api/leveret/queues/{vhost}/{queue}/scheduled`.
pub(super) async fn scheduled(
    here: Entered<Arc<QueueCell>>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&query)?;
    let mut found = here.visitor()?.scheduled(&here.what, wanted.count)?;
    let mut bytes = 0_u64;
    found.retain(|it| {
        let is_first = bytes == 0;
        bytes += it.message.body_len();
        is_first || bytes <= GET_BYTES_MAX
    });
    list(&query, move || found.iter().map(|it| wanted.scheduled(it)).collect()).await
}

/// `DELETE /api/leveret/queues/{vhost}/{queue}/scheduled/{position}`.
pub(super) async fn cancel(
    here: Entered<Arc<QueueCell>>,
    Path((.., position)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let position = position.parse().map(Position).map_err(|_| Problem::not_found())?;
    here.change(move |here| {
        let now = here.site.now();
        Changed::deleted(here.visitor()?.cancel_scheduled(&here.what, position, now)?)
    })
    .await
}
