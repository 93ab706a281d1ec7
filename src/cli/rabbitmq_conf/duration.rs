//! Times as `rabbitmq.conf` has them: `90s`, `1h30m`, or milliseconds without a unit.

/// Units from the longest to the shortest, in milliseconds. `ms` comes before `m` and `s`, which it begins like.
const UNITS: [(&str, i64); 7] = [
    ("ms", 1),
    ("f", 14 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
];

/// Such a time in milliseconds.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let (name, factor) = UNITS.iter().find(|(name, _)| unit.starts_with(name))?;
        sum = number.parse::<i64>().ok()?.checked_mul(*factor)?.checked_add(sum)?;
        rest = &unit[name.len()..];
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn units_add_up() {
        for (text, expected) in [
            ("1500", Some(1500)),
            ("10s", Some(10_000)),
            ("1h30m", Some(5_400_000)),
            ("1m5ms", Some(60_005)),
            ("1f", Some(1_209_600_000)),
            ("", None),
            ("s", None),
            ("5", Some(5)),
            ("5s5", None),
            ("5y", None),
            ("99999999999999999999s", None),
            ("9223372036854775807w", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
