"""The second version of rabbitmqadmin, which asks more of the API's answers than the first: each field has its type."""

import contextlib
import json
import os
import subprocess

import pytest
import support
import wire
from support import unique

HOST, PORT = os.environ.get("INTEROP_MANAGEMENT", "127.0.0.1:15672").rsplit(":", 1)
AMQP_PORT = str(support.PORT)


def tool(*arguments, vhost=None):
    """Runs it to its end: (exit code, what it wrote)."""
    command = [os.environ["RABBITMQADMIN_V2"], f"--host={HOST}", f"--port={PORT}", "--non-interactive"]
    command += [f"--vhost={vhost}"] if vhost else []
    ran = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=support.DEADLINE)
    return ran.returncode, ran.stdout + ran.stderr


def ran(line, *more, **options):
    """What a line of words, and those behind it as they are, wrote; it succeeds."""
    code, text = tool(*line.split(), *more, **options)
    assert code == 0, f"{line}: {text}"
    return text.strip()


def refused(line, *more, **options):
    code, text = tool(*line.split(), *more, **options)
    assert code != 0, f"{line}: {text}"
    return text.strip()


def rows(line, *more, **options):
    """The cells of each row of a table."""
    return [row.split() for row in ran(line, *more, **options).splitlines()]


def row_of(name, line, **options):
    """The row with this in its first cell."""
    return next(row for row in rows(line, **options) if row and row[0] == name)


@pytest.fixture(scope="module")
def node():
    """The name of the one node."""
    (row,) = rows("nodes list")
    return row[0]


@pytest.fixture
def vhost():
    """A vhost of the test's own, with everything in it gone afterwards."""
    name = unique("vhost")
    ran(f"vhosts declare --name {name} --description tests --tracing")
    yield name
    ran(f"delete vhost --name {name} --idempotently")


@pytest.fixture
def user():
    name = unique("user")
    ran(f"users declare --name {name} --password secret --tags monitoring")
    yield name
    ran(f"delete user --name {name} --idempotently")


@contextlib.contextmanager
def client():
    """A client over AMQP with a channel."""
    with wire.Wire(support.ADDRESS) as connection:
        connection.login().open_channel()
        yield connection


# --- the broker ---


def test_the_overview_and_the_churn_are_shown():
    overview = ran("show overview")
    assert "Product name" in overview and "Queues and streams (total)" in overview
    assert "Client connections opened" in ran("show churn")
    assert f":{PORT}/api" in ran("show endpoint")


def test_the_node_its_memory_its_plugins_and_its_logins_are_shown(node):
    for breakdown in ("show memory_breakdown_in_bytes", "nodes memory_breakdown_in_percent"):
        assert "Atom table" in ran(f"{breakdown} --node {node}")
    assert [node, "rabbitmq_management", "Enabled"] in rows(f"plugins list_on_node --node {node}")
    ran("plugins list_all")
    assert any(row[0] == "amqp" for row in rows(f"auth_attempts stats --node {node}"))
    ran("list nodes")


def test_features_are_listed_and_enabled():
    name, *_ = rows("feature_flags list")[0]
    ran(f"feature_flags enable --name {name}")
    ran("feature_flags enable_all")
    ran("deprecated_features list")
    ran("deprecated_features list_used")


@pytest.mark.parametrize(
    "check",
    [
        "local_alarms",
        "cluster_wide_alarms",
        "node_is_quorum_critical",
        f"port_listener --port {AMQP_PORT}",
        "protocol_listener --protocol amqp",
    ],
)
def test_health_checks_pass(check):
    assert "health check passed" in ran(f"health_check {check}")


def test_a_health_check_fails_where_nobody_listens():
    assert "health check failed" in refused("health_check port_listener --port 1")


# --- who may do what ---


def test_vhosts_are_protected_and_deleted_by_a_pattern(vhost):
    assert row_of(vhost, "vhosts list")
    ran(f"vhosts enable_deletion_protection --name {vhost}")
    refused(f"vhosts delete --name {vhost}")
    ran(f"vhosts disable_deletion_protection --name {vhost}")
    ran(f"vhosts delete_multiple --name-pattern ^{vhost}$ --approve")
    assert all(row[0] != vhost for row in rows("vhosts list"))


