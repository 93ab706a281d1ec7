//! What administrators did, for the event exchange.

use amqp_codec::{FieldTable, FieldValue, ShortString};
use serde_json::{Map, Value};

use super::Acting;
use crate::auth::{Tags, TopicPermissionsOf, UserLimits, UserPermissions};
use crate::broker::event_log::{event_headers as headers, event_headers_by, event_text as text};
use crate::broker::json::from_json;
use crate::broker::parameter::VHostLimits;
use crate::broker::policy::Policy;
use crate::broker::requester::INTERNAL_USER;
use crate::broker::vhost::{VHost, VHostMetadata};

/// The component that global parameters are told under.
const GLOBAL: &str = "global";

/// The name that all limits have.
const LIMITS: &str = "limits";

/// The component that operator policies are told under, too.
const OPERATOR_POLICY: &str = "operator_policy";

/// An object as a header; what AMQP has no place for is told as text.
fn of_json(value: &Value) -> FieldValue {
    let only = Map::from_iter([(String::new(), value.clone())]);
    let table = from_json(&only).ok();
    let value_of = |mut table: FieldTable| table.remove("");
    table.and_then(value_of).unwrap_or_else(|| text(value.to_string()))
}

/// The entries of an object, each as a header.
fn entries(value: Option<Value>) -> FieldTable {
    match value {
        Some(Value::Object(entries)) => from_json(&entries).unwrap_or_default(),
        _ => FieldTable::default(),
    }
}

/// Headers, and more of them.
fn with(first: &FieldTable, more: &FieldTable) -> FieldTable {
    first.iter().chain(more).cloned().collect()
}

impl Acting<'_> {
    /// Notes what this user did.
    fn emit(&self, key: &'static str, headers: impl FnOnce() -> FieldTable) {
        self.host().emit(key, || with(&headers(), &event_headers_by(self.user(), [])));
    }

    /// Something that has a name came, went, or changed; in a vhost, or in none.
    pub(super) fn tell_named(&self, key: &'static str, name: &str, vhost: Option<&ShortString>) {
        self.emit(key, || {
            let vhost = vhost.map(|vhost| ("vhost", text(vhost.as_bytes())));
            headers([("name", text(name))].into_iter().chain(vhost))
        });
    }

    pub(super) fn tell_tags(&self, user: &str, tags: &Tags) {
        self.emit("user.tags.set", || {
            let tags = FieldValue::Array(tags.iter().map(text).collect());
            headers([("name", text(user)), ("tags", tags)])
        });
    }

    pub(super) fn tell_user_limits(&self, user: &str, limits: UserLimits) {
        let limits = serde_json::to_value(limits).ok();
        let limits = limits.filter(|it| it.as_object().is_some_and(|it| !it.is_empty()));
        let key = if limits.is_some() { "user.limits.set" } else { "user.limits.cleared" };
        self.emit(key, || {
            let about = headers([("name", text(LIMITS)), ("username", text(user))]);
            with(&about, &entries(limits))
        });
    }

    pub(super) fn tell_permissions(&self, set: &UserPermissions) {
        self.emit("permission.created", || {
            headers([
                ("user", text(&set.user)),
                ("vhost", text(set.vhost.as_bytes())),
                ("configure", text(set.permissions.configure.as_str())),
                ("write", text(set.permissions.write.as_str())),
                ("read", text(set.permissions.read.as_str())),
            ])
        });
    }

    pub(super) fn tell_topic_permissions(&self, set: &TopicPermissionsOf) {
        self.emit("topic.permission.created", || {
            headers([
                ("user", text(&set.user)),
                ("vhost", text(set.vhost.as_bytes())),
                ("exchange", text(set.exchange.as_bytes())),
                ("write", text(set.permissions.write())),
                ("read", text(set.permissions.read())),
            ])
        });
    }

    /// A user may do nothing any more in a vhost, or on the topic exchanges there.
    pub(super) fn tell_cleared(&self, key: &'static str, user: &str, vhost: &ShortString) {
        self.emit(key, || headers([("user", text(user)), ("vhost", text(vhost.as_bytes()))]));
    }

    pub(super) fn tell_vhost(&self, key: &'static str, name: &str, metadata: &VHostMetadata) {
        self.emit(key, || {
            let kind = metadata.default_queue_type.map_or("undefined", |kind| kind.name());
            let about = headers([
                ("description", text(&metadata.description)),
                ("tags", FieldValue::Array(metadata.tags.iter().map(text).collect())),
                ("default_queue_type", text(kind)),
            ]);
            let node = ShortString::truncated(self.node_name());
            let state = FieldTable::from_iter([(node, text("running"))]);
            let headers = headers([
                ("name", text(name)),
                ("tracing", FieldValue::Bool(metadata.tracing)),
                ("cluster_state", FieldValue::Table(state)),
                ("metadata", FieldValue::Table(about.clone())),
            ]);
            with(&headers, &about)
        });
    }

    /// A vhost is served no more, which RabbitMQ has told by the node.
    pub(super) fn tell_vhost_down(&self, name: &str) {
        self.host().emit("vhost.down", || {
            let about = [("name", text(name)), ("node", text(self.node_name()))];
            event_headers_by(INTERNAL_USER, about)
        });
    }

    /// The limits of a vhost are these.
    pub(super) fn tell_vhost_limits(&self, vhost: &ShortString, limits: VHostLimits) {
        let value = limits.to_json();
        let key = if value.is_some() { "vhost.limits.set" } else { "vhost.limits.cleared" };
        self.tell_parameter(Some(vhost), ("vhost-limits", LIMITS), value.as_ref());
        self.emit(key, || {
            let about = [("name", text(LIMITS)), ("vhost", text(vhost.as_bytes()))];
            with(&headers(about), &entries(value))
        });
    }

    /// A parameter was set, or is no more.
    pub(super) fn tell_parameter(
        &self,
        vhost: Option<&ShortString>,
        (component, name): (&str, &str),
        value: Option<&Value>,
    ) {
        let key = if value.is_some() { "parameter.set" } else { "parameter.cleared" };
        self.emit(key, || {
            let vhost = vhost.map(|vhost| ("vhost", text(vhost.as_bytes())));
            let value = value.map(|value| ("value", of_json(value)));
            let about = [("component", text(component)), ("name", text(name))];
            headers(about.into_iter().chain(vhost).chain(value))
        });
    }

    pub(super) fn tell_global_parameter(&self, name: &str, value: Option<&Value>) {
        self.tell_parameter(None, (GLOBAL, name), value);
    }

    /// A policy was set, of users or of operators.
    pub(super) fn tell_policy(&self, vhost: &ShortString, policy: &Policy) {
        self.emit("policy.set", || {
            let about = [("name", text(policy.name())), ("vhost", text(vhost.as_bytes()))];
            with(&headers(about), &entries(Some(policy.to_parameter())))
        });
    }

    /// An operator policy was set: it is a parameter as well.
    pub(super) fn tell_operator_policy(&self, vhost: &ShortString, policy: &Policy) {
        let parameter = policy.to_parameter();
        self.tell_parameter(Some(vhost), (OPERATOR_POLICY, policy.name()), Some(&parameter));
        self.tell_policy(vhost, policy);
    }

    /// An operator policy is no more.
    pub(super) fn tell_operator_policy_cleared(&self, vhost: &VHost, name: &str) {
        self.tell_parameter(Some(vhost.name()), (OPERATOR_POLICY, name), None);
        self.tell_named("operator.policy.cleared", name, Some(vhost.name()));
    }
}
