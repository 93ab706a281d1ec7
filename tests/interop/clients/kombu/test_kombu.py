"""kombu, as Celery and its other users drive it."""

import contextlib
import datetime
import queue as stdlib_queue
import threading
import time

import amqp.exceptions
import kombu
import kombu.common
import kombu.exceptions
import kombu.mixins
import kombu.pidbox
import kombu.pools
import pytest
import support
from kombu import Connection, Consumer, Exchange, Producer, Queue
from support import unique


def connection(user="guest", password="guest", host=support.URL_HOST, port=support.PORT, vhost="/", **options):
    return Connection(f"amqp://{user}:{password}@{host}:{port}/{vhost}", connect_timeout=support.DEADLINE, **options)


@pytest.fixture
def conn():
    with connection() as conn:
        yield conn


class Inbox:
    """Consumes from queues and collects (body, message)."""

    def __init__(self, conn, queues, **options):
        self.conn, self.got = conn, []
        self.consumer = Consumer(conn.channel(), queues, callbacks=[lambda *got: self.got.append(got)], **options)
        self.consumer.consume()

    def wait(self, count):
        """Waits for `count` messages in all and returns their bodies."""
        support.until(lambda: len(self.got) >= count, f"{count} messages, got {len(self.got)}", self.drain)
        return [body for body, _ in self.got]

    def drain(self):
        with contextlib.suppress(TimeoutError):
            self.conn.drain_events(timeout=1)

    def messages(self):
        return [message for _, message in self.got]


def temporary(**options):
    """A queue of its own for one test: gone with its connection."""
    return Queue(unique("queue"), exclusive=True, **options)


# --- the simple interface ---


def test_the_simple_queue(conn, names):
    with conn.SimpleQueue(names.queue()) as queue:
        names.exchanges.append(queue.queue.exchange.name)
        for number in range(5):
            queue.put({"number": number}, headers={"n": number})
        message = queue.get(timeout=support.DEADLINE)
        assert message.payload == {"number": 0}
        assert message.headers == {"n": 0}
        message.ack()
        message = queue.get(timeout=support.DEADLINE)
        message.requeue()
        bodies = []
        for _ in range(4):
            message = queue.get(timeout=support.DEADLINE)
            bodies.append(message.payload["number"])
            message.ack()
        assert sorted(bodies) == [1, 2, 3, 4]
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.1)


def test_the_simple_queue_without_waiting(conn, names):
    with conn.SimpleQueue(names.queue(), serializer="json") as queue:
        names.exchanges.append(queue.queue.exchange.name)
        with pytest.raises(stdlib_queue.Empty):
            queue.get_nowait()
        for number in range(3):
            queue.put(number)
        message = get_soon(queue)
        assert message.payload == 0
        message.reject()
        assert queue.qsize() == 2
        assert queue.clear() == 2
        assert queue.qsize() == 0


def get_soon(queue):
    """The publish has no confirm, so the message may take a moment."""
    got = []

    def attempt():
        with contextlib.suppress(queue.Empty):
            got.append(queue.get_nowait())

    support.until(lambda: got, "a message", attempt)
    return got[0]


def test_the_simple_buffer(conn, names):
    with conn.SimpleBuffer(names.queue()) as buffer:
        names.exchanges.append(buffer.queue.exchange.name)
        for number in range(10):
            buffer.put([number])
        assert [buffer.get(timeout=support.DEADLINE).payload for _ in range(10)] == [[n] for n in range(10)]


# --- producers and consumers ---


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("compression", [None, "zlib", "bzip2"])
def test_serializers_and_compression(conn, serializer, compression):
    queue = temporary(exchange=Exchange(unique("exchange"), auto_delete=True), routing_key="key")
    body = {"text": "ünïcode ☃", "numbers": [1, 2.5, None, True], "nested": {"a": {"b": "c" * 1000}}}
    inbox = Inbox(conn, [queue], accept=["json", "pickle"])
    Producer(conn, serializer=serializer, compression=compression).publish(
        body, exchange=queue.exchange, routing_key="key", declare=[queue]
    )
    assert inbox.wait(1) == [body]
    message = inbox.messages()[0]
    assert message.delivery_info["exchange"] == queue.exchange.name
    assert message.delivery_info["routing_key"] == "key"
    message.ack()


