//! Where somebody comes from, as limits count it.

use std::net::{IpAddr, Ipv6Addr};

/// An address, or a network whose addresses one owner has anyway.
///
/// Who has one address of version 6 has 2^64 of them, so these count as one; and an address of version 4 is the
/// same whichever socket it came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl Origin {
    /// This machine.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            // There is one of it, and its network is nobody's.
            address if address.is_loopback() => address,
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)))
            }
            address => address,
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V6(network) if !network.is_loopback() => write!(f, "{network}/64"),
            address => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_version_6_is_one_origin_and_each_address_of_version_4() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        for (address, shown) in [
            ("2001:db8::1", "2001:db8::/64"),
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
        ] {
            assert_eq!(origin(address).to_string(), shown);
        }
        assert!(origin("::1").is_loopback() && origin("::ffff:127.0.0.1").is_loopback());
        assert!(!origin("::2").is_loopback());
    }
}
