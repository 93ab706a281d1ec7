//! What Prometheus reads.

use std::collections::BTreeMap;

use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use leveret::Broker;

use crate::support::{Api, broker, run};

/// The value of a metric.
fn value(text: &str, metric: &str) -> f64 {
    let line = text
        .lines()
        .find(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("there is {metric}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What the queries of the dashboards RabbitMQ-Overview use, those of RabbitMQ 3.8 and those of 4, and the rules
/// for alerts of its cluster operator. What of a virtual machine and of Raft they show is not here.
const DASHBOARDS: [&str; 75] = [
    "identity_info",
    "build_info",
    "alarms_file_descriptor_limit",
    "alarms_free_disk_space_watermark",
    "alarms_memory_used_watermark",
    "channel_acks_uncommitted",
    "channel_consumers",
    "channel_get_ack_total",
    "channel_get_empty_total",
    "channel_get_total",
    "channel_messages_acked_total",
    "channel_messages_confirmed_total",
    "channel_messages_delivered_ack_total",
    "channel_messages_delivered_total",
    "channel_messages_published_total",
    "channel_messages_redelivered_total",
    "channel_messages_unacked",
    "channel_messages_uncommitted",
    "channel_messages_unconfirmed",
    "channel_messages_unroutable_dropped_total",
    "channel_messages_unroutable_returned_total",
    "channel_prefetch",
    "channels",
    "channels_closed_total",
    "channels_opened_total",
    "connection_incoming_bytes_total",
    "connection_outgoing_bytes_total",
    "connections",
    "connections_closed_total",
    "connections_opened_total",
    "consumers",
    "disk_space_available_bytes",
    "disk_space_available_limit_bytes",
    "erlang_uptime_seconds",
    "global_consumers",
    "global_messages_acknowledged_total",
    "global_messages_confirmed_total",
    "global_messages_dead_lettered_delivery_limit_total",
    "global_messages_dead_lettered_expired_total",
    "global_messages_dead_lettered_maxlen_total",
    "global_messages_dead_lettered_rejected_total",
    "global_messages_delivered_consume_auto_ack_total",
    "global_messages_delivered_consume_manual_ack_total",
    "global_messages_delivered_get_auto_ack_total",
    "global_messages_delivered_get_manual_ack_total",
    "global_messages_delivered_total",
    "global_messages_get_empty_total",
    "global_messages_received_confirm_total",
    "global_messages_received_total",
    "global_messages_redelivered_total",
    "global_messages_routed_total",
    "global_messages_unroutable_dropped_total",
    "global_messages_unroutable_returned_total",
    "global_publishers",
    "process_max_fds",
    "process_max_tcp_sockets",
    "process_open_fds",
    "process_open_tcp_sockets",
    "process_resident_memory_bytes",
    "queue_consumers",
    "queue_messages",
    "queue_messages_bytes",
    "queue_messages_paged_out",
    "queue_messages_published_total",
    "queue_messages_ram",
    "queue_messages_ready",
    "queue_messages_ready_bytes",
    "queue_messages_unacked",
    "queue_messages_unacked_bytes",
    "queue_process_memory_bytes",
    "queues",
    "queues_created_total",
    "queues_declared_total",
    "queues_deleted_total",
    "resident_memory_limit_bytes",
];

/// The labels of the one sample of a metric.
fn labels(text: &str, metric: &str) -> BTreeMap<String, String> {
    let is_sample = |line: &&str| line.split('{').next() == Some(metric);
    let samples: Vec<_> = text.lines().filter(is_sample).collect();
    let [sample] = samples[..] else { panic!("{metric}: {samples:?}") };
    let inner = sample.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
    let pairs = inner.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

#[test]
fn rabbitmqs_dashboards_know_whose_the_metrics_are_and_where_they_were_scraped() {
    run(async {
        let broker = broker().await;
        Api::of(&broker).put("/api/queues/%2F/q", "{}").await;
        for (path, endpoint) in [
            ("/metrics", "aggregated"),
            ("/metrics/per-object", "per-object"),
            ("/metrics/detailed?family=queue_coarse_metrics", "detailed"),
            ("/metrics/memory-breakdown", "memory-breakdown"),
        ] {
            let text = Api::metrics_of(&broker).get(path).await.body;
            let identity = labels(&text, "rabbitmq_identity_info");
            assert_eq!(identity["rabbitmq_endpoint"], endpoint);
            assert_ne!((&*identity["rabbitmq_node"], &*identity["rabbitmq_cluster"]), ("", ""));
            let build = labels(&text, "rabbitmq_build_info");
            for version in ["rabbitmq_version", "prometheus_plugin_version", "product_version"] {
                assert_ne!(build[version], "", "{path}: {version}");
            }
        }
    });
}

#[test]
fn a_queues_numbers_can_be_joined_with_its_type() {
    run(async {
        let broker = broker().await;
        let quorum = r#"{"durable":true,"arguments":{"x-queue-type":"quorum"}}"#;
        Api::of(&broker).put("/api/queues/%2F/q", quorum).await;
        for (path, metric) in [
            ("/metrics/per-object", "rabbitmq_queue_info"),
            ("/metrics/detailed?family=queue_metrics", "rabbitmq_detailed_queue_info"),
        ] {
            let text = Api::metrics_of(&broker).get(path).await.body;
            let info = labels(&text, metric);
            assert_eq!((&*info["vhost"], &*info["queue"]), ("/", "q"));
            assert_eq!(
                (&*info["queue_type"], &*info["membership"]),
                ("rabbit_quorum_queue", "leader")
            );
        }
    });
}

#[test]
fn rabbitmqs_dashboards_find_their_metrics() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/q", "{}").await;
        let publish =
            r#"{"properties":{},"routing_key":"q","payload":"x","payload_encoding":"string"}"#;
        api.post("/api/exchanges/%2F/amq.default/publish", publish).await;
        let text = Api::metrics_of(&broker).get("/metrics").await.body;
        assert!((value(&text, "rabbitmq_queue_messages_ready") - 1.0).abs() < f64::EPSILON);
        assert!((value(&text, "rabbitmq_queues") - 1.0).abs() < f64::EPSILON);
        let received = "rabbitmq_global_messages_received_total{protocol=\"amqp091\"}";
        assert!((value(&text, received) - 1.0).abs() < f64::EPSILON);
        let names: Vec<_> = text.lines().map(|line| line.split(['{', ' ']).next()).collect();
        for metric in DASHBOARDS {
            let metric = format!("rabbitmq_{metric}");
            assert!(names.contains(&Some(&metric)), "{metric}");
        }
    });
}

#[test]
fn each_metric_is_described_once_and_every_sample_follows_its_description() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/a%22b", "{}").await;
        for path in ["/metrics", "/metrics/per-object"] {
            let answer = Api::metrics_of(&broker).get(path).await;
            let kind = answer.header("content-type").unwrap();
            assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
            let mut described = Vec::new();
            for line in answer.body.lines() {
                if let Some(rest) = line.strip_prefix("# TYPE ") {
                    let name = rest.split(' ').next().unwrap();
                    assert!(!described.contains(&name), "{name} twice");
                    described.push(name);
                } else if !line.starts_with('#') {
                    let name = line.split(['{', ' ']).next().unwrap();
                    assert_eq!(Some(&name), described.last(), "{line}");
                }
            }
            assert!(described.len() > 50);
        }
    });
}

