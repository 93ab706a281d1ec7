"""Dead-lettering: which messages go where, and what their headers tell."""

import datetime

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
    ready,
    settle,
    take,
    until_ready,
)

# What x-first-death-* and x-last-death-* tell.
TOLD = ("reason", "queue", "exchange")


def now():
    return datetime.datetime.now(datetime.UTC)


def deaths(properties):
    """The header x-death without the times, which cannot be foretold."""
    return [{key: value for key, value in death.items() if key != "time"} for death in properties.headers["x-death"]]


def reasons(properties):
    """What the header x-death says, in short: (reason, queue, count) of each entry."""
    return [(death["reason"], death["queue"], death["count"]) for death in properties.headers["x-death"]]


def reject(channel, queue):
    """Takes the next message and rejects it for good."""
    method, _, _ = take(channel, queue, auto_ack=False)
    channel.basic_reject(method.delivery_tag, requeue=False)


# --- the record of a death ---


@pytest.mark.parametrize("refuse", ["reject", "nack"])
def test_the_record_of_a_rejected_message(channel, names, refuse):
    """A dead-lettered message has, in x-death, how often it died in which queue for what reason, when first, and the
    exchange and the routing keys that it was published with."""
    exchange = names.exchange()
    dead, arguments = graveyard(channel)
    queue = mine(channel, arguments=arguments)
    channel.exchange_declare(exchange, "topic")
    channel.queue_bind(queue, exchange, "a.*")
    before = now()
    publish(channel, "a.b", b"body", exchange=exchange, headers={"own": "header"}, message_id="7", priority=3)
    method, _, _ = take(channel, queue, auto_ack=False)
    if refuse == "reject":
        channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        channel.basic_nack(method.delivery_tag, requeue=False)
    method, properties, body = take(channel, dead)
    (record,) = properties.headers["x-death"]
    # Timestamps are whole seconds.
    assert before - datetime.timedelta(seconds=1) <= record.pop("time") <= now()
    assert record == {
        "count": 1,
        "reason": "rejected",
        "queue": queue,
        "exchange": exchange,
        "routing-keys": ["a.b"],
    }
    first = {f"x-first-death-{what}": properties.headers[f"x-first-death-{what}"] for what in TOLD}
    assert first == {
        "x-first-death-reason": "rejected",
        "x-first-death-queue": queue,
        "x-first-death-exchange": exchange,
    }
    assert properties.headers["own"] == "header"
    assert (body, properties.message_id, properties.priority) == (b"body", "7", 3)
    assert (method.exchange, method.routing_key, method.redelivered) == ("", dead, False)


@pytest.mark.leveret
def test_the_headers_of_the_last_death(channel):
    """The headers x-last-death-reason, -queue and -exchange tell of the latest death, x-first-death-* of the first."""
    dead, arguments = graveyard(channel)
    second = mine(channel, arguments=options(**{**arguments, "x_message_ttl": 20}))
    first = mine(channel, arguments=options(x_dead_letter_exchange="amq.direct", x_dead_letter_routing_key=second))
    channel.queue_bind(second, "amq.direct", second)
    publish(channel, first, b"m")
    reject(channel, first)
    headers = take(channel, dead)[1].headers
    assert [headers[f"x-first-death-{what}"] for what in TOLD] == ["rejected", first, ""]
    assert [headers[f"x-last-death-{what}"] for what in TOLD] == ["expired", second, "amq.direct"]


def test_the_record_of_an_expired_message(channel):
    """An expired message keeps its expiration in x-death as original-expiration; the property is removed, so that it
    does not expire again in the queues it is routed to."""
    dead, arguments = graveyard(channel)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"m", expiration="20")
    _, properties, _ = take(channel, dead)
    assert deaths(properties) == [
        {
            "count": 1,
            "reason": "expired",
            "queue": queue,
            "exchange": "",
            "routing-keys": [queue],
            "original-expiration": "20",
        }
    ]
    assert properties.expiration is None


def test_a_message_that_expired_by_its_queue_had_no_expiration(channel):
    """original-expiration is only there if the message had one of its own."""
    dead, arguments = graveyard(channel, x_message_ttl=20)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"m")
    _, properties, _ = take(channel, dead)
    assert deaths(properties) == [
        {"count": 1, "reason": "expired", "queue": queue, "exchange": "", "routing-keys": [queue]}
    ]


