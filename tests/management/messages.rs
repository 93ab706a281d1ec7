//! Messages published and got over HTTP.

use serde_json::json;

use crate::support::{Api, broker, run};

fn publish(routing_key: &str, payload: &str, encoding: &str) -> String {
    json!({
        "properties": { "delivery_mode": 2, "headers": { "a": 1 } },
        "routing_key": routing_key, "payload": payload, "payload_encoding": encoding
    })
    .to_string()
}

#[test]
fn a_message_goes_in_is_looked_at_and_taken_out() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/q", "{}").await;
        let to_default = "/api/exchanges/%2F/amq.default/publish";
        let routed = api.post(to_default, &publish("q", "aGk=", "base64")).await;
        assert_eq!((routed.status, routed.json()), (200, json!({ "routed": true })));
        let lost = api.post(to_default, &publish("nosuch", "hi", "string")).await;
        assert_eq!(lost.json(), json!({ "routed": false }));

        let get = "/api/queues/%2F/q/get";
        let peek = r#"{"count":5,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
        let expected = json!([{
            "payload_bytes": 2, "redelivered": false, "exchange": "", "routing_key": "q",
            "message_count": 0, "properties": { "delivery_mode": 2, "headers": { "a": 1 } },
            "payload": "hi", "payload_encoding": "string"
        }]);
        assert_eq!(api.post(get, peek).await.json(), expected);
        let take = r#"{"count":1,"ackmode":"ack_requeue_false","encoding":"base64","truncate":1}"#;
        let taken = api.post(get, take).await.json();
        assert_eq!(
            (&taken[0]["payload"], &taken[0]["redelivered"]),
            (&json!("aA=="), &json!(true))
        );
        assert_eq!(api.post(get, take).await.json(), json!([]));
        let stats = &api.json("/api/queues/%2F/q").await["message_stats"];
        assert_eq!((&stats["publish"], &stats["get"]), (&json!(1), &json!(2)));
        assert_eq!((&stats["ack"], &stats["get_empty"]), (&json!(1), &json!(2)));
    });
}

#[test]
fn what_is_rejected_goes_to_the_dead_letter_exchange_and_a_purge_leaves_nothing() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let arguments =
            r#"{"arguments":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"dead"}}"#;
        api.put("/api/queues/%2F/q", arguments).await;
        api.put("/api/queues/%2F/dead", "{}").await;
        let to_default = "/api/exchanges/%2F/amq.default/publish";
        for payload in ["1", "2"] {
            api.post(to_default, &publish("q", payload, "string")).await;
        }
        let reject = r#"{"count":1,"ackmode":"reject_requeue_false","encoding":"auto"}"#;
        api.post("/api/queues/%2F/q/get", reject).await;
        assert_eq!(api.json("/api/queues/%2F/dead").await["messages"], 1);
        assert_eq!(api.delete("/api/queues/%2F/q/contents").await.status, 204);
        assert_eq!(api.json("/api/queues/%2F/q").await["messages"], 0);
    });
}

#[test]
fn publishes_that_make_no_sense_are_refused_in_rabbitmqs_words() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let reason =
            |answer: crate::support::Answer| (answer.status, answer.json()["reason"].clone());
        let to_default = "/api/exchanges/%2F/amq.default/publish";
        let no_encoding = r#"{"properties":{},"routing_key":"q","payload":"x"}"#;
        let refused = reason(api.post(to_default, no_encoding).await);
        assert_eq!(refused, (400, json!("[{key_missing,payload_encoding}]")));
        let refused = reason(api.post(to_default, &publish("q", "!!", "base64")).await);
        assert_eq!(refused, (400, json!(["not_base64", "!!"])));
        let nowhere = "/api/exchanges/%2F/nosuch/publish";
        let refused = reason(api.post(nowhere, &publish("q", "x", "string")).await);
        assert_eq!(refused, (400, json!("404 NOT_FOUND - no exchange 'nosuch' in vhost '/'")));
        let get = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
        let refused = reason(api.post("/api/queues/%2F/nosuch/get", get).await);
        assert_eq!(refused, (404, json!("NOT_FOUND - no queue 'nosuch' in vhost '/'")));
    });
}

#[test]
fn the_aliveness_test_sends_a_message_through() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        assert_eq!(api.json("/api/aliveness-test/%2F").await, json!({ "status": "ok" }));
        assert_eq!(api.json("/api/queues/%2F/aliveness-test").await["messages"], 0);
        assert_eq!(api.get("/api/aliveness-test/nowhere").await.status, 404);
    });
}
