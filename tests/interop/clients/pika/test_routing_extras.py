"""Routing beyond bindings: copies, alternates, replies without a queue, checked senders, and exchanges of plugins."""

import collections
import functools

import pika.exceptions
import pytest
from pika import BasicProperties
from pika_support import Inbox, drain, mine, publish, quorum, ready, settle, take
from support import until

# --- CC and BCC ---


def test_copies_go_to_every_key_in_cc_and_bcc(channel):
    """A message is routed with its routing key and with each key in the headers CC and BCC."""
    to, cc, bcc = (mine(channel) for _ in range(3))
    publish(channel, to, b"m", headers={"CC": [cc], "BCC": [bcc]})
    assert [drain(channel, queue) for queue in (to, cc, bcc)] == [[b"m"]] * 3


def test_bcc_is_removed_and_cc_is_not(channel):
    """The header BCC is removed from the message before it is delivered; CC stays."""
    to, cc, bcc = (mine(channel) for _ in range(3))
    publish(channel, to, b"m", headers={"CC": [cc], "BCC": [bcc], "other": 1})
    for queue in (to, cc, bcc):
        method, properties, _ = take(channel, queue)
        assert properties.headers == {"CC": [cc], "other": 1}
        assert method.routing_key == to


def test_a_queue_gets_one_copy(channel):
    """A queue that several keys lead to gets the message once."""
    queue = mine(channel)
    publish(channel, queue, b"m", headers={"CC": [queue, queue], "BCC": [queue]})
    assert drain(channel, queue) == [b"m"]


def test_cc_goes_through_the_exchange_it_was_published_to(channel, names):
    """The keys in CC and BCC are routed by the same exchange as the routing key."""
    exchange, queue, other = names.exchange(), mine(channel), mine(channel)
    channel.exchange_declare(exchange, "topic")
    channel.queue_bind(queue, exchange, "*.copy")
    channel.queue_bind(other, exchange, "no.match")
    publish(channel, "unroutable", b"m", exchange=exchange, headers={"CC": ["a.copy"], "BCC": [other]})
    assert drain(channel, queue) == [b"m"]
    assert ready(channel, other) == 0


def test_a_mandatory_message_that_only_cc_can_route_is_routed(channel):
    """A message is unroutable only if none of its keys leads to a queue."""
    queue = mine(channel)
    # `publish` is mandatory: it fails when the message comes back.
    publish(channel, "nowhere", b"m", headers={"BCC": [queue]})
    assert drain(channel, queue) == [b"m"]
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(channel, "nowhere", b"m", headers={"CC": ["nowhere else"]})


@pytest.mark.parametrize("header", ["CC", "BCC"])
@pytest.mark.parametrize("value, kind", [("text", "longstr"), (5, "signedint")])
def test_cc_and_bcc_must_be_arrays(channel, header, value, kind):
    """Anything but an array in CC or BCC is refused."""
    channel.basic_publish("", "key", b"m", BasicProperties(headers={header: value}))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        settle(channel)
    text = f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{header}",{kind}}}'
    assert (closed.value.reply_code, closed.value.reply_text) == (406, text)


# --- direct reply-to ---

REPLY_TO = "amq.rabbitmq.reply-to"


def answer(channel, method, properties, body):
    """A server that answers in capitals."""
    channel.basic_publish(
        "", properties.reply_to, body.upper(), BasicProperties(correlation_id=properties.correlation_id)
    )
    channel.basic_ack(method.delivery_tag)


def test_a_reply_comes_without_a_reply_queue(connect, names):
    """A client consumes from the pseudo-queue amq.rabbitmq.reply-to in no-ack mode and sets reply-to to it; the server
    sees a generated name, and publishes to it through the default exchange."""
    queue = names.queue()
    server = connect().channel()
    server.queue_declare(queue)
    seen = []

    def handle(channel, method, properties, body):
        seen.append(properties.reply_to)
        answer(channel, method, properties, body)

    server.basic_consume(queue, handle)
    client = connect().channel()
    replies = Inbox(client, REPLY_TO, auto_ack=True)
    for number in range(3):
        client.basic_publish("", queue, b"call", BasicProperties(reply_to=REPLY_TO, correlation_id=str(number)))
    until(lambda: len(seen) == 3, "the calls", lambda: server.connection.process_data_events(time_limit=0.1))
    assert replies.wait(3) == [b"CALL"] * 3
    assert [properties.correlation_id for _, properties, _ in replies.deliveries] == ["0", "1", "2"]
    assert len(set(seen)) == 1
    assert seen[0].startswith(f"{REPLY_TO}.")
    assert {(method.exchange, method.routing_key) for method, _, _ in replies.deliveries} == {("", seen[0])}


