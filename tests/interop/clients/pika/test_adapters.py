"""pika's callback-driven adapters, SelectConnection and AsyncioConnection: the same flows on each."""

import asyncio

import pika
import pika.exceptions
import pytest
import support
from pika.adapters.asyncio_connection import AsyncioConnection
from support import unique


@pytest.fixture(params=[pika.SelectConnection, AsyncioConnection], ids=["select", "asyncio"])
def session(request):
    """A class to derive from, with the adapter under test."""

    class Session(Steps):
        adapter = request.param
        opened = []

    yield Session
    for session in Session.opened:
        session.finish()


class Steps:
    """Runs an ioloop until a step reports success, or a deadline passes. Subclasses say what comes after it is open."""

    def __init__(self, **parameters):
        self.opened.append(self)
        self.events, self.finished = [], False
        credentials = pika.PlainCredentials("guest", parameters.pop("password", "guest"))
        self.connection = self.adapter(
            pika.ConnectionParameters(support.HOST, support.PORT, credentials=credentials, **parameters),
            on_open_callback=lambda connection: self.on_open(),
            on_open_error_callback=self.on_open_error,
            on_close_callback=self.on_close,
        )

    def run(self):
        self.connection.ioloop.call_later(support.DEADLINE, self.stop)
        self.spin()
        assert self.finished, f"not finished within {support.DEADLINE} s, but: {self.events}"
        return self.events

    def finish(self):
        if self.connection.is_open:
            self.connection.close()
        while not self.connection.is_closed:
            self.spin()

    def spin(self):
        """Runs the adapter's ioloop until something stops it."""
        loop = self.connection.ioloop
        loop.run_forever() if isinstance(loop, asyncio.AbstractEventLoop) else loop.start()

    def stop(self):
        self.connection.ioloop.stop()

    def success(self):
        self.finished = True
        self.stop()

    def event(self, *event):
        self.events.append(event)

    def on_open_error(self, _connection, error):
        self.event("refused", error)
        self.success()

    def on_close(self, _connection, reason):
        self.event("connection closed", getattr(reason, "reply_code", None), getattr(reason, "reply_text", str(reason)))
        self.stop()

    def on_open(self):
        self.connection.channel(on_open_callback=self.on_channel)

    def on_channel(self, channel):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def own_event_loop():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def test_publish_with_confirms_and_consume(session):
    """A thousand messages through an exchange; every one is confirmed, and they arrive in order."""
    count = 1000
    exchange = unique("exchange")

    class Flow(session):
        def on_channel(self, channel):
            self.channel, self.confirmed, self.received = channel, 0, []
            channel.exchange_declare(exchange, "direct", auto_delete=True, callback=self.declare)

        def declare(self, _):
            self.channel.queue_declare("", exclusive=True, callback=self.bind)

        def bind(self, frame):
            self.queue = frame.method.queue
            self.channel.queue_bind(self.queue, exchange, "key", callback=self.consume)

        def consume(self, _):
            self.channel.basic_qos(prefetch_count=100, callback=lambda _: None)
            self.channel.basic_consume(self.queue, self.on_message, callback=self.select)

        def select(self, _):
            self.channel.confirm_delivery(self.on_confirm, callback=self.publish)

        def publish(self, _):
            for number in range(count):
                self.channel.basic_publish(exchange, "key", b"%d" % number, mandatory=True)

        def on_confirm(self, frame):
            method = frame.method
            assert isinstance(method, pika.spec.Basic.Ack)
            # A confirm covers one message, or all up to its number.
            self.confirmed = max(self.confirmed, method.delivery_tag) if method.multiple else self.confirmed
            self.event("confirm", method.delivery_tag, method.multiple)
            self.check()

        def on_message(self, channel, method, _properties, body):
            self.received.append(int(body))
            channel.basic_ack(method.delivery_tag)
            self.check()

        def check(self):
            if len(self.received) == count and confirmed(self.events) == set(range(1, count + 1)):
                self.success()

    flow = Flow()
    flow.run()
    assert flow.received == list(range(count))


