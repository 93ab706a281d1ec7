//! A client on bytes: everything it sends is cut at random, everything it reads is decoded and
//! checked.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use amqp_codec::method::{basic, channel, connection};
use amqp_codec::{
    BasicProperties, ChannelId, ContentHeader, FRAME_OVERHEAD, FieldTable, FieldValue, Frame,
    Method, ProtocolHeader, decode_frame, encode_frame,
};
use bytes::{Buf, Bytes, BytesMut};
use leveret::protocol::connection::State;
use leveret::session::{Client, Peer, Reading};

use crate::channel::{
    ContentMethod, Held, Mode, Partial, SimChannel, Verdict, Waiting, short, text,
};
use crate::discipline::GROUP_HEADER;
use crate::incoming::{Content, check_returned, confirmed, delivery, got, returned};
use crate::ledger::{self, Fate, Message, MessageId, Traits};
use crate::life::{Deaths, Life};
use crate::plan::Target;
use crate::world::Shared;

/// Where a client stands, as it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshake,
    Open,
    /// It said goodbye.
    Closing,
    /// It sent something for which the broker will close the connection.
    Doomed,
    Gone,
}

/// What comes true once the broker has read everything up to a method.
#[derive(Debug)]
pub(crate) enum Effect {
    Published(Vec<MessageId>),
    Settled(Vec<(Held, Verdict)>),
}

pub(crate) struct SimClient {
    pub(crate) uid: u64,
    client: Client,
    mail: Arc<AtomicBool>,
    outgoing: BytesMut,
    input: BytesMut,
    written: u64,
    consumed: u64,
    effects: VecDeque<(u64, Effect)>,
    incoming: BytesMut,
    pub(crate) phase: Phase,
    pipelined: bool,
    frame_max: u32,
    heartbeat: u16,
    last_sent: Instant,
    last_heard: Instant,
    /// It had read all that there was: what it reads later was delivered later.
    last_through: Instant,
    /// It neither sends nor reads.
    pub(crate) frozen: bool,
    /// The broker said so.
    pub(crate) blocked: bool,
    pub(crate) channels: BTreeMap<u16, SimChannel>,
    pub(crate) exclusive_queues: Vec<String>,
}

impl SimClient {
    pub(crate) fn connect(uid: u64, shared: &mut Shared) -> Self {
        let mail = Arc::new(AtomicBool::new(false));
        let wake = {
            let mail = Arc::clone(&mail);
            Box::new(move || mail.store(true, Ordering::SeqCst))
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer = Peer { address, local: address, encryption: None };
        let now = shared.now;
        let mut connecting = Self {
            uid,
            client: Client::new(Arc::clone(&shared.host), peer, wake, now),
            mail,
            outgoing: BytesMut::new(),
            input: BytesMut::new(),
            written: 0,
            consumed: 0,
            effects: VecDeque::new(),
            incoming: BytesMut::new(),
            phase: Phase::Handshake,
            pipelined: shared.chance(0.5),
            frame_max: shared.pick(&[4096, 5000, 8192, 131_072]),
            heartbeat: shared.pick(&[0, 2, 10, 60]),
            last_sent: now,
            last_heard: now,
            last_through: now,
            frozen: false,
            blocked: false,
            channels: BTreeMap::new(),
            exclusive_queues: Vec::new(),
        };
        connecting.outgoing.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
        connecting.written += 8;
        if connecting.pipelined {
            connecting.start_ok();
            connecting.tune_ok();
        }
        connecting
    }

    fn start_ok(&mut self) {
        let capabilities: FieldTable = ["consumer_cancel_notify", "connection.blocked"]
            .into_iter()
            .map(|name| (short(name), FieldValue::Bool(true)))
            .collect();
        let client_properties =
            [(short("capabilities"), FieldValue::Table(capabilities))].into_iter().collect();
        let start_ok = connection::StartOk {
            client_properties,
            mechanism: short("PLAIN"),
            response: Bytes::from_static(b"\0guest\0guest"),
            locale: short("en_US"),
        };
        self.send(0, start_ok);
    }

    fn tune_ok(&mut self) {
        let (frame_max, heartbeat) = (self.frame_max, self.heartbeat);
        self.send(0, connection::TuneOk { channel_max: 100, frame_max, heartbeat });
        self.send(0, connection::Open { virtual_host: short("/") });
    }

    /// Encodes a method; its bytes go out bit by bit.
    pub(crate) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        self.encode(&Frame::Method(ChannelId(channel), method.into()));
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, channel: u16, method: impl Into<Method>, waiting: Waiting) {
        self.send(channel, method);
        let asked = self.channels.get_mut(&channel).expect("an open channel");
        debug_assert!(asked.waiting.is_none());
        asked.waiting = Some(waiting);
    }