def test_the_expiration_is_removed_whatever_the_reason(channel):
    """The expiration of a message is removed when it is dead-lettered, also if it was rejected, and kept in x-death."""
    dead, arguments = graveyard(channel)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"m", expiration="30000")
    reject(channel, queue)
    _, properties, _ = take(channel, dead)
    assert properties.expiration is None
    assert properties.headers["x-death"][0]["original-expiration"] == "30000"


def test_a_dead_letter_does_not_expire_again(channel):
    """A message that expired stays in the dead letter queue for good."""
    dead, arguments = graveyard(channel)
    publish(channel, mine(channel, arguments=arguments), b"m", expiration="20")
    until_ready(channel, dead, 1)
    pass_time(channel, 100)
    assert drain(channel, dead) == [b"m"]


def test_the_record_of_a_message_dropped_for_length(channel):
    """A message dropped because its queue is too long died for the reason maxlen."""
    dead, arguments = graveyard(channel, x_max_length=1)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"1", b"2")
    _, properties, body = take(channel, dead)
    assert (body, reasons(properties)) == (b"1", [("maxlen", queue, 1)])


def test_the_record_of_a_message_redelivered_too_often(channel, names):
    """A message returned to a quorum queue more often than x-delivery-limit died for the reason delivery_limit."""
    dead, arguments = graveyard(channel)
    queue = quorum(channel, names.queue(), x_delivery_limit=1, **arguments)
    publish(channel, queue, b"m")
    for _ in range(2):
        method, _, _ = take(channel, queue, auto_ack=False)
        channel.basic_reject(method.delivery_tag)
    _, properties, _ = take(channel, dead)
    assert deaths(properties) == [
        {"count": 1, "reason": "delivery_limit", "queue": queue, "exchange": "", "routing-keys": [queue]}
    ]


@pytest.mark.parametrize("reason", ["rejected", "expired", "maxlen"])
def test_quorum_queues_write_the_same_records(channel, names, reason):
    """Dead letters of quorum queues have the same headers as those of classic ones."""
    limit = {"rejected": {}, "expired": {"x_message_ttl": 50}, "maxlen": {"x_max_length": 1}}[reason]
    dead, arguments = graveyard(channel, **limit)
    queue = quorum(channel, names.queue(), **arguments)
    publish(channel, queue, b"m")
    if reason == "rejected":
        reject(channel, queue)
    elif reason == "maxlen":
        publish(channel, queue, b"n")
    _, properties, body = take(channel, dead)
    assert body == b"m"
    assert deaths(properties) == [
        {"count": 1, "reason": reason, "queue": queue, "exchange": "", "routing-keys": [queue]}
    ]


# --- more than one death ---


def test_the_latest_death_comes_first(channel):
    """x-death has one entry for each queue and reason, sorted so that the most recent death comes first, while
    x-first-death-* stay as they were."""
    dead, arguments = graveyard(channel)
    second = mine(channel, arguments={**arguments, "x-message-ttl": 20})
    first = mine(channel, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=second))
    publish(channel, first, b"m")
    reject(channel, first)
    _, properties, _ = take(channel, dead)
    assert deaths(properties) == [
        {"count": 1, "reason": "expired", "queue": second, "exchange": "", "routing-keys": [second]},
        {"count": 1, "reason": "rejected", "queue": first, "exchange": "", "routing-keys": [first]},
    ]
    assert [properties.headers[f"x-first-death-{what}"] for what in TOLD] == ["rejected", first, ""]


def test_a_retry_loop_counts(channel, names):
    """When a message dies again in the same queue for the same reason, its entry's count is incremented and the entry
    moves to the front: the usual way to retry later, by a second queue with a time to live."""
    work, wait = names.queue(), names.queue()
    channel.queue_declare(work, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=wait))
    channel.queue_declare(
        wait, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=work, x_message_ttl=20)
    )
    publish(channel, work, b"m")
    seen = []
    for _ in range(4):
        method, properties, _ = take(channel, work, auto_ack=False)
        seen.append(reasons(properties) if properties.headers else [])
        channel.basic_nack(method.delivery_tag, requeue=False)
    assert seen == [
        [],
        [("expired", wait, 1), ("rejected", work, 1)],
        [("expired", wait, 2), ("rejected", work, 2)],
        [("expired", wait, 3), ("rejected", work, 3)],
    ]


def test_each_reason_has_an_entry_of_its_own(channel, names):
    """Deaths in one queue for different reasons are counted apart."""
    queue, back = names.queue(), names.queue()
    channel.queue_declare(queue, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=back))
    channel.queue_declare(back, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=queue))
    publish(channel, queue, b"m", expiration="20")
    reject(channel, back)
    reject(channel, queue)
    latest, *others = reasons(take(channel, back)[1])
    assert latest == ("rejected", queue, 1)
    assert set(others) == {("rejected", back, 1), ("expired", queue, 1)}


