//! Who may do what: the answers of RabbitMQ 3.10.8 to the same requests, with what is otherwise here.

use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use leveret::Broker;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::support::{Answer, Api, broker, run};

const TAGS: [&str; 5] = ["", "management", "policymaker", "monitoring", "administrator"];

/// What each of them is answered, row by row; its head says how it is read.
const BY_TAG: &str = include_str!("rights.tsv");

const NONE: &str = "";
const EMPTY: &str = "{}";
const ALL: &str = r#"{"configure":".*","write":".*","read":".*"}"#;
const TOPICS: &str = r#"{"exchange":"amq.topic","write":"","read":""}"#;
const POLICY: &str = r#"{"pattern":"^zz","definition":{"max-length":1}}"#;
const UPSTREAM: &str = r#"{"value":{"uri":"amqp://localhost"}}"#;
const LIMIT: &str = r#"{"value":100000}"#;
const KEY: &str = r#"{"routing_key":"k"}"#;
const GET: &str = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
const PUBLISH: &str =
    r#"{"properties":{},"routing_key":"wr","payload":"x","payload_encoding":"string"}"#;

/// The words of refusals that are told most.
const REASONS: [(&str, &str); 7] = [
    ("management", "Not management user"),
    ("monitor", "Not monitor user"),
    ("administrator", "Not administrator user"),
    ("vhost", "User not authorised to access virtual host"),
    ("object", "User not authorised to access object"),
    ("refused", "Access refused."),
    ("missing", "Not Found"),
];

/// A line of the table.
#[derive(Debug)]
struct Row {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    cells: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let lines = BY_TAG.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_else(|| panic!("{line} has eight fields"));
        let (method, path, body) = (next(), next(), next());
        Row { method, path, body, cells: TAGS.map(|_| next()).into() }
    };
    lines.map(row).collect()
}

/// What an answer is in the words of the table.
fn told(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let Some(reason) = body.get("reason").filter(|_| answer.status >= 400) else {
        return answer.status.to_string();
    };
    let text = reason.as_str().map_or_else(|| reason.to_string(), str::to_owned);
    let text = text.replace('\n', "\\n");
    let known = REASONS.iter().find(|(_, words)| *words == text);
    let short = known.map_or(text.as_str(), |(short, _)| short);
    if answer.status < 500 {
        let error = match (answer.status, short) {
            (401, _) => "not_authorised",
            (404, "missing") => "Object Not Found",
            (404, _) => "not_found",
            _ => "bad_request",
        };
        assert_eq!(body["error"], error, "{answer:?}");
    }
    format!("{}:{short}", answer.status)
}

