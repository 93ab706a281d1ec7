"""pika's BlockingConnection, as its users write it."""

import datetime
import decimal
import functools
import re
import threading

import pika
import pika.exceptions
import pytest
import support
from pika import BasicProperties
from pika_support import Inbox, drain, mine, publish, settle
from support import unique, until

# --- queues ---


def test_a_server_named_queue_gets_a_generated_name(channel):
    names = {mine(channel) for _ in range(3)}
    assert len(names) == 3
    assert all(re.fullmatch(r"amq\.gen-[\w-]{22}", name) for name in names), names


def test_declaring_again_answers_the_same_queue_with_its_counts(channel, names):
    queue = names.queue()
    assert channel.queue_declare(queue, durable=True).method.message_count == 0
    publish(channel, queue, b"1", b"2")
    Inbox(channel.connection.channel(), queue)
    settle(channel)
    answer = channel.queue_declare(queue, durable=True).method
    assert (answer.queue, answer.message_count, answer.consumer_count) == (queue, 0, 1)


def test_a_passive_declare_looks_at_the_name_only(channel, names):
    queue, exchange = names.queue(), names.exchange()
    channel.queue_declare(queue)
    channel.exchange_declare(exchange, "fanout")
    publish(channel, queue, b"1", b"2", b"3")
    answer = channel.queue_declare(queue, passive=True, durable=True, auto_delete=True).method
    assert (answer.queue, answer.message_count, answer.consumer_count) == (queue, 3, 0)
    channel.exchange_declare(exchange, "topic", passive=True, durable=True)


def test_an_exclusive_queue_is_locked_and_goes_with_its_connection(connect, names):
    owner, other = connect(), connect()
    queue = names.queue()
    owner.channel().queue_declare(queue, exclusive=True)
    assert owner.channel().queue_declare(queue, exclusive=True).method.queue == queue
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        other.channel().queue_declare(queue, passive=True)
    assert (closed.value.reply_code, closed.value.reply_text) == (405, support.LOCKED.format(queue=queue))

    owner.close()
    # Free at once: a client that reconnects declares its queue again straight away.
    assert other.channel().queue_declare(queue, exclusive=True).method.message_count == 0


def test_an_auto_delete_queue_goes_with_its_last_consumer(channel, names):
    queue = names.queue()
    channel.queue_declare(queue, auto_delete=True)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    channel.basic_cancel(first.tag)
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 1
    channel.basic_cancel(second.tag)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue"):
        channel.queue_declare(queue, passive=True)


def test_an_auto_delete_queue_stays_until_it_had_a_consumer(connect, names):
    queue = names.queue()
    with connect() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, auto_delete=True)
        assert channel.basic_get(queue) == (None, None, None)
    with connect() as connection:
        connection.channel().queue_declare(queue, passive=True)
        Inbox(connection.channel(), queue)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue"):
        connect().channel().queue_declare(queue, passive=True)


def test_purge_and_delete_answer_the_number_of_messages(channel):
    queue = mine(channel)
    publish(channel, queue, b"1", b"2", b"3")
    assert channel.queue_purge(queue).method.message_count == 3
    publish(channel, queue, b"4", b"5")
    assert channel.basic_get(queue)[2] == b"4"
    assert channel.queue_delete(queue).method.message_count == 1
    assert channel.queue_delete(queue).method.message_count == 0


def test_delete_can_insist_on_an_unused_and_empty_queue(channel):
    queue = mine(channel)
    tag = Inbox(channel, queue).tag
    other = channel.connection.channel()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=f"queue '{queue}' in vhost '/' in use"):
        other.queue_delete(queue, if_unused=True)
    channel.basic_cancel(tag)
    publish(channel, queue, b"1")
    other = channel.connection.channel()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=f"queue '{queue}' in vhost '/' not empty"):
        other.queue_delete(queue, if_empty=True)
    channel.queue_purge(queue)
    channel.queue_delete(queue, if_unused=True, if_empty=True)


def test_the_empty_name_means_the_queue_declared_last(channel, names):
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    queue = mine(channel)
    channel.queue_bind("", exchange, "")
    # With neither name nor key, the key is the queue's name.
    publish(channel, queue, b"default")
    channel.basic_publish(exchange, queue, b"bound")
    channel.basic_publish(exchange, "", b"not bound")
    assert Inbox(channel, "").wait(2) == [b"default", b"bound"]


