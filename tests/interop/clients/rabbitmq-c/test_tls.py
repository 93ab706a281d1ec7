"""rabbitmq-c's tools over TLS."""

import subprocess

import pytest
import support

pytestmark = pytest.mark.tls


def tool(name, *arguments, stdin=b"", authority=None):
    """Runs a tool to its end: (exit code, what it wrote)."""
    authority = authority or support.CERTIFICATES / "ca.pem"
    # It compares names alone: an address of the certificate is nothing to it.
    host = "localhost" if support.TLS_HOST == "127.0.0.1" else support.TLS_HOST
    url = f"amqps://guest:guest@{host}:{support.TLS_PORT}/%2F"
    command = [f"amqp-{name}", f"--url={url}", f"--cacert={authority}", *arguments]
    ran = subprocess.run(command, input=stdin, capture_output=True, timeout=support.DEADLINE)
    return ran.returncode, ran.stdout or ran.stderr


def test_a_message_passes_over_tls(names):
    queue = names.queue()
    assert tool("declare-queue", f"--queue={queue}") == (0, f"{queue}\n".encode())
    body = b"secret" * 10_000
    assert tool("publish", f"--routing-key={queue}", stdin=body)[0] == 0
    assert tool("get", f"--queue={queue}") == (0, body)


def test_a_broker_that_is_not_known_is_left():
    # A certificate of nobody who signed the broker's.
    other = support.CERTIFICATES / "client.pem"
    assert tool("declare-queue", f"--queue={support.unique('queue')}", authority=other)[0] == 1
