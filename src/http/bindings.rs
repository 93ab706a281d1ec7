//! `/api/bindings`.

use std::sync::Arc;

use amqp_codec::{ReplyCode, ShortString};
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::access::{Entered, InVHost, Named, Seen};
use super::body::Body;
use super::caller::Caller;
use super::forms;
use super::listing::{Query, list, one};
use super::path::{exchange_name, name};
use super::problem::Problem;
use super::properties_key::properties_key;
use super::site::Site;
use crate::broker::binding::{Binding, Destination};
use crate::broker::error::BrokerError;
use crate::broker::vhost::VHost;

type Shared = State<Arc<Site>>;

/// Vhost, source, kind, destination and key of one binding.
type OnePath = Path<(String, String, String, String, String)>;

/// What stands as it is in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bindings in RabbitMQ's order, which is that of their fields.
pub(super) fn list_bindings(vhost: &VHost, mut bindings: Vec<Binding>) -> Vec<Value> {
    bindings.sort_by(|one, other| key(one).cmp(&key(other)));
    bindings.iter().map(|binding| forms::binding(vhost.name(), binding)).collect()
}

fn key(binding: &Binding) -> (&ShortString, bool, &ShortString, &ShortString) {
    let (to_queue, destination) = match &binding.destination {
        Destination::Queue(queue) => (true, &queue.name),
        Destination::Exchange(name) => (false, name),
    };
    (&binding.source, to_queue, destination, &binding.routing_key)
}

/// Those of all queues to the default exchange.
pub(super) fn default_bindings(vhost: &VHost) -> Vec<Value> {
    let mut queues = vhost.queues();
    queues.sort_by(|one, other| one.name.cmp(&other.name));
    queues.iter().map(|queue| forms::default_binding(vhost.name(), &queue.name)).collect()
}

fn all_of(vhosts: &[Arc<VHost>]) -> Vec<Value> {
    let mut items = Vec::new();
    for vhost in vhosts {
        items.extend(default_bindings(vhost));
        items.extend(list_bindings(vhost, vhost.made_bindings()));
    }
    items
}

/// `GET /api/bindings`.
pub(super) async fn all(
    State(site): Shared,
    caller: Caller,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhosts = site.visible_vhosts(&caller);
    list(&query, move || all_of(&vhosts)).await
}

/// `GET /api/bindings/{vhost}`.
pub(super) async fn of_vhost(
    Seen { vhost, .. }: Seen,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || all_of(&[vhost])).await
}

/// The two ends that a path names.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    vhost: Arc<VHost>,
    source: ShortString,
    destination: Destination,
}

impl InVHost for Ends {
    fn find(vhost: &Arc<VHost>, path: &Named) -> Result<Self, Problem> {
        let source = exchange_name(path.get("source")?)?;
        let destination = path.get("destination")?;
        let missing = |error: BrokerError| Problem::missing(error.to_string());
        let destination = match path.get("kind")? {
            "q" => Destination::Queue(vhost.queue(&name(destination)?).map_err(missing)?),
            "e" => Destination::Exchange(exchange_name(destination)?),
            _ => return Err(Problem::not_found()),
        };
        Ok(Self { vhost: Arc::clone(vhost), source, destination })
    }
}

impl Ends {
    /// The bindings between them.
    fn bindings(&self) -> Vec<Binding> {
        let to_there = match &self.destination {
            Destination::Queue(queue) => self.vhost.bindings_to_queue(queue),
            Destination::Exchange(name) => self.vhost.bindings_to_exchange(name),
        };
        to_there.into_iter().filter(|binding| binding.source == self.source).collect()
    }

    /// The one with this key. Some clients put it into the path as it is listed, so that what is quoted in
    /// it arrives plain; RabbitMQ takes both.
    fn binding(&self, key: &str) -> Result<Binding, Problem> {
        let keyed = |it: Binding| (properties_key(&it.routing_key, &it.arguments), it);
        let mut all: Vec<_> = self.bindings().into_iter().map(keyed).collect();
        let exact = all.iter().position(|(own, _)| own == key);
        let found =
            exact.or_else(|| all.iter().position(|(own, _)| unquoted(own) == unquoted(key)));
        found.map(|place| all.swap_remove(place).1).ok_or_else(Problem::not_found)
    }

    /// The name of a queue that the default exchange leads to.
    fn default_target(&self) -> Option<&ShortString> {
        match &self.destination {
            Destination::Queue(queue) if self.source.is_empty() => Some(&queue.name),
            _ => None,
        }
    }
}

fn unquoted(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// `GET /api/bindings/{vhost}/e/{source}/{q|e}/{destination}`.
pub(super) async fn between(
    Seen { vhost, what: ends, .. }: Seen<Ends>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    if !ends.source.is_empty() && vhost.exchange_report(&ends.source).is_none() {
        return Err(Problem::not_found());
    }
    list(&query, move || match ends.default_target() {
        Some(queue) => vec![forms::default_binding(vhost.name(), queue)],
        None => list_bindings(&vhost, ends.bindings()),
    })
    .await
}

/// `POST /api/bindings/{vhost}/e/{source}/{q|e}/{destination}`.
pub(super) async fn add(
    here: Entered<Ends>,
    Path((.., to)): Path<(String, String, String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let routing_key = body.short_text("routing_key")?;
    let arguments = body.table("arguments")?;
    let site = Arc::clone(&here.site);
    let location = site.make(move |site| {
        let Ends { source, destination, .. } = here.what.clone();
        let key = properties_key(&routing_key, &arguments);
        let binding = Binding { source, destination, routing_key, arguments };
        here.visitor()?.bind(binding, site.now()).map_err(|refused| match refused.code {
            ReplyCode::NotFound => Problem::missing(refused.text),
            _ => refused.into(),
        })?;
        let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        Ok(format!("{}/{}", encoded(&to), encoded(&key)))
    });
    Ok((StatusCode::CREATED, [(LOCATION, location.await?)]).into_response())
}

/// `GET /api/bindings/{vhost}/e/{source}/{q|e}/{destination}/{key}`.
pub(super) async fn get(
    Seen { vhost, what: ends, .. }: Seen<Ends>,
    Path((.., key)): OnePath,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    one(&query, forms::binding(vhost.name(), &ends.binding(&key)?))
}

/// `DELETE /api/bindings/{vhost}/e/{source}/{q|e}/{destination}/{key}`.
pub(super) async fn delete(
    here: Entered<Ends>,
    Path((.., key)): OnePath,
) -> Result<Response, Problem> {
    here.change(move |here| {
        let binding = here.what.binding(&key)?;
        Ok(here.visitor()?.unbind(&binding)?)
    })
    .await
}
