//! Users come and go, and what they may do with them.

use super::*;
use crate::auth::{Permission, Salt};

const SALT: Salt = [1, 2, 3, 4];

fn short(name: &str) -> ShortString {
    ShortString::truncated(name)
}

fn user(name: &str, password: &str) -> User {
    let password = PasswordHash::new(password.as_bytes(), SALT, HashingAlgorithm::default());
    User { password, ..User::new(name) }
}

/// Alice and Bob, who may both use everything in `/`; Alice also in `orders`.
fn control() -> AccessControl {
    let mut control = AccessControl::default();
    for (name, vhosts) in [("alice", &["/", "orders"][..]), ("bob", &["/"])] {
        control.put_user(user(name, name));
        for vhost in vhosts {
            control.set_permissions(name, short(vhost), Arc::new(Permissions::all())).unwrap();
        }
    }
    control
}

fn topics(user: &str, vhost: &str, exchange: &str, write: &str) -> TopicPermissionsOf {
    TopicPermissionsOf {
        user: user.to_owned(),
        vhost: short(vhost),
        exchange: short(exchange),
        permissions: TopicPermissions::new(write, "").unwrap(),
    }
}

#[test]
fn only_the_right_password_of_a_user_is_right() {
    let mut control = control();
    let verify =
        |name: &str, password: &[u8]| control.verify(name, password).map(|user| user.name.clone());
    assert_eq!(verify("alice", b"alice"), Ok("alice".to_owned()));
    for (name, password) in [("alice", "bob"), ("alice", ""), ("nobody", ""), ("", "")] {
        assert_eq!(verify(name, password.as_bytes()), Err(LoginRefused::InvalidCredentials));
    }
    control.put_user(User::new("bob"));
    let refused = control.verify("bob", b"").map(|user| user.name.clone());
    assert_eq!(
        refused,
        Err(LoginRefused::InvalidCredentials),
        "no password is none to log in with"
    );
    assert!(control.may_use("bob", &short("/")), "a user who changes keeps permissions");
}

#[test]
fn a_grant_is_what_one_user_may_do_in_one_vhost() {
    let mut control = control();
    let limited = Permissions::new("^mine", "^amq\\.default$", "").unwrap();
    assert_eq!(control.set_permissions("bob", short("/"), Arc::new(limited)), Ok(Put::Replaced));
    control.set_topic_permissions(topics("bob", "/", "amq.topic", "^{username}\\.")).unwrap();
    assert!(control.grant("bob", &short("orders")).is_none());
    assert!(control.grant("nobody", &short("/")).is_none());
    let grant = control.grant("bob", &short("/")).unwrap();
    assert!(grant.allows(Permission::Configure, &short("mine.1")));
    assert!(!grant.allows(Permission::Configure, &short("theirs")));
    assert!(grant.allows(Permission::Write, &short("")), "the default exchange has a name here");
    assert!(!grant.allows(Permission::Read, &short("mine.1")));
    let topic = short("amq.topic");
    assert!(grant.has_topics(&topic) && !grant.has_topics(&short("other")));
    assert!(grant.allows_topic(Permission::Write, &topic, b"bob.1"));
    assert!(!grant.allows_topic(Permission::Write, &topic, b"alice.1"));
    assert!(grant.allows_topic(Permission::Write, &short("other"), b"alice.1"));
    assert!(!grant.may_impersonate());
}

#[test]
fn the_tag_makes_an_impersonator() {
    let mut control = control();
    let tags = Tags::from_iter([Tags::IMPERSONATOR]);
    control.put_user(User { tags, ..user("bob", "bob") });
    assert!(control.grant("bob", &short("/")).unwrap().may_impersonate());
}

#[test]
fn a_user_goes_with_all_permissions_and_does_not_come_back_with_them() {
    let mut control = control();
    control.set_topic_permissions(topics("alice", "orders", "x", "")).unwrap();
    let removed = control.remove_user("alice");
    let kinds: Vec<_> = removed.iter().map(AccessDefinition::kind).collect();
    assert_eq!(kinds, ["permission", "permission", "topic_permission", "user"]);
    control.put_user(user("alice", "alice"));
    assert!(!control.may_use("alice", &short("/")));
    assert!(control.remove_user("nobody").is_empty());
    let unknown = control.set_permissions("nobody", short("/"), Arc::new(Permissions::all()));
    assert_eq!(unknown, Err(UnknownUser("nobody".to_owned())));
}

#[test]
fn a_vhost_goes_with_what_anybody_may_do_there() {
    let mut control = control();
    control.set_topic_permissions(topics("bob", "/", "x", "")).unwrap();
    assert_eq!(control.forget_vhost(&short("/")).len(), 3);
    assert!(!control.may_use("bob", &short("/")) && control.may_use("alice", &short("orders")));
    assert_eq!(control.all_topic_permissions().count(), 0);
}

#[test]
fn topic_permissions_are_cleared_one_by_one_or_all_at_once() {
    let mut control = control();
    for (user, exchange) in [("bob", "x"), ("bob", "y"), ("bob", "z"), ("alice", "x")] {
        control.set_topic_permissions(topics(user, "/", exchange, "")).unwrap();
    }
    let mut cleared = |exchange: Option<&str>| {
        control.clear_topic_permissions("bob", &short("/"), exchange.map(short).as_ref()).len()
    };
    assert_eq!((cleared(Some("x")), cleared(Some("x"))), (1, 0));
    assert_eq!((cleared(None), cleared(None)), (2, 0));
    assert_eq!(control.all_topic_permissions().count(), 1);
    assert!(control.may_use("bob", &short("/")), "other permissions stay");
}

#[test]
fn everything_comes_back_from_what_was_written_down() {
    let mut before = control();
    before.set_topic_permissions(topics("bob", "/", "x", "^{vhost}")).unwrap();
    let users = before.users().map(|user| AccessDefinition::User(Arc::clone(user)));
    let mut definitions: Vec<_> = users.collect();
    definitions.extend(before.all_permissions().map(AccessDefinition::Permissions));
    definitions.extend(before.all_topic_permissions().map(AccessDefinition::TopicPermissions));
    let orphan = topics("nobody", "/", "x", "");
    definitions.insert(0, AccessDefinition::TopicPermissions(orphan.clone()));
    let stored: Vec<_> = definitions.iter().map(|it| (it.key(), it.value())).collect();
    let read = stored.iter().map(|(key, value)| AccessDefinition::decode(key, value).unwrap());
    let mut after = AccessControl::default();
    assert_eq!(after.restore(read.collect()), [AccessDefinition::TopicPermissions(orphan)]);
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    assert!(after.verify("alice", b"alice").is_ok());
    assert!(stored.iter().all(|(key, _)| AccessDefinition::owns(key)));
}

#[test]
fn what_is_no_definition_is_refused() {
    let bob = AccessDefinition::User(Arc::new(user("bob", "bob")));
    for (key, value, reason) in [
        (vec![15], b"{}".to_vec(), "of an unknown kind"),
        (bob.key(), b"no JSON".to_vec(), "expected ident at line 1 column 2"),
        (vec![16], bob.value(), "its value belongs to another key"),
        (
            bob.key(),
            b"{\"name\":\"bob\",\"password_hash\":\"!\"}".to_vec(),
            "password_hash is not base64",
        ),
    ] {
        let refused = AccessDefinition::decode(&key, &value).unwrap_err().to_string();
        assert!(refused.ends_with(reason), "{refused}");
    }
}
