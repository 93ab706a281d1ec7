"""aio-pika: its own flows, its patterns, and its recovery."""

import asyncio
import contextlib
import datetime
import decimal
import re

import aio_pika
import aiormq.exceptions
import pytest
import support
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.patterns import RPC, Master
from support import unique


def url(user="guest", password="guest", host=support.URL_HOST, port=support.PORT, vhost="%2F", heartbeat=0):
    return f"amqp://{user}:{password}@{host}:{port}/{vhost}?heartbeat={heartbeat}"


@contextlib.asynccontextmanager
async def connection(**where):
    """A plain connection, which does not recover."""
    async with await aio_pika.connect(url(**where), timeout=support.DEADLINE) as opened:
        yield opened


@contextlib.asynccontextmanager
async def robust(**where):
    """A connection that recovers by itself, quickly."""
    opening = aio_pika.connect_robust(url(**where), timeout=support.DEADLINE, reconnect_interval=0.1)
    async with await opening as opened:
        yield opened


async def soon(awaitable):
    """The awaitable's result, within the deadline."""
    return await asyncio.wait_for(awaitable, support.DEADLINE)


async def eventually(condition, what):
    """Asks until it is true; `condition` is a coroutine function."""
    async with asyncio.timeout(support.DEADLINE):
        while not await condition():
            await asyncio.sleep(0.02)


class Inbox(asyncio.Queue):
    """Collects what a consumer gets, in order. `deliver` is the consumer's callback."""

    async def deliver(self, message):
        self.put_nowait(message)

    async def take(self, count):
        return [await soon(self.get()) for _ in range(count)]


def bodies(messages):
    return [message.body for message in messages]


async def fill(channel, queue, *texts):
    """Publishes with confirms, so that all messages are in the queue afterwards."""
    for text in texts:
        await channel.default_exchange.publish(Message(text), queue.name)


# --- declaring and routing ---


async def test_declaring(names):
    async with connection() as conn:
        channel = await conn.channel()
        generated = await channel.declare_queue(exclusive=True)
        assert re.fullmatch(r"amq\.gen-[\w-]{22}", generated.name), generated.name
        name, exchange = names.queue(), names.exchange()
        queue = await channel.declare_queue(name, durable=True)
        await fill(channel, queue, b"1", b"2")
        again = await channel.declare_queue(name, durable=True)
        assert (again.declaration_result.message_count, again.declaration_result.consumer_count) == (2, 0)
        assert (await channel.get_queue(name)).declaration_result.message_count == 2
        await channel.declare_exchange(exchange, ExchangeType.TOPIC, durable=True)
        await channel.get_exchange(exchange)
        assert (await queue.purge()).message_count == 2
        assert (await queue.delete()).message_count == 0
        await (await channel.get_exchange(exchange)).delete()


@pytest.mark.parametrize("pattern, matching, others", support.TOPICS, ids=[pattern for pattern, _, _ in support.TOPICS])
async def test_topic_patterns(pattern, matching, others):
    async with connection() as conn:
        channel = await conn.channel()
        exchange = await channel.declare_exchange(unique("topic"), ExchangeType.TOPIC, auto_delete=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, pattern)
        for key in matching + others:
            await exchange.publish(Message(key.encode()), key, mandatory=False)
        await fill(channel, queue, b"the end")
        got = []
        while (message := await queue.get(no_ack=True)).body != b"the end":
            got.append(message.routing_key)
        assert got == matching


@pytest.mark.parametrize("arguments, matching, others", support.HEADERS, ids=map(str, range(len(support.HEADERS))))
async def test_headers_bindings(arguments, matching, others):
    async with connection() as conn:
        channel = await conn.channel()
        exchange = await channel.declare_exchange(unique("headers"), ExchangeType.HEADERS, auto_delete=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "", arguments=arguments)
        for headers in matching + others:
            await exchange.publish(Message(b"", headers=headers), "", mandatory=False)
        await fill(channel, queue, b"the end")
        got = []
        while (message := await queue.get(no_ack=True)).body != b"the end":
            got.append(message.headers)
        assert got == matching


