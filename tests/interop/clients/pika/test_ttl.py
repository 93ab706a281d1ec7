"""Time to live: of messages, by their queue and by themselves, and of queues."""

import time

import pika.exceptions
import pytest
from pika import BasicProperties
from pika_support import (
    Inbox,
    drain,
    graveyard,
    mine,
    options,
    pass_time,
    publish,
    quorum,
    ready,
    settle,
    take,
    until_ready,
)
from support import until


def gone(connection, queue):
    """Whether the queue is no longer there. To bind it is not to use it, as a passive declare would be."""
    channel = connection.channel()
    try:
        channel.queue_bind(queue, "amq.direct", queue)
    except pika.exceptions.ChannelClosedByBroker as closed:
        assert closed.reply_code == 404
        return True
    channel.close()
    return False


# --- messages ---


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_gives_its_messages_a_time_to_live(channel, names, kind):
    """A message that has been in the queue for longer than the queue's x-message-ttl is dead and is not delivered."""
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments=options(x_queue_type=kind, x_message_ttl=300))
    start = time.monotonic()
    publish(channel, queue, b"1", b"2")
    assert ready(channel, queue) == 2
    until_ready(channel, queue, 0)
    assert time.monotonic() - start >= 0.3
    assert drain(channel, queue) == []


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_message_brings_its_own_time_to_live(channel, names, kind):
    """The property expiration is the message's time to live in milliseconds, as a string."""
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments=options(x_queue_type=kind))
    start = time.monotonic()
    publish(channel, queue, b"short", expiration="300")
    publish(channel, queue, b"long", expiration="60000")
    publish(channel, queue, b"for ever")
    assert ready(channel, queue) == 3
    until_ready(channel, queue, 2)
    assert time.monotonic() - start >= 0.3
    assert drain(channel, queue) == [b"long", b"for ever"]


@pytest.mark.parametrize("of_queue, of_message", [(100, "60000"), (60000, "100")])
def test_the_smaller_time_to_live_wins(channel, of_queue, of_message):
    """When both a per-queue and a per-message time to live are given, the lower of the two is chosen."""
    queue = mine(channel, arguments=options(x_message_ttl=of_queue))
    publish(channel, queue, b"m", expiration=of_message)
    until_ready(channel, queue, 0)


def test_the_expiration_is_delivered_as_it_was_published(channel):
    """A message that is delivered in time keeps its property expiration."""
    queue = mine(channel, arguments=options(x_message_ttl=30000))
    publish(channel, queue, b"m", expiration="60000")
    assert take(channel, queue)[1].expiration == "60000"


@pytest.mark.parametrize("by", ["queue", "message"])
def test_zero_expires_what_no_consumer_takes_at_once(channel, by):
    """A time to live of 0 expires messages on reaching a queue unless they can be delivered to a consumer at once."""
    dead, arguments = graveyard(channel, **({"x_message_ttl": 0} if by == "queue" else {}))
    properties = {} if by == "queue" else {"expiration": "0"}
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"nobody", **properties)
    assert take(channel, dead)[2] == b"nobody"
    assert ready(channel, queue) == 0

    consumer = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, b"somebody", **properties)
    assert consumer.wait(1) == [b"somebody"]


def test_zero_expires_what_a_consumer_without_credit_cannot_take(channel):
    """With a time to live of 0, a consumer that may have no more unacknowledged messages counts as none."""
    dead, arguments = graveyard(channel, x_message_ttl=0)
    queue = mine(channel, arguments=arguments)
    channel.basic_qos(prefetch_count=1)
    consumer = Inbox(channel, queue)
    publish(channel, queue, b"1", b"2")
    assert take(channel, dead)[2] == b"2"
    assert consumer.wait(1) == [b"1"]


def test_an_expired_message_behind_a_living_one_is_never_delivered(channel):
    """The broker never delivers an expired message to a consumer, wherever in the queue it expired."""
    queue = mine(channel)
    publish(channel, queue, b"living")
    publish(channel, queue, b"dying", expiration="1")
    pass_time(channel, 100)
    assert drain(channel, queue) == [b"living"]


def test_a_message_does_not_expire_in_the_hands_of_a_consumer(channel):
    """Only waiting messages expire: one that was delivered is acknowledged as usual, however long it took."""
    dead, arguments = graveyard(channel, x_message_ttl=100)
    queue = mine(channel, arguments=arguments)
    consumer = Inbox(channel, queue)
    publish(channel, queue, b"m")
    consumer.wait(1)
    pass_time(channel, 300)
    channel.basic_ack(consumer.tags()[0])
    settle(channel)
    assert (ready(channel, queue), ready(channel, dead)) == (0, 0)


