//! Who asks, and what he may see and do.

use std::net::SocketAddr;
use std::sync::Arc;

use amqp_codec::ShortString;
use axum::extract::{FromRequestParts, OptionalFromRequestParts, Request, State};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::problem::Problem;
use super::site::Site;
use crate::auth::{Tags, User};
use crate::session::Acting;

/// What the one who runs the broker is called.
const LOCAL_ADMINISTRATOR: &str = "local administrator";

/// What events call him, as RabbitMQ's name who uses its commands.
const COMMAND_LINE: &str = "rmq-cli";

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct From {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// The address it came in by.
    pub(super) local: SocketAddr,
}

impl From {
    /// Whether it comes from the broker's own machine: over loopback, or to an address from that very address.
    /// Nobody else can have a connection whose ends have one address: the answers go to this machine.
    pub(super) fn is_this_machine(self) -> bool {
        let (peer, local) = (self.peer.ip().to_canonical(), self.local.ip().to_canonical());
        peer.is_loopback() || peer == local
    }
}

/// A user who may use the API.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    user: Arc<User>,
    /// The vhosts that are open to him.
    vhosts: Vec<ShortString>,
    /// Whether it is who runs the broker: no permissions restrict him.
    is_local: bool,
}

impl Caller {
    pub(super) fn name(&self) -> &str {
        &self.user.name
    }

    /// The broker in his hands.
    pub(super) fn acting<'a>(&'a self, site: &'a Site) -> Acting<'a> {
        let user = if self.is_local { COMMAND_LINE } else { self.name() };
        site.host().acting_as(user)
    }

    pub(super) fn tags(&self) -> &Tags {
        &self.user.tags
    }

    /// Whether it is who runs the broker, and no user of it.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    fn has(&self, tag: &str) -> bool {
        self.user.tags.contains(tag)
    }

    pub(super) fn is_administrator(&self) -> bool {
        self.has(Tags::ADMINISTRATOR)
    }

    /// Whether he sees what belongs to others.
    pub(super) fn is_monitor(&self) -> bool {
        self.is_administrator() || self.has(Tags::MONITORING)
    }

    fn is_policymaker(&self) -> bool {
        self.is_administrator() || self.has(Tags::POLICYMAKER)
    }

    /// # Errors
    /// 401, for everybody but administrators.
    pub(super) fn must_administer(&self) -> Result<(), Problem> {
        if self.is_administrator() { Ok(()) } else { Err(not("Not administrator user")) }
    }

    /// # Errors
    /// 401, for everybody but administrators and the user himself.
    pub(super) fn must_be_or_administer(&self, user: &str) -> Result<(), Problem> {
        if self.name() == user { Ok(()) } else { self.must_administer() }
    }

    /// # Errors
    /// 401, for those who see only what is theirs.
    pub(super) fn must_monitor(&self) -> Result<(), Problem> {
        if self.is_monitor() { Ok(()) } else { Err(not("Not monitor user")) }
    }

    /// # Errors
    /// 401, for those who make no policies.
    pub(super) fn must_make_policies(&self) -> Result<(), Problem> {
        if self.is_policymaker() { Ok(()) } else { Err(Problem::not_this()) }
    }

    /// # Errors
    /// 401, for those who make no policies in a vhost.
    pub(super) fn must_make_policies_in(&self, vhost: &ShortString) -> Result<(), Problem> {
        self.must_make_policies()?;
        let may = self.is_administrator() || self.may_enter(vhost);
        if may { Ok(()) } else { Err(Problem::not_this()) }
    }

    /// Whether he has any permission in a vhost.
    pub(super) fn may_enter(&self, vhost: &ShortString) -> bool {
        self.is_local || self.vhosts.contains(vhost)
    }

    /// Whether he sees what is in a vhost.
    pub(super) fn sees(&self, vhost: &ShortString) -> bool {
        self.is_monitor() || self.may_enter(vhost)
    }

    /// # Errors
    /// 401, for those who see nothing in a vhost.
    pub(super) fn must_see(&self, vhost: &ShortString) -> Result<(), Problem> {
        if self.sees(vhost) { Ok(()) } else { Err(not_here()) }
    }

    /// # Errors
    /// 401, for those without any permission in a vhost, administrators excepted.
    pub(super) fn must_enter(&self, vhost: &ShortString) -> Result<(), Problem> {
        let may = self.is_administrator() || self.may_enter(vhost);
        if may { Ok(()) } else { Err(not_here()) }
    }

    /// Whether he sees what a user does: his own, and as a monitor everything.
    pub(super) fn sees_user(&self, user: &str) -> bool {
        self.is_monitor() || self.name() == user
    }
}

