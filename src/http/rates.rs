//! Rates over the last seconds: what is counted, against a sample of a few seconds ago.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use amqp_codec::ShortString;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::process::Usage;
use super::site::Site;
use super::summary::Summary;
use crate::broker::queue::{QueueReport, Totals};
use crate::broker::queue_cell::{ConnectionId, QueueId};
use crate::broker::time::{Epoch, Timestamp};
use crate::broker::traffic::VHostTotals;
use crate::session::{ChannelReport, ChannelStats, Churn, ConnectionReport, ConnectionTraffic};

/// How often samples are taken.
const INTERVAL: Duration = Duration::from_secs(5);

/// Samples that are kept: what is shown is the rate over one to two intervals.
const KEPT: usize = 2;

/// Numbers with their names, some of which are shown with a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts<const N: usize>([u64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Counts<N> {
    fn add(&mut self, more: &Self) {
        self.0.iter_mut().zip(more.0).for_each(|(sum, more)| *sum += more);
    }
}

/// What queues count, and what of it is in them now.
const QUEUE: [&str; 9] = [
    "publish",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "deliver_get",
    "ack",
    "redeliver",
];
const DEPTH: [&str; 3] = ["messages", "messages_ready", "messages_unacknowledged"];
const EXCHANGE: [&str; 2] = ["publish_in", "publish_out"];
const OVERALL: [&str; 12] = [
    "publish",
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "deliver_get",
    "ack",
    "redeliver",
];
/// What a channel counts of a queue's messages: of all that it counts the last ones.
const DELIVERIES: [&str; 8] = last(OVERALL);
const CHURN: [&str; 7] = [
    "connection_created",
    "connection_closed",
    "channel_created",
    "channel_closed",
    "queue_declared",
    "queue_created",
    "queue_deleted",
];
const CONNECTION: [&str; 2] = ["recv_oct", "send_oct"];
/// What a node uses. These rise and fall.
const NODE: [&str; 5] = ["mem_used", "disk_free", "fd_used", "sockets_used", "proc_used"];

/// Counts of one kind, with what a sample has of the same thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow<const N: usize> {
    names: [&'static str; N],
    now: Counts<N>,
    before: Counts<N>,
    seconds: f64,
}

impl<const N: usize> Flow<N> {
    /// Puts each with its rate into an object: `publish` and `publish_details`.
    pub(super) fn put(&self, object: &mut Map<String, Value>) {
        for ((name, now), before) in self.names.iter().zip(self.now.0).zip(self.before.0) {
            object.insert((*name).to_owned(), now.into());
            #[expect(clippy::cast_precision_loss, reason = "a rate is shown, not counted with")]
            let grown = now as f64 - before as f64;
            let rate = if self.seconds > 0.0 { grown / self.seconds } else { 0.0 };
            object.insert(format!("{name}_details"), json!({ "rate": rate }));
        }
    }

    /// Whether anything was counted since the sample.
    pub(super) fn has_moved(&self) -> bool {
        self.now != self.before
    }

    /// The same as an object of their own; nothing where nothing was ever counted.
    pub(super) fn object(&self) -> Option<Value> {
        if self.now == Counts::default() {
            return None;
        }
        let mut object = Map::new();
        self.put(&mut object);
        Some(object.into())
    }
}

fn queue_counts(totals: &Totals) -> Counts<9> {
    let fetched = totals.fetched - totals.fetched_automatically;
    Counts([
        totals.accepted,
        totals.delivered_for_ack(),
        totals.delivered_automatically,
        fetched,
        totals.fetched_automatically,
        totals.empty_gets,
        totals.delivered,
        totals.acknowledged_by_clients(),
        totals.redelivered,
    ])
}

fn overall_counts(summary: &Summary) -> Counts<12> {
    let publishes = summary.totals.publishes;
    let Counts([_, deliver, no_ack, get, get_no_ack, empty, deliver_get, ack, redeliver]) =
        queue_counts(&summary.all_queues());
    Counts([
        publishes.published,
        publishes.confirmed,
        publishes.returned,
        publishes.dropped,
        deliver,
        no_ack,
        get,
        get_no_ack,
        empty,
        deliver_get,
        ack,
        redeliver,
    ])
}