    fn encode(&mut self, frame: &Frame) {
        let before = self.outgoing.len();
        encode_frame(frame, &mut self.outgoing);
        self.written += (self.outgoing.len() - before) as u64;
    }

    /// Notes what comes true when the broker has read all that is written so far.
    pub(crate) fn once_read(&mut self, effect: Effect) {
        self.effects.push_back((self.written, effect));
    }

    pub(crate) fn publish(
        &mut self,
        number: u16,
        target: Target,
        traits: Traits,
        body_len: usize,
        mandatory: bool,
        shared: &mut Shared,
    ) -> MessageId {
        let channel = self.channels.get_mut(&number).expect("an open channel");
        let in_transaction = matches!(channel.mode, Mode::Tx { .. });
        let id = shared.ledger.write(Message {
            publisher: channel.uid,
            target,
            traits,
            written_at: shared.now,
            body_len,
            mandatory,
            returned: false,
            fate: if in_transaction { Fate::InTransaction } else { Fate::Written },
        });
        match &mut channel.mode {
            Mode::Plain => {}
            Mode::Confirm { published, open } => {
                published.push(id);
                open.insert(published.len() as u64);
            }
            Mode::Tx { publishes, .. } => publishes.push(id),
        }
        let exchange = short(target.exchange);
        let routing_key = short(target.key);
        self.send(number, basic::Publish { exchange, routing_key, mandatory, immediate: false });
        let persistent = target.disciplined || shared.all_persistent || shared.chance(0.5);
        let properties = BasicProperties {
            message_id: Some(short(&id.to_string())),
            delivery_mode: persistent.then_some(2),
            ..properties(traits)
        };
        let header = ContentHeader { class_id: 60, body_size: body_len as u64, properties };
        self.encode(&Frame::Header(ChannelId(number), Box::new(header)));
        let mut body = ledger::body(id, body_len);
        while !body.is_empty() {
            let max = self.frame_max as usize - FRAME_OVERHEAD;
            let most = if shared.chance(0.3) { shared.range(1, max) } else { max };
            // A body may come in any number of frames, the last of them short.
            let piece = body.len().min(most.max(body.len() / 64));
            let (now, later) = body.split_at(piece);
            self.encode(&Frame::Body(ChannelId(number), Bytes::from_static(now)));
            body = later;
        }
        if !in_transaction {
            self.once_read(Effect::Published(vec![id]));
        }
        id
    }

    /// Lets the broker receive some of what was written.
    pub(crate) fn transmit(&mut self, most: usize, shared: &mut Shared) -> bool {
        let count = most.min(self.outgoing.len());
        if count == 0 || self.phase == Phase::Gone {
            return false;
        }
        self.input.extend_from_slice(&self.outgoing.split_to(count));
        self.client.received(shared.now);
        self.last_sent = shared.now;
        self.pump(shared);
        true
    }

    /// One turn of the loop that a server runs for each connection.
    pub(crate) fn pump(&mut self, shared: &mut Shared) {
        if self.phase == Phase::Gone {
            return;
        }
        loop {
            let mut reading = Reading::On;
            if !self.input.is_empty() {
                let before = self.input.len();
                reading = self.client.process(&mut self.input, shared.now);
                self.consumed += (before - self.input.len()) as u64;
                self.apply_effects(shared);
            }
            self.mail.store(false, Ordering::SeqCst);
            self.client.poll_outbox(shared.now);
            if reading == Reading::On || self.client.must_wait() {
                break;
            }
        }
        drop(self.client.take_wakeups());
        let waiting = self.client.output().remaining();
        assert!(waiting < 4 * 1024 * 1024, "{waiting} bytes wait for client {}", self.uid);
        if matches!(self.client.state(), State::Closing | State::Closed) {
            let expected = matches!(self.phase, Phase::Closing | Phase::Doomed);
            assert!(expected, "client {} is closed in {:?}", self.uid, self.phase);
        }
        if self.client.state() == State::Closed && !self.client.output().has_remaining() {
            self.leave(shared);
        }
    }

