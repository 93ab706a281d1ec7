//! Which path leads to which handler, and what holds for all of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};

use super::listing::json_of;
use super::metrics as prometheus;
use super::permissions::Granted;
use super::policies::Whose;
use super::problem::Problem;
use super::site::Site;
use super::{
    bindings, caller, channels, connections, consumers, definitions, exchanges, health, limits,
    messages, nodes, openapi, overview, parameters, peek, permissions, queues, settings, users,
    vhosts,
};
use crate::auth::{TopicPermissionsOf, UserPermissions};

/// Bytes in the body of most requests. A message and a definitions file may be larger, as configured.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Routes, and the paths among them for those who ask what there is.
#[derive(Default)]
struct Routes {
    router: Router<Arc<Site>>,
    paths: Vec<String>,
}

impl Routes {
    fn new() -> Self {
        Self::default()
    }

    /// With a slash behind it a path is the same one, as in RabbitMQ.
    fn route(mut self, path: &str, methods: MethodRouter<Arc<Site>>) -> Self {
        self.paths.push(path.to_owned());
        let router = self.router.route(path, methods.clone());
        Self { router: router.route(&format!("{path}/"), methods), ..self }
    }

    fn merge(mut self, mut more: Self) -> Self {
        self.paths.append(&mut more.paths);
        Self { router: self.router.merge(more.router), ..self }
    }
}

/// The management API.
pub(super) fn management(site: Arc<Site>) -> Router {
    let body_max = site.identity().body_max;
    let large = DefaultBodyLimit::max(body_max);
    let routes = Routes::new()
        .merge(of_broker())
        .merge(of_definitions(large))
        .merge(of_clients())
        .merge(of_topology(large))
        .merge(of_messages())
        .merge(of_policies())
        .merge(of_users())
        .merge(of_vhosts())
        .merge(of_parameters())
        .merge(of_health());
    let paths: Arc<[String]> = routes.paths.into();
    let described = get(move || async move { json_of(&openapi::document(&paths)) });
    let mut router = routes.router.route(openapi::PATH, described);
    for path in ["/cli", "/cli/", "/cli/index.html", "/cli/rabbitmqadmin", "/cli/rabbitmqadmin/"] {
        router = router.route(path, get(no_script));
    }
    limited(router.with_state(site), body_max)
}

/// The management API for who runs the broker, and nobody else.
pub(super) fn local(site: Arc<Site>) -> Router {
    let only_him = from_fn_with_state(Arc::clone(&site), caller::must_run_the_broker);
    management(site).layer(only_him)
}

/// `/cli/rabbitmqadmin`, from where scripts fetch RabbitMQ's tool. It has its own licence and needs Python; what
/// leveret has is a program, and which one would run where it is asked for is not known here.
async fn no_script() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "There is no script to download from leveret: its own program is rabbitmqadmin, where it is called so \
         (ln -s leveret rabbitmqadmin; its container has it).\nRabbitMQ's rabbitmqadmin, of both versions, works \
         with this API, too: https://github.com/rabbitmq/rabbitmqadmin-ng\n",
    )
}

/// The metrics.
pub(super) fn metrics(site: Arc<Site>) -> Router {
    let routes = Routes::new()
        .route("/metrics", get(prometheus::aggregated))
        .route("/metrics/per-object", get(prometheus::per_object))
        .route("/metrics/detailed", get(prometheus::detailed))
        .route("/metrics/memory-breakdown", get(prometheus::memory));
    limited(routes.router.with_state(site), BODY_BYTES_MAX)
}

/// What holds for all requests; `body_max` is for those that may bring most.
fn limited(router: Router, body_max: usize) -> Router {
    router
        .fallback(|| async { Problem::not_found() })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(move |request, next| in_bounds(request, next, body_max)))
}

async fn in_bounds(request: Request, next: Next, body_max: usize) -> Response {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > body_max) {
        return Problem::too_large().into_response();
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            Problem::of(status, "timeout", "the request took too long").into_response()
        }
    }
}

