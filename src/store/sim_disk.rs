//! A disk for tests: in memory, and it fails as told.
//!
//! Every call has a number, counted from 1. A test plans what is to happen at which call: the power
//! fails, the process is killed, the call returns an error, there is no room. After a power loss or a
//! kill all calls fail, until [`SimDisk::restart`] shows what the next process would find. What that is
//! follows from the disk's seed alone, so a failure can be repeated.
//!
//! A power loss leaves of what was not synced any mix: each 512-byte sector of each write, and each
//! created, removed and renamed file, is there or is not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::disk::{Access, Disk, DiskFile};

/// What a power loss writes or does not write: never half of it.
const SECTOR_LEN: u64 = 512;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power fails during the call: what was not synced may be lost.
    PowerLoss,
    /// The process is killed during the call: what was written stays.
    Kill,
    /// The call returns an error. A write has written some of its bytes; what a sync was to keep is
    /// never kept, as with Linux, though a later sync succeeds.
    Error(io::ErrorKind),
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The files as the process sees them: each name's place in `contents`.
    names: BTreeMap<PathBuf, usize>,
    /// The names that outlive a power loss.
    synced_names: BTreeMap<PathBuf, usize>,
    /// What was done to names since, with the directory it was done in.
    name_changes: Vec<NameChange>,
    contents: Vec<Content>,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    full: Range<u64>,
    no_files: Range<u64>,
    capacity: Option<u64>,
    capacity_changes: BTreeMap<u64, Option<u64>>,
    /// All calls fail, with what is to come of it.
    down: Option<Fault>,
    /// Counts restarts: files opened before one can't be used after it.
    life: u64,
    random: Random,
}

#[derive(Debug, Clone)]
struct NameChange {
    dir: PathBuf,
    /// What the names are afterwards; `None` for a name that is gone.
    names: Vec<(PathBuf, Option<usize>)>,
}

/// What is in a file.
#[derive(Debug, Clone, Default)]
struct Content {
    /// As the process sees it.
    seen: Vec<u8>,
    /// As it would be after a power loss that keeps nothing.
    synced: Vec<u8>,
    /// What was done since.
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate(u64),
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            name_changes: Vec::new(),
            contents: Vec::new(),
            calls: 0,
            faults: BTreeMap::new(),
            full: 0..0,
            no_files: 0..0,
            capacity: None,
            capacity_changes: BTreeMap::new(),
            down: None,
            life: 0,
            random: Random(seed),
        })))
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Plans a fault for a call: the next one is number [`SimDisk::calls`] + 1.
    pub fn plan(&self, call: u64, fault: Fault) {
        self.0.lock().faults.insert(call, fault);
    }

    /// Plans that there is no room for the calls of these numbers. Reading, removing and making shorter
    /// go on.
    pub fn plan_full(&self, calls: Range<u64>) {
        self.0.lock().full = calls;
    }

    /// Plans that no file or directory can be opened by the calls of these numbers. What is done with files
    /// that are open goes on.
    pub fn plan_no_files(&self, calls: Range<u64>) {
        self.0.lock().no_files = calls;
    }

    /// Sets how many bytes the files may have together; `None` for any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Plans [`SimDisk::set_capacity`] for the end of a call.
    pub fn plan_capacity(&self, call: u64, bytes: Option<u64>) {
        self.0.lock().capacity_changes.insert(call, bytes);
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Fails the power now.
    pub fn lose_power(&self) {
        self.0.lock().down = Some(Fault::PowerLoss);
    }

    /// Kills the process now.
    pub fn kill(&self) {
        self.0.lock().down = Some(Fault::Kill);
    }

    /// Whether all calls fail until [`SimDisk::restart`].
    pub fn is_down(&self) -> bool {
        self.0.lock().down.is_some()
    }

    /// Whether the process was killed, and the power is on.
    pub fn is_killed(&self) -> bool {
        self.0.lock().down == Some(Fault::Kill)
    }

    /// The disk as the next process finds it, with no faults planned. Without a power loss, that is as
    /// the last one left it.
    pub fn restart(&self) {
        let mut state = self.0.lock();
        let fault = state.down.take();
        state.life += 1;
        state.faults.clear();
        state.full = 0..0;
        state.no_files = 0..0;
        state.capacity_changes.clear();
        if fault == Some(Fault::PowerLoss) {
            state.forget();
        }
    }

    /// What is in a file, if it is there.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.lock();
        let content = *state.names.get(path)?;
        Some(state.contents[content].seen.clone())
    }

    /// Puts a file there, or damages one: as if it had been synced so.
    pub fn set_contents(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let content = state.content_of(path);
        state.synced_names.insert(path.to_owned(), content);
        let content = &mut state.contents[content];
        content.synced.clone_from(&bytes);
        content.seen = bytes;
        content.changes.clear();
    }

    fn file(&self, state: &State, content: usize, access: Access) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), content, life: state.life, access })
    }
}

