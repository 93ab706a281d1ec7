"""RabbitMQ's tutorials for Python, in their order: the first programs that its users write."""

import threading
import uuid

import pika
import pika.exceptions
import pytest
from pika_support import Inbox
from support import DEADLINE, HOST, PORT, until

QUORUM = {"x-queue-type": "quorum"}


def test_1_hello_world(connection, channel, names):
    """The simplest thing that does something: a producer sends a message, a consumer prints it."""
    queue = names.queue("hello")
    channel.queue_declare(queue=queue, durable=True, arguments=QUORUM)
    channel.basic_publish(exchange="", routing_key=queue, body="Hello World!")
    received = []
    channel.queue_declare(queue=queue, durable=True, arguments=QUORUM)
    channel.basic_consume(
        queue=queue, on_message_callback=lambda ch, method, properties, body: received.append(body), auto_ack=True
    )
    until(lambda: received, "the message", lambda: connection.process_data_events(time_limit=0.1))
    assert received == [b"Hello World!"]


def test_2_work_queues(connect, names):
    """Each task is delivered to exactly one worker, and to another one if the worker dies before it acknowledges."""
    queue = names.queue("task_queue")
    producer = connect().channel()
    producer.queue_declare(queue=queue, durable=True, arguments=QUORUM)

    workers = []
    for _ in range(2):
        channel = connect().channel()
        channel.queue_declare(queue=queue, durable=True, arguments=QUORUM)
        channel.basic_qos(prefetch_count=1)
        workers.append(Inbox(channel, queue))
    for number in range(2):
        producer.basic_publish(
            exchange="",
            routing_key=queue,
            body=f"task {number}",
            properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent),
        )
    assert sorted(worker.wait(1)[0] for worker in workers) == [b"task 0", b"task 1"]

    dying, living = workers
    dying.channel.connection.close()
    living.channel.basic_ack(living.tags()[0])
    living.wait(2)
    assert set(living.bodies()) == {b"task 0", b"task 1"}
    assert living.redelivered() == [False, True]
    living.channel.basic_ack(living.tags()[1])


def test_3_publish_and_subscribe(connect, names):
    """A log message is broadcast to every running receiver; without receivers it is lost."""
    exchange = names.exchange("logs")
    emitter = connect().channel()
    emitter.exchange_declare(exchange=exchange, exchange_type="fanout")
    emitter.basic_publish(exchange=exchange, routing_key="", body="nobody listens")
    receivers = []
    for _ in range(3):
        channel = connect().channel()
        channel.exchange_declare(exchange=exchange, exchange_type="fanout")
        result = channel.queue_declare(queue="", exclusive=True)
        channel.queue_bind(exchange=exchange, queue=result.method.queue)
        receivers.append(Inbox(channel, result.method.queue, auto_ack=True))
    emitter.basic_publish(exchange=exchange, routing_key="", body="info: Hello World!")
    assert [receiver.wait(1) for receiver in receivers] == [[b"info: Hello World!"]] * 3


def test_4_routing(connect, names):
    """Receivers subscribe to the severities that they are interested in, one binding for each."""
    exchange = names.exchange("direct_logs")
    emitter = connect().channel()
    emitter.exchange_declare(exchange=exchange, exchange_type="direct")

    def receive(*severities):
        channel = connect().channel()
        channel.exchange_declare(exchange=exchange, exchange_type="direct")
        queue = channel.queue_declare(queue="", exclusive=True).method.queue
        for severity in severities:
            channel.queue_bind(exchange=exchange, queue=queue, routing_key=severity)
        return Inbox(channel, queue, auto_ack=True)

    everything, errors = receive("info", "warning", "error"), receive("error")
    for severity in ("info", "error", "debug", "warning", "error"):
        emitter.basic_publish(exchange=exchange, routing_key=severity, body=severity)
    assert everything.wait(4) == [b"info", b"error", b"warning", b"error"]
    assert errors.wait(2) == [b"error", b"error"]


