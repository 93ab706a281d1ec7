//! One broker, its clients, the clock, and the chance that decides who goes next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::method::{basic, channel, exchange, queue};
use amqp_codec::{FieldTable, FieldValue};
use bytes::Bytes;
use leveret::auth::HashingAlgorithm;
use leveret::broker::effect::Position;
use leveret::broker::memory::MemoryGauge;
use leveret::broker::policy::Policy;
use leveret::broker::queue::{QueueCounts, Window};
use leveret::broker::queue_cell::QueueId;
use leveret::broker::time::{Epoch, Timestamp};
use leveret::broker::vhost::VHostOptions;
use leveret::config::{Capacity, CertificateLogin};
use leveret::protocol::connection::Settings;
use leveret::protocol::handshake::Limits;
use leveret::session::{Defaults, Host, HostSettings, NewVHosts};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::actions::declare;
use crate::census::Census;
use crate::channel::{SimChannel, Verdict, Waiting, short};
use crate::discipline::text;
use crate::ledger::{Ledger, Stats};
use crate::life::Life;
use crate::peer::{Effect, Phase, SimClient};
use crate::plan::{
    BINDINGS, EXCHANGE_BINDINGS, EXCHANGES, QUEUES, QueueKind, QueuePlan, TARGETS, Target,
    queue_plan,
};
use crate::store::SimStore;

/// What all simulated clients share.
pub(crate) struct Shared {
    pub(crate) host: Arc<Host>,
    pub(crate) store: Arc<SimStore>,
    pub(crate) now: Instant,
    pub(crate) ledger: Ledger,
    pub(crate) all_persistent: bool,
    /// Clients close and open channels all the time, and change what comes and goes.
    pub(crate) restless: bool,
    /// Clients give back most of what they get.
    pub(crate) picky: bool,
    epoch: Epoch,
    /// What this run is about.
    queues: Vec<&'static str>,
    targets: Vec<Target>,
    rng: StdRng,
}

/// Where the calendar stands when a run begins.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// More than half of all memory, in runs where publishers never wait for it.
const BALLAST: usize = 1 << 40;

impl Shared {
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// A number between two others, both included.
    pub(crate) fn range(&mut self, low: usize, high: usize) -> usize {
        self.rng.random_range(low..=high)
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.range(0, of.len() - 1)].clone()
    }

    pub(crate) fn pick_queue(&mut self) -> &'static str {
        self.queues[self.rng.random_range(0..self.queues.len())]
    }

    pub(crate) fn pick_target(&mut self) -> Target {
        self.targets[self.rng.random_range(0..self.targets.len())]
    }

    /// Where a message stands in a queue that keeps a journal.
    pub(crate) fn position(&self, queue: &str, life: Life) -> Option<Position> {
        let vhost = self.host.vhost(&short("/"))?;
        let place = self.store.place(vhost.queue(&short(queue)).ok()?.id, life);
        place.map(|place| place.position)
    }

    pub(crate) fn timestamp(&self, at: Instant) -> Timestamp {
        self.epoch.timestamp(at)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.store.set_now(self.timestamp(now));
    }
}

pub(crate) struct World {
    pub(crate) shared: Shared,
    pub(crate) clients: Vec<SimClient>,
    pub(crate) census: Census,
    clients_max: usize,
    watermark: usize,
    memory: Arc<MemoryGauge>,
    /// Memory that is in use for something else.
    ballast: usize,
    /// Confirms take their time.
    slow_store: bool,
    next_uid: u64,
}

/// Runs one seed from its first connection until the broker is empty again.
pub(crate) fn run(seed: u64, origin: Instant) -> Stats {
    let mut world = World::new(seed, origin);
    world.set_up();
    for _ in 0..world.shared.range(300, 900) {
        world.step();
        world.census.take(&mut world.shared);
    }
    world.come_to_rest();
    if world.ballast > 0 {
        world.weigh_down();
    }
    world.end();
    let (read, left) = world.shared.store.paging();
    let stats = &mut world.shared.ledger.stats;
    (stats.pages_read, stats.transient_paged_out) = (read, left);
    *stats
}

