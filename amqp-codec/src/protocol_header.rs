//! The eight octets that open a connection.

/// Which protocol a client's first octets ask for.
///
/// Spec: section 4.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// `AMQP 0 0 9 1`: AMQP 0-9-1.
    Amqp091,
    /// `AMQP 1 1 0 9`: AMQP 0-9, whose methods are those of 0-9-1.
    Amqp09,
    /// `AMQP 1 1 8 0`: AMQP 0-8, sent by some old clients that speak 0-9-1 all the same. So is
    /// `AMQP 1 1 9 1`, which no specification has; RabbitMQ takes it.
    Amqp08,
    /// `AMQP id 1 0 0`: AMQP 1.0, another protocol altogether.
    Amqp10 {
        /// 0 for AMQP itself, 2 for TLS, 3 for SASL.
        protocol_id: u8,
    },
    /// Anything else: its first octets, filled up with zeros if it was clear before eight of them
    /// had arrived.
    Other([u8; 8]),
}

impl ProtocolHeader {
    /// What a client of AMQP 0-9-1 sends first, and what a server answers to any other header.
    pub const AMQP_0_9_1: [u8; Self::LEN] = *b"AMQP\x00\x00\x09\x01";

    /// The octets that a header takes of the input.
    pub const LEN: usize = 8;

    /// Looks at the first octets of a connection. `None` means that more are needed.
    ///
    /// What cannot become `AMQP` is recognised by its first wrong octet, because a TLS or HTTP
    /// client may wait for an answer without ever sending eight. It never fails: what is not
    /// known is [`ProtocolHeader::Other`].
    #[must_use]
    pub fn parse(input: &[u8]) -> Option<Self> {
        let prefix = input.len().min(4);
        if input[..prefix] != Self::AMQP_0_9_1[..prefix] {
            let mut first = [0; Self::LEN];
            let len = input.len().min(Self::LEN);
            first[..len].copy_from_slice(&input[..len]);
            return Some(Self::Other(first));
        }
        let header = input.first_chunk::<{ Self::LEN }>()?;
        Some(match header[4..] {
            [0, 0, 9, 1] => Self::Amqp091,
            [1, 1, 0, 9] => Self::Amqp09,
            [1, 1, 8, 0] | [1, 1, 9, 1] => Self::Amqp08,
            [protocol_id, 1, 0, 0] => Self::Amqp10 { protocol_id },
            _ => Self::Other(*header),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_versions() {
        let parse = |tail: [u8; 4]| ProtocolHeader::parse(&[b"AMQP".as_slice(), &tail].concat());
        assert_eq!(parse([0, 0, 9, 1]), Some(ProtocolHeader::Amqp091));
        assert_eq!(parse([1, 1, 0, 9]), Some(ProtocolHeader::Amqp09));
        assert_eq!(parse([1, 1, 8, 0]), Some(ProtocolHeader::Amqp08));
        assert_eq!(parse([3, 1, 0, 0]), Some(ProtocolHeader::Amqp10 { protocol_id: 3 }));
        assert_eq!(parse([1, 1, 8, 0]), Some(ProtocolHeader::Amqp08));
        assert_eq!(parse([1, 1, 9, 1]), Some(ProtocolHeader::Amqp08));
        let odd = *b"AMQP\x00\x00\x0a\x00";
        assert_eq!(ProtocolHeader::parse(&odd), Some(ProtocolHeader::Other(odd)));
    }

    #[test]
    fn waits_for_the_rest_of_a_good_start_only() {
        for len in 0..8 {
            assert_eq!(ProtocolHeader::parse(&ProtocolHeader::AMQP_0_9_1[..len]), None);
        }
        let other = |bytes: [u8; 8]| Some(ProtocolHeader::Other(bytes));
        assert_eq!(ProtocolHeader::parse(b"G"), other(*b"G\0\0\0\0\0\0\0"));
        assert_eq!(ProtocolHeader::parse(b"AMX"), other(*b"AMX\0\0\0\0\0"));
        assert_eq!(ProtocolHeader::parse(b"GET / HTTP/1.1\r\n"), other(*b"GET / HT"));
    }

    #[test]
    fn takes_eight_octets_and_leaves_the_rest() {
        let input = [&ProtocolHeader::AMQP_0_9_1, b"\x01\0\0".as_slice()].concat();
        assert_eq!(ProtocolHeader::parse(&input), Some(ProtocolHeader::Amqp091));
    }
}