fn channel_counts(stats: &ChannelStats) -> Counts<12> {
    Counts([
        stats.published,
        stats.confirmed,
        stats.returned,
        stats.dropped,
        stats.delivered,
        stats.delivered_automatically,
        stats.fetched,
        stats.fetched_automatically,
        stats.empty_gets,
        stats.delivered
            + stats.delivered_automatically
            + stats.fetched
            + stats.fetched_automatically,
        stats.acknowledged,
        stats.redelivered,
    ])
}

fn delivery_counts(stats: &ChannelStats) -> Counts<8> {
    Counts(last(channel_counts(stats).0))
}

/// The last eight of twelve.
const fn last<T: Copy>([.., a, b, c, d, e, f, g, h]: [T; 12]) -> [T; 8] {
    [a, b, c, d, e, f, g, h]
}

fn depth(ready: u64, unacked: u64) -> Counts<3> {
    Counts([ready + unacked, ready, unacked])
}

fn queue_depth(report: &QueueReport) -> Counts<3> {
    depth(report.counts.ready as u64, report.counts.unacked as u64)
}

fn churn_counts(churn: &Churn, totals: &VHostTotals) -> Counts<7> {
    Counts([
        churn.connections_opened,
        churn.connections_closed,
        churn.channels_opened,
        churn.channels_closed,
        totals.queues_declared,
        totals.queues_created,
        totals.queues_deleted,
    ])
}

fn octets(traffic: &ConnectionTraffic) -> Counts<2> {
    Counts([traffic.received_bytes, traffic.sent_bytes])
}

fn node_counts(usage: &Usage, churn: &Churn) -> Counts<5> {
    let sockets = churn.connections_opened - churn.connections_closed;
    Counts([usage.memory, usage.disk_free, usage.descriptors, sockets, usage.threads])
}

/// What was counted at a moment.
#[derive(Debug)]
pub(super) struct Sample {
    at: Instant,
    overall: Counts<12>,
    depth: Counts<3>,
    churn: Counts<7>,
    /// `None` where nobody has looked yet.
    node: Option<Counts<5>>,
    vhosts: HashMap<ShortString, (Counts<12>, Counts<3>, Counts<2>)>,
    queues: HashMap<QueueId, (Counts<9>, Counts<3>)>,
    exchanges: HashMap<(ShortString, ShortString), Counts<2>>,
    /// What connections say; `None` if nobody wants to know.
    connections: Option<HashMap<ConnectionId, SampledConnection>>,
}

#[derive(Debug, Default)]
struct SampledConnection {
    octets: Counts<2>,
    channels: HashMap<u16, Counts<12>>,
    /// What consumers got, by channel and queue.
    deliveries: HashMap<(u16, ShortString), Counts<8>>,
}

impl Sample {
    fn empty(at: Instant) -> Self {
        Self {
            at,
            overall: Counts::default(),
            depth: Counts::default(),
            churn: Counts::default(),
            node: None,
            vhosts: HashMap::new(),
            queues: HashMap::new(),
            exchanges: HashMap::new(),
            connections: Some(HashMap::new()),
        }
    }

    fn take(site: &Site, connections: Option<&[ConnectionReport]>) -> Self {
        let mut sample = Self::empty(site.now());
        let counted = site.host().counted();
        let mut all = Summary::of_departed(&counted);
        for vhost in counted.vhosts {
            for queue in vhost.queues() {
                let report = queue.state.lock().report();
                let counts = (queue_counts(&report.totals), queue_depth(&report));
                sample.queues.insert(queue.id, counts);
            }
            for exchange in vhost.exchange_reports() {
                let counts = Counts([exchange.published_in, exchange.published_out]);
                sample.exchanges.insert((vhost.name().clone(), exchange.name), counts);
            }
            let summary = Summary::of(&vhost);
            let octets = connections.into_iter().flatten().filter(|it| it.vhost == *vhost.name());
            let octets = sum_of_octets(octets);
            let counts = (overall_counts(&summary), depth(summary.ready, summary.unacked), octets);
            sample.vhosts.insert(vhost.name().clone(), counts);
            all.add(&summary);
        }
        sample.overall = overall_counts(&all);
        sample.depth = depth(all.ready, all.unacked);
        let churn = site.host().churn();
        sample.churn = churn_counts(&churn, &all.totals);
        sample.node = Some(node_counts(&site.usage(), &churn));
        sample.connections = connections.map(|reports| reports.iter().map(sampled).collect());
        sample
    }
}

