//! The handshake, with everything in it adjustable.

use super::{FieldTable, FieldValue, Method, RawClient, connection, short, table};

/// What a client says on its way in.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    pub(crate) client_properties: FieldTable,
    pub(crate) mechanism: &'static str,
    pub(crate) response: Vec<u8>,
    /// `None` repeats what the broker proposes, with heartbeats off.
    pub(crate) tune_ok: Option<connection::TuneOk>,
    pub(crate) vhost: &'static str,
}

impl Default for Handshake {
    /// What most client libraries do: PLAIN as guest, with the capabilities they all announce.
    fn default() -> Self {
        Self {
            client_properties: capabilities(&[
                "authentication_failure_close",
                "consumer_cancel_notify",
                "connection.blocked",
                "basic.nack",
                "publisher_confirms",
                "exchange_exchange_bindings",
            ]),
            mechanism: "PLAIN",
            response: b"\0guest\0guest".to_vec(),
            tune_ok: None,
            vhost: "/",
        }
    }
}

impl Handshake {
    /// With heartbeats every so many seconds.
    pub(crate) fn with_heartbeat(heartbeat: u16) -> Self {
        let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat };
        Self { tune_ok: Some(tune_ok), ..Self::default() }
    }

    pub(crate) fn start_ok(&self) -> connection::StartOk {
        connection::StartOk {
            client_properties: self.client_properties.clone(),
            mechanism: short(self.mechanism),
            response: self.response.clone().into(),
            locale: short("en_US"),
        }
    }

    pub(crate) fn open(&self) -> connection::Open {
        connection::Open { virtual_host: short(self.vhost) }
    }
}

/// Client properties with these capabilities.
pub(crate) fn capabilities(names: &[&str]) -> FieldTable {
    let capabilities = table(names.iter().map(|name| (*name, FieldValue::Bool(true))));
    table([("capabilities", FieldValue::Table(capabilities))])
}

impl RawClient {
    /// The protocol header; the broker's answer to it.
    pub(crate) async fn start(&mut self) -> connection::Start {
        self.send_bytes(b"AMQP\x00\x00\x09\x01").await;
        match self.receive_method(0).await {
            Method::ConnectionStart(start) => start,
            other => panic!("expected connection.start, got {other:?}"),
        }
    }

    /// As far as the broker's limits.
    pub(crate) async fn log_in(&mut self, handshake: &Handshake) -> connection::Tune {
        self.start().await;
        self.send(0, handshake.start_ok()).await;
        match self.receive_method(0).await {
            Method::ConnectionTune(tune) => tune,
            other => panic!("expected connection.tune, got {other:?}"),
        }
    }

    /// All of it.
    pub(crate) async fn shake_hands(&mut self, handshake: &Handshake) {
        let connection::Tune { channel_max, frame_max, .. } = self.log_in(handshake).await;
        let proposed = connection::TuneOk { channel_max, frame_max, heartbeat: 0 };
        self.send(0, handshake.tune_ok.clone().unwrap_or(proposed)).await;
        self.send(0, handshake.open()).await;
        self.expect(0, connection::OpenOk {}).await;
    }
}
