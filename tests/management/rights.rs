//! Who may do what: the answers of RabbitMQ 3.10.8 to the same requests, with what is otherwise here.

use serde_json::Value;

use crate::support::{Answer, Api, broker, run};

const TAGS: [&str; 5] = ["", "management", "policymaker", "monitoring", "administrator"];

const NONE: &str = "";
const EMPTY: &str = "{}";
const ALL: &str = r#"{"configure":".*","write":".*","read":".*"}"#;
const POLICY: &str = r#"{"pattern":"^zz","definition":{"max-length":1}}"#;
const GET: &str = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
const PUBLISH: &str =
    r#"{"properties":{},"routing_key":"wr","payload":"x","payload_encoding":"string"}"#;

/// What those are told who have a tag, and not the one that is needed.
const NOTHING: &str = "";
const NOT_ADMINISTRATOR: &str = "Not administrator user";
const NOT_MONITOR: &str = "Not monitor user";
const NOT_HERE: &str = "User not authorised to access virtual host";
const NOT_THIS: &str = "User not authorised to access object";

/// Method, path, body, statuses by tag, and the text of a refusal.
type Row = (&'static str, &'static str, &'static str, [u16; 5], &'static str);

/// Everybody has all permissions in `/`, and none in `closed`.
#[rustfmt::skip]
const BY_TAG: &[Row] = &[
    ("GET", "/overview", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/nodes", NONE, [401, 401, 401, 200, 200], NOT_MONITOR),
    ("GET", "/cluster-name", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("PUT", "/cluster-name", r#"{"name":"rabbit@x"}"#, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("GET", "/whoami", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/extensions", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/definitions", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("GET", "/definitions/%2F", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("POST", "/definitions", EMPTY, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("GET", "/connections", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/channels", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/consumers", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/consumers/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/consumers/closed", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 200
    ("GET", "/exchanges", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/exchanges/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/exchanges/closed", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("GET", "/exchanges/closed/e", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("PUT", "/exchanges/closed/e2", EMPTY, [401, 401, 401, 401, 401], NOT_HERE),
    ("DELETE", "/exchanges/closed/none", NONE, [401, 401, 401, 401, 404], NOT_HERE),
    ("GET", "/queues", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/queues/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/queues/closed", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("GET", "/queues/closed/q", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("PUT", "/queues/closed/q2", EMPTY, [401, 401, 401, 401, 401], NOT_HERE),
    ("DELETE", "/queues/closed/none", NONE, [401, 401, 401, 401, 404], NOT_HERE),
    ("DELETE", "/queues/closed/q/contents", NONE, [401, 401, 401, 401, 401], NOT_HERE),
    ("POST", "/queues/closed/q/get", GET, [401, 401, 401, 401, 401], NOT_HERE),
    ("POST", "/exchanges/closed/e/publish", PUBLISH, [401, 401, 401, 401, 401], NOT_HERE),
    ("GET", "/bindings", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/bindings/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/bindings/closed", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("GET", "/bindings/closed/e/e/q/q", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("POST", "/bindings/closed/e/e/q/q", EMPTY, [401, 401, 401, 401, 401], NOT_HERE),
    ("GET", "/vhosts", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/vhosts/%2F", NONE, [401, 200, 200, 200, 200], NOTHING), // 3.10: for administrators
    ("GET", "/vhosts/closed", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: for administrators
    ("PUT", "/vhosts/closed", EMPTY, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("DELETE", "/vhosts/none", NONE, [401, 401, 401, 401, 404], NOT_ADMINISTRATOR),
    ("GET", "/vhosts/%2F/permissions", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("GET", "/vhosts/%2F/connections", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/vhosts/closed/connections", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("GET", "/vhosts/closed/channels", NONE, [401, 401, 401, 200, 200], NOT_HERE), // 3.10: 401 for monitors
    ("GET", "/users", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("GET", "/users/none", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("GET", "/users/none/permissions", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("PUT", "/users/none", r#"{"password":"p","tags":""}"#, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("DELETE", "/users/nobody", NONE, [401, 401, 401, 401, 404], NOT_ADMINISTRATOR),
    ("GET", "/users/without-permissions", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("GET", "/permissions", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("GET", "/permissions/%2F/none", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("PUT", "/permissions/%2F/none", ALL, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("DELETE", "/permissions/%2F/nobody", NONE, [401, 401, 401, 401, 404], NOT_ADMINISTRATOR),
    ("GET", "/topic-permissions", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("PUT", "/topic-permissions/%2F/none", r#"{"exchange":"x","write":"","read":""}"#, [401, 401, 401, 401, 201], NOT_ADMINISTRATOR),
    ("GET", "/parameters", NONE, [401, 401, 200, 401, 200], NOT_THIS),
    ("GET", "/parameters/federation-upstream", NONE, [401, 401, 200, 401, 200], NOT_THIS),
    ("GET", "/parameters/shovel/%2F", NONE, [401, 401, 200, 401, 200], NOT_THIS),
    ("GET", "/parameters/shovel/closed", NONE, [401, 401, 401, 401, 200], NOT_THIS),
    ("PUT", "/parameters/policy/%2F/p", r#"{"value":{}}"#, [401, 401, 400, 401, 400], NOT_THIS),
    ("DELETE", "/parameters/policy/%2F/none", NONE, [401, 401, 404, 401, 404], NOT_THIS),
    ("DELETE", "/parameters/policy/closed/none", NONE, [401, 401, 401, 401, 404], NOT_THIS),
    ("GET", "/global-parameters", NONE, [401, 401, 200, 401, 200], NOT_THIS),
    ("PUT", "/global-parameters/g", r#"{"value":1}"#, [401, 401, 201, 401, 204], NOT_THIS),
    ("DELETE", "/global-parameters/none", NONE, [401, 401, 404, 401, 404], NOT_THIS),
    ("GET", "/policies", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/policies/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/policies/%2F/pol", NONE, [401, 401, 200, 401, 200], NOT_THIS),
    ("GET", "/policies/closed", NONE, [401, 401, 401, 401, 200], NOT_HERE),
    ("PUT", "/policies/%2F/pol", POLICY, [401, 401, 204, 401, 204], NOT_THIS),
    ("PUT", "/policies/closed/pol", POLICY, [401, 401, 401, 401, 201], NOT_THIS),
    ("DELETE", "/policies/%2F/none", NONE, [401, 401, 404, 401, 404], NOT_THIS),
    ("GET", "/operator-policies", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/operator-policies/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/operator-policies/%2F/pol", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("PUT", "/operator-policies/%2F/pol", POLICY, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("DELETE", "/operator-policies/%2F/none", NONE, [401, 401, 401, 401, 404], NOT_ADMINISTRATOR),
    ("GET", "/vhost-limits", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/vhost-limits/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/vhost-limits/closed", NONE, [401, 401, 401, 200, 200], NOT_HERE),
    ("PUT", "/vhost-limits/%2F/max-queues", r#"{"value":100000}"#, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("DELETE", "/vhost-limits/%2F/max-queues", NONE, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("GET", "/user-limits", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/user-limits/none", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR), // 3.10: 200
    ("PUT", "/user-limits/none/max-channels", r#"{"value":100000}"#, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("DELETE", "/user-limits/none/max-channels", NONE, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("GET", "/aliveness-test/%2F", NONE, [401, 200, 200, 200, 200], NOTHING),
    ("GET", "/aliveness-test/closed", NONE, [401, 401, 401, 401, 401], NOT_HERE),
    ("GET", "/feature-flags", NONE, [401, 401, 401, 401, 200], NOT_ADMINISTRATOR),
    ("PUT", "/feature-flags/quorum_queue/enable", EMPTY, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("GET", "/auth/attempts/NODE", NONE, [401, 401, 401, 200, 200], NOT_MONITOR),
    ("POST", "/rebalance/queues", EMPTY, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
    ("GET", "/nodes/NODE", NONE, [401, 401, 401, 200, 200], NOT_MONITOR),
    ("GET", "/nodes/NODE/memory", NONE, [401, 401, 401, 200, 200], NOT_MONITOR),
    ("POST", "/users/bulk-delete", r#"{"users":[]}"#, [401, 401, 401, 401, 204], NOT_ADMINISTRATOR),
];

/// Method, path, body, status and reason for a user of `management` whose permissions are `^c`, `^w` and `^r`.
/// Which of the three it was that is missing, only later versions than 3.10.8 say.
type OneRow = (&'static str, &'static str, &'static str, u16, &'static str);

const REFUSED: &str = "Access refused.";

#[rustfmt::skip]
const BY_RIGHT: &[OneRow] = &[
    ("PUT", "/queues/%2F/c1", EMPTY, 201, ""),
    ("PUT", "/queues/%2F/w1", EMPTY, 401, REFUSED),
    ("PUT", "/queues/%2F/c2", r#"{"arguments":{"x-dead-letter-exchange":"w"}}"#, 401, REFUSED),
    ("PUT", "/queues/%2F/c3", r#"{"arguments":{"x-dead-letter-exchange":"x"}}"#, 401, REFUSED),
    ("DELETE", "/queues/%2F/x", NONE, 401, REFUSED),
    ("DELETE", "/queues/%2F/c1", NONE, 204, ""),
    ("DELETE", "/queues/%2F/x/contents", NONE, 401, REFUSED),
    ("DELETE", "/queues/%2F/r/contents", NONE, 204, ""),
    ("POST", "/queues/%2F/x/get", GET, 401, "ACCESS_REFUSED - read access to queue 'x' in vhost '/' refused for user 'limited'"),
    ("POST", "/queues/%2F/r/get", GET, 200, ""),
    ("POST", "/queues/%2F/none/get", GET, 401, "ACCESS_REFUSED - read access to queue 'none' in vhost '/' refused for user 'limited'"),
    ("PUT", "/exchanges/%2F/c1", r#"{"type":"direct"}"#, 201, ""),
    ("PUT", "/exchanges/%2F/w1", r#"{"type":"direct"}"#, 401, REFUSED),
    ("PUT", "/exchanges/%2F/c2", r#"{"type":"direct","arguments":{"alternate-exchange":"x"}}"#, 401, REFUSED),
    ("PUT", "/exchanges/%2F/amq.foo", r#"{"type":"direct"}"#, 401, REFUSED),
    ("DELETE", "/exchanges/%2F/x", NONE, 401, REFUSED),
    ("DELETE", "/exchanges/%2F/c1", NONE, 204, ""),
    ("DELETE", "/exchanges/%2F/amq.direct", NONE, 401, REFUSED),
    ("POST", "/exchanges/%2F/x/publish", PUBLISH, 400, "403 ACCESS_REFUSED - write access to exchange 'x' in vhost '/' refused for user 'limited'"),
    ("POST", "/exchanges/%2F/w/publish", PUBLISH, 200, ""),
    ("POST", "/exchanges/%2F/amq.default/publish", PUBLISH, 400, "403 ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'limited'"),
    ("POST", "/bindings/%2F/e/r/q/w", r#"{"routing_key":"a"}"#, 201, ""),
    ("POST", "/bindings/%2F/e/r/q/x", r#"{"routing_key":"a"}"#, 401, REFUSED),
    ("POST", "/bindings/%2F/e/x/q/w", r#"{"routing_key":"a"}"#, 401, REFUSED),
    ("POST", "/bindings/%2F/e/r/e/w", r#"{"routing_key":"a"}"#, 201, ""),
    ("POST", "/bindings/%2F/e/r/e/x", r#"{"routing_key":"a"}"#, 401, REFUSED),
    ("POST", "/bindings/%2F/e/none/q/w", r#"{"routing_key":"a"}"#, 401, REFUSED),
    ("DELETE", "/bindings/%2F/e/r/q/w/a", NONE, 204, ""),
    ("DELETE", "/bindings/%2F/e/r/q/x/a", NONE, 404, "Not Found"),
    ("GET", "/queues/%2F/x", NONE, 200, ""),
    ("GET", "/exchanges/%2F/x", NONE, 200, ""),
    ("GET", "/bindings/%2F/e/x/q/x", NONE, 200, ""),
    ("PUT", "/queues/%2F/amq.foo", EMPTY, 401, REFUSED),
];

fn reason(answer: &Answer) -> String {
    serde_json::from_str::<Value>(&answer.body)
        .ok()
        .and_then(|body| body["reason"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

async fn furnish(api: &Api) {
    api.put("/api/vhosts/closed", EMPTY).await;
    for (place, tag) in TAGS.iter().enumerate() {
        let user = format!(r#"{{"password":"p","tags":"{tag}"}}"#);
        api.put(&format!("/api/users/u{place}"), &user).await;
        api.put(&format!("/api/permissions/%2F/u{place}"), ALL).await;
    }
    api.put("/api/users/none", r#"{"password":"p","tags":""}"#).await;
    api.put("/api/permissions/%2F/none", ALL).await;
    api.put("/api/users/limited", r#"{"password":"p","tags":"management"}"#).await;
    let limited = r#"{"configure":"^c","write":"^w","read":"^r"}"#;
    api.put("/api/permissions/%2F/limited", limited).await;
    for name in ["c", "w", "r", "wr", "x"] {
        api.put(&format!("/api/queues/%2F/{name}"), EMPTY).await;
        api.put(&format!("/api/exchanges/%2F/{name}"), EMPTY).await;
    }
    api.put("/api/permissions/closed/guest", ALL).await;
    api.put("/api/queues/closed/q", EMPTY).await;
    api.put("/api/exchanges/closed/e", EMPTY).await;
    api.put("/api/policies/%2F/pol", POLICY).await;
    api.put("/api/operator-policies/%2F/pol", POLICY).await;
}

#[test]
fn a_tag_opens_what_it_opens_in_rabbitmq() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        furnish(&api).await;
        let node = api.json("/api/overview").await["node"].as_str().unwrap().to_owned();
        for (method, path, body, statuses, refusal) in BY_TAG {
            let path = format!("/api{path}").replace("NODE", &node);
            for (place, (tag, status)) in TAGS.iter().zip(statuses).enumerate() {
                let user = api.login(&format!("u{place}"), "p");
                let answer = user.request(method, &path, body).await;
                assert_eq!(answer.status, *status, "{method} {path} as '{tag}': {answer:?}");
                let expected = match (*tag, status) {
                    ("", _) => "Not management user",
                    ("administrator", 401) => REFUSED,
                    (_, 401) => refusal,
                    (_, 404) => "Not Found",
                    _ => continue,
                };
                assert_eq!(reason(&answer), expected, "{method} {path} as '{tag}'");
            }
        }
    });
}

#[test]
fn a_permission_opens_what_it_opens_on_a_channel() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        furnish(&api).await;
        let limited = api.login("limited", "p");
        for (method, path, body, status, text) in BY_RIGHT {
            let answer = limited.request(method, &format!("/api{path}"), body).await;
            assert_eq!(answer.status, *status, "{method} {path}: {answer:?}");
            assert_eq!(reason(&answer), *text, "{method} {path}");
        }
    });
}
