//! Lists and single objects: filtered, sorted, cut to pages and to columns, as RabbitMQ does it.

use std::cmp::Ordering;
use std::collections::HashMap;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use super::problem::Problem;

/// Columns that a request may ask for: each is looked for in every object.
const COLUMNS_MAX: usize = 100;

/// What a compiled pattern may take: it is compiled while others wait.
const PATTERN_BYTES_MAX: usize = 1 << 20;

const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: usize = 500;

/// What follows the question mark.
pub(super) type Query = axum::extract::Query<HashMap<String, String>>;

/// Whether a query says so.
pub(super) fn is_true(query: &HashMap<String, String>, key: &str) -> bool {
    query.get(key).is_some_and(|value| value == "true")
}

/// What is wanted of a list.
#[derive(Debug)]
pub(super) struct Wanted {
    columns: Option<Vec<String>>,
    sort: Option<String>,
    reverse: bool,
    page: Option<Page>,
}

#[derive(Debug)]
struct Page {
    number: usize,
    size: usize,
    name: Option<Name>,
}

/// Whose names are wanted.
#[derive(Debug)]
enum Name {
    Containing(String),
    Matching(Regex),
}

impl Name {
    fn is_wanted(&self, name: &str) -> bool {
        match self {
            Self::Containing(part) => name.to_lowercase().contains(part),
            Self::Matching(pattern) => pattern.is_match(name),
        }
    }
}

impl Wanted {
    /// # Errors
    /// 400, for pages that make no sense.
    pub(super) fn read(query: &HashMap<String, String>) -> Result<Self, Problem> {
        let given = |key: &str| query.get(key).filter(|value| !value.is_empty()).cloned();
        let columns = given("columns");
        let columns: Option<Vec<String>> =
            columns.map(|list| list.split(',').map(str::to_owned).collect());
        if columns.as_ref().is_some_and(|columns| columns.len() > COLUMNS_MAX) {
            let text = format!("more than {COLUMNS_MAX} columns");
            return Err(Problem::bad_request(text));
        }
        let reverse = is_true(query, "sort_reverse");
        Ok(Self { columns, sort: given("sort"), reverse, page: Page::read(query)? })
    }

    /// Everything.
    #[cfg(test)]
    fn all() -> Self {
        Self { columns: None, sort: None, reverse: false, page: None }
    }

    /// What is to be shown of a list, which comes in its own order.
    ///
    /// # Errors
    /// 400, for a page that is not there.
    pub(super) fn of(self, mut items: Vec<Value>) -> Result<Value, Problem> {
        let total = items.len();
        if let Some(name) = self.page.as_ref().and_then(|page| page.name.as_ref()) {
            items.retain(|item| item["name"].as_str().is_some_and(|it| name.is_wanted(it)));
        }
        if let Some(sort) = &self.sort {
            items.sort_by(|one, other| compare(at(one, sort), at(other, sort)));
        }
        if self.reverse {
            items.reverse();
        }
        let cut = |item: Value| match &self.columns {
            Some(columns) => only(&item, columns),
            None => item,
        };
        let Some(page) = &self.page else { return Ok(items.into_iter().map(cut).collect()) };
        let filtered = items.len();
        let pages = filtered.div_ceil(page.size).max(1);
        if page.number > pages {
            let Page { number, size, .. } = page;
            let reason =
                format!("Page out of range, page: {number} page size: {size}, len: {filtered}");
            return Err(Problem::refused("page_out_of_range", reason));
        }
        let start = (page.number - 1) * page.size;
        let items: Vec<Value> = items.into_iter().skip(start).take(page.size).map(cut).collect();
        Ok(json!({
            "total_count": total, "filtered_count": filtered, "item_count": items.len(),
            "page": page.number, "page_size": page.size, "page_count": pages, "items": items,
        }))
    }

    /// What is to be shown of a single object.
    pub(super) fn of_one(&self, item: Value) -> Value {
        match &self.columns {
            Some(columns) => only(&item, columns),
            None => item,
        }
    }
}

impl Page {
    fn read(query: &HashMap<String, String>) -> Result<Option<Self>, Problem> {
        let invalid = || Problem::bad_request("Pagination parameters are invalid");
        let number = |key: &str| match query.get(key).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| invalid()),
        };
        let (page, size) = (number("page")?, number("page_size")?);
        let asked = is_true(query, "pagination");
        if page.is_none() && !asked {
            return Ok(None);
        }
        let page = page.unwrap_or(1);
        let fits = page >= 1 && size.is_none_or(|size| (1..=PAGE_SIZE_MAX as i64).contains(&size));
        let (Ok(wanted), true) = (usize::try_from(page), fits) else {
            let size = size.map_or_else(|| "undefined".to_owned(), |size| size.to_string());
            let reason =
                format!("Invalid pagination parameters: page number {page}, page size {size}");
            return Err(Problem::refused("invalid_pagination_parameters", reason));
        };
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE_SIZE);
        let name = query.get("name").filter(|name| !name.is_empty());
        let is_regex = is_true(query, "use_regex");
        let name = match name {
            Some(name) if is_regex => {
                let pattern = RegexBuilder::new(name).size_limit(PATTERN_BYTES_MAX).build();
                Some(Name::Matching(pattern.map_err(|_| invalid())?))
            }
            name => name.map(|name| Name::Containing(name.to_lowercase())),
        };
        Ok(Some(Self { number: wanted, size, name }))
    }
}

