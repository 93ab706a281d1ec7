"""The exact answer to every request that a broker refuses, and to some that look wrong but are fine.

Applications match on these codes and texts. A case does something on a fresh channel; the broker closes the channel or
the connection, with a code and a text, or lets it pass. In the texts, {q} is the name of the case's queue, {x} that of
its exchange, {missing} a name that nothing has.
"""

import dataclasses
from collections.abc import Callable

import pika
import pika.exceptions
import pytest
import support
from pika import BasicProperties, spec
from support import unique, until

REFUSED = (pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker)


@dataclasses.dataclass
class Bench:
    """What a case works with: a fresh channel, and names of its own."""

    channel: pika.adapters.blocking_connection.BlockingChannel
    connect: Callable
    q: str
    x: str
    missing: str

    def other(self):
        """A channel of another connection."""
        return self.connect().channel()

    def queue(self, **flags):
        self.channel.queue_declare(self.q, **flags)

    def exchange(self, kind="direct", **flags):
        self.channel.exchange_declare(self.x, kind, **flags)

    def arguments(self, **arguments):
        """Declares the queue with optional arguments: x_max_length for x-max-length."""
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.channel.queue_declare(self.q, arguments=arguments)

    def consume(self, **arguments):
        return self.channel.basic_consume(arguments.pop("queue", self.q), lambda *_: None, **arguments)

    def publish(self, exchange="", key="", body=b"m", immediate=False, **properties):
        """Publishes without confirms: a refusal comes on its own, and the round trip afterwards finds it."""
        if immediate:
            publish = spec.Basic.Publish(exchange=exchange, routing_key=key, immediate=True)
            self.channel._impl._send_method(publish, (BasicProperties(), body))
        else:
            self.channel.basic_publish(exchange, key, body, BasicProperties(**properties))

    def send(self, method):
        """Sends a method that pika has no call for."""
        self.channel._impl._send_method(method)

    def round_trip(self):
        self.channel.basic_qos(prefetch_count=0)
        self.channel.connection.process_data_events()


OK = ("ok", None, None)


def closes_channel(code, text):
    return ("channel", code, text)


def closes_connection(code, text):
    return ("connection", code, text)


def not_found(what):
    return closes_channel(404, f"NOT_FOUND - no {what} in vhost '/'")


def refused(text):
    return closes_channel(403, f"ACCESS_REFUSED - {text}")


def failed(text):
    return closes_channel(406, f"PRECONDITION_FAILED - {text}")


def unequal(what, kind, received, current):
    name = "{q}" if kind == "queue" else "{x}"
    return failed(f"inequivalent arg '{what}' for {kind} '{name}' in vhost '/': {received} but current is {current}")


def invalid(argument, reason):
    return failed(f"invalid arg '{argument}' for queue '{{q}}' in vhost '/'{reason}")


LOCKED = closes_channel(405, support.LOCKED.format(queue="{q}"))
DEFAULT_EXCHANGE = refused("operation not permitted on the default exchange")
NO_QUEUE, NO_EXCHANGE = not_found("queue '{missing}'"), not_found("exchange '{missing}'")
NO_LAST_QUEUE = closes_channel(404, "NOT_FOUND - no previously declared queue")
NOT_AN_INTEGER = ': "expected integer, got longstr"'
NEGATIVE = ": {{value_negative,-1}}"

