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

/// Goal: who looks into a queue changes nothing there, and sees what waits for its time as well.
#[test]
fn messages_are_looked_at_where_they_are_and_scheduled_ones_are_cancelled() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/q", "{}").await;
        let to_default = "/api/exchanges/%2F/amq.default/publish";
        for payload in ["one", "two", "three"] {
            api.post(to_default, &publish("q", payload, "string")).await;
        }
        let messages = "/api/leveret/queues/%2F/q/messages";
        let shown = api.json(&format!("{messages}?truncate=2")).await;
        let expected = json!({
            "payload_bytes": 3, "redelivered": false, "exchange": "", "routing_key": "q",
            "properties": { "delivery_mode": 2, "headers": { "a": 1 } }, "payload": "on",
            "payload_encoding": "string", "position": shown[0]["position"], "in_store": false,
            "expires_at": null
        });
        assert_eq!((shown.as_array().unwrap().len(), &shown[0]), (3, &expected));
        let second = &shown[1]["position"];
        let page = api.json(&format!("{messages}?from={second}&count=1&columns=payload")).await;
        assert_eq!(page, json!([{ "payload": "two" }]));
        assert_eq!(api.get(&format!("{messages}?count=x")).await.status, 400);
        let queue = api.json("/api/queues/%2F/q").await;
        assert_eq!(
            (&queue["messages_ready"], &queue["message_stats"]["get"]),
            (&json!(3), &json!(0))
        );

        let later = json!({
            "properties": { "headers": { "x-delay": 600_000 }, "timestamp": 7 },
            "routing_key": "q", "payload": "later", "payload_encoding": "string"
        });
        api.post(to_default, &later.to_string()).await;
        let scheduled = "/api/leveret/queues/%2F/q/scheduled";
        let waiting = api.json(scheduled).await;
        assert_eq!(
            (waiting.as_array().unwrap().len(), &waiting[0]["payload"]),
            (1, &json!("later"))
        );
        assert!(waiting[0]["due_at"].is_string(), "{waiting}");
        let one = format!("{scheduled}/{}", waiting[0]["position"]);
        assert_eq!(api.delete(&one).await.status, 204);
        assert_eq!(api.delete(&one).await.status, 404);
        assert_eq!(api.json(scheduled).await, json!([]));

        api.put("/api/users/u", r#"{"password":"p","tags":"management"}"#).await;
        let rights = r#"{"configure":".*","write":".*","read":"^mine"}"#;
        api.put("/api/permissions/%2F/u", rights).await;
        let user = api.login("u", "p");
        assert_eq!(user.get(messages).await.status, 401);
        assert_eq!(user.get(scheduled).await.status, 401);
        assert_eq!(user.delete(&one).await.status, 401);
    });
}

#[test]
fn a_queue_tells_when_its_first_message_was_made_and_a_node_what_it_uses() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/q", "{}").await;
        assert_eq!(api.json("/api/queues/%2F/q").await["head_message_timestamp"], json!(null));
        let message = r#"{"properties":{"timestamp":7},"routing_key":"q","payload":"",
            "payload_encoding":"string"}"#;
        api.post("/api/exchanges/%2F/amq.default/publish", message).await;
        assert_eq!(api.json("/api/queues/%2F/q").await["head_message_timestamp"], json!(7));
        let node = &api.json("/api/nodes").await[0];
        for name in ["mem_used", "disk_free", "fd_used", "sockets_used", "proc_used"] {
            assert!(node[name].is_u64(), "{name}: {node}");
            assert!(node[format!("{name}_details")]["rate"].is_f64(), "{name}: {node}");
        }
    });
}