fn not(reason: &str) -> Problem {
    Problem::not_authorised(reason)
}

fn not_here() -> Problem {
    not("User not authorised to access virtual host")
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some(from) = parts.extensions.get::<From>().copied() else {
            return Err(Problem::login_failed());
        };
        if header.is_some_and(|it| is_local_administrator(it, from, site)) {
            site.logins().succeeded();
            return Ok(Self { user: local_administrator(), vhosts: Vec::new(), is_local: true });
        }
        let (name, password) = header.and_then(credentials).ok_or_else(Problem::login_failed)?;
        match site.host().authenticate(&name, &password, from.peer.ip(), site.now()) {
            Ok(user) if user.tags.may_manage() => {
                site.logins().succeeded();
                let vhosts = site.host().vhosts_of(&user.name);
                Ok(Self { user, vhosts, is_local: false })
            }
            Ok(_) => {
                site.logins().failed();
                Err(Problem::not_authorised("Not management user"))
            }
            Err(reason) => {
                site.logins().failed();
                if let Some(line) = site.host().refused_login_line(site.now()) {
                    // The name is anybody's text: it is not to end the line.
                    let name = name.escape_debug();
                    tracing::warn!(
                        peer = %from.peer,
                        "HTTP access denied: user '{name}'{reason}{line}"
                    );
                }
                Err(Problem::login_failed())
            }
        }
    }
}

/// Nobody, where no password is sent.
impl OptionalFromRequestParts<Arc<Site>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        site: &Arc<Site>,
    ) -> Result<Option<Self>, Problem> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<Arc<Site>>>::from_request_parts(parts, site).await.map(Some)
    }
}

/// Whether it is who runs the broker: he is on its machine, and can read the token that is in a file of its
/// user's. RabbitMQ's tools have Erlang's cookie for this.
fn is_local_administrator(header: &[u8], from: From, site: &Site) -> bool {
    let Some(token) = header.strip_prefix(b"Bearer ") else { return false };
    let expected = site.local_token().expose().as_bytes();
    from.is_this_machine() && !expected.is_empty() && bool::from(token.ct_eq(expected))
}

/// Answers who runs the broker, and nobody else.
pub(super) async fn must_run_the_broker(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let from = request.extensions().get::<From>().copied();
    match header.zip(from) {
        Some((header, from)) if is_local_administrator(header, from, &site) => {
            next.run(request).await
        }
        _ => Problem::login_failed().into_response(),
    }
}

/// He is no user of the broker's, and may do everything.
fn local_administrator() -> Arc<User> {
    let tags = Tags::from_iter([Tags::ADMINISTRATOR]);
    Arc::new(User { tags, ..User::new(LOCAL_ADMINISTRATOR) })
}

/// User and password of `Basic ...`.
fn credentials(header: &[u8]) -> Option<(String, Vec<u8>)> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_have_colons_and_a_name_may_not() {
        let header = format!("basic {}", STANDARD.encode("user:pass:word"));
        let expected = Some(("user".to_owned(), b"pass:word".to_vec()));
        assert_eq!(credentials(header.as_bytes()), expected);
    }

    #[test]
    fn this_machine_is_loopback_and_whoever_has_the_same_address() {
        let from = |peer: &str, local: &str| From {
            peer: peer.parse().unwrap(),
            local: local.parse().unwrap(),
        };
        for (peer, local, is_here) in [
            ("127.0.0.1:50000", "127.0.0.1:15672", true),
            ("[::1]:50000", "[::1]:15672", true),
            ("[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:15672", true),
            ("10.0.0.5:50000", "10.0.0.5:15672", true),
            ("10.0.0.5:50000", "[::ffff:10.0.0.5]:15672", true),
            ("10.0.0.6:50000", "10.0.0.5:15672", false),
            ("[2001:db8::6]:50000", "[2001:db8::5]:15672", false),
        ] {
            assert_eq!(from(peer, local).is_this_machine(), is_here, "{peer} {local}");
        }
    }

    #[test]
    fn what_is_no_basic_authentication_is_nobody() {
        for header in ["", "Basic", "Bearer abc", "Basic !!!", "Basic dXNlcg=="] {
            assert_eq!(credentials(header.as_bytes()), None, "{header}");
        }
    }
}
