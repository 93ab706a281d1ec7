//! What a client of HTTP can't do to the broker.

use leveret::Broker;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Api, broker, run};

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let head = "POST /api/definitions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\
                    Connection: close\r\n\r\n";
        let answer = api.raw(head.as_bytes()).await;
        assert_eq!((answer.status, answer.json()), (400, too_large()));
    });
}

fn too_large() -> Value {
    json!({ "error": "bad_request", "reason": "Exceeded HTTP request body size limit" })
}

#[test]
fn only_messages_and_definitions_may_be_large() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let long = "a".repeat(2 << 20);
        let queue = json!({ "arguments": { "x-long": &long } }).to_string();
        let refused = api.put("/api/queues/%2F/q", &queue).await;
        assert_eq!((refused.status, refused.json()), (400, too_large()));
        let message = json!({
            "routing_key": "q", "properties": {}, "payload": &long, "payload_encoding": "string",
        });
        let message = message.to_string();
        let published = api.post("/api/exchanges/%2F/amq.default/publish", &message).await;
        assert_eq!(published.status, 200);
        let definitions = json!({ "global_parameters": [{ "name": "a", "value": &long }] });
        assert_eq!(api.post("/api/definitions", &definitions.to_string()).await.status, 204);
    });
}

#[test]
fn what_is_got_at_a_time_is_bounded_by_its_bytes() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/q", "{}").await;
        let payload = "a".repeat(23 << 20);
        let message = format!(
            r#"{{"routing_key":"q","properties":{{}},"payload_encoding":"string","payload":"{payload}"}}"#
        );
        for _ in 0..4 {
            let published = api.post("/api/exchanges/%2F/amq.default/publish", &message).await;
            assert_eq!(published.status, 200);
        }
        // More than 64 MiB, however little of it is shown.
        let get = r#"{"count":9,"ackmode":"ack_requeue_true","encoding":"auto","truncate":3}"#;
        let got = api.post("/api/queues/%2F/q/get", get).await.json();
        assert_eq!(got.as_array().unwrap().len(), 3);
        assert_eq!(got[2]["message_count"], 1);
        assert_eq!(api.json("/api/queues/%2F/q").await["messages_ready"], 4);
    });
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let header = format!("X-Long: {}\r\n", "a".repeat(150 * 1024));
        let answer = api.send("GET", "/api/whoami", &header, "").await;
        assert_eq!(answer.status, 431);
        assert_eq!(api.get("/api/whoami").await.status, 200);
    });
}

#[test]
fn clients_that_never_finish_their_request_keep_nobody_else_out() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let mut slow = Vec::new();
        for _ in 0..100 {
            let mut stream = api.connect().await;
            stream.write_all(b"GET /api/whoami HTTP/1.1\r\nX-").await.unwrap();
            slow.push(stream);
        }
        assert_eq!(api.json("/api/whoami").await["name"], json!("guest"));
    });
}

#[test]
fn health_checks_say_what_is_wrong() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let port = broker.port();
        let check = |name: &str| format!("/api/health/checks/{name}");
        let listening = api.json(&check(&format!("port-listener/{port}"))).await;
        assert_eq!(listening, json!({ "status": "ok", "port": port }));
        let missing = api.get(&check("port-listener/1")).await;
        assert_eq!((missing.status, &missing.json()["missing"]), (503, &json!(1)));
        let amqp = api.json(&check("protocol-listener/amqp091")).await;
        assert_eq!(amqp, json!({ "status": "ok", "protocol": "amqp" }));
        let mqtt = api.get(&check("protocol-listener/mqtt")).await;
        assert_eq!((mqtt.status, &mqtt.json()["status"]), (503, &json!("failed")));
        for name in ["alarms", "local-alarms", "virtual-hosts", "node-is-quorum-critical"] {
            assert_eq!(api.json(&check(name)).await["status"], "ok", "{name}");
        }
    });
}

/// Goal: the check that RabbitMQ 4 has looks at the limit, and fails before clients are refused.
#[test]
fn the_check_of_the_connection_limit_counts_connections() {
    run(async {
        let limited = Broker::builder()
            .management_port(0)
            .configure(|config| config.capacity.connections = 1);
        let broker = limited.start().await.unwrap();
        let api = Api::of(&broker);
        let check = "/api/health/checks/below-node-connection-limit";
        let passed = json!({ "status": "ok", "limit": 1, "connections": 0 });
        assert_eq!(api.json(check).await, passed);
        let uri = broker.uri();
        let connection = lapin::Connection::connect(&uri, lapin::ConnectionProperties::default());
        let connection = connection.await.unwrap();
        let answer = api.get(check).await;
        let reason = "node connection limit is reached";
        let failed = json!({ "status": "failed", "limit": 1, "connections": 1, "reason": reason });
        assert_eq!((answer.status, answer.json()), (503, failed));
        connection.close(200, "".into()).await.unwrap();
        let unlimited = crate::support::broker().await;
        let answer = Api::of(&unlimited).json(check).await;
        assert_eq!(answer, json!({ "status": "ok", "limit": "infinity", "connections": 0 }));
    });
}

/// One slash behind a path is none, for every method; two are another path, as is one within. Measured on
/// RabbitMQ 3.10.8.
#[test]
fn a_slash_behind_a_path_changes_nothing() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        assert_eq!(api.put("/api/queues/%2F/q/", r#"{"durable":true}"#).await.status, 201);
        let binding = r#"{"routing_key":"k","arguments":{}}"#;
        let bound = api.post("/api/bindings/%2F/e/amq.topic/q/q/", binding).await;
        assert_eq!((bound.status, bound.header("location")), (201, Some("q/k")));
        for (path, status) in [
            ("/api/overview/", 200),
            ("/api/queues/", 200),
            ("/api/queues/%2F/", 200),
            ("/api/queues/%2F/q/", 200),
            ("/api/queues/%2F/gone/", 404),
            ("/api/bindings/%2F/e/amq.topic/q/q/", 200),
            ("/api/health/checks/alarms/", 200),
            ("/api/overview//", 404),
            ("/api//overview", 404),
            ("/api/nope/", 404),
        ] {
            assert_eq!(api.get(path).await.status, status, "{path}");
        }
        assert_eq!(api.delete("/api/queues/%2F/q/").await.status, 204);
        assert_eq!(Api::metrics_of(&broker).get("/metrics/").await.status, 200);
    });
}

/// Scripts fetch RabbitMQ's tool from there.
#[test]
fn who_looks_for_rabbitmqadmin_is_told_what_there_is_instead() {
    run(async {
        let broker = broker().await;
        let answer = Api::of(&broker).get("/cli/rabbitmqadmin").await;
        assert_eq!(answer.status, 404);
        assert!(answer.body.contains("ln -s leveret rabbitmqadmin"), "{answer:?}");
    });
}

/// Goal: who holds all of this machine's places and asks for nothing keeps no health check out.
#[test]
fn a_health_check_gets_through_however_many_connections_wait() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let (mut held, quarter) = (Vec::new(), 256);
        for number in 0..quarter {
            let mut stream = api.connect().await;
            if number % 2 == 0 {
                stream.write_all(b"GET /api/whoami HTTP/1.1\r\nX-").await.unwrap();
            }
            held.push(stream);
        }
        let health = "/api/health/checks/local-alarms";
        for _ in 0..3 {
            assert_eq!(api.get(health).await.status, 200);
        }
        // The longest of them has made room.
        let mut said = Vec::new();
        let _ = held[0].read_to_end(&mut said).await;
        assert!(said.is_empty());
    });
}