@pytest.mark.parametrize("name", ["ünïcode-☃", "with space", "x" * 243], ids=["unicode", "space", "long"])
def test_names_may_be_any_text_of_up_to_255_bytes(channel, names, name):
    queue, exchange = names.queue(), names.exchange()
    queue, exchange = (queue + name)[: 255 - len(name)], (exchange + name)[: 255 - len(name)]
    names.queues.append(queue)
    names.exchanges.append(exchange)
    channel.queue_declare(queue)
    channel.exchange_declare(exchange, "direct")
    channel.queue_bind(queue, exchange, name)
    channel.basic_publish(exchange, name, b"m")
    settle(channel)
    method, _, _ = channel.basic_get(queue, auto_ack=True)
    assert (method.exchange, method.routing_key) == (exchange, name)


# --- exchanges and bindings ---


def deliveries(channel, exchange, queue, messages):
    """Publishes (key, headers) pairs and answers which of them were routed to the queue."""
    for position, (key, headers) in enumerate(messages):
        channel.basic_publish(exchange, key, str(position), BasicProperties(headers=headers))
    channel.queue_declare(queue, passive=True)
    # The message below marks the end of the queue.
    channel.basic_publish("", queue, b"end")
    got = Inbox(channel, queue, auto_ack=True)
    until(lambda: b"end" in got.bodies(), "the end", lambda: channel.connection.process_data_events(time_limit=0.1))
    return [messages[int(body)] for body in got.bodies() if body != b"end"]


@pytest.mark.parametrize("pattern, matching, others", support.TOPICS, ids=[pattern for pattern, _, _ in support.TOPICS])
def test_topic_patterns(channel, pattern, matching, others):
    queue = mine(channel)
    key = unique("topic")
    exchange = unique("exchange")
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    channel.queue_bind(queue, exchange, pattern)
    assert key not in matching
    messages = [(key, None) for key in matching + others]
    assert deliveries(channel, exchange, queue, messages) == [(key, None) for key in matching]


@pytest.mark.parametrize("arguments, matching, others", support.HEADERS, ids=map(str, range(len(support.HEADERS))))
def test_headers_bindings(channel, arguments, matching, others):
    queue = mine(channel)
    exchange = unique("exchange")
    channel.exchange_declare(exchange, "headers", auto_delete=True)
    channel.queue_bind(queue, exchange, "ignored", arguments=arguments)
    messages = [("any", headers) for headers in matching + others]
    assert deliveries(channel, exchange, queue, messages) == [("any", headers) for headers in matching]


def test_a_direct_exchange_routes_by_the_exact_key(channel):
    queue, exchange = mine(channel), unique("exchange")
    channel.exchange_declare(exchange, "direct", auto_delete=True)
    for key in ("red", "red", "green"):
        channel.queue_bind(queue, exchange, key)
    messages = [("red", None), ("Red", None), ("red.", None), ("green", None), ("", None)]
    assert deliveries(channel, exchange, queue, messages) == [("red", None), ("green", None)]


def test_a_fanout_exchange_copies_to_every_queue_once(channel):
    exchange, queues = unique("exchange"), [mine(channel) for _ in range(5)]
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    for queue in queues:
        channel.queue_bind(queue, exchange, "a")
        channel.queue_bind(queue, exchange, "b")
    for queue in queues[1:]:
        channel.basic_publish("", queue, b"direct")
    channel.basic_publish(exchange, "", b"copied")
    settle(channel)
    assert [drain(channel, queue) for queue in queues] == [[b"copied"]] + 4 * [[b"direct", b"copied"]]


def test_an_unbound_queue_gets_nothing_more(channel):
    queue, exchange = mine(channel), unique("exchange")
    channel.exchange_declare(exchange, "direct")
    try:
        channel.queue_bind(queue, exchange, "key")
        channel.queue_bind(queue, exchange, "key", arguments={"a": 1})
        channel.queue_unbind(queue, exchange, "key")
        assert deliveries(channel, exchange, queue, [("key", None)]) == [("key", None)]
        channel.queue_unbind(queue, exchange, "key", arguments={"a": 1})
        channel.queue_unbind(queue, exchange, "key", arguments={"a": 1})
        channel.queue_purge(queue)
        confirming = channel.connection.channel()
        confirming.confirm_delivery()
        with pytest.raises(pika.exceptions.UnroutableError):
            confirming.basic_publish(exchange, "key", b"", mandatory=True)
    finally:
        channel.exchange_delete(exchange)


