//! Where messages go, and what is bound for them to get there.

use amqp_codec::{FieldTable, FieldValue, ShortString};
use bytes::Bytes;

use super::PerfError;
use super::link::short;
use super::plan::Plan;

/// What decides where a message goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Address {
    pub(super) routing_key: ShortString,
    pub(super) headers: Option<FieldTable>,
}

/// A binding of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    /// Which of the run's queues.
    pub(super) queue: usize,
    pub(super) routing_key: ShortString,
    pub(super) arguments: FieldTable,
}

/// The bindings of a run's exchange, and the addresses that match them.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) bindings: Vec<Bound>,
    /// What messages have, in turn.
    pub(super) addresses: Vec<Address>,
    /// Deliveries that each message leads to.
    pub(super) copies: u64,
}

impl Addresses {
    /// What a plan needs for these queues.
    pub(super) fn of(plan: &Plan, queues: &[ShortString]) -> Result<Self, PerfError> {
        let Some(exchange) = &plan.exchange else {
            let keys = match &plan.routing_key {
                Some(key) => vec![short(key)?],
                None => queues.to_vec(),
            };
            let address = |routing_key| Address { routing_key, headers: None };
            let addresses = keys.into_iter().map(address).collect();
            return Ok(Self { bindings: Vec::new(), addresses, copies: 1 });
        };
        match (plan.bindings, &plan.routing_key, exchange.kind.as_str()) {
            (None, Some(key), _) => Ok(Self::of_one_key(&short(key)?, queues.len())),
            (None, None, "fanout") => Ok(Self::of_one_key(&ShortString::default(), queues.len())),
            (None, None, "headers") => Self::by_headers(queues.len(), queues.len()),
            (None, None, _) => Ok(Self::of_names(queues)),
            (Some(count), None, "headers") => Self::by_headers(count as usize, queues.len()),
            (Some(count), None, kind @ ("topic" | "direct")) => {
                Self::by_key(count as usize, queues.len(), kind == "topic")
            }
            (Some(_), _, _) => Err(PerfError::Plan(
                "--bindings needs --type topic, direct or headers, and makes its own routing keys"
                    .to_owned(),
            )),
        }
    }

    /// Every message reaches all queues.
    fn of_one_key(key: &ShortString, queues: usize) -> Self {
        let bound = |queue| Bound { queue, routing_key: key.clone(), arguments: FieldTable::new() };
        let bindings = (0..queues).map(bound).collect();
        let addresses = vec![Address { routing_key: key.clone(), headers: None }];
        Self { bindings, addresses, copies: queues as u64 }
    }

    /// Each queue is bound by its name.
    fn of_names(queues: &[ShortString]) -> Self {
        let bound = |(queue, name): (usize, &ShortString)| Bound {
            queue,
            routing_key: name.clone(),
            arguments: FieldTable::new(),
        };
        let address = |name: &ShortString| Address { routing_key: name.clone(), headers: None };
        let bindings = queues.iter().enumerate().map(bound).collect();
        Self { bindings, addresses: queues.iter().map(address).collect(), copies: 1 }
    }

    /// Each message matches one binding, by its key.
    fn by_key(count: usize, queues: usize, patterns: bool) -> Result<Self, PerfError> {
        let mut made = Self { copies: 1, ..Self::default() };
        for number in 0..count {
            let (pattern, key) = match patterns {
                true => (format!("user.{number}.event.*"), format!("user.{number}.event.created")),
                false => (format!("user.{number}"), format!("user.{number}")),
            };
            let (queue, arguments) = (number % queues, FieldTable::new());
            made.bindings.push(Bound { queue, routing_key: short(&pattern)?, arguments });
            made.addresses.push(Address { routing_key: short(&key)?, headers: None });
        }
        made.scatter();
        Ok(made)
    }

    /// Each message matches one binding, by its headers: one of the three is its own.
    fn by_headers(count: usize, queues: usize) -> Result<Self, PerfError> {
        let mut made = Self { copies: 1, ..Self::default() };
        for number in 0..count {
            let customer = format!("customer-{number}");
            let headers = [("format", "pdf"), ("type", "report"), ("customer", &customer)];
            let all = headers.into_iter().chain([("x-match", "all")]);
            let arguments = table(all);
            let (queue, routing_key) = (number % queues, ShortString::default());
            made.bindings.push(Bound { queue, routing_key: routing_key.clone(), arguments });
            made.addresses.push(Address { routing_key, headers: Some(table(headers)) });
        }
        made.scatter();
        Ok(made)
    }

    /// Messages come in an order that no cache can guess.
    fn scatter(&mut self) {
        /// A prime above every number of bindings, which is why each comes once.
        const STEP: usize = 4_294_967_291;
        let count = self.addresses.len();
        self.addresses = (0..count).map(|at| self.addresses[at * STEP % count].clone()).collect();
    }
}

fn table<'a>(entries: impl IntoIterator<Item = (&'static str, &'a str)>) -> FieldTable {
    let text = |text: &str| FieldValue::LongString(Bytes::copy_from_slice(text.as_bytes()));
    entries.into_iter().map(|(name, value)| (ShortString::from_static(name), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::plan::Exchange;

    fn of(
        kind: Option<&str>,
        queues: usize,
        bindings: Option<u32>,
        key: Option<&str>,
    ) -> Addresses {
        let exchange = kind.map(|kind| Exchange { name: None, kind: kind.to_owned() });
        let routing_key = key.map(str::to_owned);
        let plan = Plan { exchange, bindings, routing_key, ..Plan::default() };
        let queues: Vec<_> = (0..queues).map(|n| short(&format!("q{n}")).unwrap()).collect();
        Addresses::of(&plan, &queues).unwrap()
    }

    #[test]
    fn how_many_queues_a_message_reaches() {
        for (kind, key, copies, bindings) in [
            (None, None, 1, 0),
            (Some("direct"), None, 1, 3),
            (Some("fanout"), None, 3, 3),
            (Some("headers"), None, 1, 3),
            (Some("topic"), Some("one.key"), 3, 3),
        ] {
            let made = of(kind, 3, None, key);
            assert_eq!((made.copies, made.bindings.len()), (copies, bindings), "{kind:?}");
        }
    }

    #[test]
    fn every_binding_has_its_address_once() {
        for kind in ["topic", "direct", "headers"] {
            let made = of(Some(kind), 3, Some(1000), None);
            assert_eq!((made.bindings.len(), made.addresses.len(), made.copies), (1000, 1000, 1));
            let mut seen: Vec<_> = made.addresses.iter().map(|one| format!("{one:?}")).collect();
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 1000, "{kind}");
            assert!((0..3).all(|queue| made.bindings.iter().any(|bound| bound.queue == queue)));
        }
    }

    #[test]
    fn bindings_that_make_no_sense_are_refused() {
        let exchange = Some(Exchange { name: None, kind: "fanout".to_owned() });
        let plan = Plan { exchange, bindings: Some(3), ..Plan::default() };
        assert!(Addresses::of(&plan, &[ShortString::from_static("q")]).is_err());
    }
}
