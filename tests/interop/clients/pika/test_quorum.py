"""Queues declared with x-queue-type quorum, as their users expect them to be."""

import pika.exceptions
import pytest
from pika_support import (
    Inbox,
    confirmed,
    drain,
    graveyard,
    mine,
    options,
    publish,
    quorum,
    ready,
    settle,
    take,
    until_ready,
)
from support import until


@pytest.fixture
def queue(channel, names):
    return quorum(channel, names.queue())


def refusal(error):
    return error.value.reply_code, error.value.reply_text


def test_messages_go_through_in_order(channel, queue):
    """A quorum queue is a durable FIFO queue."""
    bodies = [b"%d" % number for number in range(200)]
    publish(channel, queue, *bodies)
    inbox = Inbox(channel, queue)
    assert inbox.wait(200) == bodies
    assert inbox.redelivered() == [False] * 200
    channel.basic_ack(0, multiple=True)
    until_ready(channel, queue, 0)


def test_declaring_again_is_fine_and_as_a_classic_queue_is_not(connection, channel, queue):
    """The type of a queue cannot be changed by declaring it again."""
    quorum(channel, queue)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        connection.channel().queue_declare(queue, durable=True)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{queue}' in vhost '/': received none but "
        "current is the value 'quorum' of type 'longstr'"
    )
    assert refusal(closed) == (406, text)


@pytest.mark.parametrize("argument", ["x_quorum_initial_group_size", "x_max_in_memory_length", "x_max_in_memory_bytes"])
def test_arguments_of_clusters_are_taken(channel, names, argument):
    """Arguments about replicas and memory are accepted."""
    queue = quorum(channel, names.queue(), **{argument: 1})
    publish(channel, queue, b"1", b"2")
    assert drain(channel, queue) == [b"1", b"2"]


def test_leader_locator_and_dead_letter_strategy_are_taken(channel, names):
    """x-queue-leader-locator and x-dead-letter-strategy are accepted."""
    quorum(channel, names.queue(), x_queue_leader_locator="balanced", x_dead_letter_strategy="at-most-once")
    quorum(channel, names.queue(), x_queue_leader_locator="client-local")


def test_transient_messages_are_kept_like_persistent_ones(channel, queue):
    """Quorum queues treat every message as persistent; the property delivery-mode stays as it was."""
    publish(channel, queue, b"transient", delivery_mode=1)
    publish(channel, queue, b"persistent", delivery_mode=2)
    got = [take(channel, queue) for _ in range(2)]
    assert [(body, properties.delivery_mode) for _, properties, body in got] == [(b"transient", 1), (b"persistent", 2)]


def test_a_rejected_message_comes_again(connection, channel, queue):
    """A message that is rejected back into the queue is redelivered. (Where in the queue it is put differs between
    versions: RabbitMQ 3.10 has it behind those that were never delivered, 4.x before them.)"""
    publish(channel, queue, b"1", b"2", b"3")
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_reject(method.delivery_tag)
    settle(channel)
    until_ready(channel, queue, 3)
    inbox = Inbox(connection.channel(), queue, auto_ack=True)
    inbox.wait(3)
    assert sorted(zip(inbox.bodies(), inbox.redelivered(), strict=True)) == [
        (b"1", True),
        (b"2", False),
        (b"3", False),
    ]


def test_messages_of_a_lost_connection_come_back_in_order(connect, channel, queue):
    """Unacknowledged messages are requeued, in order, when the connection of their consumer closes."""
    bodies = [b"%d" % number for number in range(20)]
    publish(channel, queue, *bodies)
    other = connect()
    taking = other.channel()
    taking.basic_qos(prefetch_count=10)
    Inbox(taking, queue).wait(10)
    other.close()
    inbox = Inbox(channel, queue, auto_ack=True)
    assert inbox.wait(20) == bodies
    assert inbox.redelivered() == [True] * 10 + [False] * 10


def test_prefetch_is_kept(channel, queue):
    """A consumer has no more unacknowledged messages than its prefetch count."""
    publish(channel, queue, *[b"m"] * 10)
    channel.basic_qos(prefetch_count=3)
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    until_ready(channel, queue, 7)
    channel.basic_ack(inbox.tags()[1], multiple=True)
    inbox.wait(5)
    until_ready(channel, queue, 5)


