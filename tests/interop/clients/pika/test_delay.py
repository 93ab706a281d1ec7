"""Messages that come later: published with a delay, or returned and to be tried again after a while."""

import datetime
import time

import pika.exceptions
import pytest
from pika_support import Inbox, drain, mine, publish, quorum, ready, take
from support import unique

pytestmark = pytest.mark.leveret


def milliseconds(seconds_from_now):
    """A point in time as milliseconds since 1970."""
    return int((time.time() + seconds_from_now) * 1000)


def text(seconds_from_now):
    """A point in time as RFC 3339 writes it."""
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_from_now)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def elapsed(act):
    """What `act` returned, and how many seconds it took."""
    start = time.monotonic()
    return act(), time.monotonic() - start


# --- on any exchange ---


@pytest.mark.parametrize("exchange", ["", "amq.direct", "amq.topic", "amq.fanout"])
def test_a_delayed_message_comes_when_its_time_has_come(channel, exchange):
    """A message with the header x-delay is delivered so many milliseconds after it was published, whatever the type of
    the exchange."""
    queue = mine(channel)
    if exchange:
        channel.queue_bind(queue, exchange, queue)
    publish(channel, queue, b"later", exchange=exchange, headers={"x-delay": 300})
    assert ready(channel, queue) == 0
    got, seconds = elapsed(lambda: take(channel, queue))
    assert got[2] == b"later"
    # Some of the time went by while the publisher waited for its confirm.
    assert seconds >= 0.2


def test_a_consumer_gets_a_delayed_message_pushed(channel):
    """A waiting consumer gets a delayed message as soon as it is due, after those that were published later."""
    queue = mine(channel)
    inbox = Inbox(channel, queue, auto_ack=True)
    start = time.monotonic()
    publish(channel, queue, b"later", headers={"x-delay": 500})
    publish(channel, queue, b"now")
    assert inbox.wait(1) == [b"now"]
    assert inbox.wait(2) == [b"now", b"later"]
    assert 0.5 <= time.monotonic() - start < 10
    assert inbox.redelivered() == [False, False]


def test_messages_come_in_the_order_of_their_times(channel):
    """Delayed messages are delivered in the order in which they are due."""
    queue = mine(channel)
    inbox = Inbox(channel, queue, auto_ack=True)
    for delay in (800, 200, 600, 400):
        publish(channel, queue, b"%d" % delay, headers={"x-delay": delay})
    publish(channel, queue, b"0")
    assert inbox.wait(5) == [b"0", b"200", b"400", b"600", b"800"]


@pytest.mark.parametrize("delay", [0, -1000, None, "soon"])
def test_what_is_no_delay_is_none(channel, delay):
    """A delay that is zero, negative or no number means delivery at once."""
    queue = mine(channel)
    publish(channel, queue, b"m", headers={"x-delay": delay})
    assert drain(channel, queue) == [b"m"]


@pytest.mark.parametrize("at", [milliseconds, text], ids=["milliseconds", "RFC 3339"])
def test_a_message_can_name_the_time_of_its_delivery(channel, at):
    """The header x-deliver-at is a point in time, in milliseconds since 1970 or as RFC 3339 writes it, before which
    the message is not delivered."""
    queue = mine(channel)
    due = time.time() + 0.3
    publish(channel, queue, b"m", headers={"x-deliver-at": at(0.3)})
    assert ready(channel, queue) == 0
    take(channel, queue)
    # The time was written with a precision of a millisecond.
    assert time.time() >= due - 0.002


@pytest.mark.parametrize("at", [milliseconds, text], ids=["milliseconds", "RFC 3339"])
def test_a_time_in_the_past_is_now(channel, at):
    """A message whose time of delivery is past is delivered at once."""
    queue = mine(channel)
    publish(channel, queue, b"m", headers={"x-deliver-at": at(-3600)})
    assert drain(channel, queue) == [b"m"]


def test_a_time_that_is_none_is_refused(channel):
    """A header x-deliver-at that is no point in time closes the channel."""
    queue = mine(channel)
    other = channel.connection.channel()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        publish(other, queue, b"m", headers={"x-deliver-at": "tomorrow"})
    assert closed.value.reply_code == 406
    assert drain(channel, queue) == []


def test_a_confirm_does_not_wait_for_the_delay(channel):
    """A delayed message is confirmed when the broker has it, not when it is delivered."""
    queue = mine(channel)
    _, seconds = elapsed(lambda: publish(channel, queue, b"m", headers={"x-delay": 60_000}))
    assert seconds < 10
    assert ready(channel, queue) == 0


def test_a_delayed_message_that_goes_nowhere_comes_back(channel):
    """mandatory holds for delayed messages: one that cannot be routed is returned when it is published."""
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(channel, unique("missing"), b"m", headers={"x-delay": 60_000})


def test_a_quorum_queue_delays_too(channel, names):
    """Delays are the same for every type of queue."""
    queue = quorum(channel, names.queue())
    start = time.monotonic()
    publish(channel, queue, b"later", headers={"x-delay": 200})
    publish(channel, queue, b"now")
    assert [take(channel, queue)[2] for _ in range(2)] == [b"now", b"later"]
    assert time.monotonic() - start >= 0.2


