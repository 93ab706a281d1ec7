//! `/api/definitions`: everything that is configured, as one document.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query as QueryOf, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde_json::Value;

use super::access::Administrator;
use super::body::unread;
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
    site.vhost(&vhost)?;
    let exported =
        tokio::task::spawn_blocking(move || site.host().export_vhost_definitions(&vhost));
    let exported = exported.await.map_err(|_| Problem::internal())??;
    Ok(document(&exported.into(), &query))
}

/// `POST /api/definitions`: adds and replaces, and deletes nothing.
pub(super) async fn import(
    State(site): Shared,
    _: Administrator,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(unread)?;
    put_in_force(&site, move || {
        Definitions::read(&read(&headers, &body)?).map_err(|error| invalid(&error))
    })
    .await
}

/// `POST /api/definitions/{vhost}`.
pub(super) async fn import_vhost(
    State(site): Shared,
    _: Administrator,
    Path(vhost): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(unread)?;
    let vhost = site.vhost(&vhost).map_err(|_| Problem::missing("vhost_not_found"))?;
    put_in_force(&site, move || {
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
    read: impl FnOnce() -> Result<Definitions, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    site.change(move |site| {
        let imported = site.host().import_definitions(read()?, site.now());
        imported.map_err(|error| Problem::bad_request(error.to_string()))
    })
    .await
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
