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