def test_exchanges_can_be_bound_to_exchanges(channel, names):
    logs, errors, everything = (names.exchange(kind) for kind in ("logs", "errors", "everything"))
    channel.exchange_declare(logs, "topic")
    channel.exchange_declare(errors, "fanout", internal=True)
    channel.exchange_declare(everything, "fanout")
    channel.exchange_bind(errors, logs, "*.error")
    channel.exchange_bind(everything, logs, "#")
    # A loop, and two ways to the same queue: a message still arrives once.
    channel.exchange_bind(everything, everything, "")
    channel.exchange_bind(everything, errors, "")
    queue = mine(channel)
    channel.queue_bind(queue, everything, "")
    channel.queue_bind(queue, errors, "")
    both = [("disk.error", None), ("disk.info", None)]
    assert deliveries(channel, logs, queue, both) == both
    channel.exchange_unbind(everything, logs, "#")
    channel.basic_cancel(channel.consumer_tags[0])
    assert deliveries(channel, logs, queue, both) == both[:1]


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel, names):
    exchange, target = names.exchange(), names.exchange()
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    channel.exchange_declare(target, "fanout")
    first, second = mine(channel), mine(channel)
    channel.queue_bind(first, exchange, "")
    channel.queue_bind(second, exchange, "")
    channel.exchange_bind(target, exchange, "")
    channel.queue_unbind(first, exchange, "")
    channel.queue_delete(second)
    channel.exchange_declare(exchange, passive=True)
    channel.exchange_delete(target)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no exchange"):
        channel.exchange_declare(exchange, passive=True)


def test_exchange_delete_can_insist_on_an_unused_exchange(channel, names):
    source, target = names.exchange(), names.exchange()
    channel.exchange_declare(source, "fanout")
    channel.exchange_declare(target, "fanout")
    channel.exchange_bind(target, source, "")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=f"exchange '{source}' in vhost '/' in use"):
        channel.connection.channel().exchange_delete(source, if_unused=True)
    # Being a destination is not being used.
    channel.exchange_delete(target, if_unused=True)
    channel.exchange_delete(source, if_unused=True)
    channel.exchange_delete(source)


def test_an_alternate_exchange_gets_what_nothing_matched(channel, names):
    main, spare = names.exchange("main"), names.exchange("spare")
    channel.exchange_declare(spare, "fanout")
    channel.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
    matched, rest = mine(channel), mine(channel)
    channel.queue_bind(matched, main, "known")
    channel.queue_bind(rest, spare, "")
    channel.confirm_delivery()
    channel.basic_publish(main, "known", b"1", mandatory=True)
    channel.basic_publish(main, "unknown", b"2", mandatory=True)
    assert drain(channel, matched) == [b"1"]
    method, _, body = channel.basic_get(rest, auto_ack=True)
    assert (method.exchange, method.routing_key, body) == (main, "unknown", b"2")


# --- publishing ---


def test_a_mandatory_message_that_goes_nowhere_comes_back(channel):
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError) as error:
        channel.basic_publish("amq.direct", unique("key"), b"lost?", BasicProperties(message_id="7"), mandatory=True)
    (message,) = error.value.messages
    assert (message.method.reply_code, message.method.reply_text) == (312, "NO_ROUTE")
    assert (message.method.exchange, message.body, message.properties.message_id) == ("amq.direct", b"lost?", "7")
    channel.basic_publish("amq.direct", unique("key"), b"not mandatory: confirmed")
    channel.basic_publish("", mine(channel), b"routed: confirmed", mandatory=True)


def test_without_confirms_a_returned_message_reaches_the_callback(channel):
    returned = []
    channel.add_on_return_callback(lambda _channel, method, _properties, body: returned.append((method, body)))
    key = unique("key")
    channel.basic_publish("", key, b"1", mandatory=True)
    channel.basic_publish("", key, b"2", mandatory=False)
    channel.basic_publish("", key, b"3", mandatory=True)
    until(lambda: len(returned) == 2, "two returns", lambda: channel.connection.process_data_events(time_limit=0.1))
    assert [body for _, body in returned] == [b"1", b"3"]
    assert {(m.reply_code, m.reply_text, m.exchange, m.routing_key) for m, _ in returned} == {
        (312, "NO_ROUTE", "", key)
    }


