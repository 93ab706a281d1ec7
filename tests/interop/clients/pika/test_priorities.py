"""Who and what comes first: priorities of messages and of consumers, and single active consumers."""

import pika.exceptions
import pytest
from pika_support import (
    Inbox,
    drain,
    graveyard,
    mine,
    options,
    pass_time,
    publish,
    quorum,
    settle,
    take,
    until_ready,
)
from support import until


def publish_with(channel, queue, *priorities):
    """One message for each priority; the body is its place and its priority."""
    for place, priority in enumerate(priorities):
        publish(channel, queue, b"%d:%d" % (place, priority), priority=priority)


# --- messages ---


def test_higher_priorities_come_first(channel):
    """Messages with higher priority are delivered before those with lower; equal ones in the order of publishing."""
    queue = mine(channel, arguments=options(x_max_priority=10))
    publish_with(channel, queue, 1, 5, 0, 10, 5, 1, 9)
    assert drain(channel, queue) == [b"3:10", b"6:9", b"1:5", b"4:5", b"0:1", b"5:1", b"2:0"]


def test_no_priority_is_priority_0(channel):
    """Messages without a priority property are treated as if their priority were 0."""
    queue = mine(channel, arguments=options(x_max_priority=3))
    publish(channel, queue, b"none")
    publish(channel, queue, b"zero", priority=0)
    publish(channel, queue, b"none again")
    publish(channel, queue, b"one", priority=1)
    assert drain(channel, queue) == [b"one", b"none", b"zero", b"none again"]


def test_a_priority_above_the_maximum_is_the_maximum(channel):
    """Messages with a priority which is higher than the queue's maximum are treated as if they were published with the
    maximum priority, and keep the property that they have."""
    queue = mine(channel, arguments=options(x_max_priority=5))
    publish_with(channel, queue, 4, 5, 200, 6)
    got = [take(channel, queue) for _ in range(4)]
    assert [body for _, _, body in got] == [b"1:5", b"2:200", b"3:6", b"0:4"]
    assert [properties.priority for _, properties, _ in got] == [5, 200, 6, 4]


def test_without_a_maximum_priorities_mean_nothing(channel):
    """A queue declared without x-max-priority delivers in the order of publishing."""
    queue = mine(channel)
    publish_with(channel, queue, 1, 9, 0)
    assert drain(channel, queue) == [b"0:1", b"1:9", b"2:0"]


def test_every_level_up_to_255_is_one_of_its_own(channel):
    """The maximum priority is a number between 1 and 255."""
    queue = mine(channel, arguments=options(x_max_priority=255))
    publish_with(channel, queue, 253, 254, 255, 0)
    assert drain(channel, queue) == [b"2:255", b"1:254", b"0:253", b"3:0"]


def test_a_requeued_message_keeps_its_place(channel):
    """A message that comes back is the first of its priority again."""
    queue = mine(channel, arguments=options(x_max_priority=5))
    publish_with(channel, queue, 1, 1, 3, 3)
    taken = [take(channel, queue, auto_ack=False) for _ in range(3)]
    assert [body for _, _, body in taken] == [b"2:3", b"3:3", b"0:1"]
    for method, _, _ in taken:
        channel.basic_reject(method.delivery_tag)
    settle(channel)
    until_ready(channel, queue, 4)
    assert drain(channel, queue) == [b"2:3", b"3:3", b"0:1", b"1:1"]


def test_a_consumer_gets_the_highest_of_what_waits(channel):
    """Messages that a consumer holds already are not overtaken: priorities order those that wait in the queue."""
    queue = mine(channel, arguments=options(x_max_priority=5))
    publish_with(channel, queue, 1, 2)
    channel.basic_qos(prefetch_count=1)
    inbox = Inbox(channel, queue)
    assert inbox.wait(1) == [b"1:2"]
    publish(channel, queue, b"urgent", priority=5)
    for tag in range(1, 3):
        channel.basic_ack(tag)
        inbox.wait(tag + 1)
    assert inbox.bodies() == [b"1:2", b"urgent", b"0:1"]


