//! One broker, its clients, the clock, and the chance that decides who goes next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp_codec::method::{basic, channel, exchange, queue};
use amqp_codec::{FieldTable, FieldValue};
use bytes::Bytes;
use leveret::auth::{User, Users};
use leveret::broker::effect::Position;
use leveret::broker::time::Epoch;
use leveret::broker::vhost::VHostOptions;
use leveret::protocol::connection::Settings;
use leveret::protocol::handshake::Limits;
use leveret::session::{Host, HostSettings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::actions::declare;
use crate::channel::{SimChannel, SimConsumer, Waiting, short};
use crate::ledger::{Ledger, Stats};
use crate::peer::{Effect, Phase, SimClient};
use crate::plan::{BINDINGS, EXCHANGE_BINDINGS, EXCHANGES, QUEUES, QueueKind, QueuePlan};
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
    rng: StdRng,
}

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

    /// Where a message stands in a queue that keeps a journal.
    pub(crate) fn position(&self, queue: &str, message: u64) -> Option<Position> {
        let vhost = self.host.vhost(&short("/"))?;
        self.store.position(vhost.queue(&short(queue)).ok()?.id, message)
    }
}

pub(crate) struct World {
    shared: Shared,
    clients: Vec<SimClient>,
    clients_max: usize,
    watermark: usize,
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
    }
    world.come_to_rest();
    world.end();
    world.shared.ledger.stats
}

