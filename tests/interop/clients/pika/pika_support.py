"""What the pika tests share: an inbox for deliveries, and the shortest ways to declare, fill and empty a queue."""

import time

import pika.exceptions
from pika import BasicProperties
from support import until


class Inbox:
    """Collects what a channel's consumers get, in order."""

    def __init__(self, channel, queue, **arguments):
        self.channel, self.deliveries = channel, []
        self.tag = channel.basic_consume(queue, self._deliver, **arguments)

    def _deliver(self, _channel, method, properties, body):
        self.deliveries.append((method, properties, body))

    def wait(self, count):
        """Waits for `count` deliveries in all and returns their bodies."""
        connection = self.channel.connection
        until(
            lambda: len(self.deliveries) >= count,
            f"{count} deliveries, got {len(self.deliveries)}",
            lambda: connection.process_data_events(time_limit=0.1),
        )
        return self.bodies()

    def last(self):
        """The latest delivery: (method, properties, body)."""
        return self.deliveries[-1]

    def bodies(self):
        return [body for _, _, body in self.deliveries]

    def tags(self):
        return [method.delivery_tag for method, _, _ in self.deliveries]

    def redelivered(self):
        return [method.redelivered for method, _, _ in self.deliveries]


def settle(channel):
    """A round trip: everything the broker sent on this channel before its answer has been read."""
    channel.basic_qos(prefetch_count=0)
    channel.connection.process_data_events()


def options(**arguments):
    """Optional arguments: x_message_ttl for x-message-ttl."""
    return {name.replace("_", "-"): value for name, value in arguments.items()}


def mine(channel, **arguments):
    """A new queue of this connection."""
    return channel.queue_declare("", exclusive=True, **arguments).method.queue


def quorum(channel, queue, **arguments):
    """Declares a quorum queue; answers its name."""
    arguments = {"x-queue-type": "quorum", **options(**arguments)}
    return channel.queue_declare(queue, durable=True, arguments=arguments).method.queue


def publish(channel, queue, *bodies, exchange="", **properties):
    """Publishes to a queue, or with a key to an exchange, and waits until the messages are where they belong."""
    confirming = channel.connection.channel()
    confirming.confirm_delivery()
    for body in bodies:
        confirming.basic_publish(exchange, queue, body, BasicProperties(**properties), mandatory=True)
    confirming.close()


def confirmed(channel, queue, body, **properties):
    """Publishes on a channel in confirm mode. Whether the broker took the message (ack) or refused it (nack)."""
    try:
        channel.basic_publish("", queue, body, BasicProperties(**properties))
    except pika.exceptions.NackError:
        return False
    return True


def take(channel, queue, auto_ack=True):
    """Waits for a message and takes it out of the queue: (method, properties, body)."""
    got = (None,)

    def get():
        nonlocal got
        got = channel.basic_get(queue, auto_ack=auto_ack)
        if got[0] is None:
            time.sleep(0.01)

    until(lambda: got[0] is not None, f"a message in {queue}", get)
    return got


def drain(channel, queue):
    """Takes everything out of a queue, oldest first."""
    bodies = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return bodies
        bodies.append(body)


def ready(channel, queue):
    """How many messages wait in the queue."""
    return channel.queue_declare(queue, passive=True).method.message_count


def until_ready(channel, queue, count):
    """Waits until exactly so many messages wait in the queue."""
    until(lambda: ready(channel, queue) == count, f"{count} messages in {queue}")


def graveyard(channel, **arguments):
    """A queue, and the arguments that send another queue's dead messages into it."""
    queue = mine(channel)
    return queue, options(x_dead_letter_exchange="", x_dead_letter_routing_key=queue, **arguments)


def pass_time(channel, milliseconds):
    """Waits until the broker itself has let a message expire that was published now, with this time to live."""
    dead, arguments = graveyard(channel)
    publish(channel, mine(channel, arguments=arguments), b"tick", expiration=str(milliseconds))
    take(channel, dead)