async def test_fanout_direct_and_exchange_to_exchange():
    async with connection() as conn:
        channel = await conn.channel(on_return_raises=True)
        direct = await channel.declare_exchange(unique("direct"), ExchangeType.DIRECT, auto_delete=True)
        fanout = await channel.declare_exchange(unique("fanout"), ExchangeType.FANOUT, auto_delete=True, internal=True)
        await fanout.bind(direct, "red")
        queues = [await channel.declare_queue(exclusive=True) for _ in range(3)]
        for queue in queues:
            await queue.bind(fanout)
        await queues[0].bind(direct, "green")
        await queues[0].bind(direct, "red")
        await direct.publish(Message(b"1"), "red")
        await direct.publish(Message(b"2"), "green")
        got = [[message.body async for message in messages(queue)] for queue in queues]
        assert got == [[b"1", b"2"], [b"1"], [b"1"]]
        await fanout.unbind(direct, "red")
        await queues[0].unbind(direct, "red")
        await direct.publish(Message(b"3"), "green")
        with pytest.raises(aio_pika.exceptions.DeliveryError):
            await direct.publish(Message(b"4"), "red")
        assert [message.body async for message in messages(queues[0])] == [b"3"]


async def messages(queue):
    """Everything in the queue now."""
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        yield message


async def test_an_auto_delete_queue_goes_with_its_consumer(names):
    async with connection() as conn:
        channel = await conn.channel()
        name = names.queue()
        queue = await channel.declare_queue(name, auto_delete=True)
        tag = await queue.consume(Inbox().deliver)
        await queue.cancel(tag)
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity, match=f"no queue '{name}' in vhost '/'"):
            await channel.get_queue(name)


async def test_an_exclusive_queue_is_locked(names):
    name = names.queue()
    async with connection() as owner, connection() as other:
        await (await owner.channel()).declare_queue(name, exclusive=True)
        with pytest.raises(aiormq.exceptions.ChannelLockedResource) as error:
            await (await other.channel()).get_queue(name)
        assert support.LOCKED.format(queue=name) in str(error.value)


# --- publishing ---


async def test_a_returned_message_is_an_error_or_a_callback():
    async with connection() as conn:
        raising = await conn.channel(publisher_confirms=True, on_return_raises=True)
        with pytest.raises(aio_pika.exceptions.DeliveryError) as error:
            await raising.default_exchange.publish(Message(b"lost"), unique("missing"))
        assert "NO_ROUTE" in str(error.value.frame) or error.value.message.delivery.reply_code == 312

        quiet = await conn.channel(publisher_confirms=True, on_return_raises=False)
        returned = asyncio.Queue()
        quiet.return_callbacks.add(lambda _channel, message: returned.put_nowait(message))
        key = unique("missing")
        await quiet.default_exchange.publish(Message(b"lost", message_id="7"), key)
        message = await soon(returned.get())
        assert (message.body, message.message_id, message.routing_key) == (b"lost", "7", key)


async def test_publishing_concurrently_with_confirms():
    """Confirms that cover many messages at once must release every waiting publisher."""
    async with connection() as conn:
        channel = await conn.channel()
        queue = await channel.declare_queue(exclusive=True)
        exchange = channel.default_exchange
        await soon(asyncio.gather(*(exchange.publish(Message(b"%d" % n), queue.name) for n in range(300))))
        inbox = Inbox()
        await queue.consume(inbox.deliver, no_ack=True)
        assert bodies(await inbox.take(300)) == [b"%d" % n for n in range(300)]


async def test_a_channel_without_confirms():
    async with connection() as conn:
        channel = await conn.channel(publisher_confirms=False)
        queue = await channel.declare_queue(exclusive=True)
        inbox = Inbox()
        await queue.consume(inbox.deliver, no_ack=True)
        for number in range(100):
            await channel.default_exchange.publish(Message(b"%d" % number), queue.name)
        assert bodies(await inbox.take(100)) == [b"%d" % n for n in range(100)]


