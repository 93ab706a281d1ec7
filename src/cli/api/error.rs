//! Why a request to the management API has no answer, in words that say what to do.

use std::io;

use serde_json::Value;
use ureq::http::Method;

use super::ApiPath;
use super::tls::explained;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(in crate::cli) enum ApiError {
    /// Nobody answers.
    #[error(
        "cannot reach the management API at {url}: {cause}; start the broker, \
         or choose another address with --url or LEVERET_URL"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the system says.
        cause: String,
    },
    /// Somebody took too long.
    #[error("{url} did not answer within {seconds} s; try again, or wait longer with --timeout")]
    TimedOut {
        /// Who was asked.
        url: String,
        /// For how long.
        seconds: u64,
    },
    /// Who asks is unknown, or the password is wrong.
    #[error(
        "the broker does not let '{user}' in; choose a user with --user and --password, \
         or with LEVERET_USER and LEVERET_PASSWORD"
    )]
    NotLoggedIn {
        /// Who asked.
        user: String,
    },
    /// Who asks may not do this.
    #[error("the user '{user}' may not do this: {reason}")]
    NotAllowed {
        /// Who asked.
        user: String,
        /// What the broker says.
        reason: String,
    },
    /// There is no such thing.
    #[error("there is {reason}")]
    NotFound {
        /// What: "no queue 'q'".
        reason: String,
    },
    /// The broker does not take what it was given.
    #[error("{reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the broker says.
        reason: String,
    },
    /// The broker is not in the state that was asked for.
    #[error("{reason}")]
    Unavailable {
        /// What the broker says.
        reason: String,
    },
    /// The broker made a mistake.
    #[error("the broker answered {status}: {reason}")]
    Failed {
        /// The HTTP status.
        status: u16,
        /// What the broker says.
        reason: String,
    },
    /// TLS can't be spoken with whoever answers, or it is not known to be the one that is meant.
    #[error("no TLS with {url}: {reason}")]
    Tls {
        /// Who was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Whoever answers does not speak this API.
    #[error("what answers at {url} is no management API: {problem}; its default port is 15672")]
    Foreign {
        /// Who was asked.
        url: String,
        /// What was wrong with the answer.
        problem: String,
    },
}

impl ApiError {
    /// The error that an HTTP status stands for, as the answer to a request; none for a success.
    pub(super) fn of_status(
        status: u16,
        body: &[u8],
        user: &str,
        (method, path): (&Method, &ApiPath),
    ) -> Option<Self> {
        let user = || user.to_owned();
        let reason = || reason(body).unwrap_or_else(|| format!("HTTP status {status}"));
        Some(match status {
            200..=299 => return None,
            // RabbitMQ says 401 to a user whom it knows, too; then it says what the user is not.
            401 if body.is_empty() || reason().eq_ignore_ascii_case("login failed") => {
                Self::NotLoggedIn { user: user() }
            }
            401 | 403 => Self::NotAllowed { user: user(), reason: reason() },
            404 => Self::NotFound { reason: missing(&reason(), path, method) },
            503 => Self::Unavailable { reason: reason() },
            400..=499 => Self::Refused { status, reason: reason() },
            _ => Self::Failed { status, reason: reason() },
        })
    }

    /// The exit code of sysexits.h that tells a script what kind of error it is.
    pub(in crate::cli) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } => super::super::EXIT_DATA,
            Self::NotFound { .. } => super::super::EXIT_NO_INPUT,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Unavailable { .. } => {
                super::super::EXIT_UNAVAILABLE
            }
            Self::Failed { .. } => super::super::EXIT_SOFTWARE,
            Self::Tls { .. } | Self::Foreign { .. } => super::super::EXIT_PROTOCOL,
            Self::NotLoggedIn { .. } | Self::NotAllowed { .. } => super::super::EXIT_NO_PERMISSION,
        }
    }

    /// The same, as the answer to who gives somebody permissions: the API says 400 where there is nobody to give
    /// them to.
    pub(in crate::cli) fn of_permissions(self, path: &ApiPath) -> Self {
        match self {
            Self::Refused { reason, .. } if reason == "vhost_or_user_not_found" => {
                Self::NotFound { reason: missing(&reason, path, &Method::PUT) }
            }
            other => other,
        }
    }

    /// What kept the request from its answer.
    pub(super) fn of_transport(error: ureq::Error, url: &str, seconds: u64) -> Self {
        let url = url.to_owned();
        match error {
            ureq::Error::Timeout(_) => Self::TimedOut { url, seconds },
            ureq::Error::Io(cause) if cause.kind() == io::ErrorKind::TimedOut => {
                Self::TimedOut { url, seconds }
            }
            ureq::Error::Io(cause) if let Some(reason) = explained(&cause) => {
                Self::Tls { url, reason }
            }
            ureq::Error::Io(cause) => Self::Unreachable { url, cause: cause.to_string() },
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                Self::Unreachable { url, cause: error.to_string() }
            }
            other => Self::Foreign { url, problem: other.to_string() },
        }
    }
}

