//! What the API says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Api, broker, run};

const METHODS: [&str; 4] = ["delete", "get", "post", "put"];

/// The methods that a description has, by path.
fn described(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |item: &Value| -> BTreeSet<String> {
        let has = METHODS.into_iter().filter(|method| item.get(method).is_some());
        has.map(str::to_uppercase).collect()
    };
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

/// A path with something at the place of each name.
fn filled(path: &str) -> String {
    let part = |part| if str::starts_with(part, '{') { "x" } else { part };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn the_description_is_there_without_a_password() {
    run(async {
        let broker = broker().await;
        let request =
            b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = Api::of(&broker).raw(request).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let document = answer.json();
        assert_eq!(document["openapi"], "3.1.0");
        let queue = &document["paths"]["/api/queues/{vhost}/{queue}"];
        assert_eq!(queue["parameters"][1]["name"], "queue");
        assert_eq!(queue["put"]["operationId"], "put_queues_vhost_queue");
        let sort = &document["paths"]["/api/queues"]["get"]["parameters"][1]["$ref"];
        assert_eq!(sort, "#/components/parameters/sort");
        assert_eq!(document["components"]["parameters"]["sort"]["in"], "query");
    });
}

/// Goal: neither the description nor the router has a path or a method that the other lacks. The description lists
/// the router's paths; a method that nobody has is answered with those that a path has.
#[test]
fn it_describes_the_paths_and_methods_that_there_are() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let document = api.json("/api/openapi.json").await;
        let described = described(&document);
        assert!(described.len() > 100, "{}", described.len());
        for (path, methods) in described {
            let answer = api.request("PATCH", &filled(&path), "").await;
            assert_eq!(answer.status, 405, "{path}: {answer:?}");
            let allowed = answer.header("allow").unwrap_or_default().split(',');
            let allowed: BTreeSet<String> =
                allowed.filter(|method| *method != "HEAD").map(str::to_owned).collect();
            assert_eq!(methods, allowed, "{path}");
        }
    });
}

#[test]
fn it_tells_what_takes_a_password_and_names_each_operation_once() {
    run(async {
        let broker = broker().await;
        let api = Api::of(&broker);
        let document = api.json("/api/openapi.json").await;
        let mut names = BTreeSet::new();
        for (path, methods) in described(&document) {
            for method in methods {
                let operation = &document["paths"][&path][method.to_lowercase()];
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name}");
                let request = format!(
                    "{method} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\
                     Connection: close\r\n\r\n{{}}",
                    filled(&path)
                );
                let is_open = operation.get("security").is_some();
                let status = api.raw(request.as_bytes()).await.status;
                assert_eq!(status != 401, is_open, "{method} {path}: {status}");
            }
        }
    });
}
