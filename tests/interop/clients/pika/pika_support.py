"""What the pika tests share: an inbox for deliveries, and the shortest ways to fill and empty a queue."""

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


def publish(channel, queue, *bodies):
    """Publishes to a queue and waits until the messages are in it."""
    confirming = channel.connection.channel()
    confirming.confirm_delivery()
    for body in bodies:
        confirming.basic_publish("", queue, body, mandatory=True)
    confirming.close()


def drain(channel, queue):
    """Takes everything out of a queue, oldest first."""
    bodies = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return bodies
        bodies.append(body)


def mine(channel, **arguments):
    """A new queue of this connection."""
    return channel.queue_declare("", exclusive=True, **arguments).method.queue
