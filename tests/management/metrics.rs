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
        for metric in [
            "rabbitmq_identity_info{",
            "rabbitmq_build_info{",
            "rabbitmq_process_resident_memory_bytes ",
            "rabbitmq_resident_memory_limit_bytes ",
            "rabbitmq_disk_space_available_bytes ",
            "rabbitmq_process_max_fds ",
            "rabbitmq_process_open_tcp_sockets ",
            "rabbitmq_connections ",
            "rabbitmq_channels ",
            "rabbitmq_consumers ",
            "rabbitmq_connections_opened_total ",
            "rabbitmq_channels_closed_total ",
            "rabbitmq_queues_created_total ",
            "rabbitmq_channel_messages_unroutable_returned_total ",
            "rabbitmq_queue_messages_published_total ",
            "rabbitmq_global_publishers{",
            "rabbitmq_global_messages_delivered_total{",
            "rabbitmq_global_messages_acknowledged_total{",
            "rabbitmq_global_messages_redelivered_total{",
            "rabbitmq_global_messages_dead_lettered_expired_total{",
            "rabbitmq_alarms_memory_used_watermark ",
        ] {
            assert!(text.lines().any(|line| line.starts_with(metric)), "{metric}");
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
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
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
