//! `/api/leveret/settings`: what an administrator can change while the broker runs. It is as configured again after
//! the next start, as what `rabbitmqctl` changes in RabbitMQ.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::json;

use super::access::Administrator;
use super::body::Body;
use super::change::Changed;
use super::listing::json_of;
use super::problem::Problem;
use super::site::Site;
use crate::config::LogLevel;

/// What is changed outside of the API's reach.
type Control<T> = OnceLock<Box<dyn Fn(T) + Send + Sync>>;

/// What is in force, and who makes it so.
#[derive(Default)]
pub struct Settings {
    disk_free_limit: AtomicU64,
    suspended: AtomicBool,
    log_level: Mutex<Option<LogLevel>>,
    accept: Control<bool>,
    log: Control<LogLevel>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

impl Settings {
    /// What is configured; without a level the log is somebody else's.
    pub(super) fn new(disk_free_limit: u64) -> Self {
        Self { disk_free_limit: AtomicU64::new(disk_free_limit), ..Self::default() }
    }

    /// Who opens and closes the listeners for AMQP.
    pub fn on_accept(&self, accept: impl Fn(bool) + Send + Sync + 'static) {
        // There is one, who starts the listeners.
        let _ = self.accept.set(Box::new(accept));
    }

    /// Who has the log, and what level it has.
    pub fn on_log_level(&self, level: LogLevel, set: impl Fn(LogLevel) + Send + Sync + 'static) {
        *self.log_level.lock() = Some(level);
        // There is one, who started the log.
        let _ = self.log.set(Box::new(set));
    }

    pub(super) fn disk_free_limit(&self) -> u64 {
        self.disk_free_limit.load(Ordering::Relaxed)
    }
}

/// `GET /api/leveret/settings`.
pub(super) async fn get(State(site): State<Arc<Site>>, _: Administrator) -> Response {
    let settings = site.settings();
    json_of(&json!({
        "log_level": settings.log_level.lock().map(LogLevel::name),
        "memory_high_watermark": site.host().memory_limit(),
        "disk_free_limit": settings.disk_free_limit(),
        "accepting": !settings.suspended.load(Ordering::Relaxed),
    }))
}

/// What a request wants, all of it read before any of it is done.
#[derive(Debug, Default)]
struct Wishes {
    log_level: Option<LogLevel>,
    memory_high_watermark: Option<usize>,
    disk_free_limit: Option<u64>,
    accepting: Option<bool>,
}

impl Wishes {
    fn read(body: &Body) -> Result<Self, Problem> {
        let mut wishes = Self::default();
        for (key, value) in body.entries() {
            let is_read = match key {
                "log_level" => {
                    wishes.log_level = value.as_str().and_then(|it| LogLevel::from_str(it).ok());
                    wishes.log_level.is_some()
                }
                "memory_high_watermark" => {
                    wishes.memory_high_watermark =
                        value.as_u64().and_then(|bytes| usize::try_from(bytes).ok());
                    wishes.memory_high_watermark.is_some()
                }
                "disk_free_limit" => {
                    wishes.disk_free_limit = value.as_u64();
                    wishes.disk_free_limit.is_some()
                }
                "accepting" => {
                    wishes.accepting = value.as_bool();
                    wishes.accepting.is_some()
                }
                _ => return Err(Problem::bad_request(format!("there is no setting '{key}'"))),
            };
            if !is_read {
                return Err(Problem::bad_request(format!("{key} can't be {value}")));
            }
        }
        Ok(wishes)
    }
}

/// `PUT /api/leveret/settings`: those that are said.
pub(super) async fn put(
    State(site): State<Arc<Site>>,
    _: Administrator,
    body: Body,
) -> Result<Changed, Problem> {
    let Wishes { log_level, memory_high_watermark, disk_free_limit, accepting } =
        Wishes::read(&body)?;
    let settings = site.settings();
    if let Some(level) = log_level {
        let set =
            settings.log.get().ok_or_else(|| Problem::bad_request("the log is not leveret's"))?;
        set(level);
        *settings.log_level.lock() = Some(level);
        tracing::info!("the log has the level {} now", level.name());
    }
    if let Some(bytes) = memory_high_watermark {
        site.host().set_memory_limit(bytes);
        tracing::info!(bytes, "memory_high_watermark is changed");
    }
    if let Some(bytes) = disk_free_limit {
        settings.disk_free_limit.store(bytes, Ordering::Relaxed);
        site.host().set_disk_free_limit(bytes);
        tracing::info!(bytes, "disk_free_limit is changed");
    }
    if let Some((accepting, accept)) = accepting.zip(settings.accept.get()) {
        settings.suspended.store(!accepting, Ordering::Relaxed);
        accept(accepting);
    }
    Ok(Changed::Done)
}
