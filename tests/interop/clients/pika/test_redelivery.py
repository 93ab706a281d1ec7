"""What a message tells of its earlier deliveries, and the limit to their number."""

import pytest
from pika_support import (
    Inbox,
    confirmed,
    drain,
    graveyard,
    mine,
    publish,
    quorum,
    ready,
    settle,
    take,
    until_ready,
)
from support import until


def delivery_count(properties):
    """Earlier deliveries. RabbitMQ 3.10 says 0 of a first one in the answer to basic.get, and nothing to a consumer."""
    return (properties.headers or {}).get("x-delivery-count", 0)


def requeue(channel, queue):
    """Gets the next message and rejects it back into the queue; answers what it was: (redelivered, delivery count)."""
    method, properties, _ = take(channel, queue, auto_ack=False)
    channel.basic_reject(method.delivery_tag, requeue=True)
    return method.redelivered, delivery_count(properties)


# --- counting deliveries ---


def test_a_quorum_queue_counts_deliveries(channel, names):
    """Quorum queues keep track of unsuccessful delivery attempts and expose them in the header x-delivery-count, which
    is included with any redelivered message, and absent from a first delivery."""
    queue = quorum(channel, names.queue(), x_delivery_limit=10)
    inbox = Inbox(channel, queue)
    publish(channel, queue, b"m")
    for count in range(1, 5):
        inbox.wait(count)
        channel.basic_reject(inbox.tags()[-1])
    inbox.wait(5)
    first, *others = [properties.headers or {} for _, properties, _ in inbox.deliveries]
    assert "x-delivery-count" not in first
    assert [headers["x-delivery-count"] for headers in others] == [1, 2, 3, 4]
    assert inbox.redelivered() == [False] + [True] * 4


def test_basic_get_tells_the_count_too(channel, names):
    """The header x-delivery-count comes with basic.get-ok as well."""
    queue = quorum(channel, names.queue(), x_delivery_limit=10)
    publish(channel, queue, b"m")
    assert [requeue(channel, queue) for _ in range(4)] == [(False, 0), (True, 1), (True, 2), (True, 3)]


def test_each_message_has_a_count_of_its_own(channel, names):
    """Messages behind one that is delivered often keep their own count."""
    queue = quorum(channel, names.queue(), x_delivery_limit=10)
    publish(channel, queue, b"1")
    assert [requeue(channel, queue) for _ in range(2)] == [(False, 0), (True, 1)]
    publish(channel, queue, b"2")
    got = sorted((body, delivery_count(properties)) for _, properties, body in (take(channel, queue) for _ in range(2)))
    assert got == [(b"1", 2), (b"2", 0)]


def test_the_count_goes_on_when_a_consumer_is_lost(connect, channel, names):
    """A delivery whose channel or connection ends without an acknowledgement counts as an attempt too."""
    queue = quorum(channel, names.queue(), x_delivery_limit=10)
    publish(channel, queue, b"m")
    for expected in range(3):
        other = connect()
        method, properties, _ = take(other.channel(), queue, auto_ack=False)
        assert (method.redelivered, delivery_count(properties)) == (expected > 0, expected)
        other.close()


def test_a_header_of_the_publisher_stays(channel, names):
    """The count is added to the message's own headers."""
    queue = quorum(channel, names.queue(), x_delivery_limit=10)
    publish(channel, queue, b"m", headers={"own": "header"})
    requeue(channel, queue)
    assert take(channel, queue)[1].headers == {"own": "header", "x-delivery-count": 1}


def test_acknowledging_ends_the_count(channel, names):
    """A message published anew starts at its first delivery, whatever came before it."""
    queue = quorum(channel, names.queue(), x_delivery_limit=10)
    for _ in range(2):
        publish(channel, queue, b"m")
        assert requeue(channel, queue) == (False, 0)
        take(channel, queue)


# --- the limit ---


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_message_returned_more_often_than_the_limit_is_dead_lettered(channel, names, limit):
    """When a message has been returned more times than the limit, it is dropped or dead-lettered."""
    dead, arguments = graveyard(channel)
    queue = quorum(channel, names.queue(), x_delivery_limit=limit, **arguments)
    publish(channel, queue, b"m")
    counts = [requeue(channel, queue)[1] for _ in range(limit + 1)]
    assert counts == list(range(limit + 1))
    _, properties, _ = take(channel, dead)
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit"
    assert properties.headers["x-first-death-reason"] == "delivery_limit"
    until_ready(channel, queue, 0)