#[test]
fn details_are_of_what_is_asked_for() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/vhosts/v", "{}").await;
        api.put("/api/queues/v/q", "{}").await;
        api.put("/api/queues/%2F/other", "{}").await;
        let path = "/metrics/detailed?family=queue_coarse_metrics&vhost=v";
        let text = Api::metrics_of(&broker).get(path).await.body;
        let of_queues = |line: &&str| line.starts_with("rabbitmq_detailed_queue_messages");
        let samples: Vec<_> = text.lines().filter(of_queues).collect();
        let labels = "{vhost=\"v\",queue=\"q\"} 0";
        let expected = ["messages_ready", "messages_unacked", "messages"]
            .map(|name| format!("rabbitmq_detailed_queue_{name}{labels}"));
        assert_eq!(samples, expected);
    });
}

/// The totals of the broker as a whole.
async fn totals(broker: &Broker) -> BTreeMap<String, f64> {
    let text = Api::metrics_of(broker).get("/metrics").await.body;
    let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
    let kept = ["rabbitmq_global_", "rabbitmq_queue_", "rabbitmq_queues_"];
    let totals = samples.filter(|(name, _)| {
        kept.iter().any(|prefix| name.starts_with(prefix)) && name.contains("_total")
    });
    totals.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

#[test]
fn totals_do_not_fall_when_a_vhost_is_deleted() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let received = "rabbitmq_global_messages_received_total{protocol=\"amqp091\"}";
        for round in [1.0, 2.0] {
            api.put("/api/vhosts/v", "{}").await;
            api.put("/api/queues/v/q", "{}").await;
            let publish =
                r#"{"properties":{},"routing_key":"q","payload":"x","payload_encoding":"string"}"#;
            api.post("/api/exchanges/v/amq.default/publish", publish).await;
            let get = r#"{"count":1,"ackmode":"ack_requeue_false","encoding":"auto"}"#;
            api.post("/api/queues/v/q/get", get).await;
            let before = totals(&broker).await;
            assert_eq!(api.delete("/api/vhosts/v").await.status, 204);
            let after = totals(&broker).await;
            let fallen: Vec<_> = before.iter().filter(|(name, was)| after[*name] < **was).collect();
            assert!(fallen.is_empty(), "{fallen:?}");
            assert!((after[received] - round).abs() < f64::EPSILON, "{after:?}");
            let published = "rabbitmq_queue_messages_published_total";
            assert!((after[published] - round).abs() < f64::EPSILON, "{after:?}");
            let shown = &api.json("/api/overview").await["message_stats"]["publish"];
            assert_eq!(shown.as_f64(), Some(round));
        }
    });
}