def test_publishing_to_a_missing_exchange_closes_the_channel(connection):
    channel, exchange = connection.channel(), unique("missing")
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.basic_publish(exchange, "key", b"")
    expected = (404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'")
    assert (closed.value.reply_code, closed.value.reply_text) == expected
    connection.channel().queue_declare("", exclusive=True)


# The largest body that fits one frame of the usual 131072 bytes is 8 bytes shorter.
SIZES = [0, 1, 7, 4087, 131063, 131064, 131065, 262128, 5 * 1024 * 1024]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frame_max", [131072, 4096])
def test_bodies_of_every_size_arrive_whole(connect, frame_max, size):
    channel = connect(frame_max=frame_max).channel()
    queue = mine(channel)
    body = bytes(range(251)) * (size // 251 + 1)
    channel.confirm_delivery()
    channel.basic_publish("", queue, body[:size], mandatory=True)
    _, properties, received = channel.basic_get(queue, auto_ack=True)
    assert received == body[:size]
    channel.basic_publish("", queue, received, properties)
    assert Inbox(channel, queue).wait(1) == [body[:size]]


def test_every_property_survives(channel):
    queue = mine(channel)
    properties = BasicProperties(
        content_type="text/plain",
        content_encoding="gzip",
        headers={"a": 1},
        delivery_mode=2,
        priority=9,
        correlation_id="correlation",
        reply_to="reply",
        message_id="message",
        timestamp=1_700_000_000,
        type="type",
        user_id="guest",
        app_id="application",
        cluster_id="cluster",
        expiration="60000",
    )
    channel.basic_publish("", queue, b"", properties)
    settle(channel)
    method, received, _ = channel.basic_get(queue)
    assert received == properties
    channel.basic_nack(method.delivery_tag)
    inbox = Inbox(channel, queue)
    inbox.wait(1)
    again = inbox.deliveries[0][1]
    # leveret counts redeliveries in classic queues as well as in quorum queues.
    again.headers.pop("x-delivery-count", None)
    assert again == properties


def test_a_message_without_properties_gets_none(channel):
    queue = mine(channel)
    channel.basic_publish("", queue, b"")
    settle(channel)
    assert channel.basic_get(queue, auto_ack=True)[1] == BasicProperties()


HEADER_VALUES = {
    "bool": [True, False],
    "int": [0, -1, 2**31 - 1, -(2**31)],
    "long": [2**31, 2**63 - 1, -(2**63)],
    "text": ["", "text", "ünïcode ☃", "x" * 5000],
    "bytes": [b"", b"\x00\xff\xfe"],
    "decimal": [decimal.Decimal("3.14"), decimal.Decimal("-100"), decimal.Decimal(0)],
    "timestamp": [datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)],
    "void": [None],
    "table": [{}, {"a": {"b": {"c": [1, {"d": None}]}}}],
    "array": [[], [1, "two", [3.0 != 3, None], {"four": b"4"}]],
}


@pytest.mark.parametrize("kind", HEADER_VALUES)
def test_headers_of_every_type_survive(channel, kind):
    queue = mine(channel)
    headers = {f"{kind} {position}": value for position, value in enumerate(HEADER_VALUES[kind])}
    channel.basic_publish("", queue, b"", BasicProperties(headers=headers))
    settle(channel)
    received = channel.basic_get(queue, auto_ack=True)[1].headers
    assert received == headers
    assert list(received) == list(headers)
    assert [isinstance(value, bool) for value in received.values()] == [kind == "bool" for _ in received]


def test_the_order_of_one_publisher_is_kept(connect):
    publisher, consumer = connect().channel(), connect().channel()
    queue = unique("order")
    consumer.queue_declare(queue, auto_delete=True)
    inbox = Inbox(consumer, queue, auto_ack=True)
    expected = [str(number).encode() for number in range(3000)]
    for body in expected:
        publisher.basic_publish("", queue, body)
    assert inbox.wait(len(expected)) == expected


# --- consuming ---


def test_prefetch_limits_what_is_unacked(channel):
    queue = mine(channel)
    channel.basic_qos(prefetch_count=2)
    publish(channel, queue, *(b"%d" % n for n in range(6)))
    inbox = Inbox(channel, queue)
    assert inbox.wait(2) == [b"0", b"1"]
    assert channel.queue_declare(queue, passive=True).method.message_count == 4
    assert len(inbox.bodies()) == 2

    channel.basic_ack(inbox.tags()[0])
    assert inbox.wait(3)[2:] == [b"2"]
    channel.basic_ack(inbox.tags()[2], multiple=True)
    assert inbox.wait(5)[3:] == [b"3", b"4"]
    channel.basic_nack(0, multiple=True, requeue=False)
    assert inbox.wait(6)[5:] == [b"5"]
    channel.basic_ack(0, multiple=True)
    assert channel.queue_delete(queue).method.message_count == 0


def test_prefetch_counts_per_consumer_or_per_channel(connection):
    each, shared = connection.channel(), connection.channel()
    each.basic_qos(prefetch_count=2)
    queue = mine(each)
    publish(each, queue, *(b"%d" % n for n in range(8)))
    first, second = Inbox(each, queue), Inbox(each, queue)
    first.wait(2)
    second.wait(2)
    assert each.queue_declare(queue, passive=True).method.message_count == 4

    shared.basic_qos(prefetch_count=3, global_qos=True)
    third, fourth = Inbox(shared, queue), Inbox(shared, queue)
    until(
        lambda: len(third.bodies() + fourth.bodies()) == 3,
        "three deliveries",
        lambda: connection.process_data_events(time_limit=0.1),
    )
    assert each.queue_declare(queue, passive=True).method.message_count == 1
    # Raising the shared limit has effect at once.
    shared.basic_qos(prefetch_count=4, global_qos=True)
    until(
        lambda: len(third.bodies() + fourth.bodies()) == 4,
        "the fourth delivery",
        lambda: connection.process_data_events(time_limit=0.1),
    )


def test_requeued_messages_return_to_their_place_and_are_flagged(channel):
    queue = mine(channel)
    publish(channel, queue, b"0", b"1", b"2", b"3")
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(3)]
    channel.basic_reject(tags[1])
    channel.basic_nack(tags[0], requeue=True)
    channel.basic_reject(tags[2], requeue=False)
    inbox = Inbox(channel, queue)
    assert inbox.wait(3) == [b"0", b"1", b"3"]
    assert inbox.redelivered() == [True, True, False]


