"""A minimal AMQP 0-9-1 client on a plain socket.

The suite needs it for two things only: to remove what a test declared, whatever client the test drives, and to look at
bytes that no client library shows (the protocol header, the fields of connection.start).
"""

import socket
import struct

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8


def shortstr(text):
    raw = text.encode()
    return bytes([len(raw)]) + raw


def longstr(raw):
    return struct.pack(">I", len(raw)) + raw


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, class_id, method_id, arguments=b""):
    return frame(METHOD, channel, struct.pack(">HH", class_id, method_id) + arguments)


class Wire:
    """One connection. Every read has a deadline."""

    def __init__(self, address, timeout=10):
        self.socket = socket.create_connection(address, timeout)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, raw):
        self.socket.sendall(raw)

    def read(self, size):
        """Exactly `size` bytes; fewer if the peer closed first."""
        while len(self.pending) < size:
            try:
                received = self.socket.recv(65536)
            except ConnectionError:
                received = b""
            if not received:
                break
            self.pending += received
        raw, self.pending = self.pending[:size], self.pending[size:]
        return raw

    def read_frame(self):
        """The next frame that is not a heartbeat: (kind, channel, payload)."""
        while True:
            head = self.read(7)
            if len(head) < 7:
                raise ConnectionError("the broker closed the connection")
            kind, channel, size = struct.unpack(">BHI", head)
            payload = self.read(size)
            if self.read(1) != b"\xce":
                raise ConnectionError("a frame does not end with 0xCE")
            if kind != HEARTBEAT:
                return kind, channel, payload

    def expect(self, class_id, method_id):
        """The arguments of the next method, which must be the given one."""
        kind, _, payload = self.read_frame()
        if kind != METHOD or struct.unpack_from(">HH", payload) != (class_id, method_id):
            raise AssertionError(f"expected method {class_id}.{method_id}, got frame {kind}: {payload!r}")
        return payload[4:]

    def login(self, user="guest", password="guest", vhost="/"):
        response = b"\x00" + user.encode() + b"\x00" + password.encode()
        self.send(PROTOCOL_HEADER)
        self.expect(10, 10)
        self.send(method(0, 10, 11, longstr(b"") + shortstr("PLAIN") + longstr(response) + shortstr("en_US")))
        self.expect(10, 30)
        self.send(method(0, 10, 31, struct.pack(">HIH", 2047, 131072, 0)))
        self.send(method(0, 10, 40, shortstr(vhost) + shortstr("") + b"\x00"))
        self.expect(10, 41)
        return self

    def open_channel(self):
        self.send(method(1, 20, 10, shortstr("")))
        self.expect(20, 11)
        return self

    def delete(self, queues=(), exchanges=()):
        """Deletes queues and exchanges; those that are already gone do not matter."""
        for name in queues:
            self.send(method(1, 50, 40, b"\x00\x00" + shortstr(name) + b"\x00"))
            self._settle(50, 41)
        for name in exchanges:
            self.send(method(1, 40, 20, b"\x00\x00" + shortstr(name) + b"\x00"))
            self._settle(40, 21)

    def declares_exchange(self, name, kind):
        """Whether an exchange of this type can be declared. An unknown one costs the connection."""
        arguments = b"\x00\x00" + shortstr(name) + shortstr(kind) + b"\x00" + longstr(b"")
        self.send(method(1, 40, 10, arguments))
        _, _, payload = self.read_frame()
        if struct.unpack_from(">HH", payload) != (40, 11):
            return False
        self.delete(exchanges=[name])
        return True

    def get(self, queue):
        """basic.get without acknowledgement: (properties as raw bytes, body), or None if the queue is empty."""
        self.send(method(1, 60, 70, b"\x00\x00" + shortstr(queue) + b"\x01"))
        _, _, payload = self.read_frame()
        if struct.unpack_from(">HH", payload) == (60, 72):
            return None
        _, _, header = self.read_frame()
        (size,) = struct.unpack_from(">Q", header, 4)
        body = b""
        while len(body) < size:
            body += self.read_frame()[2]
        return header[12:], body

    def _settle(self, class_id, method_id):
        """Waits for an answer. After a channel error (someone else's exclusive queue) the channel is opened anew."""
        _, _, payload = self.read_frame()
        if struct.unpack_from(">HH", payload) == (20, 40):
            self.send(method(1, 20, 41))
            self.open_channel()
        elif struct.unpack_from(">HH", payload) != (class_id, method_id):
            raise AssertionError(f"expected method {class_id}.{method_id}, got {payload!r}")
