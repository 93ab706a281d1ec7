//! Heartbeats: when to send one, and when a silent client counts as gone.

use std::time::{Duration, Instant};

/// Watches the traffic of one connection. Off at an interval of 0.
///
/// Spec: AMQP 0-9-1 section 4.2.7. Any traffic counts. A client is gone once it let two heartbeats in a
/// row be missing at the end of the third interval, which is when RabbitMQ 3.10 drops it; the broker
/// sends after half an interval without traffic of its own, so that one lost or late heartbeat is
/// never enough for the client to give up.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    interval: Duration,
    last_received: Instant,
    last_sent: Instant,
}

/// What a heartbeat deadline asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Send a heartbeat frame.
    Send,
    /// The client missed two heartbeats in a row: the connection is dead.
    Dead,
}

impl Heartbeat {
    /// Starts to watch now.
    pub fn new(interval_seconds: u16, now: Instant) -> Self {
        let interval = Duration::from_secs(u64::from(interval_seconds));
        Self { interval, last_received: now, last_sent: now }
    }

    /// When bytes last came in.
    pub fn last_received(&self) -> Instant {
        self.last_received
    }

    /// Bytes came in.
    pub fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Bytes went out.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// When to look again; never, if heartbeats are off.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        Some((self.last_sent + self.interval / 2).min(self.last_received + self.interval * 3))
    }

    /// What is due at `now`.
    pub fn due(&self, now: Instant) -> Due {
        if self.interval.is_zero() {
            Due::Nothing
        } else if now >= self.last_received + self.interval * 3 {
            Due::Dead
        } else if now >= self.last_sent + self.interval / 2 {
            Due::Send
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only clock reading in these tests: an origin to count from.
    #[expect(clippy::disallowed_methods)]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_heartbeat_is_due_after_half_an_interval_and_death_after_three() {
        let start = origin();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heartbeat = Heartbeat::new(2, start);
        assert_eq!(heartbeat.next_deadline(), Some(at(1000)));
        assert_eq!(heartbeat.due(at(999)), Due::Nothing);
        assert_eq!(heartbeat.due(at(1000)), Due::Send);
        heartbeat.sent(at(1000));
        assert_eq!(heartbeat.due(at(1500)), Due::Nothing);
        assert_eq!(heartbeat.due(at(5999)), Due::Send);
        assert_eq!(heartbeat.due(at(6000)), Due::Dead);
        heartbeat.received(at(3000));
        assert_eq!(heartbeat.due(at(6000)), Due::Send);
    }

    #[test]
    fn an_interval_of_zero_turns_them_off() {
        let start = origin();
        let heartbeat = Heartbeat::new(0, start);
        assert_eq!(heartbeat.next_deadline(), None);
        assert_eq!(heartbeat.due(start + Duration::from_secs(1 << 30)), Due::Nothing);
    }
}
