//! What the application behind a simulated client does next.

use std::collections::BTreeSet;

use amqp_codec::method::{basic, channel, confirm, queue, tx};
use amqp_codec::{FieldTable, FieldValue};

use crate::channel::{Held, Mode, SimChannel, SimConsumer, Verdict, Waiting, short};
use crate::discipline::text;
use crate::ledger::{MessageId, Traits};
use crate::peer::{Effect, Phase, SimClient};
use crate::plan::{QUEUES, QueueKind, Target, WILD_BINDINGS, queue_plan};
use crate::world::Shared;

/// Channels of one client.
const CHANNELS_MAX: u16 = 3;

impl SimClient {
    /// Does one thing, if there is anything to do on the channel that chance picks.
    pub(crate) fn act(&mut self, shared: &mut Shared) {
        if self.phase != Phase::Open || self.frozen {
            return;
        }
        let number = u16::try_from(shared.range(1, CHANNELS_MAX.into())).expect("few");
        let Some(channel) = self.channels.get_mut(&number) else {
            let uid = shared.ledger.new_channel();
            self.channels.insert(number, SimChannel::new(uid));
            return self.send(number, channel::Open {});
        };
        if !channel.is_free() {
            let give_up = channel.poisoned && channel.waiting.is_none() && shared.chance(0.2);
            if give_up {
                self.close_channel(number);
            }
            return;
        }
        let hasty = if shared.restless { 0.5 } else { 0.1 };
        if matches!(channel.mode, Mode::Plain) && shared.chance(hasty) {
            return self.select(number, shared);
        }
        if shared.restless && shared.chance(0.15) {
            return match shared.range(0, 1) {
                0 => self.close_channel(number),
                _ => self.change_topology(number, shared),
            };
        }
        match shared.range(0, 999) {
            0..330 => self.publish_some(number, shared),
            330..640 => self.settle_some(number, shared),
            640..720 => self.consume(number, shared),
            720..770 => self.get(number, shared),
            770..800 => self.qos(number, shared),
            800..820 => self.cancel(number, shared),
            820..830 => {
                self.ask(number, basic::Recover { requeue: true }, Waiting::Recover);
            }
            830..920 => self.finish_transaction(number, shared),
            920..935 => self.close_channel(number),
            935..945 => self.poison(number, shared),
            945..996 => self.change_topology(number, shared),
            996..998 => self.doom(number),
            _ => {}
        }
    }

    fn publish_some(&mut self, number: u16, shared: &mut Shared) {
        if self.blocked && shared.chance(0.95) {
            return;
        }
        let target = shared.pick_target();
        for _ in 0..shared.range(1, 6) {
            let target = if shared.chance(0.2) { shared.pick_target() } else { target };
            let body_len = match shared.range(0, 99) {
                0..20 => 0,
                20..90 => shared.range(1, 200),
                90..96 => shared.range(1000, 9000),
                96..98 => shared.range(16_000, 17_000),
                98 => shared.range(30_000, 70_000),
                _ => shared.range(70_000, 200_000),
            };
            let mandatory =
                shared.chance(0.3) && (target.queues.len() + 1 > usize::from(target.wild));
            let traits = traits(target, shared);
            self.publish(number, target, traits, body_len, mandatory, shared);
        }
    }

    fn settle_some(&mut self, number: u16, shared: &mut Shared) {
        let channel = self.channels.get_mut(&number).expect("an open channel");
        let tags: Vec<u64> = channel.held.keys().copied().collect();
        if tags.is_empty() {
            return;
        }
        // Mostly from the oldest on, as clients do.
        let last = if shared.chance(0.3) { tags.len() - 1 } else { 0 };
        let tag = tags[shared.range(0, last)];
        let multiple = shared.chance(0.4);
        let requeue = shared.chance(if shared.picky { 0.8 } else { 0.3 });
        let acks = if shared.picky { 2 } else { 7 };
        let taken: Vec<(u64, Held)> = if multiple {
            let later = channel.held.split_off(&(tag + 1));
            std::mem::replace(&mut channel.held, later).into_iter().collect()
        } else {
            channel.held.remove_entry(&tag).into_iter().collect()
        };
        let verdict =
            |rejected| if requeue { Verdict::Requeue { rejected } } else { Verdict::Discard };
        let (method, verdict): (amqp_codec::Method, _) = match shared.range(0, 9) {
            dice if dice < acks => {
                (basic::Ack { delivery_tag: tag, multiple }.into(), Verdict::Ack)
            }
            0..8 if !multiple => {
                (basic::Reject { delivery_tag: tag, requeue }.into(), verdict(true))
            }
            _ => (basic::Nack { delivery_tag: tag, multiple, requeue }.into(), verdict(false)),
        };
        let answered = match &mut channel.mode {
            Mode::Tx { settled, .. } => {
                settled.extend(taken.into_iter().map(|(tag, held)| (tag, (held, verdict))));
                Vec::new()
            }
            _ => taken.into_iter().map(|(_, held)| (held, verdict)).collect(),
        };
        self.send(number, method);
        self.once_read(Effect::Settled(answered));
    }

