//! From the login to an open vhost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use amqp_codec::method::connection;
use amqp_codec::{ChannelId, ShortString};

use super::{Client, Session};
use crate::broker::effect::{Handed, Wakeups};
use crate::config::CertificateLogin;
use crate::protocol::connection::Failure;
use crate::protocol::request::{Login, Mechanism};
use crate::session::arrivals::Arrival;
use crate::session::batch::PublishBatch;
use crate::session::rights::Rights;
use crate::session::settle::SettleBatch;
use crate::session::stats::Tally;

impl Client {
    /// It was let in by [`Arrivals::admit`](crate::session::Arrivals::admit), which is to know when it has logged in.
    #[must_use]
    pub fn arrived(mut self, arrival: Arc<Arrival>) -> Self {
        self.arrival = Some(arrival);
        self
    }

    /// It said who it is.
    pub(super) fn login(&mut self, login: Login, now: Instant) {
        let Login { mechanism, user, password, client_properties } = login;
        self.log_introduction(&client_properties);
        let (user, checked) = match mechanism {
            Mechanism::Anonymous => {
                let user = self.host.anonymous_user.clone();
                let checked = self.host.trust(&user, self.peer.address.ip());
                (user, checked.map_err(|reason| reason.to_string()))
            }
            Mechanism::External => self.certificate_login(),
            Mechanism::Plain | Mechanism::AmqPlain => {
                let address = self.peer.address.ip();
                let checked = self.host.authenticate(&user, &password, address, now);
                (user, checked.map(|_| ()).map_err(|reason| reason.to_string()))
            }
        };
        let mechanism = mechanism.name();
        match checked {
            Ok(()) => {
                self.tell_login(&user, mechanism, None);
                self.user = user;
                self.host.churn.logins_succeeded.add(1);
                self.introduce(mechanism, client_properties);
                self.connection.login_accepted();
            }
            Err(reason) => {
                self.host.churn.logins_failed.add(1);
                self.log_refused(mechanism, &user, &reason, now);
                self.tell_login(&user, mechanism, Some(&reason));
                self.connection.login_refused(mechanism, now);
            }
        }
    }

    /// Who the client is by its certificate, and whether there is such a user. The handshake has verified
    /// the certificate.
    fn certificate_login(&self) -> (String, Result<(), String>) {
        let Some(certificate) = self.peer.certificate() else {
            return (String::new(), Err(" - there is no certificate".to_owned()));
        };
        let (what, name) = match self.host.certificate_login {
            CertificateLogin::DistinguishedName => ("subject", Some(&certificate.subject)),
            CertificateLogin::CommonName => ("common name", certificate.common_name.as_ref()),
            CertificateLogin::SubjectAlternativeName => {
                ("subject alternative name", certificate.alternative_names.first())
            }
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return (String::new(), Err(format!(" - its certificate has no {what}")));
        };
        let checked = self.host.trust(name, self.peer.address.ip());
        (name.clone(), checked.map_err(|reason| reason.to_string()))
    }

    /// It named its vhost.
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
            peer: self.peer.clone(),
            vhost,
            rights: Rights::default(),
            outbox: Arc::clone(&self.outbox),
            capabilities: self.connection.capabilities(),
            channels: HashMap::default(),
            exclusive_queues: Vec::new(),
            batch: PublishBatch::default(),
            settlements: SettleBatch::default(),
            tally: Tally::default(),
            handed: Handed::default(),
            wakeups: Wakeups::default(),
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
        if let Some(arrival) = &self.arrival {
            arrival.logged_in();
        }
        self.count_opened();
        self.connection.opened();
        self.log_opened();
        self.tell_opened();
    }
}
