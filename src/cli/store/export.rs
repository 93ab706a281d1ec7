//! `leveret store export`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use amqp_codec::ShortString;
use serde::Serialize;
use serde_json::{Map, Value};

use super::StoreCommandError;
use super::message::{MessageLine, Standing};
use super::queues::Stored;
use crate::broker::json::name;
use crate::broker::queue_cell::QueueId;
use crate::store::offline::{OfflineMessage, OfflineStore};

/// What is to be printed.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selection {
    /// Print definitions only
    #[arg(long, conflicts_with_all = ["messages", "queue"])]
    definitions: bool,
    /// Print messages only
    #[arg(long)]
    messages: bool,
    /// Print the messages of queues with this name only
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Print what is in this vhost only
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
}

#[derive(Serialize)]
struct DefinitionLine {
    kind: &'static str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Selection {
    fn takes_vhost(&self, vhost: &ShortString) -> bool {
        self.vhost.as_ref().is_none_or(|wanted| wanted.as_bytes() == vhost.as_bytes())
    }

    fn takes_queue(&self, vhost: &ShortString, queue: &ShortString) -> bool {
        self.takes_vhost(vhost)
            && self.queue.as_ref().is_none_or(|wanted| wanted.as_bytes() == queue.as_bytes())
    }

    /// Whether messages are wanted that are in no queue that is defined.
    fn takes_undefined(&self) -> bool {
        self.vhost.is_none() && self.queue.is_none()
    }
}

/// Prints what was selected; whether all of it could be read.
pub(super) fn run(
    dir: &Path,
    selection: &Selection,
    out: &mut dyn Write,
) -> Result<bool, StoreCommandError> {
    let store = OfflineStore::open(dir)?;
    let stored = Stored::read(&store.values()?);
    let mut problems: Vec<String> = store.damage().map(ToString::to_string).into_iter().collect();
    problems.extend(stored.problems.iter().cloned());
    if !problems.is_empty() {
        complain(&problems);
    }
    if !selection.messages && selection.queue.is_none() {
        definitions(&stored, selection, out)?;
    }
    let mut is_sound = problems.is_empty();
    if !selection.definitions {
        is_sound &= messages(&store, &stored, selection, out)?;
    }
    Ok(is_sound)
}

fn definitions(
    stored: &Stored,
    selection: &Selection,
    out: &mut dyn Write,
) -> Result<(), StoreCommandError> {
    for (vhost, definition) in &stored.definitions {
        if selection.takes_vhost(vhost) {
            let fields = definition.to_json(vhost);
            line(out, &DefinitionLine { kind: definition.kind(), fields })?;
        }
    }
    for definition in &stored.access {
        if definition.vhost().map_or(selection.vhost.is_none(), |it| selection.takes_vhost(it)) {
            let fields = definition.to_json();
            line(out, &DefinitionLine { kind: definition.kind(), fields })?;
        }
    }
    Ok(())
}

/// Prints messages, queue by queue; whether all could be read.
fn messages(
    store: &OfflineStore,
    stored: &Stored,
    selection: &Selection,
    out: &mut dyn Write,
) -> Result<bool, StoreCommandError> {
    let (mut is_sound, mut found) = (true, false);
    let mut undefined: BTreeSet<QueueId> = store.queues().iter().map(|(id, _)| *id).collect();
    for (vhost, queue) in stored.queues() {
        undefined.remove(&queue.id);
        if selection.takes_queue(vhost, &queue.name) {
            found = true;
            let (vhost, name) = (name(vhost.as_bytes()), name(queue.name.as_bytes()));
            is_sound &= queue_messages(store, queue.id, Some((&vhost, &name)), out)?;
        }
    }
    if let Some(queue) = selection.queue.as_ref().filter(|_| !found) {
        let vhost = selection.vhost.as_ref().map(|vhost| format!(" in the vhost '{vhost}'"));
        return Err(StoreCommandError::NoQueue(format!("'{queue}'{}", vhost.unwrap_or_default())));
    }
    if selection.takes_undefined() {
        for queue in undefined {
            is_sound &= queue_messages(store, queue, None, out)?;
        }
    }
    Ok(is_sound)
}

fn queue_messages(
    store: &OfflineStore,
    id: QueueId,
    names: Option<(&Value, &Value)>,
    out: &mut dyn Write,
) -> Result<bool, StoreCommandError> {
    let mut is_sound = true;
    let (vhost, queue) = names.unzip();
    store.each_message(id, &mut |entry: OfflineMessage| {
        let OfflineMessage { position, place, message } = entry;
        let (position, QueueId(queue_id)) = (position.0, id);
        match message {
            Ok(message) => {
                let standing = Standing { vhost, queue, queue_id, position, place };
                line(out, &MessageLine::new(standing, &message))
            }
            Err(error) => {
                is_sound = false;
                complain(&[format!("message {position} of queue {queue_id}: {error}")]);
                Ok(())
            }
        }
    })?;
    Ok(is_sound)
}

fn line(out: &mut dyn Write, object: &impl Serialize) -> Result<(), StoreCommandError> {
    serde_json::to_writer(&mut *out, object)?;
    Ok(out.write_all(b"\n")?)
}

/// What can't be printed is said elsewhere, and the rest goes on.
fn complain(problems: &[String]) {
    for problem in problems {
        let _ = writeln!(io::stderr(), "leveret: {problem}");
    }
}
