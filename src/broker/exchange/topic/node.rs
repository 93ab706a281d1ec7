//! The nodes of the topic trie, in one vector: an edge is a 4-byte number, not a pointer.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

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
pub(super) struct Arena<T> {
    nodes: Vec<Node<T>>,
    /// Released places, to be filled before the vector grows.
    free: Vec<NodeId>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }
}

impl<T> Arena<T> {
    pub(super) fn add(&mut self, node: Node<T>) -> NodeId {
        if let Some(id) = self.free.pop() {
            self[id] = node;
            return id;
        }
        self.nodes.push(node);
        let count = u32::try_from(self.nodes.len()).expect("a trie has fewer than 2^32 nodes");
        NodeId(NonZeroU32::new(count).expect("a node was just added"))
    }

    /// Forgets a node that nothing leads to any more.
    pub(super) fn release(&mut self, id: NodeId) {
        self[id] = Node::default();
        self.free.push(id);
        if self.free.len() == self.nodes.len() - 1 {
            // Only the root is left: a burst of bindings must not keep its memory for ever.
            self.nodes.truncate(1);
            self.nodes.shrink_to_fit();
            self.free = Vec::new();
        }
    }

    #[cfg(test)]
    pub(super) fn live(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}

impl<T> Index<NodeId> for Arena<T> {
    type Output = Node<T>;

    #[inline]
    fn index(&self, id: NodeId) -> &Node<T> {
        &self.nodes[id.index()]
    }
}

impl<T> IndexMut<NodeId> for Arena<T> {
    #[inline]
    fn index_mut(&mut self, id: NodeId) -> &mut Node<T> {
        &mut self.nodes[id.index()]
    }
}
