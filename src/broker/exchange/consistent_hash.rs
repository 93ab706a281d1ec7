//! Consistent-hash exchanges: every message goes to one binding, those with equal keys to the same.
//!
//! A binding's key is its weight, a positive integer: a binding of weight 2 gets twice the messages
//! of one with weight 1.
//!
//! # How
//!
//! The hash of a message names one of `SLOTS` slots, and each slot belongs to one binding, so a
//! message costs one hash and one look. Who owns a slot is decided by weighted rendezvous: every
//! destination draws a number for the slot, from its own name and the slot's alone, and the lowest
//! draw in proportion to the weight wins. Three things follow:
//!
//! - A new binding takes over the slots that it wins, and no other slot changes hands; when it goes,
//!   only its slots do.
//! - Weights cost nothing: 1000000 is one number like 1.
//! - Owners follow from the bindings alone, not from their order: a restart moves no key.
//!
//! A destination that is bound twice draws the same number twice, so the larger weight counts, not
//! the sum.
//!
//! The spread is even as far as chance goes: a binding with a share of `p` owns `p` of the slots,
//! give or take `sqrt(p (1 - p) SLOTS)`; for ten equal ones that is 2 %.

use super::Target;
use super::invalid::{InvalidBinding, erlang_binary};
use super::stable_hash::{mix, place, stable_hash};

/// Into how many parts the hashes of messages are divided. Many for an even spread; few, because
/// every one of them is offered to a new binding.
const SLOTS: usize = 16_384;

/// The bindings of a consistent-hash exchange, and which of them owns which slot.
#[derive(Debug, Clone)]
pub struct ConsistentHashMatcher<T> {
    bindings: Vec<Bidder<T>>,
    /// Empty without bindings: an exchange that is not used takes no memory.
    slots: Vec<Slot<T>>,
}

/// A binding as it bids for slots.
#[derive(Debug, Clone, Copy)]
struct Bidder<T> {
    target: T,
    /// The hash of the destination's name.
    seed: u64,
    weight: f64,
}

/// The owner of a slot, and the bid that won it.
#[derive(Debug, Clone, Copy)]
struct Slot<T> {
    owner: T,
    bid: f64,
}

impl<T> Default for ConsistentHashMatcher<T> {
    fn default() -> Self {
        Self { bindings: Vec::new(), slots: Vec::new() }
    }
}

impl<T: Target + Ord> ConsistentHashMatcher<T> {
    /// Adds a binding to the destination of this name; false if it was there. Cost: a bid for each
    /// slot.
    ///
    /// # Errors
    /// [`InvalidBinding`] (406) if the binding key is no positive integer.
    pub fn insert(
        &mut self,
        binding_key: &[u8],
        destination: &[u8],
        target: T,
    ) -> Result<bool, InvalidBinding> {
        let weight = weight(binding_key)?;
        if self.bindings.iter().any(|bidder| bidder.target == target) {
            return Ok(false);
        }
        let bidder = Bidder { target, seed: stable_hash(destination), weight };
        self.bindings.push(bidder);
        if self.slots.is_empty() {
            self.slots = (0..SLOTS).map(|number| bidder.slot(number)).collect();
        } else {
            for (number, slot) in self.slots.iter_mut().enumerate() {
                slot.offer(bidder.slot(number));
            }
        }
        Ok(true)
    }

    /// Removes a binding; false if there was none. Cost: for each of its slots, a bid of every other
    /// binding; its slots are the fewer, the more there are of those.
    pub fn remove(&mut self, target: T) -> bool {
        let Some(place) = self.bindings.iter().position(|bidder| bidder.target == target) else {
            return false;
        };
        self.bindings.swap_remove(place);
        let Some((first, others)) = self.bindings.split_first() else {
            self.slots = Vec::new();
            return true;
        };
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if slot.owner == target {
                *slot = first.slot(number);
                others.iter().for_each(|bidder| slot.offer(bidder.slot(number)));
            }
        }
        true
    }

    /// Calls `visit` with the one target that messages with this hash go to, if there is any.
    #[inline]
    pub fn matches(&self, hash: u64, visit: &mut impl FnMut(T)) {
        if let Some(slot) = self.slots.get(place(hash, SLOTS)) {
            visit(slot.owner);
        }
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }
}

impl<T: Target + Ord> Bidder<T> {
    /// The slot of this number, if this bidder owned it.
    #[inline]
    fn slot(&self, number: usize) -> Slot<T> {
        let draw = mix(self.seed ^ mix(number as u64 + 1));
        // Exponentially distributed with the weight as its rate: of several such numbers each is the
        // lowest as often as its share of the weights says. Never zero, never infinite.
        let uniform = ((draw >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        Slot { owner: self.target, bid: -uniform.ln() / self.weight }
    }
}

impl<T: Target + Ord> Slot<T> {
    /// Goes to the lower bid; of equal ones to the lower target, in whatever order they come.
    #[inline]
    fn offer(&mut self, other: Self) {
        if (other.bid, other.owner) < (self.bid, self.owner) {
            *self = other;
        }
    }
}

/// The weight that a binding key stands for: what Erlang reads as an integer, and above zero.
///
/// # Errors
/// [`InvalidBinding`] (406), for any other key.
pub(super) fn weight(binding_key: &[u8]) -> Result<f64, InvalidBinding> {
    let not_integer = || InvalidBinding::WeightNotInteger(erlang_binary(binding_key));
    let (negative, digits) = match binding_key {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(not_integer());
    }
    if negative || digits.iter().all(|digit| *digit == b'0') {
        return Err(InvalidBinding::WeightNotPositive);
    }
    let text = std::str::from_utf8(digits).map_err(|_| not_integer())?;
    // A key has at most 255 digits, and only proportions matter: no weight above 2^64 is needed.
    text.parse::<f64>().map(|weight| weight.min(u64::MAX as f64)).map_err(|_| not_integer())
}

#[cfg(test)]
mod tests;
