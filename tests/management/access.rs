//! Who may use the API, and for what.

use leveret::Broker;
use serde_json::json;

use crate::support::{Api, broker, run};

#[test]
fn without_the_right_password_nobody_gets_in_but_health_is_for_all() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let refused = api.login("guest", "wrong").get("/api/overview").await;
        let expected = json!({ "error": "not_authorized", "reason": "Login failed" });
        assert_eq!((refused.status, refused.json()), (401, expected));
        let realm = "Basic realm=\"RabbitMQ Management\"";
        assert_eq!(refused.header("www-authenticate"), Some(realm));
        let nobody = api.raw(b"GET /api/overview HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(nobody.await.status, 401);
        let health =
            b"GET /api/health/checks/alarms HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(api.raw(health).await.json(), json!({ "status": "ok" }));
    });
}

/// What each tag may ask for: the answers of RabbitMQ 3.10.8 to the same requests.
#[test]
fn a_tag_opens_what_it_opens_in_rabbitmq() {
    const PATHS: [&str; 12] = [
        "/api/overview",
        "/api/nodes",
        "/api/users",
        "/api/whoami",
        "/api/connections",
        "/api/permissions",
        "/api/policies",
        "/api/queues",
        "/api/definitions",
        "/api/parameters",
        "/api/user-limits",
        "/api/queues/closed",
    ];
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/vhosts/closed", "{}").await;
        for (tag, opened) in [
            ("", [401; 12]),
            ("management", [200, 401, 401, 200, 200, 401, 200, 200, 401, 401, 200, 401]),
            ("policymaker", [200, 401, 401, 200, 200, 401, 200, 200, 401, 200, 200, 401]),
            // Later versions of RabbitMQ show queues of all vhosts to monitors; 3.10.8 says 401.
            ("monitoring", [200, 200, 401, 200, 200, 401, 200, 200, 401, 401, 200, 200]),
            ("administrator", [200; 12]),
        ] {
            let user = json!({ "password": "p", "tags": tag }).to_string();
            api.put("/api/users/u", &user).await;
            let rights = r#"{"configure":".*","write":".*","read":".*"}"#;
            api.put("/api/permissions/%2F/u", rights).await;
            let user = api.login("u", "p");
            let mut statuses = Vec::new();
            for path in PATHS {
                statuses.push(user.get(path).await.status);
            }
            assert_eq!(statuses, opened, "{tag}");
        }
    });
}

#[test]
fn what_permissions_forbid_on_a_channel_they_forbid_here() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        api.put("/api/users/u", r#"{"password":"p","tags":"management"}"#).await;
        let rights = r#"{"configure":"^mine$","write":"^mine$","read":"^mine$"}"#;
        api.put("/api/permissions/%2F/u", rights).await;
        api.put("/api/queues/%2F/theirs", "{}").await;
        let user = api.login("u", "p");
        assert_eq!(user.put("/api/queues/%2F/mine", "{}").await.status, 201);
        assert_eq!(user.put("/api/queues/%2F/other", "{}").await.status, 401);
        assert_eq!(user.delete("/api/queues/%2F/theirs").await.status, 401);
        assert_eq!(user.delete("/api/queues/%2F/theirs/contents").await.status, 401);
        let publish =
            r#"{"properties":{},"routing_key":"mine","payload":"x","payload_encoding":"string"}"#;
        let published = user.post("/api/exchanges/%2F/amq.default/publish", publish).await;
        assert_eq!(published.status, 401);
        let get = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
        assert_eq!(user.post("/api/queues/%2F/theirs/get", get).await.status, 401);
        assert_eq!(user.post("/api/queues/%2F/mine/get", get).await.status, 200);
        assert_eq!(user.put("/api/vhosts/v", "{}").await.status, 401);
        assert_eq!(user.put("/api/users/x", r#"{"tags":""}"#).await.status, 401);
    });
}

#[test]
fn users_and_permissions_come_and_go() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let user = "/api/users/ann";
        assert_eq!(api.put(user, r#"{"password":"p"}"#).await.status, 400);
        assert_eq!(api.put(user, r#"{"password":"p","tags":"management"}"#).await.status, 201);
        assert_eq!(api.put(user, r#"{"password":"p","tags":["monitoring"]}"#).await.status, 204);
        let shown = api.json(user).await;
        assert_eq!(shown["tags"], json!(["monitoring"]));
        assert_eq!(shown["hashing_algorithm"], "rabbit_password_hashing_sha256");
        let without = api.json("/api/users/without-permissions").await;
        assert_eq!(without[0]["name"], "ann");
        let topics = "/api/topic-permissions/%2F/ann";
        let rights = r#"{"exchange":"amq.topic","write":".*","read":"^a"}"#;
        assert_eq!(api.put(topics, rights).await.status, 201);
        assert_eq!(api.json(topics).await[0]["read"], "^a");
        assert_eq!(api.delete(topics).await.status, 204);
        assert_eq!(api.delete(topics).await.status, 404);
        let wrong =
            api.put("/api/permissions/%2F/nobody", r#"{"configure":"","write":"","read":""}"#);
        assert_eq!(wrong.await.json()["reason"], "vhost_or_user_not_found");
        let some = r#"{"users":["ann","nobody"]}"#;
        assert_eq!(api.post("/api/users/bulk-delete", some).await.status, 400);
        assert_eq!(api.get(user).await.status, 200);
        assert_eq!(api.post("/api/users/bulk-delete", r#"{"users":["ann"]}"#).await.status, 204);
        assert_eq!(api.get(user).await.status, 404);
    });
}

#[test]
fn a_broker_has_no_api_unless_it_is_asked_for() {
    run(async {
        let broker = Broker::builder().start().await.unwrap();
        assert_eq!((broker.management_port(), broker.prometheus_port()), (None, None));
    });
}