def confirmed(events):
    """The sequence numbers that confirms have covered."""
    numbers, below = set(), 0
    for kind, tag, multiple in events:
        assert kind == "confirm" and tag not in numbers
        if multiple:
            numbers.update(range(below + 1, tag + 1))
        numbers.add(tag)
        while below + 1 in numbers:
            below += 1
    return numbers


def test_a_return_comes_before_its_confirm(session):
    class Flow(session):
        def on_channel(self, channel):
            channel.add_on_return_callback(lambda _, method, __, body: self.event("return", method.reply_code, body))
            self.channel = channel
            channel.confirm_delivery(self.on_confirm, callback=self.publish)

        def publish(self, _):
            self.channel.basic_publish("", unique("missing"), b"1", mandatory=True)
            self.channel.basic_publish("", unique("missing"), b"2", mandatory=False)
            self.channel.basic_publish("", unique("missing"), b"3", mandatory=True)

        def on_confirm(self, frame):
            self.event("confirm", frame.method.delivery_tag, frame.method.multiple)
            if frame.method.delivery_tag == 3:
                self.success()

    events = Flow().run()
    assert [event for event in events if event[0] == "return"] == [("return", 312, b"1"), ("return", 312, b"3")]
    for number, body in ((1, b"1"), (3, b"3")):
        covering = next(i for i, (kind, tag, *_) in enumerate(events) if kind == "confirm" and tag >= number)
        assert events.index(("return", 312, body)) < covering


def test_the_broker_cancels_consumers_of_a_deleted_queue(session):
    queue = unique("queue")

    class Flow(session):
        def on_channel(self, channel):
            self.channel = channel
            channel.add_on_cancel_callback(self.on_cancel)
            channel.queue_declare(queue, callback=self.consume)

        def consume(self, _):
            self.channel.basic_consume(queue, lambda *_: None, consumer_tag="mine", callback=self.delete)

        def delete(self, _):
            self.connection.channel(on_open_callback=lambda channel: channel.queue_delete(queue))

        def on_cancel(self, frame):
            self.event("cancelled", frame.method.consumer_tag)
            self.success()

    assert Flow().run() == [("cancelled", "mine")]


def test_a_channel_error_is_reported_and_a_new_channel_works(session):
    queue = unique("missing")

    class Flow(session):
        def on_channel(self, channel):
            channel.add_on_close_callback(self.on_channel_closed)
            channel.basic_consume(queue, lambda *_: None)

        def on_channel_closed(self, _channel, reason):
            self.event("channel closed", reason.reply_code, reason.reply_text)
            self.connection.channel(on_open_callback=self.declare)

        def declare(self, channel):
            channel.queue_declare("", exclusive=True, callback=lambda _: self.success())

    assert Flow().run() == [("channel closed", 404, f"NOT_FOUND - no queue '{queue}' in vhost '/'")]


def test_a_connection_error_is_reported_and_a_new_connection_works(session):
    class Failing(session):
        def on_channel(self, channel):
            channel.flow(active=False)

        def on_close(self, connection, reason):
            super().on_close(connection, reason)
            self.success()

    class Working(session):
        def on_channel(self, _channel):
            self.success()

    assert Failing().run() == [("connection closed", 540, "NOT_IMPLEMENTED - active=false")]
    Working().run()


def test_a_wrong_password_is_reported(session):
    class Flow(session):
        pass

    ((event, error),) = Flow(password="wrong").run()
    assert event == "refused"
    assert support.LOGIN_REFUSED.format(mechanism="PLAIN") in repr(error)


def test_closing_tells_the_client_that_it_was_the_client(session):
    class Flow(session):
        def on_channel(self, _channel):
            self.connection.close(200, "that is all")

        def on_close(self, connection, reason):
            self.event(type(reason).__name__)
            self.success()

    assert Flow().run() == [("ConnectionClosedByClient",)]


def test_heartbeats_keep_an_idle_connection(session):
    class Flow(session):
        def on_channel(self, channel):
            self.channel = channel
            # Longer than the three intervals after which either side would give up.
            self.connection.ioloop.call_later(4, self.use)

        def use(self):
            self.channel.queue_declare("", exclusive=True, callback=lambda _: self.success())

    assert Flow(heartbeat=1).run() == []
