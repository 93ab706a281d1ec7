//! What an operator said about new vhosts, as the broker takes it.

use std::fmt::Display;

use amqp_codec::ShortString;

use super::StartError;
use crate::auth::Permissions;
use crate::broker::parameter::VHostLimits;
use crate::broker::policy::{ApplyTo, Policy, PolicyError};
use crate::config::{Config, DefaultOperatorPolicy, DefaultVHostLimits, DefaultVHostUser};
use crate::pattern::Pattern;
use crate::session::{InitialUser, NewVHosts};

/// Reads it: patterns that are none, and limits that can't be, keep the broker from starting.
pub(super) fn of(config: &Config) -> Result<NewVHosts, StartError> {
    let limits = config.vhost_limits.iter().map(|(id, limits)| {
        let DefaultVHostLimits { pattern, max_connections, max_queues } = limits;
        let limits = VHostLimits { max_connections: *max_connections, max_queues: *max_queues };
        Ok((compiled(pattern, || format!("default_limits.vhosts.{id}.pattern"))?, limits))
    });
    let policies = config.vhost_operator_policies.iter().map(|(name, policy)| {
        let key = |part: &str| format!("default_policies.operator.{name}.{part}");
        let pattern = compiled(&policy.vhost_pattern, || key("vhost_pattern"))?;
        let policy = operator_policy(name, policy).map_err(|error| refused(key("*"), &error))?;
        Ok((pattern, policy))
    });
    let users = config.vhost_users.iter().map(|(name, user)| {
        let key = |part: &str| format!("default_users.{name}.{part}");
        let pattern = compiled(&user.vhost_pattern, || key("vhost_pattern"))?;
        let DefaultVHostUser { password, tags, configure, write, read, .. } = user;
        let permissions =
            Permissions::new(configure, write, read).map_err(|error| refused(key("*"), &error))?;
        if !(1..=ShortString::LEN_MAX).contains(&name.len()) {
            let reason = format!("a user's name has 1 to {} bytes", ShortString::LEN_MAX);
            return Err(refused(key("*"), &reason));
        }
        let tags = tags.iter().map(String::as_str).collect();
        let (name, password) = (name.clone(), password.clone());
        Ok((pattern, InitialUser { name, password, tags, permissions }))
    });
    Ok(NewVHosts {
        limits: limits.collect::<Result<_, StartError>>()?,
        operator_policies: policies.collect::<Result<_, StartError>>()?,
        users: users.collect::<Result<_, StartError>>()?,
    })
}

fn compiled(pattern: &str, key: impl FnOnce() -> String) -> Result<Pattern, StartError> {
    Pattern::new(pattern).map_err(|error| refused(key(), &error))
}

fn refused(key: String, reason: &dyn Display) -> StartError {
    StartError::NewVHosts { key, reason: reason.to_string() }
}

fn operator_policy(name: &str, policy: &DefaultOperatorPolicy) -> Result<Policy, PolicyError> {
    let DefaultOperatorPolicy { queue_pattern, apply_to, definition, .. } = policy;
    let apply_to = match apply_to.as_str() {
        "" => ApplyTo::All,
        name => ApplyTo::parse(name)?,
    };
    let definition = definition.iter().map(|(key, limit)| (key, *limit));
    let policy = Policy::new(name, queue_pattern, definition)?.with_apply_to(apply_to);
    policy.check_operator()?;
    Ok(policy)
}
