//! A client from its first byte to its last: the conversation and, once a vhost is open, the session.

mod login;
mod turn;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::{access, basic, channel, confirm, connection};
use amqp_codec::{ChannelId, Method, ReplyCode};
use bytes::{Buf, BytesMut};
use rustc_hash::FxBuildHasher;

use super::arrivals::Arrival;
use super::batch::PublishBatch;
use super::channel::{Delivered, Mode, SessionChannel, Verdict};
use super::firehose::Traced;
use super::host::Host;
use super::log_lines::Introduction;
use super::outbox::{Item, Outbox, RequestConfirmation, Wake};
use super::peer::Peer;
use super::registry::ChannelRefused;
use super::report::About;
use super::rights::Rights;
use super::settle::SettleBatch;
use super::stats::Tally;
use crate::broker::effect::{Effects, Handed, Wakeups};
use crate::broker::queue::Announcement;
use crate::broker::queue::{ConsumerHandle, Return};
use crate::broker::queue_cell::{ConnectionId, QueueCell, QueueId};
use crate::broker::vhost::{DeleteConditions, VHost};
use crate::protocol::confirm::ConfirmLedger;
use crate::protocol::connection::{
    ClientCapabilities, Connection, Expired, Failure, Settings, State,
};
use crate::protocol::exception::{Exception, Scope, ids};
use crate::protocol::output::Output;
use crate::protocol::request::Request;
use crate::protocol::unacked::Settled;

/// Input is left alone while this many bytes of answers wait: a client that asks and never reads
/// costs this and no more.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Deliveries are written while less than this waits: enough to fill a socket, and no more.
const DELIVERY_BYTES_MAX: usize = 256 * 1024;

/// The answer to a method, if it has one now.
pub(super) type Answer = Option<Method>;

/// Whether a client's input is to be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Yes.
    On,
    /// Not before its output is written, or (for a publisher) memory is free again.
    Paused,
}

/// One client.
///
/// Fed with bytes and the time; what it has to say gathers in [`Client::output`].
#[derive(Debug)]
pub struct Client {
    pub(super) host: Arc<Host>,
    pub(super) peer: Peer,
    pub(super) outbox: Arc<Outbox>,
    pub(super) id: ConnectionId,
    pub(super) connection: Connection,
    pub(super) user: String,
    pub(super) introduction: Introduction,
    pub(super) about: About,
    /// When it asked for something last, or got something.
    pub(super) active_at: Instant,
    pub(super) session: Option<Session>,
    /// A publisher that waits for memory, the disk, or the store.
    pub(super) blocked: bool,
    /// It was told why. Where the store has a lot to write at the moment it is not.
    told_blocked: bool,
    /// A request that could not be answered yet.
    unanswered: Option<Unanswered>,
    /// Bytes of incomplete bodies that are counted as message memory.
    held: usize,
    /// Its place among those who are connected, which it holds as somebody who has not logged in at first.
    arrival: Option<Arc<Arrival>>,
}

/// A request whose answer has to wait for the store. Nothing is read meanwhile: answers are in the order
/// of their requests.
#[derive(Debug)]
enum Unanswered {
    /// This is the answer, once what the request changed will last.
    Committing(ChannelId, Method),
    /// The message is to be read from the store.
    Getting(ChannelId, basic::Get),
    /// It is asked once more when the store knows for sure that somebody uses the queue.
    Announcing(ChannelId, AnnouncedUse),
}

/// A `basic.consume` or `basic.get` that has to wait until [`Queue::announce_use`] is durable.
///
/// [`Queue::announce_use`]: crate::broker::queue::Queue::announce_use
#[derive(Debug)]
pub(super) struct AnnouncedUse {
    pub(super) queue: Arc<QueueCell>,
    pub(super) announcement: Announcement,
    pub(super) request: Method,
}