    fn apply_effects(&mut self, shared: &mut Shared) {
        while self.effects.front().is_some_and(|(offset, _)| *offset <= self.consumed) {
            match self.effects.pop_front() {
                Some((_, Effect::Published(ids))) => {
                    for id in ids {
                        shared.ledger.published(id);
                    }
                }
                Some((_, Effect::Settled(answers))) => {
                    for (held, verdict) in answers {
                        shared.ledger.settled(&held, verdict, &shared.store, shared.now);
                    }
                }
                None => {}
            }
        }
    }

    pub(crate) fn has_mail(&self) -> bool {
        self.phase != Phase::Gone && self.mail.load(Ordering::SeqCst)
    }

    /// Reads up to `most` bytes, and acts on what is complete.
    pub(crate) fn read(&mut self, most: usize, shared: &mut Shared) -> bool {
        if self.phase == Phase::Gone {
            return false;
        }
        let output = self.client.output();
        let count = most.min(output.remaining());
        if count == 0 {
            return false;
        }
        let start = self.incoming.len();
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = output.chunks_vectored(&mut slices);
        assert!(filled > 0, "there are bytes, so there are chunks");
        for slice in &slices[..filled] {
            let missing = count - (self.incoming.len() - start);
            self.incoming.extend_from_slice(&slice[..slice.len().min(missing)]);
        }
        let read = self.incoming.len() - start;
        output.advance(read);
        self.client.sent(shared.now);
        self.last_heard = shared.now;
        self.decode(shared);
        self.pump(shared);
        self.note_whether_through(shared.now);
        true
    }

    fn note_whether_through(&mut self, now: Instant) {
        if self.incoming.is_empty() && !self.has_mail() && !self.client.output().has_remaining() {
            self.last_through = now;
        }
    }

    fn decode(&mut self, shared: &mut Shared) {
        let max = self.frame_max;
        while let Some(frame) = decode_frame(&mut self.incoming, max).expect("well-formed frames") {
            match frame {
                Frame::Method(ChannelId(0), method) => self.connection_method(&method, shared),
                _ if matches!(self.phase, Phase::Closing | Phase::Doomed) => {}
                Frame::Method(ChannelId(number), method) => {
                    self.channel_method(number, method, shared);
                }
                Frame::Header(ChannelId(number), header) => {
                    let partial = self.partial(number);
                    assert!(partial.header.is_none(), "one header");
                    partial.header = Some(header);
                    self.content(number, &[], shared);
                }
                Frame::Body(ChannelId(number), body) => {
                    assert!(body.len() + FRAME_OVERHEAD <= max as usize, "frame_max is kept");
                    assert!(!body.is_empty(), "no empty body frames");
                    self.content(number, &body, shared);
                }
                Frame::Heartbeat(id) => assert_eq!(id, ChannelId::CONNECTION),
            }
        }
    }

    fn connection_method(&mut self, method: &Method, shared: &mut Shared) {
        match (self.phase, method) {
            (Phase::Handshake, Method::ConnectionStart(_)) if !self.pipelined => self.start_ok(),
            (Phase::Handshake, Method::ConnectionTune(_)) if !self.pipelined => self.tune_ok(),
            (Phase::Handshake, Method::ConnectionStart(_) | Method::ConnectionTune(_)) => {}
            (Phase::Handshake, Method::ConnectionOpenOk(_)) => self.phase = Phase::Open,
            (Phase::Doomed, Method::ConnectionClose(_)) => self.send(0, connection::CloseOk {}),
            (Phase::Closing, Method::ConnectionCloseOk(_)) => {}
            (_, Method::ConnectionBlocked(_)) => {
                assert!(!self.blocked, "blocked once");
                shared.ledger.stats.blocked += 1;
                self.blocked = true;
            }
            (_, Method::ConnectionUnblocked(_)) => {
                assert!(self.blocked, "unblocked after blocked");
                shared.ledger.stats.unblocked += 1;
                self.blocked = false;
            }
            (phase, method) => panic!("client {}: {method:?} in {phase:?}", self.uid),
        }
    }

