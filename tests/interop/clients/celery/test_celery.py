"""Celery with a real worker: what its users' applications do with a broker."""

import contextlib
import datetime
import time

import celery
import pytest
from celery.exceptions import TaskRevokedError
from support import DEADLINE, until

# A worker that does not look for others as it starts.
QUIET = ("--without-mingle", "--without-gossip")


@pytest.fixture(scope="module")
def deployment(deploy):
    """One application with a worker of two processes, for all tests but those that need another kind of worker."""
    deployment = deploy(task_send_sent_event=True, worker_prefetch_multiplier=4)
    deployment.worker = deployment.start("--concurrency=2", "--task-events")
    return deployment


@pytest.fixture
def task(deployment):
    return deployment.task


@pytest.fixture
def journal(tmp_path):
    """A file in which tasks write what they did."""
    path = tmp_path / "journal"
    path.touch()
    return path


def get(result):
    return result.get(timeout=DEADLINE)


def lines(path):
    return path.read_text().splitlines()


def waiting(deployment, queue):
    """How many messages wait in a queue."""
    with deployment.app.connection_for_read() as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


def soon(seconds):
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


# --- tasks and results ---


def test_a_task_returns_its_result(task):
    """The rpc:// result backend sends each state back as a message to a queue of the client's own."""
    result = task("add").delay(2, 3)
    assert get(result) == 5
    assert result.successful()


def test_a_failure_is_raised_where_the_result_is_asked_for(task):
    """If the task raised an exception, get raises it again."""
    result = task("fail").delay("no luck")
    with pytest.raises(ValueError, match="no luck"):
        get(result)
    assert result.state == "FAILURE"


def test_many_results_come_to_the_right_callers(task):
    """Results are correlated with their tasks, in whatever order they are asked for."""
    results = [task("add").delay(number, number) for number in range(100)]
    assert [get(result) for result in reversed(results)] == [2 * number for number in reversed(range(100))]


def test_groups_and_chains(task):
    """A group runs tasks in parallel and collects their results; a chain hands each result to the next task."""
    add = task("add")
    group = celery.group(add.s(number, 1) for number in range(10))()
    assert get(group) == list(range(1, 11))
    assert get(celery.chain(add.s(1, 2), add.s(3), add.s(4))()) == 10
    assert get((add.s(1, 1) | celery.group(add.s(10), add.s(20)))()) == [12, 22]


def test_a_missing_queue_is_made_for_a_task(deployment, task):
    """With task_create_missing_queues, a task can be sent to any queue, and a worker told to consume from it."""
    queue = deployment.names.queue("missing")
    deployment.names.exchanges.append(queue)
    result = task("describe").apply_async(queue=queue)
    assert waiting(deployment, queue) == 1
    deployment.app.control.add_consumer(queue, destination=[deployment.worker.name])
    assert get(result)["routing_key"] == queue
    deployment.app.control.cancel_consumer(queue, destination=[deployment.worker.name], reply=True)


# --- time ---


def test_a_task_asks_for_a_retry(task, journal):
    """self.retry sends the same task again, to be run after its countdown."""
    assert get(task("flaky").delay(str(journal), 2)) == 2
    times = [float(line) for line in lines(journal)]
    assert len(times) == 3
    assert all(later - earlier >= 0.2 for earlier, later in zip(times, times[1:], strict=False))


def test_retries_come_to_an_end(task, journal):
    """After max_retries the exception is raised."""
    with pytest.raises(OSError, match="failure 3"):
        get(task("flaky").delay(str(journal), 9))
    assert len(lines(journal)) == 4


def test_countdown_and_eta(task):
    """A task with an ETA or a countdown is guaranteed to be executed at some time after that date."""
    start = time.time()
    later = task("describe").apply_async(countdown=1)
    at = task("describe").apply_async(eta=soon(1))
    at_once = task("describe").delay()
    assert get(at_once)["ran"] < start + 1
    assert min(get(later)["ran"], get(at)["ran"]) >= start + 1


