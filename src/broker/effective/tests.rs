//! Which of three sources wins.

use amqp_codec::ShortString;

use super::*;

fn policy(key: &str, value: impl Into<FieldValue>) -> Policy {
    Policy::new("p", "", [(key, value)]).unwrap()
}

fn arguments(name: &str, value: impl Into<FieldValue>) -> FieldTable {
    [(ShortString::truncated(name), value.into())].into_iter().collect()
}

#[test]
fn the_smallest_number_is_in_force() {
    let (own, policy, operator) =
        (arguments("x-max-length", 7), policy("max-length", 5), policy("max-length", 6_i64));
    let integer = |sources: Sources<'_>| sources.integer("x-max-length", "max-length");
    let all = Sources { arguments: &own, policy: Some(&policy), operator: Some(&operator) };
    assert_eq!(integer(all), Some(5));
    assert_eq!(integer(Sources { policy: None, ..all }), Some(6));
    assert_eq!(integer(Sources::arguments_only(&own)), Some(7));
    let none = FieldTable::new();
    assert_eq!(integer(Sources { arguments: &none, ..all }), Some(5));
    assert_eq!(integer(Sources::arguments_only(&none)), None);
    assert_eq!(all.integer("x-message-ttl", "message-ttl"), None);
}

#[test]
fn no_limit_gives_way_to_any() {
    let own = arguments("x-delivery-limit", 20);
    let unlimited = policy("delivery-limit", -1);
    let sources = Sources { arguments: &own, policy: Some(&unlimited), operator: None };
    assert_eq!(sources.integer("x-delivery-limit", "delivery-limit"), Some(20));
    let none = FieldTable::new();
    let sources = Sources { arguments: &none, ..sources };
    assert_eq!(sources.integer("x-delivery-limit", "delivery-limit"), None);
}

#[test]
fn of_texts_the_argument_wins_then_the_operator() {
    let own = arguments("x-overflow", "reject-publish-dlx");
    let policy = policy("overflow", "drop-head");
    let operator = self::policy("overflow", "reject-publish");
    let text = |sources: Sources<'_>| {
        let text = sources.text("x-overflow", "overflow");
        text.map(|text| String::from_utf8(text.to_vec()).unwrap())
    };
    let all = Sources { arguments: &own, policy: Some(&policy), operator: Some(&operator) };
    assert_eq!(text(all).as_deref(), Some("reject-publish-dlx"));
    let none = FieldTable::new();
    let without = Sources { arguments: &none, ..all };
    assert_eq!(text(without).as_deref(), Some("reject-publish"));
    assert_eq!(text(Sources { operator: None, ..without }).as_deref(), Some("drop-head"));
    assert_eq!(text(Sources::arguments_only(&none)), None);
}

#[test]
fn values_of_another_type_do_not_count() {
    let own = arguments("x-overflow", 1);
    let policy = policy("overflow", "drop-head");
    let sources = Sources { arguments: &own, policy: Some(&policy), operator: None };
    assert_eq!(sources.text("x-overflow", "overflow"), Some(&b"drop-head"[..]));
    assert_eq!(sources.integer("x-overflow", "overflow"), Some(1));
}