def test_a_consumer_that_rejects_gets_the_message_again(channel):
    queue = mine(channel)
    publish(channel, queue, b"m")
    inbox = Inbox(channel, queue)
    for times in range(1, 6):
        inbox.wait(times)
        channel.basic_reject(inbox.tags()[-1])
    inbox.wait(6)
    assert inbox.redelivered() == [False] + 5 * [True]


def test_get_answers_how_many_are_left(channel):
    queue = mine(channel)
    assert channel.basic_get(queue) == (None, None, None)
    publish(channel, queue, b"0", b"1")
    first, _, body = channel.basic_get(queue)
    assert (first.message_count, first.redelivered, first.routing_key, body) == (1, False, queue, b"0")
    second, _, body = channel.basic_get(queue, auto_ack=True)
    assert (second.message_count, second.redelivered, body) == (0, False, b"1")
    channel.basic_nack(first.delivery_tag)
    again, _, body = channel.basic_get(queue)
    assert (again.message_count, again.redelivered, body) == (0, True, b"0")


def test_recover_redelivers_everything_unacked(channel):
    queue = mine(channel)
    publish(channel, queue, b"0", b"1", b"2", b"3")
    channel.basic_get(queue)
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    channel.basic_ack(inbox.tags()[0])
    channel.basic_recover(requeue=True)
    assert inbox.wait(6)[3:] == [b"0", b"2", b"3"]
    assert inbox.redelivered()[3:] == [True, True, True]
    assert min(inbox.tags()[3:]) > max(inbox.tags()[:3])


def test_a_cancelled_consumer_gets_no_more_and_may_still_ack(channel):
    queue = mine(channel)
    channel.basic_qos(prefetch_count=1)
    publish(channel, queue, b"0", b"1")
    inbox = Inbox(channel, queue)
    inbox.wait(1)
    channel.basic_cancel(inbox.tag)
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 0
    channel.basic_ack(inbox.tags()[0])
    channel.basic_recover(requeue=True)
    assert drain(channel, queue) == [b"1"]
    assert inbox.bodies() == [b"0"]


def test_deleting_a_queue_cancels_its_consumers(connect):
    channel, other = connect().channel(), connect().channel()
    queue = unique("queue")
    cancelled = []
    channel.queue_declare(queue)
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    tags = {Inbox(channel, queue).tag, Inbox(channel, queue).tag}
    other.queue_delete(queue)
    until(lambda: len(cancelled) == 2, "two cancels", lambda: channel.connection.process_data_events(time_limit=0.1))
    assert set(cancelled) == tags
    assert channel.is_open


def test_the_consume_generator(channel):
    queue = mine(channel)
    publish(channel, queue, b"0", b"1", b"2")
    bodies = []
    for method, _, body in channel.consume(queue, inactivity_timeout=support.DEADLINE):
        bodies.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(bodies) == 3:
            break
    channel.cancel()
    assert bodies == [b"0", b"1", b"2"]
    assert channel.queue_delete(queue).method.message_count == 0


def test_a_closed_channel_gives_its_messages_back(connection):
    keeper = connection.channel()
    queue = mine(keeper)
    publish(keeper, queue, b"0", b"1", b"2")
    leaver = connection.channel()
    Inbox(leaver, queue).wait(3)
    leaver.close()
    inbox = Inbox(keeper, queue)
    assert inbox.wait(3) == [b"0", b"1", b"2"]
    assert inbox.redelivered() == [True, True, True]