def ask(client, queue):
    """Publishes a request with the pseudo-queue as reply-to; answers the name the server is to reply to."""
    client.basic_publish("", queue, b"call", BasicProperties(reply_to=REPLY_TO))
    return take(client, queue)[1].reply_to


def test_a_server_can_ask_whether_the_client_is_still_there(connect, channel, names):
    """If the server declares the name in reply-to passively, it gets queue.declare-ok while the client is there, and a
    404 afterwards."""
    queue, client = names.queue(), connect()
    channel.queue_declare(queue)
    asking = client.channel()
    Inbox(asking, REPLY_TO, auto_ack=True)
    name = ask(asking, queue)
    answered = channel.queue_declare(name, passive=True).method
    assert (answered.queue, answered.message_count, answered.consumer_count) == (name, 0, 1)
    client.close()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        until(lambda: False, "the client gone", lambda: channel.queue_declare(name, passive=True))
    assert (closed.value.reply_code, closed.value.reply_text) == (404, f"NOT_FOUND - no queue '{name}' in vhost '/'")


def test_a_reply_to_a_client_that_is_gone_is_dropped(connect, channel, names):
    """Replies to a client that went away are lost, and the server's channel goes on."""
    queue, client = names.queue(), connect()
    channel.queue_declare(queue)
    asking = client.channel()
    Inbox(asking, REPLY_TO, auto_ack=True)
    name = ask(asking, queue)
    client.close()
    channel.basic_publish("", name, b"too late")
    settle(channel)
    assert channel.is_open


def test_the_pseudo_queue_needs_no_ack(channel):
    """Consuming from the pseudo-queue with acknowledgements is refused."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        Inbox(channel, REPLY_TO)
    text = "PRECONDITION_FAILED - reply consumer cannot acknowledge"
    assert (closed.value.reply_code, closed.value.reply_text) == (406, text)


def test_the_pseudo_queue_can_be_declared(channel):
    """Declaring the pseudo-queue succeeds and does nothing; it has no messages."""
    answered = channel.queue_declare(REPLY_TO, passive=True).method
    assert (answered.queue, answered.message_count, answered.consumer_count) == (REPLY_TO, 0, 1)


def test_a_cancelled_reply_consumer_can_be_set_again(channel):
    """After its consumer was cancelled, a channel may consume from the pseudo-queue anew."""
    first = Inbox(channel, REPLY_TO, auto_ack=True)
    channel.basic_cancel(first.tag)
    again = Inbox(channel, REPLY_TO, auto_ack=True)
    queue = mine(channel)
    channel.basic_publish("", ask(channel, queue), b"reply")
    assert again.wait(1) == [b"reply"]


# --- user-id ---


def test_a_true_user_id_is_delivered(channel):
    """If the property user-id is set, its value must be the name of the user of the connection."""
    queue = mine(channel)
    publish(channel, queue, b"m", user_id="guest")
    assert take(channel, queue)[1].user_id == "guest"


def test_a_false_user_id_is_refused(channel):
    """A user-id that is not the connection's user closes the channel, and the message goes nowhere."""
    queue = mine(channel)
    other = channel.connection.channel()
    other.basic_publish("", queue, b"m", BasicProperties(user_id="somebody"))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        settle(other)
    text = "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'"
    assert (closed.value.reply_code, closed.value.reply_text) == (406, text)
    assert ready(channel, queue) == 0


# --- alternate exchanges ---


def test_alternates_may_be_chained(channel, names):
    """Whenever an exchange with a configured alternate exchange cannot route a message to any queue, it publishes the
    message to that one instead, which may have an alternate in turn."""
    exchanges = [names.exchange() for _ in range(3)]
    for exchange, alternate in zip(exchanges, [*exchanges[1:], None], strict=True):
        arguments = {"alternate-exchange": alternate} if alternate else {}
        channel.exchange_declare(exchange, "fanout" if not alternate else "direct", arguments=arguments)
    queue = mine(channel)
    channel.queue_bind(queue, exchanges[-1])
    publish(channel, "key", b"m", exchange=exchanges[0])
    method, _, _ = take(channel, queue)
    assert (method.exchange, method.routing_key) == (exchanges[0], "key")


