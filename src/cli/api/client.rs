//! Requests to the management API, one after another.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::header::{HeaderMap, WARNING};
use ureq::http::{Method, Request};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};

use super::{Access, Address, AddressError, ApiError, ApiPath};
use crate::config::Secret;

/// The largest answer that is read. A million queues with all their details fit.
const ANSWER_BYTES_MAX: u64 = 4 << 30;

/// A client of one broker's management API. It connects with the first request.
pub(in crate::cli) struct Client {
    agent: ureq::Agent,
    address: Address,
    timeout: Duration,
}

/// What the broker has to say beside its answer goes where it is in nobody's way.
fn warn(headers: &HeaderMap) {
    for header in headers.get_all(WARNING) {
        let text = String::from_utf8_lossy(header.as_bytes());
        // `299 leveret "..."`; RabbitMQ sends none.
        let text = text.split_once('"').map_or(&*text, |(_, quoted)| quoted.trim_end_matches('"'));
        // Who closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "warning: {text}");
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// A client whose requests take `timeout` at most, from connecting to the last byte.
    ///
    /// # Errors
    /// [`AddressError`], for files of HTTPS that do not do.
    pub(in crate::cli) fn new(address: Address, timeout: Duration) -> Result<Self, AddressError> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            // Statuses have their own words here.
            .http_status_as_error(false)
            // A proxy is for the web; the broker is next door, and a proxy would see the password.
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("leveret/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = if address.url.starts_with("https:") {
            let connector = ().chain(TcpConnector::default()).chain(address.tls.connector()?);
            ureq::Agent::with_parts(config, connector, DefaultResolver::default())
        } else {
            config.new_agent()
        };
        Ok(Self { agent, address, timeout })
    }

    /// Who asks, for messages.
    pub(in crate::cli) fn user(&self) -> &str {
        self.address.access.user()
    }

    /// Where it asks.
    pub(in crate::cli) fn url(&self) -> &str {
        &self.address.url
    }

    /// Reads something.
    ///
    /// # Errors
    /// [`ApiError`], as for every request.
    pub(in crate::cli) fn get(&self, path: &ApiPath) -> Result<Value, ApiError> {
        self.request(&Method::GET, path, None)
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`ApiError::Foreign`] if it is none.
    pub(in crate::cli) fn list(&self, path: &ApiPath) -> Result<Vec<Value>, ApiError> {
        match self.get(path)? {
            Value::Array(items) => Ok(items),
            _ => Err(self.foreign(&format!("{path} is not a list"))),
        }
    }

    /// Makes something be there.
    ///
    /// # Errors
    /// [`ApiError`], as for every request.
    pub(in crate::cli) fn put(&self, path: &ApiPath, body: &Value) -> Result<(), ApiError> {
        self.request(&Method::PUT, path, Some(body)).map(drop)
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// [`ApiError`], as for every request.
    pub(in crate::cli) fn post(&self, path: &ApiPath, body: &Value) -> Result<Value, ApiError> {
        self.request(&Method::POST, path, Some(body))
    }

    /// Removes something.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if it is not there.
    pub(in crate::cli) fn delete(&self, path: &ApiPath) -> Result<(), ApiError> {
        self.request(&Method::DELETE, path, None).map(drop)
    }

    /// Removes something and tells the others why.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if it is not there.
    pub(in crate::cli) fn delete_because(
        &self,
        path: &ApiPath,
        reason: &str,
    ) -> Result<(), ApiError> {
        let request = self.prepare(&Method::DELETE, path).header("X-Reason", reason);
        let request = request.body(()).map_err(|error| self.malformed(&error))?;
        self.answer(self.agent.run(request), (&Method::DELETE, path)).map(drop)
    }

    /// Whether a user may log in, rather than who else asks.
    ///
    /// # Errors
    /// [`ApiError::NotLoggedIn`] if the broker does not know the user or the password is wrong,
    /// [`ApiError::NotAllowed`] if the user may not use the API.
    pub(in crate::cli) fn log_in(&self, user: &str, password: &str) -> Result<(), ApiError> {
        let access = Access::Password { user: user.to_owned(), password: Secret::new(password) };
        let address = Address { access, ..self.address.clone() };
        let other = Self { agent: self.agent.clone(), address, timeout: self.timeout };
        other.get(&ApiPath::of(&["whoami"])).map(drop)
    }

    fn request(
        &self,
        method: &Method,
        path: &ApiPath,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let request = self.prepare(method, path);
        let sent = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                let request =
                    request.body(body.to_string()).map_err(|error| self.malformed(&error))?;
                self.agent.run(request)
            }
            None => self.agent.run(request.body(()).map_err(|error| self.malformed(&error))?),
        };
        self.answer(sent, (method, path))
    }

    fn prepare(&self, method: &Method, path: &ApiPath) -> ureq::http::request::Builder {
        let authorization = match &self.address.access {
            Access::Password { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
            }
            Access::Token(token) => format!("Bearer {}", token.expose()),
        };
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address.url))
            .header("Authorization", authorization)
    }

    fn answer(
        &self,
        sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        request: (&Method, &ApiPath),
    ) -> Result<Value, ApiError> {
        let transport =
            |error| ApiError::of_transport(error, &self.address.url, self.timeout.as_secs());
        let mut response = sent.map_err(transport)?;
        warn(response.headers());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(transport)?;
        let status = response.status().as_u16();
        if let Some(error) = ApiError::of_status(status, &body, self.user(), request) {
            return Err(error);
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| self.foreign(&error.to_string()))
    }

    fn foreign(&self, problem: &str) -> ApiError {
        ApiError::Foreign { url: self.address.url.clone(), problem: problem.to_owned() }
    }

    /// A header can't hold every text.
    fn malformed(&self, error: &ureq::http::Error) -> ApiError {
        ApiError::Refused { status: 400, reason: format!("cannot be sent over HTTP: {error}") }
    }
}
