"""Message groups: messages that must not overtake each other, however many consumers there are."""

import collections

import pytest
from pika import BasicProperties
from pika_support import Inbox, drain, mine, options, publish, settle, until_ready
from support import until

pytestmark = pytest.mark.leveret

BY_HEADER = options(x_message_group_header="order-id")


def publish_to_groups(channel, queue, *messages):
    """One message for each text such as a1: the group is a, the number tells the order in the group."""
    for message in messages:
        publish(channel, queue, message.encode(), headers={"order-id": message[0]})


def pump(*inboxes):
    """Round trips on every channel: whatever the broker had to deliver has come."""
    for inbox in inboxes:
        settle(inbox.channel)


def consumers(connection, queue, count):
    return [Inbox(connection.channel(), queue) for _ in range(count)]


def test_a_group_has_one_delivery_at_a_time(connection, channel):
    """With x-message-group-header, at most one message of each group is unacknowledged, across all consumers."""
    queue = mine(channel, arguments=BY_HEADER)
    inboxes = consumers(connection, queue, 3)
    publish_to_groups(channel, queue, "a1", "a2", "a3", "b1", "b2")
    until(
        lambda: sorted(body for inbox in inboxes for body in inbox.bodies()) == [b"a1", b"b1"],
        "the first of each group",
        lambda: pump(*inboxes),
    )
    pump(*inboxes)
    assert sum(len(inbox.deliveries) for inbox in inboxes) == 2
    until_ready(channel, queue, 3)


def test_an_acknowledgement_lets_the_next_one_go(channel):
    """The next message of a group is delivered once the one before it is acknowledged."""
    queue = mine(channel, arguments=BY_HEADER)
    inbox = Inbox(channel, queue)
    publish_to_groups(channel, queue, "a1", "a2", "b1", "a3")
    assert inbox.wait(2) == [b"a1", b"b1"]
    channel.basic_ack(inbox.tags()[0])
    assert inbox.wait(3) == [b"a1", b"b1", b"a2"]
    channel.basic_ack(inbox.tags()[2])
    assert inbox.wait(4) == [b"a1", b"b1", b"a2", b"a3"]


def test_the_group_can_be_a_property(channel):
    """With x-message-group-property, messages with equal values of that property are a group."""
    queue = mine(channel, arguments=options(x_message_group_property="message-id"))
    inbox = Inbox(channel, queue)
    for group, body in (("x", b"x1"), ("x", b"x2"), ("y", b"y1")):
        publish(channel, queue, body, message_id=group)
    assert inbox.wait(2) == [b"x1", b"y1"]
    channel.basic_ack(inbox.tags()[0])
    assert inbox.wait(3) == [b"x1", b"y1", b"x2"]


def test_messages_without_a_group_do_not_wait(channel):
    """A message without the header or property is a group of its own."""
    queue = mine(channel, arguments=BY_HEADER)
    inbox = Inbox(channel, queue)
    publish(channel, queue, b"1", b"2", b"3")
    assert inbox.wait(3) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("give_back", ["reject", "nack"])
def test_a_returned_message_goes_before_the_rest_of_its_group(channel, give_back):
    """A message that is requeued is delivered again before any later one of its group."""
    queue = mine(channel, arguments=BY_HEADER)
    inbox = Inbox(channel, queue)
    publish_to_groups(channel, queue, "a1", "a2")
    inbox.wait(1)
    for count in (2, 3):
        getattr(channel, f"basic_{give_back}")(inbox.tags()[-1])
        assert inbox.wait(count) == [b"a1"] * count
    channel.basic_ack(inbox.tags()[-1])
    assert inbox.wait(4)[-1] == b"a2"
    assert inbox.redelivered() == [False, True, True, False]