def test_without_a_dead_letter_exchange_the_message_is_dropped(channel, names):
    """A message over the delivery limit is dropped if no dead letter exchange is configured."""
    queue = quorum(channel, names.queue(), x_delivery_limit=1)
    publish(channel, queue, b"m")
    for _ in range(2):
        requeue(channel, queue)
    until_ready(channel, queue, 0)


def test_a_poison_message_does_not_hold_up_the_others(channel, names):
    """With a delivery limit, a message that makes its consumer fail each time is out of the way after some attempts."""
    dead, arguments = graveyard(channel)
    queue = quorum(channel, names.queue(), x_delivery_limit=2, **arguments)
    publish(channel, queue, b"poison", b"1", b"2")
    done, attempts = [], 0

    def work(channel, method, _properties, body):
        nonlocal attempts
        if body == b"poison":
            attempts += 1
            channel.basic_reject(method.delivery_tag)
        else:
            done.append(body)
            channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, work)
    until(
        lambda: attempts == 3 and len(done) == 2,
        "all messages handled",
        lambda: channel.connection.process_data_events(time_limit=0.1),
    )
    assert take(channel, dead)[2] == b"poison"
    assert sorted(done) == [b"1", b"2"]


def test_consumers_that_die_use_the_limit_up(connect, channel, names):
    """A message that ends its consumer's connection each time reaches the limit as well."""
    dead, arguments = graveyard(channel)
    queue = quorum(channel, names.queue(), x_delivery_limit=1, **arguments)
    publish(channel, queue, b"m")
    for _ in range(2):
        other = connect()
        take(other.channel(), queue, auto_ack=False)
        other.close()
    _, properties, _ = take(channel, dead)
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit"


@pytest.mark.leveret
def test_a_classic_queue_can_have_a_delivery_limit(channel):
    """x-delivery-limit and x-delivery-count work on classic queues as they do on quorum queues."""
    dead, arguments = graveyard(channel, x_delivery_limit=2)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"m")
    assert [requeue(channel, queue) for _ in range(3)] == [(False, 0), (True, 1), (True, 2)]
    _, properties, _ = take(channel, dead)
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit"
    assert ready(channel, queue) == 0


def test_a_classic_queue_has_no_limit_by_itself(channel):
    """A classic queue without x-delivery-limit redelivers for as long as the message is returned."""
    queue = mine(channel)
    publish(channel, queue, b"m")
    assert [requeue(channel, queue)[0] for _ in range(30)] == [False] + [True] * 29
    assert drain(channel, queue) == [b"m"]


# --- order ---


def test_returned_messages_go_back_to_their_place(connection, channel):
    """Messages that are requeued go back to their original position in the queue, if possible."""
    queue = mine(channel)
    bodies = [b"%d" % number for number in range(10)]
    publish(channel, queue, *bodies)
    taking = connection.channel()
    inbox = Inbox(taking, queue)
    inbox.wait(10)
    taking.basic_ack(inbox.tags()[4])
    taking.basic_cancel(inbox.tag)
    for tag in reversed(inbox.tags()[:4]):
        taking.basic_reject(tag)
    taking.close()
    until_ready(channel, queue, 9)
    assert drain(channel, queue) == bodies[:4] + bodies[5:]


def test_only_what_was_delivered_counts_as_redelivered(connection, channel):
    """redelivered is set on messages that a consumer had before, and only on those."""
    queue = mine(channel)
    publish(channel, queue, b"1", b"2", b"3")
    other = connection.channel()
    other.basic_qos(prefetch_count=2)
    inbox = Inbox(other, queue)
    inbox.wait(2)
    other.close()
    again = Inbox(channel, queue)
    assert again.wait(3) == [b"1", b"2", b"3"]
    assert again.redelivered() == [True, True, False]
    settle(channel)


def test_a_confirm_does_not_wait_for_a_redelivery(connection, names):
    """Confirms are about taking a message over, not about its consumers."""
    channel = connection.channel()
    channel.confirm_delivery()
    queue = quorum(channel, names.queue(), x_delivery_limit=0)
    assert confirmed(channel, queue, b"m")
    requeue(channel, queue)
    assert confirmed(channel, queue, b"n")
