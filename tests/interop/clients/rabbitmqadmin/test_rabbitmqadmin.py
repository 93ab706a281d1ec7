"""rabbitmqadmin, RabbitMQ's own script, as its Debian package brings it: the verbs that people use every day."""

import json
import os
import subprocess
import sys

import pytest
import support
from support import unique

HOST, PORT = os.environ.get("INTEROP_MANAGEMENT", "127.0.0.1:15672").rsplit(":", 1)


def tool(*arguments, vhost=None):
    """Runs it to its end: (exit code, what it wrote)."""
    command = [sys.executable, os.environ["RABBITMQADMIN"], f"--host={HOST}", f"--port={PORT}"]
    command += [f"--vhost={vhost}"] if vhost else []
    ran = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=support.DEADLINE)
    return ran.returncode, ran.stdout + ran.stderr


def ran(*arguments, **options):
    """What it wrote, if it succeeded."""
    code, text = tool(*arguments, **options)
    assert code == 0, text
    return text.strip()


def listed(what, *columns, **options):
    return json.loads(ran("--format=raw_json", "list", what, *columns, **options))


@pytest.fixture
def queue():
    name = unique("queue")
    assert ran("declare", "queue", f"name={name}", "durable=true", 'arguments={"x-max-length":9}') == "queue declared"
    yield name
    assert ran("delete", "queue", f"name={name}") == "queue deleted"


def test_a_message_is_published_got_and_purged(queue):
    assert ran("publish", f"routing_key={queue}", "payload=hello") == "Message published"
    got = json.loads(ran("--format=raw_json", "get", f"queue={queue}", "ackmode=ack_requeue_true"))
    assert [message["payload"] for message in got] == ["hello"]
    assert ran("purge", "queue", f"name={queue}") == "queue purged"
    got = json.loads(ran("--format=raw_json", "get", f"queue={queue}", "ackmode=ack_requeue_false"))
    assert got == []


def test_a_message_that_goes_nowhere_is_told_so():
    code, text = tool("publish", f"routing_key={unique('nowhere')}", "payload=x")
    assert (code, text.strip()) == (0, "Message published but NOT routed")


def test_bindings_are_deleted_by_the_key_that_is_listed(queue):
    exchange = unique("exchange")
    ran("declare", "exchange", f"name={exchange}", "type=topic")
    binding = [f"source={exchange}", f"destination={queue}"]
    ran("declare", "binding", *binding, "routing_key=a.#", 'arguments={"k":1}')
    [key] = [one["properties_key"] for one in listed("bindings") if one["source"] == exchange]
    assert ran("delete", "binding", *binding, "destination_type=queue", f"properties_key={key}") == "binding deleted"
    assert ran("delete", "exchange", f"name={exchange}") == "exchange deleted"


def test_everything_can_be_listed(queue):
    assert queue in [one["name"] for one in listed("queues", "name", "messages")]
    for what in ("exchanges", "bindings", "connections", "channels", "consumers", "users", "vhosts", "permissions"):
        listed(what)
    for what in ("nodes", "parameters", "policies", "operator_policies", "vhost_limits"):
        listed(what)
    assert "rabbitmq_version" in ran("show", "overview")


def test_vhosts_users_rights_policies_and_limits_come_and_go():
    vhost, user = unique("vhost"), unique("user")
    ran("declare", "vhost", f"name={vhost}")
    ran("declare", "user", f"name={user}", "password=secret", "tags=monitoring")
    ran("declare", "permission", f"vhost={vhost}", f"user={user}", "configure=.*", "write=.*", "read=.*")
    policy = ["name=p", "pattern=^q", 'definition={"max-length":3}', "apply-to=queues"]
    ran("declare", "policy", *policy, vhost=vhost)
    ran("declare", "operator_policy", *policy, vhost=vhost)
    ran("declare", "vhost_limit", f"vhost={vhost}", "name=max-queues", "value=7")
    limits = {one["vhost"]: one["value"] for one in listed("vhost_limits")}
    assert limits[vhost] == {"max-queues": 7}
    ran("delete", "policy", "name=p", vhost=vhost)
    ran("delete", "operator_policy", "name=p", vhost=vhost)
    ran("delete", "permission", f"vhost={vhost}", f"user={user}")
    ran("delete", "user", f"name={user}")
    ran("delete", "vhost", f"name={vhost}")


def test_definitions_that_were_exported_are_imported(queue, tmp_path):
    file = tmp_path / "definitions.json"
    ran("export", str(file))
    assert queue in [one["name"] for one in json.loads(file.read_text())["queues"]]
    ran("import", str(file))


def test_what_is_refused_ends_with_an_error(queue):
    code, text = tool("declare", "queue", f"name={queue}", "durable=false")
    assert code == 1
    assert "inequivalent arg 'durable'" in text
    code, text = tool("delete", "queue", f"name={unique('nosuch')}")
    assert code == 1
    assert "Not found" in text