/// The broker's side of an open connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) host: Arc<Host>,
    pub(super) id: ConnectionId,
    pub(super) user: String,
    pub(super) peer: Peer,
    pub(super) vhost: Arc<VHost>,
    pub(super) rights: Rights,
    pub(super) outbox: Arc<Outbox>,
    pub(super) capabilities: ClientCapabilities,
    pub(super) channels: HashMap<ChannelId, Box<SessionChannel>, FxBuildHasher>,
    pub(super) exclusive_queues: Vec<Arc<QueueCell>>,
    pub(super) batch: PublishBatch,
    pub(super) settlements: SettleBatch,
    pub(super) tally: Tally,
    /// All that its publishes handed to consumers, and to how many the last batch of them.
    pub(super) handed: Handed,
    /// Those of them that are not woken yet.
    pub(super) wakeups: Wakeups,
    /// Channels whose consumers wait for credit that has come back.
    pub(super) starved: Vec<ChannelId>,
    /// The serial of the channel that was opened last.
    pub(super) last_serial: u32,
    /// Channels with confirms to write.
    pub(super) to_confirm: Vec<ChannelId>,
    /// What was taken out of the outbox and not yet written.
    pub(super) arrived: std::vec::IntoIter<Item>,
    /// Channels to be closed for what their consumers did not do.
    pub(super) failures: Vec<Failure>,
    /// Something was published since this was last looked at.
    pub(super) published: bool,
    /// Memory is free again.
    pub(super) unblocked: bool,
    /// The request that is being handled is to be answered once what it changed will last.
    pub(super) must_last: bool,
    /// What a request changed will last.
    pub(super) committed: bool,
    /// A `basic.get` whose message the store has been asked for.
    pub(super) get_later: Option<basic::Get>,
    /// It may be there now.
    pub(super) try_again: bool,
    /// A request that waits until it is known that its queue is used.
    pub(super) announced: Option<AnnouncedUse>,
    /// Reused for settlements.
    pub(super) taken: Vec<(u64, Delivered)>,
}

impl Client {
    /// A client that connected now. `wake` is called, from any thread, when the broker has something
    /// for it: [`Client::poll_outbox`] is to be called soon after.
    pub fn new(host: Arc<Host>, peer: Peer, wake: Wake, now: Instant) -> Self {
        let id = host.next_connection_id();
        let outbox = Arc::new(Outbox::new(wake));
        host.registry.add(id, peer.clone(), &outbox);
        let about = About::new(host.epoch.timestamp(now));
        let external = peer.certificate().is_some();
        let connection = Connection::new(Settings { external, ..host.connection.clone() }, now);
        Self {
            host,
            peer,
            outbox,
            id,
            connection,
            user: String::new(),
            introduction: Introduction::default(),
            active_at: now,
            about,
            session: None,
            blocked: false,
            told_blocked: false,
            unanswered: None,
            held: 0,
            arrival: None,
        }
    }

    /// Bytes were received.
    pub fn received(&mut self, now: Instant) {
        self.about.traffic.reads += 1;
        self.connection.heartbeat().received(now);
    }

    /// Acts on what was received, as far as it may be acted on now; complete frames leave `input`.
    pub fn process(&mut self, input: &mut BytesMut, now: Instant) -> Reading {
        if self.state() == State::AwaitingHeader {
            self.log_first_bytes(input);
        }
        let (mut request, mut acted) = (None, false);
        loop {
            while !self.must_wait() {
                let before = input.len();
                let read = self.connection.next_request(input, &mut request, now);
                self.about.traffic.received_bytes += (before - input.len()) as u64;
                if let Err(failure) = read {
                    self.fail(&failure, now);
                } else if let Some(Request::Publish(id)) = request {
                    acted = true;
                    self.publish(id, now);
                } else if let Some(request) = request.take() {
                    acted = true;
                    self.handle(request, now);
                } else {
                    break;
                }
            }
            if std::mem::take(&mut acted) {
                self.active_at = now;
            }
            let waited = self.must_wait();
            self.end_of_batch(now);
            if self.must_wait() {
                return Reading::Paused;
            }
            if !waited {
                return Reading::On;
            }
        }
    }