fn of_broker() -> Routes {
    Routes::new()
        .route("/api/overview", get(overview::get))
        .route("/api/cluster-name", get(overview::cluster_name).put(parameters::name_cluster))
        .route("/api/extensions", get(overview::extensions))
        .route("/api/whoami", get(overview::whoami))
        .route("/api/auth", get(overview::auth))
        .route("/api/auth/attempts/{node}", get(overview::auth_attempts))
        .route("/api/rebalance/queues", post(overview::rebalance))
        .route("/api/feature-flags", get(overview::feature_flags))
        .route("/api/feature-flags/{name}/enable", put(overview::enable_feature))
        .route("/api/deprecated-features", get(overview::none))
        .route("/api/deprecated-features/used", get(overview::none))
        .route("/api/federation-links", get(overview::none))
        .route("/api/federation-links/{vhost}", get(overview::none))
        .route("/api/stream/connections", get(overview::none))
        .route("/api/stream/connections/{vhost}", get(overview::none))
        .route("/api/stream/consumers", get(overview::none))
        .route("/api/stream/consumers/{vhost}", get(overview::none))
        .route("/api/stream/publishers", get(overview::none))
        .route("/api/stream/publishers/{vhost}", get(overview::none))
        .route("/api/shovels", get(overview::none))
        .route("/api/shovels/{vhost}", get(overview::none))
        .route("/api/leveret/settings", get(settings::get).put(settings::put))
        .route("/api/nodes", get(nodes::all))
        .route("/api/nodes/{node}", get(nodes::get))
        .route("/api/nodes/{node}/memory", get(nodes::memory))
        .route("/api/aliveness-test/{vhost}", get(messages::aliveness))
}

fn of_definitions(large: DefaultBodyLimit) -> Routes {
    let all = get(definitions::export).post(definitions::import);
    let of_vhost = get(definitions::export_vhost).post(definitions::import_vhost);
    Routes::new()
        .route("/api/definitions", all.layer(large))
        .route("/api/definitions/{vhost}", of_vhost.layer(large))
}

fn of_clients() -> Routes {
    Routes::new()
        .route("/api/connections", get(connections::all))
        .route("/api/connections/{name}", get(connections::get).delete(connections::close))
        .route("/api/connections/{name}/channels", get(connections::channels_of))
        .route(
            "/api/connections/username/{user}",
            get(connections::of_user).delete(connections::close_of_user),
        )
        .route("/api/vhosts/{vhost}/connections", get(connections::of_vhost))
        .route("/api/vhosts/{vhost}/channels", get(connections::channels_of_vhost))
        .route("/api/channels", get(channels::all))
        .route("/api/channels/{name}", get(channels::get))
        .route("/api/consumers", get(consumers::all))
        .route("/api/consumers/{vhost}", get(consumers::of_vhost))
}

fn of_topology(large: DefaultBodyLimit) -> Routes {
    let ends = "/api/bindings/{vhost}/e/{source}/{kind}/{destination}";
    let one_binding = "/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{key}";
    let exchange = "/api/exchanges/{vhost}/{exchange}";
    let queue = "/api/queues/{vhost}/{queue}";
    let under = |path: &str, rest: &str| format!("{path}/{rest}");
    let of_exchange = get(exchanges::get).put(exchanges::put).delete(exchanges::delete);
    let of_queue = get(queues::get).put(queues::put).delete(queues::delete);
    Routes::new()
        .route("/api/exchanges", get(exchanges::all))
        .route("/api/exchanges/{vhost}", get(exchanges::of_vhost))
        .route(exchange, of_exchange)
        .route(&under(exchange, "bindings/source"), get(exchanges::bindings_from))
        .route(&under(exchange, "bindings/destination"), get(exchanges::bindings_to))
        .route(&under(exchange, "publish"), post(messages::publish).layer(large))
        .route("/api/queues", get(queues::all))
        .route("/api/queues/detailed", get(queues::all))
        .route("/api/queues/{vhost}", get(queues::of_vhost))
        .route(queue, of_queue)
        .route(&under(queue, "bindings"), get(queues::bindings))
        .route(&under(queue, "contents"), delete(queues::purge))
        .route(&under(queue, "get"), post(messages::get))
        .route(&under(queue, "actions"), post(queues::act))
        .route("/api/bindings", get(bindings::all))
        .route("/api/bindings/{vhost}", get(bindings::of_vhost))
        .route(ends, get(bindings::between).post(bindings::add))
        .route(one_binding, get(bindings::get).delete(bindings::delete))
}

/// What RabbitMQ has nothing like.
fn of_messages() -> Routes {
    let queue = |rest: &str| format!("/api/leveret/queues/{{vhost}}/{{queue}}/{rest}");
    Routes::new()
        .route(&queue("messages"), get(peek::messages))
        .route(&queue("scheduled"), get(peek::scheduled))
        .route(&queue("scheduled/{position}"), delete(peek::cancel))
}

fn of_policies() -> Routes {
    Routes::new()
        .merge(policies("/api/policies", Whose::Users))
        .merge(policies("/api/operator-policies", Whose::Operators))
}

