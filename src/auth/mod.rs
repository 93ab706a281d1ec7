//! Who may log in, and what they may do then.
//!
//! Plain state. Who changes it keeps it behind a lock, and writes down what changed as
//! [`AccessDefinition`]s.

mod certificate;
mod control;
mod definition;
mod grant;
mod origin;
mod password;
mod permissions;
mod throttle;
mod user;

pub use self::certificate::{Certificate, InvalidCertificate, shown_time};
pub use self::control::{
    AccessControl, LoginRefused, Put, Removed, TopicPermissionsOf, UnknownUser, UserPermissions,
};
pub use self::definition::{AccessDefinition, InvalidAccessDefinition, PREFIXES, UserForm};
pub use self::grant::Grant;
pub use self::origin::Origin;
pub use self::password::{HashingAlgorithm, InvalidHash, PasswordHash, SALT_LEN, Salt};
pub use self::permissions::{InvalidPermission, Permission, Permissions, Right, TopicPermissions};
pub use self::throttle::LoginThrottle;
pub use self::user::{Tags, User, UserLimits};