def test_consumers_without_ack_take_everything(channel):
    queue = mine(channel)
    channel.basic_qos(prefetch_count=1)
    publish(channel, queue, *(b"%d" % n for n in range(20)))
    assert len(Inbox(channel, queue, auto_ack=True).wait(20)) == 20
    channel.basic_recover(requeue=True)
    assert channel.queue_delete(queue).method.message_count == 0


def test_an_exclusive_consumer_is_alone(connection):
    channel = connection.channel()
    queue = mine(channel)
    first = Inbox(channel, queue, exclusive=True)
    refused = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    for exclusive in (False, True):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            Inbox(connection.channel(), queue, exclusive=exclusive)
        assert (closed.value.reply_code, closed.value.reply_text) == (403, refused)
    channel.basic_cancel(first.tag)
    Inbox(channel, queue)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        Inbox(connection.channel(), queue, exclusive=True)
    assert closed.value.reply_text == refused


def test_consumer_tags_belong_to_a_channel(connection):
    first, second = connection.channel(), connection.channel()
    queue = mine(first)
    inboxes = [Inbox(channel, queue, consumer_tag="same") for channel in (first, second)]
    assert {inbox.tag for inbox in inboxes} == {"same"}
    first.basic_cancel("same")
    assert first.queue_declare(queue, passive=True).method.consumer_count == 1


# --- patterns ---


def test_work_is_shared_fairly_with_prefetch_1(connect):
    """Three workers; one never finishes its message, and the other two do all the rest."""
    boss = connect().channel()
    queue = mine_shared(boss)
    workers = [connect().channel() for _ in range(3)]
    inboxes = []
    for worker in workers:
        worker.basic_qos(prefetch_count=1)
        inboxes.append(Inbox(worker, queue))
    publish(boss, queue, *(b"%d" % n for n in range(30)))
    stuck, *busy = inboxes
    stuck.wait(1)

    def work():
        for inbox in busy:
            inbox.channel.connection.process_data_events(time_limit=0.01)
            while inbox.deliveries and inbox.deliveries[-1] is not getattr(inbox, "done", None):
                inbox.done = inbox.deliveries[-1]
                inbox.channel.basic_ack(inbox.tags()[-1])

    until(lambda: sum(len(inbox.bodies()) for inbox in busy) == 29, "the work done", work)
    assert len(stuck.bodies()) == 1
    assert sorted(int(body) for inbox in inboxes for body in inbox.bodies()) == list(range(30))
    assert all(len(inbox.bodies()) > 5 for inbox in busy)


def mine_shared(channel):
    """A queue that several connections of one test use; it goes with its consumers."""
    return channel.queue_declare(unique("work"), auto_delete=True).method.queue


def test_publish_and_subscribe_with_a_dozen_consumers(connect):
    exchange = unique("news")
    subscribers = []
    for _ in range(12):
        channel = connect().channel()
        channel.exchange_declare(exchange, "fanout", auto_delete=True)
        queue = mine(channel)
        channel.queue_bind(queue, exchange)
        subscribers.append(Inbox(channel, queue, auto_ack=True))
    publisher = connect().channel()
    publisher.confirm_delivery()
    news = [b"news %d" % n for n in range(50)]
    for body in news:
        publisher.basic_publish(exchange, "", body, mandatory=True)
    assert [subscriber.wait(50) for subscriber in subscribers] == 12 * [news]


def test_remote_procedure_calls(connect):
    """The tutorial's RPC: a server that answers to reply_to, and a client with its own exclusive queue."""
    requests = unique("rpc")
    ready = threading.Event()

    def serve():
        with connect() as connection:
            channel = connection.channel()
            channel.queue_declare(requests, auto_delete=True)
            channel.basic_qos(prefetch_count=1)

            def answer(_channel, method, properties, body):
                square = BasicProperties(correlation_id=properties.correlation_id)
                channel.basic_publish("", properties.reply_to, b"%d" % int(body) ** 2, square)
                channel.basic_ack(method.delivery_tag)
                if body == b"20":
                    channel.stop_consuming()

            channel.basic_consume(requests, answer)
            ready.set()
            channel.start_consuming()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    assert ready.wait(support.DEADLINE)
    channel = connect().channel()
    reply_to = mine(channel)
    replies = Inbox(channel, reply_to, auto_ack=True)
    for number in range(21):
        properties = BasicProperties(reply_to=reply_to, correlation_id=f"call {number}")
        channel.basic_publish("", requests, b"%d" % number, properties, mandatory=True)
        assert replies.wait(number + 1)[-1] == b"%d" % number**2
        assert replies.deliveries[-1][1].correlation_id == f"call {number}"
    server.join(support.DEADLINE)
    assert not server.is_alive()


