//! Runtime parameters, of vhosts and of the whole broker.

use std::time::Instant;

use amqp_codec::ShortString;

use super::{Acting, AdminError};
use crate::auth::Put;
use crate::broker::definition::Definition;
use crate::broker::parameter::{GlobalParameter, Parameter, ParameterError, VHostLimits};
use crate::broker::policy::Policy;
use crate::broker::vhost::VHost;
use crate::session::host::Host;
use crate::session::one_line::OneLine;

/// The components that policies are, beside being policies.
const POLICY: &str = "policy";
const OPERATOR_POLICY: &str = "operator_policy";

impl Host {
    /// All parameters of a vhost: its limits, operator policies, and those of plugins. Policies have a list
    /// of their own.
    pub fn parameters(&self, vhost: &VHost) -> Vec<Parameter> {
        let operator_policies = vhost.operator_policies();
        let operator_policies = operator_policies.iter().map(|policy| Parameter {
            component: OPERATOR_POLICY.to_owned(),
            name: policy.name().to_owned(),
            value: policy.to_parameter(),
        });
        operator_policies.chain(vhost.parameters()).collect()
    }

    /// The parameters of the whole broker, by name.
    pub fn global_parameters(&self) -> Vec<GlobalParameter> {
        let parameters = self.global_parameters.lock();
        let parameters = parameters.iter();
        parameters
            .map(|(name, value)| GlobalParameter { name: name.clone(), value: value.clone() })
            .collect()
    }

    /// One of them.
    pub fn global_parameter(&self, name: &str) -> Option<GlobalParameter> {
        let value = self.global_parameters.lock().get(name).cloned()?;
        Some(GlobalParameter { name: name.to_owned(), value })
    }
}

impl Acting<'_> {
    /// Sets a parameter of a vhost, whatever it configures: policies and limits are in force when this
    /// returns.
    ///
    /// # Errors
    /// [`ParameterError`] for an unknown component and for a wrong value,
    /// [`PolicyError`](crate::broker::policy::PolicyError) for a policy that is none,
    /// [`AdminError::UnknownVHost`].
    pub fn put_parameter(
        &self,
        vhost: &str,
        parameter: Parameter,
        now: Instant,
    ) -> Result<Put, AdminError> {
        let vhost = self.existing_vhost(vhost)?;
        let Parameter { component, name, value } = &parameter;
        if (component.as_str(), name.as_str()) == Parameter::VHOST_LIMITS {
            let before = vhost.limits().to_json();
            let limits = VHostLimits::from_json(value)?;
            vhost.set_limits(limits);
            self.tell_vhost_limits(vhost.name(), limits);
            return Ok(Put::over(before.is_some()));
        }
        match component.as_str() {
            POLICY => {
                let before = vhost.policies().iter().any(|policy| policy.name() == name);
                self.set_policy(&vhost, Policy::from_parameter(name, value)?, now);
                Ok(Put::over(before))
            }
            OPERATOR_POLICY => {
                let before = vhost.operator_policies().iter().any(|policy| policy.name() == name);
                self.set_operator_policy(&vhost, Policy::from_parameter(name, value)?, now)?;
                Ok(Put::over(before))
            }
            of_plugin if Parameter::OF_PLUGINS.contains(&of_plugin) => {
                tracing::warn!(
                    "parameter '{}' of {component} is kept, and not acted on by this version of \
                     leveret",
                    OneLine(&name)
                );
                self.tell_parameter(Some(vhost.name()), (component, name), Some(value));
                let is_new = vhost.set_parameter(parameter);
                Ok(Put::over(!is_new))
            }
            unknown => Err(ParameterError::UnknownComponent(unknown.to_owned()).into()),
        }
    }

    /// Deletes a parameter of a vhost; `false` where there is none.
    ///
    /// # Errors
    /// [`AdminError::UnknownVHost`].
    pub fn delete_parameter(
        &self,
        vhost: &str,
        (component, name): (&str, &str),
        now: Instant,
    ) -> Result<bool, AdminError> {
        let vhost = self.existing_vhost(vhost)?;
        if (component, name) == Parameter::VHOST_LIMITS {
            let before = vhost.limits();
            let is_there = before != VHostLimits::default();
            vhost.set_limits(VHostLimits::default());
            if is_there {
                self.tell_vhost_limits(vhost.name(), VHostLimits::default());
            }
            return Ok(is_there);
        }
        Ok(match component {
            POLICY => self.delete_policy(&vhost, name, now),
            OPERATOR_POLICY => self.delete_operator_policy(&vhost, name, now),
            _ => {
                let deleted = vhost.delete_parameter(component, name);
                if deleted {
                    self.tell_parameter(Some(vhost.name()), (component, name), None);
                }
                deleted
            }
        })
    }

    /// Sets a parameter of the whole broker.
    pub fn put_global_parameter(&self, parameter: GlobalParameter) -> Put {
        let mut parameters = self.global_parameters.lock();
        let definition = Definition::GlobalParameter(parameter.clone());
        let no_vhost = ShortString::default();
        self.store.put(definition.key(&no_vhost), definition.value(&no_vhost));
        self.tell_global_parameter(&parameter.name, Some(&parameter.value));
        Put::over(parameters.insert(parameter.name, parameter.value).is_some())
    }

    /// Deletes a parameter of the whole broker; `false` where there is none.
    pub fn delete_global_parameter(&self, name: &str) -> bool {
        let mut parameters = self.global_parameters.lock();
        let Some(value) = parameters.remove(name) else { return false };
        let definition = Definition::GlobalParameter(GlobalParameter { name: name.into(), value });
        self.store.remove(definition.key(&ShortString::default()));
        self.tell_global_parameter(name, None);
        true
    }
}
