//! Policies of a vhost in force for what is declared before and after them.

use amqp_codec::{FieldTable, FieldValue};

use super::*;
use crate::broker::policy::ApplyTo;
use crate::broker::queue_cell::{ConnectionId, QueueCell, QueueProperties};
use crate::broker::routing::{Publication, Router};
use crate::broker::vhost::tests::{Names, origin};

const ME: ConnectionId = ConnectionId(1);

fn short(name: &str) -> ShortString {
    ShortString::truncated(name)
}

fn alternate(name: &str, pattern: &str, exchange: &'static str) -> Policy {
    Policy::new(name, pattern, [("alternate-exchange", exchange)]).unwrap()
}

fn length(name: &str, pattern: &str, max: i32) -> Policy {
    Policy::new(name, pattern, [("max-length", max)]).unwrap()
}

impl Names {
    fn set_policy(&self, policy: Policy) {
        self.0.set_policy(policy, origin(), &mut Vec::new());
    }

    fn delete_policy(&self, name: &str) -> bool {
        self.0.delete_policy(name, origin(), &mut Vec::new())
    }

    fn set_operator_policy(&self, policy: Policy) -> Result<(), PolicyError> {
        self.0.set_operator_policy(policy, origin(), &mut Vec::new())
    }

    fn delete_operator_policy(&self, name: &str) -> bool {
        self.0.delete_operator_policy(name, origin(), &mut Vec::new())
    }
}

/// A vhost whose exchanges `rest` and `other` lead to queues of the same names.
fn two_alternates() -> Names {
    let it = Names::new();
    let _queues = [it.queue("rest"), it.queue("other")];
    it.fanout("rest").fanout("other").bind("rest", "rest", "").bind("other", "other", "");
    it
}

#[test]
fn an_alternate_exchange_follows_its_policy_at_once() {
    let it = two_alternates();
    it.exchange("before", Names::direct());
    assert_eq!(it.route("before", "k"), [""; 0]);
    it.set_policy(alternate("p", "^(before|after)$", "rest"));
    it.exchange("after", Names::direct()).exchange("elsewhere", Names::direct());
    assert_eq!(
        (it.route("before", "k"), it.route("after", "k")),
        (vec!["rest".into()], vec!["rest".into()])
    );
    assert_eq!(it.route("elsewhere", "k"), [""; 0]);
    it.set_policy(alternate("p", "^before$", "other"));
    assert_eq!(it.route("before", "k"), ["other"]);
    assert_eq!(it.route("after", "k"), [""; 0], "the pattern is another now");
    it.set_policy(alternate("stronger", "", "rest").with_priority(1));
    assert_eq!(it.route("before", "k"), ["rest"]);
    assert!(it.delete_policy("stronger") && it.delete_policy("p"));
    assert_eq!(it.route("before", "k"), [""; 0]);
    assert!(!it.delete_policy("p"));
}

/// As measured on RabbitMQ 3.10.
#[test]
fn the_argument_wins_and_the_default_exchange_has_no_alternate() {
    let it = two_alternates();
    it.with_alternate("own", "other");
    it.set_policy(alternate("p", "", "rest"));
    assert_eq!(it.route("own", "k"), ["other"]);
    assert_eq!(it.route("", "no such queue"), [""; 0]);
    assert_eq!(it.route("amq.direct", "k"), ["rest"], "predeclared ones are exchanges like any");
    it.set_policy(alternate("p", "", "missing"));
    assert_eq!(it.route("amq.direct", "k"), [""; 0]);
    it.set_policy(alternate("p", "", "rest").with_apply_to(ApplyTo::Queues));
    assert_eq!(it.route("amq.direct", "k"), [""; 0]);
}

#[test]
fn remembered_routes_go_when_a_policy_changes_them_and_only_then() {
    let it = two_alternates();
    it.exchange("x", Names::direct());
    let version = it.0.version();
    it.set_policy(length("p", "", 1));
    assert_eq!(it.0.version(), version, "a length is no route");
    it.set_policy(alternate("q", "^x$", "rest").with_priority(1));
    let changed = it.0.version();
    assert_ne!(changed, version);
    it.set_policy(alternate("q", "^x$", "rest").with_priority(2));
    assert_eq!(it.0.version(), changed, "another policy to the same effect");
    it.delete_policy("q");
    assert_ne!(it.0.version(), changed);
    let mut router = Router::default();
    let publication = Publication {
        exchange: &short("x"),
        routing_keys: &[b"k"],
        properties: &[0, 0],
        now: origin(),
    };
    let route = it.0.route(&mut router, &publication).unwrap();
    assert!(route.queues.is_empty());
}

