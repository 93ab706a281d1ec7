"""aio-pika over TLS, with what its users write into the URL."""

import ssl

import aio_pika
import aiormq.exceptions
import pytest
import support
from aio_pika import Message

pytestmark = pytest.mark.tls


def url(**options):
    """The broker's port for TLS; aio-pika reads the files to use from the query."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"amqps://guest:guest@{support.TLS_HOST}:{support.TLS_PORT}/%2F?{query}"


async def test_a_message_passes_over_tls():
    at = url(cafile=support.CERTIFICATES / "ca.pem")
    async with await aio_pika.connect_robust(at, timeout=support.DEADLINE) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        body = b"x" * 200_000
        await channel.default_exchange.publish(Message(body), queue.name)
        message = await queue.get(timeout=support.DEADLINE)
        assert message.body == body
        await message.ack()


async def test_a_context_of_the_users_own_is_used():
    at = f"amqps://guest:guest@{support.TLS_HOST}:{support.TLS_PORT}/"
    context = support.tls_context("client")
    async with await aio_pika.connect(at, ssl_context=context, timeout=support.DEADLINE) as connection:
        assert not (await connection.channel()).is_closed


async def test_a_broker_that_is_not_known_is_left():
    with pytest.raises((ssl.SSLError, aiormq.exceptions.AMQPConnectionError)):
        await aio_pika.connect(url(), timeout=support.DEADLINE)