# --- the exchange type of RabbitMQ's plugin ---


def test_the_delayed_message_exchange(channel, names):
    """An exchange of the type x-delayed-message routes like one of the type in its argument x-delayed-type, after the
    delay in the header x-delay; messages without the header are routed at once."""
    exchange, queue, other = names.exchange(), mine(channel), mine(channel)
    channel.exchange_declare(exchange, "x-delayed-message", arguments={"x-delayed-type": "topic"})
    channel.queue_bind(queue, exchange, "a.*")
    channel.queue_bind(other, exchange, "b.*")
    start = time.monotonic()
    publish(channel, "a.b", b"later", exchange=exchange, headers={"x-delay": 300})
    publish(channel, "a.c", b"now", exchange=exchange)
    got = [take(channel, queue) for _ in range(2)]
    assert [body for _, _, body in got] == [b"now", b"later"]
    assert time.monotonic() - start >= 0.3
    assert (got[1][0].exchange, got[1][0].routing_key) == (exchange, "a.b")
    assert drain(channel, other) == []


@pytest.mark.parametrize("arguments", [{}, {"x-delayed-type": "nosuch"}, {"x-delayed-type": "x-delayed-message"}])
def test_the_delayed_message_exchange_needs_another_type(channel, names, arguments):
    """An exchange of the type x-delayed-message whose x-delayed-type is missing or unknown is refused."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.exchange_declare(names.exchange(), "x-delayed-message", arguments=arguments)
    expected = "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type"
    assert (closed.value.reply_code, closed.value.reply_text) == (406, expected)


# --- delayed retries ---


def reject(channel, method):
    channel.basic_reject(method.delivery_tag)


def nack(channel, method):
    channel.basic_nack(method.delivery_tag)


def times_between_deliveries(channel, queue, give_back, count):
    """Gives the same message back again and again; answers the seconds from each return to the next delivery."""
    inbox, times = Inbox(channel, queue), []
    inbox.wait(1)
    for number in range(count):
        start = time.monotonic()
        give_back(channel, inbox.last()[0])
        inbox.wait(number + 2)
        times.append(time.monotonic() - start)
    return times


def test_retries_wait_longer_each_time(channel, names):
    """With x-delayed-retry-type all, a returned message waits for x-delayed-retry-min milliseconds times the number of
    its deliveries, and for x-delayed-retry-max at most."""
    queue = quorum(channel, names.queue(), x_delayed_retry_type="all", x_delayed_retry_min=100, x_delayed_retry_max=300)
    publish(channel, queue, b"m")
    times = times_between_deliveries(channel, queue, reject, 10)
    assert all(waited >= least for waited, least in zip(times, (0.1, 0.2, *[0.3] * 8), strict=True))
    # Without the maximum it would be a second.
    assert times[-1] < 0.9


@pytest.mark.parametrize(
    "kind, give_back, waits",
    [
        ("disabled", reject, False),
        ("disabled", nack, False),
        ("all", reject, True),
        ("all", nack, True),
        ("failed", reject, True),
        ("failed", nack, False),
        ("returned", reject, False),
        ("returned", nack, True),
    ],
)
def test_which_messages_wait(channel, names, kind, give_back, waits):
    """x-delayed-retry-type says which messages wait: those given back with basic.reject (failed), those given back
    with basic.nack (returned), all, or none (disabled)."""
    queue = quorum(channel, names.queue(), x_delayed_retry_type=kind, x_delayed_retry_min=800, x_delayed_retry_max=800)
    publish(channel, queue, b"m")
    (waited,) = times_between_deliveries(channel, queue, give_back, 1)
    assert (waited >= 0.8) == waits


def test_a_message_that_waits_for_its_retry_holds_up_nobody(channel, names):
    """While a returned message waits, those behind it are delivered."""
    queue = quorum(channel, names.queue(), x_delayed_retry_type="all", x_delayed_retry_min=300)
    channel.basic_qos(prefetch_count=1)
    inbox = Inbox(channel, queue)
    publish(channel, queue, b"1", b"2", b"3")
    inbox.wait(1)
    channel.basic_reject(inbox.tags()[0])
    for count in (2, 3):
        inbox.wait(count)
        channel.basic_ack(inbox.tags()[-1])
    assert inbox.wait(4) == [b"1", b"2", b"3", b"1"]
    assert inbox.redelivered() == [False, False, False, True]


def test_the_delivery_limit_ends_the_retries(channel, names):
    """A message that was retried as often as x-delivery-limit allows is dead-lettered."""
    dead = mine(channel)
    queue = quorum(
        channel,
        names.queue(),
        x_delayed_retry_type="all",
        x_delayed_retry_min=20,
        x_delivery_limit=2,
        x_dead_letter_exchange="",
        x_dead_letter_routing_key=dead,
    )
    publish(channel, queue, b"m")
    for _ in range(3):
        method, _, _ = take(channel, queue, auto_ack=False)
        reject(channel, method)
    _, properties, _ = take(channel, dead)
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit"
