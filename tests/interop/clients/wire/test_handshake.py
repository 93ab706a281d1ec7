"""The first bytes of a connection, which no client library shows."""

import struct
import time

import pytest
import support
from wire import PROTOCOL_HEADER, Wire, longstr, method, shortstr

# Heads of protocols that end up on the port: AMQP 1.0, its SASL layer, later drafts, HTTP, a TLS hello.
FOREIGN = [b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x00\x0a\x00", b"GET / HTTP/1.1\r\n\r\n"]
FOREIGN += [b"\x16\x03\x01\x00\xa5\x01\x00\x00", b"HTTP/1.1"]

# What clients of 0-9-1, 0-9 and 0-8 send, and the version that connection.start then names.
SPOKEN = [
    (PROTOCOL_HEADER, b"\x00\x09"),
    (b"AMQP\x01\x01\x00\x09", b"\x00\x09"),
    (b"AMQP\x01\x01\x08\x00", b"\x08\x00"),
]


@pytest.fixture
def connection():
    with Wire(support.ADDRESS) as connection:
        yield connection


@pytest.mark.parametrize("header", FOREIGN, ids=range(len(FOREIGN)))
def test_another_protocol_is_told_which_one_is_spoken_here(connection, header):
    connection.send(header)
    # Nothing follows: the broker has closed the connection.
    assert connection.read(100) == PROTOCOL_HEADER


@pytest.mark.parametrize("header, version", SPOKEN, ids=["0-9-1", "0-9", "0-8"])
def test_connection_start(connection, header, version):
    connection.send(header)
    start = connection.expect(10, 10)
    assert start[:2] == version
    (size,) = struct.unpack_from(">I", start, 2)
    assert start[6 + size :] == longstr(b"PLAIN AMQPLAIN") + longstr(b"en_US")


def test_a_header_may_come_byte_by_byte(connection):
    for byte in PROTOCOL_HEADER:
        connection.send(bytes([byte]))
    connection.expect(10, 10)


def test_connection_tune(connection):
    connection.send(PROTOCOL_HEADER)
    connection.expect(10, 10)
    response = longstr(b"\x00guest\x00guest")
    connection.send(method(0, 10, 11, longstr(b"") + shortstr("PLAIN") + response + shortstr("en_US")))
    assert struct.unpack(">HIH", connection.expect(10, 30)) == (2047, 131072, 60)


def test_a_whole_handshake_in_one_write(connection):
    start_ok = longstr(b"") + shortstr("PLAIN") + longstr(b"\x00guest\x00guest") + shortstr("en_US")
    connection.send(
        PROTOCOL_HEADER
        + method(0, 10, 11, start_ok)
        + method(0, 10, 31, struct.pack(">HIH", 2047, 131072, 0))
        + method(0, 10, 40, shortstr("/") + shortstr("") + b"\x00")
        + method(1, 20, 10, shortstr(""))
    )
    for answer in ((10, 10), (10, 30), (10, 41), (20, 11)):
        connection.expect(*answer)


@pytest.mark.parametrize(
    "mechanism, response",
    [
        ("PLAIN", b"\x00guest\x00wrong"),
        ("PLAIN", b"guest"),
        ("AMQPLAIN", b"\x05LOGIN"),
        ("AMQPLAIN", b""),
        ("NOSUCH", b""),
    ],
)
def test_a_client_that_cannot_be_told_is_dropped_after_a_while(connection, mechanism, response):
    """Without the capability authentication_failure_close there is no frame, and the delay slows down guessing."""
    connection.send(PROTOCOL_HEADER)
    connection.expect(10, 10)
    begin = time.monotonic()
    connection.send(method(0, 10, 11, longstr(b"") + shortstr(mechanism) + longstr(response) + shortstr("en_US")))
    assert connection.read(1) == b""
    assert 1 <= time.monotonic() - begin <= 6


def test_an_unfinished_handshake_is_dropped():
    with Wire(support.ADDRESS, timeout=30) as connection:
        begin = time.monotonic()
        connection.send(PROTOCOL_HEADER[:5])
        assert connection.read(1) == b""
        assert 5 <= time.monotonic() - begin <= 20