/// Goal: what RabbitMQ has of consumers, heads of queues, vhosts and exchanges is there under its names.
#[test]
fn queues_tell_their_capacity_and_head_and_the_cluster_its_exchanges() {
    run(async {
        let broker = broker().await;
        let (api, metrics) = (Api::of(&broker), Api::metrics_of(&broker));
        for queue in ["empty", "dated"] {
            api.put(&format!("/api/queues/%2F/{queue}"), "{}").await;
        }
        let dated = r#"{"properties":{"timestamp":1700000000},"routing_key":"dated","payload":"",
            "payload_encoding":"string"}"#;
        api.post("/api/exchanges/%2F/amq.default/publish", dated).await;
        let families = ["queue_metrics", "vhost_status", "exchange_names", "exchange_bindings"];
        let families = families.map(|family| format!("family={family}")).join("&");
        let text = metrics.get(&format!("/metrics/detailed?{families}")).await.body;
        for line in [
            "rabbitmq_detailed_queue_consumer_capacity{vhost=\"/\",queue=\"empty\"} 0",
            "rabbitmq_detailed_queue_head_message_timestamp{vhost=\"/\",queue=\"dated\"} 1700000000",
            "rabbitmq_detailed_queue_head_message_timestamp{vhost=\"/\",queue=\"empty\"} NaN",
            "rabbitmq_cluster_vhost_status{vhost=\"/\"} 1",
            "rabbitmq_cluster_exchange_name{vhost=\"/\",exchange=\"amq.topic\",type=\"topic\"} 1",
            "rabbitmq_cluster_exchange_bindings{vhost=\"/\",exchange=\"amq.topic\",type=\"topic\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    });
}

/// The names of the labels of each metric, of whatever sample comes first.
fn label_names(text: &str) -> BTreeMap<&str, String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let named = samples.filter_map(|line| {
        let (name, rest) = line.split_once('{')?;
        let (inner, _) = rest.rsplit_once('}')?;
        let labels = inner.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0));
        Some((name, labels.collect::<Vec<_>>().join(" ")))
    });
    let mut first = BTreeMap::new();
    for (name, labels) in named {
        first.entry(name).or_insert(labels);
    }
    first
}

/// What there is of each object, by family, and its labels.
const PER_OBJECT: [(&str, &str, &str); 24] = [
    ("queue_coarse_metrics", "queue_messages", "vhost queue"),
    ("queue_coarse_metrics", "queue_messages_ready", "vhost queue"),
    ("queue_coarse_metrics", "queue_messages_unacked", "vhost queue"),
    ("queue_consumer_count", "queue_consumers", "vhost queue"),
    ("queue_metrics", "queue_info", "vhost queue queue_type membership"),
    ("queue_metrics", "queue_messages_bytes", "vhost queue"),
    ("queue_metrics", "queue_messages_ram", "vhost queue"),
    ("queue_metrics", "queue_process_memory_bytes", "vhost queue"),
    ("channel_queue_metrics", "queue_messages_published_total", "vhost queue"),
    ("channel_queue_metrics", "queue_messages_delivered_ack_total", "vhost queue"),
    ("queue_delivery_metrics", "queue_messages_acked_total", "vhost queue"),
    ("queue_delivery_metrics", "queue_get_empty_total", "vhost queue"),
    ("exchange_metrics", "exchange_messages_published_total", "vhost exchange"),
    ("channel_exchange_metrics", "exchange_messages_routed_total", "vhost exchange"),
    ("channel_exchange_metrics", "channel_messages_published_total", "channel vhost"),
    ("channel_metrics", "channel_consumers", "channel vhost"),
    ("channel_metrics", "channel_messages_unacked", "channel vhost"),
    ("channel_metrics", "channel_messages_unconfirmed", "channel vhost"),
    ("channel_metrics", "channel_prefetch", "channel vhost"),
    ("connection_coarse_metrics", "connection_incoming_bytes_total", "connection vhost"),
    ("connection_coarse_metrics", "connection_outgoing_bytes_total", "connection vhost"),
    ("connection_metrics", "connection_incoming_packets_total", "connection vhost"),
    ("connection_metrics", "connection_pending_packets", "connection vhost"),
    ("connection_metrics", "connection_channels", "connection vhost"),
];

