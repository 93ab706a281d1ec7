//! The event exchange: what happens in the broker, as messages.
//!
//! What happens is noted in the [`EventLog`](crate::broker::event_log::EventLog), and published by whoever
//! drives the timers, who knows the time.

use std::time::Instant;

use amqp_codec::method::basic;
use amqp_codec::{ChannelId, FieldTable, FieldValue, ShortString};

use super::client::{Client, Session};
use super::host::Host;
use super::own_messages::OwnMessage;
use crate::auth::Certificate;
use crate::broker::event_log::{
    EVENT_EXCHANGE, EVENT_VHOST, Event, event_headers as headers, event_headers_by as headers_by,
    event_text as text,
};

/// Events published by one call: others want the thread, too.
const EVENTS_MAX: usize = 256;

impl Host {
    /// Notes that something happened.
    pub(super) fn emit(&self, key: &'static str, headers: impl FnOnce() -> FieldTable) {
        self.vhost_options.events.emit(key, headers);
    }

    /// An alarm, of `memory` or `disk`.
    pub(super) fn tell_alarm(&self, key: &'static str, source: &str) {
        self.emit(key, || {
            headers([("source", text(source)), ("node", text(&self.connection.cluster_name))])
        });
    }

    /// Publishes what happened, as far as one call may.
    pub(super) fn publish_events(&self, now: Instant) {
        let events = &self.vhost_options.events;
        let dropped = events.take_dropped();
        if dropped > 0 {
            tracing::warn!("{dropped} events were not published: too many at once");
        }
        let taken = events.take(EVENTS_MAX);
        if taken.is_empty() {
            return;
        }
        let Some(vhost) = self.vhost(&ShortString::truncated(EVENT_VHOST)) else { return };
        let at = self.epoch.timestamp(now).0;
        for Event { key, mut headers } in taken {
            let milliseconds = of_number(at);
            headers.insert(ShortString::truncated("timestamp_in_ms"), milliseconds);
            let own = OwnMessage {
                exchange: EVENT_EXCHANGE,
                routing_key: ShortString::truncated(key),
                headers,
                timestamp: Some(at / 1000),
                persistent: true,
                body: b"",
                segments: &[],
            };
            self.publish_own(&vhost, own, now);
        }
    }
}

