//! `/api/policies` and `/api/operator-policies`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::Value;

use super::access::{Entered, Unchecked};
use super::body::Body;
use super::caller::Caller;
use super::change::Changed;
use super::forms;
use super::listing::{Query, list, one};
use super::problem::Problem;
use super::site::Site;
use crate::broker::policy::{ApplyTo, Policy};
use crate::broker::vhost::VHost;

type Shared = State<Arc<Site>>;

/// Those that users make, or those that operators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Users,
    Operators,
}

impl Whose {
    fn of(self, vhost: &VHost) -> Vec<Arc<Policy>> {
        let mut policies = match self {
            Self::Users => vhost.policies(),
            Self::Operators => vhost.operator_policies(),
        };
        policies.sort_by(|one, other| one.name().cmp(other.name()));
        policies
    }

    fn enter(self, asked: Unchecked) -> Result<Entered, Problem> {
        match self {
            Self::Users => asked.by_policymaker(),
            Self::Operators => asked.by_administrator(),
        }
    }

    fn find(self, vhost: &VHost, name: &str) -> Result<Arc<Policy>, Problem> {
        let found = self.of(vhost).into_iter().find(|policy| policy.name() == name);
        found.ok_or_else(Problem::not_found)
    }

    /// `GET` of all.
    pub(super) async fn all(
        self,
        State(site): Shared,
        caller: Caller,
        QueryOf(query): Query,
    ) -> Result<Response, Problem> {
        let vhosts = site.visible_vhosts(&caller);
        list(&query, move || vhosts.iter().flat_map(|vhost| self.shown(vhost)).collect()).await
    }

    fn shown(self, vhost: &VHost) -> Vec<Value> {
        self.of(vhost).iter().map(|policy| forms::policy(vhost.name(), policy)).collect()
    }

    /// `GET .../{vhost}`.
    pub(super) async fn of_vhost(
        self,
        Entered { vhost, .. }: Entered,
        QueryOf(query): Query,
    ) -> Result<Response, Problem> {
        list(&query, move || self.shown(&vhost)).await
    }

    /// `GET .../{vhost}/{name}`.
    pub(super) async fn get(
        self,
        asked: Unchecked,
        Path((_, name)): Path<(String, String)>,
        QueryOf(query): Query,
    ) -> Result<Response, Problem> {
        let here = self.enter(asked)?;
        one(&query, forms::policy(here.vhost.name(), &*self.find(&here.vhost, &name)?))
    }

    /// `PUT .../{vhost}/{name}`.
    pub(super) async fn put(
        self,
        asked: Unchecked,
        Path((_, name)): Path<(String, String)>,
        body: Body,
    ) -> Result<Response, Problem> {
        let here = self.enter(asked)?;
        let policy = read(&name, &body)?;
        here.change(move |Entered { site, caller, vhost, .. }| {
            let was_there = self.find(vhost, &name).is_ok();
            let acting = caller.acting(site);
            match self {
                Self::Users => acting.set_policy(vhost, policy, site.now()),
                Self::Operators => acting.set_operator_policy(vhost, policy, site.now())?,
            }
            Ok(Changed::put(was_there))
        })
        .await
    }

    /// `DELETE .../{vhost}/{name}`.
    pub(super) async fn delete(
        self,
        asked: Unchecked,
        Path((_, name)): Path<(String, String)>,
    ) -> Result<Response, Problem> {
        let here = self.enter(asked)?;
        here.change(move |Entered { site, caller, vhost, .. }| {
            let acting = caller.acting(site);
            Changed::deleted(match self {
                Self::Users => acting.delete_policy(vhost, &name, site.now()),
                Self::Operators => acting.delete_operator_policy(vhost, &name, site.now()),
            })
        })
        .await
    }
}

fn read(name: &str, body: &Body) -> Result<Policy, Problem> {
    body.must_have(&["pattern", "definition"])?;
    let invalid = |reason: String| Problem::bad_request(format!("Validation failed\n\n{reason}\n"));
    let Some(Value::String(pattern)) = body.get("pattern") else {
        return Err(invalid("pattern should be a string".to_owned()));
    };
    let policy = Policy::from_table(name, pattern, body.table("definition")?)?;
    let priority = match body.get("priority") {
        None => 0,
        Some(value) => value
            .as_i64()
            .and_then(|priority| i32::try_from(priority).ok())
            .ok_or_else(|| invalid(format!("priority should be a number, actually was {value}")))?,
    };
    let apply_to = body.text("apply-to")?.unwrap_or_else(|| "all".to_owned());
    let apply_to = ApplyTo::parse(&apply_to)?;
    Ok(policy.with_priority(priority).with_apply_to(apply_to))
}