def test_users_have_permissions_and_limits(vhost, user):
    assert "monitoring" in row_of(user, "users list")
    ran(f"permissions declare --user {user} --configure ^a --read .* --write ^$", vhost=vhost)
    assert row_of(user, "permissions list")[1:] == [vhost, "^a", ".*", "^$"]
    ran(f"user_limits declare --user {user} --name max-connections --value 7")
    assert [user, "max-connections:", "7,"] in rows(f"user_limits list --user {user}")
    ran(f"user_limits delete --user {user} --name max-connections")
    ran(f"permissions delete --user {user}", vhost=vhost)
    assert user not in ran("list permissions")


def test_a_password_that_it_hashed_logs_in():
    name = unique("user")
    hashed = rows("passwords salt_and_hash secret")[-1][-1]
    ran(f"declare user --name {name} --password-hash {hashed} --tags management")
    code, text = tool("--username", name, "--password", "secret", "list", "vhosts")
    assert code == 0, text
    code, text = tool("--username", name, "--password", "wrong", "list", "vhosts")
    assert code != 0
    ran(f"users delete --name {name}")


def test_vhosts_have_limits(vhost):
    ran("vhost_limits declare --name max-queues --value 1", vhost=vhost)
    assert [vhost, "max-queues:", "1,"] in rows("vhost_limits list", vhost=vhost)
    ran("queues declare --name one", vhost=vhost)
    refused("queues declare --name two", vhost=vhost)
    ran("vhost_limits delete --name max-queues", vhost=vhost)
    ran("queues declare --name two", vhost=vhost)


# --- topology and messages ---


def test_queues_exchanges_and_bindings_come_and_go(vhost):
    ran("queues declare --name q --type classic --durable true --arguments", '{"x-max-length":9}', vhost=vhost)
    ran("declare queue --name qq --type quorum", vhost=vhost)
    ran("exchanges declare --name x --type topic --durable true", vhost=vhost)
    ran("declare exchange --name f --type fanout --durable true --auto-delete false", vhost=vhost)
    ran("bindings declare --source x --destination-type queue --destination q --routing-key a.#", vhost=vhost)
    ran("exchanges bind --source x --destination-type exchange --destination f --routing-key b", vhost=vhost)
    assert row_of("q", "queues list", vhost=vhost)[1:3] == [vhost, "classic"]
    assert row_of("qq", "list queues", vhost=vhost)[1:3] == [vhost, "quorum"]
    assert "x-max-length" in ran("queues show --name q", vhost=vhost)
    assert row_of("f", "exchanges list", vhost=vhost)
    assert any(row[1:2] == ["x"] and "a.#" in row for row in rows("bindings list", vhost=vhost))
    ran("exchanges unbind --source x --destination-type exchange --destination f --routing-key b", vhost=vhost)
    ran("bindings delete --source x --destination-type queue --destination q --routing-key a.#", vhost=vhost)
    assert all("a.#" not in row for row in rows("bindings list", vhost=vhost))
    ran("exchanges delete --name x", vhost=vhost)
    ran("delete exchange --name f", vhost=vhost)
    ran("queues delete --name q", vhost=vhost)
    refused("queues delete --name q", vhost=vhost)
    ran("queues delete --name q --idempotently", vhost=vhost)
    ran("queues delete_multiple --name-pattern ^q --approve", vhost=vhost)
    assert ran("queues list", vhost=vhost) == ""


def test_messages_are_published_got_and_purged(vhost):
    ran("queues declare --name q", vhost=vhost)
    ran("publish message --routing-key q --payload hello --properties", '{"delivery_mode":2}', vhost=vhost)
    ran("publish message --routing-key nowhere --payload lost", vhost=vhost)
    assert "hello" in ran("get messages --queue q --count 1 --ack-mode ack_requeue_true", vhost=vhost)
    ran("purge queue --name q", vhost=vhost)
    assert ran("get messages --queue q --count 9 --ack-mode ack_requeue_false", vhost=vhost) == ""


def test_leaders_are_rebalanced():
    ran("rebalance queues")


