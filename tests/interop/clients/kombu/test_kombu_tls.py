"""kombu over TLS, with the options that Celery calls `broker_use_ssl`."""

import ssl

import pytest
import support
from kombu import Connection

pytestmark = pytest.mark.tls

FILES = {"ca_certs": str(support.CERTIFICATES / "ca.pem"), "cert_reqs": ssl.CERT_REQUIRED}
CLIENT = {"certfile": str(support.CERTIFICATES / "client.pem"), "keyfile": str(support.CERTIFICATES / "client.key")}


def connection(**options):
    return Connection(
        f"amqp://guest:guest@{support.TLS_HOST}:{support.TLS_PORT}//", connect_timeout=support.DEADLINE, **options
    )


def test_a_message_passes_over_tls():
    with connection(ssl=FILES) as conn, conn.SimpleBuffer(support.unique("queue")) as queue:
        queue.put({"number": 7}, serializer="json")
        message = queue.get(timeout=support.DEADLINE)
        assert message.payload == {"number": 7}
        message.ack()


def test_a_certificate_logs_in():
    with connection(ssl=FILES | CLIENT, login_method="EXTERNAL") as conn:
        conn.connect()
        assert conn.connected
