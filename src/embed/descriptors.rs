//! Who may have how many of the descriptors that the process may have.
//!
//! In one place, so that the shares together are what there is: clients, with or without a password, leave the
//! broker what it needs for its own files.

use crate::config::{Config, Durability};
use crate::http;
use crate::store::log::LogOptions;

/// What the broker has open whatever comes: listeners, the runtime, the index, the segment that is written,
/// directories that are synced, and sockets that are accepted in order to be refused.
const OWN: usize = 64;

/// The most that either service over HTTP or the reader of the log has, of few descriptors: one in so many.
const SHARE: usize = 8;

/// The shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// Segments of the log that are kept open to be read.
    pub(super) segments: usize,
    /// Connections of each service over HTTP.
    pub(super) http: usize,
    /// Connections of AMQP: the rest. 0, where there may be any number.
    pub(super) clients: usize,
}

impl Descriptors {
    /// What this process may have, shared out.
    pub(super) fn of_process(config: &Config) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        // Commands on this machine ask over HTTP, too.
        let has_management = config.management_port.is_some()
            || config.management_tls_port.is_some()
            || config.web.for_commands;
        let has_metrics = config.prometheus_port.is_some() || config.prometheus_tls_port.is_some();
        let services = usize::from(has_management) + usize::from(has_metrics);
        Self::shared_out(limit, services, config.durability != Durability::None)
    }

    fn shared_out(limit: Option<usize>, services: usize, has_log: bool) -> Self {
        let (segments, http) = (LogOptions::default().open_max, http::CONNECTIONS_MAX);
        let Some(limit) = limit else { return Self { segments, http, clients: 0 } };
        let (segments, http) = (segments.min(limit / SHARE), http.min(limit / SHARE));
        let of_log = if has_log { segments } else { 0 };
        let kept = OWN.min(limit / 4) + of_log + services * http;
        // None at all would be any number.
        Self { segments, http, clients: limit.saturating_sub(kept).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_what_there_is() {
        for limit in (8..100_000).step_by(37) {
            let Descriptors { segments, http, clients } =
                Descriptors::shared_out(Some(limit), 2, true);
            let own = limit - segments - 2 * http - clients;
            assert!(own == OWN || own == limit / 4 && own < OWN, "{limit}: {own}");
            assert!(segments.max(http) <= limit / SHARE, "{limit}");
            assert!(clients >= limit * 3 / 8, "{limit}: {clients}");
        }
    }

    #[test]
    fn who_has_enough_keeps_nobody_short() {
        let many = Descriptors::shared_out(Some(1 << 20), 2, true);
        assert_eq!((many.segments, many.http), (256, 1024));
        assert_eq!(many.clients, (1 << 20) - 64 - 256 - 2048);
        let any = Descriptors::shared_out(None, 2, true);
        assert_eq!((any.segments, any.http, any.clients), (256, 1024, 0));
        let alone = Descriptors::shared_out(Some(1024), 0, false);
        assert_eq!(alone.clients, 960);
    }
}
