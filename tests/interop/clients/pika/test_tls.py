"""pika over TLS: with a password, with a certificate, and with a broker that it does not know."""

import os
import ssl

import pika
import pytest
import support
from pika_support import drain, mine, publish

pytestmark = pytest.mark.tls


def parameters(context, **more):
    """Where the broker speaks TLS. It is named as in its certificate."""
    options = pika.SSLOptions(context, support.TLS_HOST)
    return pika.ConnectionParameters(
        support.TLS_HOST, support.TLS_PORT, ssl_options=options, socket_timeout=support.DEADLINE, **more
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_messages_of_all_sizes_pass_as_they_are(version):
    context = support.tls_context()
    context.minimum_version = context.maximum_version = version
    with pika.BlockingConnection(parameters(context)) as connection:
        channel = connection.channel()
        queue = mine(channel)
        # Empty, of one record of TLS, of several, of several frames.
        sent = [b"", os.urandom(100), os.urandom(16_385), os.urandom(300_000)]
        publish(channel, queue, *sent)
        assert drain(channel, queue) == sent


def test_a_certificate_logs_in_without_a_password():
    login = pika.credentials.ExternalCredentials()
    with pika.BlockingConnection(parameters(support.tls_context("client"), credentials=login)) as connection:
        queue = mine(connection.channel())
        publish(connection.channel(), queue, b"by guest", user_id="guest")


def test_without_a_certificate_nobody_logs_in_by_one():
    login = pika.credentials.ExternalCredentials()
    # The broker does not offer the mechanism, and pika has no other.
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(parameters(support.tls_context(), credentials=login))


def test_a_broker_that_is_not_known_is_left():
    with pytest.raises(ssl.SSLCertVerificationError):
        pika.BlockingConnection(parameters(ssl.create_default_context()))


def test_plain_amqp_on_the_port_for_tls_is_refused():
    plain = pika.ConnectionParameters(support.TLS_HOST, support.TLS_PORT, socket_timeout=support.DEADLINE)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(plain)


def test_many_connections_come_and_go():
    for _ in range(20):
        with pika.BlockingConnection(parameters(support.tls_context())) as connection:
            assert connection.channel().is_open
