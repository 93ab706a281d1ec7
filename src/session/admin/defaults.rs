//! What an empty broker begins with.

use serde_json::Value;

use super::{AdminError, NewPassword, NewUser};
use crate::auth::{Permissions, Tags};
use crate::broker::parameter::GlobalParameter;
use crate::broker::vhost::VHostMetadata;
use crate::session::host::Host;

/// The parameter that tells a store which was in use before from an empty one. RabbitMQ has it, too, from
/// its first start on.
const CLUSTER_ID: &str = "internal_cluster_id";

/// What an empty broker begins with: a user who may do everything, and a vhost.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: NewPassword,
    /// The vhost.
    pub vhost: String,
}

impl Defaults {
    /// With these.
    pub fn new(user: &str, password: &str, vhost: &str) -> Self {
        let password = NewPassword::Plain(password.as_bytes().to_vec());
        Self { user: user.to_owned(), password, vhost: vhost.to_owned() }
    }
}

impl Host {
    /// Makes a user and a vhost where there never were any. What was there once and was deleted is not made
    /// again; what definitions brought is left as it is: the user is made if they brought none, and the vhost
    /// if they brought none.
    ///
    /// # Errors
    /// [`AdminError`], for names that can't be.
    pub fn make_defaults(&self, defaults: Defaults) -> Result<(), AdminError> {
        if self.global_parameter(CLUSTER_ID).is_some() {
            return Ok(());
        }
        let _unit = self.store.unit();
        if self.vhosts().is_empty() {
            self.put_vhost(&defaults.vhost, VHostMetadata::default())?;
        }
        if self.users().is_empty() {
            let Defaults { user: name, password, .. } = defaults;
            let tags = Tags::from_iter([Tags::ADMINISTRATOR]);
            self.put_user(NewUser { name: name.clone(), password, tags })?;
            for vhost in self.vhosts() {
                self.set_permissions(&name, &vhost.name().to_str_lossy(), Permissions::all())?;
            }
        }
        let id = self.unique_name("rabbitmq-cluster-id-").to_string();
        let value = Value::String(id);
        self.put_global_parameter(GlobalParameter { name: CLUSTER_ID.to_owned(), value });
        Ok(())
    }
}