def test_a_length_limit_drops_the_head_of_a_priority_queue_too(channel):
    """Messages are dropped from the head of the queue, so that ones of higher priority are dropped to make way for
    ones of lower priority."""
    dead, arguments = graveyard(channel, x_max_priority=5, x_max_length=2)
    queue = mine(channel, arguments=arguments)
    publish_with(channel, queue, 3, 1, 5, 4)
    assert [take(channel, dead)[2] for _ in range(2)] == [b"2:5", b"3:4"]
    assert drain(channel, queue) == [b"0:3", b"1:1"]


def test_an_expired_message_behind_a_higher_priority_is_never_delivered(channel):
    """Expired messages of lower priority may be stuck behind those of higher priority, but are never delivered."""
    queue = mine(channel, arguments=options(x_max_priority=5))
    publish(channel, queue, b"high", priority=5)
    publish(channel, queue, b"low", priority=1, expiration="1")
    pass_time(channel, 50)
    assert drain(channel, queue) == [b"high"]


# --- consumers ---


def test_consumers_of_higher_priority_come_first(connection):
    """Messages go to active consumers of the highest priority, and to those of lower priority only when the others are
    blocked, such as by their prefetch."""
    low, high = connection.channel(), connection.channel()
    queue = mine(low)
    inboxes = []
    for channel, priority in ((low, 0), (high, 10)):
        channel.basic_qos(prefetch_count=2)
        inboxes.append(Inbox(channel, queue, arguments={"x-priority": priority}))
    publish(low, queue, *[b"%d" % number for number in range(4)])
    assert inboxes[1].wait(2) == [b"0", b"1"]
    assert inboxes[0].wait(2) == [b"2", b"3"]
    high.basic_ack(inboxes[1].tags()[0])
    publish(low, queue, b"4")
    assert inboxes[1].wait(3) == [b"0", b"1", b"4"]
    assert inboxes[0].bodies() == [b"2", b"3"]


def test_no_consumer_priority_is_0_and_may_be_negative(connection):
    """Consumers which do not specify a priority have priority 0; larger numbers are higher, and both positive and
    negative numbers can be used."""
    channels = [connection.channel() for _ in range(3)]
    queue = mine(channels[0])
    inboxes = {}
    for channel, priority in zip(channels, (-5, None, 1), strict=True):
        channel.basic_qos(prefetch_count=1)
        arguments = {} if priority is None else {"x-priority": priority}
        inboxes[priority] = Inbox(channel, queue, arguments=arguments)
    publish(channels[0], queue, b"1", b"2", b"3")
    assert [inboxes[priority].wait(1) for priority in (1, None, -5)] == [[b"1"], [b"2"], [b"3"]]


def test_equal_consumers_take_turns(connection):
    """Messages are delivered round-robin if there are several active consumers of the same high priority."""
    channels = [connection.channel() for _ in range(3)]
    queue = mine(channels[0])
    low = Inbox(channels[0], queue, auto_ack=True)
    high = [Inbox(channel, queue, auto_ack=True, arguments={"x-priority": 1}) for channel in channels[1:]]
    publish(channels[0], queue, *[b"%d" % number for number in range(6)])
    assert [inbox.wait(3) for inbox in high] == [[b"0", b"2", b"4"], [b"1", b"3", b"5"]]
    assert low.bodies() == []


# --- single active consumer ---


