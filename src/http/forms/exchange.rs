//! An exchange as JSON.

use amqp_codec::ShortString;
use serde_json::{Value, json};

use super::text;
use crate::broker::json::table;
use crate::broker::vhost::ExchangeReport;
use crate::http::rates::Comparison;

/// An exchange.
pub(in crate::http) fn exchange(
    vhost: &ShortString,
    exchange: &ExchangeReport,
    rates: &Comparison,
) -> Value {
    let ExchangeReport { name, properties, policies, published_in, published_out } = exchange;
    let mut object = json!({
        "name": text(name),
        "vhost": text(vhost),
        "type": properties.kind.name(),
        "durable": properties.durable,
        "auto_delete": properties.auto_delete,
        "internal": properties.internal,
        "arguments": table(&properties.arguments).json,
    });
    if let Some(policy) = &policies.policy {
        object["policy"] = policy.as_str().into();
    }
    let flow = rates.exchange(vhost, name, (*published_in, *published_out));
    if let Some(stats) = flow.object() {
        object["message_stats"] = stats;
    }
    object
}
