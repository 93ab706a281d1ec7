//! A queue as the vhost shares it: what never changes, beside the lock around what does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use amqp_codec::{FieldTable, FieldValue, ShortString};
use parking_lot::Mutex;

use super::effect::Effects;
use super::error::{BrokerError, Resource, ResourceKind};
use super::policy::{AppliedPolicies, EffectiveDefinition, QueueKind};
use super::queue::Queue;
use super::queue_settings::{QueueDefaults, QueueSettings};

/// A connection, as far as the broker cares: the owner of exclusive queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// Its number, as RabbitMQ would write it.
    pub fn pid(self) -> String {
        format!("<0.{}.0>", self.0)
    }
}

/// Tells apart two queues that had the same name one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct QueueId(pub u64);

/// What a queue is declared with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueueProperties {
    /// It survives a restart.
    pub durable: bool,
    /// It goes when its last consumer leaves.
    pub auto_delete: bool,
    /// The connection that has it for itself, and takes it along when it closes.
    pub owner: Option<ConnectionId>,
    /// The arguments, as they came.
    pub arguments: FieldTable,
}

/// A declared queue.
#[derive(Debug)]
pub struct QueueCell {
    /// Its number.
    pub id: QueueId,
    /// Its name.
    pub name: ShortString,
    /// The vhost it lives in.
    pub vhost: ShortString,
    /// What it was declared with.
    pub properties: QueueProperties,
    /// The policies that are in force for it. A leaf: nothing else is locked meanwhile.
    pub policies: Mutex<AppliedPolicies>,
    /// Its messages and consumers. No code holds two of these locks at once, nor one across an await.
    pub state: Mutex<Queue>,
}

/// Hands out queue numbers, to all vhosts of a broker. Messages are stored under them, so no two queues
/// have the same one, not even in different lives of the broker.
#[derive(Debug, Default)]
pub struct QueueIds(AtomicU64);

impl QueueIds {
    /// Begins with this one.
    pub fn starting_at(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }

    pub(super) fn next(&self) -> QueueId {
        QueueId(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// This one is in use: the next ones are greater.
    pub(super) fn skip(&self, used: QueueId) {
        self.0.fetch_max(used.0.saturating_add(1), Ordering::Relaxed);
    }
}

impl QueueProperties {
    /// Checks what a new queue is declared with.
    ///
    /// # Errors
    /// 406, for an argument or a property that queues of its type can't have.
    pub fn check(&self, resource: &Resource) -> Result<(), BrokerError> {
        super::queue_arguments::validate(resource, self)
    }

    /// Its type.
    pub fn kind(&self) -> QueueKind {
        QueueKind::of(&self.arguments)
    }

    /// Whether a queue with these is there again after a restart: one that belongs to a connection ends
    /// with it.
    pub(super) fn is_written_down(&self) -> bool {
        self.durable && self.owner.is_none()
    }

    /// Makes it one of this type, if it names none and can be one.
    pub(super) fn set_default_type(&mut self, kind: QueueKind) {
        let can_be = self.durable && self.owner.is_none() && !self.auto_delete;
        if kind == QueueKind::Quorum && can_be && !self.arguments.contains("x-queue-type") {
            let kind = FieldValue::LongString("quorum".into());
            self.arguments.insert(ShortString::from_static("x-queue-type"), kind);
        }
    }
}

impl QueueCell {
    /// Its type, as policies tell them apart.
    pub fn kind(&self) -> QueueKind {
        self.properties.kind()
    }

    /// Whether it is there again after a restart.
    pub(super) fn is_written_down(&self) -> bool {
        self.properties.is_written_down()
    }

    /// What is in force for it, as an administrator is shown it.
    pub fn effective_definition(&self) -> EffectiveDefinition {
        self.policies.lock().effective_definition()
    }

    /// Puts other policies in force; the same ones change nothing.
    pub fn reconfigure(
        &self,
        policies: AppliedPolicies,
        defaults: &QueueDefaults,
        now: Instant,
        out: &mut Effects,
    ) {
        let settings = {
            let mut current = self.policies.lock();
            if current.is_same(&policies) {
                return;
            }
            *current = policies;
            QueueSettings::new(&current.sources(&self.properties.arguments), defaults)
        };
        self.state.lock().reconfigure(Arc::new(settings), now, out);
    }

    /// How error texts name it.
    pub fn resource(&self) -> Resource {
        Resource { kind: ResourceKind::Queue, name: self.name.clone(), vhost: self.vhost.clone() }
    }

    /// Lets in only the owner of an exclusive queue.
    ///
    /// # Errors
    /// 405, for everybody else.
    pub fn check_access(&self, connection: ConnectionId) -> Result<(), BrokerError> {
        match self.properties.owner {
            Some(owner) if owner != connection => Err(BrokerError::Locked(self.resource())),
            _ => Ok(()),
        }
    }
}
