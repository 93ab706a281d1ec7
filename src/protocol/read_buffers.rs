//! Buffers that large frames are read into, used again once nobody holds what came in them.
//!
//! A large body stays where it was read, so every large frame has a buffer of its own. Memory that goes back to the
//! allocator with each of them goes back to the system, and comes anew as pages that the system clears first: a
//! quarter of what a message of 1 MiB cost.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

/// Bytes in buffers that wait for their next use: enough for a message of 16 MiB.
const SPARE_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Buffers for frames of about the same size have the same size.
const STEP: usize = 4 * 1024;

/// Room behind a frame that is awaited, for the beginning of the next. That is copied, as the frame stays where it was
/// read; so it is little.
pub const READ_AHEAD: usize = 4 * 1024;

/// A longer rest behind a frame is not worth copying: it shares the frame's buffer, which then is used once.
const REST_MAX: usize = READ_AHEAD + STEP;

/// The buffers of all connections that nobody uses at the moment. Its lock is a leaf.
#[derive(Debug, Default)]
pub struct ReadBuffers {
    spare: Mutex<Spare>,
}

#[derive(Debug, Default)]
struct Spare {
    /// The one that came back last, which the processor's cache knows best, is the last.
    buffers: Vec<BytesMut>,
    bytes: usize,
    /// So many were not needed since the last [`ReadBuffers::shrink`].
    idle: usize,
}

impl ReadBuffers {
    /// An empty buffer for a frame of `len` bytes, and for what is read ahead.
    pub fn take(&self, len: usize) -> BytesMut {
        let capacity = (len + READ_AHEAD).next_multiple_of(STEP);
        let spare = self.spare.lock().take(capacity);
        spare.unwrap_or_else(|| BytesMut::with_capacity(capacity))
    }

    /// Takes the first `len` bytes off `input`. If they are most of what is there, their buffer is
    /// used again when the last holder of them is gone.
    pub fn cut(self: &Arc<Self>, input: &mut BytesMut, len: usize) -> Bytes {
        if input.len() - len > REST_MAX {
            return input.split_to(len).freeze();
        }
        let rest = BytesMut::from(&input[len..]);
        let mut buffer = std::mem::replace(input, rest);
        buffer.truncate(len);
        Bytes::from_owner(Lent { buffer, home: Arc::clone(self) })
    }

    /// Lets go of the buffers that were not needed since this was called last: what a burst left behind.
    pub fn shrink(&self) {
        let idle = self.spare.lock().take_idle();
        // Giving memory back to the system takes its time, and nobody waits for it.
        drop(idle);
    }

    /// Bytes in buffers that wait for their next use.
    pub fn spare_bytes(&self) -> usize {
        self.spare.lock().bytes
    }
}

impl Spare {
    fn take(&mut self, capacity: usize) -> Option<BytesMut> {
        let fits = |buffer: &BytesMut| buffer.capacity() == capacity;
        let buffer = self.buffers.remove(self.buffers.iter().rposition(fits)?);
        self.bytes -= capacity;
        self.idle = self.idle.min(self.buffers.len());
        Some(buffer)
    }

    /// Takes a buffer back; in exchange for those that were there longest, if there are too many.
    fn put(&mut self, buffer: BytesMut) -> Vec<BytesMut> {
        self.bytes += buffer.capacity();
        self.buffers.push(buffer);
        let mut surplus = 0;
        while self.bytes > SPARE_BYTES_MAX {
            self.bytes -= self.buffers[surplus].capacity();
            surplus += 1;
        }
        self.idle = self.idle.saturating_sub(surplus);
        self.buffers.drain(..surplus).collect()
    }

    fn take_idle(&mut self) -> Vec<BytesMut> {
        let idle: Vec<BytesMut> = self.buffers.drain(..self.idle).collect();
        self.bytes -= idle.iter().map(BytesMut::capacity).sum::<usize>();
        self.idle = self.buffers.len();
        idle
    }
}

