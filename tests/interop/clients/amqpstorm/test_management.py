"""AMQPStorm's management client, beside its AMQP one: what the HTTP API says of what is done over AMQP."""

import os

import amqpstorm
import pytest
import support
from amqpstorm.management import ApiError, ManagementApi
from support import unique


@pytest.fixture
def api():
    return ManagementApi(f"http://{os.environ['INTEROP_MANAGEMENT']}", "guest", "guest", timeout=support.DEADLINE)


@pytest.fixture
def queue(api):
    name = unique("queue")
    api.queue.declare(name, durable=True)
    yield name
    api.queue.delete(name)


@pytest.fixture
def connection():
    with amqpstorm.Connection(support.HOST, "guest", "guest", port=support.PORT) as connection:
        yield connection


def test_a_message_published_over_http_is_got_over_http(api, queue):
    assert api.basic.publish("hello", queue, properties={"content_type": "text/plain"}) == {"routed": True}
    got = api.basic.get(queue, requeue=True, to_dict=True)
    assert [(one["payload"], one["redelivered"]) for one in got] == [("hello", False)]
    assert got[0]["properties"]["content_type"] == "text/plain"
    message = api.basic.get(queue, requeue=False)[0]
    assert message.body == "hello"
    assert api.queue.get(queue)["messages"] == 0


def test_a_message_published_over_http_is_got_over_amqp(api, queue, connection):
    api.basic.publish("hello", queue)
    with connection.channel() as channel:
        assert channel.basic.get(queue, no_ack=True).body == "hello"


def test_queues_exchanges_and_bindings_come_and_go(api, queue):
    exchange = unique("exchange")
    api.exchange.declare(exchange, exchange_type="topic", durable=True)
    api.queue.bind(queue, exchange, "a.#", arguments=None)
    keys = [binding["properties_key"] for binding in api.queue.bindings(queue)]
    assert keys == [queue, "a.%23"]
    api.queue.unbind(queue, exchange, "a.#", properties_key="a.%23")
    assert len(api.queue.bindings(queue)) == 1
    assert api.exchange.get(exchange)["type"] == "topic"
    api.exchange.delete(exchange)
    with pytest.raises(ApiError) as refused:
        api.exchange.get(exchange)
    assert refused.value.error_code == 404


def test_a_queue_with_other_arguments_is_refused(api, queue):
    with pytest.raises(ApiError) as refused:
        api.queue.declare(queue, durable=False)
    assert refused.value.error_code == 400


def test_a_purge_leaves_nothing(api, queue):
    for _ in range(3):
        api.basic.publish("x", queue)
    assert api.queue.get(queue)["messages"] == 3
    api.queue.purge(queue)
    assert api.queue.get(queue)["messages"] == 0


def test_connections_and_channels_are_listed_and_closed(api, connection):
    channel = connection.channel()
    port = connection._io.socket.getsockname()[1]
    [mine] = [one for one in api.connection.list() if one["peer_port"] == port]
    assert (mine["user"], mine["channels"]) == ("guest", 1)
    assert api.connection.get(mine["name"])["state"] == "running"
    channels = [one["name"] for one in api.channel.list() if one["connection_details"]["peer_port"] == port]
    assert api.channel.get(channels[0])["number"] == int(channel.channel_id)
    api.connection.close(mine["name"], reason="interop")
    with pytest.raises(amqpstorm.AMQPConnectionError, match="interop"):
        while True:
            channel.queue.declare(unique("queue"), exclusive=True)
            connection.check_for_errors()


def test_users_permissions_and_vhosts_come_and_go(api):
    vhost, user = unique("vhost"), unique("user")
    api.virtual_host.create(vhost)
    api.user.create(user, "secret", tags="management")
    api.user.set_permission(user, vhost, ".*", ".*", ".*")
    assert api.user.get_permission(user, vhost)["configure"] == ".*"
    theirs = ManagementApi(f"http://{os.environ['INTEROP_MANAGEMENT']}", user, "secret")
    assert theirs.whoami()["name"] == user
    with pytest.raises(ApiError):
        theirs.user.list()
    api.user.delete_permission(user, vhost)
    api.user.delete(user)
    api.virtual_host.delete(vhost)
    assert vhost not in [one["name"] for one in api.virtual_host.list()]


def test_the_broker_is_well(api):
    assert api.aliveness_test("/") == {"status": "ok"}
    overview = api.overview()
    assert overview["object_totals"]["exchanges"] >= 7
    assert api.nodes()[0]["running"] is True
    assert api.node(api.nodes()[0]["name"])["type"] == "disc"
    api.queue.delete("aliveness-test")
