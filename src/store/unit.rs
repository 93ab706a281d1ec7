//! Records that belong together.

use parking_lot::{Condvar, Mutex};

/// Holds a unit of records together until it is dropped; see [`Store::unit`](super::Store::unit).
#[derive(Debug)]
pub struct Unit<'a>(Option<&'a Units>);

impl Unit<'static> {
    /// For a store that knows no halves.
    pub const NONE: Self = Self(None);
}

/// Who is in the middle of a unit. A lock for readers and a writer that a reader may take again, and
/// whose writer is not starved by new ones.
#[derive(Debug, Default)]
pub(super) struct Units {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// The writer waits for those that are open, and nobody begins a new one.
    cutting: bool,
}

impl Units {
    /// Begins a unit, for somebody who is in none.
    pub(super) fn begin(&self) -> Unit<'_> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.cutting);
        state.open += 1;
        Unit(Some(self))
    }

    /// Begins a unit, for somebody who may be in one.
    pub(super) fn begin_nested(&self) -> Unit<'_> {
        self.state.lock().open += 1;
        Unit(Some(self))
    }

    /// Runs `cut` while nobody is in the middle of a unit. For one thread only.
    pub(super) fn between<T>(&self, cut: impl FnOnce() -> T) -> T {
        let mut state = self.state.lock();
        state.cutting = true;
        self.changed.wait_while(&mut state, |state| state.open > 0);
        // Whoever may be in a unit and is in none waits for this lock.
        let outcome = cut();
        state.cutting = false;
        drop(state);
        self.changed.notify_all();
        outcome
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        if let Some(units) = self.0 {
            let mut state = units.state.lock();
            state.open -= 1;
            if state.open == 0 && state.cutting {
                units.changed.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_cut_in_the_middle_of_a_unit_and_nobody_begins_one_meanwhile() {
        let units = Arc::new(Units::default());
        let (tell, told) = channel();
        let outer = units.begin();
        let cutter = {
            let (units, tell) = (Arc::clone(&units), tell.clone());
            thread::spawn(move || units.between(|| tell.send("cut").unwrap()))
        };
        while !units.state.lock().cutting {
            thread::yield_now();
        }
        let beginner = {
            let units = Arc::clone(&units);
            thread::spawn(move || {
                let _unit = units.begin();
                tell.send("begun").unwrap();
            })
        };
        drop(units.begin_nested());
        assert!(told.try_recv().is_err(), "somebody is in the middle of a unit");
        drop(outer);
        cutter.join().unwrap();
        beginner.join().unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["cut", "begun"]);
    }
}
