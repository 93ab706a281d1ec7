//! How many queues and exchanges there are in all vhosts, and may be.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what the vhosts of one broker have together.
#[derive(Debug, Default)]
pub struct Census {
    /// Queues.
    pub queues: Headcount,
    /// Exchanges, the predeclared ones included.
    pub exchanges: Headcount,
}

impl Census {
    /// Nothing is there yet; 0 is no limit.
    #[must_use]
    pub fn with_limits(queues: usize, exchanges: usize) -> Self {
        Self { queues: Headcount::new(queues), exchanges: Headcount::new(exchanges) }
    }
}

/// How many there are of one kind, exact however many vhosts declare at once.
#[derive(Debug, Default)]
pub struct Headcount {
    count: AtomicUsize,
    limit: usize,
}

impl Headcount {
    fn new(limit: usize) -> Self {
        Self { count: AtomicUsize::new(0), limit }
    }

    /// One more is there, if it may.
    ///
    /// # Errors
    /// The limit, if it is reached.
    pub(super) fn admit(&self) -> Result<(), usize> {
        let fits = |count: usize| (self.limit == 0 || count < self.limit).then_some(count + 1);
        let counted = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        counted.map(|_| ()).map_err(|_| self.limit)
    }

    /// So many more are there whatever the limit: they were there before, or are the broker's own.
    pub(super) fn add(&self, count: usize) {
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    /// So many are gone.
    pub(super) fn remove(&self, count: usize) {
        self.count.fetch_sub(count, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
