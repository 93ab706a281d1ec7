"""Deliveries that a consumer holds for too long."""

import time

import pika.exceptions
import pytest
from pika_support import Inbox, mine, options, publish, settle, take
from support import until

pytestmark = pytest.mark.leveret


def test_a_message_goes_back_to_the_queue(connection, channel):
    """A delivery that is not acknowledged within x-consumer-timeout milliseconds goes back to the queue, for another
    consumer, and the channel stays open."""
    queue = mine(channel, arguments=options(x_consumer_timeout=300))
    channel.basic_qos(prefetch_count=1)
    slow = Inbox(channel, queue)
    start = time.monotonic()
    publish(channel, queue, b"m")
    slow.wait(1)
    quick = Inbox(connection.channel(), queue)
    assert quick.wait(1) == [b"m"]
    assert 0.3 <= time.monotonic() - start < 10
    assert quick.redelivered() == [True]
    quick.channel.basic_ack(quick.tags()[0])
    settle(channel)
    assert channel.is_open


def test_what_is_acknowledged_in_time_stays_settled(channel):
    """Acknowledged deliveries do not time out, and the time of each begins with its own delivery."""
    queue = mine(channel, arguments=options(x_consumer_timeout=300))
    channel.basic_qos(prefetch_count=1)
    inbox = Inbox(channel, queue)
    start, count = time.monotonic(), 0
    while time.monotonic() - start < 0.7:
        publish(channel, queue, b"m")
        count += 1
        inbox.wait(count)
        channel.basic_ack(inbox.tags()[-1])
    assert inbox.redelivered() == [False] * count


def test_a_consumer_can_have_a_timeout_of_its_own(connection, channel):
    """x-consumer-timeout as an argument of the consumer counts before that of the queue."""
    queue = mine(channel, arguments=options(x_consumer_timeout=60_000))
    channel.basic_qos(prefetch_count=1)
    slow = Inbox(channel, queue, arguments={"x-consumer-timeout": 200})
    publish(channel, queue, b"m")
    slow.wait(1)
    assert Inbox(connection.channel(), queue).wait(1) == [b"m"]


def test_the_channel_can_be_closed(connection, channel):
    """With x-consumer-timeout-action close-channel, the channel is closed, as by RabbitMQ 3."""
    arguments = options(x_consumer_timeout=200, x_consumer_timeout_action="close-channel")
    queue = mine(channel, arguments=arguments)
    slow = connection.channel()
    inbox = Inbox(slow, queue)
    publish(channel, queue, b"m")
    inbox.wait(1)
    until(lambda: slow.is_closed, "the channel closed", lambda: connection.process_data_events(time_limit=0.1))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        raise slow._closing_reason
    text = (
        f"PRECONDITION_FAILED - delivery acknowledgement on channel {slow.channel_number} timed out. Timeout value "
        "used: 200 ms. This timeout value can be configured, see consumers doc guide to learn more"
    )
    assert (closed.value.reply_code, closed.value.reply_text) == (406, text)
    assert take(channel, queue)[2] == b"m"


def test_the_consumer_can_be_cancelled(connection, channel):
    """With x-consumer-timeout-action cancel, the consumer is cancelled, a client with the capability
    consumer_cancel_notify is told, and the channel stays open, as with RabbitMQ 4.3."""
    queue = mine(channel, arguments=options(x_consumer_timeout=200, x_consumer_timeout_action="cancel"))
    slow, cancelled = connection.channel(), []
    slow.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    inbox = Inbox(slow, queue)
    publish(channel, queue, b"m")
    inbox.wait(1)
    until(lambda: cancelled, "the cancellation", lambda: connection.process_data_events(time_limit=0.1))
    assert cancelled == [inbox.tag]
    assert take(channel, queue)[2] == b"m"
    settle(slow)
    assert slow.is_open


def test_a_late_acknowledgement_is_no_error(connection, channel):
    """A consumer that acknowledges after its time is up does not lose its channel; another one has the message."""
    queue = mine(channel, arguments=options(x_consumer_timeout=200))
    channel.basic_qos(prefetch_count=1)
    slow = Inbox(channel, queue)
    publish(channel, queue, b"m")
    slow.wait(1)
    channel.basic_cancel(slow.tag)
    other = Inbox(connection.channel(), queue)
    other.wait(1)
    channel.basic_ack(slow.tags()[0])
    settle(channel)
    assert channel.is_open
    other.channel.basic_ack(other.tags()[0])
    settle(other.channel)
    assert other.channel.is_open


def test_an_unknown_action_is_refused(channel):
    """An x-consumer-timeout-action other than requeue, close-channel and cancel is refused."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        mine(channel, arguments=options(x_consumer_timeout=200, x_consumer_timeout_action="explode"))
    assert closed.value.reply_code == 406
