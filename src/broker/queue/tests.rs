//! The queue on a clock of its own.
