//! Users, permissions, vhosts and definitions of a running broker, for who embeds it.

use serde_json::Value;
use tokio::sync::oneshot;

use super::Broker;
use crate::auth::{Permissions, Tags, TopicPermissions};
use crate::broker::vhost::VHostMetadata;
use crate::net::now;
use crate::session::{AdminError, Definitions, ImportError, NewPassword, NewUser};

/// Changes are in force when a call returns; [`Broker::lasting`] tells when they will outlive the process.
/// For all that administrators can do see [`Host`](crate::session::Host), which [`Broker::host`] gives.
impl Broker {
    /// Makes a user, or changes password and tags of the one with this name.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let broker = leveret::Broker::builder().start().await?;
    /// broker.put_vhost("orders")?;
    /// broker.put_user("shop", "secret", &["monitoring"])?;
    /// // May declare and bind what begins with `shop.`, and read everything.
    /// broker.set_permissions("shop", "orders", ["^shop\\.", "^shop\\.", ".*"])?;
    /// // Of what goes through `shop.events`, only its own.
    /// broker.set_topic_permissions("shop", "orders", "shop.events", ["^{username}\\.", ".*"])?;
    /// assert!(broker.delete_user("shop"));
    /// assert!(broker.delete_vhost("orders")?);
    /// # broker.stop().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`AdminError::EmptyName`].
    pub fn put_user(&self, name: &str, password: &str, tags: &[&str]) -> Result<(), AdminError> {
        let password = NewPassword::Plain(password.as_bytes().to_vec());
        let tags = tags.iter().copied().collect::<Tags>();
        self.host
            .acting_by_itself()
            .put_user(NewUser { name: name.to_owned(), password, tags })
            .map(|_| ())
    }

    /// Deletes a user, and closes the user's connections; `false` where there is none of this name.
    pub fn delete_user(&self, name: &str) -> bool {
        self.host.acting_by_itself().delete_user(name)
    }

    /// Says what a user may configure, write and read in a vhost: a pattern each, which has to match
    /// somewhere in the name of the exchange or queue.
    ///
    /// # Errors
    /// [`AdminError`], for an unknown user or vhost and for a pattern that is none.
    pub fn set_permissions(
        &self,
        user: &str,
        vhost: &str,
        [configure, write, read]: [&str; 3],
    ) -> Result<(), AdminError> {
        let permissions = Permissions::new(configure, write, read)?;
        self.host.acting_by_itself().set_permissions(user, vhost, permissions).map(|_| ())
    }

    /// Closes a vhost to a user; `false` where it was.
    pub fn clear_permissions(&self, user: &str, vhost: &str) -> bool {
        self.host.acting_by_itself().clear_permissions(user, vhost)
    }

    /// Says with which routing keys a user may publish to a topic exchange, and bind to it.
    ///
    /// # Errors
    /// As [`Broker::set_permissions`].
    pub fn set_topic_permissions(
        &self,
        user: &str,
        vhost: &str,
        exchange: &str,
        [write, read]: [&str; 2],
    ) -> Result<(), AdminError> {
        let permissions = TopicPermissions::new(write, read)?;
        self.host
            .acting_by_itself()
            .set_topic_permissions(user, vhost, exchange, permissions)
            .map(|_| ())
    }

    /// Makes a vhost, if there is none of this name. Nobody may use a new one before
    /// [`Broker::set_permissions`].
    ///
    /// # Errors
    /// [`AdminError`], for a name that can't be.
    pub fn put_vhost(&self, name: &str) -> Result<(), AdminError> {
        match self.host.existing_vhost(name) {
            Ok(_) => Ok(()),
            Err(_) => {
                self.host.acting_by_itself().put_vhost(name, VHostMetadata::default()).map(|_| ())
            }
        }
    }

    /// Deletes a vhost with everything in it, and closes the connections to it; `false` where there is none
    /// of this name.
    ///
    /// # Errors
    /// [`AdminError::ProtectedVHost`].
    pub fn delete_vhost(&self, name: &str) -> Result<bool, AdminError> {
        self.host.acting_by_itself().delete_vhost(name, now())
    }

    /// All that is configured, as RabbitMQ's definition files have it.
    pub fn export_definitions(&self) -> Value {
        self.host.export_definitions().into()
    }

    /// Puts definitions in force, as RabbitMQ does with such a file: nothing is deleted.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn import_definitions(&self, definitions: &Value) -> Result<(), ImportError> {
        self.host
            .acting_by_itself()
            .import_definitions(Definitions::read(definitions)?, now())
            .map(|_| ())
    }

    /// Returns once everything that was changed before will outlive the process, as far as the broker's
    /// durability goes. Where its store has failed: never.
    pub async fn lasting(&self) {
        let (told, tell) = oneshot::channel();
        self.host.when_durable(move || {
            // Whoever waited may have gone.
            let _ = told.send(());
        });
        if tell.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