    /// Writes what other clients caused: deliveries, confirms, cancellations.
    pub fn poll_outbox(&mut self, now: Instant) {
        if self.session.is_some()
            && let Some(reason) = self.outbox.close_reason().map(str::to_owned)
        {
            return self.force_close(&reason, now);
        }
        if let Some(session) = &mut self.session {
            let output = self.connection.output();
            let before = output.written() + output.remaining() as u64;
            session.drain_outbox(output, DELIVERY_BYTES_MAX, now);
            session.write_confirms(output);
            if output.written() + output.remaining() as u64 != before {
                self.active_at = now;
            }
            if std::mem::take(&mut session.unblocked) && self.blocked {
                self.go_on();
            }
        }
        self.answer_late(now);
        self.fail_channels(now);
        self.tell();
    }

    /// A publisher that waited need not wait any more, unless there is another reason; one that was told so
    /// is told this as well.
    fn go_on(&mut self) {
        if self.host.alarm().is_some() {
            return self.wait_for_relief();
        }
        self.blocked = false;
        if std::mem::take(&mut self.told_blocked) {
            self.connection.unblocked();
        }
    }

    /// Answers a request that had to wait for the store, if it need not wait any more.
    fn answer_late(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        let committed = std::mem::take(&mut session.committed);
        let try_again = std::mem::take(&mut session.try_again);
        match self.unanswered.take() {
            Some(Unanswered::Committing(id, answer)) if committed => {
                if session.is_open(id) {
                    self.connection.output().method(id, answer);
                }
            }
            Some(Unanswered::Getting(id, get)) if try_again => {
                // Its channel may have closed for a delivery that was held for too long.
                if session.is_open(id) {
                    self.method(id, Method::BasicGet(get), now);
                }
            }
            Some(Unanswered::Announcing(id, announced)) if committed => {
                let AnnouncedUse { queue, announcement, request } = announced;
                queue.state.lock().use_is_safe(announcement);
                if session.is_open(id) {
                    self.method(id, request, now);
                }
            }
            unanswered => self.unanswered = unanswered,
        }
    }

    /// Closes the channels whose consumers held deliveries for too long.
    fn fail_channels(&mut self, now: Instant) {
        while let Some(session) = &mut self.session
            && let Some(failure) = session.failures.pop()
        {
            if session.is_open(failure.channel) {
                self.fail(&failure, now);
            }
        }
    }

    /// Whether input is to be left alone for now.
    pub fn must_wait(&mut self) -> bool {
        self.blocked
            || self.unanswered.is_some()
            || self.connection.output().remaining() >= OUTPUT_BYTES_MAX
    }

    /// What is to be written to the socket.
    pub fn output(&mut self) -> &mut Output {
        self.connection.output()
    }

    /// Bytes were written.
    pub fn sent(&mut self, now: Instant) {
        self.about.traffic.writes += 1;
        self.connection.heartbeat().sent(now);
        if self.must_wait() {
            // Its heartbeats are not read meanwhile; that it takes in what is written shows as
            // well that it lives.
            self.connection.heartbeat().received(now);
        }
    }

