"""Celery applications with names of their own, and workers for them."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import celery_app
import pytest
import support
from support import unique

HERE = pathlib.Path(__file__).parent
STOP_SECONDS = 20


class Worker:
    """A Celery worker in a process of its own, with its pool in children of that."""

    def __init__(self, app, folder, *options, name="worker"):
        self.app, self.name = app, f"{unique(name)}@interop"
        self.log_file = folder / self.name
        command = ["-m", "celery", "-A", "celery_app", "worker", f"--hostname={self.name}", "--loglevel=INFO", *options]
        config = json.dumps(app.interop_config)
        environment = {**os.environ, "INTEROP_CELERY": config, "PYTHONPATH": str(HERE), "C_FORCE_ROOT": "1"}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        support.until(self.is_ready, f"the worker is ready; it wrote:\n{self.log()}", deadline=40)

    def is_ready(self):
        assert self.process.poll() is None, f"the worker ended:\n{self.log()}"
        return f"{self.name} ready." in self.log()

    def log(self):
        return self.log_file.read_text(errors="replace")

    def kill(self):
        """SIGKILL for the worker and its pool: nobody says goodbye to the broker."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """A warm shutdown; what is left of the worker afterwards is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return self.process.returncode


class Deployment:
    """An application under names that nobody else uses, and its workers."""

    def __init__(self, folder, names, **config):
        self.folder, self.names, self.workers = folder, names, []
        self.queue, control, events = names.queue("celery"), unique("control"), unique("events")
        names.exchanges += [self.queue, f"{control}.pidbox", f"reply.{control}.pidbox", events]
        config = {
            "broker_url": f"amqp://guest:guest@{support.URL_HOST}:{support.PORT}//",
            "broker_connection_retry_on_startup": False,
            "result_backend": "rpc://",
            # A worker makes a queue for the results of the tasks that it sends itself, and leaves it to expire.
            "result_expires": 60,
            "task_default_queue": self.queue,
            "control_exchange": control,
            "event_exchange": events,
            "task_create_missing_queues": True,
            "worker_hijack_root_logger": False,
            **config,
        }
        self.app = celery_app.create(config)
        self.app.interop_config = config

    def start(self, *options):
        self.workers.append(Worker(self.app, self.folder, *options))
        return self.workers[-1]

    def task(self, name):
        return self.app.tasks[name]

    def stop(self):
        for worker in self.workers:
            worker.stop()
        self.app.close()


@pytest.fixture(scope="module")
def deploy(tmp_path_factory):
    """Makes deployments. Their workers are stopped, and what they declared is deleted, after the module's tests."""
    names, deployments = support.Names(), []

    def make(**config):
        deployments.append(Deployment(tmp_path_factory.mktemp("celery"), names, **config))
        return deployments[-1]

    yield make
    for deployment in deployments:
        deployment.stop()
    support.delete(names)
