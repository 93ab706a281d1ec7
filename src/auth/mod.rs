//! Who may log in.

mod users;

pub use self::users::{LoginRefused, User, Users};