def test_acks_from_another_thread(connection):
    """The usual way to work on a message in a thread: the ack is handed back to the connection's own thread."""
    channel = connection.channel()
    queue = mine(channel)
    channel.basic_qos(prefetch_count=1)
    publish(channel, queue, *(b"%d" % n for n in range(10)))
    done = []

    def work(tag, body):
        def ack():
            channel.basic_ack(tag)
            done.append(body)

        connection.add_callback_threadsafe(ack)

    def deliver(_channel, method, _properties, body):
        threading.Thread(target=work, args=(method.delivery_tag, body)).start()

    channel.basic_consume(queue, deliver)
    until(lambda: len(done) == 10, "ten acks", functools.partial(connection.process_data_events, 0.1))
    assert done == [b"%d" % n for n in range(10)]


# --- transactions ---


def test_a_transaction_publishes_all_or_nothing(channel):
    queue = mine(channel)
    watcher = channel.connection.channel()
    channel.tx_select()
    channel.basic_publish("", queue, b"1")
    channel.basic_publish("", queue, b"2")
    assert watcher.queue_declare(queue, passive=True).method.message_count == 0
    channel.tx_rollback()
    channel.basic_publish("", queue, b"3")
    channel.basic_publish("", queue, b"4")
    channel.tx_commit()
    assert drain(watcher, queue) == [b"3", b"4"]


def test_a_transaction_holds_acks_back(connection):
    channel, watcher = connection.channel(), connection.channel()
    queue = mine(channel)
    publish(channel, queue, b"1", b"2")
    channel.tx_select()
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(2)]
    channel.basic_ack(tags[0])
    channel.tx_rollback()
    # Still unacked, so it can be acked again.
    channel.basic_ack(tags[0])
    channel.tx_commit()
    channel.basic_ack(tags[1])
    channel.close()
    assert watcher.basic_get(queue, auto_ack=True)[2] == b"2"
    assert drain(watcher, queue) == []


def test_returns_of_a_transaction_come_with_the_commit(channel):
    returned = []
    channel.add_on_return_callback(lambda _channel, method, _properties, body: returned.append(body))
    channel.tx_select()
    channel.basic_publish("", unique("missing"), b"1", mandatory=True)
    channel.tx_rollback()
    channel.basic_publish("", unique("missing"), b"2", mandatory=True)
    settle(channel)
    assert returned == []
    channel.tx_commit()
    channel.connection.process_data_events()
    assert returned == [b"2"]


# --- errors and recovery ---


def test_a_channel_error_leaves_everything_else_alone(connection):
    bystander, failing = connection.channel(), connection.channel()
    queue = mine(bystander)
    inbox = Inbox(bystander, queue)
    number = failing.channel_number
    missing = unique("missing")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        failing.queue_declare(missing, passive=True)
    assert (closed.value.reply_code, closed.value.reply_text) == (404, f"NOT_FOUND - no queue '{missing}' in vhost '/'")
    assert not failing.is_open and connection.is_open and bystander.is_open

    again = connection.channel(number)
    publish(again, queue, b"m")
    assert inbox.wait(1) == [b"m"]
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        again.exchange_declare("amq.direct", "fanout")
    assert closed.value.reply_code == 406
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel = connection.channel(number)
        channel.basic_ack(99)
        channel.basic_qos(prefetch_count=1)
    assert (closed.value.reply_code, closed.value.reply_text) == (406, "PRECONDITION_FAILED - unknown delivery tag 99")


def test_a_connection_error_ends_the_connection_and_a_new_one_works(connect):
    connection = connect()
    channel = connection.channel()
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        channel.basic_qos(prefetch_size=10)
    assert (closed.value.reply_code, closed.value.reply_text) == (540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)")
    assert connection.is_closed and channel.is_closed
    mine(connect().channel())


