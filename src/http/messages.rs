//! Publishing, and getting messages to look at.

use std::sync::Arc;

use amqp_codec::{BasicProperties, FieldTable, ReplyCode, ShortString};
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::access::Entered;
use super::body::Body;
use super::forms::MessageForm;
use super::listing::json_of;
use super::path::{exchange_name, name};
use super::problem::Problem;
use crate::broker::json::from_json;
use crate::broker::queue::{Fetched, Return};
use crate::broker::queue_cell::QueueProperties;
use crate::session::{Decision, Publish, Refused, Taken};

/// Messages that one request may get: it holds all of them.
const GET_MAX: i64 = 10_000;

/// Bytes of their bodies. The message that goes beyond it is the last; so one of any size can be got.
pub(super) const GET_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Messages that are taken before others on the same thread have their turn.
const GET_SLICE: usize = 256;

/// `POST /api/exchanges/{vhost}/{exchange}/publish`.
pub(super) async fn publish(
    here: Entered,
    Path((_, exchange)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    body.must_have(&["routing_key", "properties", "payload", "payload_encoding"])?;
    let payload = body.text("payload")?.unwrap_or_default();
    let payload = match body.text("payload_encoding")?.as_deref() {
        Some("string") => payload.into_bytes(),
        Some("base64") => STANDARD
            .decode(&payload)
            .map_err(|_| Problem::bad_request(json!(["not_base64", payload])))?,
        other => return Err(Problem::bad_request(json!(["unsupported_encoding", other]))),
    };
    let publish = Publish {
        exchange: exchange_name(&exchange)?,
        routing_key: body.short_text("routing_key")?,
        properties: properties_from(body.get("properties"))?,
        body: payload.into(),
    };
    let published = here.visitor()?.publish(publish, here.site.now());
    let published = published.map_err(|refused| unpublished(&refused))?;
    here.site.durable().await;
    if !published.accepted {
        return Err(Problem::bad_request("a queue refused the message: it is full"));
    }
    Ok(json_of(&json!({ "routed": published.routed })))
}

fn unpublished(refused: &Refused) -> Problem {
    match refused.code {
        ReplyCode::ResourceError => Problem::of(
            StatusCode::SERVICE_UNAVAILABLE,
            "publishers are blocked",
            refused.reply_text(),
        ),
        code => Problem::bad_request(format!("{} {}", code.code(), refused.reply_text())),
    }
}

fn properties_from(given: Option<&Value>) -> Result<BasicProperties, Problem> {
    let object = match given {
        None => return Ok(BasicProperties::default()),
        Some(Value::Object(object)) => object,
        // How some clients write an empty object.
        Some(Value::Array(items)) if items.is_empty() => return Ok(BasicProperties::default()),
        Some(other) => return Err(Problem::bad_request(json!(["properties_not_object", other]))),
    };
    Ok(BasicProperties {
        content_type: short_text(object, "content_type")?,
        content_encoding: short_text(object, "content_encoding")?,
        headers: headers(object)?,
        delivery_mode: integer(object, "delivery_mode")?,
        priority: integer(object, "priority")?,
        correlation_id: short_text(object, "correlation_id")?,
        reply_to: short_text(object, "reply_to")?,
        expiration: short_text(object, "expiration")?,
        message_id: short_text(object, "message_id")?,
        timestamp: integer(object, "timestamp")?,
        kind: short_text(object, "type")?,
        user_id: short_text(object, "user_id")?,
        app_id: short_text(object, "app_id")?,
        cluster_id: short_text(object, "cluster_id")?,
    })
}

fn short_text(object: &Map<String, Value>, key: &str) -> Result<Option<ShortString>, Problem> {
    let text = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(Problem::bad_request(json!(["not_string", key]))),
    };
    ShortString::new(text)
        .map(Some)
        .map_err(|_| Problem::bad_request(json!(["longer_than_255_bytes", key])))
}

fn integer<T: TryFrom<u64>>(object: &Map<String, Value>, key: &str) -> Result<Option<T>, Problem> {
    let number = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| Problem::bad_request(json!(["not_int", key])))
}

fn headers(object: &Map<String, Value>) -> Result<Option<FieldTable>, Problem> {
    match object.get("headers") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(headers)) => {
            let table = from_json(headers);
            table.map(Some).map_err(|error| Problem::bad_request(error.to_string()))
        }
        Some(Value::Array(items)) if items.is_empty() => Ok(None),
        Some(_) => Err(Problem::bad_request(json!(["not_object", "headers"]))),
    }
}