def test_a_message_that_an_alternate_routes_is_not_returned(channel, names):
    """A message routed through an alternate exchange counts as routed for mandatory; if no alternate takes it, it is
    unroutable."""
    exchange, alternate = names.exchange(), names.exchange()
    channel.exchange_declare(alternate, "direct")
    channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": alternate})
    queue = mine(channel)
    channel.queue_bind(queue, alternate, "known")
    publish(channel, "known", b"m", exchange=exchange)
    assert drain(channel, queue) == [b"m"]
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(channel, "unknown", b"m", exchange=exchange)


def test_alternates_may_go_in_circles_or_be_missing(channel, names):
    """An alternate exchange that does not exist is skipped, and a circle of alternates ends where it began."""
    here, there = names.exchange(), names.exchange()
    channel.exchange_declare(here, "direct", arguments={"alternate-exchange": there})
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(channel, "key", b"m", exchange=here)
    channel.exchange_declare(there, "direct", arguments={"alternate-exchange": here})
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(channel, "key", b"m", exchange=here)


# --- exchange types of plugins ---


def spread(channel, exchange, queues, keys, **properties):
    """Publishes one message for each key; answers which queue got which keys."""
    for key in keys:
        publish(channel, key, key.encode(), exchange=exchange, **properties)
    return [[body.decode() for body in drain(channel, queue)] for queue in queues]


@pytest.mark.exchange_type("x-consistent-hash")
def test_a_consistent_hash_spreads_by_routing_key(channel, names):
    """Each message goes to exactly one queue, chosen by the hash of its routing key: equal keys to the same queue."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-consistent-hash")
    queues = [mine(channel) for _ in range(3)]
    for queue in queues:
        channel.queue_bind(queue, exchange, "1")
    keys = [f"key {number}" for number in range(150)]
    first = spread(channel, exchange, queues, keys)
    assert sorted(key for got in first for key in got) == sorted(keys)
    assert all(first)
    assert spread(channel, exchange, queues, keys) == first


@pytest.mark.exchange_type("x-consistent-hash")
def test_a_consistent_hash_weighs_its_queues(channel, names):
    """The binding key is the weight of the queue, a number as a string: a heavier one gets more of the keys."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-consistent-hash")
    light, heavy = mine(channel), mine(channel)
    channel.queue_bind(light, exchange, "1")
    channel.queue_bind(heavy, exchange, "9")
    got = spread(channel, exchange, [light, heavy], [f"key {number}" for number in range(200)])
    assert len(got[0]) < len(got[1])
    assert len(got[0]) + len(got[1]) == 200


@pytest.mark.exchange_type("x-consistent-hash")
@pytest.mark.parametrize(
    "arguments, properties",
    [
        ({"hash-header": "customer"}, {"headers": {"customer": "7"}}),
        ({"hash-property": "message_id"}, {"message_id": "7"}),
        ({"hash-property": "correlation_id"}, {"correlation_id": "7"}),
    ],
    ids=["header", "message_id", "correlation_id"],
)
def test_a_consistent_hash_may_be_of_a_header_or_property(channel, names, arguments, properties):
    """With hash-header or hash-property, that value is hashed instead of the routing key."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-consistent-hash", arguments=arguments)
    queues = [mine(channel) for _ in range(3)]
    for queue in queues:
        channel.queue_bind(queue, exchange, "5")
    keys = [f"key {number}" for number in range(30)]
    got = spread(channel, exchange, queues, keys, **properties)
    assert sorted(map(len, got)) == [0, 0, 30]


@pytest.mark.exchange_type("x-consistent-hash")
def test_a_consistent_hash_moves_few_keys_when_a_queue_goes(channel, names):
    """When a queue is unbound, the keys of the other queues stay where they are."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-consistent-hash")
    queues = [mine(channel) for _ in range(3)]
    for queue in queues:
        channel.queue_bind(queue, exchange, "10")
    keys = [f"key {number}" for number in range(60)]
    before = spread(channel, exchange, queues, keys)
    channel.queue_unbind(queues[2], exchange, "10")
    after = spread(channel, exchange, queues, keys)
    assert after[2] == []
    assert all(set(old) <= set(new) for old, new in zip(before[:2], after[:2], strict=True))