fn of_number(number: u64) -> FieldValue {
    FieldValue::I64(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Client {
    pub(super) fn tell_opened(&self) {
        let Some(session) = &self.session else { return };
        self.host.emit("connection.created", || {
            let mut all = self.about_peer();
            for (name, value) in self.about_client().into_iter().chain([
                ("user", text(&self.user)),
                ("auth_mechanism", text(self.about.mechanism)),
                ("connected_at", of_number(self.about.connected_at.0)),
                ("user_who_performed_action", text(&self.user)),
                ("vhost", text(session.vhost.name().as_bytes())),
                ("channel_max", FieldValue::I32(self.connection.limits().channel_max.into())),
                ("frame_max", FieldValue::I64(self.connection.limits().frame_max.into())),
                ("timeout", FieldValue::I32(self.connection.limits().heartbeat.into())),
            ]) {
                all.insert(ShortString::truncated(name), value);
            }
            all
        });
    }

    pub(super) fn tell_closed(&self) {
        self.host.emit("connection.closed", || {
            let about = [
                ("name", text(self.peer.name())),
                ("pid", text(self.pid())),
                ("node", text(&self.host.connection.cluster_name)),
            ];
            headers(about.into_iter().chain(self.about_client()))
        });
    }

    /// A login was good, or not; then there is a reason.
    pub(super) fn tell_login(&self, user: &str, mechanism: &'static str, refused: Option<&str>) {
        let key = match refused {
            None => "user.authentication.success",
            Some(_) => "user.authentication.failure",
        };
        self.host.emit(key, || {
            let mut all = self.about_peer();
            all.insert(ShortString::truncated("connection_type"), text("network"));
            all.insert(ShortString::truncated("name"), text(user));
            all.insert(ShortString::truncated("connection_name"), text(self.peer.name()));
            all.insert(ShortString::truncated("auth_mechanism"), text(mechanism));
            if let Some(reason) = refused {
                let reason = format!("user '{user}'{reason}");
                all.insert(ShortString::truncated("error"), text(reason));
            }
            all
        });
    }

    /// What the client says of itself.
    fn about_client(&self) -> Vec<(&'static str, FieldValue)> {
        let properties = FieldTable::clone(&self.about.client_properties);
        let name =
            self.introduction.name.as_ref().map(|it| ("user_provided_name", text(it.as_bytes())));
        [("client_properties", FieldValue::Table(properties))].into_iter().chain(name).collect()
    }

    /// What is known of a connection before its login.
    fn about_peer(&self) -> FieldTable {
        let (address, local) = (self.peer.address, self.peer.local);
        let encryption = self.peer.encryption.as_deref();
        let of_tls =
            |of: fn(&super::peer::Encryption) -> &'static str| text(encryption.map_or("", of));
        let certificate = self.peer.certificate();
        headers([
            ("name", text(self.peer.name())),
            ("pid", text(self.pid())),
            ("type", text("network")),
            ("node", text(&self.host.connection.cluster_name)),
            ("protocol", text("{0,9,1}")),
            ("peer_host", text(address.ip().to_canonical().to_string())),
            ("peer_port", FieldValue::I32(address.port().into())),
            ("host", text(local.ip().to_canonical().to_string())),
            ("port", FieldValue::I32(local.port().into())),
            ("ssl", FieldValue::Bool(encryption.is_some())),
            ("ssl_protocol", of_tls(|tls| tls.protocol)),
            ("ssl_key_exchange", of_tls(|tls| tls.key_exchange)),
            ("ssl_cipher", of_tls(|tls| tls.cipher)),
            ("ssl_hash", of_tls(|tls| tls.hash)),
            ("peer_cert_subject", text(certificate.map_or("", |it| &it.subject))),
            ("peer_cert_issuer", text(certificate.map_or("", |it| &it.issuer))),
            (
                "peer_cert_validity",
                text(certificate.map(Certificate::validity).unwrap_or_default()),
            ),
        ])
    }
}

impl Session {
    pub(super) fn tell_channel_opened(&self, id: ChannelId) {
        self.host.emit("channel.created", || {
            let connection = self.peer.name();
            headers_by(
                &self.user,
                [
                    ("name", text(format!("{connection} ({id})"))),
                    ("pid", text(self.channel_pid(id))),
                    ("connection", text(connection)),
                    ("number", FieldValue::I32(id.0.into())),
                    ("user", text(&self.user)),
                    ("vhost", text(self.vhost.name().as_bytes())),
                ],
            )
        });
    }

    pub(super) fn tell_channel_closed(&self, id: ChannelId) {
        self.host.emit("channel.closed", || {
            headers_by(
                &self.user,
                [
                    ("name", text(format!("{} ({id})", self.peer.name()))),
                    ("pid", text(self.channel_pid(id))),
                ],
            )
        });
    }

    /// A consumer came.
    pub(super) fn tell_consumer_created(
        &self,
        id: ChannelId,
        queue: &ShortString,
        consume: &basic::Consume,
        tag: &ShortString,
    ) {
        self.host.emit("consumer.created", || {
            let channel = self.channels.get(&id);
            let prefetch = channel.map_or(0, |channel| channel.prefetch);
            let about = self.about_consumer(id, queue, tag);
            let asked = [
                ("ack_required", FieldValue::Bool(!consume.no_ack)),
                ("exclusive", FieldValue::Bool(consume.exclusive)),
                ("prefetch_count", FieldValue::I32(prefetch.into())),
                ("arguments", FieldValue::Table(consume.arguments.clone())),
            ];
            headers_by(&self.user, about.into_iter().chain(asked))
        });
    }

    /// A consumer went.
    pub(super) fn tell_consumer_deleted(
        &self,
        id: ChannelId,
        queue: &ShortString,
        tag: &ShortString,
    ) {
        let about = || headers_by(&self.user, self.about_consumer(id, queue, tag));
        self.host.emit("consumer.deleted", about);
    }

    fn about_consumer(
        &self,
        id: ChannelId,
        queue: &ShortString,
        tag: &ShortString,
    ) -> [(&'static str, FieldValue); 4] {
        [
            ("consumer_tag", text(tag.as_bytes())),
            ("queue", text(queue.as_bytes())),
            ("vhost", text(self.vhost.name().as_bytes())),
            ("channel", text(format!("{} ({id})", self.peer.name()))),
        ]
    }

    /// As RabbitMQ would write it.
    fn channel_pid(&self, id: ChannelId) -> String {
        format!("<0.{}.{id}>", self.id.0)
    }
}