fn in_force(queue: &QueueCell) -> (Option<String>, Option<String>) {
    let shown = queue.effective_definition();
    (shown.policy, shown.operator_policy)
}

#[test]
fn queues_get_their_policies_when_declared_and_whenever_these_change() {
    let it = Names::new();
    let before = it.queue("before");
    assert_eq!(in_force(&before), (None, None));
    it.set_policy(length("p", "^(before|after)$", 5));
    it.set_operator_policy(length("o", "e", 3)).unwrap();
    let [after, other] = [it.queue("after"), it.queue("x")];
    let both = (Some("p".to_owned()), Some("o".to_owned()));
    assert_eq!([in_force(&before), in_force(&after)], [both.clone(), both]);
    assert_eq!(in_force(&other), (None, None));
    let limit = |queue: &QueueCell| {
        let policies = queue.policies.lock();
        policies.sources(&queue.properties.arguments).integer("x-max-length", "max-length")
    };
    assert_eq!(limit(&before), Some(3));
    it.set_operator_policy(length("o", "e", 7)).unwrap();
    assert_eq!(limit(&before), Some(5), "the same name, another policy");
    assert!(it.delete_policy("p"));
    assert_eq!((limit(&before), in_force(&before).0), (Some(7), None));
    assert!(it.delete_operator_policy("o") && !it.delete_operator_policy("o"));
    assert_eq!((limit(&before), in_force(&after)), (None, (None, None)));
}

#[test]
fn queues_are_matched_by_type() {
    let it = Names::new();
    let lazy = Policy::new("lazy", "", [("queue-mode", "lazy")]).unwrap();
    it.set_policy(lazy.with_apply_to(ApplyTo::QuorumQueues));
    let arguments: FieldTable =
        [(short("x-queue-type"), FieldValue::from("classic"))].into_iter().collect();
    let properties = QueueProperties { arguments, ..QueueProperties::default() };
    let queue = it.0.declare_queue(&short("q"), properties, ME, origin()).unwrap();
    assert_eq!(in_force(&queue), (None, None));
    it.set_policy(length("p", "", 1).with_apply_to(ApplyTo::ClassicQueues));
    assert_eq!(in_force(&queue), (Some("p".to_owned()), None));
}

#[test]
fn an_operator_policy_that_is_refused_changes_nothing() {
    let it = Names::new();
    let queue = it.queue("q");
    it.set_operator_policy(length("o", "", 1)).unwrap();
    assert!(it.set_operator_policy(alternate("o", "", "x")).is_err());
    assert_eq!(in_force(&queue), (None, Some("o".to_owned())));
    assert_eq!(it.0.operator_policies().len(), 1);
    assert!(it.0.policies().is_empty());
}

#[test]
fn an_administrator_sees_what_is_in_force_for_an_exchange() {
    let it = two_alternates();
    it.set_policy(alternate("p", "^rest$", "other"));
    let shown = it.0.exchange_policies(&short("rest")).unwrap();
    assert_eq!(shown.policy.as_deref(), Some("p"));
    assert_eq!(shown.definition.get("alternate-exchange"), Some(&"other".into()));
    assert_eq!(it.0.exchange_policies(&short("other")).unwrap(), EffectiveDefinition::default());
    assert!(it.0.exchange_policies(&short("none")).is_err());
}

/// Whoever sets a policy last is in force in the end, whatever else is declared meanwhile.
#[test]
fn policies_that_change_at_once_leave_every_queue_with_the_last() {
    let it = Names::new();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let vhost = &it.0;
            scope.spawn(move || {
                for round in 0..50 {
                    vhost.set_policy(length("p", "", round), origin(), &mut Vec::new());
                    let name = short(&format!("{worker}.{round}"));
                    vhost.declare_queue(&name, QueueProperties::default(), ME, origin()).unwrap();
                }
            });
        }
    });
    let last = it.0.policies().remove(0);
    let queues = it.0.queues();
    assert_eq!(queues.len(), 200);
    for queue in queues {
        let policies = queue.policies.lock();
        assert!(policies.policy.as_ref().is_some_and(|policy| Arc::ptr_eq(policy, &last)));
    }
}
