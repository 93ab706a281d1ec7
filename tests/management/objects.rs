//! Exchanges, queues, bindings, policies, vhosts, parameters: made, seen, changed, deleted.

use serde_json::{Value, json};

use crate::support::{Api, broker, run};

#[test]
fn a_queue_is_created_once_and_refused_with_other_arguments() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let queue = "/api/queues/%2F/orders%20eu";
        let with_limit = r#"{"durable":true,"arguments":{"x-max-length":5}}"#;
        assert_eq!(api.put(queue, with_limit).await.status, 201);
        assert_eq!(api.put(queue, with_limit).await.status, 204);
        let refused = api.put(queue, r#"{"durable":false}"#).await;
        let expected = json!({
            "error": "bad_request",
            "reason": "inequivalent arg 'durable' for queue 'orders eu' in vhost '/': received \
                       'false' but current is 'true'"
        });
        assert_eq!((refused.status, refused.json()), (400, expected));
        let shown = api.json(queue).await;
        assert_eq!(shown["name"], "orders eu");
        assert_eq!(shown["arguments"], json!({ "x-max-length": 5 }));
        assert_eq!((&shown["type"], &shown["messages"]), (&json!("classic"), &json!(0)));
        assert_eq!(api.delete(queue).await.status, 204);
        let gone = api.get(queue).await;
        let expected = json!({ "error": "Object Not Found", "reason": "Not Found" });
        assert_eq!((gone.status, gone.json()), (404, expected));
    });
}

#[test]
fn bodies_and_paths_that_make_no_sense_are_refused_in_rabbitmqs_words() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let reason = |reason: &str| json!({ "error": "bad_request", "reason": reason });
        for (path, body, status, expected) in [
            ("/api/queues/%2F/q", "nojson", 400, reason("not_json")),
            ("/api/queues/%2F/q", "[1]", 400, reason("not_json")),
            (
                "/api/queues/%2F/q",
                r#"{"durable":"xx"}"#,
                400,
                json!({ "error": "bad_request", "reason": ["not_boolean", "xx"] }),
            ),
            (
                "/api/queues/nowhere/q",
                "{}",
                404,
                json!({ "error": "not_found", "reason": "vhost_not_found" }),
            ),
            (
                "/api/queues/%2F/amq.q",
                "{}",
                401,
                json!({ "error": "not_authorised", "reason": "Access refused." }),
            ),
            (
                "/api/exchanges/%2F/e",
                r#"{"type":"nosuch"}"#,
                400,
                reason("unknown exchange type 'nosuch'"),
            ),
            (
                "/api/policies/%2F/p",
                "{}",
                400,
                reason("[{key_missing,pattern},{key_missing,definition}]"),
            ),
            (
                "/api/policies/%2F/p",
                r#"{"pattern":"a","definition":{}}"#,
                400,
                reason("Validation failed\n\nno policy provided\n"),
            ),
            (
                "/api/parameters/nosuch/%2F/n",
                r#"{"value":1}"#,
                400,
                reason("Validation failed\n\ncomponent nosuch not found\n"),
            ),
        ] {
            let answer = api.put(path, body).await;
            assert_eq!((answer.status, answer.json()), (status, expected), "{path} {body}");
        }
        assert_eq!(api.get("/api/nosuch").await.status, 404);
        let wrong_method = api.post("/api/overview", "").await;
        assert_eq!(wrong_method.status, 405);
        assert!(wrong_method.header("allow").is_some_and(|allow| allow.contains("GET")));
    });
}

