//! `/api/parameters` and `/api/global-parameters`.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::{Administrator, Entered, PolicyMaker, Unchecked};
use super::body::Body;
use super::caller::Caller;
use super::change::Changed;
use super::forms;
use super::listing::{Query, list, one};
use super::problem::Problem;
use super::site::Site;
use crate::broker::parameter::{GlobalParameter, Parameter};
use crate::broker::vhost::VHost;

type Shared = State<Arc<Site>>;

fn shown(vhost: &VHost, parameter: &Parameter) -> Value {
    json!({
        "value": parameter.value,
        "vhost": forms::text(vhost.name()),
        "component": parameter.component,
        "name": parameter.name,
    })
}

/// The parameters of vhosts, of one component if one is named.
fn of_vhosts(site: &Site, vhosts: &[Arc<VHost>], component: Option<&str>) -> Vec<Value> {
    let mut items = Vec::new();
    for vhost in vhosts {
        let parameters = site.host().parameters(vhost);
        let wanted = |it: &&Parameter| component.is_none_or(|wanted| it.component == wanted);
        items.extend(parameters.iter().filter(wanted).map(|it| shown(vhost, it)));
    }
    items
}

/// `GET /api/parameters`.
pub(super) async fn all(
    State(site): Shared,
    PolicyMaker(caller): PolicyMaker,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhosts = site.visible_vhosts(&caller);
    list(&query, move || of_vhosts(&site, &vhosts, None)).await
}

/// `GET /api/parameters/{component}`.
pub(super) async fn of_component(
    State(site): Shared,
    PolicyMaker(caller): PolicyMaker,
    Path(component): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let vhosts = site.visible_vhosts(&caller);
    list(&query, move || of_vhosts(&site, &vhosts, Some(&component))).await
}

/// `GET /api/parameters/{component}/{vhost}`.
pub(super) async fn of_vhost(
    asked: Unchecked,
    Path((component, _)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let Entered { site, vhost, .. } = asked.by_policymaker()?;
    list(&query, move || of_vhosts(&site, &[vhost], Some(&component))).await
}

type OnePath = Path<(String, String, String)>;

/// `GET /api/parameters/{component}/{vhost}/{name}`.
pub(super) async fn get(
    asked: Unchecked,
    Path((component, _, name)): OnePath,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let Entered { site, vhost, .. } = asked.by_policymaker()?;
    let parameters = site.host().parameters(&vhost);
    let found = parameters.iter().find(|it| it.component == component && it.name == name);
    one(&query, shown(&vhost, found.ok_or_else(Problem::not_found)?))
}

/// The name under which the cluster's name is kept.
const CLUSTER_NAME: &str = "cluster_name";

/// Policies are parameters, too, and set in their own place alone.
const POLICY: &str = "policy";

/// What has paths of its own for administrators is theirs here as well. RabbitMQ 3.10 lets policymakers set it
/// this way.
fn enter_to_set(asked: Unchecked, component: &str) -> Result<Entered, Problem> {
    match component {
        "operator_policy" | "vhost-limits" => asked.by_administrator(),
        _ => asked.by_policymaker(),
    }
}

/// `PUT /api/parameters/{component}/{vhost}/{name}`.
pub(super) async fn put(
    asked: Unchecked,
    Path((component, vhost, name)): OnePath,
    body: Body,
) -> Result<Response, Problem> {
    let here = enter_to_set(asked, &component)?;
    if component == POLICY {
        return Err(Problem::bad_request("policies may not be set using this method"));
    }
    let parameter = Parameter { component, name, value: body.value()? };
    here.change(move |Entered { site, caller, .. }| {
        Ok(caller.acting(site).put_parameter(&vhost, parameter, site.now())?)
    })
    .await
}

/// `DELETE /api/parameters/{component}/{vhost}/{name}`.
pub(super) async fn delete(
    asked: Unchecked,
    Path((component, vhost, name)): OnePath,
) -> Result<Response, Problem> {
    let here = enter_to_set(asked, &component)?;
    here.change(move |Entered { site, caller, .. }| {
        let deleted =
            caller.acting(site).delete_parameter(&vhost, (&component, &name), site.now())?;
        Changed::deleted(deleted)
    })
    .await
}

fn shown_global(parameter: &GlobalParameter) -> Value {
    json!({ "name": parameter.name, "value": parameter.value })
}

/// `GET /api/global-parameters`.
pub(super) async fn all_global(
    State(site): Shared,
    _: PolicyMaker,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    list(&query, move || site.host().global_parameters().iter().map(shown_global).collect()).await
}

/// `GET /api/global-parameters/{name}`.
pub(super) async fn get_global(
    State(site): Shared,
    _: PolicyMaker,
    Path(name): Path<String>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let found = site.host().global_parameter(&name).ok_or_else(Problem::not_found)?;
    one(&query, shown_global(&found))
}

/// The cluster's name has a path of its own for administrators. RabbitMQ 3.10 lets policymakers set it here.
fn must_set_global(caller: &Caller, name: &str) -> Result<(), Problem> {
    if name == CLUSTER_NAME { caller.must_administer() } else { Ok(()) }
}

/// `PUT /api/global-parameters/{name}`.
pub(super) async fn put_global(
    State(site): Shared,
    PolicyMaker(caller): PolicyMaker,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    must_set_global(&caller, &name)?;
    let parameter = GlobalParameter { name, value: body.value()? };
    site.change(move |site| Ok(caller.acting(site).put_global_parameter(parameter))).await
}

/// `DELETE /api/global-parameters/{name}`.
pub(super) async fn delete_global(
    State(site): Shared,
    PolicyMaker(caller): PolicyMaker,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    must_set_global(&caller, &name)?;
    site.change(move |site| Changed::deleted(caller.acting(site).delete_global_parameter(&name)))
        .await
}

impl Site {
    /// What the cluster is called: as somebody named it, or as it is from the start.
    pub(super) fn cluster_name(&self) -> String {
        let given = self.host().global_parameter(CLUSTER_NAME);
        let given = given.and_then(|it| it.value.as_str().map(str::to_owned));
        given.unwrap_or_else(|| self.identity().cluster.clone())
    }
}

/// `PUT /api/cluster-name`.
pub(super) async fn name_cluster(
    State(site): Shared,
    Administrator(caller): Administrator,
    body: Body,
) -> Result<Response, Problem> {
    body.must_have(&["name"])?;
    let value = body.text("name")?.unwrap_or_default().into();
    let parameter = GlobalParameter { name: CLUSTER_NAME.to_owned(), value };
    site.change(move |site| {
        caller.acting(site).put_global_parameter(parameter);
        Ok(())
    })
    .await
}
