//! What a document has and leveret can't.

use std::collections::HashMap;
use std::fmt;

use amqp_codec::ShortString;

use crate::broker::definition::BindingDefinition;
use crate::broker::error::ResourceKind;

/// A queue or an exchange of a type that there is not here. The rest of its document is in force without it and
/// without its bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) kind: ResourceKind,
    pub(super) name: ShortString,
    pub(super) vhost: ShortString,
    pub(super) of_type: String,
    /// How many of the document's bindings lead from it or to it.
    pub(super) bindings: usize,
}

impl Skipped {
    /// Takes out the bindings that lead from or to one of these, and counts them.
    pub(super) fn take_bindings(
        skipped: &mut [Self],
        bindings: &mut Vec<(ShortString, BindingDefinition)>,
    ) {
        let mut counts = vec![0; skipped.len()];
        let places: HashMap<_, usize> = (skipped.iter().enumerate())
            .map(|(place, it)| ((it.kind == ResourceKind::Queue, &it.vhost, &it.name), place))
            .collect();
        bindings.retain(|(vhost, binding)| {
            let ends = [(false, &binding.source), (binding.to_queue, &binding.destination)];
            let mut stays = true;
            for (is_queue, name) in ends {
                if let Some(place) = places.get(&(is_queue, vhost, name)) {
                    counts[*place] += 1;
                    stays = false;
                }
            }
            stays
        });
        for (it, count) in skipped.iter_mut().zip(counts) {
            it.bindings = count;
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, vhost, of_type, bindings } = self;
        write!(f, "{kind} '{name}' in vhost '{vhost}' is skipped")?;
        match bindings {
            0 => {}
            1 => f.write_str(", and so is its binding")?,
            _ => write!(f, ", and so are its {bindings} bindings")?,
        }
        write!(f, ": there is no {kind} type '{of_type}' in leveret")
    }
}
