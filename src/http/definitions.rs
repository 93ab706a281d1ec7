//! `/api/definitions`: everything that is configured, as one document.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, WARNING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::Value;

use super::access::Administrator;
use super::body::unread;
use super::caller::Caller;
use super::listing::{Query, json_of};
use super::problem::Problem;
use super::site::Site;
use crate::session::{Definitions, InvalidDefinitions};

type Shared = State<Arc<Site>>;

/// As a file, where one is asked for.
fn document(document: &Value, query: &HashMap<String, String>) -> Response {
    let mut response = json_of(document);
    let named = query.get("download").filter(|name| !name.is_empty());
    let disposition = named.map(|name| format!("attachment; filename={name}"));
    if let Some(value) = disposition.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// `GET /api/definitions`.
pub(super) async fn export(
    State(site): Shared,
    _: Administrator,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let exported = tokio::task::spawn_blocking(move || site.host().export_definitions());
    let exported = exported.await.map_err(|_| Problem::internal())?;
    Ok(document(&exported.into(), &query))
}

/// `GET /api/definitions/{vhost}`.
pub(super) async fn export_vhost(
    State(site): Shared,
    _: Administrator,
    Path(vhost): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    site.vhost(&vhost).map_err(|_| Problem::bad_request("vhost_not_found"))?;
    let exported =
        tokio::task::spawn_blocking(move || site.host().export_vhost_definitions(&vhost));
    let exported = exported.await.map_err(|_| Problem::internal())??;
    Ok(document(&exported.into(), &query))
}

/// `POST /api/definitions`: adds and replaces, and deletes nothing.
pub(super) async fn import(
    State(site): Shared,
    Administrator(caller): Administrator,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(unread)?;
    put_in_force(&site, caller, move || {
        Definitions::read(&read(&headers, &body)?).map_err(|error| invalid(&error))
    })
    .await
}

/// `POST /api/definitions/{vhost}`.
pub(super) async fn import_vhost(
    State(site): Shared,
    Administrator(caller): Administrator,
    Path(vhost): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(unread)?;
    let vhost = site.vhost(&vhost).map_err(|_| Problem::missing("vhost_not_found"))?;
    put_in_force(&site, caller, move || {
        Definitions::read_for_vhost(&read(&headers, &body)?, vhost.name())
            .map_err(|error| invalid(&error))
    })
    .await
}

fn invalid(error: &InvalidDefinitions) -> Problem {
    Problem::bad_request(error.to_string())
}

/// Reads definitions and puts them in force; both may take long.
async fn put_in_force(
    site: &Arc<Site>,
    caller: Caller,
    read: impl FnOnce() -> Result<Definitions, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let imported = site.make(move |site| {
        let imported = caller.acting(site).import_definitions(read()?, site.now());
        imported.map_err(|error| Problem::bad_request(error.to_string()))
    });
    let warnings = warnings(&imported.await?.warnings);
    Ok((StatusCode::NO_CONTENT, AppendHeaders(warnings)).into_response())
}

/// Warnings that an answer has room for: clients take a hundred headers.
const WARNINGS_MAX: usize = 32;

/// Bytes of one of them.
const WARNING_BYTES_MAX: usize = 512;

/// As headers of the answer, which RabbitMQ's clients pass over (RFC 7234, section 5.5). The log has all.
fn warnings(all: &[String]) -> Vec<(HeaderName, HeaderValue)> {
    let left_out = all.len().saturating_sub(WARNINGS_MAX);
    let rest = (left_out > 0).then(|| format!("and {left_out} more, which are in the log"));
    let shown = all.iter().take(WARNINGS_MAX).map(String::as_str).chain(rest.as_deref());
    let header = |text: &str| {
        // Names are anybody's text: what is not ASCII, or ends a line, is spelt out.
        let mut text = text.escape_default().to_string().replace("\\'", "'");
        text.truncate(WARNING_BYTES_MAX);
        let value = HeaderValue::from_str(&format!("299 leveret \"{text}\"")).ok()?;
        Some((WARNING, value))
    };
    shown.filter_map(header).collect()
}

/// The document: the body, or the file in a form as browsers send it.
fn read(headers: &HeaderMap, body: &Bytes) -> Result<Value, Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let document = match kind.strip_prefix("multipart/form-data") {
        Some(parameters) => file_of_form(parameters, body).unwrap_or_default(),
        None => body,
    };
    serde_json::from_slice(document).map_err(|_| Problem::bad_request("not_json"))
}

/// RFC 2046, section 5.1.1. A longer one would take long to look for.
const BOUNDARY_MAX: usize = 70;

/// The first part of a form that is a file.
fn file_of_form<'a>(parameters: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    let boundary = parameters.split_once("boundary=")?.1.trim_matches(['"', ' ']);
    if boundary.len() > BOUNDARY_MAX {
        return None;
    }
    let boundary = format!("--{boundary}");
    let mut rest = after(body, boundary.as_bytes())?;
    loop {
        let end = find(rest, boundary.as_bytes())?;
        let part = &rest[..end];
        let blank = find(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&part[..blank]);
        if head.contains("filename=") {
            let content = &part[blank + 4..];
            return Some(content.strip_suffix(b"\r\n").unwrap_or(content));
        }
        rest = after(rest, boundary.as_bytes())?;
    }
}

/// Where something short begins.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn after<'a>(bytes: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    find(bytes, wanted).map(|place| &bytes[place + wanted.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_among_the_fields_of_a_form() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"auth\"\r\n\r\nabc\r\n--x\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n\r\n{\"a\":1}\r\n--x--\r\n";
        assert_eq!(file_of_form("; boundary=x", body), Some(&b"{\"a\":1}"[..]));
        assert_eq!(file_of_form("; boundary=y", body), None);
        assert_eq!(file_of_form("", body), None);
    }
}
