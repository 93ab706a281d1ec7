//! Definitions that are refused, and which policy is in force where. As measured on RabbitMQ 3.10.8, but
//! where it says otherwise.

use super::*;

fn text(value: &'static str) -> FieldValue {
    value.into()
}

fn policy(name: &str, pattern: &str) -> Policy {
    Policy::new(name, pattern, [("max-length", 1)]).unwrap()
}

fn refusal(definition: &[(&str, FieldValue)]) -> String {
    Policy::new("p", "", definition.iter().cloned()).unwrap_err().to_string()
}

fn is_accepted(key: &str, value: impl Into<FieldValue>) -> bool {
    Policy::new("p", "", [(key, value.into())]).is_ok()
}

#[test]
fn values_of_the_wrong_type_or_range_are_refused_in_rabbitmqs_words() {
    let refused: &[(&str, FieldValue, &str)] = &[
        ("alternate-exchange", 1.into(), "1 is not a valid alternate exchange name"),
        ("alternate-exchange", true.into(), "true is not a valid alternate exchange name"),
        ("alternate-exchange", FieldValue::Void, "null is not a valid alternate exchange name"),
        ("dead-letter-exchange", 0.into(), "0 is not a valid dead letter exchange name"),
        ("dead-letter-routing-key", 0.into(), "0 is not a valid dead letter routing key"),
        ("dead-letter-strategy", text("abc"), "<<\"abc\">> is not a valid dead letter strategy"),
        ("dead-letter-strategy", text(""), "<<>> is not a valid dead letter strategy"),
        ("message-ttl", (-1).into(), "-1 is not a valid message TTL"),
        ("message-ttl", FieldValue::F64(1.5), "1.5 is not a valid message TTL"),
        ("message-ttl", text("1"), "<<\"1\">> is not a valid message TTL"),
        ("expires", 0.into(), "0 is not a valid queue expiry"),
        ("max-length", (-1).into(), "-1 is not a valid maximum length"),
        ("max-length-bytes", (-1).into(), "-1 is not a valid maximum length in bytes"),
        ("max-in-memory-length", (-1).into(), "-1 is not a valid maximum memory in bytes"),
        ("max-in-memory-bytes", (-1).into(), "-1 is not a valid maximum memory in bytes"),
        ("queue-mode", text("q\"x"), "<<\"q\\\"x\">> is not a valid queue-mode value"),
        ("queue-mode", text("é"), "<<\"é\">> is not a valid queue-mode value"),
        ("queue-mode", text("a\nb"), "<<\"a\\nb\">> is not a valid queue-mode value"),
        ("queue-version", 3.into(), "3 is not a valid queue-version value"),
        ("overflow", text("abc"), "<<\"abc\">> is not a valid overflow value"),
        ("delivery-limit", text("abc"), "<<\"abc\">> is not a valid delivery limit"),
        ("max-age", text("0s"), "<<\"0s\">> is not a valid max age"),
        ("max-age", text("1w"), "<<\"1w\">> is not a valid max age"),
        ("stream-max-segment-size-bytes", (-1).into(), "-1 is not a valid segment size"),
        (
            "stream-max-segment-size-bytes",
            3_000_000_001_i64.into(),
            "3000000001 is not a valid segment size",
        ),
        ("queue-leader-locator", text("x"), "<<\"x\">> is not a valid queue leader locator value"),
        ("queue-master-locator", 0.into(), "0 invalid queue-master-locator value"),
        ("initial-cluster-size", (-1).into(), "-1 is not a valid cluster size"),
        ("federation-upstream", 1.into(), "1 is not a valid federation upstream name"),
        ("federation-upstream-set", 1.into(), "1 is not a valid federation upstream set name"),
        (
            "shards-per-node",
            (-1).into(),
            "shards-per-node should be greater than 0, actually was -1",
        ),
        ("ha-mode", text("abc"), "<<\"abc\">> is not a valid ha-mode value"),
        ("unknown", 1.into(), "[{<<\"unknown\">>,1}] are not recognised policy settings"),
        ("x-max-length", 1.into(), "[{<<\"x-max-length\">>,1}] are not recognised policy settings"),
        ("max-priority", 1.into(), "[{<<\"max-priority\">>,1}] are not recognised policy settings"),
    ];
    for (key, value, expected) in refused {
        assert_eq!(refusal(&[(key, value.clone())]), *expected, "{key} {value:?}");
    }
}