def test_raw_bodies_of_every_size(conn):
    queue = temporary()
    inbox = Inbox(conn, [queue])
    producer = Producer(conn)
    sizes = [0, 1, 131064, 131065, 6 * 1024 * 1024]
    bodies = [(bytes(range(256)) * (size // 256 + 1))[:size] for size in sizes]
    for body in bodies:
        producer.publish(body, routing_key=queue.name, content_type="application/data", content_encoding="binary")
    inbox.wait(len(sizes))
    received = [message.body for message in inbox.messages()]
    # py-amqp makes text of a body that is valid UTF-8.
    received = [body.encode() if isinstance(body, str) else bytes(body) for body in received]
    assert [len(body) for body in received] == sizes
    assert received == bodies


def test_properties_and_headers_survive(conn):
    queue = temporary()
    inbox = Inbox(conn, [queue])
    headers = {
        "text": "ünïcode",
        "number": -5,
        "big": 2**40,
        "float": 1.5,
        "bool": False,
        "void": None,
        "table": {"array": [1, "two", {"three": None}]},
        "time": datetime.datetime(2026, 1, 2, 3, 4, 5),
    }
    properties = {
        "priority": 3,
        "correlation_id": "correlation",
        "reply_to": "reply",
        "expiration": 60,
        "message_id": "message",
        "timestamp": 1_700_000_000,
        "type": "type",
        "user_id": "guest",
        "app_id": "application",
        "cluster_id": "cluster",
    }
    Producer(conn).publish("body", routing_key=queue.name, headers=headers, **properties)
    inbox.wait(1)
    message = inbox.messages()[0]
    assert message.headers == headers
    properties["expiration"] = "60000"
    assert {name: message.properties[name] for name in properties} == properties
    assert message.properties["delivery_mode"] == 2
    assert (message.content_type, message.content_encoding) == ("text/plain", "utf-8")


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout", "headers"])
def test_exchange_types(conn, kind):
    exchange = Exchange(unique(kind), kind, auto_delete=True)
    binding = {
        "direct": {"routing_key": "a.b"},
        "topic": {"routing_key": "a.*"},
        "fanout": {"routing_key": "whatever"},
        "headers": {"routing_key": "", "binding_arguments": {"x-match": "all", "kind": "b"}},
    }[kind]
    queue = temporary(exchange=exchange, **binding)
    inbox = Inbox(conn, [queue])
    producer = Producer(conn, exchange)
    for key in ("a.b", "x.y"):
        producer.publish(key, routing_key=key, headers={"kind": key[-1]})
    Producer(conn).publish("end", routing_key=queue.name)
    expected = ["a.b", "x.y", "end"] if kind == "fanout" else ["a.b", "end"]
    assert inbox.wait(len(expected)) == expected


def test_exchanges_bound_to_exchanges(conn, names):
    source = Exchange(names.exchange(), "topic", channel=conn)
    target = Exchange(names.exchange(), "fanout", channel=conn)
    source.declare()
    target.declare()
    target.bind_to(source, routing_key="#.error")
    queue = temporary(exchange=target)
    inbox = Inbox(conn, [queue])
    producer = Producer(conn, source)
    producer.publish("no", routing_key="disk.info")
    producer.publish("yes", routing_key="disk.error")
    assert inbox.wait(1) == ["yes"]
    target.unbind_from(source, routing_key="#.error")
    producer.publish("no more", routing_key="disk.error")
    Producer(producer.channel).publish("end", routing_key=queue.name)
    assert inbox.wait(2) == ["yes", "end"]


def test_publishing_with_confirms(names):
    returned = []
    with connection(transport_options={"confirm_publish": True}) as conn:
        producer = Producer(conn, on_return=lambda exception, *rest: returned.append(exception))
        queue = temporary()(conn)
        queue.declare()
        for number in range(100):
            producer.publish(number, routing_key=queue.name, mandatory=True)
        assert queue.queue_declare(passive=True).message_count == 100
        producer.publish("lost", routing_key=unique("missing"), mandatory=True)
        assert [(error.reply_code, error.reply_text) for error in returned] == [(312, "NO_ROUTE")]
        with pytest.raises(amqp.exceptions.NotFound, match="no exchange"):
            producer.publish("refused", exchange=unique("missing"), routing_key="")


def test_the_order_of_one_publisher_is_kept(conn):
    queue = temporary()
    inbox = Inbox(conn, [queue], no_ack=True)
    producer = Producer(conn)
    for number in range(2000):
        producer.publish(number, routing_key=queue.name)
    assert inbox.wait(2000) == list(range(2000))


def test_prefetch_and_multiple_acks(conn):
    queue = temporary()
    fill(conn, queue, *range(6))
    inbox = Inbox(conn, [queue], prefetch_count=2)
    assert inbox.wait(2) == [0, 1]
    assert queue(conn.channel()).queue_declare(passive=True).message_count == 4
    inbox.messages()[1].ack(multiple=True)
    assert inbox.wait(4) == [0, 1, 2, 3]
    inbox.messages()[2].reject()
    assert inbox.wait(5) == [0, 1, 2, 3, 4]
    inbox.messages()[3].requeue()
    assert inbox.wait(6)[5] == 3
    assert [message.delivery_info["redelivered"] for message in inbox.messages()] == 5 * [False] + [True]


def test_a_prefetch_over_the_whole_channel_can_be_raised(conn):
    """What Celery does with 3.x brokers: basic.qos with global=true, and more while consuming."""
    queue = temporary()
    fill(conn, queue, *range(6))
    inbox = Inbox(conn, [queue])
    inbox.wait(6)
    for message in inbox.messages():
        message.requeue()
    inbox.wait(12)
    assert conn.qos_semantics_matches_spec is False

    other = temporary()
    fill(conn, other, *range(6))
    inbox = Inbox(conn, [])
    inbox.consumer.qos(prefetch_count=2, apply_global=True)
    inbox.consumer.add_queue(other)
    inbox.consumer.consume()
    inbox.wait(2)
    inbox.consumer.qos(prefetch_count=5, apply_global=True)
    inbox.wait(5)
    assert other(conn.channel()).queue_declare(passive=True).message_count == 1


def fill(conn, queue, *bodies):
    """Puts messages into a queue and waits until they are there."""
    queue = queue(conn.channel())
    queue.declare()
    channel = conn.channel()
    channel.confirm_select()
    for body in bodies:
        Producer(channel).publish(body, routing_key=queue.name)
    support.until(lambda: queue.queue_declare(passive=True).message_count >= len(bodies), "the messages queued")


def test_recover_redelivers(conn):
    queue = temporary()
    fill(conn, queue, 1, 2)
    inbox = Inbox(conn, [queue])
    inbox.wait(2)
    inbox.consumer.recover(requeue=True)
    assert inbox.wait(4) == [1, 2, 1, 2]
    assert [message.delivery_info["redelivered"] for message in inbox.messages()] == [False, False, True, True]


def test_get_from_a_queue(conn):
    queue = temporary()
    fill(conn, queue, "one", "two")
    bound = queue(conn.channel())
    message = bound.get()
    assert (message.payload, message.delivery_info["message_count"]) == ("one", 1)
    message.ack()
    assert bound.get(no_ack=True).payload == "two"
    assert bound.get() is None


def test_several_queues_with_one_consumer(conn):
    exchange = Exchange(unique("exchange"), "direct", auto_delete=True)
    queues = [temporary(exchange=exchange, routing_key=key) for key in ("red", "green", "blue")]
    inbox = Inbox(conn, queues)
    producer = Producer(conn, exchange)
    for key in ("red", "green", "blue", "red"):
        producer.publish(key, routing_key=key)
    assert sorted(inbox.wait(4)) == ["blue", "green", "red", "red"]
    # Exclusive queues of kombu are auto-delete as well, so this one goes with its consumer.
    inbox.consumer.cancel_by_queue(queues[0].name)
    producer.publish("unheard", routing_key="red")
    producer.publish("heard", routing_key="green")
    assert inbox.wait(5)[4] == "heard"
    with pytest.raises(amqp.exceptions.NotFound):
        queues[0](conn.channel()).queue_declare(passive=True)


def test_deleting_a_queue_cancels_its_consumer(conn):
    queue = Queue(unique("queue"), durable=False)
    inbox = Inbox(conn, [queue])
    with connection() as other:
        queue(other).delete()
        with pytest.raises(amqp.exceptions.ConsumerCancelled):
            support.until(lambda: False, "the cancel", inbox.drain)


# --- celery's topology ---


def test_a_process_mailbox(conn):
    """Celery's remote control: a broadcast to several workers, each of which answers to a queue of the caller."""
    namespace = unique("control")
    ready, stop = threading.Semaphore(0), threading.Event()

    def work(hostname):
        with connection() as own:
            mailbox = kombu.pidbox.Mailbox(namespace, type="fanout", connection=own)
            node = mailbox.Node(hostname, state={"name": hostname}, channel=own.default_channel)
            node.handler(ping)
            node.listen()
            ready.release()
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    own.drain_events(timeout=0.1)

    def ping(state, greeting):
        return f"{greeting} from {state['name']}"

    workers = [threading.Thread(target=work, args=(f"worker{n}",), daemon=True) for n in range(3)]
    for worker in workers:
        worker.start()
    assert all(ready.acquire(timeout=support.DEADLINE) for _ in workers)
    try:
        mailbox = kombu.pidbox.Mailbox(namespace, type="fanout", connection=conn)
        replies = mailbox.multi_call("ping", {"greeting": "hello"}, timeout=support.DEADLINE, limit=3)
        assert sorted(reply for answer in replies for reply in answer.values()) == [
            f"hello from worker{n}" for n in range(3)
        ]
        (reply,) = mailbox.call(["worker1"], "ping", {"greeting": "only you"}, timeout=2)
        assert reply == {"worker1": "only you from worker1"}
    finally:
        stop.set()
        for worker in workers:
            worker.join(support.DEADLINE)
        for name in (mailbox.exchange.name, mailbox.reply_exchange.name):
            Exchange(name)(conn).delete()


class Worker(kombu.mixins.ConsumerProducerMixin):
    """Answers requests with the square of their number."""

    def __init__(self, connection, queue):
        self.connection, self.queue = connection, queue
        self.ready, self.answered = threading.Event(), 0

    def get_consumers(self, Consumer, channel):
        return [Consumer([self.queue], on_message=self.answer, accept=["json"], prefetch_count=1)]

    def on_consume_ready(self, connection, channel, consumers, **_):
        self.ready.set()

    def answer(self, message):
        self.producer.publish(
            {"square": message.payload["number"] ** 2},
            exchange="",
            routing_key=message.properties["reply_to"],
            correlation_id=message.properties["correlation_id"],
            serializer="json",
            retry=True,
        )
        self.answered += 1
        message.ack()


@pytest.fixture
def workers():
    """Starts workers in threads and stops them at the end."""
    running = []

    def start(worker):
        thread = threading.Thread(target=worker.run, daemon=True)
        thread.start()
        running.append((worker, thread))
        assert worker.ready.wait(support.DEADLINE)
        return worker

    yield start
    for worker, _ in running:
        worker.should_stop = True
    for _, thread in running:
        thread.join(support.DEADLINE)
        assert not thread.is_alive()


def test_remote_procedure_calls_with_several_workers(conn, names, workers):
    requests = Queue(names.queue("requests"), Exchange(names.exchange()), "requests")
    squad = [workers(Worker(connection(), requests)) for _ in range(4)]
    inbox = Inbox(conn, [Queue("", exclusive=True, auto_delete=True)], no_ack=True, accept=["json"])
    replies = inbox.consumer.queues[0]
    assert replies.name.startswith("amq.gen-")
    producer = Producer(conn)
    for number in range(40):
        producer.publish(
            {"number": number},
            exchange=requests.exchange,
            routing_key="requests",
            declare=[requests],
            reply_to=replies.name,
            correlation_id=str(number),
        )
    inbox.wait(40)
    answers = {int(message.properties["correlation_id"]): body["square"] for body, message in inbox.got}
    assert answers == {number: number**2 for number in range(40)}
    assert all(worker.answered for worker in squad)


def test_a_worker_reconnects_by_itself(relay, conn, names, workers):
    requests = Queue(names.queue("requests"), durable=True)
    worker = workers(Worker(connection(host="127.0.0.1", port=relay.port), requests))
    replies = temporary()
    inbox = Inbox(conn, [replies], no_ack=True, accept=["json"])
    for number in range(3):
        Producer(conn).publish({"number": number}, routing_key=requests.name, reply_to=replies.name, correlation_id="c")
        # A request whose ack the cut swallows is answered twice.
        answer = {"square": number**2}
        support.until(lambda: answer in [body for body, _ in inbox.got], f"{answer}", inbox.drain)
        worker.ready.clear()
        assert relay.cut() >= 1
        assert worker.ready.wait(support.DEADLINE)


def test_publishing_again_after_the_connection_broke(relay):
    queue = temporary()
    with connection() as watcher, connection(host="127.0.0.1", port=relay.port) as conn:
        inbox = Inbox(watcher, [queue])
        producer = Producer(conn)
        policy = {"interval_start": 0, "interval_step": 0.05, "max_retries": 10}
        producer.publish(1, routing_key=queue.name, retry=True, retry_policy=policy)
        inbox.wait(1)
        relay.cut()

        def publish():
            # The first write after a reset may still succeed, into nothing: hence several.
            producer.publish(2, routing_key=queue.name, retry=True, retry_policy=policy)
            inbox.drain()

        support.until(lambda: len(inbox.got) > 1, "the message after the cut", publish)
        assert inbox.wait(2)[:2] == [1, 2]


def test_pools(names):
    queue = Queue(names.queue("pool"), durable=False)
    with connection() as conn:
        fill(conn, queue)
        connections, producers = kombu.pools.Connections(limit=5), kombu.pools.Producers(limit=5)
        with connections[conn].acquire(block=True) as pooled:
            pooled.ensure_connection(max_retries=1)
        for number in range(20):
            with producers[conn].acquire(block=True) as producer:
                producer.publish(number, routing_key=queue.name)
        inbox = Inbox(conn, [queue], no_ack=True)
        assert inbox.wait(20) == list(range(20))
    kombu.pools.reset()


# --- errors and connections ---


def test_channel_errors(conn):
    missing = unique("missing")
    with pytest.raises(amqp.exceptions.NotFound, match=f"NOT_FOUND - no queue '{missing}' in vhost '/'") as error:
        Queue(missing)(conn.channel()).queue_declare(passive=True)
    assert (error.value.reply_code, error.value.method_name) == (404, "Queue.declare")
    with pytest.raises(amqp.exceptions.PreconditionFailed, match="inequivalent arg 'type' for exchange 'amq.direct'"):
        conn.channel().exchange_declare("amq.direct", "fanout", durable=True, auto_delete=False)
    with pytest.raises(amqp.exceptions.AccessRefused, match="reserved prefix"):
        conn.channel().queue_declare("amq.mine")
    with connection() as other:
        queue = temporary()(conn.channel())
        queue.declare()
        with pytest.raises(amqp.exceptions.ResourceLocked) as error:
            queue(other.channel()).queue_declare(passive=True)
        assert error.value.reply_text == support.LOCKED.format(queue=queue.name)
    fill(conn, temporary(), "all is well")


def test_a_connection_error(conn):
    with pytest.raises(amqp.exceptions.AMQPNotImplementedError, match="requeue=false"):
        channel = conn.channel()
        channel.basic_recover(requeue=False)
        # The library does not wait for recover-ok; the error meets the next call.
        channel.queue_declare(exclusive=True)
    conn.ensure_connection(max_retries=3)
    fill(conn, temporary(), "all is well")


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_login(mechanism):
    with connection(login_method=mechanism) as conn:
        fill(conn, temporary(), "logged in")
    with (
        pytest.raises(amqp.exceptions.AccessRefused) as error,
        connection(password="no", login_method=mechanism) as conn,
    ):
        conn.connect()
    assert (error.value.reply_code, error.value.reply_text) == (403, support.LOGIN_REFUSED.format(mechanism=mechanism))


def test_an_unknown_vhost():
    vhost = unique("vhost")
    with pytest.raises(amqp.exceptions.NotAllowed) as error, connection(vhost=vhost) as conn:
        conn.connect()
    assert (error.value.reply_code, error.value.reply_text) == (530, f"NOT_ALLOWED - vhost {vhost} not found")


def test_heartbeats_keep_an_idle_connection():
    with connection(heartbeat=1) as conn:
        conn.connect()
        assert conn.get_heartbeat_interval() == 1
        end = time.monotonic() + 4
        while time.monotonic() < end:
            try:
                conn.drain_events(timeout=0.25)
            except TimeoutError:
                conn.heartbeat_check(rate=2)
        fill(conn, temporary(), "alive")


def test_hundreds_of_channels_on_one_connection(conn):
    queue = temporary()
    inbox = Inbox(conn, [queue], no_ack=True)
    channels = [conn.channel() for _ in range(200)]
    for number, channel in enumerate(channels):
        Producer(channel).publish(number, routing_key=queue.name)
    assert sorted(inbox.wait(200)) == list(range(200))
    for channel in channels:
        channel.close()


# --- py-amqp on its own ---


@pytest.fixture
def plain():
    """py-amqp without kombu. Left to itself it prefers AMQPLAIN to PLAIN."""
    address = f"{support.URL_HOST}:{support.PORT}"
    with amqp.Connection(address, login_method=None, confirm_publish=True, connect_timeout=support.DEADLINE) as plain:
        yield plain


def test_py_amqp_prefers_amqplain(plain):
    assert [mechanism.mechanism for mechanism in plain.authentication][-2:] == [b"AMQPLAIN", b"PLAIN"]
    assert b"AMQPLAIN" in plain.mechanisms
    # It announces only what the broker announced, so that these depend on the broker.
    for capability in ("consumer_cancel_notify", "connection.blocked", "authentication_failure_close"):
        assert plain.client_properties["capabilities"][capability] is True


def test_py_amqp_transactions(plain):
    channel, watcher = plain.channel(), plain.channel()
    queue = channel.queue_declare(exclusive=True).queue
    with amqp.Connection(f"{support.URL_HOST}:{support.PORT}") as unconfirmed:
        sender = unconfirmed.channel()
        sender.tx_select()
        sender.basic_publish(amqp.Message("dropped"), routing_key=queue)
        sender.tx_rollback()
        sender.basic_publish(amqp.Message("kept"), routing_key=queue)
        assert watcher.queue_declare(queue, passive=True).message_count == 0
        sender.tx_commit()
    assert watcher.basic_get(queue, no_ack=True).body == "kept"
    assert watcher.basic_get(queue) is None


def test_py_amqp_returns_come_before_confirms(plain):
    channel, returned = plain.channel(), []
    channel.events["basic_return"].add(lambda *arguments: returned.append(arguments))
    key = unique("missing")
    channel.basic_publish(amqp.Message("lost"), routing_key=key, mandatory=True)
    ((error, exchange, routing_key, message),) = returned
    assert (error.reply_code, error.reply_text, exchange, routing_key) == (312, "NO_ROUTE", "", key)
    assert message.body == "lost"