@pytest.mark.parametrize("size", [0, 1, 131064, 131065, 8 * 1024 * 1024])
async def test_bodies_of_every_size_arrive_whole(size):
    async with connection() as conn:
        channel = await conn.channel()
        queue = await channel.declare_queue(exclusive=True)
        body = (bytes(range(256)) * (size // 256 + 1))[:size]
        await fill(channel, queue, body)
        async with (await queue.get()).process() as message:
            assert message.body_size == size
            assert message.body == body


async def test_properties_and_headers_survive():
    headers = {
        "bool": True,
        "integers": [0, -1, 127, -128, 32767, -32768, 2**31 - 1, -(2**31), 2**32, -(2**63)],
        "float": 1.5,
        "text": "ünïcode ☃",
        "bytes": bytearray(b"\x00\xff"),
        "timestamp": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "decimal": decimal.Decimal("3.14"),
        "void": None,
        "table": {"deeper": {"deepest": [1, {"x": None}]}},
        "empty": [{}, [], ""],
    }
    sent = Message(
        b"body",
        headers=headers,
        content_type="text/plain",
        content_encoding="utf-8",
        delivery_mode=DeliveryMode.PERSISTENT,
        priority=7,
        correlation_id="correlation",
        reply_to="reply",
        message_id="message",
        timestamp=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
        type="type",
        user_id="guest",
        app_id="application",
        expiration=60,
    )
    async with connection() as conn:
        channel = await conn.channel()
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(sent, queue.name)
        received = await queue.get(no_ack=True)
    properties = "content_type content_encoding delivery_mode priority correlation_id reply_to message_id timestamp"
    for name in (properties + " type user_id app_id expiration").split():
        assert getattr(received, name) == getattr(sent, name), name
    assert received.headers == headers


# --- consuming ---


async def test_the_queue_iterator():
    async with connection() as conn:
        channel = await conn.channel()
        await channel.set_qos(prefetch_count=10)
        queue = await channel.declare_queue(exclusive=True)
        await fill(channel, queue, *(b"%d" % n for n in range(25)))
        got = []
        async with queue.iterator(timeout=support.DEADLINE) as messages:
            async for message in messages:
                async with message.process():
                    got.append(message.body)
                if len(got) == 20:
                    break
        assert got == [b"%d" % n for n in range(20)]
        # What the iterator had prefetched went back when it was closed.
        await eventually(lambda: ready_count(channel, queue.name, 5), "the prefetched messages back in the queue")
        again = await queue.get()
        assert (again.body, again.redelivered) == (b"20", True)


async def ready_count(channel, name, count):
    return (await channel.get_queue(name)).declaration_result.message_count == count


async def test_processing_acks_or_rejects():
    async with connection() as conn:
        channel = await conn.channel()
        queue = await channel.declare_queue(exclusive=True)
        await fill(channel, queue, b"fine", b"again", b"dropped")
        async with (await queue.get()).process():
            pass
        with contextlib.suppress(ZeroDivisionError):
            async with (await queue.get()).process(requeue=True):
                raise ZeroDivisionError
        again = await queue.get()
        assert (again.body, again.redelivered) == (b"again", True)
        await again.nack(requeue=False)
        with contextlib.suppress(ZeroDivisionError):
            async with (await queue.get()).process():
                raise ZeroDivisionError
        assert await queue.get(fail=False) is None
        with pytest.raises(aio_pika.exceptions.QueueEmpty):
            await queue.get()


async def test_prefetch_and_acking_several_at_once():
    async with connection() as conn:
        channel = await conn.channel()
        await channel.set_qos(prefetch_count=3)
        queue = await channel.declare_queue(exclusive=True)
        await fill(channel, queue, *(b"%d" % n for n in range(7)))
        inbox = Inbox()
        await queue.consume(inbox.deliver)
        first = await inbox.take(3)
        assert (await channel.get_queue(queue.name)).declaration_result.message_count == 4
        assert inbox.empty()
        await first[1].ack(multiple=True)
        assert bodies(await inbox.take(2)) == [b"3", b"4"]
        await first[2].reject(requeue=True)
        again = (await inbox.take(1))[0]
        assert (again.body, again.redelivered) == (b"2", True)


async def test_the_broker_cancels_the_consumer_of_a_deleted_queue():
    async with connection() as conn, connection() as other:
        channel = await conn.channel()
        queue = await channel.declare_queue(unique("queue"))
        tag = await queue.consume(Inbox().deliver)
        underlay, cancelled = await channel.get_underlay_channel(), asyncio.Queue()
        underlay.on_consumer_cancel_callbacks.add(lambda frame: cancelled.put_nowait(frame.consumer_tag))
        await (await other.channel()).queue_delete(queue.name)
        assert await soon(cancelled.get()) == tag
        assert not channel.is_closed


# --- transactions ---


async def test_transactions():
    async with connection() as conn:
        channel = await conn.channel(publisher_confirms=False)
        queue = await channel.declare_queue(exclusive=True)
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b"kept"), queue.name)
        with contextlib.suppress(ZeroDivisionError):
            async with channel.transaction():
                await channel.default_exchange.publish(Message(b"dropped"), queue.name)
                raise ZeroDivisionError
        assert (await queue.get(no_ack=True)).body == b"kept"
        assert await queue.get(fail=False) is None