#[test]
fn nested_values_are_shown_as_erlang_terms() {
    let list = FieldValue::Array(vec!["a".into(), 1.into()]);
    let shown = "[<<\"a\">>,1] is not a valid message TTL";
    assert_eq!(refusal(&[("message-ttl", list)]), shown);
    let map = FieldTable::from_iter([(ShortString::truncated("a"), FieldValue::I32(1))]);
    let shown = "#{<<\"a\">> => 1} is not a valid message TTL";
    assert_eq!(refusal(&[("message-ttl", FieldValue::Table(map))]), shown);
}

/// RabbitMQ looks at the values first, in order of the keys, and at unknown keys last.
#[test]
fn of_several_mistakes_the_same_one_is_named() {
    assert_eq!(refusal(&[]), "no policy provided");
    let both = [("message-ttl", FieldValue::I32(-1)), ("expires", 0.into()), ("foo", 1.into())];
    assert_eq!(refusal(&both), "0 is not a valid queue expiry");
    let unknown = [("zfoo", FieldValue::I32(1)), ("message-ttl", 1.into()), ("bar", text("x"))];
    let shown = "[{<<\"bar\">>,<<\"x\">>},{<<\"zfoo\">>,1}] are not recognised policy settings";
    assert_eq!(refusal(&unknown), shown);
    let twice = [("max-length", FieldValue::I32(1)), ("max-length", 2.into())];
    assert_eq!(refusal(&twice), "[<<\"max-length\">>] duplicate keys not allowed");
    let long = "k".repeat(300);
    let shown = format!("[{{<<\"{long}\">>,1}}] are not recognised policy settings");
    assert_eq!(refusal(&[(&long, 1.into())]), shown);
}

#[test]
fn keys_that_make_sense_only_together_are_refused_alone() {
    let [all, exactly, nodes] = ["all", "exactly", "nodes"].map(|mode| ("ha-mode", text(mode)));
    let params = |value: FieldValue| ("ha-params", value);
    assert_eq!(refusal(&[params(1.into())]), PolicyError::NoHaMode.to_string());
    assert_eq!(
        refusal(&[all.clone(), params(1.into())]),
        "ha-mode=\"all\" does not take parameters"
    );
    assert_eq!(
        refusal(std::slice::from_ref(&exactly)),
        "ha-mode=\"exactly\" takes an integer, none given"
    );
    let shown = "ha-mode=\"exactly\" takes an integer, <<\"x\">> given";
    assert_eq!(refusal(&[exactly.clone(), params(text("x"))]), shown);
    let shown = "ha-mode=\"nodes\" list must be non-empty";
    assert_eq!(refusal(&[nodes.clone(), params(FieldValue::Array(vec![]))]), shown);
    let shown = "ha-sync-mode must be \"manual\" or \"automatic\", got <<\"x\">>";
    assert_eq!(refusal(&[all.clone(), ("ha-sync-mode", text("x"))]), shown);
    for fine in [vec![all], vec![exactly, params(2.into())]] {
        assert!(Policy::new("p", "", fine).is_ok());
    }
    let upstreams = [("federation-upstream", text("x")), ("federation-upstream-set", text("all"))];
    assert_eq!(refusal(&upstreams), PolicyError::SeveralUpstreams.to_string());
}

#[test]
fn every_key_takes_what_rabbitmq_takes() {
    for key in ["message-ttl", "max-length", "max-length-bytes", "initial-cluster-size"] {
        assert!(is_accepted(key, 0) && is_accepted(key, 1_i64 << 40), "{key}");
    }
    for age in ["1Y", "5M", "7D", "12h", "2m", "30s"] {
        assert!(is_accepted("max-age", age), "{age}");
    }
    // RabbitMQ 3.10 answers some of these with an internal error.
    for age in ["", "h", "-1h", "1 h", "1hh", "1", "0h", "é"] {
        assert!(!is_accepted("max-age", age), "{age}");
    }
    for words in [
        ("overflow", "reject-publish-dlx"),
        ("dead-letter-strategy", "at-least-once"),
        ("queue-leader-locator", "balanced"),
        ("queue-master-locator", "min-masters"),
        ("alternate-exchange", ""),
    ] {
        assert!(is_accepted(words.0, words.1), "{words:?}");
    }
}

/// What RabbitMQ 3.10 does not know yet.
#[test]
fn keys_of_later_versions_are_taken_too() {
    assert!(is_accepted("consumer-timeout", 1000));
    assert!(is_accepted("delivery-limit", -1), "no limit, where there is a default");
    assert!(is_accepted("delayed-retry-type", "failed"));
    assert!(is_accepted("delayed-retry-min", 100) && is_accepted("delayed-retry-max", 1000));
    assert!(is_accepted("stream-filter-size-bytes", 16));
    assert!(!is_accepted("stream-filter-size-bytes", 15));
    let federated = Policy::new("p", "", [("federation-upstream", "x")]).unwrap();
    assert_eq!(federated.not_acted_on().collect::<Vec<_>>(), ["federation-upstream"]);
}

