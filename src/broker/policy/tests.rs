//! Rules of policies, one by one.
