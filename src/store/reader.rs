//! Reads messages back for queues that left them to the store.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use super::durable::Shared;
use super::error::StoreError;
use super::inbox::Fetch;
use super::index::Index;
use super::log::LogReader;
use super::place::{Location, Place};
use crate::broker::effect::{Page, Part, Position, StoredEntry, Wanted, WantedRun};
use crate::broker::queue_cell::QueueId;

/// How often a page is read again whose messages moved to another segment at that very moment.
const TRIES: u32 = 5;

/// How long it waits for an index that a full disk has closed, or for a file, before it tries again.
const RETRY: Duration = Duration::from_millis(100);

/// Reads pages of queues.
#[derive(Debug, Clone)]
pub(super) struct PageReader {
    index: Arc<Index>,
    log: LogReader,
}

impl PageReader {
    pub(super) fn new(index: Arc<Index>, log: LogReader) -> Self {
        Self { index, log }
    }

    /// What a queue wants, as far as it is written by now.
    pub(super) fn page(&self, queue: QueueId, wanted: &Wanted) -> Result<Page, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_page(queue, wanted) {
                // The segment was removed between the two reads: the messages are elsewhere by now.
                Err(error) if error.is_not_found() && tries < TRIES => {}
                result => return result,
            }
        }
    }

    fn try_page(&self, queue: QueueId, wanted: &Wanted) -> Result<Page, StoreError> {
        match wanted {
            Wanted::Run(run) => self.run(queue, *run),
            Wanted::Places(positions) => {
                let found = self.index.places(queue, positions.clone())?;
                Ok(Page { part: Part::Places, entries: self.entries(found)? })
            }
        }
    }

    fn run(&self, queue: QueueId, wanted: WantedRun) -> Result<Page, StoreError> {
        let WantedRun { from, to, messages_max, bytes_max } = wanted;
        let found = self.index.read(queue, from, to, messages_max)?;
        let (mut entries, mut next) = (found.entries, found.next);
        let mut bytes = 0_u64;
        let fits = entries.iter().take_while(|(_, place)| {
            let is_within = bytes < bytes_max;
            bytes = bytes.saturating_add(place.body_len);
            is_within
        });
        let fits = fits.count().max(1);
        if let Some((position, _)) = entries.get(fits) {
            next = *position;
            entries.truncate(fits);
        }
        Ok(Page { part: Part::Run { from, next }, entries: self.entries(entries)? })
    }

    /// The messages of a queue that wait for their time.
    pub(super) fn scheduled(
        &self,
        queue: QueueId,
    ) -> Result<Vec<(Place, StoredEntry)>, StoreError> {
        let found = self.index.scheduled(queue)?;
        let places: Vec<Place> = found.iter().map(|(_, place)| *place).collect();
        Ok(places.into_iter().zip(self.entries(found)?).collect())
    }

    fn entries(&self, found: Vec<(Position, Place)>) -> Result<Vec<StoredEntry>, StoreError> {
        let locations: Vec<Location> = found.iter().map(|(_, place)| place.location).collect();
        let messages = self.log.read_messages(&locations).into_iter().zip(found);
        let entries = messages.map(|(message, (position, place))| {
            let Place { expires, returns, delivered, transient, .. } = place;
            let message = message?;
            Ok(StoredEntry { position, message, expires, returns, delivered, transient })
        });
        entries.collect()
    }
}

/// Reads what is asked for, until nobody can ask any more.
pub(super) fn run(
    shared: &Shared,
    reader: &PageReader,
    fetches: &Receiver<Fetch>,
) -> Result<(), StoreError> {
    while let Ok(Fetch { queue, wanted, requester }) = fetches.recv() {
        if let Some(page) = patient_page(shared, reader, queue, &wanted)? {
            requester.arrived(page);
        }
    }
    Ok(())
}

/// Reads a page. An index that a full disk has closed is waited for, and a file where no more can be
/// opened; `None` if the store is closed meanwhile.
fn patient_page(
    shared: &Shared,
    reader: &PageReader,
    queue: QueueId,
    wanted: &Wanted,
) -> Result<Option<Page>, StoreError> {
    loop {
        match reader.page(queue, wanted) {
            Err(error) if error.is_shortage() => {
                shared.set_disk_low(true, &error.to_string());
                if shared.inbox.is_closed() {
                    return Ok(None);
                }
                thread::sleep(RETRY);
            }
            result => return result.map(Some),
        }
    }
}