#[test]
fn a_pattern_matches_anywhere_in_a_name_octet_by_octet() {
    let matches = |pattern, name: &str| Pattern::new(pattern).unwrap().matches(name.as_bytes());
    assert!(matches("", "any") && matches("rde", "orders") && matches("^q", "q"));
    assert!(!matches("^rde", "orders") && !matches("Q", "q") && !matches("a.b", "a\nb"));
    assert!(matches("(?i)Q", "q") && matches("é", "é") && matches("^..$", "é"));
    assert!(Pattern::new("").unwrap().matches(&[0xff]));
}

#[test]
fn a_pattern_may_begin_with_what_is_left_out() {
    let matches = |pattern, name: &str| Pattern::new(pattern).unwrap().matches(name.as_bytes());
    let others = r"^(?!amq\.).*";
    assert!(
        matches(others, "orders") && matches(others, "x.amq.y") && !matches(others, "amq.gen-1")
    );
    assert!(
        matches(r"^(?!a(b|c)[)])(?!d)\w+$", "ab") && !matches(r"^(?!a(b|c)[)])(?!d)\w+$", "db")
    );
    assert!(!matches(r"^(?!a(b|c)[)])", "ac)"));
    assert!(Pattern::new("^(?!a)b|c").is_err(), "not at the beginning of the whole");
    assert!(Pattern::new("a(?!b)").is_err());
}

#[test]
fn a_pattern_that_is_none_is_refused_and_so_is_a_huge_one() {
    let refused = |pattern| Policy::new("p", pattern, [("max-length", 1)]).unwrap_err().to_string();
    let begins = "pattern should be regular expression but is invalid: ";
    for pattern in ["(", "[", "*", "[z-a]", "a\\", "^(?!(", "(a{1000}){1000}"] {
        let text = refused(pattern);
        assert!(text.starts_with(begins) && !text.contains('\n'), "{text}");
    }
    assert_eq!(refused("("), format!("{begins}unclosed group"));
}

#[test]
fn apply_to_has_rabbitmqs_names() {
    for name in ["all", "exchanges", "queues", "classic_queues", "quorum_queues", "streams"] {
        assert_eq!(ApplyTo::parse(name).map(|it| it.to_string()), Ok(name.to_owned()));
    }
    let refused = ApplyTo::parse("foo").unwrap_err().to_string();
    assert!(refused.starts_with("apply-to 'foo' unrecognised; should be one of: "), "{refused}");
}

#[test]
fn the_highest_priority_is_in_force_alone_and_of_equals_the_first_name() {
    let mut set = PolicySet::default();
    let winner = |set: &PolicySet| {
        let found = set.for_queue(b"q", QueueKind::Classic);
        found.map(|policy| policy.name().to_owned())
    };
    assert_eq!(winner(&set), None);
    set.set(policy("low", "").with_priority(-1));
    set.set(policy("b", "^q"));
    set.set(policy("a", "^q"));
    assert_eq!(winner(&set).as_deref(), Some("a"));
    set.set(policy("high", "^q$").with_priority(5));
    set.set(policy("higher, of others", "^x").with_priority(9));
    assert_eq!(winner(&set).as_deref(), Some("high"));
    set.set(policy("high", "^q$").with_priority(-5));
    assert_eq!(winner(&set).as_deref(), Some("a"), "set again, it is another one");
    assert!(set.delete("a") && set.delete("b") && !set.delete("a"));
    assert_eq!(winner(&set).as_deref(), Some("low"));
    let names: Vec<&str> = set.list().iter().map(|policy| policy.name()).collect();
    assert_eq!(names, ["higher, of others", "low", "high"]);
    assert!(set.get("low").is_some() && set.get("a").is_none());
}

#[test]
fn apply_to_decides_what_a_policy_is_for() {
    use QueueKind::{Classic, Quorum, Stream};
    let table: [(ApplyTo, [bool; 4]); 6] = [
        (ApplyTo::All, [true, true, true, true]),
        (ApplyTo::Exchanges, [true, false, false, false]),
        (ApplyTo::Queues, [false, true, true, true]),
        (ApplyTo::ClassicQueues, [false, true, false, false]),
        (ApplyTo::QuorumQueues, [false, false, true, false]),
        (ApplyTo::Streams, [false, false, false, true]),
    ];
    for (apply_to, expected) in table {
        let policy = Policy::new("p", "", [("max-length-bytes", 1)]).unwrap();
        let policy = policy.with_apply_to(apply_to);
        let [classic, quorum, stream] =
            [Classic, Quorum, Stream].map(|kind| policy.is_for_queue(b"n", kind));
        let found = [policy.is_for_exchange(b"n"), classic, quorum, stream];
        assert_eq!(found, expected, "{apply_to}");
    }
}

