"""What the Python tests share: the broker's address, unique names, deadlines, and a relay that can cut connections."""

import contextlib
import functools
import os
import pathlib
import socket
import ssl
import struct
import threading
import time
import uuid

import wire

BROKER = os.environ.get("INTEROP_BROKER", "127.0.0.1:5672")
HOST, PORT = BROKER.rsplit(":", 1)[0].strip("[]"), int(BROKER.rsplit(":", 1)[1])
ADDRESS = (HOST, PORT)
URL_HOST = f"[{HOST}]" if ":" in HOST else HOST

# Where the broker speaks TLS, and the folder with ca.pem, client.pem and client.key. None where it does not.
TLS = os.environ.get("INTEROP_TLS")
TLS_HOST, TLS_PORT = (TLS.rsplit(":", 1)[0].strip("[]"), int(TLS.rsplit(":", 1)[1])) if TLS else (None, None)
CERTIFICATES = pathlib.Path(os.environ.get("INTEROP_CERTIFICATES", "/nonexistent"))

# A step of a test that takes longer than this many seconds has failed.
DEADLINE = 20

LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)
LOGIN_REFUSED = (
    "ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
)

# Topic patterns with keys that match and keys that do not.
TOPICS = [
    ("#", ["", "a", "a.b"], []),
    ("*", ["a"], ["", "a.b"]),
    ("a.*", ["a.b", "a."], ["a", "b.a", "a.b.c"]),
    ("a.#", ["a", "a.b", "a.b.c", "a."], ["b", "ab", "b.a"]),
    ("#.z", ["z", "a.z", "a.b.z"], ["z.a", "az"]),
    ("a.*.c", ["a.b.c", "a..c"], ["a.c", "a.b.b.c"]),
    ("a.#.c", ["a.c", "a.b.c", "a.b.b.c"], ["a.b", "c"]),
    ("*.#", ["a", "a.b"], [""]),
    ("a#.*b", ["a#.*b"], ["a.b", "ax.xb"]),
    ("", [""], ["a"]),
]

# Arguments of a binding to a headers exchange, with headers that match and headers that do not.
HEADERS = [
    ({"x-match": "all", "kind": "pdf", "pages": 3}, [{"kind": "pdf", "pages": 3, "more": 1}], [{"kind": "pdf"}, {}]),
    ({"x-match": "any", "kind": "pdf", "pages": 3}, [{"kind": "pdf"}, {"pages": 3}], [{"kind": "txt", "pages": 4}, {}]),
    ({"kind": "pdf", "pages": 3}, [{"kind": "pdf", "pages": 3}], [{"kind": "pdf"}]),
    ({"x-match": "all", "kind": None}, [{"kind": "any value"}, {"kind": None}], [{"other": 1}]),
    ({"x-match": "all", "x-internal": 1, "kind": "pdf"}, [{"kind": "pdf"}], [{"x-internal": 1}]),
    ({"x-match": "all-with-x", "x-own": 1, "kind": "pdf"}, [{"x-own": 1, "kind": "pdf"}], [{"kind": "pdf"}]),
    ({"x-match": "any-with-x", "x-own": 1, "kind": "pdf"}, [{"x-own": 1}, {"kind": "pdf"}], [{"x-own": 2}]),
    ({"flag": True}, [{"flag": True}], [{"flag": False}, {"flag": 1}, {"flag": "true"}]),
    ({}, [{}, {"kind": "pdf"}], []),
]


def unique(kind):
    """A name that no other test, and no other run on the same broker, uses."""
    return f"interop.{kind}.{uuid.uuid4().hex[:12]}"


def until(condition, what, step=lambda: time.sleep(0.01), deadline=DEADLINE):
    """Repeats `step` until `condition` holds. Fails, saying what never happened, when the deadline passes."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"within {deadline} s: {what}"
        step()


def tls_context(certificate=None):
    """What a client of the TLS port trusts, and the certificate that it shows, if any."""
    context = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
    if certificate:
        context.load_cert_chain(CERTIFICATES / f"{certificate}.pem", CERTIFICATES / f"{certificate}.key")
    return context


class Broker:
    """What can be asked of the broker before a test: whose it is, and which exchange types it has."""

    def __init__(self):
        with wire.Wire(ADDRESS) as connection:
            connection.send(wire.PROTOCOL_HEADER)
            self.is_leveret = wire.shortstr("leveret_version") + b"S" in connection.expect(10, 10)

    @staticmethod
    @functools.cache
    def has_exchange_type(name):
        exchange = unique("probe")
        with wire.Wire(ADDRESS) as connection:
            connection.login().open_channel()
            return connection.declares_exchange(exchange, name)


class Names:
    """Hands out names and remembers them, so that they can be deleted when the test is over."""

    def __init__(self):
        self.queues, self.exchanges = [], []

    def queue(self, kind="queue"):
        self.queues.append(unique(kind))
        return self.queues[-1]

    def exchange(self, kind="exchange"):
        self.exchanges.append(unique(kind))
        return self.exchanges[-1]


def delete(names):
    """Deletes what the names were given to."""
    if names.queues or names.exchanges:
        with wire.Wire(ADDRESS) as connection:
            connection.login().open_channel().delete(names.queues, names.exchanges)


class Relay:
    """A TCP relay in front of the broker. A test can cut its connections, or have every byte come on its own.

    `piece` is the most bytes passed on in one write.
    """

    def __init__(self, piece=65536):
        self.piece = piece
        self.pairs = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut()

    def cut(self):
        """Resets every connection through the relay; new ones are accepted as before. Returns how many there were."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                # Linger 0: the peer sees a reset, as when a machine in between goes away.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        return len(pairs)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(ADDRESS)
            except OSError:
                client.close()
                continue
            for end in (client, broker):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((client, broker))
            for source, target in ((client, broker), (broker, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source, target):
        try:
            while received := source.recv(65536):
                for start in range(0, len(received), self.piece):
                    target.sendall(received[start : start + self.piece])
        except OSError:
            pass
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
