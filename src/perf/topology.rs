//! The exchange, queues and bindings of a run.

use amqp_codec::method::{basic, confirm, exchange, queue};
use amqp_codec::{Method, ShortString};

use super::PerfError;
use super::link::{CHANNEL, Link, short};
use super::plan::{Exchange, Plan};

/// The exchange, queues and bindings of a run.
#[derive(Debug)]
pub(super) struct Topology {
    queues: Vec<ShortString>,
    exchange: ShortString,
    /// The routing keys, one for all queues or one for each.
    keys: Vec<ShortString>,
    /// Deliveries that each publish leads to.
    pub(super) copies: u64,
    delete_queues: bool,
    delete_exchange: bool,
}

impl Topology {
    /// Names everything and declares what is not there.
    pub(super) fn set_up(plan: &Plan, run: u16, link: &mut Link) -> Result<Self, PerfError> {
        let topology = Self::named(plan, run)?;
        if !plan.predeclared {
            if let Some(exchange) = &plan.exchange {
                topology.declare_exchange(plan, exchange, link)?;
            }
            for at in 0..topology.queues.len() {
                topology.declare_queue(plan, at, link)?;
            }
        }
        Ok(topology)
    }

    fn named(plan: &Plan, run: u16) -> Result<Self, PerfError> {
        let own = |what: usize| short(&format!("leveret-perf-{run:04x}-{what}"));
        let queues = if plan.queues.names.is_empty() {
            (1..=plan.queues.generated).map(own).collect::<Result<Vec<_>, _>>()?
        } else {
            plan.queues.names.iter().map(|name| short(name)).collect::<Result<_, _>>()?
        };
        let exchange = match &plan.exchange {
            None => ShortString::default(),
            Some(Exchange { name: Some(name), .. }) => short(name)?,
            Some(_) => own(0)?,
        };
        let is_fanout = plan.exchange.as_ref().is_some_and(|exchange| exchange.kind == "fanout");
        let keys = match &plan.routing_key {
            Some(key) => vec![short(key)?],
            None if is_fanout => vec![ShortString::default()],
            None => queues.clone(),
        };
        // Through the default exchange a message reaches the one queue of its key.
        let all = plan.exchange.is_some() && (is_fanout || keys.len() == 1);
        let copies = if all { queues.len() as u64 } else { 1 };
        let delete_queues = plan.queues.names.is_empty() && !plan.predeclared;
        let delete_exchange = !plan.predeclared
            && plan.exchange.as_ref().is_some_and(|exchange| exchange.name.is_none());
        Ok(Self { queues, exchange, keys, copies, delete_queues, delete_exchange })
    }

    fn declare_exchange(
        &self,
        plan: &Plan,
        Exchange { kind, .. }: &Exchange,
        link: &mut Link,
    ) -> Result<(), PerfError> {
        let declare = exchange::Declare {
            exchange: self.exchange.clone(),
            kind: short(kind)?,
            durable: plan.persistent,
            ..exchange::Declare::default()
        };
        link.call(CHANNEL, declare, "exchange.declare-ok", |method| {
            matches!(method, Method::ExchangeDeclareOk(_)).then_some(())
        })
    }

    fn declare_queue(&self, plan: &Plan, at: usize, link: &mut Link) -> Result<(), PerfError> {
        let queue = &self.queues[at];
        let declare = queue::Declare {
            queue: queue.clone(),
            durable: plan.persistent,
            auto_delete: plan.queues.auto_delete,
            arguments: plan.queues.arguments.clone(),
            ..queue::Declare::default()
        };
        link.call(CHANNEL, declare, "queue.declare-ok", |method| {
            matches!(method, Method::QueueDeclareOk(_)).then_some(())
        })?;
        if plan.exchange.is_none() {
            return Ok(());
        }
        let bind = queue::Bind {
            queue: queue.clone(),
            exchange: self.exchange.clone(),
            routing_key: self.keys.get(at).or(self.keys.first()).cloned().unwrap_or_default(),
            ..queue::Bind::default()
        };
        link.call(CHANNEL, bind, "queue.bind-ok", |method| {
            matches!(method, Method::QueueBindOk(_)).then_some(())
        })
    }