fn sampled(report: &ConnectionReport) -> (ConnectionId, SampledConnection) {
    let channel = |it: &ChannelReport| (it.number.0, channel_counts(&it.stats));
    let channels = report.channels.iter().map(channel).collect();
    let mut deliveries = HashMap::new();
    for channel in &report.channels {
        let by_queue = channel.deliveries().into_iter();
        deliveries
            .extend(by_queue.map(|(queue, stats)| {
                ((channel.number.0, queue.clone()), delivery_counts(&stats))
            }));
    }
    (report.id, SampledConnection { octets: octets(&report.traffic), channels, deliveries })
}

fn sum_of_octets<'a>(connections: impl Iterator<Item = &'a ConnectionReport>) -> Counts<2> {
    let mut sum = Counts::<2>::default();
    for connection in connections {
        sum.0[0] += connection.traffic.received_bytes;
        sum.0[1] += connection.traffic.sent_bytes;
    }
    sum
}

/// The last samples.
#[derive(Debug)]
pub(super) struct Rates {
    samples: Mutex<VecDeque<Arc<Sample>>>,
    /// Somebody looked at connections or channels since the last sample: the next ones ask these.
    wanted: AtomicBool,
    epoch: Epoch,
}

impl Rates {
    /// When a broker starts nothing was counted yet.
    pub(super) fn new(started: Instant, epoch: Epoch) -> Self {
        let samples = Mutex::new(VecDeque::from([Arc::new(Sample::empty(started))]));
        Self { samples, wanted: AtomicBool::new(false), epoch }
    }

    /// What to compare with, now.
    pub(super) fn against(&self, now: Instant) -> Comparison {
        let sample = self.samples.lock().front().map(Arc::clone);
        let sample = sample.unwrap_or_else(|| Arc::new(Sample::empty(now)));
        let seconds = now.saturating_duration_since(sample.at).as_secs_f64();
        Comparison { sample, seconds, at: self.epoch.timestamp(now) }
    }

    /// Notes that somebody looks at connections.
    pub(super) fn want_connections(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    fn add(&self, sample: Sample) {
        let mut samples = self.samples.lock();
        samples.push_back(Arc::new(sample));
        while samples.len() > KEPT {
            samples.pop_front();
        }
    }
}

/// Takes samples as long as it runs. The cost is one look at every queue; connections are asked only while
/// somebody looks at them.
pub(super) async fn sample(site: Arc<Site>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.tick().await;
    let mut idle = u32::MAX;
    loop {
        ticks.tick().await;
        let wanted = site.rates().wanted.swap(false, Ordering::Relaxed);
        // A minute after the last look nobody is asked any more.
        idle = if wanted { 0 } else { idle.saturating_add(1) };
        let connections = if idle < 12 { Some(site.ask_connections().await) } else { None };
        let of_site = Arc::clone(&site);
        let taken =
            tokio::task::spawn_blocking(move || Sample::take(&of_site, connections.as_deref()));
        if let Ok(sample) = taken.await {
            site.rates().add(sample);
        }
    }
}

/// A sample, and how long ago it was taken. What was not there then had counted nothing.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    sample: Arc<Sample>,
    seconds: f64,
    at: Timestamp,
}

impl Comparison {
    /// How long it is since a moment, now.
    pub(super) fn since(&self, moment: Timestamp) -> Duration {
        Duration::from_millis(self.at.0.saturating_sub(moment.0))
    }

