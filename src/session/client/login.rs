//! A client on its way in: who it is, and which vhost it wants.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::connection;
use amqp_codec::{ChannelId, ShortString};

use super::{Client, Session};
use crate::protocol::connection::Failure;
use crate::protocol::request::{Login, Mechanism};
use crate::session::batch::PublishBatch;
use crate::session::one_line::OneLine;
use crate::session::rights::Rights;
use crate::session::settle::SettleBatch;
use crate::session::stats::Tally;

impl Client {
    pub(super) fn login(&mut self, login: Login, now: Instant) {
        let Login { mechanism, user, password, client_properties } = login;
        let checked = match mechanism {
            Mechanism::Anonymous => Ok(self.host.anonymous_user.clone()),
            _ => {
                let address = self.peer.address.ip();
                let authenticated = self.host.authenticate(&user, &password, address, now);
                authenticated.map(|user| user.name.clone())
            }
        };
        match checked {
            Ok(user) => {
                self.user = user;
                self.host.churn.logins_succeeded.add(1);
                self.introduce(mechanism.name(), client_properties);
                self.connection.login_accepted();
            }
            Err(reason) => {
                self.host.churn.logins_failed.add(1);
                let mechanism = mechanism.name();
                // The name is anybody's text: it is not to end the line.
                let user = OneLine(&user);
                tracing::warn!(
                    connection = self.id.0,
                    peer = %self.peer.address,
                    "{mechanism} login refused: user '{user}'{reason}"
                );
                self.connection.login_refused(mechanism, now);
            }
        }
    }

    pub(super) fn open_vhost(&mut self, name: &ShortString, now: Instant) {
        let vhost = match self.host.admit(self.id, &self.user, name) {
            Ok(vhost) => vhost,
            Err(exception) => {
                let ids = (connection::Open::CLASS_ID, connection::Open::METHOD_ID);
                let exception = exception.blame(ids);
                let failure = Failure { channel: ChannelId::CONNECTION, exception };
                return self.fail(&failure, now);
            }
        };
        self.session = Some(Session {
            host: Arc::clone(&self.host),
            id: self.id,
            user: self.user.clone(),
            vhost,
            rights: Rights::default(),
            outbox: Arc::clone(&self.outbox),
            capabilities: self.connection.capabilities(),
            channels: HashMap::default(),
            exclusive_queues: Vec::new(),
            batch: PublishBatch::default(),
            settlements: SettleBatch::default(),
            tally: Tally::default(),
            starved: Vec::new(),
            last_serial: 0,
            to_confirm: Vec::new(),
            arrived: Vec::new().into_iter(),
            failures: Vec::new(),
            published: false,
            unblocked: false,
            must_last: false,
            committed: false,
            get_later: None,
            try_again: false,
            announced: None,
            taken: Vec::new(),
        });
        self.count_opened();
        self.connection.opened();
        tracing::info!(
            connection = self.id.0,
            peer = %self.peer.address,
            "user '{}' authenticated and granted access to vhost '{name}'",
            OneLine(&self.user)
        );
    }
}