#[test]
fn a_binding_is_found_by_the_key_that_its_creation_names() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/q", "{}").await;
        api.put("/api/exchanges/%2F/e", r#"{"type":"topic"}"#).await;
        let ends = "/api/bindings/%2F/e/e/q/q";
        let made = api.post(ends, r#"{"routing_key":"a b","arguments":{"x":1}}"#).await;
        assert_eq!(made.status, 201);
        // As RabbitMQ 3.10.8 answers the same request.
        assert_eq!(made.header("location"), Some("q/a%2Bb~9nmLZQ"));
        assert_eq!(api.post(ends, "{}").await.header("location"), Some("q/~"));
        let all = api.json(ends).await;
        assert_eq!(all.as_array().unwrap().len(), 2);
        let one = api.json(&format!("{ends}/a%2Bb~9nmLZQ")).await;
        assert_eq!(one["properties_key"], "a+b~9nmLZQ");
        assert_eq!(api.delete(&format!("{ends}/a%2Bb~9nmLZQ")).await.status, 204);
        assert_eq!(api.delete(&format!("{ends}/a%2Bb~9nmLZQ")).await.status, 404);
        // As it is listed, it is quoted once less than a path wants it.
        api.post(ends, r#"{"routing_key":"c.#"}"#).await;
        assert_eq!(api.delete(&format!("{ends}/c.%23")).await.status, 204);
        let of_queue = api.json("/api/queues/%2F/q/bindings").await;
        let sources: Vec<_> =
            of_queue.as_array().unwrap().iter().map(|it| it["source"].as_str().unwrap()).collect();
        assert_eq!(sources, ["", "e"]);
        let missing = api.post("/api/bindings/%2F/e/e/q/nosuch", "{}").await;
        let expected = json!({ "error": "not_found", "reason": "no queue 'nosuch' in vhost '/'" });
        assert_eq!((missing.status, missing.json()), (404, expected));
    });
}

#[test]
fn policies_vhosts_limits_and_parameters_come_and_go() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        for (path, body, created) in [
            ("/api/vhosts/v", r#"{"description":"d","tags":"a,b"}"#, 201),
            ("/api/vhosts/v", r#"{"description":"d","tags":["a","b"]}"#, 204),
            ("/api/policies/v/p", r#"{"pattern":"^q","definition":{"max-length":3}}"#, 201),
            ("/api/policies/v/p", r#"{"pattern":"^q","definition":{"max-length":4}}"#, 204),
            (
                "/api/operator-policies/v/o",
                r#"{"pattern":"","definition":{"expires":900000}}"#,
                201,
            ),
            ("/api/vhost-limits/v/max-queues", r#"{"value":7}"#, 204),
            ("/api/user-limits/guest/max-channels", r#"{"value":99}"#, 204),
            ("/api/global-parameters/g", r#"{"value":{"a":1}}"#, 201),
            ("/api/cluster-name", r#"{"name":"burrow"}"#, 204),
            ("/api/queues/v/q", "{}", 201),
        ] {
            assert_eq!(api.put(path, body).await.status, created, "{path}");
        }
        let vhost = api.json("/api/vhosts/v").await;
        assert_eq!(vhost["tags"], json!(["a", "b"]));
        let queue = api.json("/api/queues/v/q").await;
        assert_eq!(
            queue["effective_policy_definition"],
            json!({ "expires": 900_000, "max-length": 4 })
        );
        let limits = api.json("/api/vhost-limits").await;
        assert_eq!(limits, json!([{ "vhost": "v", "value": { "max-queues": 7 } }]));
        assert_eq!(api.json("/api/cluster-name").await, json!({ "name": "burrow" }));
        // Whoever makes a vhost may use it.
        assert_eq!(api.json("/api/permissions/v/guest").await["configure"], ".*");
        for path in [
            "/api/policies/v/p",
            "/api/operator-policies/v/o",
            "/api/vhost-limits/v/max-queues",
            "/api/user-limits/guest/max-channels",
            "/api/global-parameters/g",
            "/api/vhosts/v",
        ] {
            assert_eq!(api.delete(path).await.status, 204, "{path}");
        }
        assert_eq!(api.get("/api/queues/v").await.status, 404);
    });
}

#[test]
fn lists_have_pages_columns_and_an_order() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        for name in ["b1", "a1", "a2"] {
            api.put(&format!("/api/queues/%2F/{name}"), "{}").await;
        }
        let page = "/api/queues?page=1&page_size=1&name=^a&use_regex=true&columns=name\
                    &sort=name&sort_reverse=true";
        let expected = json!({
            "total_count": 3, "filtered_count": 2, "item_count": 1, "page": 1, "page_size": 1,
            "page_count": 2, "items": [{ "name": "a2" }]
        });
        assert_eq!(api.json(page).await, expected);
        let totals = api.json("/api/queues/%2F?disable_stats=true&enable_queue_totals=true").await;
        assert_eq!(totals[0]["messages_ready"], 0);
        assert_eq!(totals[0].get("memory"), None);
        let beyond = api.get("/api/queues?page=9").await;
        assert_eq!((beyond.status, &beyond.json()["error"]), (400, &json!("page_out_of_range")));
    });
}

/// Goal: a file of a RabbitMQ is in force but for what leveret does not have; one that is wrong changes nothing.
#[test]
fn definitions_with_streams_and_exchanges_of_plugins_are_imported() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let binding = |destination: &str| {
            json!({ "source": "x", "vhost": "/", "destination": destination,
                "destination_type": "queue", "routing_key": "", "arguments": {} })
        };
        let mut document = json!({
            "queues": [
                { "name": "s", "vhost": "/", "durable": true, "arguments": { "x-queue-type": "stream" } },
                { "name": "q", "vhost": "/", "durable": true, "arguments": {} },
            ],
            "exchanges": [
                { "name": "jms", "vhost": "/", "type": "x-jms-topic", "durable": true },
                { "name": "x", "vhost": "/", "type": "fanout", "durable": true },
            ],
            "bindings": [binding("s"), binding("q")],
        });
        assert_eq!(api.post("/api/definitions", &document.to_string()).await.status, 204);
        assert_eq!(api.get("/api/queues/%2F/s").await.status, 404);
        assert_eq!(api.get("/api/exchanges/%2F/jms").await.status, 404);
        let bound = api.json("/api/exchanges/%2F/x/bindings/source").await;
        assert_eq!(
            (bound[0]["destination"].as_str(), bound.as_array().unwrap().len()),
            (Some("q"), 1)
        );
        let before = api.json("/api/definitions").await;
        document["users"] = json!([{ "name": "new", "tags": "" }]);
        document["queues"][1] =
            json!({ "name": "other", "vhost": "/", "arguments": { "x-expires": 0 } });
        let refused = api.post("/api/definitions", &document.to_string()).await;
        let reason =
            "queue 'other': invalid arg 'x-expires' for queue 'other' in vhost '/': {value_zero,0}";
        assert_eq!((refused.status, &refused.json()["reason"]), (400, &json!(reason)));
        assert_eq!(api.json("/api/definitions").await, before);
    });
}