@pytest.mark.leveret
def test_all_deaths_are_in_order_of_recency(channel, names):
    """x-death is sorted by recency throughout. (RabbitMQ before 4.0 was sure of the first entry only.)"""
    queues = [names.queue() for _ in range(3)]
    for queue, target in zip(queues, queues[1:] + queues[:1], strict=True):
        channel.queue_declare(queue, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=target))
    publish(channel, queues[0], b"m")
    for _ in range(4):
        for queue in queues:
            reject(channel, queue)
    reject(channel, queues[0])
    _, properties, _ = take(channel, queues[1])
    first, second, third = queues
    assert reasons(properties) == [("rejected", first, 5), ("rejected", third, 4), ("rejected", second, 4)]


# --- where dead letters go ---


def test_a_dead_letter_keeps_its_routing_key(channel, names):
    """Without x-dead-letter-routing-key, a message is dead-lettered with the routing key it was published with."""
    exchange, dead = names.exchange(), mine(channel)
    channel.exchange_declare(exchange, "direct")
    queue = mine(channel, arguments=options(x_dead_letter_exchange=exchange))
    channel.queue_bind(dead, exchange, "the.key")
    channel.queue_bind(queue, "amq.direct", "the.key")
    publish(channel, "the.key", b"m", exchange="amq.direct")
    reject(channel, queue)
    method, _, _ = take(channel, dead)
    assert (method.exchange, method.routing_key) == (exchange, "the.key")


def test_a_dead_letter_can_be_given_another_routing_key(channel, names):
    """With x-dead-letter-routing-key, that key replaces the one the message was published with."""
    exchange, dead = names.exchange(), mine(channel)
    channel.exchange_declare(exchange, "topic")
    queue = mine(channel, arguments=options(x_dead_letter_exchange=exchange, x_dead_letter_routing_key="other.key"))
    channel.queue_bind(dead, exchange, "other.*")
    publish(channel, queue, b"m")
    reject(channel, queue)
    method, properties, _ = take(channel, dead)
    assert (method.exchange, method.routing_key) == (exchange, "other.key")
    assert properties.headers["x-death"][0]["routing-keys"] == [queue]


