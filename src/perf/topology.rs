//! The exchange, queues and bindings of a run.

use amqp_codec::method::{basic, confirm, exchange, queue};
use amqp_codec::{FieldTable, Method, ShortString};

use super::PerfError;
use super::address::{Address, Addresses, Bound};
use super::link::{CHANNEL, Link, short};
use super::plan::{Exchange, Plan};

/// The exchange, queues and bindings of a run.
#[derive(Debug)]
pub(super) struct Topology {
    queues: Vec<ShortString>,
    exchange: ShortString,
    addresses: Addresses,
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
            for queue in &topology.queues {
                let options = QueueOptions {
                    durable: plan.persistent,
                    auto_delete: plan.queues.auto_delete,
                    arguments: plan.queue_arguments(),
                };
                declare_queue(link, queue, options)?;
            }
            topology.bind(link)?;
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
        let addresses = Addresses::of(plan, &queues)?;
        let delete_queues = plan.queues.names.is_empty() && !plan.predeclared;
        let delete_exchange = !plan.predeclared
            && plan.exchange.as_ref().is_some_and(|exchange| exchange.name.is_none());
        Ok(Self { queues, exchange, addresses, delete_queues, delete_exchange })
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

    /// Binds everything: there may be 100,000 bindings, so none but the last is waited for.
    fn bind(&self, link: &mut Link) -> Result<(), PerfError> {
        let Some((last, others)) = self.addresses.bindings.split_last() else { return Ok(()) };
        let bind = |bound: &Bound, no_wait| queue::Bind {
            queue: self.queues[bound.queue].clone(),
            exchange: self.exchange.clone(),
            routing_key: bound.routing_key.clone(),
            arguments: bound.arguments.clone(),
            no_wait,
        };
        for bound in others {
            link.send(CHANNEL, bind(bound, true))?;
        }
        link.call(CHANNEL, bind(last, false), "queue.bind-ok", |method| {
            matches!(method, Method::QueueBindOk(_)).then_some(())
        })
    }

    /// Deletes what was made for this run only.
    pub(super) fn take_down(&self, link: &mut Link) -> Result<(), PerfError> {
        let queues = if self.delete_queues { &self.queues[..] } else { &[] };
        queues.iter().try_for_each(|queue| delete_queue(link, queue))?;
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

    /// Deliveries that each publish leads to.
    pub(super) fn copies(&self) -> u64 {
        self.addresses.copies
    }

    /// The addresses that one of several producers publishes to, in turn.
    pub(super) fn addresses(&self, producer: usize, producers: usize) -> Vec<Address> {
        share(&self.addresses.addresses, producer, producers)
    }

    /// The queues of one of several consumers.
    pub(super) fn queues(&self, consumer: usize, consumers: usize) -> Vec<ShortString> {
        share(&self.queues, consumer, consumers)
    }
}

/// The share of one of several in these. All are taken; where there are too few, several take the same.
fn share<T: Clone>(all: &[T], one: usize, of: usize) -> Vec<T> {
    if of >= all.len() {
        return vec![all[one % all.len()].clone()];
    }
    all.iter().skip(one).step_by(of).cloned().collect()
}

/// How a queue is declared.
#[derive(Debug, Clone, Default)]
pub(super) struct QueueOptions {
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) arguments: FieldTable,
}

pub(super) fn declare_queue(
    link: &mut Link,
    queue: &ShortString,
    options: QueueOptions,
) -> Result<(), PerfError> {
    let QueueOptions { durable, auto_delete, arguments } = options;
    let queue = queue.clone();
    let declare =
        queue::Declare { queue, durable, auto_delete, arguments, ..queue::Declare::default() };
    link.call(CHANNEL, declare, "queue.declare-ok", |method| {
        matches!(method, Method::QueueDeclareOk(_)).then_some(())
    })
}

pub(super) fn delete_queue(link: &mut Link, queue: &ShortString) -> Result<(), PerfError> {
    let delete = queue::Delete { queue: queue.clone(), ..queue::Delete::default() };
    link.call(CHANNEL, delete, "queue.delete-ok", |method| {
        matches!(method, Method::QueueDeleteOk(_)).then_some(())
    })
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
}
