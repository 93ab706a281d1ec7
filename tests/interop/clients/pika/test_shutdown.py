"""What connected clients see when the broker is told to stop. Ends the broker, so `scripts/interop` runs it last."""

import os
import signal

import pika.exceptions
import pytest
import support

PID = int(os.environ.get("INTEROP_STOP_PID", "0"))


@pytest.mark.skipif(PID == 0, reason="only a broker that the script started is stopped")
def test_every_connection_is_told_that_the_broker_stops(connect):
    connections = [connect() for _ in range(3)]
    channels = [connection.channel() for connection in connections[1:]]
    channels[0].basic_consume(channels[0].queue_declare("", exclusive=True).method.queue, lambda *_: None)
    os.kill(PID, signal.SIGTERM)
    for connection in connections:
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
            connection.sleep(support.DEADLINE)
        assert closed.value.reply_code == 320
        reason = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
        assert closed.value.reply_text == reason