impl World {
    fn new(seed: u64, origin: Instant) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let store = Arc::new(SimStore::default());
        let watermark = if rng.random_bool(0.6) { 0 } else { rng.random_range(30_000..400_000) };
        let window = [1, 3, 20, 1000][rng.random_range(0..4)];
        let gauge = if watermark == 0 { BALLAST / 2 * 3 } else { watermark };
        let memory = Arc::new(MemoryGauge::new(gauge));
        let epoch = Epoch::new(origin, EPOCH_MS);
        let host = Host::new(HostSettings {
            connection: Settings {
                limits: Limits { channel_max: 2047, frame_max: 131_072, heartbeat: 60 },
                body_max: 1024 * 1024,
                anonymous: false,
                external: false,
                handshake_timeout: Duration::from_secs(10),
                cluster_name: "simulation".to_owned(),
                durability: "none",
            },
            loopback_users: vec!["guest".to_owned()],
            anonymous_user: String::new(),
            certificate_login: CertificateLogin::default(),
            capacity: Capacity::default(),
            new_vhosts: NewVHosts::default(),
            password_hashing: HashingAlgorithm::default(),
            descriptors_max: 0,
            node_name: "rabbit@simulation".to_owned(),
            outbox_bytes_max: [1, 2000, 20_000, 1 << 20][rng.random_range(0..4)],
            store: Arc::<SimStore>::clone(&store),
            vhost_options: VHostOptions {
                memory: Arc::clone(&memory),
                window: Window { messages: window, bytes: 1 << 20 },
                ..VHostOptions::new(epoch)
            },
            definitions: Vec::new(),
            now: origin,
            seed: Some(seed),
        });
        let host = host.expect("nothing to restore");
        host.acting_by_itself()
            .make_defaults(Defaults::new("guest", "guest", "/"))
            .expect("short names");
        let clients_max = rng.random_range(1..=6);
        let all_persistent = rng.random_bool(0.5);
        let ledger = Ledger::default();
        let restless = rng.random_bool(0.3);
        let picky = rng.random_bool(0.3);
        let now = origin;
        let (queues, targets) = theme(&mut rng);
        let mut shared = Shared {
            host,
            store,
            now,
            ledger,
            all_persistent,
            restless,
            picky,
            epoch,
            queues,
            targets,
            rng,
        };
        shared.set_now(origin);
        let slow_store = shared.chance(0.3);
        let slow_reads = shared.chance(0.7);
        shared.store.set_slow_reads(slow_reads);
        let (clients, census) = (Vec::new(), Census::default());
        Self {
            shared,
            clients,
            census,
            clients_max,
            watermark,
            memory,
            ballast: 0,
            slow_store,
            next_uid: 0,
        }
    }

    fn connect(&mut self) -> &mut SimClient {
        self.next_uid += 1;
        self.clients.push(SimClient::connect(self.next_uid, &mut self.shared));
        self.clients.last_mut().expect("just added")
    }

    /// A connection with one open channel.
    pub(crate) fn connect_and_open(&mut self) -> usize {
        self.connect();
        self.exchange_all();
        let uid = self.shared.ledger.new_channel();
        let client = self.clients.last_mut().expect("just added");
        client.channels.insert(1, SimChannel::new(uid));
        client.send(1, channel::Open {});
        self.exchange_all();
        self.clients.len() - 1
    }

    /// Declares what stands still.
    fn set_up(&mut self) {
        let first = self.connect_and_open();
        for (name, kind, alternate) in EXCHANGES {
            let alternate = alternate.map(|name| {
                let name = Bytes::from_static(name.as_bytes());
                (short("alternate-exchange"), FieldValue::LongString(name))
            });
            let declare = exchange::Declare {
                exchange: short(name),
                kind: short(kind),
                passive: false,
                durable: true,
                auto_delete: false,
                internal: false,
                no_wait: false,
                arguments: alternate.into_iter().collect(),
            };
            self.ask(first, declare);
        }
        for plan in QUEUES {
            self.ask(first, declare(plan.name));
        }
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        for plan in QUEUES.iter().filter(|plan| plan.kind == QueueKind::Disciplined) {
            let queue = vhost.queue(&short(plan.name)).expect("it was declared");
            self.shared.store.name(queue_plan(plan.name).expect("a queue as planned"), queue.id);
        }
        for (name, source, key) in BINDINGS {
            let bind = queue::Bind {
                queue: short(name),
                exchange: short(source),
                routing_key: short(key),
                no_wait: false,
                arguments: FieldTable::default(),
            };
            self.ask(first, bind);
        }
        for (source, destination, key) in EXCHANGE_BINDINGS {
            let bind = exchange::Bind {
                destination: short(destination),
                source: short(source),
                routing_key: short(key),
                no_wait: false,
                arguments: FieldTable::default(),
            };
            self.ask(first, bind);
        }
    }

    fn ask(&mut self, client: usize, method: impl Into<amqp_codec::Method>) {
        self.clients[client].ask(1, method, Waiting::Topology);
        self.exchange_all();
        assert!(self.clients[client].channels[&1].is_free(), "the request is answered");
    }

    fn step(&mut self) {
        if self.clients.is_empty() {
            self.connect();
        }
        let index = self.shared.range(0, self.clients.len() - 1);
        let what = self.shared.range(0, 999);
        let has_room = self.clients.len() < self.clients_max;
        let shared = &mut self.shared;
        let client = &mut self.clients[index];
        match what {
            0..400 => client.act(shared),
            400..404 => self.check_restart(),
            404..412 => {
                let count = shared.range(1, 3);
                shared.store.look(count);
            }
            412..416 => self.weigh_down(),
            416..420 => self.probe(),
            420..580 if !client.frozen => {
                let most = shared.pick(&[1, 7, 50, 500, 5000, 100_000, usize::MAX]);
                client.transmit(most, shared);
            }
            580..770 if !client.frozen => {
                let most = shared.pick(&[1, 10, 100, 1000, 10_000, 100_000, usize::MAX]);
                client.read(most, shared);
            }
            770..870 => {
                for client in self.clients.iter_mut().filter(|client| client.has_mail()) {
                    client.pump(shared);
                }
            }
            870..890 => {
                let count = shared.range(1, 3);
                shared.store.answer(count);
                self.run_timers();
            }
            890..940 if !self.slow_store || shared.chance(0.05) => {
                let count = shared.range(1, 5);
                shared.store.confirm(count);
            }
            940..960 => {
                let milliseconds = shared.pick(&[7, 100, 800, 1_500]);
                self.pass_time(1, Duration::from_millis(milliseconds));
            }
            960..963 => {
                let seconds = self.shared.range(1, 40);
                self.pass_time(seconds, Duration::from_secs(1));
            }
            963..968 => client.frozen = true,
            968..975 => client.frozen = false,
            975..983 if has_room => {
                self.connect();
            }
            983..985 => {
                shared.ledger.stats.dropped += 1;
                client.leave(shared);
            }
            985..987 if client.phase == Phase::Open => client.close(),
            987..992 => self.come_to_rest(),
            992..995 => self.relieve(),
            995..998 => self.change_policies(),
            998..1000 => self.probe(),
            _ => {}
        }
        self.forget_the_gone();
    }

    pub(crate) fn forget_the_gone(&mut self) {
        self.clients.retain(|client| client.phase != Phase::Gone);
    }

    pub(crate) fn pass_time(&mut self, steps: usize, step: Duration) {
        for _ in 0..steps {
            self.shared.set_now(self.shared.now + step);
            self.run_timers();
            for client in &mut self.clients {
                client.tick(&mut self.shared);
            }
        }
        self.forget_the_gone();
    }

    fn is_due(&self) -> bool {
        self.shared.host.next_deadline().is_some_and(|due| due <= self.shared.now)
    }

    /// Something else takes memory, or gives it back: it becomes short, or does not.
    fn weigh_down(&mut self) {
        if self.watermark != 0 {
            // Here messages make it short themselves.
            return;
        }
        self.ballast = BALLAST - self.ballast;
        if self.ballast > 0 {
            self.memory.add(BALLAST);
        } else {
            self.memory.release(BALLAST);
        }
    }

    /// Does what is due in queues.
    fn run_timers(&mut self) {
        if !self.is_due() {
            return;
        }
        let before = self.census.gone();
        let mut calls = 0;
        while self.is_due() {
            self.shared.host.handle_timeouts(self.shared.now);
            calls += 1;
            assert!(calls < 10_000, "timers come to rest");
        }
        self.shared.store.pages_taken();
        self.census.take(&mut self.shared);
        // Queues have no other reason to go when time passes.
        self.shared.ledger.stats.queues_expired += self.census.gone() - before;
    }

    /// Policies and operator policies come and go for one queue.
    fn change_policies(&mut self) {
        let shared = &mut self.shared;
        let vhost = shared.host.vhost(&short("/")).expect("the vhost is there");
        shared.ledger.stats.policies_changed += 1;
        let number = FieldValue::I64;
        let to_dead = || ("dead-letter-exchange", text("x.dead"));
        let key = || ("dead-letter-routing-key", text("dead"));
        let length = |max| ("max-length", number(max));
        let overflow = |what| ("overflow", text(what));
        let definition = match shared.range(0, 8) {
            0 => vec![("message-ttl", number(1_500))],
            1 => vec![length(3)],
            2 => vec![length(3), to_dead(), key()],
            3 => vec![length(2), overflow("reject-publish")],
            4 => {
                vec![("message-ttl", number(700)), ("delivery-limit", number(1)), to_dead(), key()]
            }
            5 => vec![length(2), overflow("reject-publish-dlx"), to_dead(), key()],
            6 => vec![("delayed-retry-type", text("all")), ("delayed-retry-min", number(300))],
            7 => {
                shared.host.acting_by_itself().delete_policy(&vhost, "limits", shared.now);
                return;
            }
            _ if shared.chance(0.5) => {
                shared.host.acting_by_itself().delete_operator_policy(&vhost, "most", shared.now);
                return;
            }
            _ => {
                let most = [("max-length", 4), ("message-ttl", 3_000)];
                let policy = Policy::new("most", "^policed$", most).expect("a valid policy");
                let set =
                    shared.host.acting_by_itself().set_operator_policy(&vhost, policy, shared.now);
                return set.expect("operators may set this");
            }
        };
        let policy = Policy::new("limits", "^policed$", definition).expect("a valid policy");
        shared.host.acting_by_itself().set_policy(&vhost, policy, shared.now);
    }

    /// Lets all bytes arrive that can.
    pub(crate) fn exchange_all(&mut self) {
        loop {
            let mut progress = false;
            for client in &mut self.clients {
                progress |= client.transmit(usize::MAX, &mut self.shared);
                while client.read(usize::MAX, &mut self.shared) {
                    progress = true;
                }
                if client.has_mail() {
                    client.pump(&mut self.shared);
                    progress = true;
                }
            }
            progress |= self.shared.store.waiting() > 0;
            self.shared.store.confirm(usize::MAX);
            progress |= self.shared.store.reads() > 0 || self.is_due();
            self.shared.store.answer(usize::MAX);
            self.run_timers();
            if !progress {
                return self.forget_the_gone();
            }
        }
    }

    /// Lets everything happen that can, and compares what the broker says with what its clients
    /// know.
    pub(crate) fn come_to_rest(&mut self) {
        for client in &mut self.clients {
            client.frozen = false;
        }
        self.exchange_all();
        let mut all_read = true;
        for client in &mut self.clients {
            if client.is_held_back() {
                all_read &= client.is_read();
                let used = self.shared.host.memory_used();
                assert!(client.blocked, "client {} is held back without cause", client.uid);
                assert!(used > self.watermark / 10 * 9, "blocked, with {used} bytes in use");
                continue;
            }
            assert!(!client.blocked, "client {} waits for unblocked", client.uid);
            assert!(client.is_read(), "client {} is not read", client.uid);
            check_answered(client);
        }
        for plan in &QUEUES {
            self.check_queue(plan, all_read);
        }
    }

    fn check_queue(&mut self, plan: &QueuePlan, all_read: bool) {
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        let Ok(queue) = vhost.queue(&short(plan.name)) else { return };
        let counts = queue.state.lock().counts();
        let name = plan.name;
        let live = self.shared.store.live(queue.id);
        if plan.durable && self.shared.all_persistent {
            let here = counts.ready + counts.unacked + counts.scheduled + counts.departing;
            assert_eq!(here, live, "{name}: {counts:?}");
        }
        self.check_nobody_waits(plan, queue.id, counts, all_read);
        if plan.kind == QueueKind::Wild || !all_read {
            return;
        }
        let owed = self.channels().flat_map(SimChannel::owed).filter(|it| it.queue == name);
        let owed: Vec<Life> = owed.map(|held| held.life).collect();
        if plan.discipline.takes_back() {
            // Clients don't know what was taken back.
            assert!(counts.unacked <= owed.len(), "{name}: what clients owe");
        } else {
            assert_eq!(counts.unacked, owed.len(), "{name}: what clients owe");
            // No message has two holders.
            let distinct: BTreeSet<Life> = owed.iter().copied().collect();
            assert_eq!(distinct.len(), owed.len(), "{name}: somebody has what another has");
            self.check_groups(plan, &distinct);
        }
        let consumers = self.channels().flat_map(|channel| channel.consumers.values());
        let consumers = consumers.filter(|consumer| consumer.queue == name);
        assert_eq!(counts.consumers, consumers.count(), "{name}: consumers");
    }

    fn channels(&self) -> impl Iterator<Item = &SimChannel> {
        self.clients.iter().flat_map(|client| client.channels.values())
    }

    /// Where a consumer has credit, nothing that it could have is ready.
    fn check_nobody_waits(
        &mut self,
        plan: &QueuePlan,
        id: QueueId,
        counts: QueueCounts,
        all_read: bool,
    ) {
        let name = plan.name;
        let (mut idle, mut busy) = (0, 0);
        for client in self.clients.iter().filter(|client| client.is_read()) {
            for channel in client.channels.values() {
                let consumers = channel.consumers.values().filter(|it| it.queue == name);
                for consumer in consumers {
                    let has_credit = channel.has_credit(consumer);
                    *(if has_credit { &mut idle } else { &mut busy }) += 1;
                }
            }
        }
        if idle == 0 || counts.ready == 0 {
            return;
        }
        let discipline = plan.discipline;
        if discipline.single_active && (busy > 0 || !all_read) {
            // The one that is active may be busy.
            return;
        }
        if discipline.grouped {
            // Each group that waits has somebody it waits for: a delivery, or a retry.
            let retries = counts.scheduled - self.shared.store.scheduled(id);
            let groups = self.shared.store.groups(id);
            assert!(groups <= counts.unacked + retries, "{name}: {groups} groups, {counts:?}");
            self.shared.ledger.stats.groups_held_back += 1;
        } else {
            panic!("{name}: messages wait, and so do {idle}: {counts:?}");
        }
    }

    /// Of each group one message is delivered at most.
    fn check_groups(&self, plan: &QueuePlan, owed: &BTreeSet<Life>) {
        if !plan.discipline.grouped {
            return;
        }
        let mut groups = BTreeSet::new();
        for group in owed.iter().filter_map(|life| self.shared.ledger.group(life.id)) {
            assert!(groups.insert(group), "two of group {group} are delivered from {}", plan.name);
        }
    }

    /// Somebody comes and takes what waits, so that publishers who wait for memory can go on.
    pub(crate) fn relieve(&mut self) {
        let helper = self.connect_and_open();
        let uid = self.clients[helper].uid;
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        for plan in QUEUES.iter().filter(|plan| plan.kind != QueueKind::Wild) {
            let queue = vhost.queue(&short(plan.name)).expect("it stands still");
            while queue.state.lock().counts().ready > 0 {
                let helper = self.clients.iter_mut().find(|client| client.uid == uid);
                let helper = helper.expect("nothing happens to it");
                let queue = plan.name.to_owned();
                let get = basic::Get { queue: short(plan.name), no_ack: false };
                helper.ask(1, get, Waiting::Get { queue, no_ack: false });
                self.exchange_all();
                let helper = self.clients.iter_mut().find(|client| client.uid == uid);
                let helper = helper.expect("nothing happens to it");
                let channel = helper.channels.get_mut(&1).expect("an open channel");
                let Some((tag, held)) = channel.held.pop_first() else { break };
                helper.send(1, basic::Ack { delivery_tag: tag, multiple: false });
                helper.once_read(Effect::Settled(vec![(held, Verdict::Ack)]));
            }
        }
        let helper = self.clients.iter_mut().find(|client| client.uid == uid);
        helper.expect("nothing happens to it").close();
        self.come_to_rest();
    }
}