def test_an_expired_task_is_not_run(task, journal):
    """When a worker receives an expired task it marks the task as revoked and does not run it."""
    result = task("write").apply_async((str(journal), "ran"), countdown=0.6, expires=0.3)
    with pytest.raises(TaskRevokedError):
        get(result)
    assert lines(journal) == []


def test_an_expired_task_leaves_its_queue(deployment, task, journal):
    """A task's expires is also the expiration of its message: without a worker, it goes from the queue by itself."""
    queue = deployment.names.queue("unattended")
    deployment.names.exchanges.append(queue)
    task("write").apply_async((str(journal), "ran"), queue=queue, expires=0.6)
    assert waiting(deployment, queue) == 1
    until(lambda: waiting(deployment, queue) == 0, "the message to expire")


def test_priorities(deploy, journal):
    """In a queue with x-max-priority, a worker that takes one task at a time runs those of higher priority first."""
    deployment = deploy(task_queue_max_priority=10, worker_prefetch_multiplier=1)
    for priority in (1, 5, 0, 10, 5):
        deployment.task("write").apply_async((str(journal), f"priority {priority}"), priority=priority)
    until(lambda: waiting(deployment, deployment.queue) == 5, "all tasks in the queue")
    worker = deployment.start("--concurrency=1", *QUIET)
    until(lambda: len(lines(journal)) == 5, "all tasks run")
    assert lines(journal) == [f"priority {priority}" for priority in (10, 5, 5, 1, 0)]
    assert worker.stop() == 0


# --- remote control ---


def test_ping(deployment):
    """ping reports the workers that are alive."""
    replies = deployment.app.control.ping(destination=[deployment.worker.name], timeout=DEADLINE, limit=1)
    assert replies == [{deployment.worker.name: {"ok": "pong"}}]


def test_every_worker_answers_a_broadcast(deployment):
    """A broadcast without a destination reaches every worker."""
    workers = sorted(worker.name for worker in deployment.workers if worker.process.poll() is None)
    replies = deployment.app.control.broadcast("ping", reply=True, timeout=DEADLINE, limit=len(workers))
    assert sorted(name for reply in replies for name in reply) == workers


def test_inspect(deployment):
    """inspect tells what workers do, and which queues they consume from."""
    inspect = deployment.app.control.inspect(destination=[deployment.worker.name], timeout=DEADLINE, limit=1)
    queues = inspect.active_queues()[deployment.worker.name]
    assert [queue["name"] for queue in queues] == [deployment.queue]
    assert {"add", "describe"} <= set(inspect.registered()[deployment.worker.name])
    assert inspect.stats()[deployment.worker.name]["pool"]["max-concurrency"] == 2


def test_a_task_is_revoked_before_it_runs(deployment, task, journal):
    """Workers that receive a revoke request skip the task when its time comes."""
    result = task("write").apply_async((str(journal), "ran"), countdown=1.5)
    inspect = deployment.app.control.inspect(destination=[deployment.worker.name], timeout=DEADLINE, limit=1)
    until(lambda: result.id in str(inspect.scheduled()), "the task scheduled in the worker")
    deployment.app.control.revoke(result.id, reply=True, timeout=DEADLINE, limit=1)
    with pytest.raises(TaskRevokedError, match="revoked"):
        get(result)
    assert lines(journal) == []


def test_a_running_task_is_terminated(deployment, task, journal, tmp_path):
    """revoke with terminate ends the process that runs the task, and the pool starts another one."""
    result = task("wait").delay(str(journal), str(tmp_path / "never"))
    until(lambda: lines(journal), "the task to run")
    deployment.app.control.revoke(result.id, terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError, match="terminated"):
        get(result)
    assert get(task("add").delay(1, 1)) == 2


# --- acknowledgements ---