    fn channel_method(&mut self, number: u16, method: Method, shared: &mut Shared) {
        let Some(channel) = self.channels.get_mut(&number) else {
            panic!("{} on channel {number}, which is closed", method.name());
        };
        assert!(channel.partial.is_none(), "{} inside of a content", method.name());
        let waiting = channel.waiting.take();
        match (waiting, method) {
            (waiting, Method::ChannelClose(close)) => {
                shared.ledger.stats.channel_errors += 1;
                // A commit of which a full queue refused a part says so; the rest holds.
                let is_partial = waiting == Some(Waiting::Commit)
                    && text(&close.reply_text) == "PRECONDITION_FAILED - partial tx completion";
                shared.ledger.stats.partial_commits += u64::from(is_partial);
                let may_fail = is_partial || waiting.as_ref().is_some_and(Waiting::may_fail);
                assert!(channel.poisoned || may_fail, "{waiting:?} on {number}: {close:?}");
                if waiting == Some(Waiting::Close) {
                    // The two crossed: the answer to ours is still to come.
                    channel.waiting = waiting;
                } else {
                    self.channels.remove(&number);
                }
                self.send(number, channel::CloseOk {});
            }
            (Some(Waiting::Open), Method::ChannelOpenOk(_))
            | (Some(Waiting::Select), Method::ConfirmSelectOk(_) | Method::TxSelectOk(_))
            | (Some(Waiting::Qos), Method::BasicQosOk(_))
            | (
                Some(Waiting::Topology),
                Method::QueueDeclareOk(_)
                | Method::QueueBindOk(_)
                | Method::QueueUnbindOk(_)
                | Method::QueuePurgeOk(_)
                | Method::QueueDeleteOk(_)
                | Method::ExchangeDeclareOk(_)
                | Method::ExchangeBindOk(_),
            )
            | (Some(Waiting::Get { .. }), Method::BasicGetEmpty(_)) => {}
            (Some(Waiting::Close), Method::ChannelCloseOk(_)) => {
                self.channels.remove(&number);
            }
            (Some(Waiting::Consume(consumer)), Method::BasicConsumeOk(ok)) => {
                let before = channel.consumers.insert(text(&ok.consumer_tag), consumer);
                assert_eq!(before, None, "a tag of its own");
            }
            (Some(Waiting::Cancel(tag)), Method::BasicCancelOk(ok)) => {
                assert_eq!(text(&ok.consumer_tag), tag);
                // It may be gone already: the queue was deleted at the same time.
                channel.consumers.remove(&tag);
            }
            (Some(Waiting::Recover), Method::BasicRecoverOk(_)) => channel.held.clear(),
            (Some(Waiting::Commit), Method::TxCommitOk(_)) => {
                shared.ledger.stats.committed += 1;
                if let Mode::Tx { publishes, .. } = &mut channel.mode {
                    for id in std::mem::take(publishes) {
                        let message = shared.ledger.message(id);
                        assert_eq!(message.fate, Fate::Published);
                        check_returned(id, message);
                    }
                }
            }
            (Some(Waiting::Rollback), Method::TxRollbackOk(_)) => {
                if let Mode::Tx { publishes, settled } = &mut channel.mode {
                    for id in publishes.drain(..) {
                        shared.ledger.message(id).fate = Fate::RolledBack;
                    }
                    let taken_back = std::mem::take(settled).into_iter();
                    channel.held.extend(taken_back.map(|(tag, (held, _))| (tag, held)));
                }
            }
            (waiting, method) => {
                channel.waiting = waiting;
                self.unasked(number, method, shared);
            }
        }
    }

    /// What comes without having been asked for.
    fn unasked(&mut self, number: u16, method: Method, shared: &mut Shared) {
        let channel = self.channels.get_mut(&number).expect("it was there before");
        let mut begin = |method| {
            channel.partial = Some(Partial { method, header: None, body: Vec::new() });
        };
        match method {
            Method::BasicDeliver(deliver) => begin(ContentMethod::Deliver(deliver)),
            Method::BasicGetOk(get_ok) => begin(ContentMethod::GetOk(get_ok)),
            Method::BasicReturn(_) => begin(ContentMethod::Return),
            Method::BasicAck(ack) => {
                confirmed(channel, ack.delivery_tag, ack.multiple, true, shared);
            }
            Method::BasicNack(nack) => {
                confirmed(channel, nack.delivery_tag, nack.multiple, false, shared);
            }
            Method::BasicCancel(cancel) => {
                assert!(cancel.no_wait, "the broker waits for no answer");
                let known = channel.consumers.remove(&text(&cancel.consumer_tag));
                assert!(
                    known.is_some() || channel.waiting == Some(Waiting::Close),
                    "{:?} is cancelled once",
                    cancel.consumer_tag
                );
                shared.ledger.stats.cancelled_by_broker += 1;
            }
            method => panic!(
                "{} on channel {number}, which waits for {:?}",
                method.name(),
                channel.waiting
            ),
        }
    }

