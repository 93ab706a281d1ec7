//! What a client reads about messages: deliveries, returns and confirms, checked against the ledger.

use std::time::Instant;

use amqp_codec::method::basic;

use crate::channel::{Held, InOrder, Lane, Mode, SimChannel, Waiting, text};
use crate::ledger::{self, Delivered, Fate, Message, MessageId};
use crate::life::Life;
use crate::plan::{QueueKind, queue_plan};
use crate::world::Shared;

/// A message as a client reads it.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) life: Life,
    pub(crate) died_in: Option<String>,
    pub(crate) returns: Option<i64>,
    /// It was delivered at this time at the earliest.
    pub(crate) not_before: Instant,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn delivery(
    channel: &mut SimChannel,
    deliver: &basic::Deliver,
    content: &Content,
    shared: &mut Shared,
) {
    check_tag(channel, deliver.delivery_tag);
    if channel.waiting == Some(Waiting::Close) {
        return;
    }
    let stale = channel.is_stale();
    let tag = text(&deliver.consumer_tag);
    let life = content.life;
    let mut consumer = channel
        .consumers
        .remove(&tag)
        .unwrap_or_else(|| panic!("{life:?} for consumer {tag}, which is gone"));
    shared.ledger.delivered(&Delivered {
        life,
        died_in: content.died_in.as_deref(),
        returns: content.returns,
        at: shared.now,
        queue: &consumer.queue,
        redelivered: deliver.redelivered,
        no_ack: consumer.no_ack,
        stale,
        exchange: &text(&deliver.exchange),
        key: &text(&deliver.routing_key),
        body: &content.body,
    });
    let queue = &consumer.queue;
    check_age(queue, content, shared);
    let position = shared.position(queue, life);
    let message = shared.ledger.message(life.id);
    let next = InOrder {
        life,
        lane: Lane::of(queue, life.id, message),
        publisher: message.publisher,
        position,
        redelivered: deliver.redelivered,
        delayed: message.traits.delay.is_some(),
    };
    let single = queue_plan(queue).map(|plan| plan.discipline).is_some_and(|it| {
        // In a queue without groups places tell when something was delivered.
        it.single_active && !it.grouped
    });
    if let Some(position) = position.filter(|_| single && !deliver.redelivered) {
        shared.ledger.check_alone(queue, (channel.uid, consumer.serial), position);
    }
    shared.ledger.stats.overtaken += u64::from(consumer.check_order(&next));
    if !consumer.no_ack {
        let held = Held { queue: consumer.queue.clone(), life, consumer: Some(consumer.serial) };
        channel.held.insert(deliver.delivery_tag, held);
        channel.check_limits(&consumer);
    }
    channel.consumers.insert(tag, consumer);
}

pub(crate) fn got(
    channel: &mut SimChannel,
    get_ok: &basic::GetOk,
    content: &Content,
    shared: &mut Shared,
) {
    check_tag(channel, get_ok.delivery_tag);
    let Some(Waiting::Get { queue, no_ack }) = channel.waiting.take() else {
        panic!("basic.get-ok without basic.get");
    };
    let life = content.life;
    shared.ledger.delivered(&Delivered {
        life,
        died_in: content.died_in.as_deref(),
        returns: content.returns,
        at: shared.now,
        queue: &queue,
        redelivered: get_ok.redelivered,
        no_ack,
        stale: false,
        exchange: &text(&get_ok.exchange),
        key: &text(&get_ok.routing_key),
        body: &content.body,
    });
    check_age(&queue, content, shared);
    if !no_ack {
        channel.held.insert(get_ok.delivery_tag, Held { queue, life, consumer: None });
    }
}

/// Nothing is delivered that was dead before.
fn check_age(queue: &str, content: &Content, shared: &Shared) {
    let place = shared.store.place_in(queue, content.life);
    if let Some(expires) = place.and_then(|place| place.expires) {
        let delivered = shared.timestamp(content.not_before);
        assert!(delivered <= expires, "{:?} was dead when {queue} delivered it", content.life);
    }
}

fn check_tag(channel: &mut SimChannel, tag: u64) {
    assert_eq!(tag, channel.last_tag + 1, "delivery tags count up");
    channel.last_tag = tag;
}

pub(crate) fn returned(channel: &SimChannel, id: MessageId, body: &[u8], shared: &mut Shared) {
    let message = shared.ledger.message(id);
    assert!(message.mandatory && !message.returned, "message {id} is returned once, if asked");
    assert!(message.target.queues.is_empty(), "message {id} has a queue");
    assert_eq!(message.publisher, channel.uid);
    assert!(body == ledger::body(id, message.body_len), "the body of message {id}");
    message.returned = true;
    // It may have been published before the channel was told to confirm.
    if let Mode::Confirm { published, open } = &channel.mode
        && let Ok(index) = published.binary_search(&id)
    {
        assert!(open.contains(&(index as u64 + 1)), "message {id} is returned before its confirm");
    }
    shared.ledger.stats.returned += 1;
}

pub(crate) fn confirmed(
    channel: &mut SimChannel,
    tag: u64,
    multiple: bool,
    taken: bool,
    shared: &mut Shared,
) {
    let Mode::Confirm { published, open } = &mut channel.mode else {
        panic!("a confirm on a channel without confirms");
    };
    assert!(open.contains(&tag), "publish {tag} is confirmed once");
    let first = if multiple { 1 } else { tag };
    let told: Vec<u64> = open.range(first..=tag).copied().collect();
    for sequence in told {
        open.remove(&sequence);
        let id = published[usize::try_from(sequence).expect("small") - 1];
        let message = shared.ledger.message(id);
        assert_eq!(message.fate, Fate::Published, "message {id} is confirmed");
        check_returned(id, message);
        assert!(shared.store.is_durable(id), "message {id} is confirmed before it is safe");
        shared.ledger.stats.confirmed += u64::from(taken);
        shared.ledger.stats.nacked += u64::from(!taken);
        check_taken(id, taken, shared);
    }
}

/// A confirm says that every queue took the message in, its opposite that some queue did not.
fn check_taken(id: MessageId, taken: bool, shared: &mut Shared) {
    let target = shared.ledger.message(id).target;
    if target.wild && !taken {
        return;
    }
    let mut queues = target.queues.to_vec();
    let disciplined =
        |queue: &str| queue_plan(queue).is_some_and(|plan| plan.kind == QueueKind::Disciplined);
    queues.retain(|queue| disciplined(queue));
    let all = queues.iter().all(|queue| shared.store.place_in(queue, Life::first(id)).is_some());
    assert_eq!(all, taken, "message {id} for {queues:?} is confirmed, or not");
}

/// A mandatory message that nothing can match has come back before it is answered for.
pub(crate) fn check_returned(id: MessageId, message: &Message) {
    let unroutable = message.target.queues.is_empty() && !message.target.wild;
    let expected = unroutable && message.mandatory;
    assert!(message.returned || !expected, "message {id} is returned before its confirm");
}
