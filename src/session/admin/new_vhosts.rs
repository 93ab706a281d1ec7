//! What new vhosts begin with, where an operator said so: limits, operator policies, users.

use super::{AdminError, NewPassword, NewUser};
use crate::auth::{Permissions, Tags};
use crate::broker::parameter::VHostLimits;
use crate::broker::policy::Policy;
use crate::broker::vhost::VHost;
use crate::config::Secret;
use crate::pattern::Pattern;
use crate::session::host::Host;

/// What vhosts begin with whose names match. What is there already stays as it is.
#[derive(Debug, Default)]
pub struct NewVHosts {
    /// Their limits; of several the first counts.
    pub limits: Vec<(Pattern, VHostLimits)>,
    /// Their operator policies.
    pub operator_policies: Vec<(Pattern, Policy)>,
    /// Who may use them.
    pub users: Vec<(Pattern, InitialUser)>,
}

/// A user who may use new vhosts.
#[derive(Debug)]
pub struct InitialUser {
    /// The name.
    pub name: String,
    /// The password, where there was no such user before.
    pub password: Option<Secret>,
    /// The tags, where there was no such user before.
    pub tags: Tags,
    /// What the user may do in the vhost.
    pub permissions: Permissions,
}

impl Host {
    /// What a vhost has before anybody can find it.
    pub(super) fn begin_vhost(&self, vhost: &VHost) -> Result<(), AdminError> {
        let name = vhost.name().as_bytes();
        let limits = self.new_vhosts.limits.iter().find(|(pattern, _)| pattern.matches(name));
        if let Some((_, limits)) = limits {
            vhost.change_limits(|_| *limits);
        }
        let policies = self.new_vhosts.operator_policies.iter();
        let policies = policies.filter(|(pattern, _)| pattern.matches(name));
        vhost.begin_with_operator_policies(policies.map(|(_, policy)| policy.clone()))?;
        Ok(())
    }

    /// Opens a vhost that anybody can find to its users. Those that are there already keep password and tags.
    pub(super) fn open_new_vhost(&self, vhost: &str) -> Result<(), AdminError> {
        let users = self.new_vhosts.users.iter();
        for (_, user) in users.filter(|(pattern, _)| pattern.matches(vhost.as_bytes())) {
            let InitialUser { name, password, tags, permissions } = user;
            if self.user(name).is_none() {
                let plain = |it: &Secret| NewPassword::Plain(it.expose().as_bytes().to_vec());
                let password = password.as_ref().map_or(NewPassword::None, plain);
                let user = NewUser { name: name.clone(), password, tags: tags.clone() };
                self.acting_by_itself().put_user(user)?;
            }
            self.acting_by_itself().set_permissions(name, vhost, permissions.clone())?;
        }
        Ok(())
    }
}
