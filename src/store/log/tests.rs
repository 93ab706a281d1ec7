//! A log is read as it was written; what a crash leaves is told from damage.
