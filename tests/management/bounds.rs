//! What a client of HTTP can't do to the broker.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::{Api, broker, run};

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let head = "POST /api/definitions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\
                    Connection: close\r\n\r\n";
        let answer = api.raw(head.as_bytes()).await;
        let expected = json!({ "error": "payload_too_large", "reason": "the body is too large" });
        assert_eq!((answer.status, answer.json()), (413, expected));
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
