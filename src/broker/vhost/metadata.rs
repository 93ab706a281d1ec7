//! What is known of a vhost beside what is in it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::VHost;
use crate::broker::definition::Definition;
use crate::broker::policy::QueueKind;

/// What is known of a vhost beside what is in it, in the words of RabbitMQ's API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VHostMetadata {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The type of queues that are declared here without one, where that is not the broker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<QueueKind>,
    /// Whether it can't be deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub protected_from_deletion: bool,
    /// Whether messages are copied to `amq.rabbitmq.trace`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tracing: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl VHost {
    /// What is known of it.
    pub fn metadata(&self) -> Arc<VHostMetadata> {
        Arc::clone(&self.settings.read().metadata)
    }

    /// Puts something else in the place of what is known of it. Queues that are there stay as they are.
    pub fn set_metadata(&self, metadata: VHostMetadata) {
        let topology = self.topology.write();
        topology.definitions().put(|| Definition::VHost(metadata.clone()));
        self.take_up(metadata);
    }

    /// What is known of it, without writing it down.
    pub(super) fn take_up(&self, metadata: VHostMetadata) {
        let mut settings = self.settings.write();
        self.traced.store(metadata.tracing, Ordering::Relaxed);
        settings.metadata = Arc::new(metadata);
    }

    /// Whether messages are copied to `amq.rabbitmq.trace`.
    pub fn is_traced(&self) -> bool {
        self.traced.load(Ordering::Relaxed)
    }

    /// The type of queues that are declared here without one.
    pub(super) fn default_queue_type(&self) -> QueueKind {
        let own = self.settings.read().metadata.default_queue_type;
        own.unwrap_or(self.options.default_queue_type)
    }
}