# --- policies and parameters ---


@pytest.mark.parametrize("kind", ["policies", "operator_policies"])
def test_policies_are_declared_changed_and_deleted(kind, vhost):
    declare = f"{kind} declare --name p --pattern ^q --apply-to queues --priority 3 --definition"
    ran(declare, '{"max-length":10}', vhost=vhost)
    assert row_of("p", f"{kind} list", vhost=vhost)[1] == vhost
    assert row_of("p", f"{kind} list_in --apply-to queues", vhost=vhost)
    assert row_of("p", f"{kind} list_matching_object --name q1 --type queues", vhost=vhost)
    ran(f"{kind} patch --name p --definition", '{"message-ttl":1000}', vhost=vhost)
    ran(f"{kind} update_definition --name p --definition-key max-length --new-value 12", vhost=vhost)
    ran(f"{kind} delete_definition_keys --name p --definition-keys message-ttl", vhost=vhost)
    assert "max-length: 12" in ran(f"{kind} list_in", vhost=vhost)
    ran(f"{kind} delete --name p", vhost=vhost)
    ran(f"{kind} delete --name p --idempotently", vhost=vhost)


def test_policies_override_each_other(vhost):
    ran("policies set --name p --pattern ^q --apply-to queues --definition", '{"max-length":10}', vhost=vhost)
    ran("policies declare_override --name p --override-name o --definition", '{"max-length":99}', vhost=vhost)
    ran("policies declare_blanket --name b --apply-to queues --definition", '{"max-length":99}', vhost=vhost)
    ran("policies list_conflicting_in", vhost=vhost)
    assert {row[0] for row in rows("policies list_in", vhost=vhost)} == {"p", "o", "b"}


def test_parameters_are_set_and_cleared(vhost):
    value = '{"uri":"amqp://localhost"}'
    ran("parameters set --component federation-upstream --name up --value", value, vhost=vhost)
    assert "federation-upstream" in ran("parameters list_all")
    assert "up" in ran("parameters list --component federation-upstream", vhost=vhost)
    ran("parameters clear --component federation-upstream --name up", vhost=vhost)
    name = unique("parameter")
    ran(f"global_parameters set --name {name} --value", '{"a":1}')
    assert row_of(name, "global_parameters list")
    ran(f"global_parameters clear --name {name}")


def test_what_is_not_there_is_an_empty_list(vhost):
    assert ran("shovels list_all") == ""
    ran("shovels list", vhost=vhost)
    assert ran("federation list_all_links") == ""
    ran("federation list_all_upstreams")


# --- connections ---


def test_connections_and_channels_are_listed_and_closed(user):
    with client() as connection:
        name = next(row for row in ran("connections list").splitlines() if f":{connection.socket.getsockname()[1]}" in row)
        name = name[: name.index(f"127.0.0.1:{support.PORT}")] + f"127.0.0.1:{support.PORT}"
        assert name in ran("list connections") and name in ran("connections list_of_user --username guest")
        assert name in ran("channels list")
        ran("list consumers")
        ran("close connection --name", name)
        assert name not in ran("connections list")
    ran("close connection --idempotently --name", name)
    ran(f"close user_connections --username {user}")


# --- definitions ---


def test_definitions_are_exported_and_imported(vhost, tmp_path):
    ran("queues declare --name q", vhost=vhost)
    everything, one = str(tmp_path / "all.json"), str(tmp_path / "vhost.json")
    ran("definitions export --file", everything)
    queue = {"name": "q", "vhost": vhost}
    queues = json.loads((tmp_path / "all.json").read_text())["queues"]
    assert any(queue.items() <= found.items() for found in queues)
    assert f'"{vhost}"' in ran("definitions export --stdout")
    ran("definitions export_from_vhost --file", one, vhost=vhost)
    ran(f"vhosts delete --name {vhost}")
    ran(f"vhosts declare --name {vhost}")
    ran("definitions import_into_vhost --file", one, vhost=vhost)
    assert row_of("q", "queues list", vhost=vhost)
    ran(f"vhosts delete --name {vhost}")
    ran("definitions import --file", everything)
    assert row_of("q", "queues list", vhost=vhost)