impl State {
    /// Counts a call; what is to happen at it.
    fn call(&mut self) -> io::Result<Option<Fault>> {
        if self.down.is_some() {
            return Err(io::Error::other("the simulated machine is down"));
        }
        self.calls += 1;
        if let Some(capacity) = self.capacity_changes.remove(&self.calls) {
            self.capacity = capacity;
        }
        let fault = self.faults.remove(&self.calls);
        if let Some(Fault::PowerLoss | Fault::Kill) = fault {
            self.down = fault;
        }
        Ok(fault)
    }

    /// A call that does all it should, or nothing: which, a crash leaves to chance.
    fn call_that(&mut self, act: impl FnOnce(&mut Self)) -> io::Result<()> {
        match self.call()? {
            None => act(self),
            Some(Fault::Error(kind)) => return Err(kind.into()),
            Some(fault) => {
                if self.random.below(2) == 0 {
                    act(self);
                }
                return Err(interrupted(fault));
            }
        }
        Ok(())
    }

    /// The same for a call that takes a descriptor.
    fn call_that_opens(&mut self, act: impl FnOnce(&mut Self)) -> io::Result<()> {
        if self.no_files.contains(&(self.calls + 1)) {
            self.look()?;
            return Err(io::Error::from_raw_os_error(Errno::MFILE.raw_os_error()));
        }
        self.call_that(act)
    }

    /// A call that changes nothing.
    fn look(&mut self) -> io::Result<()> {
        self.call_that(|_| ())
    }

    fn room(&self) -> u64 {
        if self.full.contains(&(self.calls + 1)) {
            return 0;
        }
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&content| self.contents[content].seen.len() as u64).sum()
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content_of(&mut self, path: &Path) -> usize {
        if let Some(&content) = self.names.get(path) {
            return content;
        }
        self.contents.push(Content::default());
        self.names.insert(path.to_owned(), self.contents.len() - 1);
        self.contents.len() - 1
    }

    fn change_names(&mut self, names: Vec<(PathBuf, Option<usize>)>) {
        apply_names(&mut self.names, &names);
        let dir = names.first().and_then(|(path, _)| path.parent()).unwrap_or(Path::new(""));
        self.name_changes.push(NameChange { dir: dir.to_owned(), names });
    }

    /// What a power loss leaves.
    fn forget(&mut self) {
        let mood = Mood::drawn(&mut self.random);
        for change in std::mem::take(&mut self.name_changes) {
            if mood.keeps(&mut self.random) {
                apply_names(&mut self.synced_names, &change.names);
            }
        }
        self.names = self.synced_names.clone();
        for content in &mut self.contents {
            let mood = Mood::drawn(&mut self.random);
            for change in std::mem::take(&mut content.changes) {
                keep_some(&mut content.synced, change, mood, &mut self.random);
            }
            content.seen.clone_from(&content.synced);
        }
    }
}

fn apply_names(names: &mut BTreeMap<PathBuf, usize>, changes: &[(PathBuf, Option<usize>)]) {
    for (path, content) in changes {
        match content {
            Some(content) => names.insert(path.clone(), *content),
            None => names.remove(path),
        };
    }
}

fn interrupted(fault: Fault) -> io::Error {
    let what = if fault == Fault::Kill { "the process was killed" } else { "the power failed" };
    io::Error::other(what)
}

/// How much a power loss keeps.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Nothing,
    Everything,
    Some,
}

impl Mood {
    fn drawn(random: &mut Random) -> Self {
        match random.below(4) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Some,
        }
    }

    fn keeps(self, random: &mut Random) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some => random.below(2) == 0,
        }
    }
}

/// Does some of a change.
fn keep_some(bytes: &mut Vec<u8>, change: Change, mood: Mood, random: &mut Random) {
    let (offset, written) = match change {
        Change::Write { offset, bytes } => (offset, bytes),
        Change::Truncate(len) => {
            if mood.keeps(random) {
                bytes.resize(len as usize, 0);
            }
            return;
        }
    };
    let end = offset + written.len() as u64;
    let mut at = offset;
    while at < end {
        let next = ((at / SECTOR_LEN + 1) * SECTOR_LEN).min(end);
        if mood.keeps(random) {
            write(bytes, at, &written[(at - offset) as usize..(next - offset) as usize]);
        }
        at = next;
    }
    // The length may be there without the bytes.
    if (bytes.len() as u64) < end && mood.keeps(random) {
        bytes.resize(end as usize, 0);
    }
}