/// A buffer that goes home when the last slice of it is gone.
struct Lent {
    buffer: BytesMut,
    home: Arc<ReadBuffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        // One whose beginning was used for something else, or that grew, fits nothing that is asked for.
        if buffer.capacity().is_multiple_of(STEP) {
            let surplus = self.home.spare.lock().put(buffer);
            drop(surplus);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 100_000;

    fn filled(buffers: &ReadBuffers, len: usize) -> BytesMut {
        let mut input = buffers.take(LEN);
        input.resize(len, 7);
        input
    }

    #[test]
    fn a_buffer_comes_back_when_its_last_slice_is_gone() {
        let buffers = Arc::new(ReadBuffers::default());
        let mut input = filled(&buffers, LEN + 3);
        let address = input.as_ptr();
        let cut = buffers.cut(&mut input, LEN);
        assert_eq!((cut.len(), &input[..]), (LEN, &[7; 3][..]));
        let slice = cut.slice(10..20);
        drop(cut);
        assert_eq!((buffers.spare_bytes(), &slice[..]), (0, &[7; 10][..]));
        drop(slice);
        assert!(buffers.spare_bytes() >= LEN);
        let again = buffers.take(LEN);
        assert_eq!((again.len(), again.as_ptr()), (0, address));
        assert_eq!(buffers.spare_bytes(), 0);
    }

    #[test]
    fn a_buffer_comes_back_however_much_was_read_ahead() {
        for len in LEN..LEN + 2 * STEP {
            let buffers = Arc::new(ReadBuffers::default());
            let mut input = buffers.take(len);
            input.resize(input.capacity(), 7);
            drop(buffers.cut(&mut input, len));
            assert!(buffers.spare_bytes() >= len, "{len}");
        }
    }

    #[test]
    fn what_shares_its_buffer_with_a_long_rest_is_cut_off() {
        let buffers = Arc::new(ReadBuffers::default());
        let mut input = filled(&buffers, LEN);
        let cut = buffers.cut(&mut input, LEN / 2);
        assert_eq!((cut.len(), input.len()), (LEN / 2, LEN / 2));
        drop((cut, input));
        assert_eq!(buffers.spare_bytes(), 0);
    }

    #[test]
    fn nobody_gets_a_buffer_much_larger_than_asked_for() {
        let buffers = Arc::new(ReadBuffers::default());
        let mut input = filled(&buffers, LEN);
        drop(buffers.cut(&mut input, LEN));
        assert!(buffers.take(LEN / 2).capacity() < LEN);
        assert!(buffers.take(LEN * 2).capacity() >= LEN * 2);
        assert!(buffers.spare_bytes() >= LEN, "neither fitted");
    }

    #[test]
    fn there_are_never_too_many() {
        let buffers = Arc::new(ReadBuffers::default());
        let all: Vec<Bytes> = (0..400)
            .map(|_| {
                let mut input = filled(&buffers, LEN);
                buffers.cut(&mut input, LEN)
            })
            .collect();
        drop(all);
        let spare = buffers.spare_bytes();
        assert!((SPARE_BYTES_MAX - 2 * LEN..=SPARE_BYTES_MAX).contains(&spare), "{spare}");
    }

    #[test]
    fn what_nobody_needs_goes_after_a_while() {
        let buffers = Arc::new(ReadBuffers::default());
        let two = [filled(&buffers, LEN), filled(&buffers, LEN)];
        drop(two.map(|mut input| buffers.cut(&mut input, LEN)));
        let both = buffers.spare_bytes();
        buffers.shrink();
        assert_eq!(buffers.spare_bytes(), both, "they have just come");
        let mut input = filled(&buffers, LEN);
        drop(buffers.cut(&mut input, LEN));
        buffers.shrink();
        assert_eq!(buffers.spare_bytes(), both / 2, "one of them was in use");
        buffers.shrink();
        assert_eq!(buffers.spare_bytes(), 0);
    }
}