# Name: (what the broker answers, what the client does).
REPLIES = {
    # --- publishing ---
    "publish-no-exchange": (NO_EXCHANGE, lambda b: b.publish(b.missing, "key")),
    "publish-internal-exchange": (
        refused("cannot publish to internal exchange '{x}' in vhost '/'"),
        lambda b: (b.exchange(internal=True), b.publish(b.x, "key")),
    ),
    "publish-trace-exchange": (
        refused("cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'"),
        lambda b: b.publish("amq.rabbitmq.trace", "key"),
    ),
    "publish-immediate": (
        closes_connection(540, "NOT_IMPLEMENTED - immediate=true"),
        lambda b: b.publish("", b.missing, immediate=True),
    ),
    "publish-unroutable-ok": (OK, lambda b: b.publish("", b.missing)),
    "publish-bad-delivery-mode": (
        failed("invalid message: {{delivery_mode_unknown,3}}"),
        lambda b: b.publish("", b.missing, delivery_mode=3),
    ),
    # --- queues ---
    "queue-passive-missing": (NO_QUEUE, lambda b: b.channel.queue_declare(b.missing, passive=True)),
    "queue-passive-empty-name": (
        not_found("queue ''"),
        lambda b: (b.queue(), b.channel.queue_declare("", passive=True)),
    ),
    "queue-declare-amq-prefix": (
        refused("queue name 'amq.foo' contains reserved prefix 'amq.*'"),
        lambda b: b.channel.queue_declare("amq.foo"),
    ),
    "queue-declare-again-ok": (OK, lambda b: (b.queue(durable=True), b.queue(durable=True))),
    "queue-declare-durable-mismatch": (
        unequal("durable", "queue", "received 'false'", "'true'"),
        lambda b: (b.queue(durable=True), b.queue()),
    ),
    "queue-declare-autodelete-mismatch": (
        unequal("auto_delete", "queue", "received 'true'", "'false'"),
        lambda b: (b.queue(), b.queue(auto_delete=True)),
    ),
    "queue-declare-exclusive-mismatch": (LOCKED, lambda b: (b.queue(), b.queue(exclusive=True))),
    "queue-declare-not-exclusive-mismatch": (LOCKED, lambda b: (b.queue(exclusive=True), b.queue())),
    "queue-declare-durable-and-autodelete-mismatch": (
        unequal("durable", "queue", "received 'true'", "'false'"),
        lambda b: (b.queue(), b.queue(durable=True, auto_delete=True)),
    ),
    "queue-unknown-x-arg": (OK, lambda b: b.arguments(x_something=1)),
    "queue-unknown-x-arg-mismatch-ok": (OK, lambda b: (b.arguments(x_something=1), b.arguments(x_something="2"))),
    "queue-delete-nonempty": (
        failed("queue '{q}' in vhost '/' not empty"),
        lambda b: (b.queue(), b.publish("", b.q), b.channel.queue_delete(b.q, if_empty=True)),
    ),
    "queue-delete-inuse": (
        failed("queue '{q}' in vhost '/' in use"),
        lambda b: (b.queue(), b.consume(), b.channel.queue_delete(b.q, if_unused=True)),
    ),
    "queue-delete-missing-ok": (OK, lambda b: b.channel.queue_delete(b.missing)),
    "purge-missing": (NO_QUEUE, lambda b: b.channel.queue_purge(b.missing)),
    "last-queue-none": (NO_LAST_QUEUE, lambda b: b.consume(queue="")),
    "last-queue-none-get": (NO_LAST_QUEUE, lambda b: b.channel.basic_get("")),
    "last-queue-none-bind": (NO_LAST_QUEUE, lambda b: b.channel.queue_bind("", "amq.direct", "")),
    "last-queue-none-unbind": (NO_LAST_QUEUE, lambda b: b.channel.queue_unbind("", "amq.direct", "")),
    "last-queue-none-purge": (NO_LAST_QUEUE, lambda b: b.channel.queue_purge("")),
    "last-queue-none-delete": (NO_LAST_QUEUE, lambda b: b.channel.queue_delete("")),
    "last-queue-deleted": (
        not_found("queue '{q}'"),
        lambda b: (b.queue(), b.channel.queue_delete(b.q), b.channel.queue_purge("")),
    ),
    # --- access to another connection's exclusive queue ---
    "access-exclusive-queue": (LOCKED, lambda b: (exclusive_elsewhere(b), b.queue())),
    "access-exclusive-queue-exclusively": (LOCKED, lambda b: (exclusive_elsewhere(b), b.queue(exclusive=True))),
    "access-exclusive-queue-passive": (LOCKED, lambda b: (exclusive_elsewhere(b), b.queue(passive=True))),
    "access-exclusive-queue-consume": (LOCKED, lambda b: (exclusive_elsewhere(b), b.consume())),
    "access-exclusive-queue-get": (LOCKED, lambda b: (exclusive_elsewhere(b), b.channel.basic_get(b.q))),
    "access-exclusive-queue-purge": (LOCKED, lambda b: (exclusive_elsewhere(b), b.channel.queue_purge(b.q))),
    "access-exclusive-queue-delete": (LOCKED, lambda b: (exclusive_elsewhere(b), b.channel.queue_delete(b.q))),
    "access-exclusive-queue-bind": (
        LOCKED,
        lambda b: (exclusive_elsewhere(b), b.channel.queue_bind(b.q, "amq.direct", "key")),
    ),
    "access-exclusive-queue-unbind": (
        LOCKED,
        lambda b: (exclusive_elsewhere(b), b.channel.queue_unbind(b.q, "amq.direct", "bound")),
    ),
    "access-exclusive-queue-publish-ok": (OK, lambda b: (exclusive_elsewhere(b), b.publish("", b.q))),
    # --- exchanges ---
    "exchange-passive-missing": (NO_EXCHANGE, lambda b: b.channel.exchange_declare(b.missing, passive=True)),
    "exchange-passive-wrong-type-ok": (OK, lambda b: (b.exchange(), b.exchange("fanout", passive=True))),
    "exchange-amq-prefix": (
        refused("exchange name 'amq.foo' contains reserved prefix 'amq.*'"),
        lambda b: b.channel.exchange_declare("amq.foo"),
    ),
    "exchange-amq-passive-missing": (
        not_found("exchange 'amq.foo'"),
        lambda b: b.channel.exchange_declare("amq.foo", passive=True),
    ),
    "exchange-amq-equal-ok": (
        OK,
        lambda b: [
            b.channel.exchange_declare(f"amq.{name}", kind, durable=True)
            for name, kind in (("direct",) * 2, ("fanout",) * 2, ("topic",) * 2, ("headers",) * 2, ("match", "headers"))
        ],
    ),
    "exchange-bad-type": (
        closes_connection(503, "COMMAND_INVALID - unknown exchange type 'nosuch'"),
        lambda b: b.exchange("nosuch"),
    ),
    "exchange-empty-type": (
        closes_connection(503, "COMMAND_INVALID - invalid exchange type ''"),
        lambda b: b.send(spec.Exchange.Declare(exchange=b.x, type="")),
    ),
    "exchange-type-mismatch": (
        unequal("type", "exchange", "received 'fanout'", "'direct'"),
        lambda b: (b.exchange(), b.exchange("fanout")),
    ),
    "exchange-durable-mismatch": (
        unequal("durable", "exchange", "received 'false'", "'true'"),
        lambda b: (b.exchange(durable=True), b.exchange()),
    ),
    "exchange-autodelete-mismatch": (
        unequal("auto_delete", "exchange", "received 'true'", "'false'"),
        lambda b: (b.exchange(), b.exchange(auto_delete=True)),
    ),
    "exchange-internal-mismatch": (
        unequal("internal", "exchange", "received 'true'", "'false'"),
        lambda b: (b.exchange(), b.exchange(internal=True)),
    ),
    "exchange-ae-mismatch": (
        unequal("alternate-exchange", "exchange", "received the value 'a' of type 'longstr'", "none"),
        lambda b: (b.exchange(), b.exchange(arguments={"alternate-exchange": "a"})),
    ),
    "exchange-ae-absent-mismatch": (
        unequal("alternate-exchange", "exchange", "received none", "the value 'a' of type 'longstr'"),
        lambda b: (b.exchange(arguments={"alternate-exchange": "a"}), b.exchange()),
    ),
    "exchange-ae-other-mismatch": (
        unequal("alternate-exchange", "exchange", "received 'b'", "'a'"),
        lambda b: [b.exchange(arguments={"alternate-exchange": name}) for name in "ab"],
    ),
    "exchange-ae-int": (
        failed("invalid type 'signedint' for arg 'alternate-exchange' in exchange '{x}' in vhost '/'"),
        lambda b: b.exchange(arguments={"alternate-exchange": 5}),
    ),
    "exchange-unknown-arg-mismatch-ok": (OK, lambda b: (b.exchange(), b.exchange(arguments={"x-something": 1}))),
    "exchange-declare-default": (DEFAULT_EXCHANGE, lambda b: b.channel.exchange_declare("")),
    "exchange-passive-default": (DEFAULT_EXCHANGE, lambda b: b.channel.exchange_declare("", passive=True)),
    "exchange-delete-default": (DEFAULT_EXCHANGE, lambda b: b.channel.exchange_delete("")),
    "exchange-delete-amq": (
        refused("deletion of system exchange 'amq.topic' in vhost '/' not allowed"),
        lambda b: b.channel.exchange_delete("amq.topic"),
    ),
    "exchange-delete-amq-missing": (
        refused("deletion of system exchange 'amq.nosuch' in vhost '/' not allowed"),
        lambda b: b.channel.exchange_delete("amq.nosuch"),
    ),
    "exchange-delete-inuse": (
        failed("exchange '{x}' in vhost '/' in use"),
        lambda b: (
            b.exchange(),
            b.queue(),
            b.channel.queue_bind(b.q, b.x, "key"),
            b.channel.exchange_delete(b.x, if_unused=True),
        ),
    ),
    "exchange-delete-missing-ok": (OK, lambda b: b.channel.exchange_delete(b.missing)),
    # --- bindings ---
    "bind-default": (DEFAULT_EXCHANGE, lambda b: (b.queue(), b.channel.queue_bind(b.q, "", "key"))),
    "unbind-default": (DEFAULT_EXCHANGE, lambda b: (b.queue(), b.channel.queue_unbind(b.q, "", "key"))),
    "bind-no-queue": (NO_QUEUE, lambda b: b.channel.queue_bind(b.missing, "amq.direct", "key")),
    "bind-no-exchange": (NO_EXCHANGE, lambda b: (b.queue(), b.channel.queue_bind(b.q, b.missing, "key"))),
    "bind-neither": (NO_EXCHANGE, lambda b: b.channel.queue_bind(b.q, b.missing, "key")),
    "unbind-no-exchange": (OK, lambda b: (b.queue(), b.channel.queue_unbind(b.q, b.missing, "key"))),
    "unbind-no-queue-ok": (OK, lambda b: b.channel.queue_unbind(b.missing, "amq.direct", "key")),
    "unbind-no-binding-ok": (OK, lambda b: (b.queue(), b.channel.queue_unbind(b.q, "amq.direct", "key"))),
    "bind-xmatch-bad": (
        failed('Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x'),
        lambda b: (b.queue(), b.channel.queue_bind(b.q, "amq.headers", "", arguments={"x-match": "foo"})),
    ),
    "bind-xmatch-int": (
        failed("Invalid x-match field type signedint (value 23); expected longstr"),
        lambda b: (b.queue(), b.channel.queue_bind(b.q, "amq.headers", "", arguments={"x-match": 23})),
    ),
    "ebind-no-source": (NO_EXCHANGE, lambda b: (b.exchange(), b.channel.exchange_bind(b.x, b.missing, "key"))),
    "ebind-no-destination": (NO_EXCHANGE, lambda b: b.channel.exchange_bind(b.missing, "amq.direct", "key")),
    "ebind-default": (DEFAULT_EXCHANGE, lambda b: b.channel.exchange_bind("amq.direct", "", "key")),
    "ebind-to-default": (DEFAULT_EXCHANGE, lambda b: b.channel.exchange_bind("", "amq.direct", "key")),
    "eunbind-default": (DEFAULT_EXCHANGE, lambda b: b.channel.exchange_unbind("amq.direct", "", "key")),
    "eunbind-missing-ok": (OK, lambda b: b.channel.exchange_unbind(b.missing, b.missing, "key")),
    # --- consuming ---
    "get-missing": (NO_QUEUE, lambda b: b.channel.basic_get(b.missing)),
    "consume-missing": (NO_QUEUE, lambda b: b.consume(queue=b.missing)),
    "consume-exclusive-inuse": (
        refused("queue '{q}' in vhost '/' in exclusive use"),
        lambda b: (b.queue(), b.consume(), b.consume(exclusive=True)),
    ),
    "consume-beside-exclusive": (
        refused("queue '{q}' in vhost '/' in exclusive use"),
        lambda b: (b.queue(), b.consume(exclusive=True), b.consume()),
    ),
    "consume-duplicate-tag": (
        closes_connection(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'"),
        lambda b: (b.queue(), b.consume(consumer_tag="t"), b.send(spec.Basic.Consume(queue=b.q, consumer_tag="t"))),
    ),
    "cancel-unknown-ok": (OK, lambda b: b.channel._impl._rpc(spec.Basic.Cancel(consumer_tag="nosuch"))),
    "ack-unknown": (failed("unknown delivery tag 42"), lambda b: b.channel.basic_ack(42)),
    "nack-unknown": (failed("unknown delivery tag 7"), lambda b: b.channel.basic_nack(7)),
    "reject-unknown": (failed("unknown delivery tag 7"), lambda b: b.channel.basic_reject(7)),
    "ack-zero": (failed("unknown delivery tag 0"), lambda b: b.channel.basic_ack(0)),
    "ack-multiple-unknown": (failed("unknown delivery tag 5"), lambda b: b.channel.basic_ack(5, multiple=True)),
    "ack-all-of-nothing-ok": (OK, lambda b: b.channel.basic_ack(0, multiple=True)),
    "ack-twice": (
        failed("unknown delivery tag 1"),
        lambda b: (b.queue(), got_one(b), b.channel.basic_ack(1), b.channel.basic_ack(1)),
    ),
    "ack-of-no-ack": (
        failed("unknown delivery tag 1"),
        lambda b: (b.queue(), got_one(b, auto_ack=True), b.channel.basic_ack(1)),
    ),
    "ack-on-another-channel": (
        failed("unknown delivery tag 1"),
        lambda b: (b.queue(), got_one(b), swap_channel(b), b.channel.basic_ack(1)),
    ),
    "recover-norequeue": (
        closes_connection(540, "NOT_IMPLEMENTED - requeue=false"),
        lambda b: b.channel.basic_recover(requeue=False),
    ),
    # --- modes ---
    "confirm-then-tx": (
        failed("cannot switch from confirm to tx mode"),
        lambda b: (b.channel.confirm_delivery(), b.channel.tx_select()),
    ),
    "tx-then-confirm": (
        failed("cannot switch from tx to confirm mode"),
        lambda b: (b.channel.tx_select(), b.channel.confirm_delivery()),
    ),
    "confirm-twice-ok": (OK, lambda b: [b.channel._impl._rpc(spec.Confirm.Select()) for _ in range(2)]),
    "tx-twice-ok": (OK, lambda b: (b.channel.tx_select(), b.channel.tx_select(), b.channel.tx_commit())),
    "tx-commit-nontx": (failed("channel is not transactional"), lambda b: b.channel.tx_commit()),
    "tx-rollback-nontx": (failed("channel is not transactional"), lambda b: b.channel.tx_rollback()),
    "tx-publish-no-exchange": (NO_EXCHANGE, lambda b: (b.channel.tx_select(), b.publish(b.missing))),
    "qos-prefetch-size": (
        closes_connection(540, "NOT_IMPLEMENTED - prefetch_size!=0 (100)"),
        lambda b: b.channel.basic_qos(prefetch_size=100),
    ),
    "channel-flow-false": (closes_connection(540, "NOT_IMPLEMENTED - active=false"), lambda b: b.channel.flow(False)),
    "channel-flow-true-ok": (OK, lambda b: b.channel.flow(True)),
    # --- order of methods ---
    "method-not-opened-channel": (
        closes_connection(504, "CHANNEL_ERROR - expected 'channel.open'"),
        lambda b: b.channel.connection._impl._send_method(9, spec.Queue.Declare(queue=b.q)),
    ),
    "channel-open-twice": (
        closes_connection(504, "CHANNEL_ERROR - second 'channel.open' seen"),
        lambda b: b.send(spec.Channel.Open()),
    ),
    "connection-method-while-open": (
        closes_connection(504, "CHANNEL_ERROR - unexpected method in connection state running"),
        lambda b: b.channel.connection._impl._send_method(0, spec.Connection.TuneOk(10, 131072, 0)),
    ),
    "header-of-another-class": (
        closes_connection(
            505, "UNEXPECTED_FRAME - expected content header for class 60, got one for class 3106 instead"
        ),
        lambda b: b.channel.connection._impl._output_marshaled_frames(
            [method_frame(b, spec.Basic.Publish()), header_frame(b, 1).replace(b"\x00\x3c", b"\x0c\x22", 1)]
        ),
    ),
    "method-instead-of-header": (
        closes_connection(
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        ),
        lambda b: (b.send(spec.Basic.Publish()), b.send(spec.Queue.Declare(queue=b.q))),
    ),
    "method-instead-of-body": (
        closes_connection(505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead"),
        lambda b: b.channel.connection._impl._output_marshaled_frames(
            [method_frame(b, spec.Basic.Publish()), header_frame(b, 1), method_frame(b, spec.Queue.Declare(queue=b.q))]
        ),
    ),
    "header-instead-of-method": (
        closes_connection(505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead"),
        lambda b: b.channel.connection._impl._output_marshaled_frames([header_frame(b, 1)]),
    ),
    # --- optional arguments of queues, consumers and messages ---
    # x-delivery-limit on a classic queue is left out on purpose: leveret gives it a meaning, other brokers refuse it.
    # So are streams: each broker that has none refuses them in its own words.
    "publish-bad-expiration-text": (
        failed("invalid expiration 'notnum': no_integer"),
        lambda b: b.publish("", b.missing, expiration="notnum"),
    ),
    "publish-bad-expiration-neg": (
        failed("invalid expiration '-10': {{value_negative,-10}}"),
        lambda b: b.publish("", b.missing, expiration="-10"),
    ),
    "publish-bad-expiration-trailing": (
        failed("invalid expiration '10s': {{leftover_string,\"s\"}}"),
        lambda b: b.publish("", b.missing, expiration="10s"),
    ),
    "publish-bad-expiration-overflow": (OK, lambda b: b.publish("", b.missing, expiration="4294967296")),
    "publish-bad-user-id": (
        failed("user_id property set to 'bob' but authenticated user was 'guest'"),
        lambda b: b.publish("", b.missing, user_id="bob"),
    ),
    "publish-bad-CC": (
        failed('invalid message: {{unacceptable_type_in_header,"CC",signedint}}'),
        lambda b: b.publish("", b.missing, headers={"CC": 5}),
    ),
    "queue-declare-arg-mismatch": (
        unequal("x-message-ttl", "queue", "received the value '1000' of type 'signedint'", "none"),
        lambda b: (b.queue(), b.arguments(x_message_ttl=1000)),
    ),
    "queue-declare-arg-absent-mismatch": (
        unequal("x-message-ttl", "queue", "received none", "the value '1000' of type 'signedint'"),
        lambda b: (b.arguments(x_message_ttl=1000), b.queue()),
    ),
    "queue-declare-type-mismatch": (
        unequal("x-queue-type", "queue", "received the value 'quorum' of type 'longstr'", "none"),
        lambda b: (
            b.queue(durable=True),
            b.channel.queue_declare(b.q, durable=True, arguments={"x-queue-type": "quorum"}),
        ),
    ),
    "queue-ttl-negative": (invalid("x-message-ttl", NEGATIVE), lambda b: b.arguments(x_message_ttl=-1)),
    "queue-ttl-string": (invalid("x-message-ttl", NOT_AN_INTEGER), lambda b: b.arguments(x_message_ttl="1")),
    "queue-ttl-zero-ok": (OK, lambda b: b.arguments(x_message_ttl=0)),
    "queue-expires-zero": (invalid("x-expires", ": {{value_zero,0}}"), lambda b: b.arguments(x_expires=0)),
    "queue-expires-string": (invalid("x-expires", NOT_AN_INTEGER), lambda b: b.arguments(x_expires="1")),
    "queue-maxlen-neg": (invalid("x-max-length", NEGATIVE), lambda b: b.arguments(x_max_length=-1)),
    "queue-maxlen-string": (invalid("x-max-length", NOT_AN_INTEGER), lambda b: b.arguments(x_max_length="1")),
    "queue-maxlenbytes-neg": (invalid("x-max-length-bytes", NEGATIVE), lambda b: b.arguments(x_max_length_bytes=-1)),
    "queue-overflow-bad": (invalid("x-overflow", ": invalid_overflow"), lambda b: b.arguments(x_overflow="foo")),
    "queue-overflow-int": (
        invalid("x-overflow", ": {{unacceptable_type,signedint}}"),
        lambda b: b.arguments(x_overflow=1),
    ),
    "queue-dlx-int": (
        failed("invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue '{q}' in vhost '/'"),
        lambda b: b.arguments(x_dead_letter_exchange=1),
    ),
    "queue-dlrk-no-dlx": (
        invalid("x-dead-letter-routing-key", ": routing_key_but_no_dlx_defined"),
        lambda b: b.arguments(x_dead_letter_routing_key="key"),
    ),
    "queue-maxprio-neg": (invalid("x-max-priority", NEGATIVE), lambda b: b.arguments(x_max_priority=-1)),
    "queue-maxprio-256": (
        invalid("x-max-priority", ": {{max_value_exceeded,256}}"),
        lambda b: b.arguments(x_max_priority=256),
    ),
    "queue-maxprio-string": (invalid("x-max-priority", NOT_AN_INTEGER), lambda b: b.arguments(x_max_priority="1")),
    "queue-mode-bad": (
        invalid("x-queue-mode", ": \"unsupported queue mode 'foo'\""),
        lambda b: b.arguments(x_queue_mode="foo"),
    ),
    "queue-type-bad": (
        invalid("x-queue-type", ": \"unsupported queue type 'foo'\""),
        lambda b: b.arguments(x_queue_type="foo"),
    ),
    "queue-sac-string": (
        invalid("x-single-active-consumer", ": {{unacceptable_type,longstr}}"),
        lambda b: b.arguments(x_single_active_consumer="yes"),
    ),
    "queue-version-3": (
        invalid("x-queue-version", ": \"unsupported queue version '3'\""),
        lambda b: b.arguments(x_queue_version=3),
    ),
    "quorum-nondurable": (
        failed("invalid property 'non-durable' for queue '{q}' in vhost '/'"),
        lambda b: quorum(b, durable=False),
    ),
    "quorum-exclusive": (
        failed("invalid property 'exclusive-owner' for queue '{q}' in vhost '/'"),
        lambda b: quorum(b, exclusive=True),
    ),
    "quorum-autodelete": (
        failed("invalid property 'auto-delete' for queue '{q}' in vhost '/'"),
        lambda b: quorum(b, auto_delete=True),
    ),
    "quorum-maxprio": (
        invalid("x-max-priority", " of queue type rabbit_quorum_queue"),
        lambda b: quorum(b, arguments={"x-max-priority": 5}),
    ),
    "quorum-servernamed": (
        failed("Cannot declare a server-named queue for type rabbit_quorum_queue"),
        lambda b: b.channel.queue_declare("", durable=True, arguments={"x-queue-type": "quorum"}),
    ),
    "quorum-global-qos": (
        closes_connection(540, "NOT_IMPLEMENTED - queue '{q}' in vhost '/' does not support global qos"),
        lambda b: (quorum(b), b.channel.basic_qos(prefetch_count=5, global_qos=True), b.consume()),
    ),
    "consume-bad-priority": (
        invalid("x-priority", NOT_AN_INTEGER),
        lambda b: (b.queue(), b.consume(arguments={"x-priority": "1"})),
    ),
    "drt-consume-ack": (
        failed("reply consumer cannot acknowledge"),
        lambda b: b.consume(queue="amq.rabbitmq.reply-to"),
    ),
    "drt-publish-no-consumer": (
        failed("fast reply consumer does not exist"),
        lambda b: b.publish("", b.missing, reply_to="amq.rabbitmq.reply-to"),
    ),
    "drt-consume-twice": (
        failed("reply consumer already set"),
        lambda b: [b.consume(queue="amq.rabbitmq.reply-to", auto_ack=True) for _ in range(2)],
    ),
}


def exclusive_elsewhere(bench):
    owner = bench.other()
    owner.queue_declare(bench.q, exclusive=True)
    owner.queue_bind(bench.q, "amq.direct", "bound")


def got_one(bench, **arguments):
    bench.publish("", bench.q)
    bench.round_trip()
    assert bench.channel.basic_get(bench.q, **arguments)[0].delivery_tag == 1


def swap_channel(bench):
    bench.channel = bench.channel.connection.channel()


def quorum(bench, durable=True, arguments=(), **flags):
    arguments = {"x-queue-type": "quorum", **dict(arguments)}
    bench.channel.queue_declare(bench.q, durable=durable, arguments=arguments, **flags)


def method_frame(bench, method):
    return pika.frame.Method(bench.channel.channel_number, method).marshal()


def header_frame(bench, size):
    return pika.frame.Header(bench.channel.channel_number, size, BasicProperties()).marshal()


def check(case, connect, names):
    (scope, code, text), act = case
    bench = Bench(connect().channel(), connect, names.queue(), names.exchange(), unique("missing"))
    connection = bench.channel.connection
    if scope == "ok":
        act(bench)
        bench.round_trip()
        return
    with pytest.raises(REFUSED) as closed:
        act(bench)
        bench.round_trip()
        # An error on the connection need not come before the answer on this channel.
        until(lambda: False, "the broker's refusal", lambda: connection.process_data_events(time_limit=0.1))
    text = text.format(q=bench.q, x=bench.x, missing=bench.missing)
    assert (closed.value.reply_code, closed.value.reply_text) == (code, text)
    if scope == "channel":
        assert isinstance(closed.value, pika.exceptions.ChannelClosedByBroker)
        # The connection goes on: another channel works.
        connection.channel().queue_declare("", exclusive=True)
    else:
        assert isinstance(closed.value, pika.exceptions.ConnectionClosedByBroker)


@pytest.mark.parametrize("name", REPLIES)
def test_reply(connect, names, name):
    check(REPLIES[name], connect, names)