def test_a_late_task_of_a_killed_worker_runs_in_another(deployment, task, journal, tmp_path):
    """With acks_late a task is acknowledged after it ran, so that it runs again, in another worker, if its worker is
    killed in the middle."""
    queue, release = deployment.names.queue("late"), tmp_path / "release"
    deployment.names.exchanges.append(queue)
    victim = deployment.start("--concurrency=1", f"--queues={queue}", *QUIET)
    result = task("wait").apply_async((str(journal), str(release)), queue=queue)
    until(lambda: lines(journal) == [victim.name], "the task to run")
    victim.kill()
    deployment.app.control.add_consumer(queue, destination=[deployment.worker.name])
    until(lambda: lines(journal) == [victim.name, deployment.worker.name], "the task to run again")
    release.touch()
    assert get(result) == {"hostname": deployment.worker.name, "redelivered": True}
    deployment.app.control.cancel_consumer(queue, destination=[deployment.worker.name], reply=True)


def test_a_task_whose_process_died_is_run_again(task, journal):
    """With acks_late and task_reject_on_worker_lost, a task whose pool process was killed goes back to the queue."""
    assert get(task("die_once").delay(str(journal))) is True
    first, second = lines(journal)
    assert first != second


# --- events ---


def test_events(deployment, task):
    """A monitor sees what happens to a task in the worker, in order."""
    seen = []
    with deployment.app.connection_for_read() as connection:
        receiver = deployment.app.events.Receiver(connection, handlers={"*": seen.append})
        with receiver.consumer_context() as (connected, _, _):
            result = task("add").delay(4, 4)

            def of_task():
                return [event for event in seen if event.get("uuid") == result.id]

            def drain():
                with contextlib.suppress(TimeoutError):
                    connected.drain_events(timeout=0.1)

            until(lambda: "task-succeeded" in [event["type"] for event in of_task()], "the task's events", drain)
    assert {event["type"] for event in of_task()} >= {"task-sent", "task-received", "task-started", "task-succeeded"}
    from_worker = [event for event in of_task() if event["type"] != "task-sent"]
    assert [event["type"] for event in from_worker] == ["task-received", "task-started", "task-succeeded"]
    assert {event["hostname"] for event in from_worker} == {deployment.worker.name}


# --- quorum queues ---


@pytest.fixture(scope="module")
def quorum(deploy):
    """An application as Celery's documentation configures it for quorum queues."""
    deployment = deploy(
        task_default_queue_type="quorum",
        task_default_exchange_type="topic",
        worker_detect_quorum_queues=True,
        broker_transport_options={"confirm_publish": True},
    )
    # Celery's delayed delivery has names of its own that cannot be chosen.
    levels = [f"celery_delayed_{level}" for level in range(28)]
    deployment.names.queues += levels
    deployment.names.exchanges += [*levels, "celery_delayed_delivery"]
    deployment.worker = deployment.start("--concurrency=1", *QUIET)
    return deployment


def test_tasks_in_quorum_queues(quorum):
    """With task_default_queue_type quorum, tasks wait in a quorum queue, and publishing waits for the confirm."""
    assert get(quorum.task("add").delay(2, 3)) == 5
    assert "x-queue-type" in str(quorum.app.amqp.queues[quorum.queue].queue_arguments)
    results = [quorum.task("add").delay(number, 1) for number in range(20)]
    assert [get(result) for result in results] == list(range(1, 21))


def test_workers_on_quorum_queues_do_without_global_prefetch(quorum):
    """A worker that detects quorum queues asks for its prefetch per consumer: they refuse a global one."""
    assert "Global QoS is disabled" in quorum.worker.log()


def test_a_countdown_waits_in_the_broker(quorum):
    """With quorum queues, tasks with a countdown wait in queues with a time to live instead of in the worker."""
    start = time.time()
    result = quorum.task("describe").apply_async(countdown=2)
    inspect = quorum.app.control.inspect(destination=[quorum.worker.name], timeout=DEADLINE, limit=1)
    assert inspect.scheduled()[quorum.worker.name] == []
    described = get(result)
    # The broker's delays are of whole seconds.
    assert described["ran"] >= start + 1
    assert described["routing_key"].endswith(quorum.queue)


def test_a_task_in_a_quorum_queue_runs_again_after_its_process_died(quorum, journal):
    """Late acknowledgement and rejection work on quorum queues as on classic ones."""
    assert get(quorum.task("die_once").delay(str(journal))) is True
    assert len(lines(journal)) == 2
