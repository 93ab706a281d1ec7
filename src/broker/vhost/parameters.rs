//! Parameters of a vhost, its limits among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{VHost, VHostMetadata};
use crate::broker::definition::Definition;
use crate::broker::parameter::{Parameter, VHostLimits};

/// What an operator can set, beside policies. Its lock is a leaf.
#[derive(Debug, Default)]
pub(super) struct VHostSettings {
    pub(super) metadata: Arc<VHostMetadata>,
    /// By component and name. The limits are not among them.
    pub(super) parameters: BTreeMap<(String, String), Parameter>,
    pub(super) limits: VHostLimits,
}

impl VHostSettings {
    /// The parameters, with the limits in their place.
    fn parameters(&self) -> Vec<Parameter> {
        let limits = self.limits.to_json().map(limits_parameter);
        let mut parameters: Vec<Parameter> = self.parameters.values().cloned().collect();
        parameters.extend(limits);
        parameters
    }
}

impl VHost {
    /// How much there may be in it.
    pub fn limits(&self) -> VHostLimits {
        self.settings.read().limits
    }

    /// Limits what there may be in it. What is there already stays.
    pub fn set_limits(&self, limits: VHostLimits) {
        self.change_limits(|_| limits);
    }

    /// The same, for who changes one of them.
    pub fn change_limits(&self, change: impl FnOnce(VHostLimits) -> VHostLimits) {
        let topology = self.topology.write();
        let before = self.settings.read().limits;
        let limits = change(before);
        self.settings.write().limits = limits;
        match (limits.to_json(), before.to_json()) {
            (Some(value), _) => {
                topology.definitions().put(|| Definition::Parameter(limits_parameter(value)));
            }
            (None, Some(value)) => {
                topology.definitions().remove(|| Definition::Parameter(limits_parameter(value)));
            }
            (None, None) => {}
        }
    }

    /// All its parameters, the limits among them; policies are none here.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.settings.read().parameters()
    }

    /// Sets a parameter that nothing here acts on; `true` if it is new.
    pub fn set_parameter(&self, parameter: Parameter) -> bool {
        let topology = self.topology.write();
        topology.definitions().put(|| Definition::Parameter(parameter.clone()));
        let key = (parameter.component.clone(), parameter.name.clone());
        self.settings.write().parameters.insert(key, parameter).is_none()
    }

    /// Deletes such a parameter; `false` where there is none.
    pub fn delete_parameter(&self, component: &str, name: &str) -> bool {
        let topology = self.topology.write();
        let key = (component.to_owned(), name.to_owned());
        let Some(deleted) = self.settings.write().parameters.remove(&key) else { return false };
        topology.definitions().remove(|| Definition::Parameter(deleted));
        true
    }

    /// Puts back what was written down; a parameter that can't be read is kept as it is.
    pub(super) fn restore_parameters(&self, parameters: Vec<Parameter>) {
        let mut settings = self.settings.write();
        for parameter in parameters {
            let is_limits =
                (parameter.component.as_str(), parameter.name.as_str()) == Parameter::VHOST_LIMITS;
            match VHostLimits::from_json(&parameter.value) {
                Ok(limits) if is_limits => settings.limits = limits,
                _ => {
                    let key = (parameter.component.clone(), parameter.name.clone());
                    settings.parameters.insert(key, parameter);
                }
            }
        }
    }
}

fn limits_parameter(value: serde_json::Value) -> Parameter {
    let (component, name) = Parameter::VHOST_LIMITS;
    Parameter { component: component.to_owned(), name: name.to_owned(), value }
}
