//! The nodes that the words read so far can have led to.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::super::Target;
use super::node::{Arena, NodeId};

/// Up to this many `#` nodes are found by a scan, beyond it in a set.
const SCAN_MAX: usize = 32;

/// Where one routing key has got to in the trie.
///
/// A `#` node, once reached, matches whatever follows: its targets are visited at that moment.
#[derive(Default)]
pub(super) struct Reached {
    /// Nodes reached by the last word, other than `#` nodes: these match if the key ends here.
    ends: SmallVec<[NodeId; 32]>,
    /// `#` nodes reached so far. They absorb every word to come, and never leave.
    absorbing: SmallVec<[NodeId; 32]>,
    /// The members of `absorbing` once a scan for one would take long.
    absorbing_set: FxHashSet<NodeId>,
    /// Scratch space for the next `ends`.
    next: SmallVec<[NodeId; 32]>,
}

impl Reached {
    /// Reaches `start`, and the `#` nodes that need no further word.
    #[inline]
    pub(super) fn start<T: Target>(
        start: NodeId,
        nodes: &Arena<T>,
        visit: &mut impl FnMut(T),
    ) -> Self {
        let mut reached = Self::default();
        reached.ends.push(start);
        reached.absorb_from(start, nodes, visit);
        reached
    }

    /// Reads one more word. False when no binding is left that could match.
    pub(super) fn step<T: Target>(
        &mut self,
        nodes: &Arena<T>,
        word: &[u8],
        visit: &mut impl FnMut(T),
    ) -> bool {
        // Those that this very word makes reachable must not read it again.
        let absorbing = self.absorbing.len();
        for place in 0..self.ends.len() {
            self.read(self.ends[place], nodes, word, visit);
        }
        for place in 0..absorbing {
            self.read(self.absorbing[place], nodes, word, visit);
        }
        std::mem::swap(&mut self.ends, &mut self.next);
        self.next.clear();
        !(self.ends.is_empty() && self.absorbing.is_empty())
    }

    /// The nodes at which a binding key would have to end to match a key that ends here.
    pub(super) fn ends(&self) -> &[NodeId] {
        &self.ends
    }

    #[inline]
    fn read<T: Target>(
        &mut self,
        at: NodeId,
        nodes: &Arena<T>,
        word: &[u8],
        visit: &mut impl FnMut(T),
    ) {
        for child in nodes[at].after(word).into_iter().flatten() {
            self.next.push(child);
            self.absorb_from(child, nodes, visit);
        }
    }

    /// `#` also matches no word: reaching a node reaches its `#` child, and that one's, and so on.
    #[inline]
    fn absorb_from<T: Target>(&mut self, at: NodeId, nodes: &Arena<T>, visit: &mut impl FnMut(T)) {
        let mut at = at;
        while let Some(child) = nodes[at].any_words {
            if !self.absorb(child) {
                return;
            }
            nodes[child].targets.visit(visit);
            at = child;
        }
    }

    /// False if the node was reached before.
    fn absorb(&mut self, node: NodeId) -> bool {
        if self.absorbing.len() < SCAN_MAX {
            if self.absorbing.contains(&node) {
                return false;
            }
        } else {
            if self.absorbing_set.is_empty() {
                self.absorbing_set.extend(self.absorbing.iter().copied());
            }
            if !self.absorbing_set.insert(node) {
                return false;
            }
        }
        self.absorbing.push(node);
        true
    }
}
