//! The load generator against a broker in the same process: what it counts adds up, and what it can't do it
//! says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leveret::Broker;
use leveret::net::now;
use leveret::perf::{
    ChurnPlan, Churned, Control, Exchange, ExpiryPlan, Idle, IdlePlan, PerfError, Phase, Plan,
    Progress, Queues, Report, Uri, churn, expire, idle, parse_arguments, run,
};

/// What came of a plan carried out on a broker of its own, and of the broker.
async fn measured(plan: Plan) -> Report {
    let broker = Broker::builder().start().await.unwrap();
    let report = on(&broker, plan).await;
    broker.stop().await;
    report.unwrap()
}

async fn on(broker: &Broker, plan: Plan) -> Result<Report, String> {
    let plan = Plan { uri: broker.uri().parse().unwrap(), ..plan };
    elsewhere(plan, Arc::new(AtomicBool::new(false)), |_| {}).await
}

/// It blocks, so it has a thread of its own.
async fn elsewhere(
    plan: Plan,
    stop: Arc<AtomicBool>,
    mut progress: impl FnMut(&Progress) + Send + 'static,
) -> Result<Report, String> {
    let run = move || run(&plan, now, &stop, &mut progress).map_err(|error| error.to_string());
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn only(report: &Report) -> &Phase {
    assert_eq!(report.problem, None);
    let [phase] = &report.phases[..] else { panic!("{report:?}") };
    phase
}

fn queues(generated: usize) -> Queues {
    Queues { generated, ..Plan::default().queues }
}

fn named(name: &str) -> Queues {
    Queues { names: vec![name.to_owned()], ..Plan::default().queues }
}

// --- counts ---

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_confirmed_and_received() {
    let plan = Plan {
        producers: 3,
        consumers: 2,
        size: 100,
        confirm_window: Some(50),
        ack_every: 7,
        prefetch: 20,
        publish_count: Some(1001),
        ..Plan::default()
    };
    let report = measured(plan).await;
    let phase = only(&report);
    assert_eq!((phase.sent, phase.confirmed, phase.received), (3003, Some(3003), 3003));
    assert_eq!((phase.nacked, phase.returned), (0, 0));
    let latencies = [phase.latency_us.unwrap(), phase.confirm_latency_us.unwrap()];
    for of in latencies {
        let ordered = [of.min, of.median, of.p95, of.p99, of.p999, of.max];
        assert!(ordered.is_sorted() && of.min > 0.0, "{of:?}");
    }
}

/// Everything that was delivered is acknowledged when it ends, whatever the rhythm.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_in_the_queue() {
    let broker = Broker::builder().start().await.unwrap();
    for (ack_every, auto_ack) in [(1, false), (1000, false), (1, true)] {
        let plan = Plan {
            ack_every,
            auto_ack,
            publish_count: Some(1500),
            queues: named("kept"),
            ..Plan::default()
        };
        assert_eq!(only(&on(&broker, plan).await.unwrap()).received, 1500);
        let counts = broker.queue_counts("/", "kept").unwrap();
        assert_eq!((counts.ready, counts.unacked), (0, 0), "{ack_every} {auto_ack}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_is_used_and_never_exceeded() {
    for window in [1, 10] {
        let plan = Plan {
            producers: 2,
            consumers: 0,
            confirm_window: Some(window),
            publish_count: Some(500),
            ..Plan::default()
        };
        let report = measured(plan).await;
        let phase = only(&report);
        assert_eq!(phase.unconfirmed_max, window);
        assert_eq!((phase.sent, phase.confirmed, phase.received), (1000, Some(1000), 0));
    }
}

/// Bodies without room for a stamp, in one frame and in several.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_the_size_asked_for() {
    let broker = Broker::builder().start().await.unwrap();
    for (size, count) in [(0, 200), (11, 200), (12, 200), (300_000, 20)] {
        let plan = Plan { size, publish_count: Some(count), ..Plan::default() };
        let report = on(&broker, plan).await.unwrap();
        let phase = only(&report);
        assert_eq!((phase.sent, phase.received), (count, count), "{size}");
        assert_eq!(phase.latency_us.is_some(), size >= 12, "{size}");
    }
    let plan = Plan {
        size: 70_000,
        consumers: 0,
        publish_count: Some(3),
        queues: named("sized"),
        ..Plan::default()
    };
    on(&broker, plan).await.unwrap();
    assert_eq!(broker.queue_counts("/", "sized").unwrap().ready, 3);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_queues_and_threads_share_the_work() {
    let plan = Plan {
        producers: 2,
        consumers: 3,
        confirm_window: Some(100),
        publish_count: Some(1003),
        queues: queues(5),
        threads: 2,
        ..Plan::default()
    };
    let report = measured(plan).await;
    let phase = only(&report);
    assert_eq!((phase.sent, phase.confirmed, phase.received), (2006, Some(2006), 2006));
}

// --- scenarios ---

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_publishes_first_and_consumes_then() {
    let plan = Plan {
        producers: 2,
        consumers: 2,
        confirm_window: Some(100),
        publish_count: Some(1000),
        drain: true,
        ..Plan::default()
    };
    let report = measured(plan).await;
    assert_eq!(report.problem, None);
    let [published, drained] = &report.phases[..] else { panic!("{report:?}") };
    assert_eq!((published.name, published.sent, published.received), ("publish", 2000, 0));
    assert_eq!((drained.name, drained.sent, drained.received), ("drain", 0, 2000));
    assert_eq!(drained.latency_us, None, "how long they waited is nobody's latency");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fanout_reaches_every_queue_and_leaves_nothing() {
    let broker = Broker::builder().start().await.unwrap();
    let plan = Plan {
        consumers: 3,
        confirm_window: Some(10),
        publish_count: Some(100),
        queues: queues(20),
        exchange: Some(Exchange { name: None, kind: "fanout".to_owned() }),
        persistent: true,
        ..Plan::default()
    };
    let report = on(&broker, plan).await.unwrap();
    let phase = only(&report);
    assert_eq!((phase.sent, phase.confirmed, phase.received), (100, Some(100), 2000));
    let vhost = broker.host().vhost(&"/".try_into().unwrap()).unwrap();
    assert_eq!(vhost.queues().len(), 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_with_a_count_end_the_run() {
    let plan = Plan { consumers: 2, consume_count: Some(300), prefetch: 50, ..Plan::default() };
    let report = measured(plan).await;
    assert_eq!(only(&report).received, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept() {
    let plan = Plan { rate: Some(2000), publish_count: Some(400), ..Plan::default() };
    let report = measured(plan).await;
    // The last of them is due after 399 / 2000 s; on a busy machine it is later.
    assert!(only(&report).seconds >= 0.199, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_end_ends_when_told() {
    let broker = Broker::builder().start().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let plan = Plan { uri: broker.uri().parse().unwrap(), rate: Some(1000), ..Plan::default() };
    // Told by the first line of progress.
    let report = elsewhere(plan, stop, move |progress| {
        assert!(progress.to_string().contains("sent"), "{progress}");
        stopping.store(true, Ordering::Relaxed);
    });
    assert!(only(&report.await.unwrap()).received > 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_watched() {
    let plan = Plan { publish_count: Some(100), pids: vec![std::process::id()], ..Plan::default() };
    let report = measured(plan).await;
    let [process] = only(&report).processes[..] else { panic!("{report:?}") };
    assert!(process.rss > 0 && process.rss_peak >= process.rss, "{process:?}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["phases"][0]["processes"][0]["pid"], std::process::id());
}

// --- exchanges and priorities ---

fn exchange(kind: &str) -> Option<Exchange> {
    Some(Exchange { name: None, kind: kind.to_owned() })
}

/// Each message reaches one queue, whatever the number of bindings, and all queues get some.
#[tokio::test(flavor = "multi_thread")]
async fn every_message_matches_one_of_many_bindings() {
    for kind in ["topic", "direct", "headers"] {
        let plan = Plan {
            size: 40,
            consumers: 3,
            confirm_window: Some(100),
            publish_count: Some(900),
            exchange: exchange(kind),
            bindings: Some(300),
            queues: queues(3),
            mandatory: true,
            verify: true,
            ..Plan::default()
        };
        let report = measured(plan).await;
        let phase = only(&report);
        assert_eq!((phase.received, phase.returned), (900, 0), "{kind}");
        assert_eq!(report.verified.unwrap().checked, 900, "{kind}");
    }
}

/// Those of the highest priority come out first of a queue that was filled before.
#[tokio::test(flavor = "multi_thread")]
async fn messages_have_priorities_in_turn() {
    let plan = Plan {
        size: 32,
        priorities: Some(10),
        publish_count: Some(1000),
        confirm_window: Some(100),
        drain: true,
        verify: true,
        ..Plan::default()
    };
    let report = measured(plan).await;
    assert_eq!(report.problem, None);
    let verified = report.verified.unwrap();
    assert_eq!((verified.checked, verified.out_of_order), (1000, 0));
}

// --- verification ---

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_as_it_was_sent_is_verified() {
    let fanout = Plan { exchange: exchange("fanout"), queues: queues(4), ..Plan::default() };
    let several = Plan { producers: 3, consumers: 2, threads: 2, ..Plan::default() };
    let large = Plan { size: 300_000, publish_count: Some(20), ..Plan::default() };
    let timed = Plan {
        publish_count: None,
        duration: Some(Duration::from_millis(50)),
        auto_ack: true,
        ..Plan::default()
    };
    for plan in [fanout, several, large, timed] {
        let plan = Plan {
            size: plan.size.max(32),
            publish_count: plan.publish_count.or(plan.duration.is_none().then_some(1000)),
            verify: true,
            ..plan
        };
        let report = measured(plan).await;
        let (phase, verified) = (only(&report), report.verified.unwrap());
        assert!(verified.is_clean() && verified.checked == phase.received, "{report}");
        assert!(phase.received >= phase.sent && phase.sent > 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_a_queue_drops_are_found_to_be_lost() {
    let short = Queues { arguments: parse_arguments("x-max-length=10").unwrap(), ..queues(1) };
    let plan = Plan {
        size: 32,
        queues: short,
        confirm_window: Some(50),
        publish_count: Some(30),
        drain: true,
        verify: true,
        idle_timeout: Duration::ZERO,
        ..Plan::default()
    };
    let problem = measured(plan).await.problem.unwrap();
    let lost = "not all messages arrived as sent: 10 checked, 20 lost, 0 twice, 0 out of order, 0 damaged; ";
    assert!(problem.starts_with(lost), "{problem}");
}

// --- what is no stream of messages ---

/// What a scenario says on a broker of its own.
async fn scenario<R: Send + 'static>(
    scenario: impl FnOnce(Uri, &mut Control<'_>) -> Result<R, PerfError> + Send + 'static,
) -> R {
    let broker = Broker::builder().start().await.unwrap();
    let uri = broker.uri().parse().unwrap();
    let report = tokio::task::spawn_blocking(move || {
        let stop = AtomicBool::new(false);
        scenario(uri, &mut Control { now, stop: &stop, progress: &mut |_| {} })
    });
    let report = report.await.unwrap().unwrap();
    let vhost = broker.host().vhost(&"/".try_into().unwrap()).unwrap();
    assert_eq!(vhost.queues().len(), 0, "it leaves nothing");
    broker.stop().await;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_channels_queues_and_bindings_come_and_go() {
    let queues = |durable| Churned::Queues { durable };
    let queues = [queues(false), queues(true)];
    for what in
        [Churned::Connections, Churned::Channels, Churned::Bindings].into_iter().chain(queues)
    {
        let report = scenario(move |uri, control| {
            let (count, pids) = (Some(25), vec![std::process::id()]);
            churn(&ChurnPlan { uri, what, clients: 3, count, duration: None, pids }, control)
        });
        let report = report.await;
        assert_eq!(report.count, 25, "{what:?}");
        let ordered = report.latency_us.unwrap();
        assert!(ordered.min <= ordered.median && ordered.median <= ordered.max, "{report}");
        assert_eq!(report.processes.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_and_does_nothing_has_its_memory_told() {
    for what in [Idle::Connections, Idle::Consumers, Idle::Queues] {
        let report = scenario(move |uri, control| {
            let (rest, pids) = (Duration::ZERO, vec![std::process::id()]);
            let plan = IdlePlan { uri, what, count: 120, size: 10, persistent: true, rest, pids };
            idle(&plan, control)
        });
        let report = report.await;
        assert_eq!(report.count, 120, "{what:?}");
        assert!(report.processes[0].rss > 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_expire_all_at_once() {
    let report = scenario(|uri, control| {
        let plan = ExpiryPlan {
            uri,
            messages: 1200,
            size: 20,
            time_to_live: Duration::from_secs(4),
            probe_rate: 200,
            persistent: false,
            pids: vec![std::process::id()],
        };
        expire(&plan, control)
    });
    let report = report.await;
    assert_eq!((report.messages, report.cpu_us_each.len()), (1200, 1));
    assert!(report.stall_ms > 0.0 && report.stall_before_ms > 0.0, "{report}");
}

// --- refusals ---

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_and_returned_is_counted_and_not_waited_for() {
    let broker = Broker::builder().start().await.unwrap();
    let full = Queues {
        arguments: parse_arguments("x-max-length=10,x-overflow=reject-publish").unwrap(),
        ..queues(1)
    };
    let plan = Plan {
        consumers: 0,
        confirm_window: Some(5),
        publish_count: Some(30),
        queues: full,
        ..Plan::default()
    };
    let report = on(&broker, plan).await.unwrap();
    let phase = only(&report);
    assert_eq!((phase.sent, phase.nacked, phase.confirmed), (30, 20, Some(10)));
    let plan = Plan {
        mandatory: true,
        confirm_window: Some(5),
        publish_count: Some(30),
        routing_key: Some("nowhere".to_owned()),
        ..Plan::default()
    };
    let report = on(&broker, plan).await.unwrap();
    let phase = only(&report);
    assert_eq!((phase.sent, phase.returned, phase.received), (30, 30, 0));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_do_not_come_are_a_problem() {
    let plan = Plan {
        publish_count: Some(10),
        routing_key: Some("nowhere".to_owned()),
        idle_timeout: Duration::ZERO,
        ..Plan::default()
    };
    let report = measured(plan).await;
    let problem = report.problem.unwrap();
    assert_eq!(problem, "gave up after 0 s without a message: sent 10, received 0 of 10");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do() {
    let broker = Broker::builder().start().await.unwrap();
    let missing = Plan { predeclared: true, queues: named("missing"), ..Plan::default() };
    assert_eq!(
        on(&broker, missing).await.unwrap_err(),
        "the broker closed the channel: 404 NOT_FOUND - no queue 'missing' in vhost '/'"
    );
    let uri = broker.uri().replace("guest:guest", "guest:wrong").parse().unwrap();
    let stop = Arc::default();
    let refused = elsewhere(Plan { uri, ..Plan::default() }, stop, |_| {}).await.unwrap_err();
    assert!(refused.starts_with("the broker closed the connection: 403 ACCESS_REFUSED"));
    broker.stop().await;

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let uri = format!("amqp://{nobody}").parse().unwrap();
    let error = elsewhere(Plan { uri, ..Plan::default() }, Arc::default(), |_| {}).await;
    let error = error.unwrap_err();
    assert!(error.starts_with(&format!("cannot connect to {nobody}: ")), "{error}");
    assert!(error.ends_with("; start a broker or pass --uri"), "{error}");
}
