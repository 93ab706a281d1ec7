"""rabbitmq-c, the C client, through its command line tools: amqp-publish, amqp-get, amqp-consume and so on."""

import subprocess
import time

import pytest
import support
import wire
from support import unique


def url(password="guest", vhost="%2F"):
    return f"amqp://guest:{password}@{support.URL_HOST}:{support.PORT}/{vhost}"


def tool(name, *arguments, stdin=b"", url=url()):
    """Runs a tool to its end: (exit code, standard output, standard error as text)."""
    command = [f"amqp-{name}", f"--url={url}", *arguments]
    ran = subprocess.run(command, input=stdin, capture_output=True, timeout=support.DEADLINE)
    return ran.returncode, ran.stdout, ran.stderr.decode()


def ran(name, *arguments, **options):
    """Runs a tool that must succeed, and answers its output."""
    code, output, errors = tool(name, *arguments, **options)
    assert code == 0, errors
    return output


def failed(name, *arguments, **options):
    """Runs a tool that must fail, and answers what it says."""
    code, _, errors = tool(name, *arguments, **options)
    assert code == 1, errors
    return errors.strip()


@pytest.fixture
def queue(names):
    """A durable queue that the tool declared."""
    queue = names.queue()
    assert ran("declare-queue", f"--queue={queue}", "--durable") == f"{queue}\n".encode()
    return queue


@pytest.fixture
def consume():
    """Starts consumers, each a process whose standard output is to be read; stops those still running at the end."""
    processes = []

    def start(*arguments):
        command = ["amqp-consume", f"--url={url()}", *arguments, "cat"]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_declare_publish_get_delete(queue):
    ran("publish", f"--routing-key={queue}", "--body=hello")
    ran("publish", f"--routing-key={queue}", "--body=again")
    assert ran("get", f"--queue={queue}") == b"hello"
    assert ran("delete-queue", f"--queue={queue}") == b"1\n"
    assert ran("delete-queue", f"--queue={queue}") == b"0\n"


def test_a_server_named_queue():
    name = ran("declare-queue", "--queue=").decode().strip()
    assert name.startswith("amq.gen-")
    assert ran("delete-queue", f"--queue={name}") == b"0\n"


def test_get_from_an_empty_queue(queue):
    assert tool("get", f"--queue={queue}")[:2] == (2, b"")


@pytest.mark.parametrize("size", [0, 1, 131064, 131065, 4 * 1024 * 1024])
def test_bodies_of_every_size_arrive_whole(queue, size):
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    ran("publish", f"--routing-key={queue}", stdin=body)
    assert ran("get", f"--queue={queue}") == body


def test_every_line_a_message(queue, consume):
    lines = [b"line %d\n" % number for number in range(500)]
    ran("publish", f"--routing-key={queue}", "--line-buffered", stdin=b"".join(lines))
    consumer = consume(f"--queue={queue}", "--count=500", "--prefetch-count=10")
    output, _ = consumer.communicate(timeout=support.DEADLINE)
    assert output == b"".join(lines)
    assert ran("delete-queue", f"--queue={queue}") == b"0\n"


def test_a_consumer_takes_no_more_than_it_was_told(queue, consume):
    for number in range(5):
        ran("publish", f"--routing-key={queue}", f"--body={number}")
    output, _ = consume(f"--queue={queue}", "--count=2", "--prefetch-count=1").communicate(timeout=support.DEADLINE)
    assert output == b"01"
    assert [ran("get", f"--queue={queue}") for _ in range(3)] == [b"2", b"3", b"4"]


def test_an_exclusive_queue_bound_to_an_exchange(consume):
    key = unique("key")
    consumer = consume("--exchange=amq.topic", f"--routing-key={key}.*", "--exclusive", "--count=1", "--no-ack")
    end = time.monotonic() + support.DEADLINE
    # The tool does not say when it is ready: publish until it has ended.
    while consumer.poll() is None and time.monotonic() < end:
        ran("publish", "--exchange=amq.topic", f"--routing-key={key}.news", "--body=news")
    output, errors = consumer.communicate(timeout=1)
    assert output == b"news"
    assert b"Server provided queue name: amq.gen-" in errors


def test_properties_are_kept(queue):
    options = ["--persistent", "--content-type=text/plain", "--content-encoding=utf-8", "--reply-to=reply"]
    ran("publish", f"--routing-key={queue}", "--body=m", *options, "--header=colour: blue")
    with wire.Wire(support.ADDRESS) as connection:
        properties, body = connection.login().open_channel().get(queue)
    # Flags for the five properties, then their values in the order of the specification.
    expected = b"\xf2\x00" + wire.shortstr("text/plain") + wire.shortstr("utf-8")
    expected += wire.longstr(wire.shortstr("colour") + b"S" + wire.longstr(b"blue")) + b"\x02" + wire.shortstr("reply")
    assert (properties, body) == (expected, b"m")


def test_errors_are_shown(queue):
    missing = unique("missing")
    no_queue = f"server channel error 404, message: NOT_FOUND - no queue '{missing}' in vhost '/'"
    assert failed("get", f"--queue={missing}") == f"basic.get: {no_queue}"
    code, _, errors = tool("consume", f"--queue={missing}", "cat")
    assert (code, errors.strip()) == (1, f"basic.consume: {no_queue}")
    no_exchange = f"server channel error 404, message: NOT_FOUND - no exchange '{missing}' in vhost '/'"
    assert (
        failed("publish", f"--exchange={missing}", "--routing-key=k", "--body=m") == f"closing channel: {no_exchange}"
    )
    reserved = "server channel error 403, message: ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'"
    assert failed("declare-queue", "--queue=amq.x") == f"queue.declare: {reserved}"
    ran("publish", f"--routing-key={queue}", "--body=m")
    not_empty = f"server channel error 406, message: PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"
    assert failed("delete-queue", f"--queue={queue}", "--if-empty") == f"queue.delete: {not_empty}"


def test_logins_are_refused():
    login = "logging in to AMQP server: server connection error"
    refused = failed("publish", "--routing-key=k", "--body=m", url=url(password="wrong"))
    assert refused == f"{login} 403, message: {support.LOGIN_REFUSED.format(mechanism='PLAIN')}"
    vhost = unique("vhost")
    refused = failed("publish", "--routing-key=k", "--body=m", url=url(vhost=vhost))
    assert refused == f"{login} 530, message: NOT_ALLOWED - vhost {vhost} not found"


def test_heartbeats_keep_an_idle_consumer(queue, consume):
    consumer = consume(f"--queue={queue}", "--count=1", "--heartbeat=1")
    # Longer than the three intervals after which the broker drops a silent client.
    with pytest.raises(subprocess.TimeoutExpired):
        consumer.wait(timeout=4)
    ran("publish", f"--routing-key={queue}", "--body=alive")
    output, _ = consumer.communicate(timeout=support.DEADLINE)
    assert output == b"alive"