/// What stands at a path such as `message_stats.publish_details.rate`.
fn at<'a>(item: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(item, |value, key| value.get(key))
}

/// Numbers before texts, and what is not there before everything.
fn compare(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    let rank = |value: Option<&Value>| match value {
        None | Some(Value::Null) => 0,
        Some(Value::Number(_)) => 1,
        Some(Value::Bool(_)) => 2,
        Some(Value::String(_)) => 3,
        Some(_) => 4,
    };
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => {
            let (one, other) = (one.as_f64(), other.as_f64());
            one.partial_cmp(&other).unwrap_or(Ordering::Equal)
        }
        (Some(Value::String(one)), Some(Value::String(other))) => one.cmp(other),
        (Some(Value::Bool(one)), Some(Value::Bool(other))) => one.cmp(other),
        (one, other) => rank(one).cmp(&rank(other)),
    }
}

/// Some columns of an object. A column of a column is shown within it.
fn only(item: &Value, columns: &[String]) -> Value {
    let mut object = Map::new();
    for column in columns {
        if let Some(value) = at(item, column) {
            put(&mut object, column, value.clone());
        }
    }
    Value::Object(object)
}

fn put(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((key, rest)) => {
            let inner = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// A list, made on a thread where it may take as long as it takes.
pub(super) async fn list(
    query: &HashMap<String, String>,
    items: impl FnOnce() -> Vec<Value> + Send + 'static,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(query)?;
    let made = tokio::task::spawn_blocking(move || wanted.of(items()).map(|shown| encode(&shown)));
    made.await.map_err(|_| Problem::internal())?.map(answer)
}

/// A single object.
pub(super) fn one(query: &HashMap<String, String>, item: Value) -> Result<Response, Problem> {
    Ok(answer(encode(&Wanted::read(query)?.of_one(item))))
}

/// Any JSON.
pub(super) fn json_of(value: &Value) -> Response {
    answer(encode(value))
}

fn encode(value: &Value) -> Vec<u8> {
    // A value is written without fail.
    serde_json::to_vec(value).unwrap_or_default()
}

fn answer(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Result<Wanted, Problem> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Wanted::read(&pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    fn queues() -> Vec<Value> {
        let queue = |name: &str, count: u64| json!({ "name": name, "stats": { "publish": count } });
        vec![queue("b", 2), queue("a.1", 3), queue("A.2", 1)]
    }

    #[test]
    fn without_a_query_a_list_is_as_it_is() {
        assert_eq!(Wanted::all().of(queues()).unwrap(), Value::from(queues()));
    }

    #[test]
    fn a_column_of_a_column_stands_within_it_and_sorts() {
        let shown = wanted("columns=name,stats.publish&sort=stats.publish&sort_reverse=true")
            .unwrap()
            .of(queues())
            .unwrap();
        let names: Vec<&str> =
            shown.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a.1", "b", "A.2"]);
        assert_eq!(shown[0], json!({ "name": "a.1", "stats": { "publish": 3 } }));
    }

    #[test]
    fn pages_have_their_names_filtered_and_say_how_many_there_are() {
        let shown = wanted("page=1&page_size=1&name=a.&columns=name").unwrap().of(queues());
        let expected = json!({
            "total_count": 3, "filtered_count": 2, "item_count": 1, "page": 1, "page_size": 1,
            "page_count": 2, "items": [{ "name": "a.1" }]
        });
        assert_eq!(shown.unwrap(), expected);
        let shown = wanted("page=1&name=^A&use_regex=true&columns=name").unwrap().of(queues());
        assert_eq!(shown.unwrap()["items"], json!([{ "name": "A.2" }]));
    }

    #[test]
    fn pages_that_make_no_sense_are_refused_in_rabbitmqs_words() {
        let reason =
            |query: &str| serde_json::to_value(wanted(query).unwrap_err().reason()).unwrap();
        assert_eq!(reason("page=x"), "Pagination parameters are invalid");
        assert_eq!(reason("page=1&name=(&use_regex=true"), "Pagination parameters are invalid");
        assert_eq!(
            reason("page=0"),
            "Invalid pagination parameters: page number 0, page size undefined"
        );
        assert_eq!(
            reason("page=1&page_size=501"),
            "Invalid pagination parameters: page number 1, page size 501"
        );
        let beyond = wanted("page=9").unwrap().of(queues()).unwrap_err();
        assert_eq!(beyond.reason(), "Page out of range, page: 9 page size: 100, len: 3");
    }
}