#[test]
fn definitions_come_back_as_they_went_out() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/queues/%2F/kept", r#"{"arguments":{"x-max-length":3}}"#).await;
        api.put("/api/users/ann", r#"{"password":"p","tags":"monitoring"}"#).await;
        let exported = api.get("/api/definitions?download=all.json").await;
        assert_eq!(exported.header("content-disposition"), Some("attachment; filename=all.json"));
        api.delete("/api/queues/%2F/kept").await;
        api.delete("/api/users/ann").await;
        assert_eq!(api.post("/api/definitions", &exported.body).await.status, 204);
        assert_eq!(api.json("/api/definitions").await, exported.json());
        let of_vhost = api.json("/api/definitions/%2F").await;
        assert_eq!(of_vhost["queues"][0]["name"], "kept");
        assert_eq!(api.post("/api/definitions", "nojson").await.status, 400);
    });
}

/// The lists of a document in an order of their own, without what is the broker's.
fn lists(document: &Value) -> Vec<(String, Vec<String>)> {
    let lists = document.as_object().unwrap().iter().filter_map(|(key, value)| {
        let mut items: Vec<_> = value.as_array()?.iter().map(Value::to_string).collect();
        items.sort();
        Some((key.clone(), items))
    });
    lists.collect()
}

/// Goal: who moves from RabbitMQ takes a file along; what is exported afterwards is what was in it.
#[test]
fn what_rabbitmq_exported_goes_in_and_comes_out() {
    run(async {
        let (first, second) = (broker().await, broker().await);
        let (first, second) = (Api::of(&first), Api::of(&second));
        let document = include_str!("../definitions/rabbitmq-3.10.json");
        assert_eq!(first.post("/api/definitions", document).await.status, 204);
        // The password of guest is the one that is in the file, which is guest.
        let exported = first.json("/api/definitions").await;
        assert_eq!(lists(&exported), lists(&serde_json::from_str(document).unwrap()));

        let document = include_str!("../definitions/rabbitmq-4.json");
        assert_eq!(second.post("/api/definitions", document).await.status, 204);
        let exported = second.get("/api/definitions").await;
        let third = broker().await;
        let third = Api::of(&third);
        assert_eq!(third.post("/api/definitions", &exported.body).await.status, 204);
        assert_eq!(lists(&third.json("/api/definitions").await), lists(&exported.json()));
    });
}
