"""What the broker tells a client without being asked: that a consumer has been cancelled."""

import pika.exceptions
import pytest
from pika_support import Inbox, mine, options, publish, quorum, settle
from support import until

WITHOUT_NOTIFY = {
    "capabilities": {"publisher_confirms": True, "basic.nack": True, "authentication_failure_close": True}
}


class Cancellations:
    """Collects the consumer tags of the cancellations that the broker sends on a channel."""

    def __init__(self, channel):
        self.channel, self.tags = channel, []
        channel.add_on_cancel_callback(lambda frame: self.tags.append(frame.method.consumer_tag))

    def wait(self, count):
        until(
            lambda: len(self.tags) >= count,
            f"{count} cancellations, got {self.tags}",
            lambda: self.channel.connection.process_data_events(time_limit=0.1),
        )
        return self.tags


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_deleting_a_queue_cancels_its_consumers(connect, names, kind):
    """The broker sends a basic.cancel to a client that has declared the capability consumer_cancel_notify when the
    queue of one of its consumers is deleted."""
    queue, owner, other = names.queue(), connect().channel(), connect().channel()
    owner.queue_declare(queue, durable=True, arguments=options(x_queue_type=kind))
    tags = []
    seen = Cancellations(other)
    for _ in range(2):
        tags.append(Inbox(other, queue).tag)
    owner.queue_delete(queue)
    assert sorted(seen.wait(2)) == sorted(tags)
    # The channel goes on, and the tags are free.
    again = mine(other)
    inbox = Inbox(other, again, consumer_tag=tags[0])
    publish(other, again, b"m")
    assert inbox.wait(1) == [b"m"]


def test_a_client_without_the_capability_is_not_told(connect, names):
    """A client that has not declared consumer_cancel_notify gets no basic.cancel; its consumer ends in silence."""
    queue, owner, other = names.queue(), connect().channel(), connect(client_properties=WITHOUT_NOTIFY).channel()
    owner.queue_declare(queue)
    seen, inbox = Cancellations(other), Inbox(other, queue)
    publish(owner, queue, b"before")
    inbox.wait(1)
    owner.queue_delete(queue)
    owner.queue_declare(queue)
    publish(owner, queue, b"after")
    settle(other)
    assert (seen.tags, inbox.bodies()) == ([], [b"before"])
    assert owner.queue_declare(queue, passive=True).method.consumer_count == 0


def test_the_client_that_deletes_is_told_too(channel, names):
    """Deleting a queue on the channel that consumes from it cancels the consumer like any other."""
    queue = names.queue()
    channel.queue_declare(queue)
    seen, inbox = Cancellations(channel), Inbox(channel, queue)
    channel.queue_delete(queue)
    assert seen.wait(1) == [inbox.tag]


def test_a_cancelled_consumers_deliveries_can_still_be_acknowledged(connect, names):
    """Acknowledging a delivery whose queue is gone is no error."""
    queue, owner, other = names.queue(), connect().channel(), connect().channel()
    owner.queue_declare(queue)
    publish(owner, queue, b"m", b"n")
    seen, inbox = Cancellations(other), Inbox(other, queue)
    inbox.wait(2)
    owner.queue_delete(queue)
    seen.wait(1)
    other.basic_ack(inbox.tags()[0])
    other.basic_nack(inbox.tags()[1])
    settle(other)
    assert other.is_open
    # But only once.
    other.basic_ack(inbox.tags()[0])
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        settle(other)
    text = f"PRECONDITION_FAILED - unknown delivery tag {inbox.tags()[0]}"
    assert (closed.value.reply_code, closed.value.reply_text) == (406, text)


def test_only_the_consumers_of_that_queue_are_cancelled(connect, names):
    """Other consumers of the same channel go on."""
    doomed, owner, other = names.queue(), connect().channel(), connect().channel()
    owner.queue_declare(doomed)
    kept = mine(other)
    seen, lost, inbox = Cancellations(other), Inbox(other, doomed), Inbox(other, kept)
    owner.queue_delete(doomed)
    assert seen.wait(1) == [lost.tag]
    publish(other, kept, b"m")
    assert inbox.wait(1) == [b"m"]


def test_the_consume_generator_ends(connect, names):
    """pika's generator of deliveries ends when the queue is deleted."""
    queue, owner, other = names.queue(), connect().channel(), connect().channel()
    owner.queue_declare(queue)
    publish(owner, queue, b"m")
    deliveries = other.consume(queue, inactivity_timeout=10)
    assert next(deliveries)[2] == b"m"
    owner.queue_delete(queue)
    assert list(deliveries) == []


def test_a_client_that_cancels_is_answered_and_not_told(channel):
    """A consumer that the client itself cancels is confirmed by basic.cancel-ok, without a notification."""
    seen = Cancellations(channel)
    inbox = Inbox(channel, mine(channel))
    channel.basic_cancel(inbox.tag)
    settle(channel)
    assert seen.tags == []


def test_a_waiting_single_active_consumer_is_cancelled_too(connect, names):
    """All consumers of a deleted queue are cancelled, also those that only wait for their turn."""
    queue, owner, other = names.queue(), connect().channel(), connect().channel()
    quorum(owner, queue, x_single_active_consumer=True)
    seen = Cancellations(other)
    tags = [Inbox(other, queue).tag for _ in range(3)]
    owner.queue_delete(queue)
    assert sorted(seen.wait(3)) == sorted(tags)