    /// Where the conversation stands.
    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// When [`Client::handle_timeout`] is to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.connection.next_deadline()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.blocked || self.unanswered.is_some() {
            // Its input is not read, so its silence says nothing.
            self.connection.heartbeat().received(now);
        }
        if let Some(expired) = self.connection.handle_timeout(now) {
            match expired {
                Expired::Handshake => self.log_timeout("handshake timeout"),
                Expired::Heartbeat => {
                    let seconds = self.connection.limits().heartbeat;
                    self.log_timeout(&format!(
                        "missed heartbeats from client, timeout: {seconds}s"
                    ));
                }
                Expired::Close => {}
            }
            self.end_session(now);
        }
    }

    /// Asks the client to go, as at shutdown: 320, with a reason.
    pub fn force_close(&mut self, reason: &str, now: Instant) {
        let exception = Exception::new(ReplyCode::ConnectionForced, reason);
        self.log_failure(&Failure { channel: ChannelId::CONNECTION, exception: exception.clone() });
        self.end_session(now);
        self.connection.close(&exception, now);
    }

    /// The socket is gone: everything the client held goes back.
    pub fn disconnect(&mut self, now: Instant) {
        self.log_disconnected();
        self.end_session(now);
        if self.has_spoken() {
            self.tell_closed();
        }
    }

    fn handle(&mut self, request: Request, now: Instant) {
        match request {
            Request::Publish(id) => self.publish(id, now),
            Request::Ack(id, ack) => self.method(id, Method::BasicAck(ack), now),
            Request::Method(id, method) => self.method(id, *method, now),
            Request::OpenChannel(id) => {
                let Some(session) = &mut self.session else { return };
                match session.open_channel(id) {
                    Ok(()) => self.connection.channel_opened(id),
                    Err(exception) => self.fail(&Failure { channel: id, exception }, now),
                }
            }
            Request::CloseChannel(id) => {
                if let Some(session) = &mut self.session {
                    session.flush(now);
                    session.settle_outbox(self.connection.output(), now);
                    session.close_channel(id, self.connection.output(), now);
                }
                self.connection.channel_closed(id);
            }
            Request::Close => {
                self.log_closed();
                self.end_session(now);
            }
            Request::Login(login) => self.login(*login, now),
            Request::OpenVHost(name) => self.open_vhost(&name, now),
            Request::UpdateSecret(_) => {
                let ok = connection::UpdateSecretOk {};
                self.connection.output().method(ChannelId::CONNECTION, ok);
            }
        }
    }

    fn publish(&mut self, id: ChannelId, now: Instant) {
        let Some(session) = &mut self.session else { return };
        let Some((content, output)) = self.connection.publishing(id) else { return };
        let published = session.publish(id, content, output, now);
        self.connection.published(id);
        if let Err(exception) = published {
            self.fail(&Failure { channel: id, exception }, now);
        }
        // The alarm stops a publisher at its next message, as in RabbitMQ; what it sent before
        // is taken in. The store stops it at the end of what was read at once.
        if self.host.memory.is_alarmed() {
            self.block(now);
        }
    }

    fn method(&mut self, id: ChannelId, method: Method, now: Instant) {
        let blamed = ids(&method);
        let Some(session) = &mut self.session else { return };
        session.must_last = false;
        match session.method(id, method, self.connection.output(), now) {
            Ok(answer) => {
                let must_last = std::mem::take(&mut session.must_last);
                let get = session.get_later.take();
                self.unanswered = get.map(|get| Unanswered::Getting(id, get));
                if let Some(announced) = session.announced.take() {
                    self.answer_when_durable(Unanswered::Announcing(id, announced));
                }
                if let Some(answer) = answer {
                    self.answer(id, answer, must_last);
                }
            }
            Err(exception) => {
                let exception = exception.blame(blamed);
                self.fail(&Failure { channel: id, exception }, now);
            }
        }
    }

    /// Answers a request, at once or when what it changed will last.
    fn answer(&mut self, id: ChannelId, answer: Method, must_last: bool) {
        if must_last && self.host.store.keeps_messages() {
            self.answer_when_durable(Unanswered::Committing(id, answer));
        } else {
            self.connection.output().method(id, answer);
        }
    }

    fn answer_when_durable(&mut self, unanswered: Unanswered) {
        self.unanswered = Some(unanswered);
        let confirmation = RequestConfirmation(Arc::clone(&self.outbox));
        self.host.store.when_durable(Box::new(confirmation));
    }

    /// Closes what an exception is about, and gives back what it held.
    pub(super) fn fail(&mut self, failure: &Failure, now: Instant) {
        self.log_failure(failure);
        let Scope::Channel(id) = failure.exception.scope(failure.channel) else {
            self.end_session(now);
            return self.connection.close(&failure.exception, now);
        };
        if let Some(session) = &mut self.session {
            // What was published before is confirmed before; nothing follows `channel.close`.
            session.flush(now);
            session.settle_outbox(self.connection.output(), now);
            self.connection.close_channel(id, &failure.exception);
            session.close_channel(id, self.connection.output(), now);
        }
    }

    /// Everything that was gathered while the input was read goes on its way.
    fn end_of_batch(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        session.flush(now);
        self.count_held();
        self.poll_outbox(now);
        let published =
            self.session.as_mut().is_some_and(|session| std::mem::take(&mut session.published));
        if (published || self.holds_too_much()) && self.host.holds_publishers() {
            self.block(now);
        }
    }

    /// Whether more lies here in incomplete bodies than one message can need. Below that a client is
    /// let to finish even when memory is short, or clients that wait for each other would wait for
    /// ever.
    fn holds_too_much(&self) -> bool {
        self.held as u64 > self.host.connection.body_max
    }

    /// Incomplete bodies are memory too.
    fn count_held(&mut self) {
        let held = self.connection.held();
        if held > self.held {
            self.host.use_memory(held - self.held);
        } else {
            self.host.free_memory(self.held - held);
        }
        self.held = held;
    }

    /// Holds a publisher back until memory is free again.
    fn block(&mut self, now: Instant) {
        if self.blocked || self.state() != State::Running {
            return;
        }
        if let Some(session) = &mut self.session {
            session.flush(now);
        }
        self.blocked = true;
        if let Some(reason) = self.host.alarm() {
            self.connection.blocked(reason);
            self.told_blocked = true;
        }
        self.wait_for_relief();
    }

    fn wait_for_relief(&mut self) {
        self.outbox.set_blocked(true);
        // The alarm may have cleared before the outbox was marked: then nobody else tells it.
        if !self.host.holds_publishers() {
            self.outbox.unblock();
        }
    }

    fn end_session(&mut self, now: Instant) {
        if let Some(mut session) = self.session.take() {
            session.flush(now);
            session.end(now);
            self.host.registry.closed(self.id);
        }
        self.count_closed();
        self.blocked = false;
        self.told_blocked = false;
        self.unanswered = None;
        self.host.free_memory(std::mem::take(&mut self.held));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.host.registry.remove(self.id);
    }
}