/// Goal: what is seen of each object has the labels that say which one it is, whichever way it is asked for, and only of
/// the vhosts that are asked for.
#[test]
fn each_object_has_its_numbers_under_its_own_labels() {
    run(async {
        let broker = broker().await;
        let (api, metrics) = (Api::of(&broker), Api::metrics_of(&broker));
        for vhost in ["%2F", "v"] {
            api.put(&format!("/api/vhosts/{vhost}"), "{}").await;
            api.put(&format!("/api/queues/{vhost}/q"), "{}").await;
        }
        let connection =
            Connection::connect(&broker.uri(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let publish = BasicPublishOptions::default();
        let sent =
            channel.basic_publish("".into(), "q".into(), publish, b"x", BasicProperties::default());
        sent.await.unwrap();
        let consume = BasicConsumeOptions::default();
        // Its answer comes after what was published before.
        channel
            .basic_consume("q".into(), "c".into(), consume, FieldTable::default())
            .await
            .unwrap();

        let all = metrics.get("/metrics/per-object").await.body;
        let in_all = label_names(&all);
        for (family, metric, labels) in PER_OBJECT {
            let own = format!("rabbitmq_{metric}");
            assert_eq!(in_all.get(&*own).map(String::as_str), Some(labels), "{own}");
            let path = format!("/metrics/detailed?family={family}&vhost=%2F");
            let detailed = metrics.get(&path).await.body;
            let own = format!("rabbitmq_detailed_{metric}");
            let found = label_names(&detailed).remove(&*own);
            assert_eq!(found.as_deref(), Some(labels), "{path}: {own}");
            assert!(!detailed.contains("vhost=\"v\""), "{path}: {detailed}");
        }
        let names: Vec<_> = all.lines().map(|line| line.split(['{', ' ']).next()).collect();
        for metric in DASHBOARDS {
            let metric = format!("rabbitmq_{metric}");
            assert!(names.contains(&Some(&metric)), "{metric}");
        }
    });
}

/// Goal: a scrape of everything is one that Prometheus takes: it refuses all of it where a sample is there twice.
#[test]
fn all_families_together_tell_nothing_twice() {
    run(async {
        let broker = broker().await;
        Api::of(&broker).put("/api/queues/%2F/q", "{}").await;
        let families = PER_OBJECT.map(|(family, ..)| format!("family={family}")).join("&");
        let path = format!("/metrics/detailed?{families}");
        let text = Api::metrics_of(&broker).get(&path).await.body;
        let mut samples: Vec<_> = text.lines().filter_map(|it| it.rsplit_once(' ')).collect();
        samples.retain(|(name, _)| !name.starts_with('#'));
        samples.sort_unstable();
        let twice: Vec<_> = samples.windows(2).filter(|pair| pair[0].0 == pair[1].0).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(samples.len() > 20, "{text}");
    });
}

/// Goal: where a password is asked for, it is for every path, and of who may monitor.
#[test]
fn metrics_with_a_password_are_for_who_may_monitor() {
    run(async {
        let broker = Broker::builder().management_port(0).prometheus_port(0);
        let broker = broker.configure(|config| config.web.prometheus_authentication = true);
        let broker = broker.start().await.unwrap();
        let api = Api::of(&broker);
        for (user, tags) in [("plain", ""), ("manager", "management"), ("monitor", "monitoring")] {
            let body = format!(r#"{{"password":"p","tags":"{tags}"}}"#);
            api.put(&format!("/api/users/{user}"), &body).await;
        }
        let metrics = Api::metrics_of(&broker);
        for path in [
            "/metrics",
            "/metrics/per-object",
            "/metrics/detailed?family=queue_coarse_metrics&vhost=%2F",
            "/metrics/memory-breakdown",
        ] {
            let nobody = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let answer = metrics.raw(nobody.as_bytes()).await;
            assert_eq!((answer.status, answer.body.contains("rabbitmq_")), (401, false), "{path}");
            assert!(answer.header("www-authenticate").is_some(), "{path}");
            for (user, password, status) in [
                ("monitor", "wrong", 401),
                ("plain", "p", 401),
                ("manager", "p", 401),
                ("monitor", "p", 200),
                ("guest", "guest", 200),
            ] {
                let answer = metrics.login(user, password).get(path).await;
                assert_eq!(answer.status, status, "{path} as {user}");
                assert_eq!(answer.body.contains("rabbitmq_identity_info"), status == 200, "{path}");
            }
        }
    });
}