def test_5_topics(connect, names):
    """Receivers subscribe to patterns: a star stands for exactly one word, a hash for zero or more words."""
    exchange = names.exchange("topic_logs")
    emitter = connect().channel()
    emitter.exchange_declare(exchange=exchange, exchange_type="topic")

    def receive(*keys):
        channel = connect().channel()
        channel.exchange_declare(exchange=exchange, exchange_type="topic")
        queue = channel.queue_declare("", exclusive=True).method.queue
        for key in keys:
            channel.queue_bind(exchange=exchange, queue=queue, routing_key=key)
        return Inbox(channel, queue, auto_ack=True)

    orange, rabbits, everything = receive("*.orange.*"), receive("*.*.rabbit", "lazy.#"), receive("#")
    keys = [
        "quick.orange.rabbit",
        "lazy.orange.elephant",
        "quick.orange.fox",
        "lazy.brown.fox",
        "lazy.pink.rabbit",
        "quick.brown.fox",
        "orange",
        "quick.orange.new.rabbit",
        "lazy.orange.new.rabbit",
    ]
    for key in keys:
        emitter.basic_publish(exchange=exchange, routing_key=key, body=key)
    assert everything.wait(9) == [key.encode() for key in keys]
    assert orange.wait(3) == [b"quick.orange.rabbit", b"lazy.orange.elephant", b"quick.orange.fox"]
    assert rabbits.wait(5) == [
        b"quick.orange.rabbit",
        b"lazy.orange.elephant",
        b"lazy.brown.fox",
        b"lazy.pink.rabbit",
        b"lazy.orange.new.rabbit",
    ]


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class FibonacciServer(threading.Thread):
    """The tutorial's server, in a thread of its own."""

    def __init__(self, connection, queue):
        super().__init__(daemon=True)
        self.connection, self.channel = connection, connection.channel()
        self.channel.queue_declare(queue=queue, durable=True, arguments=QUORUM)
        self.channel.basic_qos(prefetch_count=1)
        self.channel.basic_consume(queue=queue, on_message_callback=self.on_request)

    def on_request(self, channel, method, properties, body):
        channel.basic_publish(
            exchange="",
            routing_key=properties.reply_to,
            properties=pika.BasicProperties(correlation_id=properties.correlation_id),
            body=str(fib(int(body))),
        )
        channel.basic_ack(delivery_tag=method.delivery_tag)

    def run(self):
        self.channel.start_consuming()

    def stop(self):
        self.connection.add_callback_threadsafe(self.channel.stop_consuming)
        self.join(DEADLINE)


class FibonacciClient:
    """The tutorial's client: one exclusive reply queue, and a correlation id for each call."""

    def __init__(self, connection, queue):
        self.connection, self.queue, self.channel = connection, queue, connection.channel()
        self.callback_queue = self.channel.queue_declare(queue="", exclusive=True).method.queue
        self.channel.basic_consume(queue=self.callback_queue, on_message_callback=self.on_response, auto_ack=True)

    def on_response(self, _channel, _method, properties, body):
        if self.correlation_id == properties.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="",
            routing_key=self.queue,
            properties=pika.BasicProperties(reply_to=self.callback_queue, correlation_id=self.correlation_id),
            body=str(n),
        )
        until(lambda: self.response is not None, "a response", lambda: self.connection.process_data_events(0.1))
        return int(self.response)


def test_6_remote_procedure_calls(connect, names):
    """A client sends a request and waits for the response; servers are added by running more of them."""
    queue = names.queue("rpc_queue")
    servers = [FibonacciServer(connect(), queue) for _ in range(2)]
    for server in servers:
        server.start()
    clients = [FibonacciClient(connect(), queue) for _ in range(2)]
    try:
        for n in range(12):
            assert [client.call(n) for client in clients] == [fib(n)] * 2
    finally:
        for server in servers:
            server.stop()


# --- publisher confirms ---


def test_7_publishing_messages_individually(connection, names):
    """Each message is published and its confirmation waited for; one that nobody can receive is known to be lost."""
    queue = names.queue("confirmed")
    channel = connection.channel()
    channel.queue_declare(queue=queue, durable=True, arguments=QUORUM)
    channel.confirm_delivery()
    for number in range(20):
        channel.basic_publish(
            "", queue, str(number), pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent), mandatory=True
        )
    assert channel.queue_declare(queue, passive=True).method.message_count == 20
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", f"{queue}.missing", "lost", mandatory=True)


def test_7_handling_confirms_asynchronously(names):
    """The publisher goes on while the broker confirms, one by one or several at once, until none is left."""
    queue, count = names.queue("confirmed"), 500
    outstanding, confirmed, ended = {}, [], []

    def on_confirmation(frame):
        assert isinstance(frame.method, pika.spec.Basic.Ack)
        tag = frame.method.delivery_tag
        done = [number for number in outstanding if number == tag or (frame.method.multiple and number <= tag)]
        confirmed.extend(outstanding.pop(number) for number in done)
        if len(confirmed) == count:
            channel.connection.close()

    def on_declared(_frame):
        channel.confirm_delivery(on_confirmation, callback=publish)

    def publish(_frame):
        for number in range(count):
            outstanding[number + 1] = f"message {number}"
            channel.basic_publish("", queue, outstanding[number + 1])

    def on_channel(opened):
        nonlocal channel
        channel = opened
        channel.queue_declare(queue, durable=True, arguments=QUORUM, callback=on_declared)

    channel = None
    connection = pika.SelectConnection(
        pika.ConnectionParameters(HOST, PORT),
        on_open_callback=lambda connection: connection.channel(on_open_callback=on_channel),
        on_close_callback=lambda connection, reason: (ended.append(reason), connection.ioloop.stop()),
    )
    connection.ioloop.call_later(DEADLINE, connection.ioloop.stop)
    connection.ioloop.start()
    assert [type(reason) for reason in ended] == [pika.exceptions.ConnectionClosedByClient]
    assert outstanding == {}
    assert confirmed == [f"message {number}" for number in range(count)]