def test_a_requeued_message_keeps_the_time_at_which_it_expires(channel):
    """The original expiry time of a message is preserved if it is requeued."""
    dead, arguments = graveyard(channel, x_message_ttl=1000)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"m")
    method, _, _ = take(channel, queue, auto_ack=False)
    pass_time(channel, 1200)
    start = time.monotonic()
    channel.basic_reject(method.delivery_tag)
    _, properties, _ = take(channel, dead)
    # A new time to live would take a second from now.
    assert time.monotonic() - start < 0.9
    assert properties.headers["x-death"][0]["reason"] == "expired"


def test_a_time_to_live_holds_in_one_queue_only(channel):
    """Giving a queue a time to live does not affect copies of the same message in other queues."""
    queues = [mine(channel, arguments=options(x_message_ttl=50)), mine(channel)]
    for queue in queues:
        channel.queue_bind(queue, "amq.direct", queues[0])
    publish(channel, queues[0], b"m", exchange="amq.direct")
    until_ready(channel, queues[0], 0)
    assert ready(channel, queues[1]) == 1


def test_declare_and_delete_do_not_count_the_expired(channel):
    """The message count of queue.declare-ok and queue.delete-ok is that of messages that can still be delivered."""
    queue = mine(channel, arguments=options(x_message_ttl=50))
    publish(channel, queue, *[b"m"] * 10)
    until_ready(channel, queue, 0)
    publish(channel, queue, b"m")
    assert channel.queue_delete(queue).method.message_count == 1


# --- queues ---


def use_by_declaring(channel, queue):
    channel.queue_declare(queue, arguments=options(x_expires=700))


def use_by_getting(channel, queue):
    channel.basic_get(queue, auto_ack=True)


@pytest.mark.parametrize("use", [use_by_declaring, use_by_getting])
def test_each_use_renews_a_queue(connection, channel, names, use):
    """A queue with x-expires is deleted after that time without consumers, redeclaration and basic.get."""
    queue = names.queue()
    channel.queue_declare(queue, arguments=options(x_expires=700))
    start = time.monotonic()
    last = start

    def use_it():
        nonlocal last
        use(channel, queue)
        last = time.monotonic()
        connection.sleep(0.05)

    until(lambda: time.monotonic() > start + 1.2, "more uses than its time", use_it)
    assert not gone(connection, queue)
    until(lambda: gone(connection, queue), "the queue to expire")
    # `last` was taken when the broker had answered, a little after its 700 ms began.
    assert time.monotonic() - last >= 0.6


def test_a_consumer_keeps_a_queue(connection, channel, names):
    """A queue with x-expires never expires while it has consumers; its time begins when the last one goes."""
    queue = names.queue()
    channel.queue_declare(queue, arguments=options(x_expires=200))
    consumer = Inbox(channel, queue, auto_ack=True)
    pass_time(channel, 600)
    assert not gone(connection, queue)
    start = time.monotonic()
    channel.basic_cancel(consumer.tag)
    until(lambda: gone(connection, queue), "the queue to expire")
    assert time.monotonic() - start >= 0.19


def test_publishing_is_not_a_use(connection, channel, names):
    """Messages that arrive do not keep a queue from expiring."""
    queue = names.queue()
    channel.queue_declare(queue, arguments=options(x_expires=200))
    until(lambda: gone(connection, queue), "the queue to expire", lambda: channel.basic_publish("", queue, b"m"))


def test_messages_of_an_expired_queue_are_lost(connection, channel, names):
    """When a queue expires, its messages are not dead-lettered, and its bindings go."""
    dead, arguments = graveyard(channel, x_expires=200)
    queue = names.queue()
    channel.queue_declare(queue, arguments=arguments)
    channel.queue_bind(queue, "amq.direct", queue)
    publish(channel, queue, b"m", exchange="amq.direct")
    until(lambda: gone(connection, queue), "the queue to expire")
    confirming = connection.channel()
    confirming.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError):
        confirming.basic_publish("amq.direct", queue, b"m", mandatory=True)
    pass_time(channel, 50)
    assert ready(channel, dead) == 0


def test_an_expired_queue_can_be_declared_anew(connection, channel, names):
    """The name of an expired queue is free at once, also with other arguments."""
    queue = names.queue()
    channel.queue_declare(queue, arguments=options(x_expires=50))
    until(lambda: gone(connection, queue), "the queue to expire")
    assert channel.queue_declare(queue, durable=True).method.message_count == 0


def test_a_quorum_queue_expires_too(connection, channel, names):
    """x-expires holds for quorum queues as well."""
    queue = quorum(channel, names.queue(), x_expires=200)
    until(lambda: gone(connection, queue), "the queue to expire")


def test_without_a_time_to_live_nothing_expires(channel):
    """Without x-message-ttl and expiration, a message waits for as long as its queue is there."""
    queue = mine(channel)
    channel.basic_publish("", queue, b"m", BasicProperties(delivery_mode=2))
    pass_time(channel, 300)
    assert drain(channel, queue) == [b"m"]
