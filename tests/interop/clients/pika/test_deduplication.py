"""Queues and exchanges that take a message once, however often it is sent."""

import pytest
from pika_support import drain, mine, options, publish, ready, settle, take, until_ready

pytestmark = pytest.mark.leveret

ON = options(x_message_deduplication=True)


def send(channel, queue, body, key, exchange=""):
    """`publish` waits for the confirm: a duplicate is confirmed as well."""
    publish(channel, queue, body, exchange=exchange, headers={"x-deduplication-header": key})


def test_a_duplicate_is_confirmed_and_dropped(channel):
    """With x-message-deduplication, a message whose x-deduplication-header equals that of one in the queue is dropped,
    and its publisher gets an ack."""
    queue = mine(channel, arguments=ON)
    for body, key in ((b"1", "a"), (b"2", "b"), (b"again", "a"), (b"3", 7), (b"again", 7)):
        send(channel, queue, body, key)
    assert drain(channel, queue) == [b"1", b"2", b"3"]


def test_messages_without_the_header_are_all_taken(channel):
    """A message without the header is no duplicate of anything."""
    queue = mine(channel, arguments=ON)
    publish(channel, queue, b"m", b"m", b"m")
    assert ready(channel, queue) == 3


def test_a_message_that_has_left_can_be_sent_again(channel):
    """A queue knows a message for as long as it holds it, unacknowledged or waiting."""
    queue = mine(channel, arguments=ON)
    send(channel, queue, b"1", "a")
    method, _, _ = take(channel, queue, auto_ack=False)
    send(channel, queue, b"2", "a")
    assert ready(channel, queue) == 0
    channel.basic_ack(method.delivery_tag)
    settle(channel)
    send(channel, queue, b"3", "a")
    assert drain(channel, queue) == [b"3"]


def test_a_requeued_message_is_no_duplicate_of_itself(channel):
    """A message that comes back to its queue is kept."""
    queue = mine(channel, arguments=ON)
    send(channel, queue, b"m", "a")
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_reject(method.delivery_tag)
    until_ready(channel, queue, 1)
    assert drain(channel, queue) == [b"m"]


def test_each_queue_has_a_memory_of_its_own(channel):
    """Queues do not know of each other, and those without the argument take every message."""
    queues = [mine(channel, arguments=arguments) for arguments in (ON, ON, {})]
    for queue in queues:
        channel.queue_bind(queue, "amq.direct", queues[0])
    send(channel, queues[1], b"0", "a")
    for body in (b"1", b"2"):
        send(channel, queues[0], body, "a", exchange="amq.direct")
    assert [drain(channel, queue) for queue in queues] == [[b"1"], [b"0"], [b"1", b"2"]]


def test_an_exchange_can_drop_duplicates(channel, names):
    """An exchange of the type x-message-deduplication routes each message once, and remembers the last
    x-cache-size of them."""
    exchange, queue = names.exchange(), mine(channel)
    channel.exchange_declare(exchange, "x-message-deduplication", arguments={"x-cache-size": 2})
    channel.queue_bind(queue, exchange)
    for body, key in ((b"1", "a"), (b"dropped", "a"), (b"2", "b"), (b"3", "c"), (b"4", "a")):
        send(channel, "", body, key, exchange=exchange)
    assert drain(channel, queue) == [b"1", b"2", b"3", b"4"]
