//! The nodes of the topic trie, in one vector: an edge is a 4-byte number, not a pointer.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use slab::Slab;

use super::super::target_set::TargetSet;
use super::edges::Edges;

/// A node's place in the arena. Counted from one, so that `Option<NodeId>` takes four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(NonZeroU32);

impl NodeId {
    pub(super) const ROOT: Self = Self(NonZeroU32::MIN);

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Where one sequence of words and wildcards leads.
#[derive(Debug, Clone)]
pub(super) struct Node<T> {
    /// Children by literal word.
    pub(super) edges: Edges,
    /// The child of `*`.
    pub(super) any_word: Option<NodeId>,
    /// The child of `#`.
    pub(super) any_words: Option<NodeId>,
    /// Bindings whose key ends here.
    pub(super) targets: TargetSet<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { edges: Edges::default(), any_word: None, any_words: None, targets: TargetSet::Empty }
    }
}

impl<T> Node<T> {
    /// The children that one more word leads to: by its edge, and by `*`.
    #[inline]
    pub(super) fn after(&self, word: &[u8]) -> [Option<NodeId>; 2] {
        [self.edges.get(word), self.any_word]
    }

    /// Whether no binding key ends at this node or passes through it.
    pub(super) fn is_unused(&self) -> bool {
        matches!(self.targets, TargetSet::Empty)
            && self.edges.is_empty()
            && self.any_word.is_none()
            && self.any_words.is_none()
    }
}

/// All nodes of a trie; the root is always there.
#[derive(Debug, Clone)]
pub(super) struct Arena<T>(Slab<Node<T>>);

impl<T> Default for Arena<T> {
    fn default() -> Self {
        let mut arena = Self(Slab::new());
        let root = arena.add(Node::default());
        debug_assert_eq!(root, NodeId::ROOT);
        arena
    }
}

impl<T> Arena<T> {
    pub(super) fn add(&mut self, node: Node<T>) -> NodeId {
        let number = u32::try_from(self.0.insert(node) + 1).ok().and_then(NonZeroU32::new);
        NodeId(number.expect("a trie has fewer than 2^32 nodes"))
    }

    /// Forgets a node that nothing leads to any more.
    pub(super) fn release(&mut self, id: NodeId) {
        self.0.remove(id.index());
        if self.0.len() == 1 {
            // Only the root is left: a burst of bindings must not keep its memory for ever.
            self.0.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn live(&self) -> usize {
        self.0.len()
    }
}

impl<T> Index<NodeId> for Arena<T> {
    type Output = Node<T>;

    #[inline]
    fn index(&self, id: NodeId) -> &Node<T> {
        &self.0[id.index()]
    }
}

impl<T> IndexMut<NodeId> for Arena<T> {
    #[inline]
    fn index_mut(&mut self, id: NodeId) -> &mut Node<T> {
        &mut self.0[id.index()]
    }
}