/// How many there are in a list, if it is one.
fn length(answer: &Answer) -> Option<usize> {
    Some(serde_json::from_str::<Value>(&answer.body).ok()?.as_array()?.len())
}

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
    for vhost in ["closed", "closed2"] {
        api.put(&format!("/api/vhosts/{vhost}"), EMPTY).await;
    }
    for (place, tag) in TAGS.iter().enumerate() {
        let user = format!(r#"{{"password":"p","tags":"{tag}"}}"#);
        api.put(&format!("/api/users/u{place}"), &user).await;
        api.put(&format!("/api/permissions/%2F/u{place}"), ALL).await;
    }
    for user in ["none", "other"] {
        api.put(&format!("/api/users/{user}"), r#"{"password":"p","tags":""}"#).await;
    }
    api.put("/api/permissions/%2F/none", ALL).await;
    api.put("/api/permissions/closed/none", ALL).await;
    api.put("/api/users/limited", r#"{"password":"p","tags":"management"}"#).await;
    let limited = r#"{"configure":"^c","write":"^w","read":"^r"}"#;
    api.put("/api/permissions/%2F/limited", limited).await;
    api.put("/api/permissions/closed/guest", ALL).await;
    for vhost in ["%2F", "closed"] {
        furnish_vhost(api, vhost).await;
    }
    api.put("/api/user-limits/none/max-channels", LIMIT).await;
    for name in ["g", "gone"] {
        api.put(&format!("/api/global-parameters/{name}"), r#"{"value":1}"#).await;
    }
}

async fn furnish_vhost(api: &Api, vhost: &str) {
    for name in ["c", "w", "r", "wr", "x", "q", "e", "gone"] {
        api.put(&format!("/api/queues/{vhost}/{name}"), EMPTY).await;
        api.put(&format!("/api/exchanges/{vhost}/{name}"), EMPTY).await;
    }
    for to in ["q/q", "e/x"] {
        api.post(&format!("/api/bindings/{vhost}/e/e/{to}"), KEY).await;
    }
    for name in ["pol", "gone"] {
        api.put(&format!("/api/policies/{vhost}/{name}"), POLICY).await;
        api.put(&format!("/api/operator-policies/{vhost}/{name}"), POLICY).await;
    }
    for name in ["up", "gone"] {
        let path = format!("/api/parameters/federation-upstream/{vhost}/{name}");
        api.put(&path, UPSTREAM).await;
    }
    api.put(&format!("/api/vhost-limits/{vhost}/max-queues"), LIMIT).await;
    api.put(&format!("/api/topic-permissions/{vhost}/none"), TOPICS).await;
}

/// Connections, each under the name that paths call it by.
#[derive(Default)]
struct Clients {
    names: Vec<(String, String)>,
    open: Vec<(Connection, Option<(Channel, Consumer)>)>,
}

impl Clients {
    /// One more, whose name over HTTP is the one that was not there before. `CHAN` behind its own name is its channel.
    async fn connect(
        &mut self,
        broker: &Broker,
        api: &Api,
        (name, user, vhost): (&str, &str, &str),
    ) {
        let uri = format!("amqp://{user}:p@127.0.0.1:{}/{vhost}", broker.port());
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        let mut consuming = None;
        if !name.contains("VICTIM") {
            let channel = connection.create_channel().await.unwrap();
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer = channel.basic_consume("q".into(), "".into(), options, arguments);
            consuming = Some((channel.clone(), consumer.await.unwrap()));
        }
        self.open.push((connection, consuming));
        let all = api.json("/api/connections?columns=name").await;
        let mut all = all.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap());
        let known = |path: &str| self.names.iter().any(|(_, known)| known == path);
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let own = all.find(|own| !known(&encoded(own))).unwrap();
        self.names.push((format!("{name}CHAN"), encoded(&format!("{own} (1)"))));
        self.names.push((name.to_owned(), encoded(own)));
    }

    /// The path of a row for the user at a place.
    fn path(&self, path: &str, place: usize) -> String {
        let path = path.replace("SELF", &format!("u{place}"));
        let parts = path.split('/').map(|part| {
            let of_user = match part.strip_suffix("CHAN") {
                Some(connection) => format!("{connection}{place}CHAN"),
                None => format!("{part}{place}"),
            };
            let found = self.names.iter().find(|(name, _)| name == part || *name == of_user);
            found.map_or(part, |(_, own)| own)
        });
        format!("/api{}", parts.collect::<Vec<_>>().join("/"))
    }
}

/// Undoes what a request did, so that the next user finds what this one did. The body of what deletes is what puts it
/// back.
async fn undo(api: &Api, row: &Row, path: &str, status: u16) {
    match (row.method, status) {
        ("PUT", 201) => drop(api.delete(path).await),
        ("DELETE", 204) if path.starts_with("/api/bindings") => {
            let (ends, _) = path.rsplit_once('/').unwrap();
            api.post(ends, KEY).await;
        }
        ("DELETE", 204) if !row.body.is_empty() => drop(api.put(path, row.body).await),
        _ => {}
    }
}

#[test]
fn a_tag_opens_what_it_opens_in_rabbitmq() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        furnish(&api).await;
        let node = api.json("/api/overview").await["node"].as_str().unwrap().to_owned();
        let mut clients = Clients { names: vec![("NODE".to_owned(), node)], ..Clients::default() };
        for (place, _) in TAGS.iter().enumerate() {
            let user = format!("u{place}");
            for (name, user) in [("OWN", user.as_str()), ("VICTIM", "none"), ("OWNVICTIM", &user)] {
                clients.connect(&broker, &api, (&format!("{name}{place}"), user, "%2F")).await;
            }
        }
        clients.connect(&broker, &api, ("OTHER", "none", "%2F")).await;
        clients.connect(&broker, &api, ("CLOSED", "none", "closed")).await;
        let mut wrong = Vec::new();
        for row in rows() {
            for (place, cell) in row.cells.iter().enumerate() {
                let user = api.login(&format!("u{place}"), "p");
                let path = clients.path(row.path, place);
                let body = if row.method == "DELETE" { NONE } else { row.body };
                let answer = user.request(row.method, &path, body).await;
                let (here, _) = cell.split_once('<').unwrap_or((cell, ""));
                let (expected, many) = here.split_once('*').unwrap_or((here, ""));
                let same_length = many.is_empty() || length(&answer) == many.parse().ok();
                if told(&answer) != expected || !same_length {
                    let Row { method, .. } = row;
                    wrong.push(format!("{method} {path} as '{}': {here}: {answer:?}", TAGS[place]));
                }
                undo(&api, &row, &path, answer.status).await;
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// Goal: no path and no method without a row.
#[test]
fn the_table_has_whatever_the_api_has() {
    run(async {
        let broker = broker().await;
        let document = Api::of(&broker).json("/api/openapi.json").await;
        let rows = rows();
        let fits = |own: &str, path: &str| {
            let (own, path) = (own.split('/'), path.split('/'));
            own.clone().count() == path.clone().count()
                && own.zip(path).all(|(own, part)| own == part || part.starts_with('{'))
        };
        for (path, item) in document["paths"].as_object().unwrap() {
            let path = path.strip_prefix("/api").unwrap();
            for method in ["GET", "PUT", "POST", "DELETE"] {
                let is_there = item.get(method.to_lowercase()).is_some();
                let mut rows = rows.iter().filter(|row| row.method == method);
                assert!(!is_there || rows.any(|row| fits(row.path, path)), "{method} {path}");
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
