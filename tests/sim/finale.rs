//! How a run ends: everybody leaves, everything is drained, and the books are closed.

use std::sync::Arc;
use std::time::Duration;

use amqp_codec::FieldTable;
use amqp_codec::method::basic;
use leveret::broker::queue_cell::QueueCell;

use crate::channel::{SimConsumer, Verdict, Waiting, short};
use crate::peer::{Effect, Phase};
use crate::plan::{QUEUES, QueuePlan};
use crate::world::World;

/// Nothing takes longer than that to go.
const MINUTES_MAX: usize = 20;

impl World {
    /// Everybody leaves, one last client drains all queues, and nothing is left.
    pub(crate) fn end(&mut self) {
        if self.shared.chance(0.3) {
            self.relieve();
        }
        while !self.clients.is_empty() {
            let index = self.shared.range(0, self.clients.len() - 1);
            let client = &mut self.clients[index];
            if client.phase == Phase::Open && !client.blocked && self.shared.chance(0.5) {
                client.close();
                self.exchange_all();
            } else {
                client.leave(&mut self.shared);
            }
            self.forget_the_gone();
            self.come_to_rest();
        }
        self.drain_all();
        self.shared.ledger.check_nothing_is_lost();
        self.census.take(&mut self.shared);
        self.census.close(&mut self.shared);
        assert_eq!(self.shared.host.memory_used(), 0, "all memory is given back");
        self.clients[0].close();
        self.exchange_all();
        assert!(self.clients.is_empty(), "the last client is gone");
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        for queue in vhost.queues() {
            let counts = queue.state.lock().counts();
            let all = counts.ready + counts.unacked + counts.consumers;
            assert_eq!(all, 0, "{}: {counts:?}", queue.name);
            assert!(queue.properties.owner.is_none(), "{} is gone with its owner", queue.name);
        }
    }

    /// Takes everything, also what only comes with time: what is delayed, or waits for room elsewhere.
    fn drain_all(&mut self) {
        let drainer = self.connect_and_open();
        for _ in 0..MINUTES_MAX {
            for plan in QUEUES {
                self.drain(drainer, &plan);
            }
            let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
            let waits = |queue: &Arc<QueueCell>| {
                let counts = queue.state.lock().counts();
                counts.ready + counts.scheduled + counts.departing > 0
            };
            if !vhost.queues().iter().any(waits) {
                return;
            }
            self.pass_time(61, Duration::from_secs(1));
        }
        panic!("not everything has left after {MINUTES_MAX} minutes");
    }

    /// Takes all of a queue, in order.
    fn drain(&mut self, drainer: usize, plan: &QueuePlan) {
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        if vhost.queue(&short(plan.name)).is_err() {
            return;
        }
        let client = &mut self.clients[drainer];
        let consume = basic::Consume {
            queue: short(plan.name),
            consumer_tag: short("drain"),
            no_local: false,
            no_ack: false,
            exclusive: !plan.discipline.single_active,
            no_wait: false,
            arguments: FieldTable::default(),
        };
        let consumer = SimConsumer::new(0, plan.name, 0, false, true);
        client.ask(1, consume, Waiting::Consume(consumer));
        self.exchange_all();
        let client = &mut self.clients[drainer];
        let channel = client.channels.get_mut(&1).expect("an open channel");
        assert!(channel.consumers.contains_key("drain"), "nobody else consumes {}", plan.name);
        // What is behind others of its group comes once they are settled.
        loop {
            let client = &mut self.clients[drainer];
            let channel = client.channels.get_mut(&1).expect("an open channel");
            if channel.held.is_empty() {
                break;
            }
            let held = std::mem::take(&mut channel.held).into_values();
            let acknowledged = held.map(|held| (held, Verdict::Ack)).collect();
            client.send(1, basic::Ack { delivery_tag: 0, multiple: true });
            client.once_read(Effect::Settled(acknowledged));
            self.exchange_all();
        }
        let client = &mut self.clients[drainer];
        let cancel = basic::Cancel { consumer_tag: short("drain"), no_wait: false };
        client.ask(1, cancel, Waiting::Cancel("drain".to_owned()));
        self.exchange_all();
    }
}
