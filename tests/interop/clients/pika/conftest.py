"""Connections for the pika tests."""

import pika
import pytest
import support


class Opener:
    """Opens connections and closes, at the end, those that are still open."""

    def __init__(self):
        self.connections = []

    def __call__(self, *, user="guest", password="guest", host=support.HOST, port=support.PORT, **parameters):
        parameters.setdefault("heartbeat", 0)
        parameters.setdefault("socket_timeout", support.DEADLINE)
        parameters.setdefault("blocked_connection_timeout", support.DEADLINE)
        parameters = pika.ConnectionParameters(
            host=host, port=port, credentials=pika.PlainCredentials(user, password), **parameters
        )
        connection = pika.BlockingConnection(parameters)
        self.connections.append(connection)
        return connection

    def close(self):
        for connection in self.connections:
            if connection.is_open:
                connection.close()


@pytest.fixture
def connect():
    opener = Opener()
    yield opener
    opener.close()


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def channel(connection):
    return connection.channel()
