//! Users and their passwords.

use std::collections::HashMap;

use subtle::ConstantTimeEq;

/// The users that the broker knows.
#[derive(Debug, Default, Clone)]
pub struct Users {
    users: HashMap<String, User>,
}

/// One user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The password, as configured.
    pub password: String,
    /// Only clients on this machine may be this user.
    pub loopback_only: bool,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("loopback_only", &self.loopback_only).finish_non_exhaustive()
    }
}

/// Why a login was refused; for the log, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// No such user, or another password.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The user may not come from elsewhere.
    #[error("user can only connect via localhost")]
    LoopbackOnly,
}

impl Users {
    /// Adds a user.
    pub fn add(&mut self, name: impl Into<String>, user: User) {
        self.users.insert(name.into(), user);
    }

    /// Checks a password. The time taken does not tell how much of it was right.
    ///
    /// # Errors
    /// [`LoginRefused`], with the reason for the log.
    pub fn check(
        &self,
        name: &str,
        password: &[u8],
        from_loopback: bool,
    ) -> Result<(), LoginRefused> {
        let user = self.users.get(name).ok_or(LoginRefused::InvalidCredentials)?;
        if !bool::from(user.password.as_bytes().ct_eq(password)) {
            return Err(LoginRefused::InvalidCredentials);
        }
        if user.loopback_only && !from_loopback {
            return Err(LoginRefused::LoopbackOnly);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_comes_in_from_this_machine_only_and_with_the_right_password() {
        let mut users = Users::default();
        users.add("guest", User { password: "guest".to_owned(), loopback_only: true });
        assert_eq!(users.check("guest", b"guest", true), Ok(()));
        assert_eq!(users.check("guest", b"guest", false), Err(LoginRefused::LoopbackOnly));
        assert_eq!(users.check("guest", b"gues", true), Err(LoginRefused::InvalidCredentials));
        assert_eq!(users.check("guest", b"", true), Err(LoginRefused::InvalidCredentials));
        assert_eq!(users.check("nobody", b"guest", true), Err(LoginRefused::InvalidCredentials));
    }
}