def test_consumers_without_ack_take_everything(channel, queue):
    """Automatic acknowledgement works."""
    publish(channel, queue, *[b"m"] * 10)
    Inbox(channel, queue, auto_ack=True).wait(10)
    until_ready(channel, queue, 0)


def test_purge_and_delete_answer_the_number_of_messages(channel, queue):
    """queue.purge and queue.delete answer how many messages there were."""
    publish(channel, queue, b"1", b"2", b"3")
    assert channel.queue_purge(queue).method.message_count == 3
    publish(channel, queue, b"4")
    assert channel.queue_delete(queue).method.message_count == 1


@pytest.mark.parametrize("flag", ["if_unused", "if_empty"])
def test_conditional_delete_is_not_supported(channel, queue, flag):
    """queue.delete with if-unused or if-empty is refused for quorum queues."""
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        channel.queue_delete(queue, **{flag: True})
    what = flag.replace("_", "-")
    text = (
        f"NOT_IMPLEMENTED - cannot delete queue '{queue}' in vhost '/'. queue.delete operations with {what} flag set "
        "are not supported by quorum queues"
    )
    assert refusal(closed) == (540, text)


def test_single_active_consumer_excludes_basic_get(channel, names):
    """basic.get is refused on a quorum queue with a single active consumer."""
    queue = quorum(channel, names.queue(), x_single_active_consumer=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.basic_get(queue)
    text = (
        f"RESOURCE_LOCKED - cannot obtain access to locked queue '{queue}' in vhost '/'. basic.get operations are not "
        "supported by quorum queues with single active consumer"
    )
    assert refusal(closed) == (405, text)


def test_dead_letters_are_handed_over_at_least_once(channel, names):
    """With x-dead-letter-strategy at-least-once and x-overflow reject-publish, dead letters are confirmed by their
    target before they leave the queue."""
    target = quorum(channel, names.queue())
    queue = quorum(
        channel,
        names.queue(),
        x_dead_letter_exchange="",
        x_dead_letter_routing_key=target,
        x_dead_letter_strategy="at-least-once",
        x_overflow="reject-publish",
    )
    publish(channel, queue, b"1", b"2")
    for _ in range(2):
        method, _, _ = take(channel, queue, auto_ack=False)
        channel.basic_reject(method.delivery_tag, requeue=False)
    got = [take(channel, target) for _ in range(2)]
    assert [body for _, _, body in got] == [b"1", b"2"]
    assert [properties.headers["x-death"][0]["reason"] for _, properties, _ in got] == ["rejected"] * 2
    until_ready(channel, queue, 0)


def test_a_quorum_queue_can_be_a_dead_letter_queue_of_a_classic_one(channel, queue):
    """Both types of queues work together."""
    classic = mine(channel, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=queue))
    publish(channel, classic, b"m")
    method, _, _ = take(channel, classic, auto_ack=False)
    channel.basic_reject(method.delivery_tag, requeue=False)
    _, properties, body = take(channel, queue)
    assert body == b"m"
    assert properties.headers["x-first-death-queue"] == classic


def test_a_quorum_queue_can_be_bound_and_unbound(channel, queue):
    """Bindings to quorum queues are as to any other."""
    channel.queue_bind(queue, "amq.topic", f"{queue}.#")
    publish(channel, f"{queue}.a", b"1", exchange="amq.topic")
    channel.queue_unbind(queue, "amq.topic", f"{queue}.#")
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(channel, f"{queue}.a", b"2", exchange="amq.topic")
    assert drain(channel, queue) == [b"1"]


def test_confirms_come_for_many_messages_at_once(connection, queue):
    """A publisher with confirms may have many messages in flight to a quorum queue."""
    channel = connection.channel()
    channel.confirm_delivery()
    assert all(confirmed(channel, queue, b"%d" % number) for number in range(100))
    until(lambda: ready(channel, queue) == 100, "all messages")


def test_an_expired_and_a_rejected_message_go_the_same_way(channel, names):
    """Both reasons lead from a quorum queue to its dead letter exchange."""
    dead, arguments = graveyard(channel)
    queue = quorum(channel, names.queue(), **arguments)
    publish(channel, queue, b"rejected")
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_reject(method.delivery_tag, requeue=False)
    publish(channel, queue, b"expired", expiration="20")
    got = [take(channel, dead) for _ in range(2)]
    assert [properties.headers["x-death"][0]["reason"] for _, properties, _ in got] == [b.decode() for _, _, b in got]
