"""Limits on a queue's length, and what happens to the message that is too many."""

import pika.exceptions
import pytest
from pika import BasicProperties
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


@pytest.fixture
def confirming(connection):
    """A channel in confirm mode."""
    channel = connection.channel()
    channel.confirm_delivery()
    return channel


def numbered(count):
    return [b"%d" % number for number in range(count)]


# --- drop-head ---


@pytest.mark.parametrize("overflow", [{}, {"x_overflow": "drop-head"}])
def test_the_oldest_messages_make_room(channel, overflow):
    """By default, messages at the front of the queue, the oldest ones, are dropped when the limit is reached."""
    queue = mine(channel, arguments=options(x_max_length=3, **overflow))
    publish(channel, queue, *numbered(5))
    assert ready(channel, queue) == 3
    assert drain(channel, queue) == [b"2", b"3", b"4"]


def test_a_quorum_queue_drops_its_oldest_messages(channel, names):
    """The limit and its default behaviour are the same for quorum queues."""
    queue = quorum(channel, names.queue(), x_max_length=3)
    publish(channel, queue, *numbered(5))
    until_ready(channel, queue, 3)
    assert drain(channel, queue) == [b"2", b"3", b"4"]


def test_bytes_are_those_of_the_bodies(channel):
    """x-max-length-bytes is about the total size of all message bodies, without properties or any overhead."""
    queue = mine(channel, arguments=options(x_max_length_bytes=10))
    publish(channel, queue, b"aaaaa", b"bbbbb", headers={"long": "x" * 1000})
    assert ready(channel, queue) == 2
    publish(channel, queue, b"c")
    assert drain(channel, queue) == [b"bbbbb", b"c"]


def test_a_body_larger_than_the_limit_drops_everything_and_itself(channel):
    """A single message larger than x-max-length-bytes does not fit, however empty the queue is."""
    queue = mine(channel, arguments=options(x_max_length_bytes=10))
    publish(channel, queue, b"small", b"x" * 11)
    assert drain(channel, queue) == []


def test_the_limit_that_is_hit_first_counts(channel):
    """If both limits are set, both apply: whichever limit is hit first is enforced."""
    arguments = options(x_max_length=3, x_max_length_bytes=10)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, *numbered(5))
    assert drain(channel, queue) == [b"2", b"3", b"4"]
    publish(channel, queue, b"aaaaa", b"bbbbb", b"ccccc")
    assert drain(channel, queue) == [b"bbbbb", b"ccccc"]


def test_only_ready_messages_count(channel):
    """Only ready messages count towards the limits; messages that wait for an acknowledgement do not."""
    queue = mine(channel, arguments=options(x_max_length=2))
    consumer = Inbox(channel, queue)
    publish(channel, queue, *numbered(5))
    assert consumer.wait(5) == numbered(5)
    channel.basic_cancel(consumer.tag)
    publish(channel, queue, b"5", b"6", b"7")
    assert drain(channel, queue) == [b"6", b"7"]


def test_requeued_messages_count_again(channel):
    """Messages that come back count as ready ones again, and the oldest go."""
    queue = mine(channel, arguments=options(x_max_length=2))
    publish(channel, queue, b"0")
    method, _, _ = take(channel, queue, auto_ack=False)
    publish(channel, queue, b"1", b"2")
    channel.basic_nack(method.delivery_tag)
    settle(channel)
    until_ready(channel, queue, 2)
    assert drain(channel, queue) == [b"1", b"2"]


def test_a_limit_of_zero_serves_waiting_consumers_only(channel):
    """With x-max-length 0, a message is either delivered on arrival or dropped."""
    dead, arguments = graveyard(channel, x_max_length=0)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"nobody")
    assert take(channel, dead)[2] == b"nobody"
    consumer = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, b"somebody")
    assert consumer.wait(1) == [b"somebody"]


def test_dropped_messages_are_dead_lettered(channel):
    """Messages dropped at the head are dead-lettered with the reason maxlen, in the order in which they go."""
    dead, arguments = graveyard(channel, x_max_length=1)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, *numbered(3))
    letters = [take(channel, dead) for _ in range(2)]
    assert [body for _, _, body in letters] == [b"0", b"1"]
    assert [properties.headers["x-death"][0]["reason"] for _, properties, _ in letters] == ["maxlen"] * 2
    assert [properties.headers["x-first-death-reason"] for _, properties, _ in letters] == ["maxlen"] * 2
    assert drain(channel, queue) == [b"2"]


def test_dropped_messages_are_dead_lettered_for_their_bytes_with_the_same_reason(channel):
    """x-max-length-bytes has no reason of its own: it is maxlen as well."""
    dead, arguments = graveyard(channel, x_max_length_bytes=4)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"abc", b"def")
    _, properties, body = take(channel, dead)
    assert (body, properties.headers["x-death"][0]["reason"]) == (b"abc", "maxlen")


def test_a_dropped_message_was_confirmed(confirming):
    """drop-head never refuses: every message is confirmed with an ack."""
    queue = mine(confirming, arguments=options(x_max_length=1))
    assert [confirmed(confirming, queue, body) for body in numbered(3)] == [True] * 3


