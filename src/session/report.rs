//! Connections as an administrator sees them.
//!
//! What a connection did, and what it holds, is the state of the task that serves it. So it is asked, and
//! answers between two reads: what it says is exact, and costs it nothing while nobody asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use amqp_codec::{ChannelId, FieldTable, ShortString};
use bytes::Buf;

use super::channel::{Mode, SessionChannel};
use super::client::{Client, Session};
use super::host::Host;
use super::peer::Peer;
use super::source::{Source, SourceConsumer};
use super::stats::{ChannelStats, Churn, Logins};
use crate::broker::queue_cell::ConnectionId;
use crate::broker::time::Timestamp;
use crate::protocol::handshake::Limits;

/// A connection that is open.
#[derive(Debug, Clone)]
pub struct ConnectionReport {
    /// Its number.
    pub id: ConnectionId,
    /// Where it comes from, and where it came in.
    pub peer: Peer,
    /// Who it is.
    pub user: String,
    /// The vhost it has open.
    pub vhost: ShortString,
    /// How it said who it is: a SASL mechanism.
    pub mechanism: &'static str,
    /// What it says of itself.
    pub client_properties: Arc<FieldTable>,
    /// When it connected.
    pub connected_at: Timestamp,
    /// What was negotiated.
    pub limits: Limits,
    /// Its publishes wait, for memory or the disk.
    pub blocked: bool,
    /// What went over its socket.
    pub traffic: ConnectionTraffic,
    /// When it asked for something last, or got something: heartbeats are neither.
    pub active_at: Timestamp,
    /// Its channels, by number.
    pub channels: Vec<ChannelReport>,
}

/// What went over a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionTraffic {
    /// Bytes received, as far as they were acted on.
    pub received_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes that are to be sent.
    pub pending_bytes: usize,
}

/// A channel that is open.
#[derive(Debug, Clone)]
pub struct ChannelReport {
    /// Its number.
    pub number: ChannelId,
    /// Its consumers.
    pub consumers: Vec<ConsumerReport>,
    /// Whether it has a consumer of replies, beside these.
    pub has_reply_consumer: bool,
    /// The limit for its next consumers (`basic.qos`); 0 is none.
    pub prefetch: u16,
    /// The limit for all its consumers together (`basic.qos` with `global`); 0 is none.
    pub global_prefetch: u32,
    /// Deliveries that it has not settled.
    pub unacked: usize,
    /// Whether its publishes are confirmed.
    pub confirms: bool,
    /// Publishes that are not confirmed yet.
    pub unconfirmed: usize,
    /// Whether its publishes and acknowledgements wait for `tx.commit`.
    pub transactional: bool,
    /// Publishes that wait for it.
    pub uncommitted: usize,
    /// Acknowledgements that wait for it.
    pub acks_uncommitted: usize,
    /// What it did so far.
    pub stats: ChannelStats,
}

impl ChannelReport {
    /// What its consumers got, by queue.
    pub fn deliveries(&self) -> BTreeMap<&ShortString, ChannelStats> {
        let mut by_queue = BTreeMap::<_, ChannelStats>::new();
        for consumer in &self.consumers {
            let stats = by_queue.entry(&consumer.queue).or_default();
            *stats = *stats + consumer.stats;
        }
        by_queue
    }
}

/// A consumer of a queue.
#[derive(Debug, Clone)]
pub struct ConsumerReport {
    /// Its name within its channel.
    pub tag: ShortString,
    /// The queue.
    pub queue: ShortString,
    /// Its deliveries need no answer.
    pub no_ack: bool,
    /// No other consumer may share the queue.
    pub exclusive: bool,
    /// Its own limit of unsettled deliveries; 0 is none.
    pub prefetch: u16,
    /// What it was made with.
    pub arguments: FieldTable,
    /// It gets messages; `false` where it waits for the queue's single active consumer to leave.
    pub active: bool,
    /// Deliveries that are not settled.
    pub unacked: u32,
    /// What was delivered to it, and acknowledged of it.
    pub stats: ChannelStats,
}

/// What publishers have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarms {
    /// Memory is short.
    pub memory: bool,
    /// The disk is nearly full.
    pub disk: bool,
}

/// Where a report goes.
pub type Answer = Box<dyn FnOnce(ConnectionReport) + Send>;

/// What a client is remembered by, for reports.
#[derive(Debug)]
pub(super) struct About {
    pub(super) connected_at: Timestamp,
    pub(super) mechanism: &'static str,
    pub(super) client_properties: Arc<FieldTable>,
    pub(super) traffic: ConnectionTraffic,
    pub(super) opened: bool,
}

impl About {
    pub(super) fn new(connected_at: Timestamp) -> Self {
        Self {
            connected_at,
            mechanism: "",
            client_properties: Arc::default(),
            traffic: ConnectionTraffic::default(),
            opened: false,
        }
    }
}