# --- patterns ---


async def test_the_rpc_pattern(names):
    class OwnRPC(RPC):
        # Otherwise every run on a broker shares one auto-delete exchange.
        DLX_NAME = unique("dlx")

    method = unique("multiply")
    names.queues.append(method)
    async with connection() as conn:
        channel = await conn.channel()
        rpc = await OwnRPC.create(channel)

        async def multiply(*, x, y):
            return x * y

        await rpc.register(method, multiply, auto_delete=True)
        calls = (rpc.call(method, {"x": n, "y": n}) for n in range(50))
        assert await soon(asyncio.gather(*calls)) == [n * n for n in range(50)]
        with pytest.raises(TypeError):
            await soon(rpc.call(method, {"x": 1}))
        with pytest.raises(aio_pika.exceptions.MessageProcessError, match="Message has been returned"):
            await soon(rpc.call(unique("missing"), {}))
        await rpc.close()


async def test_the_master_worker_pattern(names):
    task = names.queue("task")
    async with connection() as conn:
        channel = await conn.channel()
        await channel.set_qos(prefetch_count=1)
        master = Master(channel)
        done = asyncio.Queue()

        async def work(*, number):
            done.put_nowait(number)

        worker = await master.create_worker(task, work, durable=True)
        for number in range(20):
            await master.create_task(task, {"number": number})
        assert [await soon(done.get()) for _ in range(20)] == list(range(20))
        await worker.close()


async def test_publish_and_subscribe_with_a_dozen_consumers():
    async with connection() as conn:
        publisher = await conn.channel()
        exchange = await publisher.declare_exchange(unique("news"), ExchangeType.FANOUT, auto_delete=True)
        inboxes = []
        for _ in range(12):
            channel = await conn.channel()
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(exchange)
            inboxes.append(Inbox())
            await queue.consume(inboxes[-1].deliver, no_ack=True)
        news = [b"%d" % n for n in range(40)]
        for body in news:
            await exchange.publish(Message(body), "")
        assert [bodies(await inbox.take(40)) for inbox in inboxes] == 12 * [news]


# --- errors and recovery ---


async def test_a_channel_error_and_reopening():
    async with connection() as conn:
        channel, other = await conn.channel(), await conn.channel()
        queue = await other.declare_queue(exclusive=True)
        missing = unique("missing")
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity, match=f"no queue '{missing}' in vhost '/'"):
            await channel.get_queue(missing)
        with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed, match="inequivalent arg 'type' for exchange"):
            await (await conn.channel()).declare_exchange("amq.direct", ExchangeType.FANOUT)
        await channel.reopen()
        await fill(channel, queue, b"works")
        assert (await queue.get(no_ack=True)).body == b"works"


async def test_a_connection_error():
    async with connection() as conn:
        channel = await conn.channel()
        with pytest.raises(aiormq.exceptions.ConnectionNotImplemented, match="NOT_IMPLEMENTED - active=false"):
            await channel.flow(active=False)
    async with connection() as conn:
        await (await conn.channel()).declare_queue(exclusive=True)


async def test_a_wrong_password():
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError) as error:
        async with connection(password="wrong"):
            pass
    assert support.LOGIN_REFUSED.format(mechanism="PLAIN") in str(error.value)


async def test_an_unknown_vhost():
    # The library keeps the reason to itself: it only says that this was not connection.open-ok.
    with pytest.raises(aiormq.exceptions.InvalidFrameError, match="Connection.Close"):
        async with connection(vhost=unique("vhost")):
            pass


async def test_a_robust_connection_restores_everything(relay, names):
    """The network fails; queues, bindings and consumers are back without the application doing anything."""
    durable, exchange = names.queue(), names.exchange()
    async with robust(host="127.0.0.1", port=relay.port) as conn, connection() as watcher:
        channel = await conn.channel()
        await channel.set_qos(prefetch_count=1)
        topic = await channel.declare_exchange(exchange, ExchangeType.TOPIC)
        queue = await channel.declare_queue(durable, durable=True)
        exclusive = await channel.declare_queue(exclusive=True, auto_delete=True)
        inbox, private = Inbox(), Inbox()
        for target, consumer in ((queue, inbox), (exclusive, private)):
            await target.bind(topic, "#")
            await target.consume(consumer.deliver)
        await topic.publish(Message(b"before"), "key")
        unacked = (await inbox.take(1))[0]
        await (await private.take(1))[0].ack()

        for _ in range(3):
            reconnected = asyncio.Event()
            conn.reconnect_callbacks.add(lambda *_: reconnected.set())
            assert relay.cut() == 1
            await soon(reconnected.wait())
            again = (await inbox.take(1))[0]
            assert (again.body, again.redelivered) == (b"before", True)
        await again.ack()
        assert unacked.delivery_tag >= 1

        other = await watcher.channel()
        await (await other.get_exchange(exchange)).publish(Message(b"after"), "key")
        for consumer in (inbox, private):
            message = (await consumer.take(1))[0]
            assert (message.body, message.redelivered) == (b"after", False)
            await message.ack()


