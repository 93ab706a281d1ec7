//! `leveret top`: the busiest queues, again and again.

use std::cmp::Reverse;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::AdminError;
use super::noun::Verb;
use super::session::Session;
use crate::cli::api::ApiPath;
use crate::cli::output::{Column, Format, Screen, Waited, field, plain, visible};

const COLUMNS: [Column; 9] = [
    Column::new("vhost", "vhost"),
    Column::new("queue", "name"),
    Column::new("in/s", "in"),
    Column::new("out/s", "out"),
    Column::new("acks/s", "acks"),
    Column::new("ready", "ready"),
    Column::new("unacked", "unacked"),
    Column::new("consumers", "consumers"),
    Column::new("state", "state"),
];

/// Watches the busiest queues.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Top {
    /// Seconds between two looks
    #[arg(long, short, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    /// Show so many queues
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    queues: usize,

    /// Look so often, then stop [default: until it is interrupted]
    #[arg(long, value_name = "N")]
    times: Option<u64>,
}

impl Verb for Top {
    fn run(self, session: &mut Session<'_>) -> Result<(), AdminError> {
        let screen = Screen::open().filter(|_| session.format == Format::Table);
        let mut looks = 0;
        loop {
            let queues = session.client.list(&ApiPath::of(&["queues"]))?;
            let busiest = busiest(&queues, self.queues);
            match &screen {
                None => session.print(&busiest, &COLUMNS)?,
                Some(screen) => {
                    let overview = session.client.get(&ApiPath::of(&["overview"]))?;
                    let table = session.table(&busiest, &COLUMNS)?;
                    screen.show(session.out, &format!("{}\n\n{table}", summary(&overview)))?;
                }
            }
            session.out.flush()?;
            looks += 1;
            if self.times.is_some_and(|times| looks >= times) {
                return Ok(());
            }
            let interval = Duration::from_secs(self.interval);
            match &screen {
                None => thread::sleep(interval),
                Some(screen) if screen.wait(interval)? == Waited::Quit => return Ok(()),
                Some(_) => {}
            }
        }
    }
}

/// The whole broker in two lines.
fn summary(overview: &Value) -> String {
    let rate = |name: &str| {
        let rate = field(overview, &format!("message_stats.{name}_details.rate"));
        rate.as_f64().unwrap_or(0.0).max(0.0).round() as u64
    };
    let text = |path: &str| visible(&plain(field(overview, path)));
    let count = |path: &str| field(overview, path).as_u64().unwrap_or(0);
    format!(
        "{} {} on {}: {} connections, {} channels, {} queues, {} consumers; q quits\n\
         {} in/s, {} out/s, {} acks/s; {} messages, {} ready, {} unacked",
        text("product_name"),
        text("product_version"),
        text("node"),
        count("object_totals.connections"),
        count("object_totals.channels"),
        count("object_totals.queues"),
        count("object_totals.consumers"),
        rate("publish"),
        rate("deliver_get"),
        rate("ack"),
        count("queue_totals.messages"),
        count("queue_totals.messages_ready"),
        count("queue_totals.messages_unacknowledged"),
    )
}

/// The queues with the most messages a second in and out; among equals, with the most messages.
fn busiest(queues: &[Value], count: usize) -> Vec<Value> {
    let mut rows: Vec<(u64, u64, Value)> = queues.iter().map(row).collect();
    rows.sort_by_key(|(rate, messages, _)| Reverse((*rate, *messages)));
    rows.into_iter().take(count).map(|(_, _, row)| row).collect()
}

/// A queue's rate in and out together, its messages, and what is shown of it.
fn row(queue: &Value) -> (u64, u64, Value) {
    let rate = |name: &str| {
        let rate = field(queue, &format!("message_stats.{name}_details.rate"));
        rate.as_f64().unwrap_or(0.0).max(0.0).round() as u64
    };
    let (received, sent) = (rate("publish"), rate("deliver_get"));
    let messages = field(queue, "messages").as_u64().unwrap_or(0);
    let row = json!({
        "vhost": field(queue, "vhost"),
        "name": field(queue, "name"),
        "in": received,
        "out": sent,
        "acks": rate("ack"),
        "ready": field(queue, "messages_ready"),
        "unacked": field(queue, "messages_unacknowledged"),
        "consumers": field(queue, "consumers"),
        "state": field(queue, "state"),
    });
    (received + sent, messages, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_stand_first_and_among_equals_the_longest() {
        let queue = |name: &str, rate: f64, messages: u64| {
            json!({"name": name, "messages": messages,
                   "message_stats": {"publish_details": {"rate": rate}}})
        };
        let queues = [queue("idle", 0.0, 1), queue("busy", 9.6, 0), queue("long", 0.0, 5)];
        let names: Vec<_> = busiest(&queues, 2).iter().map(|row| row["name"].clone()).collect();
        assert_eq!(names, ["busy", "long"]);
        assert_eq!(busiest(&queues, 1)[0]["in"], 10);
    }

    #[test]
    fn the_whole_broker_is_two_lines() {
        let overview = json!({
            "product_name": "leveret", "product_version": "1", "node": "rabbit@h",
            "object_totals": {"connections": 1, "channels": 2, "queues": 3, "consumers": 4},
            "queue_totals": {"messages": 9, "messages_ready": 5, "messages_unacknowledged": 4},
            "message_stats": {"publish_details": {"rate": 6.6}},
        });
        assert_eq!(
            summary(&overview),
            "leveret 1 on rabbit@h: 1 connections, 2 channels, 3 queues, 4 consumers; q quits\n\
             7 in/s, 0 out/s, 0 acks/s; 9 messages, 5 ready, 4 unacked"
        );
    }
}
