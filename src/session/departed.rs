//! Vhosts that were deleted: what was counted there stays in the broker's totals, which never fall.

use std::sync::Arc;

use super::Host;
use crate::broker::traffic::VHostTotals;
use crate::broker::vhost::VHost;

/// All that the broker's totals are made of, as of one moment.
#[derive(Debug)]
pub struct Counted {
    /// The vhosts that there are.
    pub vhosts: Vec<Arc<VHost>>,
    /// Those that were deleted but are held by a client still, which may have something to add.
    pub departed: Vec<Arc<VHost>>,
    /// What those counted that are gone for good.
    pub gone: VHostTotals,
}

/// Vhosts that were deleted.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// Those that somebody may hold.
    held: Vec<Arc<VHost>>,
    /// What the others counted.
    gone: VHostTotals,
}

impl Departed {
    /// Takes in one that is being deleted.
    pub(super) fn enter(&mut self, vhost: Arc<VHost>) {
        self.settle();
        self.held.push(vhost);
    }

    /// Takes leave of those that nobody holds any more: their counts are final.
    fn settle(&mut self) {
        for vhost in std::mem::take(&mut self.held) {
            match Arc::try_unwrap(vhost) {
                Ok(last) => self.gone.add(&last.traffic().read()),
                Err(held) => self.held.push(held),
            }
        }
    }
}

impl Host {
    /// All that the broker's totals are made of. A vhost that is deleted meanwhile is in it once.
    pub fn counted(&self) -> Counted {
        // Who deletes a vhost moves it from one to the other under both locks.
        let vhosts = self.vhosts.read();
        let mut departed = self.departed.lock();
        departed.settle();
        Counted {
            vhosts: vhosts.values().map(Arc::clone).collect(),
            departed: departed.held.clone(),
            gone: departed.gone,
        }
    }

    /// What came, and what came and went, in all vhosts together, those included that were deleted.
    pub fn traffic(&self) -> VHostTotals {
        let Counted { vhosts, departed, gone } = self.counted();
        let mut all = gone;
        vhosts.iter().chain(&departed).for_each(|vhost| all.add(&vhost.traffic().read()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{origin, plain_host};
    use super::*;
    use crate::broker::traffic::PublishTotals;
    use crate::broker::vhost::VHostMetadata;

    fn publish(vhost: &VHost) {
        vhost.traffic().published(&PublishTotals { published: 1, ..PublishTotals::default() });
    }

    #[test]
    fn what_a_deleted_vhost_counted_and_its_last_clients_add_is_kept() {
        let host = plain_host();
        let published = || host.traffic().publishes.published;
        for round in 0..3 {
            host.acting_by_itself().put_vhost("v", VHostMetadata::default()).unwrap();
            let of_client = host.existing_vhost("v").unwrap();
            publish(&of_client);
            assert!(host.acting_by_itself().delete_vhost("v", origin()).unwrap());
            assert_eq!(published(), 2 * round + 1);
            // A client that does not know yet.
            publish(&of_client);
            assert_eq!(published(), 2 * round + 2);
            drop(of_client);
            assert_eq!(published(), 2 * round + 2);
        }
        assert!(host.departed.lock().held.is_empty(), "nobody holds them, so they are gone");
    }
}