async def test_a_robust_connection_recovers_from_an_error_of_its_own():
    async with robust() as conn:
        channel, failing = await conn.channel(), await conn.channel()
        queue = await channel.declare_queue(exclusive=True)
        inbox = Inbox()
        await queue.consume(inbox.deliver, no_ack=True)
        reconnected = asyncio.Event()
        conn.reconnect_callbacks.add(lambda *_: reconnected.set())
        with pytest.raises(aiormq.exceptions.AMQPError):
            await failing.flow(active=False)
        await soon(reconnected.wait())
        await fill(channel, queue, b"back")
        assert bodies(await inbox.take(1)) == [b"back"]


async def test_a_robust_consumer_comes_back_after_its_queue_was_deleted(names):
    """The broker's basic.cancel is what makes the library declare the queue again."""
    name = names.queue()
    async with robust() as conn, connection() as other:
        channel, killer = await conn.channel(), await other.channel()
        queue = await channel.declare_queue(name)
        inbox = Inbox()
        await queue.consume(inbox.deliver, no_ack=True)
        await killer.queue_delete(name)

        async def delivered():
            await killer.default_exchange.publish(Message(b"back"), name, mandatory=False)
            return not inbox.empty()

        await eventually(delivered, "a delivery from the queue declared anew")
        assert (await inbox.take(1))[0].body == b"back"


async def test_a_robust_channel_survives_a_channel_error():
    async with robust() as conn:
        channel = await conn.channel()
        queue = await channel.declare_queue(exclusive=True)
        inbox = Inbox()
        await queue.consume(inbox.deliver, no_ack=True)
        reopened = asyncio.Event()
        channel.reopen_callbacks.add(lambda *_: reopened.set())
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.get_queue(unique("missing"))
        await soon(reopened.wait())
        await fill(channel, queue, b"back")
        assert bodies(await inbox.take(1)) == [b"back"]


# --- connections ---


async def test_hundreds_of_channels_on_one_connection():
    async with connection() as conn:
        channels = await soon(asyncio.gather(*(conn.channel() for _ in range(200))))
        queues = await soon(asyncio.gather(*(channel.declare_queue(exclusive=True) for channel in channels)))
        await soon(asyncio.gather(*(fill(*pair, pair[1].name.encode()) for pair in zip(channels, queues))))
        got = await soon(asyncio.gather(*(queue.get(no_ack=True) for queue in queues)))
        assert bodies(got) == [queue.name.encode() for queue in queues]


async def test_a_pool_of_connections():
    async def connect():
        return await aio_pika.connect(url())

    name = unique("pool")
    async with aio_pika.pool.Pool(connect, max_size=10) as pool:

        async def publish(number):
            async with pool.acquire() as conn, conn.channel() as channel:
                queue = await channel.declare_queue(name, auto_delete=True)
                await fill(channel, queue, b"%d" % number)

        await soon(asyncio.gather(*(publish(number) for number in range(60))))
        async with pool.acquire() as conn, conn.channel() as channel:
            inbox = Inbox()
            await (await channel.get_queue(name)).consume(inbox.deliver, no_ack=True)
            assert sorted(int(body) for body in bodies(await inbox.take(60))) == list(range(60))


async def test_heartbeats_keep_an_idle_connection():
    async with connection(heartbeat=1) as conn:
        closed = asyncio.ensure_future(conn.closed())
        # The library answers from its own loop; longer than the intervals after which either side gives up.
        done, _ = await asyncio.wait([closed], timeout=5)
        assert not done
        await (await conn.channel()).declare_queue(exclusive=True)
        closed.cancel()


async def test_the_secret_can_be_updated():
    async with connection() as conn:
        await conn.update_secret("guest", reason="it is time")
        await (await conn.channel()).declare_queue(exclusive=True)
