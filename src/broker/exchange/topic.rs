//! Topic exchanges: binding keys with `*` (exactly one word) and `#` (zero words or more).
//!
//! Words are what lies between dots, and may be empty: `a..b` has three words. The empty key has
//! no word at all, so `#` matches it and `*`, `*.#` and `#.*` do not; likewise the empty binding
//! key matches the empty routing key only. (RabbitMQ does the same.)
//!
//! # How
//!
//! Binding keys share a trie with one edge a word. A routing key walks it as an automaton does:
//! word by word, with the set of nodes that the words so far can have reached.
//!
//! ```text
//!  binding keys              trie
//!  user.*.created            root ── user ── * ── created
//!  user.#                              └──── #
//! ```
//!
//! A node is reached at most once a word, because its parent is the only way in. The exception is
//! the node of a `#`, which stays reached for the rest of the key, whatever follows: such nodes go
//! into a list of their own, once. So the work for a key is bounded by words × nodes reached,
//! whatever number of `#` the binding keys hold, and no target is visited twice for one binding key.
//!
//! Spec: <https://www.rabbitmq.com/tutorials/tutorial-five-python>.

mod edges;
mod node;
mod reached;

use smallvec::SmallVec;

use super::Target;
use node::{Arena, Node, NodeId};
use reached::Reached;

/// The bindings of a topic exchange, by binding key.
///
/// Memory: a trie node of 56 bytes (for a 4-byte target) for each word of a binding key that no
/// other key shares, and 33 bytes more where keys part.
#[derive(Debug, Clone)]
pub struct TopicMatcher<T> {
    nodes: Arena<T>,
    len: usize,
}

/// One word of a binding key.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    /// `*`
    AnyWord,
    /// `#`
    AnyWords,
    Word(&'a [u8]),
}

impl<T: Target> Default for TopicMatcher<T> {
    fn default() -> Self {
        Self { nodes: Arena::default(), len: 0 }
    }
}

impl<T: Target> TopicMatcher<T> {
    /// Adds a binding; false if it was there. Cost: at most one hash lookup for each word.
    pub fn insert(&mut self, pattern: &[u8], target: T) -> bool {
        let mut at = NodeId::ROOT;
        for part in parts(pattern) {
            at = match self.child(at, part) {
                Some(child) => child,
                None => self.grow(at, part),
            };
        }
        let added = self.nodes[at].targets.insert(target);
        self.len += usize::from(added);
        added
    }

    /// Removes a binding, and the nodes that only it needed; false if there was none.
    pub fn remove(&mut self, pattern: &[u8], target: T) -> bool {
        let mut path: SmallVec<[(NodeId, Part<'_>); 32]> = SmallVec::new();
        let mut at = NodeId::ROOT;
        for part in parts(pattern) {
            let Some(child) = self.child(at, part) else { return false };
            path.push((at, part));
            at = child;
        }
        if !self.nodes[at].targets.remove(target) {
            return false;
        }
        self.len -= 1;
        while let Some((parent, part)) = path.pop() {
            if !self.nodes[at].is_unused() {
                break;
            }
            self.cut(parent, part);
            self.nodes.release(at);
            at = parent;
        }
        true
    }

    /// Calls `visit` with the targets of every binding key that matches `key`: once for each such
    /// binding, in no particular order.
    ///
    /// Cost: at most one hash lookup for each word and node reached. No allocation while the nodes
    /// reached at one time number 32 or fewer.
    pub fn matches(&self, key: &[u8], visit: &mut impl FnMut(T)) {
        let mut words = words(key);
        let mut at = NodeId::ROOT;
        // Most keys follow a single path most of the way. As soon as a `#`, or a word that meets
        // both an edge and a `*`, opens a second one, the rest of the key is read on all of them.
        while self.nodes[at].any_words.is_none() {
            let mut ahead = words.clone();
            let Some(word) = ahead.next() else { return self.nodes[at].targets.visit(visit) };
            at = match self.nodes[at].after(word) {
                [None, None] => return,
                [Some(child), None] | [None, Some(child)] => child,
                [Some(_), Some(_)] => break,
            };
            words = ahead;
        }
        let mut reached = Reached::start(at, &self.nodes, visit);
        for word in words {
            if !reached.step(&self.nodes, word, visit) {
                return;
            }
        }
        for node in reached.ends() {
            self.nodes[*node].targets.visit(visit);
        }
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn child(&self, at: NodeId, part: Part<'_>) -> Option<NodeId> {
        let node = &self.nodes[at];
        match part {
            Part::AnyWord => node.any_word,
            Part::AnyWords => node.any_words,
            Part::Word(word) => node.edges.get(word),
        }
    }

    /// Adds the missing child of `at`.
    fn grow(&mut self, at: NodeId, part: Part<'_>) -> NodeId {
        let child = self.nodes.add(Node::default());
        match part {
            Part::AnyWord => self.nodes[at].any_word = Some(child),
            Part::AnyWords => self.nodes[at].any_words = Some(child),
            Part::Word(word) => self.nodes[at].edges.insert(word, child),
        }
        child
    }

    /// Removes the edge from `at` to a child that has become unused.
    fn cut(&mut self, at: NodeId, part: Part<'_>) {
        match part {
            Part::AnyWord => self.nodes[at].any_word = None,
            Part::AnyWords => self.nodes[at].any_words = None,
            Part::Word(word) => self.nodes[at].edges.remove(word),
        }
    }
}

/// The words of a key; the empty key has none.
#[inline]
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let words = (!key.is_empty()).then(|| key.split(|byte| *byte == b'.'));
    words.into_iter().flatten()
}

/// The words of a binding key, with the wildcards among them recognised.
fn parts(pattern: &[u8]) -> impl Iterator<Item = Part<'_>> {
    words(pattern).map(|word| match word {
        b"*" => Part::AnyWord,
        b"#" => Part::AnyWords,
        word => Part::Word(word),
    })
}

#[cfg(test)]
mod tests;