impl World {
    fn new(seed: u64, origin: Instant) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let store = Arc::new(SimStore::default());
        let mut users = Users::default();
        users.add("guest", User { password: "guest".to_owned(), loopback_only: true });
        let watermark = if rng.random_bool(0.6) { 0 } else { rng.random_range(30_000..400_000) };
        let host = Host::new(HostSettings {
            connection: Settings {
                limits: Limits { channel_max: 2047, frame_max: 131_072, heartbeat: 60 },
                body_max: 1024 * 1024,
                anonymous: false,
                handshake_timeout: Duration::from_secs(10),
                cluster_name: "simulation".to_owned(),
            },
            users,
            anonymous_user: String::new(),
            connections_max: 0,
            vhosts: vec![short("/")],
            memory_high_watermark: watermark,
            outbox_bytes_max: [1, 2000, 20_000, 1 << 20][rng.random_range(0..4)],
            store: Arc::<SimStore>::clone(&store),
            vhost_options: VHostOptions::new(Epoch::new(origin, 1_700_000_000_000)),
            seed: Some(seed),
        });
        let clients_max = rng.random_range(1..=6);
        let all_persistent = rng.random_bool(0.5);
        let ledger = Ledger::default();
        let restless = rng.random_bool(0.3);
        let now = origin;
        let mut shared = Shared { host, store, now, ledger, all_persistent, restless, rng };
        let slow_store = shared.chance(0.3);
        Self { shared, clients: Vec::new(), clients_max, watermark, slow_store, next_uid: 0 }
    }

    fn connect(&mut self) -> &mut SimClient {
        self.next_uid += 1;
        self.clients.push(SimClient::connect(self.next_uid, &mut self.shared));
        self.clients.last_mut().expect("just added")
    }

    /// A connection with one open channel.
    fn connect_and_open(&mut self) -> usize {
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
            0..420 => client.act(shared),
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
            870..940 if !self.slow_store || shared.chance(0.05) => {
                let count = shared.range(1, 5);
                shared.store.confirm(count);
            }
            940..960 => self.pass_time(1, Duration::from_millis(7)),
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
            _ => {}
        }
        self.forget_the_gone();
    }

    fn forget_the_gone(&mut self) {
        self.clients.retain(|client| client.phase != Phase::Gone);
    }

    fn pass_time(&mut self, steps: usize, step: Duration) {
        for _ in 0..steps {
            self.shared.now += step;
            self.run_timers();
            for client in &mut self.clients {
                client.tick(&mut self.shared);
            }
        }
        self.forget_the_gone();
    }

    /// Does what is due in queues.
    fn run_timers(&mut self) {
        let Shared { host, now, .. } = &self.shared;
        while host.next_deadline().is_some_and(|due| due <= *now) {
            host.handle_timeouts(*now);
        }
    }

    /// Lets all bytes arrive that can.
    fn exchange_all(&mut self) {
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
            if !progress {
                return self.forget_the_gone();
            }
        }
    }

    /// Lets everything happen that can, and compares what the broker says with what its clients
    /// know.
    fn come_to_rest(&mut self) {
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

    fn check_queue(&self, plan: &QueuePlan, all_read: bool) {
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        let Ok(queue) = vhost.queue(&short(plan.name)) else { return };
        let counts = queue.state.lock().counts();
        let name = plan.name;
        let live = self.shared.store.live(queue.id);
        if plan.durable && self.shared.all_persistent {
            assert_eq!(counts.ready + counts.unacked, live, "{name}: {counts:?}");
        }
        for client in self.clients.iter().filter(|client| client.is_read()) {
            for channel in client.channels.values() {
                let mut consumers = channel.consumers.values();
                let idle = consumers.find(|it| it.queue == name && channel.has_credit(it));
                if let Some(idle) = idle {
                    assert_eq!(counts.ready, 0, "{name}: messages wait, and so does {idle:?}");
                }
            }
        }
        if plan.kind == QueueKind::Wild || !all_read {
            return;
        }
        let channels = || self.clients.iter().flat_map(|client| client.channels.values());
        let owed = channels().flat_map(SimChannel::owed).filter(|it| it.queue == name);
        assert_eq!(counts.unacked, owed.count(), "{name}: what clients owe");
        let consumers = channels().flat_map(|channel| channel.consumers.values());
        let consumers = consumers.filter(|consumer| consumer.queue == name);
        assert_eq!(counts.consumers, consumers.count(), "{name}: consumers");
    }

    /// Somebody comes and takes what waits, so that publishers who wait for memory can go on.
    fn relieve(&mut self) {
        let helper = self.connect_and_open();
        let uid = self.clients[helper].uid;
        for plan in QUEUES.iter().filter(|plan| plan.kind != QueueKind::Wild) {
            loop {
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
                helper.once_read(Effect::Settled(vec![(held.queue, held.id)]));
            }
        }
        let helper = self.clients.iter_mut().find(|client| client.uid == uid);
        helper.expect("nothing happens to it").close();
        self.come_to_rest();
    }

    /// Everybody leaves, one last client drains all queues, and nothing is left.
    fn end(&mut self) {
        if self.shared.chance(0.3) {
            self.relieve();
        }
        while !self.clients.is_empty() {
            let index = self.shared.range(0, self.clients.len() - 1);
            let client = &mut self.clients[index];
            if client.phase == Phase::Open && !client.blocked && self.shared.chance(0.5) {
                client.close();
                self.exchange_all();
            } else {
                client.leave(&mut self.shared);
            }
            self.forget_the_gone();
            self.come_to_rest();
        }
        let drainer = self.connect_and_open();
        for plan in QUEUES {
            self.drain(drainer, &plan);
        }
        self.shared.ledger.check_nothing_is_lost();
        assert_eq!(self.shared.host.memory_used(), 0, "all memory is given back");
        self.clients[drainer].close();
        self.exchange_all();
        assert!(self.clients.is_empty(), "the last client is gone");
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        for queue in vhost.queues() {
            let counts = queue.state.lock().counts();
            let all = counts.ready + counts.unacked + counts.consumers;
            assert_eq!(all, 0, "{}: {counts:?}", queue.name);
            assert!(queue.properties.owner.is_none(), "{} is gone with its owner", queue.name);
        }
    }

    /// Takes all of a queue, in order.
    fn drain(&mut self, drainer: usize, plan: &QueuePlan) {
        let vhost = self.shared.host.vhost(&short("/")).expect("the vhost is there");
        if vhost.queue(&short(plan.name)).is_err() {
            return;
        }
        let client = &mut self.clients[drainer];
        let consume = basic::Consume {
            queue: short(plan.name),
            consumer_tag: short("drain"),
            no_local: false,
            no_ack: false,
            exclusive: true,
            no_wait: false,
            arguments: FieldTable::default(),
        };
        let consumer = SimConsumer::new(0, plan.name, 0, false, true);
        client.ask(1, consume, Waiting::Consume(consumer));
        self.exchange_all();
        let client = &mut self.clients[drainer];
        let channel = client.channels.get_mut(&1).expect("an open channel");
        assert!(channel.consumers.contains_key("drain"), "nobody else consumes {}", plan.name);
        let held = std::mem::take(&mut channel.held).into_values();
        let done = held.map(|held| (held.queue, held.id)).collect();
        client.send(1, basic::Ack { delivery_tag: 0, multiple: true });
        client.once_read(Effect::Settled(done));
        let cancel = basic::Cancel { consumer_tag: short("drain"), no_wait: false };
        client.ask(1, cancel, Waiting::Cancel("drain".to_owned()));
        self.exchange_all();
    }
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