    fn partial(&mut self, number: u16) -> &mut Partial {
        let channel = self.channels.get_mut(&number).expect("content on an open channel");
        channel.partial.as_mut().expect("content that was announced")
    }

    fn content(&mut self, number: u16, piece: &[u8], shared: &mut Shared) {
        let partial = self.partial(number);
        partial.body.extend_from_slice(piece);
        let header = partial.header.as_ref().expect("the header comes first");
        let (have, want) = (partial.body.len() as u64, header.body_size);
        assert!(have <= want, "{have} of {want} bytes");
        if have < want {
            return;
        }
        let channel = self.channels.get_mut(&number).expect("an open channel");
        let partial = channel.partial.take().expect("it was there before");
        let properties = partial.header.expect("it was there before").properties;
        let id = properties.message_id.expect("every message is numbered");
        let id: MessageId = text(&id).parse().expect("a number");
        let deaths = Deaths::of(properties.headers.as_ref());
        let headers = properties.headers.unwrap_or_default();
        let content = Content {
            life: Life { id, deaths: deaths.total() },
            died_in: deaths.last().map(|death| death.queue.clone()),
            returns: headers.get("x-delivery-count").and_then(FieldValue::as_integer),
            not_before: self.last_through,
            body: partial.body,
        };
        match partial.method {
            ContentMethod::Deliver(deliver) => delivery(channel, &deliver, &content, shared),
            ContentMethod::GetOk(get_ok) => got(channel, &get_ok, &content, shared),
            ContentMethod::Return => returned(channel, id, &content.body, shared),
        }
    }

    /// Seconds pass: sends heartbeats and lets the broker do what is due.
    pub(crate) fn tick(&mut self, shared: &mut Shared) {
        if self.phase == Phase::Gone {
            return;
        }
        let interval = Duration::from_secs(u64::from(self.heartbeat));
        let watched = self.phase == Phase::Open && self.heartbeat > 0;
        if watched && !self.frozen && shared.now - self.last_sent >= interval / 2 {
            self.encode(&Frame::Heartbeat(ChannelId::CONNECTION));
            self.transmit(usize::MAX, shared);
        }
        if self.client.next_deadline().is_some_and(|deadline| deadline <= shared.now) {
            self.client.handle_timeout(shared.now);
            if self.client.state() == State::Closed {
                let silent = shared.now - self.last_sent;
                assert!(
                    self.phase != Phase::Open || (self.frozen && silent >= interval * 3),
                    "client {} was dropped after {silent:?}",
                    self.uid
                );
                shared.ledger.stats.heartbeat_deaths += 1;
                return self.leave(shared);
            }
        }
        if !self.frozen {
            self.read(64 * 1024, shared);
            let silent = shared.now - self.last_heard;
            assert!(!watched || silent <= interval, "the broker was silent for {silent:?}");
        }
    }

    pub(crate) fn close(&mut self) {
        let close = connection::Close {
            reply_code: 200,
            reply_text: short("bye"),
            class_id: 0,
            method_id: 0,
        };
        self.send(0, close);
        self.phase = Phase::Closing;
    }

    /// The socket is gone.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        if self.phase != Phase::Gone {
            self.client.disconnect(shared.now);
            self.phase = Phase::Gone;
            self.channels.clear();
        }
    }

    /// Whether the broker has read everything that was sent.
    pub(crate) fn is_read(&self) -> bool {
        self.outgoing.is_empty() && self.input.is_empty()
    }

    /// Bytes that the client could do something about: read, or send.
    pub(crate) fn is_held_back(&mut self) -> bool {
        self.client.must_wait()
    }
}

/// The properties of a message for disciplined queues.
fn properties(traits: Traits) -> BasicProperties {
    let Traits { priority, expiration, delay, group } = traits;
    let mut headers = FieldTable::new();
    if let Some(delay) = delay {
        headers.push(short("x-delay"), FieldValue::I64(i64::try_from(delay).expect("small")));
    }
    if let Some(group) = group {
        let name = FieldValue::LongString(format!("group {group}").into());
        headers.push(short(GROUP_HEADER), name);
    }
    BasicProperties {
        priority: (priority > 0).then_some(priority),
        expiration: expiration.map(|milliseconds| short(&milliseconds.to_string())),
        headers: (!headers.is_empty()).then_some(headers),
        ..BasicProperties::default()
    }
}
