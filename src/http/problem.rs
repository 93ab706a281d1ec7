//! Why a request is refused, in RabbitMQ's words.

use amqp_codec::ReplyCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::listing::json_of;
use crate::broker::error::BrokerError;
use crate::broker::policy::PolicyError;
use crate::session::{AdminError, Refused};

/// Why a request is refused: a status, and a body of `error` and `reason`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    error: &'static str,
    reason: Value,
}

impl Problem {
    /// 404 for what is not there.
    pub(super) fn not_found() -> Self {
        let (status, error) = (StatusCode::NOT_FOUND, "Object Not Found");
        Self { status, error, reason: "Not Found".into() }
    }

    /// 404 for something that the request names beside its path.
    pub(super) fn missing(reason: impl Into<Value>) -> Self {
        Self { status: StatusCode::NOT_FOUND, error: "not_found", reason: reason.into() }
    }

    /// 400.
    pub(super) fn bad_request(reason: impl Into<Value>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: "bad_request", reason: reason.into() }
    }

    /// 400 with another word for it.
    pub(super) fn refused(error: &'static str, reason: impl Into<Value>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, reason: reason.into() }
    }

    /// 400 for a policy or a parameter that makes no sense.
    pub(super) fn validation_failed(why: &dyn std::fmt::Display) -> Self {
        Self::bad_request(format!("Validation failed\n\n{why}\n"))
    }

    /// 401 for somebody whose password is wrong.
    pub(super) fn login_failed() -> Self {
        let (status, error) = (StatusCode::UNAUTHORIZED, "not_authorized");
        Self { status, error, reason: "Login failed".into() }
    }

    /// 401 for somebody who may not.
    pub(super) fn not_authorised(reason: impl Into<Value>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error: "not_authorised", reason: reason.into() }
    }

    /// 401 with the words for most cases.
    pub(super) fn access_refused() -> Self {
        Self::not_authorised("Access refused.")
    }

    /// 401 for what is somebody else's.
    pub(super) fn not_this() -> Self {
        Self::not_authorised("User not authorised to access object")
    }

    /// 400 for a body that is too large; later versions of HTTP have 413 for it.
    pub(super) fn too_large() -> Self {
        Self::bad_request("Exceeded HTTP request body size limit")
    }

    /// 500: a handler panicked.
    pub(super) fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::of(status, "internal_error", "the request failed")
    }

    /// Another status.
    pub(super) fn of(status: StatusCode, error: &'static str, reason: impl Into<Value>) -> Self {
        Self { status, error, reason: reason.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "reason": self.reason });
        let mut response = json_of(&body);
        *response.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
        }
        response
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        match error {
            // As RabbitMQ, which hides the reason.
            BrokerError::ReservedName { .. }
            | BrokerError::SystemExchange(_)
            | BrokerError::DefaultExchange => Self::access_refused(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused.code {
            // As RabbitMQ, which hides the reason.
            ReplyCode::AccessRefused => Self::access_refused(),
            _ => Self::bad_request(refused.text),
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::UnknownVHost(_) => Self::missing("vhost_not_found"),
            AdminError::UnknownUser(user) => Self::bad_request(json!(["no_such_user", user.0])),
            AdminError::Parameter(error) => Self::validation_failed(&error),
            AdminError::Policy(error) => Self::validation_failed(&error),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        Self::validation_failed(&error)
    }
}

#[cfg(test)]
impl Problem {
    /// What is said in the body.
    pub(super) fn reason(&self) -> &Value {
        &self.reason
    }
}
