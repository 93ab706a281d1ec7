//! What Prometheus reads.

use std::collections::BTreeMap;

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
            assert_ne!(build["rabbitmq_version"], "");
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
async fn totals(broker: &leveret::Broker) -> BTreeMap<String, f64> {
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