# --- reject-publish ---


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_the_newest_messages_are_refused(confirming, names, kind):
    """With x-overflow reject-publish the most recently published messages are discarded, and a publisher with
    confirms is told by a basic.nack."""
    queue = names.queue()
    arguments = options(x_queue_type=kind, x_max_length=2, x_overflow="reject-publish")
    confirming.queue_declare(queue, durable=True, arguments=arguments)
    answers = []
    while len(answers) < 2 or (answers[-1] and len(answers) < 50):
        answers.append(confirmed(confirming, queue, b"%d" % len(answers)))
    # A quorum queue takes a few more before it says no.
    assert answers == [True] * (2 if kind == "classic" else len(answers) - 1) + [False]
    assert drain(confirming, queue) == numbered(len(answers) - 1)


def test_there_is_room_again_after_a_message_left(confirming):
    """A full queue takes messages again as soon as some are gone; those with a consumer do not count."""
    queue = mine(confirming, arguments=options(x_max_length=1, x_overflow="reject-publish"))
    assert confirmed(confirming, queue, b"1")
    assert not confirmed(confirming, queue, b"2")
    method, _, _ = confirming.basic_get(queue)
    assert confirmed(confirming, queue, b"3")
    confirming.basic_ack(method.delivery_tag)
    assert not confirmed(confirming, queue, b"4")
    assert drain(confirming, queue) == [b"3"]


def test_bytes_can_be_what_is_refused_for(confirming):
    """reject-publish counts the bytes of bodies too."""
    queue = mine(confirming, arguments=options(x_max_length_bytes=5, x_overflow="reject-publish"))
    assert confirmed(confirming, queue, b"abc")
    assert not confirmed(confirming, queue, b"def")
    assert confirmed(confirming, queue, b"gh")
    assert drain(confirming, queue) == [b"abc", b"gh"]


@pytest.mark.parametrize("consumers", [0, 1])
def test_a_limit_of_zero_refuses_everything(confirming, consumers):
    """With x-max-length 0 and reject-publish, every message is refused, consumer or not."""
    queue = mine(confirming, arguments=options(x_max_length=0, x_overflow="reject-publish"))
    inboxes = [Inbox(confirming, queue) for _ in range(consumers)]
    assert [confirmed(confirming, queue, body) for body in numbered(3)] == [False] * 3
    assert [inbox.bodies() for inbox in inboxes] == [[]] * consumers


def test_without_confirms_a_refused_message_is_gone_in_silence(channel):
    """A publisher without confirms learns nothing of a refusal, and its channel stays open."""
    queue = mine(channel, arguments=options(x_max_length=1, x_overflow="reject-publish"))
    for body in numbered(3):
        channel.basic_publish("", queue, body)
    settle(channel)
    assert drain(channel, queue) == [b"0"]


def test_one_queue_that_refuses_makes_a_nack(confirming):
    """A message for several queues is refused if one of them refuses it; the others have it all the same."""
    arguments = options(x_max_length=0, x_overflow="reject-publish")
    full, other = mine(confirming, arguments=arguments), mine(confirming)
    assert not confirmed(confirming, full, b"m", headers={"CC": [other]})
    assert drain(confirming, other) == [b"m"]
    assert drain(confirming, full) == []


def test_refused_messages_are_not_dead_lettered(confirming):
    """With reject-publish, refused messages are not dead-lettered."""
    dead, arguments = graveyard(confirming, x_max_length=1, x_overflow="reject-publish")
    queue = mine(confirming, arguments=arguments)
    assert [confirmed(confirming, queue, body) for body in numbered(2)] == [True, False]
    assert ready(confirming, dead) == 0


def test_refused_messages_can_be_dead_lettered(confirming):
    """The difference between reject-publish and reject-publish-dlx is that the latter also dead-letters the refused
    messages."""
    dead, arguments = graveyard(confirming, x_max_length=1, x_overflow="reject-publish-dlx")
    queue = mine(confirming, arguments=arguments)
    assert [confirmed(confirming, queue, body) for body in numbered(2)] == [True, False]
    _, properties, body = take(confirming, dead)
    assert (body, properties.headers["x-death"][0]["reason"]) == (b"1", "maxlen")
    assert drain(confirming, queue) == [b"0"]


def test_a_mandatory_message_that_is_refused_does_not_come_back(confirming):
    """A refused message was routed: mandatory is about routing, not about room."""
    queue = mine(confirming, arguments=options(x_max_length=0, x_overflow="reject-publish"))
    # An UnroutableError would say that it came back.
    with pytest.raises(pika.exceptions.NackError):
        confirming.basic_publish("", queue, b"m", mandatory=True)


def test_persistent_messages_count_like_any_other(channel):
    """Limits do not ask whether a message is persistent."""
    queue = mine(channel, arguments=options(x_max_length=2))
    for number, body in enumerate(numbered(4)):
        channel.basic_publish("", queue, body, BasicProperties(delivery_mode=1 + number % 2))
    settle(channel)
    assert drain(channel, queue) == [b"2", b"3"]
