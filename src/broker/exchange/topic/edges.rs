//! A node's children by literal word: most nodes have one or none, some have a hundred thousand.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::node::NodeId;

/// A word of a binding key. Short ones lie in the node itself, where no pointer has to be followed.
type Word = SmallVec<[u8; 16]>;

/// Children of a node by literal word. Only a node with two or more pays for a map; it is seeded at
/// random, because peers choose the words.
#[derive(Debug, Clone, Default)]
pub(super) enum Edges {
    #[default]
    None,
    One(Word, NodeId),
    #[expect(clippy::box_collection, reason = "an unboxed map would double the size of every node")]
    Many(Box<HashMap<Word, NodeId, RandomState>>),
}

impl Edges {
    #[inline]
    pub(super) fn get(&self, word: &[u8]) -> Option<NodeId> {
        match self {
            Self::None => None,
            Self::One(only, child) => (only[..] == *word).then_some(*child),
            Self::Many(children) => children.get(word).copied(),
        }
    }

    /// Adds the edge of a word that has none yet.
    pub(super) fn insert(&mut self, word: &[u8], child: NodeId) {
        let word = Word::from_slice(word);
        *self = match std::mem::take(self) {
            Self::None => Self::One(word, child),
            Self::One(other, its_child) => {
                Self::Many(Box::new(HashMap::from_iter([(other, its_child), (word, child)])))
            }
            Self::Many(mut children) => {
                children.insert(word, child);
                Self::Many(children)
            }
        };
    }

    /// Removes the edge of a word.
    pub(super) fn remove(&mut self, word: &[u8]) {
        match self {
            Self::None => {}
            Self::One(only, _) if only[..] == *word => *self = Self::None,
            Self::One(..) => {}
            Self::Many(children) => {
                children.remove(word);
                if children.len() == 1 {
                    let last = children.drain().next();
                    *self = last.map_or(Self::None, |(word, child)| Self::One(word, child));
                }
            }
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }
}
