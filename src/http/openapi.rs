//! `/api/openapi.json`: the management API in the words of OpenAPI 3.1, for generators of clients.
//!
//! <https://spec.openapis.org/oas/v3.1.1.html>

mod operations;

use serde_json::{Map, Value, json};

use self::operations::OPERATIONS;

/// What one method does at one path.
#[derive(Debug, Clone, Copy)]
struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    /// It takes what all lists take.
    is_list: bool,
    /// Without a password.
    is_open: bool,
}

impl Operation {
    const fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self { path, method, summary, is_list: false, is_open: false }
    }

    const fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new("get", path, summary)
    }

    const fn list(path: &'static str, summary: &'static str) -> Self {
        Self { is_list: true, ..Self::get(path, summary) }
    }

    const fn check(path: &'static str, summary: &'static str) -> Self {
        Self::get(path, summary).open()
    }

    const fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new("put", path, summary)
    }

    const fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new("post", path, summary)
    }

    const fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new("delete", path, summary)
    }

    const fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// `get_queues_vhost_queue` for `GET /api/queues/{vhost}/{queue}`.
    fn id(&self) -> String {
        let parts = self.path.split(|part: char| !part.is_ascii_alphanumeric());
        let named = parts.filter(|part| !matches!(*part, "" | "api"));
        [self.method].into_iter().chain(named).collect::<Vec<_>>().join("_")
    }

    fn described(&self) -> Value {
        let group = self.path.split('/').nth(2).unwrap_or_default();
        let mut operation = json!({
            "operationId": self.id(),
            "summary": self.summary,
            "tags": [group],
            "responses": {
                "2XX": { "description": "Done", "content": { "application/json": {} } },
                "4XX": { "$ref": "#/components/responses/Problem" },
            },
        });
        if self.is_list {
            let query = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
            operation["parameters"] = LIST_QUERY.iter().map(|(name, ..)| query(name)).collect();
        }
        if self.is_open {
            operation["security"] = json!([]);
        }
        if matches!(self.method, "put" | "post") {
            let body = json!({ "application/json": { "schema": { "type": "object" } } });
            operation["requestBody"] = json!({ "content": body });
        }
        operation
    }
}

/// What lists take: a name, a type, and what it is for.
const LIST_QUERY: [(&str, &str, &str); 7] = [
    ("columns", "string", "Fields that are wanted, with commas between"),
    ("sort", "string", "The field to sort by"),
    ("sort_reverse", "boolean", "From the last to the first"),
    ("page", "integer", "The number of a page; without it there is one list of everything"),
    ("page_size", "integer", "How many are on a page, 500 at most"),
    ("name", "string", "What names contain"),
    ("use_regex", "boolean", "The name is a regular expression"),
];

/// Where the description is.
pub(super) const PATH: &str = "/api/openapi.json";

/// The description of an API that has these paths. A path that nothing is said of is in it without a method.
pub(super) fn document(routed: &[String]) -> Value {
    let mut paths = Map::new();
    for path in routed.iter().map(String::as_str).chain(OPERATIONS.iter().map(|it| it.path)) {
        paths.entry(path).or_insert_with(|| of_path(path));
    }
    for operation in OPERATIONS {
        paths[operation.path][operation.method] = operation.described();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "leveret management",
            "description": "RabbitMQ's management API: the same paths, field names and statuses",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "security": [{ "basic": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
            "parameters": list_parameters(),
            "responses": { "Problem": problem() },
        },
    })
}

/// What is common to all methods: the parts of the path that are names of something.
fn of_path(path: &str) -> Value {
    let parts = path.split('/');
    let names = parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    let parameters: Vec<Value> = names.map(parameter).collect();
    if parameters.is_empty() { json!({}) } else { json!({ "parameters": parameters }) }
}

fn list_parameters() -> Value {
    let parameter = |(name, kind, description): (&str, &str, &str)| {
        let schema = json!({ "type": kind });
        let described =
            json!({ "name": name, "in": "query", "description": description, "schema": schema });
        (name.to_owned(), described)
    };
    Value::Object(LIST_QUERY.into_iter().map(parameter).collect())
}

fn problem() -> Value {
    let text = json!({ "type": "string" });
    let properties = json!({ "error": text, "reason": text });
    let schema = json!({ "type": "object", "properties": properties });
    json!({ "description": "Why not", "content": { "application/json": { "schema": schema } } })
}