@pytest.mark.exchange_type("x-consistent-hash")
def test_a_weight_must_be_a_number(channel, names):
    """A binding key that is no number is refused."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-consistent-hash")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.queue_bind(mine(channel), exchange, "heavy")
    text = 'PRECONDITION_FAILED - The binding key must be an integer: <<"heavy">>'
    assert (closed.value.reply_code, closed.value.reply_text) == (406, text)


@pytest.mark.exchange_type("x-modulus-hash")
def test_a_modulus_hash_spreads_by_routing_key(channel, names):
    """x-modulus-hash sends each message to one queue, chosen by its routing key; binding keys do not matter."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-modulus-hash")
    queues = [mine(channel) for _ in range(3)]
    for queue in queues:
        channel.queue_bind(queue, exchange, "any")
    keys = [f"key {number}" for number in range(60)]
    first = spread(channel, exchange, queues, keys)
    assert sum(map(len, first)) == 60
    assert all(first)
    assert spread(channel, exchange, queues, keys) == first


@pytest.mark.exchange_type("x-random")
def test_a_random_exchange_takes_one_queue(channel, names):
    """x-random sends each message to one of its queues, whatever the routing key."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-random")
    queues = [mine(channel) for _ in range(2)]
    for queue in queues:
        channel.queue_bind(queue, exchange, "any")
    got = spread(channel, exchange, queues, ["key"] * 60)
    assert sum(map(len, got)) == 60
    assert all(got)


@pytest.mark.exchange_type("x-recent-history")
def test_recent_history_is_given_to_a_new_queue(channel, names):
    """A queue that is bound gets the last 20 messages, or as many as x-recent-history-length says, at once."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-recent-history", arguments={"x-recent-history-length": 3})
    early = mine(channel)
    channel.queue_bind(early, exchange)
    publish(channel, "key", *[b"%d" % number for number in range(5)], exchange=exchange)
    late = mine(channel)
    channel.queue_bind(late, exchange)
    got = [take(channel, late) for _ in range(3)]
    assert [body for _, _, body in got] == [b"2", b"3", b"4"]
    assert {(method.exchange, method.routing_key) for method, _, _ in got} == {(exchange, "key")}
    # From now on it is a fanout exchange for both.
    publish(channel, "other", b"5", exchange=exchange)
    assert take(channel, late)[2] == b"5"
    assert drain(channel, early) == [b"0", b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.exchange_type("x-recent-history")
def test_recent_history_can_be_told_to_forget(channel, names):
    """A message with the header x-recent-history-no-store is delivered but not remembered."""
    exchange, early, late = names.exchange(), mine(channel), mine(channel)
    channel.exchange_declare(exchange, "x-recent-history")
    channel.queue_bind(early, exchange)
    publish(channel, "key", b"secret", exchange=exchange, headers={"x-recent-history-no-store": True})
    publish(channel, "key", b"open", exchange=exchange)
    channel.queue_bind(late, exchange)
    assert take(channel, late)[2] == b"open"
    assert drain(channel, early) == [b"secret", b"open"]
    assert ready(channel, late) == 0


# --- what a published message becomes ---


def test_a_publisher_can_see_what_became_of_each_message(connection, channel, names):
    """A message is confirmed once for all the queues it was routed to, and returned before the confirm if there is
    none."""
    queues = [mine(channel), quorum(channel, names.queue())]
    confirming = connection.channel()
    confirming.confirm_delivery()
    sent = functools.partial(confirming.basic_publish, "", mandatory=True)
    outcomes = collections.Counter()
    for key in (queues[0], queues[1], "nowhere", queues[0]):
        try:
            sent(key, b"m", BasicProperties(headers={"CC": [queues[1]]} if key == queues[0] else None))
            outcomes["confirmed"] += 1
        except pika.exceptions.UnroutableError as unroutable:
            outcomes["returned"] += 1
            (returned,) = unroutable.messages
            assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert outcomes == {"confirmed": 3, "returned": 1}
    until(lambda: ready(channel, queues[1]) == 3, "the copies")
    assert len(drain(channel, queues[0])) == 2
