//! A message between two of its deaths.

use amqp_codec::{FieldTable, FieldValue};

use crate::ledger::MessageId;

/// A message, and how often it has died before: what is dead-lettered lives on in another queue, and may
/// come back to the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) id: MessageId,
    pub(crate) deaths: u64,
}

impl Life {
    /// As it was published.
    pub(crate) fn first(id: MessageId) -> Self {
        Self { id, deaths: 0 }
    }

    pub(crate) fn before(self) -> Self {
        Self { deaths: self.deaths - 1, ..self }
    }
}

/// One entry of `x-death`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) queue: String,
    pub(crate) reason: String,
    count: u64,
}

/// What `x-death` says, the last death first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Deaths(pub(crate) Vec<Death>);

impl Deaths {
    pub(crate) fn of(headers: Option<&FieldTable>) -> Self {
        let Some(FieldValue::Array(entries)) = headers.and_then(|it| it.get("x-death")) else {
            return Self::default();
        };
        let death = |entry: &FieldValue| {
            let table = entry.as_table().expect("a death is a table");
            let text = |name| {
                let value = table.get(name).and_then(FieldValue::as_str);
                value.expect("a death has a place and a reason").to_owned()
            };
            let count = table.get("count").and_then(FieldValue::as_integer).expect("a count");
            let count = u64::try_from(count).expect("counts are positive");
            Death { queue: text("queue"), reason: text("reason"), count }
        };
        Self(entries.iter().map(death).collect())
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|death| death.count).sum()
    }

    pub(crate) fn last(&self) -> Option<&Death> {
        self.0.first()
    }

    /// What went round without anybody rejecting it may not come back to where it was.
    pub(crate) fn may_enter(&self, queue: &str) -> bool {
        for death in &self.0 {
            if death.reason == "rejected" {
                return true;
            }
            if death.queue == queue {
                return false;
            }
        }
        true
    }
}