/// The queues of a run, and where its messages go: plain ones, some with rules of their own, or all.
fn theme(rng: &mut StdRng) -> (Vec<&'static str>, Vec<Target>) {
    let share = [0.0, 0.15, 0.3, 1.0][rng.random_range(0..4)];
    let plain = share == 0.0 || rng.random_bool(0.3);
    let mut queues = Vec::new();
    for plan in &QUEUES {
        let wanted = match plan.kind {
            QueueKind::Disciplined => rng.random_bool(share),
            _ => plain,
        };
        if wanted {
            queues.push(plan.name);
        }
    }
    if !plain {
        queues.push("group");
    }
    let chosen = |target: &Target| {
        let mut of_target = target.queues.iter();
        if target.disciplined && !target.wild {
            of_target.any(|queue| queues.contains(queue))
        } else {
            plain
        }
    };
    let mut targets: Vec<Target> = TARGETS.into_iter().filter(chosen).collect();
    if plain && rng.random_bool(0.3) {
        // Where there is never room, dead letters wait.
        let crowded = |target: &Target| matches!(target.key, "waits" | "full");
        let crowd = TARGETS.into_iter().filter(crowded);
        targets.extend(crowd.cycle().take(targets.len()));
    }
    (queues, targets)
}

fn check_answered(client: &SimClient) {
    assert_eq!(client.phase, Phase::Open, "client {} is through", client.uid);
    for (number, channel) in &client.channels {
        let uid = client.uid;
        assert!(!channel.poisoned, "client {uid}, channel {number} is closed for its error");
        assert_eq!(channel.waiting, None, "client {uid}, channel {number} is answered");
        assert_eq!(channel.unconfirmed(), 0, "client {uid}, channel {number} is confirmed");
    }
}
