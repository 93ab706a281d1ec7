//! A single message, while nothing else is on its way: then it is known who has to get it.

use std::collections::BTreeMap;

use crate::channel::SimConsumer;
use crate::ledger::Traits;
use crate::life::Life;
use crate::plan::{QUEUES, QueueKind, QueuePlan, TARGETS};
use crate::world::World;

/// A consumer: its client, its channel there, and its serial.
type Place = (u64, u16, u32);

impl World {
    /// Of the consumers that have credit, one of the highest priority gets a message.
    pub(crate) fn probe(&mut self) {
        self.come_to_rest();
        if !self.clients.iter().all(|client| client.is_read() && !client.blocked) {
            return;
        }
        let choices = QUEUES.iter().filter(|plan| is_decided(plan));
        let choices = choices.map(|plan| (plan.name, self.idle_consumers(plan.name)));
        let range = |idle: &BTreeMap<Place, i32>| {
            idle.values().max().zip(idle.values().min()).map(|(highest, lowest)| highest - lowest)
        };
        let Some((name, idle)) = choices.max_by_key(|(_, idle)| range(idle)) else { return };
        let Some(highest) = idle.values().copied().max() else { return };
        let mut targets = TARGETS.iter();
        let target = targets.find(|it| it.exchange.is_empty() && it.key == name);
        let Some(&target) = target else { return };
        let sender = self.connect_and_open();
        let uid = self.clients[sender].uid;
        let sender = &mut self.clients[sender];
        let id = sender.publish(1, target, Traits::default(), 1, false, &mut self.shared);
        self.exchange_all();
        let receiver = self.holder(name, Life::first(id));
        if let Some(receiver) = receiver {
            let priority = idle.get(&receiver);
            assert_eq!(priority, Some(&highest), "{name}: {receiver:?} got {id} among {idle:?}");
            let lower = idle.values().any(|priority| *priority < highest);
            self.shared.ledger.stats.priorities_respected += u64::from(lower);
        }
        let sender = self.clients.iter_mut().find(|client| client.uid == uid);
        sender.expect("nothing happens to it").close();
        self.exchange_all();
    }

    /// The consumers of a queue that have credit, with their priorities.
    fn idle_consumers(&self, queue: &str) -> BTreeMap<Place, i32> {
        let mut idle = BTreeMap::new();
        for client in &self.clients {
            for (&number, channel) in &client.channels {
                let has_credit = |it: &&SimConsumer| it.queue == queue && channel.has_credit(it);
                for consumer in channel.consumers.values().filter(has_credit) {
                    idle.insert((client.uid, number, consumer.serial), consumer.priority);
                }
            }
        }
        idle
    }

    /// The consumer that holds a message.
    fn holder(&self, queue: &str, life: Life) -> Option<Place> {
        for client in &self.clients {
            for (&number, channel) in &client.channels {
                let mut held = channel.held.values();
                if let Some(held) = held.find(|held| held.queue == queue && held.life == life) {
                    return held.consumer.map(|serial| (client.uid, number, serial));
                }
            }
        }
        None
    }
}

/// It depends on priorities alone who gets a message, and who gets it keeps it.
fn is_decided(plan: &QueuePlan) -> bool {
    let discipline = plan.discipline;
    let by_others = discipline.grouped || discipline.single_active || discipline.takes_back();
    let is_kept = matches!(plan.kind, QueueKind::Strict | QueueKind::Disciplined);
    is_kept && !discipline.lossy && !by_others
}
