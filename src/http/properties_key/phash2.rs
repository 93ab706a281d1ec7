//! Erlang's `phash2`: the hash that RabbitMQ puts into the keys of bindings.
//!
//! Bob Jenkins' mix over the parts of a term in their order (`make_hash2` in the runtime's `erl_term_hashing.c`).

/// A term, as far as tables of arguments are made of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term<'a> {
    Integer(i128),
    Float(f64),
    Atom(&'a str),
    Binary(&'a [u8]),
    Tuple(Vec<Term<'a>>),
    List(Vec<Term<'a>>),
}

/// The golden ratio; every type of term has a multiple of it.
const RATIO: u32 = 0x9E37_79B9;
const INTEGER: u32 = RATIO;
const NIL: u32 = RATIO.wrapping_mul(2);
const ATOM: u32 = RATIO.wrapping_mul(3);
const TEXT: u32 = RATIO.wrapping_mul(4);
const TUPLE: u32 = RATIO.wrapping_mul(9);
const NEGATIVE: u32 = RATIO.wrapping_mul(10);
const POSITIVE: u32 = RATIO.wrapping_mul(11);
const FLOAT: u32 = RATIO.wrapping_mul(12);
const BINARY: u32 = RATIO.wrapping_mul(13);

/// The hash of a term: `erlang:phash2(Term, 1 bsl 32)`.
pub(super) fn phash2(term: &Term<'_>) -> u32 {
    after(0, term)
}

/// The hash of what came before, and of a term behind it.
fn after(hash: u32, term: &Term<'_>) -> u32 {
    match term {
        Term::Integer(value) => integer(hash, *value),
        Term::Float(value) => {
            // Both zeros are one.
            let bits = (value + 0.0).to_bits();
            mix2(high(bits), low(bits), hash, FLOAT)
        }
        Term::Atom(name) if hash == 0 => atom(name),
        Term::Atom(name) => mix1(atom(name), hash, ATOM),
        Term::Binary([]) => BINARY.wrapping_add(hash),
        Term::Binary(bytes) => block(bytes, BINARY.wrapping_add(hash)),
        Term::Tuple(items) => {
            let arity = u32::try_from(items.len()).unwrap_or(u32::MAX);
            items.iter().fold(mix1(arity, hash, TUPLE), after)
        }
        Term::List(items) => list(hash, items),
    }
}

/// Octets at the beginning of a list are taken four at a time: that is how Erlang has texts.
fn list(mut hash: u32, items: &[Term<'_>]) -> u32 {
    let octet = |item: &Term<'_>| match item {
        Term::Integer(value) => u8::try_from(*value).ok(),
        _ => None,
    };
    let text: Vec<u8> = items.iter().map_while(octet).collect();
    for word in text.chunks(4) {
        let word = word.iter().fold(0_u32, |word, octet| (word << 8) + u32::from(*octet));
        hash = mix1(word, hash, TEXT);
    }
    let hash = items[text.len()..].iter().fold(hash, after);
    // The end of every list.
    mix1(2, hash, NIL)
}

fn integer(hash: u32, value: i128) -> u32 {
    const SMALL: std::ops::Range<i128> = -(1 << 27)..(1 << 27);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "words are wanted")]
    let word = |value: i128| value as u32;
    if SMALL.contains(&value) {
        // What is negative is mixed twice.
        let hash = if value < 0 { mix1(word(-value), hash, INTEGER) } else { hash };
        return mix1(word(value), hash, INTEGER);
    }
    let (magnitude, constant) = if value < 0 { (-value, NEGATIVE) } else { (value, POSITIVE) };
    mix2(word(magnitude), word(magnitude >> 32), hash, constant)
}

/// The hash of an atom's name (`hashpjw`).
fn atom(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, octet| {
        let hash = (hash << 4).wrapping_add(u32::from(octet));
        match hash & 0xF000_0000 {
            0 => hash,
            top => (hash ^ (top >> 24)) ^ top,
        }
    })
}

