//! A thread's connections, and waiting for all of them at once.

use std::net::TcpStream;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::PerfError;
use super::clock::{Clock, Nanos};
use super::consumer::Consumer;
use super::link::Link;
use super::publisher::{Publisher, Wait};
use super::tally::{Goal, Tally};

/// How often a thread with nothing to do looks whether the others are done.
const LOOK_INTERVAL: Nanos = 50_000_000;

/// A thread's connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) publishers: Vec<Publisher>,
    pub(super) consumers: Vec<Consumer>,
}

/// What a thread shares with the others of its phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) clock: Clock,
    pub(super) goal: &'a Goal,
    /// When to stop whatever was reached.
    pub(super) deadline: Option<Nanos>,
    /// What was published before the deadline is to arrive after it.
    pub(super) to_the_last: bool,
}

impl Connections {
    /// Starts them, one after the other.
    pub(super) fn start(&mut self, now: Nanos) -> Result<(), PerfError> {
        self.consumers.iter_mut().try_for_each(Consumer::start)?;
        self.publishers.iter_mut().try_for_each(|publisher| publisher.start(now))
    }

    /// Publishes and consumes until the goal is reached.
    pub(super) fn run(
        &mut self,
        shared: Shared<'_>,
        tally: &Mutex<Tally>,
    ) -> Result<(), PerfError> {
        let sockets = self.sockets();
        let mut fds: Vec<PollFd<'_>> =
            sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        let mut waits = vec![Wait::Ready; self.publishers.len()];
        let mut deadline = shared.deadline;
        let mut publishing = true;
        while !shared.goal.is_reached() {
            let now = shared.clock.nanos();
            if deadline.is_some_and(|deadline| now >= deadline) {
                if !shared.to_the_last {
                    shared.goal.stop();
                    break;
                }
                shared.goal.wind_down();
                deadline = None;
            }
            if publishing && shared.goal.is_winding_down() {
                self.publishers.iter_mut().for_each(Publisher::stop);
                publishing = false;
            }
            self.turn(now, shared.goal, &mut tally.lock(), &fds, &mut waits)?;
            let timeout = self.timeout(now, &waits, deadline);
            self.set_interest(&sockets, &mut fds, &waits);
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(PerfError::Io(error.into())),
            }
        }
        Ok(())
    }

    /// The publishers' sockets, then the consumers'.
    fn sockets(&self) -> Vec<Arc<TcpStream>> {
        self.links().map(|link| Arc::clone(link.socket())).collect()
    }

    /// The publishers', then the consumers'.
    fn links(&self) -> impl Iterator<Item = &Link> {
        let publishers = self.publishers.iter().map(|publisher| &publisher.link);
        publishers.chain(self.consumers.iter().map(|consumer| &consumer.link))
    }

    /// Takes in what came, and publishes what may be published.
    fn turn(
        &mut self,
        now: Nanos,
        goal: &Goal,
        tally: &mut Tally,
        fds: &[PollFd<'_>],
        waits: &mut [Wait],
    ) -> Result<(), PerfError> {
        let before = tally.counts;
        let mut finished = 0;
        let (of_publishers, of_consumers) = fds.split_at(self.publishers.len());
        for (consumer, fd) in self.consumers.iter_mut().zip(of_consumers) {
            if is_writable(fd) {
                consumer.link.flush()?;
            }
            if is_readable(fd) || consumer.link.has_unread() {
                consumer.read(now, tally)?;
            } else if is_writable(fd) {
                consumer.write()?;
            }
        }
        for ((publisher, fd), wait) in self.publishers.iter_mut().zip(of_publishers).zip(waits) {
            if is_writable(fd) {
                publisher.link.flush()?;
            }
            if is_readable(fd) || publisher.link.has_unread() {
                publisher.read(now, tally)?;
            }
            if *wait != Wait::Output || is_writable(fd) {
                *wait = publisher.publish(now, tally)?;
            }
            finished += usize::from(publisher.finishes());
        }
        let delta = tally.counts.since(&before);
        if delta != Default::default() || finished > 0 {
            goal.advance(&delta, finished);
        }
        Ok(())
    }

    /// How long there is nothing to do if no socket is ready.
    fn timeout(&self, now: Nanos, waits: &[Wait], deadline: Option<Nanos>) -> Timespec {
        let mut until = now + LOOK_INTERVAL;
        if self.links().any(Link::has_unread) {
            until = now;
        }
        for wait in waits {
            match wait {
                Wait::Ready => until = now,
                Wait::Until(time) => until = until.min(*time),
                Wait::Input | Wait::Output => {}
            }
        }
        let nanos = until.min(deadline.unwrap_or(Nanos::MAX)).saturating_sub(now);
        Timespec { tv_sec: 0, tv_nsec: i64::try_from(nanos).unwrap_or(0).min(999_999_999) }
    }

    fn set_interest<'a>(
        &self,
        sockets: &'a [Arc<TcpStream>],
        fds: &mut [PollFd<'a>],
        waits: &[Wait],
    ) {
        let publishers = waits.iter().map(|wait| *wait == Wait::Output);
        let consumers = self.consumers.iter().map(Consumer::has_unwritten);
        let outputs = publishers.chain(consumers).zip(self.links());
        for ((fd, socket), (output, link)) in fds.iter_mut().zip(sockets).zip(outputs) {
            let out =
                if output || link.has_unflushed() { PollFlags::OUT } else { PollFlags::empty() };
            *fd = PollFd::new(socket, PollFlags::IN | out);
        }
    }

    /// Takes leave of the broker. It has taken in all that was sent, acknowledgements too, when this returns.
    pub(super) fn close(&mut self) {
        self.publishers.iter_mut().for_each(Publisher::close);
        self.consumers.iter_mut().for_each(Consumer::close);
    }
}

fn is_readable(fd: &PollFd<'_>) -> bool {
    fd.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
}

fn is_writable(fd: &PollFd<'_>) -> bool {
    fd.revents().contains(PollFlags::OUT)
}