impl Session {
    /// Who does something on a channel, for the firehose.
    pub(super) fn traced(&self, channel: ChannelId) -> Traced<'_> {
        let Self { host, vhost, peer, user, .. } = self;
        Traced { host, vhost, peer, user, channel }
    }

    /// # Errors
    /// 530, which closes the connection, if the user or the broker has as many as there may be.
    fn open_channel(&mut self, id: ChannelId) -> Result<(), Exception> {
        let of_user = self.host.channel_limit(&self.user);
        let of_all = Some(self.host.capacity.channels as u64).filter(|limit| *limit != 0);
        if let Err(refused) = self.host.registry.open_channel(&self.user, of_user, of_all) {
            let (user, node) = (&self.user, &self.host.node_name);
            let text = match refused {
                ChannelRefused::OfUser(limit) => format!(
                    "number of channels opened for user '{user}' has reached the maximum allowed \
                     user limit of ({limit})"
                ),
                ChannelRefused::OfAll(limit) => format!(
                    "number of channels opened on node '{node}' has reached the maximum allowed \
                     limit of ({limit})"
                ),
            };
            let ids = (channel::Open::CLASS_ID, channel::Open::METHOD_ID);
            return Err(Exception::new(ReplyCode::NotAllowed, text).blame(ids));
        }
        self.last_serial = self.last_serial.wrapping_add(1);
        let serial = self.last_serial;
        self.host.churn.channels_opened.add(1);
        self.channels.insert(id, Box::new(SessionChannel { serial, ..SessionChannel::default() }));
        self.tell_channel_opened(id);
        Ok(())
    }

    fn is_open(&self, id: ChannelId) -> bool {
        self.channels.get(&id).is_some_and(|channel| !channel.closing)
    }

    /// Hands over what was gathered.
    pub(super) fn flush(&mut self, now: Instant) {
        self.flush_publishes(now);
        self.flush_settlements(now);
    }

    /// Any method of a channel but publishing: what was gathered before it goes first.
    fn method(
        &mut self,
        id: ChannelId,
        method: Method,
        output: &mut Output,
        now: Instant,
    ) -> Result<Answer, Exception> {
        match method {
            Method::BasicAck(ack) => {
                let which = Settled::new(ack.delivery_tag, ack.multiple);
                return self.settle(id, which, Verdict::Ack, now).map(|()| None);
            }
            Method::BasicNack(nack) => {
                let which = Settled::new(nack.delivery_tag, nack.multiple);
                let verdict = verdict(nack.requeue, Return::Nacked);
                return self.settle(id, which, verdict, now).map(|()| None);
            }
            Method::BasicReject(reject) => {
                let which = Settled::One(reject.delivery_tag);
                let verdict = verdict(reject.requeue, Return::Rejected);
                return self.settle(id, which, verdict, now).map(|()| None);
            }
            _ => self.flush(now),
        }
        match method {
            Method::BasicConsume(consume) => self.consume(id, consume, output, now).map(|()| None),
            Method::BasicCancel(cancel) => {
                self.cancel(id, &cancel, output, now);
                Ok(None)
            }
            Method::BasicGet(get) => self.get(id, &get, output, now).map(|()| None),
            Method::BasicQos(qos) => self.qos(id, &qos, now),
            Method::BasicRecover(recover) => {
                self.recover(id, recover.requeue, Some(basic::RecoverOk {}.into()), output, now)
            }
            Method::BasicRecoverAsync(recover) => {
                self.recover(id, recover.requeue, None, output, now)
            }
            Method::QueueDeclare(declare) => self.declare_queue(id, declare, now),
            Method::QueueBind(bind) => self.bind_queue(id, bind, now),
            Method::QueueUnbind(unbind) => self.unbind_queue(id, unbind),
            Method::QueuePurge(purge) => self.purge_queue(id, &purge, now),
            Method::QueueDelete(delete) => self.delete_queue(id, delete, now),
            Method::ExchangeDeclare(declare) => self.declare_exchange(declare),
            Method::ExchangeDelete(delete) => self.delete_exchange(delete),
            Method::ExchangeBind(bind) => self.bind_exchange(bind, now),
            Method::ExchangeUnbind(unbind) => self.unbind_exchange(unbind),
            Method::ConfirmSelect(select) => {
                self.confirm_select(id)?;
                Ok((!select.no_wait).then(|| confirm::SelectOk {}.into()))
            }
            Method::TxSelect(_) => self.tx_select(id),
            Method::TxCommit(_) => self.tx_commit(id, output, now),
            Method::TxRollback(_) => self.tx_rollback(id),
            Method::AccessRequest(_) => Ok(Some(access::RequestOk { ticket: 1 }.into())),
            _ => Err(Exception::new(ReplyCode::CommandInvalid, "unimplemented method")),
        }
    }

    /// Requeues everything the channel holds. The answer goes before what is delivered anew, as from
    /// RabbitMQ.
    fn recover(
        &mut self,
        id: ChannelId,
        requeue: bool,
        answer: Answer,
        output: &mut Output,
        now: Instant,
    ) -> Result<Answer, Exception> {
        if !requeue {
            return Err(Exception::new(ReplyCode::NotImplemented, "requeue=false"));
        }
        // What was delivered and not yet written counts as delivered. It has to go out before the
        // answer: to the client the answer says that everything before it was taken back.
        self.settle_outbox(output, now);
        if let Some(answer) = answer {
            output.method(id, answer);
        }
        self.settle_held(id, Return::Nacked, now);
        Ok(None)
    }

    /// Requeues what a channel holds unacknowledged.
    fn settle_held(&mut self, id: ChannelId, why: Return, now: Instant) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let held: Vec<(u64, Delivered)> = channel.unacked.drain().collect();
        for (_, delivered) in held {
            self.settle_one(id, delivered, Verdict::Requeue(why), now);
        }
        self.flush_settlements(now);
    }

    fn confirm_select(&mut self, id: ChannelId) -> Result<(), Exception> {
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        match channel.mode {
            Mode::Confirm(_) => {}
            Mode::Plain => channel.mode = Mode::Confirm(ConfirmLedger::default()),
            Mode::Transaction(_) => {
                return Err(Exception::precondition_failed(
                    "cannot switch from tx to confirm mode",
                ));
            }
        }
        Ok(())
    }

    /// Gives back what a channel held: its consumers go, and what they had not settled is requeued.
    fn close_channel(&mut self, id: ChannelId, output: &mut Output, now: Instant) {
        if matches!(self.channels.get(&id).map(|c| &c.mode), Some(Mode::Transaction(_))) {
            let _ = self.undo_transaction(id);
        }
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.closing = true;
        }
        self.cancel_replies(id);
        self.abandon_consumers(&[id], now);
        // What was on its way is for nobody now; another channel of this number must not get it.
        self.settle_outbox(output, now);
        self.settle_held(id, Return::Released, now);
        if let Some(mut channel) = self.channels.remove(&id) {
            self.count_channel_closed(&channel);
            self.host.registry.close_channels(&self.user, 1);
            for (tag, slot) in std::mem::take(&mut channel.consumers) {
                let Some(source) = channel.sources.get(slot) else { continue };
                self.tell_consumer_deleted(id, &source.queue.name, &tag);
            }
            self.tell_channel_closed(id);
        }
        // What it did not do in time is not the fault of the next one with its number.
        self.failures.retain(|failure| failure.channel != id);
    }

    /// Takes the consumers of channels off their queues, which take back what these hold: each queue
    /// from all of them at once, so that none is delivered what another one of them held.
    fn abandon_consumers(&mut self, ids: &[ChannelId], now: Instant) {
        let mut abandoned: BTreeMap<QueueId, (Arc<QueueCell>, Vec<ConsumerHandle>)> =
            BTreeMap::new();
        for id in ids {
            self.forget_deliveries(*id);
            let sources = self.channels.get(id).map(|channel| channel.sources.all());
            for source in sources.into_iter().flatten() {
                if let Some(handle) = source.handle() {
                    let of_queue = || (Arc::clone(&source.queue), Vec::new());
                    abandoned.entry(source.queue.id).or_insert_with(of_queue).1.push(handle);
                }
            }
        }
        for (queue, handles) in abandoned.into_values() {
            let mut effects = Effects::default();
            queue.state.lock().abandon(&handles, now, &mut effects);
            self.carry_out(&queue, &mut effects, now);
        }
    }

    /// What a channel's consumers hold is no longer the channel's to settle.
    fn forget_deliveries(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        for delivered in channel.unacked.iter_mut() {
            let of_consumer = channel.sources.get(delivered.slot).and_then(|it| it.handle());
            if of_consumer.is_some() {
                *delivered = Delivered::TAKEN_BACK;
            }
        }
    }

    /// Gives back all that the connection held.
    fn end(&mut self, now: Instant) {
        // Nobody reads this any more.
        let mut output = Output::new(0);
        let mut channels: Vec<ChannelId> = self.channels.keys().copied().collect();
        channels.sort_unstable();
        for channel in self.channels.values_mut() {
            channel.closing = true;
        }
        self.abandon_consumers(&channels, now);
        for id in channels {
            self.close_channel(id, &mut output, now);
        }
        for queue in std::mem::take(&mut self.exclusive_queues) {
            let mut effects = Effects::default();
            let any = DeleteConditions::default();
            // It may be gone already; then there is nothing to do.
            // Durable exchanges may go with their last bindings.
            let unit = self.host.store.unit();
            let _ = self.vhost.delete_queue(&queue, any, self.id, &mut effects);
            drop(unit);
            self.host.carry_out(&queue, &mut effects, now);
        }
    }
}

fn verdict(requeue: bool, why: Return) -> Verdict {
    if requeue { Verdict::Requeue(why) } else { Verdict::Discard }
}
