//! `leveret status`.

use clap::Args;

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::Column;

const COLUMNS: [Column; 16] = [
    Column::new("product", "product_name"),
    Column::new("version", "product_version"),
    Column::new("compatible with RabbitMQ", "rabbitmq_version"),
    Column::new("node", "node"),
    Column::new("cluster name", "cluster_name"),
    Column::new("connections", "object_totals.connections"),
    Column::new("channels", "object_totals.channels"),
    Column::new("exchanges", "object_totals.exchanges"),
    Column::new("queues", "object_totals.queues"),
    Column::new("consumers", "object_totals.consumers"),
    Column::new("messages", "queue_totals.messages"),
    Column::new("messages ready", "queue_totals.messages_ready"),
    Column::new("messages unacked", "queue_totals.messages_unacknowledged"),
    Column::new("published a second", "message_stats.publish_details.rate"),
    Column::new("delivered a second", "message_stats.deliver_get_details.rate"),
    Column::new("acknowledged a second", "message_stats.ack_details.rate"),
];

/// Shows what the broker is and holds.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Status {}

impl Verb for Status {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        session.show(&ApiPath::of(&["overview"]), &COLUMNS)
    }
}