    fn flow<const N: usize>(
        &self,
        names: [&'static str; N],
        now: Counts<N>,
        before: Option<Counts<N>>,
    ) -> Flow<N> {
        Flow { names, now, before: before.unwrap_or_default(), seconds: self.seconds }
    }

    /// What a queue counts, and what is in it.
    pub(super) fn queue(&self, id: QueueId, report: &QueueReport) -> (Flow<9>, Flow<3>) {
        let before = self.sample.queues.get(&id).copied().unzip();
        let counts = self.flow(QUEUE, queue_counts(&report.totals), before.0);
        (counts, self.flow(DEPTH, queue_depth(report), before.1))
    }

    pub(super) fn exchange(
        &self,
        vhost: &ShortString,
        name: &ShortString,
        (came, went): (u64, u64),
    ) -> Flow<2> {
        let before = self.sample.exchanges.get(&(vhost.clone(), name.clone())).copied();
        self.flow(EXCHANGE, Counts([came, went]), before)
    }

    /// What all vhosts count together, and what is in their queues.
    pub(super) fn overall(&self, summary: &Summary) -> (Flow<12>, Flow<3>) {
        let counts = self.flow(OVERALL, overall_counts(summary), Some(self.sample.overall));
        let depth = depth(summary.ready, summary.unacked);
        (counts, self.flow(DEPTH, depth, Some(self.sample.depth)))
    }

    /// What some vhosts count together, and what is in their queues.
    pub(super) fn of_vhosts<'a>(
        &self,
        names: impl Iterator<Item = &'a ShortString>,
        summary: &Summary,
    ) -> (Flow<12>, Flow<3>) {
        let (mut counts, mut depths) = (Counts::default(), Counts::default());
        for (own_counts, own_depths, _) in names.filter_map(|name| self.sample.vhosts.get(name)) {
            counts.add(own_counts);
            depths.add(own_depths);
        }
        let flow = self.flow(OVERALL, overall_counts(summary), Some(counts));
        (flow, self.flow(DEPTH, depth(summary.ready, summary.unacked), Some(depths)))
    }

    pub(super) fn churn(&self, churn: &Churn, totals: &VHostTotals) -> Flow<7> {
        self.flow(CHURN, churn_counts(churn, totals), Some(self.sample.churn))
    }

    /// What a node uses.
    pub(super) fn node(&self, usage: &Usage, churn: &Churn) -> Flow<5> {
        let mut flow = self.flow(NODE, node_counts(usage, churn), self.sample.node);
        if self.sample.node.is_none() {
            flow.seconds = 0.0;
        }
        flow
    }