fn write(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + written.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(written);
}

impl Content {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        write(&mut self.seen, offset, bytes);
        self.changes.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    fn truncate(&mut self, len: u64) {
        self.seen.resize(len as usize, 0);
        self.changes.push(Change::Truncate(len));
    }

    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            match change {
                Change::Write { offset, bytes } => write(&mut self.synced, offset, &bytes),
                Change::Truncate(len) => self.synced.resize(len as usize, 0),
            }
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        // Every directory is there.
        self.0.lock().look()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.0.lock();
        state.call_that_opens(|_| ())?;
        let below = state.names.keys().filter_map(|path| path.strip_prefix(dir).ok());
        let names: BTreeSet<String> = below
            .filter_map(|path| Some(path.iter().next()?.to_string_lossy().into_owned()))
            .collect();
        Ok(names.into_iter().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let has_room = state.room() > 0;
        let is_there = state.names.contains_key(path);
        state.call_that_opens(|state| {
            if has_room && !is_there {
                state.contents.push(Content::default());
                let content = state.contents.len() - 1;
                state.change_names(vec![(path.to_owned(), Some(content))]);
            }
        })?;
        if is_there {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !has_room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let content = state.find(path)?;
        Ok(self.file(&state, content, Access::ReadWrite))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.call_that_opens(|_| ())?;
        let content = state.find(path)?;
        Ok(self.file(&state, content, access))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let found = state.find(path);
        state.call_that(|state| {
            if state.names.contains_key(path) {
                state.change_names(vec![(path.to_owned(), None)]);
            }
        })?;
        found.map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let found = state.find(from);
        state.call_that(|state| {
            if let Ok(content) = state.find(from) {
                state.change_names(vec![(to.to_owned(), Some(content)), (from.to_owned(), None)]);
            }
        })?;
        found.map(drop)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call_that_opens(|state| {
            let (synced, rest) =
                state.name_changes.drain(..).partition(|change: &NameChange| change.dir == dir);
            state.name_changes = rest;
            for NameChange { names, .. } in synced {
                apply_names(&mut state.synced_names, &names);
            }
        })
    }

    fn available_space(&self, _dir: &Path) -> io::Result<u64> {
        let mut state = self.0.lock();
        let room = state.room();
        state.look()?;
        Ok(room)
    }
}

/// An open file of the simulated disk.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    content: usize,
    life: u64,
    access: Access,
}

impl SimFile {
    /// Does something with the file, if it may.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.life != self.life {
            return Err(io::Error::other("the process that opened this file is gone"));
        }
        act(&mut state)
    }

    fn ensure_writable(&self) -> io::Result<()> {
        match self.access {
            Access::Read => Err(io::ErrorKind::PermissionDenied.into()),
            Access::ReadWrite => Ok(()),
        }
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.ensure_writable()?;
        self.with(|state| {
            let more = (offset + bytes.len() as u64)
                .saturating_sub(state.contents[self.content].seen.len() as u64);
            let room = state.room();
            let has_room = more <= room;
            let fault = state.call()?;
            let error = match fault {
                Some(Fault::Error(kind)) => kind.into(),
                Some(fault) => interrupted(fault),
                None if !has_room => io::ErrorKind::StorageFull.into(),
                None => {
                    state.contents[self.content].write(offset, bytes);
                    return Ok(());
                }
            };
            // Half of it may be there nevertheless.
            let missing = more.saturating_sub(room) as usize;
            let most = bytes.len().saturating_sub(missing);
            let some = state.random.below(most as u64 + 1) as usize;
            state.contents[self.content].write(offset, &bytes[..some]);
            Err(error)
        })
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            state.look()?;
            let seen = &state.contents[self.content].seen;
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = seen.get(from..).and_then(|rest| rest.get(..into.len()));
            let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
            into.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| {
            state.look()?;
            Ok(state.contents[self.content].seen.len() as u64)
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.ensure_writable()?;
        self.with(|state| state.call_that(|state| state.contents[self.content].truncate(len)))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| match state.call()? {
            None => {
                state.contents[self.content].sync();
                Ok(())
            }
            Some(Fault::Error(kind)) => {
                state.contents[self.content].changes.clear();
                Err(kind.into())
            }
            // Whatever is not synced is left to chance.
            Some(fault) => Err(interrupted(fault)),
        })
    }
}

/// Numbers that look random, and are the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// One from 0 to before `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[cfg(test)]
mod tests;