    /// Deletes what was made for this run only.
    pub(super) fn take_down(&self, link: &mut Link) -> Result<(), PerfError> {
        let queues = if self.delete_queues { &self.queues[..] } else { &[] };
        for queue in queues {
            let delete = queue::Delete { queue: queue.clone(), ..queue::Delete::default() };
            link.call(CHANNEL, delete, "queue.delete-ok", |method| {
                matches!(method, Method::QueueDeleteOk(_)).then_some(())
            })?;
        }
        if self.delete_exchange {
            let delete =
                exchange::Delete { exchange: self.exchange.clone(), ..exchange::Delete::default() };
            link.call(CHANNEL, delete, "exchange.delete-ok", |method| {
                matches!(method, Method::ExchangeDeleteOk(_)).then_some(())
            })?;
        }
        Ok(())
    }

    pub(super) fn exchange(&self) -> &ShortString {
        &self.exchange
    }

    /// The keys that one of several producers publishes with, in turn.
    pub(super) fn keys(&self, producer: usize, producers: usize) -> Vec<ShortString> {
        share(&self.keys, producer, producers)
    }

    /// The queues of one of several consumers.
    pub(super) fn queues(&self, consumer: usize, consumers: usize) -> Vec<ShortString> {
        share(&self.queues, consumer, consumers)
    }
}

/// The share of one of several in these. All are taken; where there are too few, several take the same.
fn share(all: &[ShortString], one: usize, of: usize) -> Vec<ShortString> {
    if of >= all.len() {
        return vec![all[one % all.len()].clone()];
    }
    all.iter().skip(one).step_by(of).cloned().collect()
}

/// Has the broker confirm what is published on this connection.
pub(super) fn select_confirms(link: &mut Link) -> Result<(), PerfError> {
    let select = confirm::Select { no_wait: false };
    link.call(CHANNEL, select, "confirm.select-ok", |method| {
        matches!(method, Method::ConfirmSelectOk(_)).then_some(())
    })
}

/// Bounds what a consumer of this connection has unacknowledged.
pub(super) fn set_prefetch(link: &mut Link, prefetch: u16) -> Result<(), PerfError> {
    let qos = basic::Qos { prefetch_count: prefetch, ..basic::Qos::default() };
    link.call(CHANNEL, qos, "basic.qos-ok", |method| {
        matches!(method, Method::BasicQosOk(_)).then_some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(names: usize, of: usize) -> Vec<Vec<String>> {
        let all: Vec<_> = (0..names).map(|n| short(&n.to_string()).unwrap()).collect();
        let share = |one| share(&all, one, of).iter().map(ToString::to_string).collect();
        (0..of).map(share).collect()
    }

    #[test]
    fn every_queue_has_somebody() {
        assert_eq!(shares(5, 2), [vec!["0", "2", "4"], vec!["1", "3"]]);
        assert_eq!(shares(2, 3), [["0"], ["1"], ["0"]]);
        assert_eq!(shares(1, 1), [["0"]]);
    }

    #[test]
    fn how_many_queues_a_message_reaches() {
        let mut plan = Plan::default();
        plan.queues.generated = 3;
        let copies = |plan: &Plan| Topology::named(plan, 1).unwrap().copies;
        assert_eq!(copies(&plan), 1);
        let exchange = |kind: &str| Some(Exchange { name: None, kind: kind.to_owned() });
        plan.exchange = exchange("direct");
        assert_eq!(copies(&plan), 1);
        plan.exchange = exchange("fanout");
        assert_eq!(copies(&plan), 3);
        plan.exchange = exchange("topic");
        plan.routing_key = Some("one.key".to_owned());
        assert_eq!(copies(&plan), 3);
    }
}
