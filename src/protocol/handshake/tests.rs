//! SASL and limits.

use super::*;

const OFFERED: [Mechanism; 2] = [Mechanism::Plain, Mechanism::AmqPlain];

fn start_ok(mechanism: &str, response: &'static [u8]) -> connection::StartOk {
    connection::StartOk {
        client_properties: FieldTable::default(),
        mechanism: ShortString::truncated(mechanism),
        response: Bytes::from_static(response),
        locale: ShortString::truncated("en_US"),
    }
}

fn read(mechanism: &str, response: &'static [u8]) -> Result<(String, Vec<u8>), LoginError> {
    login(start_ok(mechanism, response), &OFFERED).map(|login| (login.user, login.password))
}

#[test]
fn plain_is_user_and_password_between_nul_bytes() {
    let expected = Ok(("joe".to_owned(), b"pw".to_vec()));
    assert_eq!(read("PLAIN", b"\0joe\0pw"), expected);
    assert_eq!(read("PLAIN", b"\0\0"), Ok((String::new(), vec![])));
    for malformed in [&b""[..], b"guest", b"\0guest"] {
        assert_eq!(read("PLAIN", malformed), Err(LoginError::Malformed("PLAIN")));
    }
}

#[test]
fn amqplain_is_a_table_without_its_length_in_any_order() {
    let expected = Ok(("joe".to_owned(), b"pw".to_vec()));
    assert_eq!(read("AMQPLAIN", b"\x05LOGINS\0\0\0\x03joe\x08PASSWORDS\0\0\0\x02pw"), expected);
    let extra = b"\x08PASSWORDS\0\0\0\x02pw\x01xt\x01\x05LOGINS\0\0\0\x03joe";
    assert_eq!(read("AMQPLAIN", extra), expected);
    let lower_case = b"\x05loginS\0\0\0\x03joe\x08passwordS\0\0\0\x02pw";
    for malformed in [&b""[..], b"\x05LOGINS\0\0\0\x03joe", b"garbage", lower_case] {
        assert_eq!(read("AMQPLAIN", malformed), Err(LoginError::Malformed("AMQPLAIN")));
    }
}

#[test]
fn a_mechanism_that_was_not_offered_is_unknown() {
    for name in ["", "plain", "FOO", "EXTERNAL", "ANONYMOUS"] {
        let unknown = Err(LoginError::UnknownMechanism(name.to_owned()));
        assert_eq!(read(name, b"\0joe\0pw"), unknown);
    }
    assert!(login(start_ok("ANONYMOUS", b""), &[Mechanism::Anonymous]).is_ok());
    let external = login(start_ok("EXTERNAL", b"whoever"), &[Mechanism::External]).unwrap();
    assert_eq!((external.user, external.password), (String::new(), vec![]));
}

const OFFER: Limits = Limits { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };

fn answer(channel_max: u16, frame_max: u32, heartbeat: u16) -> Result<Limits, String> {
    let answer = connection::TuneOk { channel_max, frame_max, heartbeat };
    negotiate(OFFER, &answer).map_err(|exception| exception.text)
}

/// As measured on RabbitMQ 3.10.
#[test]
fn a_client_may_lower_a_limit_and_not_raise_it() {
    let limits =
        |channel_max, frame_max, heartbeat| Ok(Limits { channel_max, frame_max, heartbeat });
    assert_eq!(answer(2047, 131_072, 0), limits(2047, 131_072, 0));
    assert_eq!(answer(1, 4096, u16::MAX), limits(1, 4096, u16::MAX));
    let too_high = |name: &str, value: &str, max: &str| {
        Err(format!("negotiated {name} = {value} is higher than the maximum allowed value ({max})"))
    };
    assert_eq!(answer(2048, 131_072, 0), too_high("channel_max", "2048", "2047"));
    assert_eq!(answer(0, 131_072, 0), too_high("channel_max", "0 (no limit)", "2047"));
    assert_eq!(answer(10, 131_073, 0), too_high("frame_max", "131073", "131072"));
    assert_eq!(answer(10, 0, 0), too_high("frame_max", "0 (no limit)", "131072"));
    assert!(answer(10, 4095, 0).is_err_and(|text| text.contains("lower than the minimum")));
}

#[test]
fn a_broker_without_a_limit_takes_any() {
    let offer = Limits { channel_max: 0, frame_max: 0, heartbeat: 0 };
    for (channel_max, frame_max) in [(0, 0), (9, 9000)] {
        let answer = connection::TuneOk { channel_max, frame_max, heartbeat: 5 };
        assert_eq!(negotiate(offer, &answer), Ok(Limits { channel_max, frame_max, heartbeat: 5 }));
    }
}