/// Why nothing is got. RabbitMQ says more of it than elsewhere.
fn not_got(refused: &Refused) -> Problem {
    match refused.code {
        ReplyCode::AccessRefused => Problem::not_authorised(refused.reply_text()),
        ReplyCode::NotFound => Problem::missing(refused.reply_text()),
        _ => Problem::bad_request(refused.text.clone()),
    }
}

/// `POST /api/queues/{vhost}/{queue}/get`.
pub(super) async fn get(
    here: Entered,
    Path((_, queue)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    body.must_have(&["ackmode", "count", "encoding"])?;
    let asked = Asked::read(&body)?;
    let site = &here.site;
    let looked = here.visitor()?.look_at(&name(&queue)?);
    let mut fetch = looked.map_err(|refused| not_got(&refused))?;
    let arrived = Arc::new(Notify::new());
    loop {
        let again = Arc::clone(&arrived);
        let slice = asked.count.min(fetch.taken().len() + GET_SLICE);
        match fetch.take(slice, GET_BYTES_MAX, move || again.notify_one(), site.now()) {
            Taken::All if fetch.taken().len() < slice || slice == asked.count => break,
            Taken::All => tokio::task::yield_now().await,
            Taken::Later => arrived.notified().await,
        }
    }
    let answer = here.site.make(move |site| {
        let shown: Vec<Value> = fetch.taken().iter().map(|it| asked.shown(it)).collect();
        fetch.decide(asked.decision, site.now());
        Ok(json_of(&shown.into()))
    });
    answer.await
}

/// What a request wants of messages, and what is to become of them.
struct Asked {
    count: usize,
    decision: Decision,
    form: MessageForm,
}

impl Asked {
    fn read(body: &Body) -> Result<Self, Problem> {
        let count = body.integer("count")?.unwrap_or(1).clamp(0, GET_MAX);
        let decision = match body.text("ackmode")?.as_deref() {
            Some("ack_requeue_true") => Decision::PutBack(Return::Nacked),
            Some("ack_requeue_false") => Decision::Acknowledge,
            Some("reject_requeue_true") => Decision::PutBack(Return::Rejected),
            Some("reject_requeue_false") => Decision::Reject,
            other => return Err(Problem::bad_request(json!(["unknown_ackmode", other]))),
        };
        let is_base64 = match body.text("encoding")?.as_deref() {
            Some("auto") => false,
            Some("base64") => true,
            other => return Err(Problem::bad_request(json!(["unsupported_encoding", other]))),
        };
        let truncate = body.integer("truncate")?.and_then(|length| usize::try_from(length).ok());
        let form = MessageForm { is_base64, truncate };
        Ok(Self { count: usize::try_from(count).unwrap_or(0), decision, form })
    }

    fn shown(&self, fetched: &Fetched) -> Value {
        let entry = &fetched.entry;
        let mut shown = self.form.of(&entry.message, entry.returns);
        shown["redelivered"] = entry.is_redelivered().into();
        shown["message_count"] = fetched.behind.into();
        shown
    }
}

/// `GET /api/aliveness-test/{vhost}`: publishes a message and gets it.
pub(super) async fn aliveness(entered: Entered) -> Result<Response, Problem> {
    const QUEUE: &str = "aliveness-test";
    let queue = ShortString::from_static(QUEUE);
    let properties = QueueProperties::default();
    let (site, here) = (&entered.site, entered.visitor()?);
    let queue = here.declare_queue(&queue, properties, site.now())?;
    let publish = Publish {
        exchange: ShortString::default(),
        routing_key: queue.name.clone(),
        properties: BasicProperties::default(),
        body: Bytes::from_static(b"test_message"),
    };
    let failed = |reason: &str| {
        Problem::of(StatusCode::INTERNAL_SERVER_ERROR, "aliveness-test failed", reason)
    };
    let published = here.publish(publish, site.now());
    if !published.is_ok_and(|published| published.routed) {
        return Err(failed("the test message went nowhere"));
    }
    let mut fetch = here.look_at(&queue.name)?;
    fetch.take(1, GET_BYTES_MAX, || {}, site.now());
    let got = !fetch.taken().is_empty();
    fetch.decide(Decision::Acknowledge, site.now());
    if got { Ok(json_of(&json!({ "status": "ok" }))) } else { Err(failed("no message came back")) }
}