def test_a_dead_consumers_message_goes_before_the_rest_of_its_group(connect, connection, channel, names):
    """When a consumer dies, what it had is delivered to another one, before later messages of the group."""
    queue = names.queue()
    channel.queue_declare(queue, arguments=BY_HEADER)
    dying = connect()
    first = Inbox(dying.channel(), queue)
    publish_to_groups(channel, queue, "a1", "a2", "b1")
    first.wait(2)
    second = Inbox(connection.channel(), queue)
    pump(second)
    assert second.bodies() == []
    dying.close()
    assert sorted(second.wait(2)) == [b"a1", b"b1"]
    second.channel.basic_ack(0, multiple=True)
    assert second.wait(3)[-1] == b"a2"


def test_a_message_that_is_given_up_lets_the_next_one_go(channel):
    """A message that is rejected for good no longer holds up its group."""
    queue = mine(channel, arguments=BY_HEADER)
    inbox = Inbox(channel, queue)
    publish_to_groups(channel, queue, "a1", "a2")
    inbox.wait(1)
    channel.basic_reject(inbox.tags()[0], requeue=False)
    assert inbox.wait(2) == [b"a1", b"a2"]


def test_without_acknowledgements_order_is_all_there_is(channel):
    """A consumer in no-ack mode gets everything in order."""
    queue = mine(channel, arguments=BY_HEADER)
    publish_to_groups(channel, queue, "a1", "b1", "a2", "b2")
    inbox = Inbox(channel, queue, auto_ack=True)
    bodies = inbox.wait(4)
    assert [body for body in bodies if body[:1] == b"a"] == [b"a1", b"a2"]
    assert [body for body in bodies if body[:1] == b"b"] == [b"b1", b"b2"]


def test_basic_get_waits_its_turn_too(channel):
    """basic.get answers that the queue is empty while each group that has messages has a delivery."""
    queue = mine(channel, arguments=BY_HEADER)
    publish_to_groups(channel, queue, "a1", "a2")
    method, _, body = channel.basic_get(queue)
    assert (body, channel.basic_get(queue)[0]) == (b"a1", None)
    channel.basic_ack(method.delivery_tag)
    settle(channel)
    assert drain(channel, queue) == [b"a2"]


def test_many_consumers_keep_the_order_of_every_group(connect, channel, names):
    """Whatever consumers do, acknowledge, requeue or die, each group is worked through in order."""
    queue, groups, length = names.queue(), "abcdefgh", 12
    channel.queue_declare(queue, arguments=BY_HEADER)
    confirming = channel.connection.channel()
    confirming.confirm_delivery()
    for number in range(length):
        for group in groups:
            properties = BasicProperties(headers={"order-id": group})
            confirming.basic_publish("", queue, b"%s%d" % (group.encode(), number), properties)

    done, in_work, inboxes, handled = collections.defaultdict(list), set(), [], 0

    def start():
        worker = connect().channel()
        worker.basic_qos(prefetch_count=3)
        inboxes.append((Inbox(worker, queue), collections.deque()))

    def step():
        """Every consumer handles what it has: most messages are acknowledged, some come back, and one consumer in a
        while takes its messages to the grave."""
        nonlocal handled
        for inbox, seen in list(inboxes):
            inbox.channel.connection.process_data_events(time_limit=0)
            while len(seen) < len(inbox.deliveries):
                method, _, body = inbox.deliveries[len(seen)]
                group = body[:1]
                assert group not in in_work, f"two messages of group {group} at once"
                in_work.add(group)
                seen.append(body)
                handled += 1
                if handled % 17 == 0:
                    inboxes.remove((inbox, seen))
                    # Its other deliveries die with it, seen or not.
                    in_work.discard(group)
                    inbox.channel.connection.close()
                    start()
                    return
                in_work.discard(group)
                if handled % 5 == 0:
                    inbox.channel.basic_nack(method.delivery_tag)
                else:
                    done[group].append(int(body[1:]))
                    inbox.channel.basic_ack(method.delivery_tag)
                settle(inbox.channel)

    for _ in range(4):
        start()
    until(lambda: sum(map(len, done.values())) == len(groups) * length, "all messages done", step)
    assert {bytes(group): numbers for group, numbers in done.items()} == {
        group.encode(): list(range(length)) for group in groups
    }