impl Host {
    /// Asks every open connection for a report. Each gives one [`Answer`], made by `answer`, what it has to
    /// say: soon, on the task that serves it, or never, if it closes first. Then the answer is dropped.
    pub fn ask_connections(&self, mut answer: impl FnMut() -> Answer) {
        for outbox in self.registry.all() {
            outbox.ask(answer());
        }
    }

    /// Asks one connection, by its [name](Peer::name). `false` if there is none.
    pub fn ask_connection(&self, name: &str, answer: Answer) -> bool {
        let found = self.registry.find(name);
        let is_there = found.is_some();
        if let Some(outbox) = found {
            outbox.ask(answer);
        }
        is_there
    }

    /// Where a connection comes from that is open.
    pub fn peer(&self, connection: ConnectionId) -> Option<Peer> {
        self.registry.peer(connection)
    }

    /// What publishers have to wait for, if anything.
    pub fn alarms(&self) -> Alarms {
        Alarms { memory: self.memory.is_alarmed(), disk: self.store.is_disk_low() }
    }

    /// Logins of clients, by how they ended.
    pub fn logins(&self) -> Logins {
        self.churn.logins()
    }

    /// Who came and went.
    pub fn churn(&self) -> Churn {
        self.churn.read()
    }
}

impl Client {
    /// Tells those who asked of it.
    pub(super) fn tell(&mut self) {
        for answer in self.outbox.take_questions() {
            if let Some(report) = self.report() {
                answer(report);
            }
        }
    }

    /// Notes what its login tells of it.
    pub(super) fn introduce(&mut self, mechanism: &'static str, properties: FieldTable) {
        self.about.mechanism = mechanism;
        self.about.client_properties = Arc::new(properties);
    }

    /// It is open from now on.
    pub(super) fn count_opened(&mut self) {
        self.about.opened = true;
        self.host.churn.connections_opened.add(1);
    }

    /// It is gone, if it was open at all.
    pub(super) fn count_closed(&mut self) {
        if std::mem::take(&mut self.about.opened) {
            self.host.churn.connections_closed.add(1);
        }
    }

    /// Nothing, before it has a vhost open and after it let go of it.
    fn report(&mut self) -> Option<ConnectionReport> {
        let session = self.session.as_mut()?;
        let output = self.connection.output();
        let traffic = ConnectionTraffic {
            sent_bytes: output.written(),
            pending_bytes: output.remaining(),
            ..self.about.traffic
        };
        Some(ConnectionReport {
            id: self.id,
            peer: self.peer.clone(),
            user: self.user.clone(),
            vhost: session.vhost.name().clone(),
            mechanism: self.about.mechanism,
            client_properties: Arc::clone(&self.about.client_properties),
            connected_at: self.about.connected_at,
            limits: self.connection.limits(),
            blocked: self.blocked,
            traffic,
            active_at: self.host.epoch.timestamp(self.active_at),
            channels: session.channel_reports(),
        })
    }
}

impl Session {
    pub(super) fn count_channel_closed(&mut self, channel: &SessionChannel) {
        self.tally.flush(self.vhost.traffic());
        self.host.churn.channels_closed.add(1);
        self.host.churn.publishers_gone.add(u64::from(channel.stats.published > 0));
    }

    fn channel_reports(&self) -> Vec<ChannelReport> {
        let open = self.channels.iter().filter(|(_, channel)| !channel.closing);
        let mut reports: Vec<_> = open.map(|(id, channel)| channel.report(*id)).collect();
        reports.sort_by_key(|report| report.number);
        reports
    }
}

impl SessionChannel {
    fn report(&self, number: ChannelId) -> ChannelReport {
        let mut report = ChannelReport {
            number,
            consumers: self.sources.active().filter_map(consumer_report).collect(),
            has_reply_consumer: self.reply_consumer.is_some(),
            prefetch: self.prefetch,
            global_prefetch: self.credit.limit(),
            unacked: self.unacked.len(),
            confirms: false,
            unconfirmed: 0,
            transactional: false,
            uncommitted: 0,
            acks_uncommitted: 0,
            stats: self.stats + self.sources.stats(),
        };
        match &self.mode {
            Mode::Plain => {}
            Mode::Confirm(ledger) => {
                report.confirms = true;
                report.unconfirmed = ledger.open();
            }
            Mode::Transaction(transaction) => {
                report.transactional = true;
                report.uncommitted = transaction.publishes.len();
                report.acks_uncommitted = transaction.settled.len();
            }
        }
        report
    }
}

fn consumer_report(source: &Source) -> Option<ConsumerReport> {
    let SourceConsumer { tag, no_ack, handle, request, .. } = source.consumer.as_ref()?;
    let active = source.queue.state.lock().is_active((*handle)?);
    Some(ConsumerReport {
        tag: tag.clone(),
        queue: source.queue.name.clone(),
        no_ack: *no_ack,
        exclusive: request.exclusive,
        prefetch: request.prefetch,
        arguments: request.arguments.clone(),
        active,
        unacked: source.unacked,
        stats: source.stats(),
    })
}