fn policies(path: &str, whose: Whose) -> Routes {
    let all: MethodRouter<Arc<Site>> =
        get(move |site, caller, query| whose.all(site, caller, query));
    let of_vhost = get(move |here, query| whose.of_vhost(here, query));
    let one = get(move |here, path, query| whose.get(here, path, query))
        .put(move |here, path, body| whose.put(here, path, body))
        .delete(move |here, path| whose.delete(here, path));
    Routes::new()
        .route(path, all)
        .route(&format!("{path}/{{vhost}}"), of_vhost)
        .route(&format!("{path}/{{vhost}}/{{name}}"), one)
}

fn of_users() -> Routes {
    let (rights, topics) = ("permissions", "topic-permissions");
    let topics_of_one = "/api/topic-permissions/{vhost}/{user}/{exchange}";
    Routes::new()
        .route("/api/users", get(users::all))
        .route("/api/users/without-permissions", get(users::without_permissions))
        .route("/api/users/bulk-delete", post(users::delete_many))
        .route("/api/users/{user}", get(users::get).put(users::put).delete(users::delete))
        .route("/api/auth/hash_password/{password}", get(users::hash_password))
        .merge(granted::<UserPermissions>(rights, get(permissions::get)))
        .merge(granted::<TopicPermissionsOf>(topics, get(permissions::get_topics)))
        .route(topics_of_one, delete(permissions::delete_topics_of_exchange))
        .route("/api/user-limits", get(limits::of_users))
        .route("/api/user-limits/{user}", get(limits::of_one_user))
        .route(
            "/api/user-limits/{user}/{limit}",
            put(limits::put_of_user).delete(limits::delete_of_user),
        )
}

/// What users may do, of one kind, and how to get that of one user in a vhost.
fn granted<G: Granted>(name: &str, one: MethodRouter<Arc<Site>>) -> Routes {
    let one = one.put(permissions::put::<G>).delete(permissions::delete::<G>);
    Routes::new()
        .route(&format!("/api/{name}"), get(permissions::all::<G>))
        .route(&format!("/api/{name}/{{vhost}}/{{user}}"), one)
        .route(&format!("/api/users/{{user}}/{name}"), get(permissions::of_user::<G>))
        .route(&format!("/api/vhosts/{{vhost}}/{name}"), get(permissions::of_vhost::<G>))
}

fn of_vhosts() -> Routes {
    Routes::new()
        .route("/api/vhosts", get(vhosts::all))
        .route("/api/vhosts/{vhost}", get(vhosts::get).put(vhosts::put).delete(vhosts::delete))
        .route(
            "/api/vhosts/{vhost}/deletion/protection",
            post(vhosts::protect).delete(vhosts::unprotect),
        )
        .route("/api/vhosts/{vhost}/start/{node}", post(vhosts::start))
        .route("/api/vhost-limits", get(limits::of_vhosts))
        .route("/api/vhost-limits/{vhost}", get(limits::of_one_vhost))
        .route(
            "/api/vhost-limits/{vhost}/{limit}",
            put(limits::put_of_vhost).delete(limits::delete_of_vhost),
        )
}

fn of_parameters() -> Routes {
    let one = "/api/parameters/{component}/{vhost}/{name}";
    let global = "/api/global-parameters/{name}";
    Routes::new()
        .route("/api/parameters", get(parameters::all))
        .route("/api/parameters/{component}", get(parameters::of_component))
        .route("/api/parameters/{component}/{vhost}", get(parameters::of_vhost))
        .route(one, get(parameters::get).put(parameters::put).delete(parameters::delete))
        .route("/api/global-parameters", get(parameters::all_global))
        .route(
            global,
            get(parameters::get_global)
                .put(parameters::put_global)
                .delete(parameters::delete_global),
        )
}

fn of_health() -> Routes {
    let check = |name: &str| format!("/api/health/checks/{name}");
    Routes::new()
        .route(&check("alarms"), get(health::alarms))
        .route(&check("local-alarms"), get(health::alarms))
        .route(&check("certificate-expiration/{within}/{unit}"), get(health::certificates))
        .route(&check("port-listener/{port}"), get(health::port))
        .route(&check("protocol-listener/{protocol}"), get(health::protocol))
        .route(&check("virtual-hosts"), get(health::always))
        .route(&check("node-is-quorum-critical"), get(health::quorum))
        .route(&check("node-is-mirror-sync-critical"), get(health::quorum))
        .route(&check("below-node-connection-limit"), get(health::connections))
        .route(&check("is-in-service"), get(health::always))
        .route(&check("ready-to-serve-clients"), get(health::always))
}