/// RabbitMQ's rule, which surprises: the whole policy is passed over, not only the key.
#[test]
fn a_policy_with_a_key_that_a_queues_type_has_not_is_not_for_that_queue() {
    use QueueKind::{Classic, Quorum, Stream};
    let is_for = |keys: &[(&str, FieldValue)]| {
        let policy = Policy::new("p", "", keys.iter().cloned()).unwrap();
        [Classic, Quorum, Stream].map(|kind| policy.is_for_queue(b"n", kind))
    };
    let length = ("max-length", FieldValue::I32(1));
    let mode = ("queue-mode", text("lazy"));
    assert_eq!(is_for(std::slice::from_ref(&length)), [true, true, false]);
    assert_eq!(is_for(&[length.clone(), mode]), [true, false, false]);
    assert_eq!(is_for(&[length, ("max-age", text("1h"))]), [false; 3]);
    assert_eq!(is_for(&[("max-age", text("1h"))]), [false, false, true]);
    assert_eq!(is_for(&[("dead-letter-strategy", text("at-most-once"))]), [false, true, false]);
    assert_eq!(is_for(&[("alternate-exchange", text("x"))]), [true; 3]);
    // Classic queues have a delivery limit here; in RabbitMQ they have not.
    assert_eq!(is_for(&[("delivery-limit", 1.into())]), [true, true, false]);
}

#[test]
fn an_operator_policy_sets_limits_only() {
    let mut policies = Policies::default();
    let mut set = |key: &str, value: FieldValue| {
        policies.set_operator(Policy::new("o", "", [(key, value)]).unwrap()).map(|_| ())
    };
    for key in [
        "expires",
        "message-ttl",
        "max-length",
        "max-length-bytes",
        "max-in-memory-length",
        "max-in-memory-bytes",
        "delivery-limit",
        "queue-version",
    ] {
        assert_eq!(set(key, 1.into()), Ok(()), "{key}");
    }
    assert_eq!(set("overflow", text("drop-head")), Ok(()));
    for key in ["dead-letter-exchange", "alternate-exchange"] {
        let expected = format!("[{{<<\"{key}\">>,<<\"x\">>}}] are not recognised policy settings");
        assert_eq!(set(key, text("x")).unwrap_err().to_string(), expected);
    }
    let kept = policies.operator_policies().get("o").unwrap();
    assert!(kept.get("overflow").is_some(), "the refused ones changed nothing");
}

#[test]
fn an_administrator_sees_both_definitions_merged() {
    let mut policies = Policies::default();
    let shown =
        |policies: &Policies| policies.for_queue(b"q", QueueKind::Classic).effective_definition();
    assert_eq!(shown(&policies), EffectiveDefinition::default());
    let own = [
        ("message-ttl", FieldValue::I32(9)),
        ("max-length", 10.into()),
        ("dead-letter-exchange", text("d")),
        ("overflow", text("drop-head")),
        ("delivery-limit", (-1).into()),
        ("queue-version", 1.into()),
    ];
    policies.set(Policy::new("p", "^q", own).unwrap());
    let operators = [
        ("message-ttl", FieldValue::I32(5)),
        ("max-length", 20.into()),
        ("expires", 7.into()),
        ("overflow", text("reject-publish")),
        ("delivery-limit", 3.into()),
        ("queue-version", 2.into()),
    ];
    policies.set_operator(Policy::new("o", "^q", operators).unwrap()).unwrap();
    let merged = [
        ("dead-letter-exchange", text("d")),
        ("delivery-limit", 3.into()),
        ("expires", 7.into()),
        ("max-length", 10.into()),
        ("message-ttl", 5.into()),
        ("overflow", text("reject-publish")),
        ("queue-version", 2.into()),
    ];
    let definition = merged.map(|(key, value)| (ShortString::truncated(key), value));
    let expected = EffectiveDefinition {
        policy: Some("p".to_owned()),
        operator_policy: Some("o".to_owned()),
        definition: definition.into_iter().collect(),
    };
    assert_eq!(shown(&policies), expected);
    assert!(policies.delete("p"));
    let alone = shown(&policies);
    assert_eq!((alone.policy, alone.definition.len()), (None, 6));
    assert!(policies.delete_operator("o") && !policies.delete_operator("o"));
    assert_eq!(shown(&policies), EffectiveDefinition::default());
}