def settled(inboxes):
    """Waits for the broker to have told each channel all it has to tell."""
    for inbox in inboxes:
        settle(inbox.channel)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_one_consumer_at_a_time_and_the_next_in_order(connection, names, kind):
    """With x-single-active-consumer only one consumer at a time consumes, and the queue fails over to the one
    registered next if the active one is cancelled or dies."""
    channels = [connection.channel() for _ in range(3)]
    queue = names.queue()
    arguments = options(x_queue_type=kind, x_single_active_consumer=True)
    channels[0].queue_declare(queue, durable=True, arguments=arguments)
    inboxes = [Inbox(channel, queue) for channel in channels]
    publish(channels[0], queue, b"1", b"2")
    assert inboxes[0].wait(2) == [b"1", b"2"]
    settled(inboxes)
    assert [inbox.bodies() for inbox in inboxes[1:]] == [[], []]

    # A cancelled consumer's unacknowledged messages are still its own.
    channels[0].basic_cancel(inboxes[0].tag)
    publish(channels[0], queue, b"3")
    assert inboxes[1].wait(1) == [b"3"]

    # A dead one's go to the next.
    channels[1].close()
    assert inboxes[2].wait(1) == [b"3"]
    assert inboxes[2].redelivered() == [True]
    channels[0].basic_ack(0, multiple=True)
    assert inboxes[0].bodies() == [b"1", b"2"]


def test_the_active_consumer_stays_when_others_register(connection):
    """A consumer that registers later waits, however much credit it has."""
    channels = [connection.channel() for _ in range(2)]
    queue = mine(channels[0], arguments=options(x_single_active_consumer=True))
    channels[0].basic_qos(prefetch_count=1)
    inboxes = [Inbox(channel, queue) for channel in channels]
    publish(channels[0], queue, b"1", b"2")
    inboxes[0].wait(1)
    settled(inboxes)
    assert inboxes[1].bodies() == []
    channels[0].basic_ack(inboxes[0].tags()[0])
    assert inboxes[0].wait(2) == [b"1", b"2"]


def test_messages_keep_their_order_through_a_failover(connect, channel, names, relay):
    """Single active consumer keeps messages in order: what the dead consumer had is redelivered first."""
    queue = names.queue()
    channel.queue_declare(queue, arguments=options(x_single_active_consumer=True))
    taking = connect(host="127.0.0.1", port=relay.port).channel()
    taking.basic_qos(prefetch_count=5)
    inbox = Inbox(taking, queue)
    bodies = [b"%d" % number for number in range(20)]
    next_in_line = Inbox(channel, queue)
    publish(channel, queue, *bodies)
    inbox.wait(5)
    taking.basic_ack(inbox.tags()[1], multiple=True)
    settle(taking)
    # pika's close would cancel the consumer before it gives its messages back.
    relay.cut()
    assert next_in_line.wait(18) == bodies[2:]
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        until(lambda: False, "the connection lost", lambda: taking.connection.process_data_events(time_limit=0.1))


def test_an_exclusive_consumer_is_refused(channel):
    """The exclusive flag of a consumer cannot be used together with x-single-active-consumer."""
    queue = mine(channel, arguments=options(x_single_active_consumer=True))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        Inbox(channel, queue, exclusive=True)
    text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    assert (closed.value.reply_code, closed.value.reply_text) == (403, text)


def test_a_new_consumer_after_all_have_gone_is_active(connection, channel):
    """When the last consumer goes, messages wait for the next one, which is then the active one."""
    queue = mine(channel, arguments=options(x_single_active_consumer=True))
    inbox = Inbox(channel, queue, auto_ack=True)
    channel.basic_cancel(inbox.tag)
    publish(channel, queue, b"m")
    late = Inbox(connection.channel(), queue, auto_ack=True)
    until(
        lambda: late.bodies() == [b"m"], "the message", lambda: channel.connection.process_data_events(time_limit=0.1)
    )


def test_a_quorum_queue_takes_consumers_by_priority(connection, names):
    """Consumer priorities work on quorum queues as well."""
    low, high = connection.channel(), connection.channel()
    queue = quorum(low, names.queue())
    inboxes = []
    for channel, priority in ((low, 0), (high, 10)):
        channel.basic_qos(prefetch_count=1)
        inboxes.append(Inbox(channel, queue, arguments={"x-priority": priority}))
    publish(low, queue, b"1", b"2")
    assert (inboxes[1].wait(1), inboxes[0].wait(1)) == ([b"1"], [b"2"])