def test_dead_letters_go_to_every_queue_that_matches(channel, names):
    """A dead letter exchange is an ordinary exchange: it may copy to several queues."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "fanout")
    dead = [mine(channel) for _ in range(3)]
    for queue in dead:
        channel.queue_bind(queue, exchange)
    queue = mine(channel, arguments=options(x_dead_letter_exchange=exchange))
    publish(channel, queue, b"m")
    reject(channel, queue)
    assert [take(channel, queue)[2] for queue in dead] == [b"m"] * 3


def test_a_dead_letter_exchange_need_not_exist(channel, names):
    """The dead letter exchange does not have to exist when the queue is declared; while it is missing, dead messages
    are silently dropped."""
    exchange, dead = names.exchange(), mine(channel)
    queue = mine(channel, arguments=options(x_dead_letter_exchange=exchange, x_dead_letter_routing_key="key"))
    publish(channel, queue, b"1", b"2")
    reject(channel, queue)
    settle(channel)
    assert ready(channel, queue) == 1
    channel.exchange_declare(exchange, "fanout")
    channel.queue_bind(dead, exchange)
    reject(channel, queue)
    assert take(channel, dead)[2] == b"2"
    assert ready(channel, dead) == 0


def test_without_a_dead_letter_exchange_rejected_messages_are_gone(channel):
    """If no dead letter exchange is set, a message that dies is discarded."""
    queue = mine(channel)
    publish(channel, queue, b"m")
    reject(channel, queue)
    settle(channel)
    assert ready(channel, queue) == 0


def test_an_alternate_exchange_takes_dead_letters_too(channel, names):
    """Dead letters that the dead letter exchange cannot route go to its alternate exchange."""
    exchange, alternate, dead = names.exchange(), names.exchange(), mine(channel)
    channel.exchange_declare(alternate, "fanout")
    channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": alternate})
    channel.queue_bind(dead, alternate)
    queue = mine(channel, arguments=options(x_dead_letter_exchange=exchange))
    publish(channel, queue, b"m")
    reject(channel, queue)
    assert take(channel, dead)[2] == b"m"


def test_dead_letters_keep_their_order(channel):
    """Messages rejected together are dead-lettered in the order in which they were in the queue."""
    dead, arguments = graveyard(channel)
    queue = mine(channel, arguments=arguments)
    bodies = [b"%d" % number for number in range(50)]
    inbox = Inbox(channel, queue)
    publish(channel, queue, *bodies)
    inbox.wait(50)
    channel.basic_nack(0, multiple=True, requeue=False)
    until_ready(channel, dead, 50)
    assert drain(channel, dead) == bodies


def test_purged_and_deleted_messages_are_no_dead_letters(channel):
    """Messages that go because their queue is purged or deleted are not dead-lettered."""
    dead, arguments = graveyard(channel)
    queue = mine(channel, arguments=arguments)
    publish(channel, queue, b"1")
    channel.queue_purge(queue)
    publish(channel, queue, b"2")
    channel.queue_delete(queue)
    pass_time(channel, 20)
    assert ready(channel, dead) == 0


# --- CC and BCC ---


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_dead_letters_go_to_cc_and_bcc_again(channel, names, header):
    """Without x-dead-letter-routing-key, messages are dead-lettered with all their routing keys, including those added
    by CC and BCC."""
    exchange, dead, copies = names.exchange(), mine(channel), mine(channel)
    channel.exchange_declare(exchange, "direct")
    queue = mine(channel, arguments=options(x_dead_letter_exchange=exchange))
    channel.queue_bind(dead, exchange, queue)
    channel.queue_bind(copies, exchange, "copy")
    publish(channel, queue, b"m", headers={header: ["copy"]})
    reject(channel, queue)
    for each in (dead, copies):
        _, properties, _ = take(channel, each)
        # BCC is a blind copy: nobody is told.
        assert properties.headers.get(header) == (["copy"] if header == "CC" else None)
        keys = [queue, "copy"] if header == "CC" else [queue]
        assert properties.headers["x-death"][0]["routing-keys"] == keys


def test_another_routing_key_replaces_cc_as_well(channel, names):
    """With x-dead-letter-routing-key, the header CC is removed and only the new key is used."""
    exchange, dead, copies = names.exchange(), mine(channel), mine(channel)
    channel.exchange_declare(exchange, "direct")
    queue = mine(channel, arguments=options(x_dead_letter_exchange=exchange, x_dead_letter_routing_key="new"))
    channel.queue_bind(dead, exchange, "new")
    channel.queue_bind(copies, exchange, "copy")
    publish(channel, queue, b"m", headers={"CC": ["copy"], "BCC": ["copy"]})
    reject(channel, queue)
    _, properties, _ = take(channel, dead)
    assert {"CC", "BCC"}.isdisjoint(properties.headers)
    assert properties.headers["x-death"][0]["routing-keys"] == [queue, "copy"]
    assert ready(channel, copies) == 0


# --- cycles ---


def test_a_cycle_without_a_rejection_drops_the_message(channel, names):
    """A message that reaches the same queue twice is dropped if there was no rejection in the entire cycle."""
    queue, other = names.queue(), names.queue()
    channel.queue_declare(
        queue, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=other, x_message_ttl=20)
    )
    channel.queue_declare(
        other, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=queue, x_message_ttl=20)
    )
    publish(channel, queue, b"m")
    pass_time(channel, 150)
    assert (ready(channel, queue), ready(channel, other)) == (0, 0)


def test_a_queue_that_expires_into_itself_drops_the_message(channel, names):
    """The shortest cycle is a queue that is its own dead letter queue."""
    queue, dead = names.queue(), mine(channel)
    channel.queue_declare(queue, arguments=options(x_dead_letter_exchange="amq.direct", x_message_ttl=20))
    for target in (queue, dead):
        channel.queue_bind(target, "amq.direct", queue)
    publish(channel, queue, b"m")
    # The other queue that the letter is routed to gets it.
    assert take(channel, dead)[2] == b"m"
    pass_time(channel, 50)
    assert (ready(channel, queue), ready(channel, dead)) == (0, 0)


def test_a_rejection_may_go_round_for_ever(channel, names):
    """A message that is rejected goes through a cycle as often as it is rejected."""
    queue = names.queue()
    channel.queue_declare(queue, arguments=options(x_dead_letter_exchange="", x_dead_letter_routing_key=queue))
    publish(channel, queue, b"m")
    for _ in range(5):
        reject(channel, queue)
    _, properties, _ = take(channel, queue)
    assert reasons(properties) == [("rejected", queue, 5)]