    fn consume(&mut self, number: u16, shared: &mut Shared) {
        let queue = self.any_queue(shared);
        let channel = self.channels.get_mut(&number).expect("an open channel");
        if channel.consumers.len() >= 4 {
            return;
        }
        let plan = queue_plan(&queue);
        if plan.is_some_and(|plan| plan.discipline.quorum) && channel.global_limit > 0 {
            // That is not implemented, and would end the connection.
            return;
        }
        let no_ack = may_lose(&queue) && shared.chance(0.4);
        let mut tags = ["c0", "c1", "c2", "c3", "c4"].into_iter();
        let free = tags.find(|tag| !channel.consumers.contains_key(*tag));
        let tag = if shared.chance(0.3) { "" } else { free.expect("at most four are in use") };
        let exclusive = shared.chance(0.1);
        let priority = shared.chance(0.4).then(|| shared.pick(&[-1, 1, 7]));
        let serial = channel.next_serial();
        let mut consumer = SimConsumer::new(serial, &queue, channel.prefetch, no_ack, false);
        consumer.priority = priority.unwrap_or(0);
        let mut arguments = FieldTable::new();
        if let Some(priority) = priority {
            arguments.push(short("x-priority"), FieldValue::I32(priority));
        }
        if plan.is_some_and(|plan| plan.discipline.takes_back()) && shared.chance(0.3) {
            arguments.push(short("x-consumer-timeout"), FieldValue::I32(700));
            let action = text(shared.pick(&["requeue", "cancel"]));
            arguments.push(short("x-consumer-timeout-action"), action);
        }
        let consume = basic::Consume {
            queue: short(&queue),
            consumer_tag: short(tag),
            no_local: false,
            no_ack,
            exclusive,
            no_wait: false,
            arguments,
        };
        self.ask(number, consume, Waiting::Consume(consumer));
    }

    fn get(&mut self, number: u16, shared: &mut Shared) {
        let queue = self.any_queue(shared);
        let no_ack = may_lose(&queue) && shared.chance(0.5);
        let get = basic::Get { queue: short(&queue), no_ack };
        self.ask(number, get, Waiting::Get { queue, no_ack });
    }

    fn any_queue(&mut self, shared: &mut Shared) -> String {
        match self.exclusive_queues.last() {
            Some(own) if shared.chance(0.1) => own.clone(),
            _ => shared.pick_queue().to_owned(),
        }
    }

    fn qos(&mut self, number: u16, shared: &mut Shared) {
        let channel = self.channels.get_mut(&number).expect("an open channel");
        let prefetch_count = shared.pick(&[0, 1, 1, 2, 3, 5, 20]);
        let global = shared.chance(0.3);
        if global {
            let untouched = channel.consumers.is_empty() && channel.owed_to_consumers() == 0;
            channel.global_max = match (prefetch_count, channel.global_max) {
                (0, _) => None,
                (limit, _) if untouched => Some(limit),
                (limit, Some(max)) => Some(max.max(limit)),
                (_, None) => None,
            };
            channel.global_limit = prefetch_count;
        } else {
            channel.prefetch = prefetch_count;
        }
        self.ask(number, basic::Qos { prefetch_size: 0, prefetch_count, global }, Waiting::Qos);
    }

    fn cancel(&mut self, number: u16, shared: &mut Shared) {
        let channel = self.channels.get_mut(&number).expect("an open channel");
        let tags: Vec<String> = channel.consumers.keys().cloned().collect();
        let tag = if tags.is_empty() { "unknown".to_owned() } else { shared.pick(&tags) };
        let cancel = basic::Cancel { consumer_tag: short(&tag), no_wait: false };
        self.ask(number, cancel, Waiting::Cancel(tag));
    }

    fn select(&mut self, number: u16, shared: &mut Shared) {
        let channel = self.channels.get_mut(&number).expect("an open channel");
        if shared.chance(0.7) {
            channel.mode = Mode::Confirm { published: Vec::new(), open: BTreeSet::new() };
            self.ask(number, confirm::Select { no_wait: false }, Waiting::Select);
        } else {
            channel.mode = Mode::Tx { publishes: Vec::new(), settled: Default::default() };
            self.ask(number, tx::Select {}, Waiting::Select);
        }
    }