/// The hash of octets.
fn block(bytes: &[u8], start: u32) -> u32 {
    let (mut a, mut b, mut c) = (RATIO, RATIO, start);
    let whole = bytes.chunks_exact(12);
    let rest = whole.remainder();
    for chunk in whole {
        a = a.wrapping_add(word(&chunk[..4]));
        b = b.wrapping_add(word(&chunk[4..8]));
        c = c.wrapping_add(word(&chunk[8..]));
        (a, b, c) = mix(a, b, c);
    }
    c = c.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let part = |from: usize, to: usize| rest.get(from..to.min(rest.len())).map_or(0, word);
    a = a.wrapping_add(part(0, 4));
    b = b.wrapping_add(part(4, 8));
    // The lowest octet is the length's.
    c = c.wrapping_add(part(8, 11) << 8);
    mix(a, b, c).2
}

/// Up to four octets, the lowest first.
fn word(octets: &[u8]) -> u32 {
    octets.iter().rev().fold(0, |word, octet| (word << 8) | u32::from(*octet))
}

fn mix1(value: u32, hash: u32, constant: u32) -> u32 {
    mix2(value, 0, hash, constant)
}

fn mix2(one: u32, other: u32, hash: u32, constant: u32) -> u32 {
    mix(constant.wrapping_add(one), constant.wrapping_add(other), hash).2
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 13);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 8);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 13);
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 12);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 16);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 5);
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 3);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 10);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 15);
    (a, b, c)
}

fn low(bits: u64) -> u32 {
    (bits & 0xFFFF_FFFF) as u32
}

fn high(bits: u64) -> u32 {
    (bits >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::Term::{Atom, Binary, Float, Integer, List, Tuple};
    use super::*;

    fn entry<'a>(name: &'a str, kind: &'a str, value: Term<'a>) -> Term<'a> {
        Tuple(vec![Binary(name.as_bytes()), Atom(kind), value])
    }

    /// Goal: the hashes are Erlang's. What is expected was printed by Erlang/OTP 25.
    #[test]
    fn hashes_are_those_of_erlang() {
        let nested = List(vec![
            Tuple(vec![Atom("long"), Integer(1)]),
            Tuple(vec![Atom("longstr"), Binary(b"a")]),
        ]);
        let cases = [
            (Integer(1), 539_485_162),
            (Integer(0), 3_175_731_469),
            (Integer(-1), 1_117_813_597),
            (Integer(300), 712_265_692),
            (Integer(5_000_000_000), 4_245_075_809),
            (Integer(-5_000_000_000), 3_666_884_218),
            (Integer(1 << 62), 834_544_497),
            (Atom("longstr"), 56_945_346),
            (Atom("true"), 506_293),
            (List(vec![]), 3_468_870_702),
            (Binary(b""), 147_926_629),
            (Binary(b"k"), 1_590_930_917),
            (Binary(b"hello world, this is more"), 1_527_162_305),
            (Float(1.5), 2_023_646_235),
            (Float(-0.0), 423_528_920),
            (entry("k", "longstr", Binary(b"t")), 1_974_320_212),
            (List(vec![entry("k", "longstr", Binary(b"t"))]), 4_207_966_287),
            (List(vec![entry("x", "signedint", Integer(1))]), 3_791_949_308),
            (List(vec![entry("k", "array", nested)]), 262_545_448),
            (List(vec![entry("k", "table", List(vec![]))]), 335_199_304),
            (List(vec![entry("k", "bool", Atom("true"))]), 896_762_095),
            (List(vec![entry("k", "long", Integer(-3))]), 3_151_006_184),
            (List(vec![entry("k", "void", Atom("undefined"))]), 500_891_071),
        ];
        for (term, expected) in cases {
            assert_eq!(phash2(&term), expected, "{term:?}");
        }
    }
}
