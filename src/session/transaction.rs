//! Transactions: publishes and settlements that wait for `tx.commit`.

use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::tx;
use amqp_codec::{ChannelId, ShortString};

use super::channel::{Mode, TransactedPublish, Transaction};
use super::client::{Answer, Session};
use super::publish::return_message;
use crate::broker::message::Message;
use crate::broker::routing::{Publication, Route, Router};
use crate::protocol::exception::Exception;
use crate::protocol::output::Output;

impl Session {
    pub(super) fn tx_select(&mut self, id: ChannelId) -> Result<Answer, Exception> {
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(None) };
        match channel.mode {
            Mode::Transaction(_) => {}
            Mode::Plain => channel.mode = Mode::Transaction(Transaction::default()),
            Mode::Confirm(_) => {
                return Err(Exception::precondition_failed(
                    "cannot switch from confirm to tx mode",
                ));
            }
        }
        Ok(Some(tx::SelectOk {}.into()))
    }

    pub(super) fn tx_commit(
        &mut self,
        id: ChannelId,
        output: &mut Output,
        now: Instant,
    ) -> Result<Answer, Exception> {
        let Transaction { publishes, settled, .. } = self.take_transaction(id)?;
        let store = Arc::clone(&self.host.store);
        let unit = store.unit();
        let refused = self.publish_committed(id, publishes, output, now);
        for (_, delivered, verdict) in settled {
            self.settle_one(id, delivered, verdict, now);
        }
        self.flush_settlements(now);
        drop(unit);
        self.must_last = true;
        if refused > 0 {
            // The rest of the transaction holds. There are no confirms here, so this is the only way
            // to say that something is missing.
            return Err(Exception::precondition_failed("partial tx completion"));
        }
        Ok(Some(tx::CommitOk {}.into()))
    }

    pub(super) fn tx_rollback(&mut self, id: ChannelId) -> Result<Answer, Exception> {
        self.undo_transaction(id)?;
        Ok(Some(tx::RollbackOk {}.into()))
    }

    /// Drops what was published and takes back what was settled.
    pub(super) fn undo_transaction(&mut self, id: ChannelId) -> Result<(), Exception> {
        let Transaction { publishes, settled, .. } = self.take_transaction(id)?;
        // Nobody has seen what comes back: it may come again.
        publishes.iter().for_each(|publish| publish.route.forget(&publish.message));
        let freed = publishes.iter().map(|publish| publish.message.memory()).sum();
        self.host.free_memory(freed);
        if let Some(channel) = self.channels.get_mut(&id) {
            let settled = settled.into_iter().map(|(tag, delivered, _)| (tag, delivered));
            channel.unacked.restore(settled);
        }
        Ok(())
    }

    fn take_transaction(&mut self, id: ChannelId) -> Result<Transaction, Exception> {
        match self.channels.get_mut(&id).map(|channel| &mut channel.mode) {
            Some(Mode::Transaction(transaction)) => Ok(std::mem::take(transaction)),
            _ => Err(Exception::precondition_failed("channel is not transactional")),
        }
    }

    /// Enters the publishes of a committed transaction. Messages that were counted when they were
    /// published are counted once. How many messages some queue refused.
    fn publish_committed(
        &mut self,
        id: ChannelId,
        publishes: Vec<TransactedPublish>,
        output: &mut Output,
        now: Instant,
    ) -> usize {
        let mut refused = 0;
        for TransactedPublish { message, route, mandatory } in publishes {
            self.host.free_memory(message.memory());
            let route = self.present_route(route, &message, now);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.count(&route, mandatory, &mut self.tally, &self.host.churn);
            }
            if route.is_recorded() {
                route.record(&message, &message.routing_keys());
            }
            if route.queues.is_empty() {
                if mandatory && route.is_unroutable() {
                    return_message(id, &message, output);
                }
                continue;
            }
            if self.batch.is_full() {
                refused += self.flush_publishes_of_unit(now);
            }
            if let Err((route, message)) = self.batch.add(route, message) {
                refused += self.flush_publishes_of_unit(now);
                let _ = self.batch.add(route, message);
            }
        }
        refused + self.flush_publishes_of_unit(now)
    }

    /// The route of a message that waited for its commit, found anew if something was declared, bound
    /// or deleted meanwhile. An exchange that is gone leads nowhere.
    fn present_route(&self, route: Arc<Route>, message: &Message, now: Instant) -> Arc<Route> {
        let version = self.vhost.version();
        if route.version == version || route.is_once() {
            return route;
        }
        let publication = Publication {
            exchange: &ShortString::truncated(message.exchange()),
            routing_keys: &message.routing_keys(),
            properties: message.properties(),
            now,
        };
        let anew = self.vhost.route(&mut Router::default(), &publication);
        Arc::new(anew.unwrap_or_else(|_| Route { version, ..Route::default() }))
    }
}