    fn finish_transaction(&mut self, number: u16, shared: &mut Shared) {
        let channel = self.channels.get_mut(&number).expect("an open channel");
        let Mode::Tx { publishes, settled } = &mut channel.mode else { return };
        if shared.chance(0.3) {
            return self.ask(number, tx::Rollback {}, Waiting::Rollback);
        }
        let published: Vec<MessageId> = publishes.clone();
        let settled = std::mem::take(settled).into_values().collect();
        self.ask(number, tx::Commit {}, Waiting::Commit);
        self.once_read(Effect::Published(published));
        self.once_read(Effect::Settled(settled));
    }

    fn close_channel(&mut self, number: u16) {
        let close =
            channel::Close { reply_code: 200, reply_text: short(""), class_id: 0, method_id: 0 };
        self.ask(number, close, Waiting::Close);
    }

    /// Sends something for which the broker closes the channel.
    fn poison(&mut self, number: u16, shared: &mut Shared) {
        if shared.chance(0.5) {
            self.send(number, basic::Ack { delivery_tag: 1 << 40, multiple: shared.chance(0.5) });
        } else {
            let (queue, no_ack) = (short("missing"), true);
            self.send(number, basic::Get { queue, no_ack });
        }
        self.channels.get_mut(&number).expect("an open channel").poisoned = true;
    }

    /// Sends something for which the broker closes the connection.
    fn doom(&mut self, number: u16) {
        self.send(number, basic::Qos { prefetch_size: 1, prefetch_count: 0, global: false });
        self.phase = Phase::Doomed;
    }

    fn change_topology(&mut self, number: u16, shared: &mut Shared) {
        let wild: Vec<&str> = QUEUES
            .iter()
            .filter(|queue| queue.kind == QueueKind::Wild)
            .map(|queue| queue.name)
            .collect();
        let name = shared.pick(&wild);
        let (exchange, key) = shared.pick(&WILD_BINDINGS);
        let (exchange, routing_key) = (short(exchange), short(key));
        let arguments = FieldTable::default();
        let queue = short(name);
        let method: amqp_codec::Method = match shared.range(0, 9) {
            0..3 => declare(name).into(),
            // What it gets it passes on, so it has to be persistent.
            3..6 if name == "waits" => {
                queue::Delete { queue, if_unused: false, if_empty: false, no_wait: false }.into()
            }
            3..5 => queue::Bind { queue, exchange, routing_key, no_wait: false, arguments }.into(),
            5 => queue::Unbind { queue, exchange, routing_key, arguments }.into(),
            6 => {
                let (if_unused, if_empty) = (shared.chance(0.2), shared.chance(0.2));
                queue::Delete { queue, if_unused, if_empty, no_wait: false }.into()
            }
            7 => {
                let queue = short(shared.pick(&["l0", "l1", "w0", "prio", "groupx"]));
                queue::Purge { queue, no_wait: false }.into()
            }
            8 => {
                let name = format!("own-{}-{}", self.uid, self.exclusive_queues.len());
                let mut declare = declare(&name);
                declare.exclusive = true;
                self.exclusive_queues.push(name);
                declare.into()
            }
            // A declaration that says what is there already, with its counts.
            _ => declare(shared.pick(&QUEUES).name).into(),
        };
        self.ask(number, method, Waiting::Topology);
    }
}

/// The declaration of a queue as planned.
pub(crate) fn declare(name: &str) -> queue::Declare {
    let plan = queue_plan(name);
    queue::Declare {
        queue: short(name),
        passive: false,
        durable: plan.is_some_and(|plan| plan.durable),
        exclusive: false,
        auto_delete: plan.is_some_and(|plan| plan.auto_delete),
        no_wait: false,
        arguments: plan.map(|plan| plan.discipline.arguments()).unwrap_or_default(),
    }
}

/// Automatic acknowledgements are for queues whose messages may go down with a connection.
fn may_lose(queue: &str) -> bool {
    queue_plan(queue).is_none_or(|plan| {
        matches!(plan.kind, QueueKind::Wild | QueueKind::Lossy) || plan.discipline.lossy
    })
}

/// What a message says of itself, where that concerns nobody else's order.
fn traits(target: Target, shared: &mut Shared) -> Traits {
    if !target.disciplined {
        return Traits::default();
    }
    let number = |most, shared: &mut Shared| shared.range(0, most) as u64;
    Traits {
        priority: if shared.chance(0.7) { number(9, shared) as u8 } else { 0 },
        expiration: shared.chance(0.12).then(|| number(4_000, shared) / 500 * 500),
        delay: shared.chance(0.1).then(|| number(5_000, shared) + 1),
        group: shared.chance(0.85).then(|| number(3, shared) as u8),
    }
}