/// What is not there, as the broker says it, or where it says only that something is, by the path.
fn missing(reason: &str, path: &ApiPath, method: &Method) -> String {
    if let Some(said) = reason.strip_prefix("NOT_FOUND - ") {
        return said.to_owned();
    }
    let makes = [Method::PUT, Method::POST].contains(method);
    path.missing(makes).unwrap_or_else(|| format!("no such object: {reason}"))
}

/// What an error body of the API says: `{"error": "bad_request", "reason": "..."}`, where the reason may be
/// an object itself.
fn reason(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let said = |name: &str| match body.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::String(_) | Value::Null => None,
        Value::Array(terms) => {
            Some(in_words(terms).unwrap_or_else(|| Value::from(&**terms).to_string()))
        }
        other => Some(other.to_string()),
    };
    said("reason").or_else(|| said("error"))
}

/// What the API says as a list of terms, as RabbitMQ's does, in words.
fn in_words(terms: &[Value]) -> Option<String> {
    let terms = terms.iter().map(Value::as_str).collect::<Option<Vec<&str>>>()?;
    match terms[..] {
        ["not_int", key] => Some(format!("'{key}' has to be an integer")),
        ["invalid_regexp", pattern, why] => {
            Some(format!("'{pattern}' is no regular expression: {why}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: [&str; 3] = ["queues", "/", "q"];

    fn of(status: u16, body: &str) -> (String, u8) {
        let request = (&Method::GET, &ApiPath::of(&QUEUE));
        let error = ApiError::of_status(status, body.as_bytes(), "joe", request).unwrap();
        (error.to_string(), error.exit_code())
    }

    #[test]
    fn each_status_is_an_exit_code_and_a_sentence() {
        let request = (&Method::GET, &ApiPath::of(&QUEUE));
        assert!(ApiError::of_status(204, b"", "joe", request).is_none());
        let body = r#"{"error":"bad_request","reason":"inequivalent arg 'durable'"}"#;
        assert_eq!(of(400, body), ("inequivalent arg 'durable'".to_owned(), 65));
        for body in ["", r#"{"error":"not_authorised","reason":"Login failed"}"#] {
            let (text, code) = of(401, body);
            assert_eq!((text.contains("does not let 'joe' in"), code), (true, 77), "{text}");
        }
        assert_eq!(
            of(401, r#"{"error":"not_authorised","reason":"Not administrator user"}"#),
            ("the user 'joe' may not do this: Not administrator user".to_owned(), 77)
        );
        assert_eq!(
            of(404, r#"{"error":"Object Not Found","reason":"Not Found"}"#),
            ("there is no queue 'q' in vhost '/'".to_owned(), 66)
        );
        assert_eq!(
            of(404, r#"{"error":"not_found","reason":"NOT_FOUND - no queue 'x' in vhost 'v'"}"#),
            ("there is no queue 'x' in vhost 'v'".to_owned(), 66)
        );
        assert_eq!(
            of(400, r#"{"error":"bad_request","reason":["not_int","priority"]}"#),
            ("'priority' has to be an integer".to_owned(), 65)
        );
        assert_eq!(
            of(400, r#"{"error":"bad_request","reason":["invalid_regexp","(","unclosed group"]}"#),
            ("'(' is no regular expression: unclosed group".to_owned(), 65)
        );
        assert_eq!(
            of(400, r#"{"error":"bad_request","reason":["other", 1]}"#),
            (r#"["other",1]"#.to_owned(), 65)
        );
        assert_eq!(of(503, r#"{"status":"failed","reason":"alarm"}"#), ("alarm".to_owned(), 69));
        assert_eq!(of(500, "<html>"), ("the broker answered 500: HTTP status 500".to_owned(), 70));
    }
}