    /// What a vhost counts, what is in its queues, and what its connections received and sent.
    pub(super) fn vhost<'a>(
        &self,
        name: &ShortString,
        summary: &Summary,
        connections: impl Iterator<Item = &'a ConnectionReport>,
    ) -> (Flow<12>, Flow<3>, Flow<2>) {
        let before = self.sample.vhosts.get(name).copied().unwrap_or_default();
        let octets = self.asked(CONNECTION, sum_of_octets(connections), Some(before.2));
        let counts = self.flow(OVERALL, overall_counts(summary), Some(before.0));
        (counts, self.flow(DEPTH, depth(summary.ready, summary.unacked), Some(before.1)), octets)
    }

    /// What connections are asked for. Where nobody looked before, there is no rate yet.
    fn asked<const N: usize>(
        &self,
        names: [&'static str; N],
        now: Counts<N>,
        before: Option<Counts<N>>,
    ) -> Flow<N> {
        let mut flow = self.flow(names, now, before);
        if self.sample.connections.is_none() {
            flow.seconds = 0.0;
        }
        flow
    }

    /// What the sample has of a connection.
    fn sampled(&self, connection: ConnectionId) -> Option<&SampledConnection> {
        self.sample.connections.as_ref()?.get(&connection)
    }

    /// What a connection received and sent.
    pub(super) fn connection(&self, report: &ConnectionReport) -> Flow<2> {
        let before = self.sampled(report.id).map(|it| it.octets);
        self.asked(CONNECTION, octets(&report.traffic), before)
    }

    /// What a channel counts.
    pub(super) fn channel(&self, connection: ConnectionId, report: &ChannelReport) -> Flow<12> {
        let before = self
            .sampled(connection)
            .and_then(|it| it.channels.get(&report.number.0))
            // Another one may have had its number.
            .filter(|before| before.0[0] <= report.stats.published);
        self.asked(OVERALL, channel_counts(&report.stats), before.copied())
    }

    /// What the consumers of a channel got from a queue.
    pub(super) fn deliveries(
        &self,
        connection: ConnectionId,
        (channel, queue): (u16, &ShortString),
        stats: &ChannelStats,
    ) -> Flow<8> {
        let now = delivery_counts(stats);
        let before = self.sampled(connection);
        let before = before.and_then(|it| it.deliveries.get(&(channel, queue.clone()))).copied();
        // One of the consumers has gone, with what it counted: there is no rate until the next sample.
        let is_less = before
            .is_some_and(|before| before.0.iter().zip(now.0).any(|(before, now)| *before > now));
        let mut flow = self.asked(DELIVERIES, now, before.filter(|_| !is_less));
        if is_less {
            flow.seconds = 0.0;
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_counted_since_the_sample() {
        let flow =
            Flow { names: ["publish"], now: Counts([30]), before: Counts([10]), seconds: 4.0 };
        let expected = json!({ "publish": 30, "publish_details": { "rate": 5.0 } });
        assert_eq!(flow.object(), Some(expected));
    }

    #[test]
    fn what_never_counted_anything_shows_nothing() {
        let flow = Flow { names: ["publish"], now: Counts([0]), before: Counts([0]), seconds: 4.0 };
        assert_eq!(flow.object(), None);
    }

    /// Goal: who sees one vhost of several has its rates, and not what all of them had counted taken off them.
    #[test]
    fn the_rates_of_some_vhosts_are_against_what_those_had() {
        let start = crate_clock();
        let mut sample = Sample::empty(start);
        sample.overall.0[0] = 100;
        for (vhost, published) in [("seen", 10), ("other", 90)] {
            let mut counts = Counts::default();
            counts.0[0] = published;
            let of_vhost = (counts, Counts([published, published, 0]), Counts::default());
            sample.vhosts.insert(ShortString::new(vhost).unwrap(), of_vhost);
        }
        let rates = Rates::new(start, Epoch::new(start, 0));
        rates.samples.lock().clear();
        rates.add(sample);
        let now = rates.against(start + Duration::from_secs(5));
        let mut summary = Summary { ready: 20, ..Summary::default() };
        summary.totals.publishes.published = 30;
        let seen = ShortString::new("seen").unwrap();
        let (counts, depth) = now.of_vhosts([&seen].into_iter(), &summary);
        let rate = |flow: Option<Value>, name: &str| flow.unwrap()[name]["rate"].clone();
        assert_eq!(rate(counts.object(), "publish_details"), 4.0);
        assert_eq!(rate(depth.object(), "messages_details"), 2.0);
    }

    /// A consumer that goes takes along what it counted: what is left was not delivered since the sample.
    #[test]
    fn deliveries_that_have_become_fewer_have_no_rate() {
        let start = crate_clock();
        let queue = ShortString::new("q").unwrap();
        let counted = |delivered| ChannelStats { delivered, ..ChannelStats::default() };
        let mut sample = Sample::empty(start);
        let deliveries = HashMap::from([((1, queue.clone()), delivery_counts(&counted(2000)))]);
        let connection = SampledConnection { deliveries, ..SampledConnection::default() };
        sample.connections = Some(HashMap::from([(ConnectionId(7), connection)]));
        let rates = Rates::new(start, Epoch::new(start, 0));
        rates.samples.lock().clear();
        rates.add(sample);
        let now = rates.against(start + Duration::from_secs(5));
        let rate = |delivered| {
            let flow = now.deliveries(ConnectionId(7), (1, &queue), &counted(delivered));
            flow.object().unwrap()["deliver_details"]["rate"].clone()
        };
        assert_eq!(rate(2010), 2.0);
        assert_eq!(rate(1000), 0.0);
    }

    #[test]
    fn samples_that_are_older_than_those_kept_are_forgotten() {
        let start = crate_clock();
        let rates = Rates::new(start, Epoch::new(start, 0));
        for seconds in [5, 10, 15] {
            rates.add(Sample::empty(start + Duration::from_secs(seconds)));
        }
        let now = start + Duration::from_secs(16);
        assert!((rates.against(now).seconds - 6.0).abs() < 1e-9);
    }

    #[expect(clippy::disallowed_methods, reason = "any moment does")]
    fn crate_clock() -> Instant {
        Instant::now()
    }
}