def test_unacked_messages_come_back_when_the_network_fails(relay, connect, names):
    queue = names.queue()
    unlucky = connect(host="127.0.0.1", port=relay.port).channel()
    unlucky.queue_declare(queue, durable=True)
    publish(unlucky, queue, b"0", b"1", b"2")
    inbox = Inbox(unlucky, queue)
    inbox.wait(3)
    unlucky.basic_ack(inbox.tags()[0])
    settle(unlucky)
    assert relay.cut() == 1
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        unlucky.connection.process_data_events(time_limit=support.DEADLINE)

    channel = connect(host="127.0.0.1", port=relay.port).channel()
    inbox = Inbox(channel, queue)
    assert inbox.wait(2) == [b"1", b"2"]
    assert inbox.redelivered() == [True, True]


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_frames_may_arrive_in_any_number_of_pieces(connect, piece):
    with support.Relay(piece) as relay:
        channel = connect(host="127.0.0.1", port=relay.port).channel()
        queue = mine(channel)
        channel.confirm_delivery()
        body = b"0123456789" * 500
        channel.basic_publish("", queue, body, BasicProperties(headers={"a": {"b": [1, 2]}}), mandatory=True)
        channel.basic_publish("", queue, b"", mandatory=True)
        assert Inbox(channel, queue, auto_ack=True).wait(2) == [body, b""]
        channel.connection.close()


def test_a_wrong_password_is_refused_with_a_reason(connect):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError) as error:
        connect(password="wrong")
    assert support.LOGIN_REFUSED.format(mechanism="PLAIN") in str(error.value)
    assert "(403)" in str(error.value)


def test_an_unknown_vhost_is_refused_with_a_reason(connect):
    vhost = unique("vhost")
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError) as error:
        connect(virtual_host=vhost)
    assert f"NOT_ALLOWED - vhost {vhost} not found" in str(error.value)
    assert "(530)" in str(error.value)


# --- connections ---


def test_the_broker_presents_itself(connection):
    properties = connection._impl.server_properties
    assert properties["product"] == "RabbitMQ"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", properties["version"])
    expected = "authentication_failure_close basic.nack connection.blocked consumer_cancel_notify consumer_priorities"
    expected += " direct_reply_to exchange_exchange_bindings per_consumer_qos publisher_confirms"
    capabilities = properties["capabilities"]
    assert sorted(name for name, value in capabilities.items() if value is True) == expected.split()
    assert {"cluster_name", "copyright", "information", "platform"} <= set(properties)


def test_limits_are_negotiated_downwards(connect):
    connection = connect(channel_max=10, frame_max=4096, heartbeat=30)
    assert [connection.channel().channel_number for _ in range(10)] == list(range(1, 11))
    assert connection._impl.params.frame_max == 4096
    defaults = connect(heartbeat=None)._impl.params
    assert (defaults.channel_max, defaults.frame_max, defaults.heartbeat) == (2047, 131072, 60)


def test_a_url_names_everything():
    url = f"amqp://guest:guest@{support.URL_HOST}:{support.PORT}/%2F?heartbeat=0&channel_max=5&frame_max=8192"
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        mine(connection.channel())


def test_an_idle_connection_lives_on_heartbeats(connect):
    """Four heartbeat intervals without any traffic of its own; the broker drops a silent client after three."""
    connection = connect(heartbeat=1)
    channel = connection.channel()
    queue = mine(channel)
    connection.sleep(4)
    assert connection.is_open
    publish(channel, queue, b"alive")
    assert drain(channel, queue) == [b"alive"]


def test_a_silent_client_is_dropped(connect):
    connection = connect(heartbeat=1)
    channel = connection.channel()
    queue = unique("queue")
    channel.queue_declare(queue, exclusive=True)
    # Not reading or writing at all, as a hung process would: the broker frees what the client held.
    watcher = connect()

    def gone():
        try:
            watcher.channel().queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker as closed:
            return closed.reply_code == 404

    until(gone, "the silent connection dropped", lambda: watcher.sleep(0.2))
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        mine(channel)


def test_hundreds_of_channels_on_one_connection(connection):
    channels = [connection.channel() for _ in range(250)]
    queues = [mine(channel) for channel in channels]
    for channel, queue in zip(channels, queues):
        channel.basic_publish("", queue, queue.encode())
    for channel, queue in zip(reversed(channels), reversed(queues)):
        settle(channel)
        assert drain(channel, queue) == [queue.encode()]
    for channel in channels[::2]:
        channel.close()
    assert [mine(connection.channel()) for _ in range(125)]


def test_dozens_of_connections(connect):
    queue = unique("shared")
    connections = [connect() for _ in range(50)]
    for connection in connections:
        connection.channel().queue_declare(queue, auto_delete=True)
    inboxes = [Inbox(connection.channel(), queue, auto_ack=True) for connection in connections]
    publish(inboxes[0].channel, queue, *(b"%d" % n for n in range(100)))
    # Round robin: everyone gets the same share.
    assert {len(inbox.wait(2)) for inbox in inboxes} == {2}


def test_the_secret_can_be_updated(connection):
    connection.update_secret("guest", "it is time")
    mine(connection.channel())
